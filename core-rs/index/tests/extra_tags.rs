//! Tags that are wanted one after the other. There is one list of them a process, so this is one test of its own.

#[path = "index/suite/world.rs"]
#[allow(dead_code, reason = "made for the suite")]
mod world;

use std::time::Duration;

use vna_dicom::{Instance, Level, Tag, extra_generation, set_extra_tags};
use vna_index::{DEFAULT_TENANT, Entry, Index, Key, Options, Query, SqliteIndex};
use world::arrival;

const WEIGHT: Tag = Tag(0x0010, 0x1030);
const OPERATORS: Tag = Tag(0x0008, 0x1070);
const INSTANCES: u64 = 6;

/// The head of an instance, as it is read with the list in force.
fn head(instance: &Instance) -> Instance {
    let mut read = instance.clone();
    read.extra_generation = extra_generation();
    read.tags
        .retain(|(tag, _)| ![WEIGHT, OPERATORS].contains(tag));
    read.tags.push((OPERATORS, "Smith^Ann".into()));
    read.tags.push((WEIGHT, "70".into()));
    read.tags.sort();
    read
}

fn found(index: &dyn Index, tag: Tag, value: &str) -> (usize, bool) {
    let mut query = Query::all(DEFAULT_TENANT, Level::Instance);
    let value = value.to_owned();
    query.keys = vec![Key { tag, value }];
    let found = index.find(&query).expect("finds");
    (found.resources.len(), found.headers.is_empty())
}

#[test]
fn a_tag_that_is_added_while_another_is_filled_begins_at_the_beginning() {
    let folder = std::env::temp_dir().join(format!("vna-extra-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("makes");
    let path = folder.join("index.db");
    let index = SqliteIndex::open_or_create(&path, Options::default()).expect("opens");
    let mut stored = Vec::new();
    for lsn in 1..=INSTANCES {
        let mut made = arrival("P", "1.1", "1.1.1", &format!("1.1.1.{lsn}")).0;
        made.lsn = lsn;
        stored.push(made.instance.clone());
        index
            .apply(&[Entry::Arrival(Box::new(made))])
            .expect("applies");
    }
    let read = |ids: &[i64]| -> Vec<(i64, Instance)> {
        ids.iter().map(|id| (*id, head(&stored[0]))).collect()
    };
    set_extra_tags([(Level::Instance, WEIGHT)]).expect("is a tag");
    index.adopt_extra_tags().expect("adopts");
    let step = index.unfilled(2).expect("reads").expect("is not complete");
    index.fill(&step, &read(&step.ids)).expect("fills");
    let step = index.unfilled(2).expect("reads").expect("is not complete");
    // Wanted between the look for what is to be read and the reading.
    set_extra_tags([(Level::Instance, WEIGHT), (Level::Instance, OPERATORS)]).expect("are tags");
    index.adopt_extra_tags().expect("adopts");
    index.fill(&step, &read(&step.ids)).expect("fills");
    while let Some(step) = index.unfilled(2).expect("reads") {
        index.fill(&step, &read(&step.ids)).expect("fills");
    }
    let all = usize::try_from(INSTANCES).expect("small");
    assert_eq!(found(&index, WEIGHT, "70"), (all, true));
    assert_eq!(found(&index, OPERATORS, "smith^ann"), (all, true));
    // Values of what is wanted no more go in the background, those of other tags stay.
    set_extra_tags([(Level::Instance, WEIGHT)]).expect("is a tag");
    index.adopt_extra_tags().expect("adopts");
    while index
        .maintain(Duration::from_millis(50), 0)
        .expect("maintains")
        .more
    {}
    assert_eq!(found(&index, WEIGHT, "70"), (all, true));
    drop(index);
    let kept: Vec<u32> = rusqlite::Connection::open(&path)
        .and_then(|file| {
            file.prepare("SELECT DISTINCT tag FROM extra_value")?
                .query_map([], |row| row.get(0))?
                .collect()
        })
        .expect("reads");
    assert_eq!(kept, [WEIGHT.to_u32()]);
    std::fs::remove_dir_all(&folder).expect("removes");
}
