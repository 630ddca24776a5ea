//! The suite on the SQLite engine.

use crate::suite;
use crate::suite::world::{Feed, arrival, json};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use vna_dicom::Level;
use vna_index::{
    DEFAULT_TENANT, Deletion, Entry, Index, IndexError, NewFile, Options, Page, Rebuild,
    Relocation, SqliteIndex,
};

/// A folder that goes when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "vna-index-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder for the test");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Held {
    index: SqliteIndex,
    _folder: Folder,
}

impl Held {
    fn index(&self) -> &dyn Index {
        &self.index
    }
}

fn empty() -> Held {
    let folder = Folder::new();
    let index =
        SqliteIndex::open_or_create(&folder.0.join("index.db"), Options::default()).expect("opens");
    Held {
        index,
        _folder: folder,
    }
}

suite::everything! { crate::sqlite::empty }

/// As [`empty`], with grams from the first study on.
fn with_grams() -> Held {
    let folder = Folder::new();
    let options = Options {
        grams_from: 0,
        ..Options::default()
    };
    let index = SqliteIndex::open_or_create(&folder.0.join("index.db"), options).expect("opens");
    Held {
        index,
        _folder: folder,
    }
}

mod grams {
    crate::suite::everything! { crate::sqlite::with_grams }
}

fn seen(index: &dyn Index) -> Vec<serde_json::Value> {
    let mut seen: Vec<_> = Level::ALL
        .into_iter()
        .map(|level| {
            index
                .list_json(
                    DEFAULT_TENANT,
                    level,
                    Page::default(),
                    Some(&vna_index::Shape::whole()),
                )
                .expect("lists")
        })
        .collect();
    seen.push(index.statistics_json(DEFAULT_TENANT).expect("reads"));
    seen.push(
        index
            .changes_json(DEFAULT_TENANT, &suite::changes::all())
            .expect("reads"),
    );
    seen.iter().map(|bytes| json(bytes)).collect()
}

fn log() -> Vec<Entry> {
    let instance = |i: u64| {
        let (patient, series) = (format!("P{}", i % 5), format!("1.{}.{}", i % 5, i % 3));
        arrival(
            &patient,
            &format!("1.{}", i % 5),
            &series,
            &format!("{series}.{i}"),
        )
        .name("Smith^John")
    };
    let mut entries: Vec<Entry> = (1..=300).map(|i| instance(i).entry(i)).collect();
    entries.push(Entry::Deletion(Deletion {
        lsn: 301,
        tenant: DEFAULT_TENANT,
        level: Level::Patient,
        public_id: instance(3).id(Level::Patient),
        at_us: 0,
        keep_us: 0,
    }));
    entries.extend((302..=320).map(|i| instance(i).entry(i)));
    entries
}

#[test]
fn what_was_applied_is_there_after_opening_again() {
    let folder = Folder::new();
    let path = folder.0.join("index.db");
    let mut before = Vec::new();
    for (i, entries) in log().chunks(50).enumerate() {
        let index = SqliteIndex::open_or_create(&path, Options::default()).expect("opens");
        if i > 0 {
            assert_eq!(seen(&index), before);
        }
        index.apply(entries).expect("applies");
        before = seen(&index);
        assert_eq!(index.verify().expect("checks"), Vec::<String>::new());
    }
}

#[test]
fn an_index_rebuilt_from_the_log_shows_the_same() {
    let folder = Folder::new();
    let path = folder.0.join("index.db");
    let index = SqliteIndex::open_or_create(&path, Options::default()).expect("opens");
    for entries in log().chunks(7) {
        index.apply(entries).expect("applies");
    }
    let before = seen(&index);
    drop(index);
    std::fs::write(
        &path,
        b"this is no database, it has only a few bytes of text",
    )
    .expect("writes");
    let error = SqliteIndex::open(&path, Options::default())
        .err()
        .expect("is refused");
    assert!(error.needs_reindex(), "{error}");
    let rebuild = Rebuild::begin(&path, Options::default(), 0).expect("begins");
    for entries in log().chunks(100) {
        rebuild.apply(entries).expect("applies");
    }
    let index = rebuild.finish().expect("finishes");
    assert_eq!(seen(&index), before);
    assert_eq!(index.covered_lsn(), 320);
    assert_eq!(index.verify().expect("checks"), Vec::<String>::new());
    let name = vna_index::Query::all(DEFAULT_TENANT, Level::Patient)
        .key(vna_dicom::Tag(0x10, 0x10), "*mith*");
    assert_eq!(index.count(&name).expect("counts").0, 5);
}

#[test]
fn what_is_no_index_of_ours_has_a_named_error() {
    let folder = Folder::new();
    let missing = SqliteIndex::open(&folder.0.join("none.db"), Options::default()).err();
    assert!(
        matches!(missing, Some(IndexError::Missing { .. })),
        "{missing:?}"
    );
    let foreign = folder.0.join("foreign.db");
    let connection = rusqlite::Connection::open(&foreign).expect("opens");
    connection
        .execute_batch("CREATE TABLE other (x)")
        .expect("creates");
    drop(connection);
    let error = SqliteIndex::open_or_create(&foreign, Options::default()).err();
    assert!(
        matches!(error, Some(IndexError::Corrupt { .. })),
        "{error:?}"
    );
    let newer = folder.0.join("newer.db");
    drop(SqliteIndex::open_or_create(&newer, Options::default()).expect("opens"));
    let connection = rusqlite::Connection::open(&newer).expect("opens");
    connection
        .execute_batch("PRAGMA user_version = 99")
        .expect("sets");
    drop(connection);
    let error = SqliteIndex::open(&newer, Options::default()).err();
    assert!(
        matches!(error, Some(IndexError::SchemaTooNew { found: 99, .. })),
        "{error:?}"
    );
}

#[test]
fn blobs_can_be_listed_by_place_and_moved() {
    let held = empty();
    let index = held.index();
    let mut feed = Feed::new(index);
    for i in 1..=3 {
        feed.put(&arrival("A", "1", "1.1", &format!("1.1.{i}")));
    }
    let blobs = index.blobs_in(1, 1).expect("lists");
    assert_eq!(
        blobs.iter().map(|blob| blob.place_b).collect::<Vec<_>>(),
        [1000, 2000, 3000]
    );
    let moved = Relocation {
        file: Some(NewFile {
            size: 77,
            transfer_syntax_uid: "1.2.840.10008.1.2.4.201".into(),
            data_set_offset: 340,
            pixel_data_offset: Some(900),
        }),
        store: 1,
        key: blobs[1].key,
        from: (1, 2000),
        to: (7, 64),
        stored_size: blobs[1].stored_size - 5,
        encoding: 3,
    };
    let wrong_key = Relocation {
        key: blobs[0].key,
        from: (1, 3000),
        ..moved.clone()
    };
    assert_eq!(index.relocate(&[moved, wrong_key]).expect("moves"), 1);
    let instance = arrival("A", "1", "1.1", "1.1.2").id(Level::Instance);
    let located = index
        .locate(DEFAULT_TENANT, &instance)
        .expect("reads")
        .expect("is there");
    assert_eq!((located.blob.place_a, located.blob.place_b), (7, 64));
    assert_eq!(located.transfer_syntax_uid, "1.2.840.10008.1.2.4.201");
    assert_eq!((located.file_size, located.data_set_offset), (77, 340));
    assert_eq!(located.pixel_data_offset, Some(900));
    assert_eq!(located.blob.encoding, 3);
    assert_eq!(
        index.verify().expect("verifies"),
        Vec::<String>::new(),
        "counters follow"
    );
    assert_eq!(index.blobs_in(1, 1).expect("lists").len(), 2);
}
