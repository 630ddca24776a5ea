//! ZIP archives and media of what is stored, made while they are read.
//!
//! 1. What an archive holds is decided when it begins. An instance that is deleted meanwhile is still given while its bytes
//!    are there (`storage.undelete_hours`); if they are not, the archive ends with an error, never with an entry missing.
//! 2. What is held does not grow with the archive: a bounded number of units of 1 MiB, the numbers of the instances, and
//!    spools for directories. All archives share one budget (`archives.memory_bytes`); each has one unit at least.
//! 3. No thread waits for who reads: work is done on threads that may wait for the disk, a unit at a time, and as many units
//!    at once as there are processors.

pub(crate) mod buffers;
pub(crate) mod deflate;
mod dicomdir;
mod names;
mod plan;
mod stream;
mod unit;
mod zip;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Semaphore;
use vna_dicom::{Level, PublicId};

use crate::settings::ArchiveSettings;
use crate::transcode::TranscodeOptions;
use buffers::Buffers;
use names::Alphabet;
pub use stream::{Making, Progress};

/// Bytes of the budget that a unit takes: what was read, what it was packed to, and as much in codecs.
const UNIT_BUDGET: u64 = 4 * unit::UNIT_BYTES as u64;

/// What an archive is to hold, and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// Public ids.
    pub resources: Vec<String>,
    /// The level that they are of; of any if not said.
    pub level: Option<Level>,
    /// Whether it is a medium with a DICOMDIR, and not folders for people.
    pub media: bool,
    /// Whether the DICOMDIR says more than it must.
    pub extended: bool,
    /// Whether names keep what is not ASCII.
    pub utf8: bool,
    /// How much deflate is to try, 1 to 9; 0: not at all; the setting if not said.
    pub deflate_level: Option<u32>,
    /// What files are brought into.
    pub transcoding: Option<Transcoding>,
}

impl Request {
    const fn alphabet(&self) -> Alphabet {
        if self.utf8 {
            Alphabet::Unicode
        } else {
            Alphabet::Ascii
        }
    }
}

/// A transfer syntax for all files of an archive that can be brought into it.
#[derive(Clone, Debug)]
pub struct Transcoding {
    /// Its UID.
    pub transfer_syntax_uid: String,
    /// How.
    pub options: TranscodeOptions,
}

/// What all archives in the making have in common.
pub struct Archives {
    /// Units that are worked on.
    places: Arc<Semaphore>,
    /// Units that are there.
    budget: Arc<Semaphore>,
    units: usize,
    ahead: usize,
    level: u32,
    buffers: Arc<Buffers>,
    made: AtomicU64,
}

/// What has happened since the start, and what is held now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs, reason = "named after the metrics that they are")]
pub struct ArchiveCounters {
    pub made: u64,
    pub memory_used_bytes: u64,
    pub memory_budget_bytes: u64,
}

impl Archives {
    pub(crate) fn new(settings: &ArchiveSettings) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let units = usize::try_from(settings.memory_bytes / UNIT_BUDGET).unwrap_or(usize::MAX);
        let units = units.clamp(1, Semaphore::MAX_PERMITS);
        Archives {
            // More would leave none of the threads that may wait to others.
            places: Arc::new(Semaphore::new(processors.clamp(1, 8))),
            budget: Arc::new(Semaphore::new(units)),
            units,
            ahead: 2 * processors.clamp(1, 8),
            level: settings.deflate_level.min(9),
            buffers: Buffers::new(unit::UNIT_BYTES),
            made: AtomicU64::new(0),
        }
    }

    /// What has happened since the start, and what is held now.
    pub fn counters(&self) -> ArchiveCounters {
        let used = self.units - self.budget.available_permits();
        ArchiveCounters {
            made: self.made.load(Ordering::Relaxed),
            memory_used_bytes: used as u64 * UNIT_BUDGET,
            memory_budget_bytes: self.units as u64 * UNIT_BUDGET,
        }
    }
}

/// Why an archive is not made, or not to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MakingProblem {
    /// It was to hold what is not there.
    NoSuchResource {
        /// The level that was asked, if it was.
        level: Option<Level>,
        /// What was asked for.
        id: String,
    },
    /// The bytes of an instance went while the archive was made.
    InstanceGone {
        /// Which one.
        id: PublicId,
    },
    /// The same, of one of which the index knows nothing any more.
    RowGone,
    /// The offsets of a DICOMDIR have 32 bits.
    DirectoryTooLong,
    /// Others hold all memory that there is for archives.
    Busy,
    /// It is longer than there is room for.
    TooLong {
        /// The bytes that there are.
        most: u64,
    },
}

impl MakingProblem {
    /// The stable name of it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSuchResource { .. } => "not_found",
            Self::InstanceGone { .. } | Self::RowGone => "archive.instance_gone",
            Self::DirectoryTooLong => "archive.directory",
            Self::Busy => "archive.busy",
            Self::TooLong { .. } => "archive.too_long",
        }
    }
}

impl fmt::Display for MakingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchResource { level: None, id } => write!(f, "nothing has the id {id:?}"),
            Self::NoSuchResource {
                level: Some(level),
                id,
            } => write!(f, "no {level} has the id {id:?}"),
            Self::InstanceGone { id } => write!(
                f,
                "the bytes of instance {id} were there when the archive began, and went while it was made"
            ),
            Self::RowGone => f.write_str(
                "the bytes of an instance were there when the archive began, and went while it was made",
            ),
            Self::DirectoryTooLong => f.write_str(
                "the DICOMDIR would have more than 4 GiB, which its offsets cannot say; make several media",
            ),
            Self::Busy => f.write_str(
                "as many archives are being made as there is memory for (archives.memory_bytes); ask again later",
            ),
            Self::TooLong { most } => write!(
                f,
                "the archive has more than {most} bytes (jobs.output_bytes)"
            ),
        }
    }
}

impl std::error::Error for MakingProblem {}
