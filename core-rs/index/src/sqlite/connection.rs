//! Opening connections: the file's settings, its schema, what is wrong with it.

use crate::IndexError;
use crate::error::Doing;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// Migrations, oldest first. A database has applied the first `user_version` of them.
const MIGRATIONS: [&str; 8] = [
    include_str!("../../schema/0001_initial.sql"),
    include_str!("../../schema/0002_grace.sql"),
    include_str!("../../schema/0003_folded_terms.sql"),
    include_str!("../../schema/0004_labels.sql"),
    include_str!("../../schema/0005_blob_owner.sql"),
    include_str!("../../schema/0006_notes.sql"),
    include_str!("../../schema/0007_events.sql"),
    include_str!("../../schema/0008_extra_tags.sql"),
];

/// "VNAi" in the file's header (offset 68), so that `file` and people know what it is.
const APPLICATION_ID: i64 = 0x564E_4169;

/// Prepared statements that a connection keeps. There are about 80 in the writer.
const STATEMENTS: usize = 160;

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// To write; the file must exist.
    Write,
    /// To write; the file is made, and nobody else uses it until it is complete: no journal, no sync.
    Bulk,
    /// To write; the file is made if there is none.
    Create,
    /// To read.
    Read,
}

/// Opens a connection and brings the schema up to date if it is to write.
pub(crate) fn open(
    path: &Path,
    vfs: Option<&str>,
    mode: Mode,
    cache_bytes: u64,
) -> Result<Connection, IndexError> {
    const DOING: &str = "opening the index";
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX
        | match mode {
            Mode::Read | Mode::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
            Mode::Bulk | Mode::Create => {
                OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
            }
        };
    let connection = match vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs),
        None => Connection::open_with_flags(path, flags),
    };
    let connection = connection.map_err(|source| match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::CannotOpen) => IndexError::Missing {
            path: path.display().to_string(),
        },
        _ => IndexError::Engine {
            doing: DOING,
            source,
        },
    })?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Else SQLite plans with the values that are bound, a LIMIT above all, and compiles a kept statement anew each time
    // that another value is bound: most of what a short list took.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .doing(DOING)?;
    connection
        .busy_timeout(std::time::Duration::from_secs(10))
        .doing(DOING)?;
    let kibibytes = i64::try_from(cache_bytes / 1024).unwrap_or(i64::MAX);
    connection
        .pragma_update(None, "cache_size", -kibibytes)
        .doing(DOING)?;
    match mode {
        Mode::Read => {
            connection
                .pragma_update(None, "query_only", true)
                .doing(DOING)?;
            super::functions::register(&connection).doing(DOING)?;
        }
        Mode::Write | Mode::Create => {
            migrate(&connection, mode)?;
            journal(&connection, "WAL")?;
            set_synced(&connection, false)?;
            // Checkpoints are made by a thread of their own; see checkpoint.rs.
            connection
                .pragma_update(None, "wal_autocheckpoint", 0)
                .doing(DOING)?;
        }
        Mode::Bulk => {
            connection
                .pragma_update(None, "locking_mode", "EXCLUSIVE")
                .doing(DOING)?;
            journal(&connection, "MEMORY")?;
            connection
                .pragma_update(None, "synchronous", "OFF")
                .doing(DOING)?;
            migrate(&connection, mode)?;
        }
    }
    Ok(connection)
}

/// Whether commits wait for a sync.
pub(crate) fn set_synced(connection: &Connection, synced: bool) -> Result<(), IndexError> {
    connection
        .pragma_update(None, "synchronous", if synced { "FULL" } else { "NORMAL" })
        .doing("setting how commits are synced")
}

fn journal(connection: &Connection, wanted: &str) -> Result<(), IndexError> {
    let got: String = connection
        .query_row(&format!("PRAGMA journal_mode = {wanted}"), [], |row| {
            row.get(0)
        })
        .doing("setting the journal mode")?;
    if got.eq_ignore_ascii_case(wanted) {
        Ok(())
    } else {
        let found = format!("journal mode is {got} and cannot be made {wanted}");
        Err(IndexError::Corrupt { found })
    }
}

fn migrate(connection: &Connection, mode: Mode) -> Result<(), IndexError> {
    const DOING: &str = "bringing the schema up to date";
    let version: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .doing("reading the schema version")?;
    let application: i64 = connection
        .query_row("PRAGMA application_id", [], |row| row.get(0))
        .doing("reading the application id")?;
    let objects: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .doing("reading the schema")?;
    if objects > 0 && application != APPLICATION_ID {
        let found = format!("application id {application:#x}, should be {APPLICATION_ID:#x}");
        return Err(IndexError::Corrupt { found });
    }
    if objects == 0 && mode == Mode::Write {
        return Err(IndexError::Corrupt {
            found: "an empty database".into(),
        });
    }
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if version > known {
        return Err(IndexError::SchemaTooNew {
            found: version,
            known,
        });
    }
    super::functions::register_fold(connection).doing(DOING)?;
    let done = usize::try_from(version).unwrap_or(0);
    // A new file gets all of it at once, for the syncs of one transaction. One with rows goes step by step: each may be long.
    let (missing, at_once) = match objects {
        0 => (&MIGRATIONS[..], MIGRATIONS.len()),
        _ => (&MIGRATIONS[done..], 1),
    };
    let mut version = MIGRATIONS.len() - missing.len();
    for migrations in missing.chunks(at_once) {
        version += migrations.len();
        let migrations = migrations.concat();
        connection
            .execute_batch(&format!(
                "BEGIN IMMEDIATE;\n{migrations}\nPRAGMA user_version = {version};\nPRAGMA application_id = {APPLICATION_ID};\nCOMMIT;"
            ))
            .doing(DOING)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::params;

    /// A file as the first `count` migrations left it.
    fn of_version(path: &Path, count: usize) -> Connection {
        let connection = Connection::open(path).expect("opens");
        for migration in &MIGRATIONS[..count] {
            connection.execute_batch(migration).expect("applies");
        }
        connection
            .pragma_update(None, "user_version", i64::try_from(count).expect("small"))
            .expect("sets");
        connection
            .pragma_update(None, "application_id", APPLICATION_ID)
            .expect("sets");
        connection
    }

    #[test]
    fn terms_of_an_older_index_are_folded_when_it_is_opened() {
        let folder = std::env::temp_dir().join(format!("vna-terms-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("makes");
        let path = folder.join("index.db");
        let old = of_version(&path, 2);
        for (field, value, resource) in [
            (1, "muller^hans", 1),
            (2, "ABC1", 1),
            (4, "Schädel CT", 2),
            (4, "SCHADEL ct", 2), // one term with the one before, once both are folded
            (6, "x7", 2),
        ] {
            old.execute(
                "INSERT INTO term VALUES (?1, ?2, ?3)",
                params![field, value, resource],
            )
            .expect("inserts");
        }
        old.execute("UPDATE meta SET grammed_to = 2", ())
            .expect("updates");
        drop(old);
        let connection = open(&path, None, Mode::Write, 1 << 20).expect("is brought up to date");
        let terms: Vec<(i64, String)> = connection
            .prepare("SELECT field, value FROM term ORDER BY field, value")
            .and_then(|mut statement| {
                statement
                    .query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect()
            })
            .expect("reads");
        let wanted = [
            (1, "muller^hans"),
            (2, "abc1"),
            (4, "schadel ct"),
            (6, "x7"),
        ];
        assert_eq!(terms, wanted.map(|(field, text)| (field, text.to_owned())));
        let grammed: i64 = connection
            .query_row("SELECT grammed_to FROM meta", (), |row| row.get(0))
            .expect("reads");
        assert_eq!(grammed, 0, "grams are made anew");
        drop(connection);
        std::fs::remove_dir_all(&folder).expect("removes");
    }
}
