//! What can go wrong.

use crate::Lsn;
use std::fmt;

/// Why the index did not do what it was asked for.
#[derive(Debug)]
pub enum IndexError {
    /// The file is no index, or its pages contradict each other. Rebuild it from the log.
    Corrupt {
        /// What was found.
        found: String,
    },
    /// There is no index where one was to be opened. Rebuild it from the log.
    Missing {
        /// Where it was looked for.
        path: String,
    },
    /// The index was written by a newer release.
    SchemaTooNew {
        /// Its schema version.
        found: i64,
        /// The newest that this release knows.
        known: i64,
    },
    /// An entry does not come after what the index covers.
    LsnOrder {
        /// Position of the entry.
        found: Lsn,
        /// Position of the last one before it.
        covered: Lsn,
    },
    /// An identifier that places an instance is empty.
    EmptyUid {
        /// Position of the entry.
        lsn: Lsn,
        /// Which identifier.
        name: &'static str,
    },
    /// A stored value is none that this release writes.
    BadRow {
        /// Table of the row.
        table: &'static str,
        /// Column of the value.
        column: &'static str,
        /// The value.
        found: String,
    },
    /// A query asks for what cannot be answered as asked.
    BadQuery {
        /// What was found, and what would have been right.
        problem: String,
    },
    /// There was no answer in the time that it may take.
    Deadline,
    /// A number does not fit.
    OutOfRange {
        /// Which number.
        name: &'static str,
        /// Its value.
        found: u64,
    },
    /// The disk is full.
    Full,
    /// The engine failed.
    Engine {
        /// What it was doing.
        doing: &'static str,
        /// What it said.
        source: rusqlite::Error,
    },
    /// The file system failed.
    Io {
        /// What it was doing.
        doing: &'static str,
        /// What it said.
        source: std::io::Error,
    },
    /// An earlier failure left the writer in doubt; open the index anew.
    Broken,
}

impl IndexError {
    /// Whether the same call may succeed later with nothing but time: the disk was full, or somebody else (an
    /// operator's shell) held the database.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked, DiskFull};
        match self {
            IndexError::Full => true,
            IndexError::Engine { source, .. } => matches!(
                source.sqlite_error_code(),
                Some(DatabaseBusy | DatabaseLocked | DiskFull)
            ),
            _ => false,
        }
    }

    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            IndexError::Corrupt { .. } => "index.corrupt",
            IndexError::Missing { .. } => "index.missing",
            IndexError::SchemaTooNew { .. } => "index.schema_too_new",
            IndexError::LsnOrder { .. } => "index.lsn_order",
            IndexError::EmptyUid { .. } => "index.empty_uid",
            IndexError::BadRow { .. } => "index.bad_row",
            IndexError::BadQuery { .. } => "index.bad_query",
            IndexError::Deadline => "deadline",
            IndexError::OutOfRange { .. } => "index.out_of_range",
            IndexError::Full => "index.full",
            IndexError::Engine { .. } => "index.engine",
            IndexError::Io { .. } => "index.io",
            IndexError::Broken => "index.broken",
        }
    }

    /// Whether the file is past use, and has to be rebuilt from the log.
    #[must_use]
    pub fn needs_reindex(&self) -> bool {
        matches!(
            self,
            IndexError::Corrupt { .. } | IndexError::Missing { .. }
        )
    }
}

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IndexError::Corrupt { found } => {
                write!(
                    f,
                    "the index cannot be read ({found}); rebuild it from the log"
                )
            }
            IndexError::Missing { path } => {
                write!(f, "no index at {path}; rebuild it from the log")
            }
            IndexError::SchemaTooNew { found, known } => write!(
                f,
                "the index has schema version {found}, this release knows up to {known}; use the newer release"
            ),
            IndexError::LsnOrder { found, covered } => write!(
                f,
                "log position {found} does not come after {covered}, which the index already covers"
            ),
            IndexError::EmptyUid { lsn, name } => {
                write!(
                    f,
                    "the arrival at log position {lsn} has an empty {name}; it needs one"
                )
            }
            IndexError::BadRow {
                table,
                column,
                found,
            } => {
                write!(
                    f,
                    "{table}.{column} holds {found}, which no release up to this one writes"
                )
            }
            IndexError::BadQuery { problem } => f.write_str(problem),
            IndexError::Deadline => f.write_str(
                "the search took longer than it may; ask for less, or by tags that the index keeps",
            ),
            IndexError::OutOfRange { name, found } => {
                write!(
                    f,
                    "{name} is {found}; the index holds numbers up to {}",
                    i64::MAX
                )
            }
            IndexError::Full => f.write_str("the disk that holds the index is full"),
            IndexError::Engine { doing, source } => write!(f, "{doing}: {source}"),
            IndexError::Io { doing, source } => write!(f, "{doing}: {source}"),
            IndexError::Broken => {
                f.write_str("the index failed before and was not opened anew since; open it again")
            }
        }
    }
}

impl std::error::Error for IndexError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            IndexError::Engine { source, .. } => Some(source),
            IndexError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Names what an engine error means for the caller.
pub(crate) trait Doing<T> {
    /// Adds what was being done.
    fn doing(self, doing: &'static str) -> Result<T, IndexError>;
}

impl<T> Doing<T> for Result<T, rusqlite::Error> {
    fn doing(self, doing: &'static str) -> Result<T, IndexError> {
        self.map_err(|source| match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                IndexError::Corrupt {
                    found: format!("{doing}: {source}"),
                }
            }
            Some(rusqlite::ErrorCode::DiskFull) => IndexError::Full,
            // Nobody else interrupts: see read.rs.
            Some(rusqlite::ErrorCode::OperationInterrupted) => IndexError::Deadline,
            _ => IndexError::Engine { doing, source },
        })
    }
}

impl<T> Doing<T> for Result<T, std::io::Error> {
    fn doing(self, doing: &'static str) -> Result<T, IndexError> {
        self.map_err(|source| match source.kind() {
            std::io::ErrorKind::StorageFull => IndexError::Full,
            _ => IndexError::Io { doing, source },
        })
    }
}
