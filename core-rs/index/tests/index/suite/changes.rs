//! The change feed.

use super::world::{Feed, arrival, json};
use serde_json::{Value, json};
use vna_dicom::Level;
use vna_index::{
    BlobRow, ChangeType, ChangesRequest, DEFAULT_TENANT, Entry, Event, FreedBlob, Index, Outcome,
};

pub fn all() -> ChangesRequest {
    ChangesRequest {
        limit: 1000,
        ..ChangesRequest::default()
    }
}

fn ask(index: &dyn Index, request: &ChangesRequest) -> Value {
    json(&index.changes_json(DEFAULT_TENANT, request).expect("reads"))
}

fn seqs(answer: &Value) -> Vec<i64> {
    let changes = answer["Changes"].as_array().expect("a list");
    changes
        .iter()
        .map(|change| change["Seq"].as_i64().expect("a number"))
        .collect()
}

fn types(answer: &Value) -> Vec<&str> {
    let changes = answer["Changes"].as_array().expect("a list");
    changes
        .iter()
        .map(|change| change["ChangeType"].as_str().expect("text"))
        .collect()
}

/// Two patients, of one instance each; the first has a second instance.
fn three_instances(index: &dyn Index) -> Feed<'_> {
    let mut feed = Feed::new(index);
    feed.put(&arrival("A", "1", "1.1", "1.1.1"));
    feed.put(&arrival("A", "1", "1.1", "1.1.2"));
    feed.put(&arrival("B", "2", "2.1", "2.1.1"));
    feed
}

pub fn a_new_instance_is_told_from_below_each_level_once(index: &dyn Index) {
    three_instances(index);
    let answer = ask(index, &all());
    assert_eq!(
        types(&answer),
        [
            "NewInstance",
            "NewSeries",
            "NewStudy",
            "NewPatient",
            "NewInstance",
            "NewInstance",
            "NewSeries",
            "NewStudy",
            "NewPatient"
        ]
    );
    let numbers = seqs(&answer);
    assert!(
        numbers.windows(2).all(|pair| pair[0] < pair[1]),
        "{numbers:?}"
    );
    assert_eq!(
        (&answer["Done"], &answer["First"], &answer["Last"]),
        (&json!(true), &json!(numbers[0]), &json!(numbers[8]))
    );
    let id = arrival("A", "1", "1.1", "1.1.1")
        .id(Level::Series)
        .to_string();
    assert_eq!(
        answer["Changes"][1],
        json!({
            "ChangeType": "NewSeries", "Date": "20261122T115551", "ID": id, "Path": format!("/series/{id}"),
            "ResourceType": "Series", "Seq": numbers[1],
        })
    );
}

pub fn pages_are_cut_by_since_to_limit_and_type(index: &dyn Index) {
    three_instances(index);
    let numbers = seqs(&ask(index, &all()));
    let request = ChangesRequest { limit: 2, ..all() };
    let answer = ask(index, &request);
    assert_eq!(
        (seqs(&answer), &answer["Done"]),
        (numbers[..2].to_vec(), &json!(false))
    );
    let answer = ask(
        index,
        &ChangesRequest {
            since: Some(numbers[2]),
            limit: 2,
            ..all()
        },
    );
    assert_eq!(
        (seqs(&answer), &answer["Done"]),
        (numbers[3..5].to_vec(), &json!(false))
    );
    let answer = ask(
        index,
        &ChangesRequest {
            since: Some(numbers[6]),
            limit: 2,
            ..all()
        },
    );
    assert_eq!(
        (seqs(&answer), &answer["Done"]),
        (numbers[7..].to_vec(), &json!(true))
    );
    // Only an upper end: the newest up to it, still in ascending order.
    let answer = ask(
        index,
        &ChangesRequest {
            to: Some(numbers[4]),
            limit: 2,
            ..all()
        },
    );
    assert_eq!(
        (seqs(&answer), &answer["Done"]),
        (numbers[3..5].to_vec(), &json!(false))
    );
    let answer = ask(
        index,
        &ChangesRequest {
            to: Some(numbers[4]),
            ..all()
        },
    );
    assert_eq!(
        (seqs(&answer), &answer["Done"]),
        (numbers[..5].to_vec(), &json!(true))
    );
    let patients = vec![ChangeType::NewPatient];
    let answer = ask(
        index,
        &ChangesRequest {
            types: patients.clone(),
            limit: 1,
            ..all()
        },
    );
    assert_eq!(
        (seqs(&answer), &answer["Done"]),
        (vec![numbers[3]], &json!(false))
    );
    let answer = ask(
        index,
        &ChangesRequest {
            types: patients,
            since: Some(numbers[3]),
            limit: 1,
            ..all()
        },
    );
    assert_eq!(
        (seqs(&answer), &answer["Done"], &answer["Last"]),
        (vec![numbers[8]], &json!(true), &json!(numbers[8]))
    );
    let both = vec![ChangeType::NewInstance, ChangeType::NewStudy];
    let answer = ask(
        index,
        &ChangesRequest {
            types: both,
            ..all()
        },
    );
    assert_eq!(
        types(&answer),
        [
            "NewInstance",
            "NewStudy",
            "NewInstance",
            "NewInstance",
            "NewStudy"
        ]
    );
    let answer = ask(
        index,
        &ChangesRequest {
            last: true,
            ..all()
        },
    );
    assert_eq!(
        (seqs(&answer), &answer["Done"]),
        (vec![numbers[8]], &json!(true))
    );
    let answer = ask(
        index,
        &ChangesRequest {
            since: Some(numbers[8]),
            ..all()
        },
    );
    assert_eq!(
        answer,
        json!({"Changes": [], "Done": true, "Last": numbers[8]})
    );
    // None are asked for: an empty page, and not the end.
    assert_eq!(
        ask(index, &ChangesRequest { limit: 0, ..all() }),
        json!({"Changes": [], "Done": false, "Last": numbers[8]})
    );
}

pub fn changes_of_deleted_resources_disappear_and_numbers_are_not_reused(index: &dyn Index) {
    let mut feed = three_instances(index);
    let numbers = seqs(&ask(index, &all()));
    feed.delete(
        Level::Patient,
        arrival("A", "1", "1.1", "1.1.1").id(Level::Patient),
    );
    let answer = ask(index, &all());
    assert_eq!(seqs(&answer), numbers[5..]);
    feed.delete(
        Level::Study,
        arrival("B", "2", "2.1", "2.1.1").id(Level::Study),
    );
    let answer = ask(index, &all());
    assert_eq!(
        answer,
        json!({"Changes": [], "Done": true, "Last": numbers[8]})
    );
    while index
        .maintain(std::time::Duration::from_millis(50), super::world::NOW_US)
        .expect("purges")
        .more
    {}
    feed.put(&arrival("A", "1", "1.1", "1.1.1"));
    let again = seqs(&ask(index, &all()));
    assert_eq!(again.len(), 4);
    assert!(again[0] > numbers[8], "{again:?}");
}

pub fn events_are_told_of_live_resources(index: &dyn Index) {
    let mut feed = three_instances(index);
    let study = arrival("B", "2", "2.1", "2.1.1").id(Level::Study);
    let event = |lsn| {
        Entry::Event(Box::new(Event {
            lsn,
            tenant: DEFAULT_TENANT,
            change: ChangeType::StableStudy,
            level: Level::Study,
            public_id: study,
            at_us: super::world::NOW_US,
            as_of_us: None,
            blob: record(lsn),
        }))
    };
    feed.lsn += 1;
    assert_eq!(
        index.apply(&[event(feed.lsn)]).expect("applies"),
        [Outcome::Recorded]
    );
    let answer = ask(
        index,
        &ChangesRequest {
            last: true,
            ..all()
        },
    );
    assert_eq!(types(&answer), ["StableStudy"]);
    let told = record(feed.lsn);
    assert!(index.has_told(&|blob| blob.key == told.key).expect("reads"));
    assert_eq!(index.verify().expect("reads"), Vec::<String>::new());
    feed.delete(Level::Study, study);
    feed.lsn += 1;
    let late = record(feed.lsn);
    assert_eq!(
        index.apply(&[event(feed.lsn)]).expect("applies"),
        [Outcome::NotRecorded {
            freed: FreedBlob::from(&late)
        }]
    );
    assert!(!types(&ask(index, &all())).contains(&"StableStudy"));
    let mut freed = Vec::new();
    while {
        let done = index
            .maintain(std::time::Duration::from_millis(50), super::world::NOW_US)
            .expect("purges");
        freed.extend(done.freed);
        done.more
    } {}
    assert!(
        freed.contains(&FreedBlob::from(&told)),
        "the record goes with its row"
    );
    assert!(!index.has_told(&|_| true).expect("reads"));
    assert_eq!(index.verify().expect("reads"), Vec::<String>::new());
}

/// The record of an event.
fn record(lsn: u64) -> BlobRow {
    let mut key = [0xEE; 16];
    key[..8].copy_from_slice(&lsn.to_be_bytes());
    BlobRow {
        store: 1,
        key,
        place_a: 1,
        place_b: i64::try_from(lsn).expect("small") * 1000,
        stored_size: 11,
        plain_size: 11,
        ..BlobRow::default()
    }
}
