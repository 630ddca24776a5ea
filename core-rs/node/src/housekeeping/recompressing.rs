//! Which packs are recompressed, and when.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use vna_index::Index;
use vna_store::{Encoding, Lsn, RecordKind, SegmentInfo, Untried};

use super::Keeper;
use crate::arrival::ArrivalHeader;
use crate::error::ArchiveError;
use crate::recompress::{Counts, FIRST_INSTEAD, GivingUp, Method, Recompression};

/// What housekeeping recompresses.
pub(crate) struct RecompressPolicy {
    pub method: Method,
    /// How old a file is then, in microseconds.
    pub age_us: i64,
}

/// What is to be recompressed.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ToRecompress {
    /// How.
    pub method: Method,
    /// What arrived this many days ago or earlier.
    #[serde(default)]
    pub older_than_days: u32,
    /// Only say what would be looked at, and what a sample of it would save.
    #[serde(default)]
    pub dry_run: bool,
    /// Take what came with encapsulated pixel data, and only that: the same instance in the method's transfer syntax takes
    /// the place of what was received, which is gone then.
    #[serde(default)]
    pub give_up_originals: bool,
    /// Also what was compressed with loss: it stays as it is decoded now.
    #[serde(default)]
    pub lossy: bool,
    /// [`RecompressStep::next`] of the step before; 0 to begin.
    #[serde(default)]
    pub after: Lsn,
}

/// What one step has done: one pack at most, so that whoever asked can say how far it is, and stop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RecompressStep {
    /// Files that were looked at.
    pub files: u64,
    /// Files that are kept in the other form now.
    pub recompressed: u64,
    /// Their bytes before; after a dry run, those of all files that would be looked at.
    pub bytes_before: u64,
    /// Their bytes now.
    pub bytes_after: u64,
    /// Of a dry run: bytes of the files that were tried.
    pub sampled_before: u64,
    /// And what they would take, those that would stay as they are included.
    pub sampled_after: u64,
    /// Microseconds that it took.
    pub microseconds: u64,
    /// The log up to here has been looked at.
    pub at: Lsn,
    /// Where the log ends.
    pub end: Lsn,
    /// What to begin the next step with; `None` if all is done.
    pub next: Option<Lsn>,
    /// Why the pack could not be rewritten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Files of a pack that a dry run tries.
const SAMPLED: usize = 4;

/// Longer files are not tried in a dry run.
const MAX_SAMPLED_BYTES: u64 = 64 << 20;

/// What an archive holds in the place of what was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GivenUp {
    /// How many objects.
    pub objects: u64,
    /// Bytes of what was received.
    pub bytes_received: u64,
    /// Bytes of what took its place.
    pub bytes_kept: u64,
}

const US_PER_DAY: i64 = 24 * 3600 * 1_000_000;

impl ToRecompress {
    fn encoding(&self) -> Encoding {
        match self.give_up_originals {
            true => self.method.encoding_instead(),
            false => self.method.encoding(),
        }
    }

    /// Why there is no such thing, if so.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.lossy && !self.give_up_originals {
            return Err("Lossy goes with GiveUpOriginals alone");
        }
        if self.give_up_originals && self.method == Method::Deflate {
            return Err(
                "deflate is no transfer syntax of frames: no originals are given up for it",
            );
        }
        Ok(())
    }
}

impl Keeper {
    /// Recompresses what of the next pack is wanted.
    ///
    /// # Errors
    ///
    /// What index and log say. That a pack cannot be rewritten is part of the answer.
    pub(crate) fn recompress_step(
        &self,
        wanted: &ToRecompress,
        now_us: i64,
    ) -> Result<RecompressStep, ArchiveError> {
        let until_us = now_us.saturating_sub(i64::from(wanted.older_than_days) * US_PER_DAY);
        let began = Instant::now();
        if wanted.after == 0 && !wanted.dry_run {
            self.expire(now_us)?;
            self.tidy(now_us)?;
        }
        let _one = self.compacting.lock();
        let mut step = RecompressStep::default();
        let packs = self.log.segments();
        step.end = packs.iter().map(|info| info.last_lsn).max().unwrap_or(0);
        for info in packs {
            if info.last_lsn <= wanted.after || info.replaced_by.is_some() {
                continue;
            }
            let untried = self.untried(&info, wanted.encoding())?;
            step.at = info.last_lsn;
            if untried.blobs == 0 || arrived_us(&untried.first) > until_us {
                continue;
            }
            step.next = Some(info.last_lsn).filter(|last| *last < step.end);
            step.files = untried.blobs;
            step.bytes_before = untried.bytes;
            let counts = Counts::default();
            let recompression = self.wanted(wanted, until_us, &counts);
            match wanted.dry_run {
                true => self.try_some(&info, &recompression, &mut step)?,
                false => self.recompress_pack(&info, &recompression, &mut step)?,
            }
            break;
        }
        step.microseconds = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        Ok(step)
    }

    fn wanted<'a>(
        &'a self,
        wanted: &ToRecompress,
        until_us: i64,
        counts: &'a Counts,
    ) -> Recompression<'a> {
        Recompression {
            files: &self.files,
            method: wanted.method,
            until_us,
            is_in_background: false,
            giving_up: wanted.give_up_originals.then(|| GivingUp {
                lossy: wanted.lossy,
                spool: self.spool.clone(),
            }),
            stopping: &self.stopping,
            counts,
        }
    }

    fn recompress_pack(
        &self,
        info: &SegmentInfo,
        recompression: &Recompression<'_>,
        step: &mut RecompressStep,
    ) -> Result<(), ArchiveError> {
        if !info.is_sealed {
            self.log.rotate()?;
        }
        if let Err(error) = self.compact_pack(info, Some(recompression)) {
            step.problem = Some(error.to_string());
            (step.files, step.bytes_before) = (0, 0);
            return Ok(());
        }
        let counts = recompression.counts;
        step.recompressed = read(&counts.files);
        step.files = step.recompressed + read(&counts.unchanged);
        step.bytes_before = read(&counts.bytes_before);
        step.bytes_after = read(&counts.bytes_after);
        Ok(())
    }

    /// Tries some files of a pack, and keeps nothing of it.
    fn try_some(
        &self,
        info: &SegmentInfo,
        recompression: &Recompression<'_>,
        step: &mut RecompressStep,
    ) -> Result<(), ArchiveError> {
        let segment = info.segment;
        self.log
            .recode_sample(segment, recompression, SAMPLED, MAX_SAMPLED_BYTES)?;
        let counts = recompression.counts;
        let unchanged = read(&counts.unchanged_bytes);
        step.sampled_before = read(&counts.bytes_before) + unchanged;
        step.sampled_after = read(&counts.bytes_after) + unchanged;
        Ok(())
    }

    /// Recompresses the first pack of which all files are old enough. `looked_at` remembers when to look at a pack again.
    pub(super) fn recompress_aged(
        &self,
        policy: &RecompressPolicy,
        looked_at: &mut HashMap<u64, i64>,
        now_us: i64,
    ) -> Result<(), ArchiveError> {
        let segments = self.log.segments();
        if segments.len() <= looked_at.len() && looked_at.values().all(|due| *due > now_us) {
            return Ok(()); // nothing is new
        }
        let _one = self.compacting.lock();
        looked_at.retain(|id, _| segments.iter().any(|info| info.segment == *id));
        for info in segments {
            let is_due = looked_at
                .get(&info.segment)
                .is_none_or(|due| *due <= now_us);
            let is_taken = info.last_lsn <= self.index.covered_lsn();
            if !info.is_sealed || !is_due || !is_taken || info.replaced_by.is_some() {
                continue;
            }
            let untried = self.untried(&info, policy.method.encoding())?;
            let due = match untried.blobs {
                0 => i64::MAX,
                _ => arrived_us(&untried.last).saturating_add(policy.age_us),
            };
            looked_at.insert(info.segment, due);
            if due > now_us {
                continue;
            }
            looked_at.insert(info.segment, i64::MAX); // if it fails, the next start tries again
            let counts = Counts::default();
            let recompression = Recompression {
                files: &self.files,
                method: policy.method,
                until_us: now_us,
                is_in_background: true,
                giving_up: None, // an operator's word, never a setting's
                stopping: &self.stopping,
                counts: &counts,
            };
            let done = self.compact_pack(&info, Some(&recompression));
            if self.stopping.load(Ordering::Acquire) {
                return Ok(()); // the pack is as it was
            }
            done?;
            tracing::info!(
                pack = info.segment,
                files = counts.files.load(Ordering::Relaxed),
                bytes_before = counts.bytes_before.load(Ordering::Relaxed),
                bytes_after = counts.bytes_after.load(Ordering::Relaxed),
                "recompressed"
            );
            return Ok(()); // deletions and expired versions come between
        }
        Ok(())
    }

    fn untried(&self, info: &SegmentInfo, encoding: Encoding) -> Result<Untried, ArchiveError> {
        let kind = RecordKind::ARRIVAL;
        Ok(self.log.untried(info.segment, kind, encoding)?)
    }
}

/// Counts what took the place of originals.
pub(crate) fn given_up(index: &dyn Index) -> Result<GivenUp, ArchiveError> {
    let found = index.encoded_from(FIRST_INSTEAD.0.into())?;
    Ok(GivenUp {
        objects: found.blobs,
        bytes_received: found.plain_bytes,
        bytes_kept: found.stored_bytes,
    })
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// When the file of a record arrived. What cannot be read is left to the recoder.
fn arrived_us(header: &[u8]) -> i64 {
    serde_json::from_slice::<ArrivalHeader>(header).map_or(0, |header| header.at_us)
}
