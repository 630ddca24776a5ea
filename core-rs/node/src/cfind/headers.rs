//! What stored headers say of resources that the index has found.

use std::time::Instant;

use vna_dicom::{CharacterSet, DataSet, Level, Tag};
use vna_index::Located;

use super::keys::{Keys, in_block_of};
use crate::archive::Archive;
use crate::error::ArchiveError;
use crate::find::headers::{check_time, select};

/// Resources below one that are looked up at a time.
const LOCATED_AT_ONCE: usize = 256;

/// The elements of a stored instance that were asked for.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub data_set: DataSet,
    pub charset: CharacterSet,
}

/// An element to read; a private one with its creator, since its block may be another in each file.
pub(super) type Wanted = (Tag, Option<String>);

/// What of headers a search needs.
#[derive(Debug, Default)]
pub(super) struct HeaderNeeds {
    /// Keys that the first instance of a resource must match.
    pub own: Keys,
    /// What else is read of it.
    pub own_shown: Vec<Wanted>,
    /// Keys of levels below: the lowest of these, and what one resource of it must match.
    pub below: Option<(Level, Keys)>,
    /// What else is read of the first one that does.
    pub below_shown: Vec<Wanted>,
}

/// What was read of a resource that matches.
#[derive(Debug, Default)]
pub(super) struct Headers {
    pub own: Option<Header>,
    pub below: Option<Header>,
}

impl HeaderNeeds {
    pub fn reads_own(&self) -> bool {
        !self.own.is_empty() || !self.own_shown.is_empty()
    }

    /// Reads what is needed of a resource, whose first instance is `first`; `None` if it does not match.
    pub fn read(
        &mut self,
        archive: &Archive,
        tenant: i64,
        (level, id): (Level, i64),
        first: Option<&Located>,
        until: Instant,
    ) -> Result<Option<Headers>, ArchiveError> {
        let mut headers = Headers::default();
        if self.reads_own() {
            check_time(until)?;
            let wanted = wanted(&self.own, &self.own_shown);
            headers.own = match first {
                Some(first) => read(archive, tenant, first, &wanted)?,
                None => None,
            };
            if !self.own.is_empty()
                && !headers
                    .own
                    .as_ref()
                    .is_some_and(|own| own.matches(&mut self.own))
            {
                return Ok(None);
            }
        }
        if let Some((at, keys)) = &mut self.below {
            let wanted = wanted(keys, &self.below_shown);
            headers.below = first_below(archive, tenant, (level, id), *at, keys, &wanted, until)?;
            if headers.below.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(headers))
    }
}

fn wanted(keys: &Keys, shown: &[Wanted]) -> Vec<Wanted> {
    let keys = keys
        .tags()
        .map(|(tag, creator)| (tag, creator.map(str::to_owned)));
    keys.chain(shown.iter().cloned()).collect()
}

/// The header of the first instance of a resource of level `at` below that matches.
fn first_below(
    archive: &Archive,
    tenant: i64,
    above: (Level, i64),
    at: Level,
    keys: &mut Keys,
    wanted: &[Wanted],
    until: Instant,
) -> Result<Option<Header>, ArchiveError> {
    let (index, mut after) = (archive.index(), 0);
    loop {
        // The first usually tells, so the first look is short.
        let limit = if after == 0 { 1 } else { LOCATED_AT_ONCE };
        let page = index.first_instances_below(above, at, after, limit as u64)?;
        for (number, located) in &page {
            check_time(until)?;
            after = *number;
            let Some(header) = read(archive, tenant, located, wanted)? else {
                continue;
            };
            if header.matches(keys) {
                return Ok(Some(header));
            }
        }
        if page.len() < limit {
            return Ok(None);
        }
    }
}

impl Header {
    fn matches(&self, keys: &mut Keys) -> bool {
        keys.match_all(&self.data_set, &self.charset)
    }
}

/// Reads elements of a stored instance; `None` if it has gone, or no longer reads as DICOM.
fn read(
    archive: &Archive,
    tenant: i64,
    located: &Located,
    wanted: &[Wanted],
) -> Result<Option<Header>, ArchiveError> {
    let mut tags: Vec<Tag> = wanted.iter().map(|(tag, _)| *tag).collect();
    let Some(mut header) = header(archive, tenant, located, &tags)? else {
        return Ok(None);
    };
    // Creators are read in any case: they say where the blocks of this file are.
    let elsewhere = wanted.iter().filter_map(|(tag, creator)| {
        let found = in_block_of(&header.data_set, *tag, creator.as_deref()?, &header.charset)?;
        (found != *tag).then_some(found)
    });
    let known = tags.len();
    tags.extend(elsewhere.collect::<Vec<_>>());
    if tags.len() > known {
        match self::header(archive, tenant, located, &tags)? {
            Some(more) => header = more,
            None => return Ok(None),
        }
    }
    Ok(Some(header))
}

fn header(
    archive: &Archive,
    tenant: i64,
    located: &Located,
    tags: &[Tag],
) -> Result<Option<Header>, ArchiveError> {
    let selected = select(archive, tenant, located, tags)?;
    Ok(selected.map(|selected| Header {
        data_set: selected.to_data_set(),
        charset: *selected.character_set(),
    }))
}
