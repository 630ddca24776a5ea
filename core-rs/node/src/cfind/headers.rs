//! What stored headers say of resources that the index has found.

use std::time::Instant;

use vna_dicom::{CharacterSet, DataSet, Level, Tag};
use vna_index::Located;

use super::keys::{Keys, in_block_of};
use crate::archive::Archive;
use crate::error::ArchiveError;
use crate::find::headers::{AHEAD, check_time, one_by_one, select, will_select};

/// Resources below one that are looked up at a time.
const LOCATED_AT_ONCE: usize = 256;

/// The elements of a stored instance that were asked for.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub data_set: DataSet,
    pub charset: CharacterSet,
}

/// An element to read; a private one with its creator, since its block may be another in each file.
pub(crate) type Wanted = (Tag, Option<String>);

/// What of headers a search needs.
#[derive(Debug, Default)]
pub(crate) struct HeaderNeeds {
    /// Keys that the first instance of a resource must match.
    pub own: Keys,
    /// What else is read of it.
    pub own_shown: Vec<Wanted>,
    /// Keys of levels below: the lowest of these, and what one resource of it must match.
    pub below: Option<(Level, Keys)>,
    /// What else is read of the first one that does.
    pub below_shown: Vec<Wanted>,
    /// The resource that a pause left in the middle, and behind which one below it goes on.
    paused: Option<(i64, i64)>,
}

/// Where it is read, and how long.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub archive: &'a Archive,
    pub tenant: i64,
    pub level: Level,
    /// The view that is searched: only of studies that have this label.
    pub study_label: Option<&'a str>,
    /// When a search is given up.
    pub until: Instant,
    /// When to pause.
    pub pause: Option<Instant>,
}

/// What became of a resource.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It matches.
    Matches(Headers),
    /// It does not, or has gone.
    Differs,
    /// It was time to pause: to be asked again.
    Paused,
}

/// The first instances of some resources, whose headers are read one after the other.
#[derive(Debug, Default)]
pub(crate) struct FirstInstances {
    /// Sorted by resource.
    found: Vec<(i64, Located)>,
    /// The resources in the order in which they are asked for.
    ids: Vec<i64>,
    asked: usize,
}

impl FirstInstances {
    /// That of a resource; `None` if it has gone, or none was needed. The disk is told of those behind it.
    pub fn get(&mut self, reading: Reading<'_>, id: i64) -> Option<&Located> {
        if self.asked % AHEAD == 0 {
            let next = self.ids.iter().skip(self.asked).take(AHEAD);
            let next = next.filter_map(|id| self.find(*id));
            next.for_each(|located| will_select(reading.archive, located));
        }
        self.asked += 1;
        self.find(id)
    }

    fn find(&self, id: i64) -> Option<&Located> {
        let at = self.found.binary_search_by_key(&id, |(id, _)| *id);
        at.ok().map(|at| &self.found[at].1)
    }
}

/// What was read of a resource that matches.
#[derive(Debug, Default)]
pub(crate) struct Headers {
    pub own: Option<Header>,
    pub below: Option<Header>,
}

impl HeaderNeeds {
    /// Keys of resources, and of one resource of a level below.
    pub fn new(own: Keys, below: Option<(Level, Keys)>) -> HeaderNeeds {
        HeaderNeeds {
            own,
            below,
            ..HeaderNeeds::default()
        }
    }

    fn reads_own(&self) -> bool {
        !self.own.is_empty() || !self.own_shown.is_empty()
    }

    /// Whether they decide what matches.
    pub fn has_keys(&self) -> bool {
        !self.own.is_empty() || self.below.is_some()
    }

    /// Whether files are opened.
    pub fn reads_files(&self) -> bool {
        self.reads_own() || self.below.is_some()
    }

    /// Where the first instances of resources are, if they are needed.
    pub fn first_instances(
        &self,
        reading: Reading<'_>,
        ids: &[i64],
    ) -> Result<FirstInstances, ArchiveError> {
        if !self.reads_own() {
            return Ok(FirstInstances::default());
        }
        let index = reading.archive.index();
        Ok(FirstInstances {
            found: index.first_instances(reading.level, ids, reading.study_label)?,
            ids: ids.to_vec(),
            asked: 0,
        })
    }

    /// Reads what is needed of a resource, whose first instance is `first`.
    pub fn read(
        &mut self,
        reading: Reading<'_>,
        id: i64,
        first: Option<&Located>,
    ) -> Result<Outcome, ArchiveError> {
        let mut headers = Headers::default();
        if self.reads_own() {
            check_time(reading.until)?;
            if let Some(first) = first {
                let wanted = wanted(&self.own, &self.own_shown);
                headers.own = read(reading, first, &wanted)?;
            }
            let own = headers.own.as_ref();
            if !self.own.is_empty() && !own.is_some_and(|own| own.matches(&mut self.own)) {
                return Ok(Outcome::Differs);
            }
        }
        if let Some((at, keys)) = &mut self.below {
            let wanted = wanted(keys, &self.below_shown);
            let paused = self.paused.take().filter(|(paused, _)| *paused == id);
            let after = paused.map_or(0, |(_, after)| after);
            match first_below(reading, (id, *at), after, keys, &wanted)? {
                Below::Found(header) => headers.below = Some(header),
                Below::Nothing => return Ok(Outcome::Differs),
                Below::Paused { after } => {
                    self.paused = Some((id, after));
                    return Ok(Outcome::Paused);
                }
            }
        }
        Ok(Outcome::Matches(headers))
    }
}

fn wanted(keys: &Keys, shown: &[Wanted]) -> Vec<Wanted> {
    let keys = keys
        .tags()
        .map(|(tag, creator)| (tag, creator.map(str::to_owned)));
    keys.chain(shown.iter().cloned()).collect()
}

enum Below {
    Found(Header),
    Nothing,
    /// To go on with those behind this one.
    Paused {
        after: i64,
    },
}

/// The header of the first instance of a resource of level `at` below `id` that matches, of those behind `after`.
fn first_below(
    reading: Reading<'_>,
    (id, at): (i64, Level),
    mut after: i64,
    keys: &mut Keys,
    wanted: &[Wanted],
) -> Result<Below, ArchiveError> {
    let index = reading.archive.index();
    loop {
        // The first usually tells, so the first look is short.
        let limit = if after == 0 { 1 } else { LOCATED_AT_ONCE };
        let page = index.first_instances_below(
            (reading.level, id),
            at,
            after,
            limit as u64,
            reading.study_label,
        )?;
        for (number, located) in one_by_one(reading.archive, &page) {
            check_time(reading.until)?;
            if after > 0 && reading.pause.is_some_and(|pause| Instant::now() >= pause) {
                return Ok(Below::Paused { after });
            }
            after = *number;
            let header = read(reading, located, wanted)?;
            if let Some(header) = header.filter(|header| header.matches(keys)) {
                return Ok(Below::Found(header));
            }
        }
        if page.len() < limit {
            return Ok(Below::Nothing);
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
    reading: Reading<'_>,
    located: &Located,
    wanted: &[Wanted],
) -> Result<Option<Header>, ArchiveError> {
    let mut tags: Vec<Tag> = wanted.iter().map(|(tag, _)| *tag).collect();
    let Some(mut header) = header(reading, located, &tags)? else {
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
        match self::header(reading, located, &tags)? {
            Some(more) => header = more,
            None => return Ok(None),
        }
    }
    Ok(Some(header))
}

fn header(
    reading: Reading<'_>,
    located: &Located,
    tags: &[Tag],
) -> Result<Option<Header>, ArchiveError> {
    let selected = select(reading.archive, reading.tenant, located, tags)?;
    Ok(selected.map(|selected| Header {
        data_set: selected.to_data_set(),
        charset: *selected.character_set(),
    }))
}
