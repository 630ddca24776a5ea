//! Keys that are compared with the headers of stored instances.

use std::time::Instant;

use vna_dicom::{Level, SelectStream, Selected, Tag};
use vna_index::{HeaderKeys, IndexError, KeyMatcher, Located, Query};
use vna_store::{BlobReader, StoreError};

use crate::archive::Archive;
use crate::entries::blob_ref;
use crate::error::ArchiveError;

/// Resources whose first instances are looked up at a time.
const LOCATED_AT_ONCE: usize = 256;

/// Bytes read at once. Most headers are shorter, and stepping over a long value costs no more than this.
const READ_BYTES: usize = 16 << 10;

/// Compares resources with keys.
pub(super) struct Headers<'a> {
    archive: &'a Archive,
    tenant: i64,
    level: Level,
    own: Vec<KeyMatcher>,
    below: Option<(Level, Vec<KeyMatcher>)>,
    until: Instant,
}

impl<'a> Headers<'a> {
    pub(super) fn new(
        archive: &'a Archive,
        query: &Query,
        keys: &HeaderKeys,
        until: Instant,
    ) -> Headers<'a> {
        let matchers = |keys: &[vna_index::Key]| {
            keys.iter()
                .map(|key| KeyMatcher::new(key, query.case))
                .collect::<Vec<_>>()
        };
        Headers {
            archive,
            tenant: query.tenant,
            level: query.level,
            own: matchers(&keys.own),
            below: keys
                .below
                .as_ref()
                .map(|(level, keys)| (*level, matchers(keys))),
            until,
        }
    }

    /// Hands the candidates that match to `visit`, in their order, as long as it wants more.
    pub(super) fn each_match(
        &mut self,
        candidates: &[i64],
        mut visit: impl FnMut(i64) -> bool,
    ) -> Result<(), ArchiveError> {
        for chunk in candidates.chunks(LOCATED_AT_ONCE) {
            check_time(self.until)?;
            let firsts = if self.own.is_empty() {
                Vec::new()
            } else {
                self.archive.index().first_instances(self.level, chunk)?
            };
            for id in chunk {
                if !self.own.is_empty() {
                    let first = firsts.binary_search_by_key(id, |(id, _)| *id);
                    let Ok(at) = first else {
                        continue; // deleted since
                    };
                    if !matches(
                        (self.archive, self.tenant),
                        &firsts[at].1,
                        &mut self.own,
                        self.until,
                    )? {
                        continue;
                    }
                }
                if self.any_below(*id)? && !visit(*id) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn any_below(&mut self, id: i64) -> Result<bool, ArchiveError> {
        let Some((at, keys)) = &mut self.below else {
            return Ok(true);
        };
        let (index, mut after) = (self.archive.index(), 0);
        loop {
            // The first usually tells, so the first look is short.
            let limit = if after == 0 { 1 } else { LOCATED_AT_ONCE };
            let page = index.first_instances_below((self.level, id), *at, after, limit as u64)?;
            for (number, located) in &page {
                if matches((self.archive, self.tenant), located, keys, self.until)? {
                    return Ok(true);
                }
                after = *number;
            }
            if page.len() < limit {
                return Ok(false);
            }
        }
    }
}

/// Whether the header of an instance matches all keys.
fn matches(
    (archive, tenant): (&Archive, i64),
    located: &Located,
    keys: &mut [KeyMatcher],
    until: Instant,
) -> Result<bool, ArchiveError> {
    check_time(until)?;
    let wanted: Vec<Tag> = keys.iter().map(KeyMatcher::tag).collect();
    let Some(selected) = select(archive, tenant, located, &wanted)? else {
        return Ok(false);
    };
    Ok(keys.iter_mut().all(|key| match selected.text(key.tag()) {
        Some((vr, text)) => key.matches(vr, Some(&text)),
        None => key.matches(vna_dicom::dictionary_vr(key.tag()), None),
    }))
}

pub(crate) fn check_time(until: Instant) -> Result<(), ArchiveError> {
    if Instant::now() >= until {
        return Err(IndexError::Deadline.into());
    }
    Ok(())
}

/// Reads elements of a stored instance; `None` if it has gone, or no longer reads as DICOM.
pub(crate) fn select(
    archive: &Archive,
    tenant: i64,
    located: &Located,
    wanted: &[Tag],
) -> Result<Option<Selected>, ArchiveError> {
    let Some((size, reader)) = open(archive, tenant, located)? else {
        return Ok(None);
    };
    let mut buffer = vec![0; READ_BYTES.min(usize::try_from(size).unwrap_or(READ_BYTES))];
    let mut stream = SelectStream::new(wanted);
    let mut at = 0;
    while at < size && !stream.is_done() {
        let read = reader.read_at(&mut buffer, at)?;
        if read == 0 || stream.push(&buffer[..read]).is_err() {
            break;
        }
        at = stream.skip(size);
    }
    Ok(stream.finish().ok())
}

/// Opens the bytes of an instance, wherever a compaction moved them.
fn open(
    archive: &Archive,
    tenant: i64,
    located: &Located,
) -> Result<Option<(u64, BlobReader)>, ArchiveError> {
    match archive.log().open_blob(&blob_ref(&located.blob)?) {
        Ok(reader) => Ok(Some((located.file_size, reader))),
        Err(StoreError::Gone { .. }) => {
            let found = archive.open_file(tenant, &located.instance)?;
            Ok(found.map(|(located, reader)| (located.file_size, reader)))
        }
        Err(error) => Err(error.into()),
    }
}
