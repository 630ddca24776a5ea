//! Deletion: hidden at once, gone after maintenance.

use super::world::{Feed, NOW_US, arrival, json, resource};
use serde_json::json;
use std::time::Duration;
use vna_dicom::Level;
use vna_index::{
    DEFAULT_TENANT, DuplicatePolicy, FreedBlob, Index, Outcome, OwnerState, Page, deletion_json,
};

fn purge(index: &dyn Index) -> Vec<FreedBlob> {
    let mut freed = Vec::new();
    loop {
        let done = index
            .maintain(Duration::from_millis(1), NOW_US)
            .expect("purges");
        freed.extend(done.freed);
        if !done.more {
            return freed;
        }
    }
}

pub fn a_deleted_resource_is_gone_at_every_level_at_once(index: &dyn Index) {
    for level in Level::ALL {
        let mut feed = Feed::new(index);
        let name = format!("D{level}");
        let uid = |rest: &str| format!("9.{}.{rest}", level as u8);
        let made = |series: &str, sop: &str| arrival(&name, &uid("1"), &uid(series), &uid(sop));
        let (first, second) = (made("1.1", "1.1.1"), made("1.2", "1.2.1"));
        feed.put(&first);
        feed.put(&second);
        let outcome = feed.delete(level, first.id(level));
        let Outcome::Deleted {
            remaining_ancestor,
            instances,
        } = outcome
        else {
            panic!("{outcome:?}")
        };
        let all = level <= Level::Study;
        assert_eq!(instances, if all { 2 } else { 1 });
        // The other series remains, so its study does.
        assert_eq!(
            remaining_ancestor,
            (!all).then(|| (Level::Study, first.id(Level::Study)))
        );
        for below in Level::ALL {
            let gone = all || below >= Level::Series;
            assert_eq!(
                resource(index, below, &first.id(below)).is_none(),
                gone,
                "{level} {below}"
            );
            assert_eq!(
                resource(index, below, &second.id(below)).is_none(),
                all,
                "{level} {below}"
            );
        }
        assert_eq!(feed.delete(level, first.id(level)), Outcome::NotFound);
        let freed = purge(index);
        assert_eq!(freed.len(), if all { 2 } else { 1 });
        feed.delete(Level::Patient, second.id(Level::Patient));
        purge(index);
    }
    let statistics = index.statistics(DEFAULT_TENANT).expect("reads");
    assert_eq!(statistics, vna_index::Statistics::default());
    assert_eq!(index.blobs_in(1, 1).expect("reads"), []);
}

pub fn deletion_keeps_counters_and_tells_the_remaining_ancestor(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let made = |sop: &str| arrival("A", "1", "1.1", sop);
    feed.put(&made("1.1.1"));
    feed.put(&made("1.1.2"));
    feed.put(&arrival("A", "2", "2.1", "2.1.1"));
    let outcome = feed.delete(Level::Instance, made("1.1.1").id(Level::Instance));
    let series = made("1.1.1").id(Level::Series);
    assert_eq!(
        outcome,
        Outcome::Deleted {
            remaining_ancestor: Some((Level::Series, series)),
            instances: 1
        }
    );
    assert_eq!(
        json(&deletion_json(Some((Level::Series, series)))),
        json!({"RemainingAncestor": {
            "ID": series.to_string(), "Path": format!("/series/{series}"), "Type": "Series",
        }})
    );
    assert_eq!(
        json(&deletion_json(None)),
        json!({"RemainingAncestor": null})
    );
    let statistics = index.statistics(DEFAULT_TENANT).expect("reads");
    assert_eq!(
        (
            statistics.instances,
            statistics.series,
            statistics.stored_bytes
        ),
        (2, 2, 2000)
    );
    let outcome = feed.delete(Level::Series, series);
    let patient = made("1.1.1").id(Level::Patient);
    assert_eq!(
        outcome,
        Outcome::Deleted {
            remaining_ancestor: Some((Level::Patient, patient)),
            instances: 1
        }
    );
    let statistics = index.statistics(DEFAULT_TENANT).expect("reads");
    let counts = [
        statistics.patients,
        statistics.studies,
        statistics.series,
        statistics.instances,
    ];
    assert_eq!(counts, [1, 1, 1, 1]);
}

pub fn what_was_deleted_can_arrive_again_before_the_rows_are_gone(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let made = arrival("A", "1", "1.1", "1.1.1").name("Doe^John");
    feed.put(&made);
    feed.delete(Level::Patient, made.id(Level::Patient));
    assert!(matches!(
        feed.put(&made),
        Outcome::Stored {
            conflict: false,
            ..
        }
    ));
    let freed = purge(index);
    assert_eq!(
        freed.iter().map(|blob| blob.key[7]).collect::<Vec<_>>(),
        [1],
        "the old blob alone"
    );
    for level in Level::ALL {
        assert!(resource(index, level, &made.id(level)).is_some(), "{level}");
    }
    assert_eq!(index.blobs_in(1, 1).expect("reads").len(), 1);
    assert_eq!(
        index.statistics(DEFAULT_TENANT).expect("reads").instances,
        1
    );
}

pub fn an_instance_goes_with_its_versions(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let made = arrival("A", "1", "1.1", "1.1.1");
    feed.put(&made);
    feed.put(&made.clone().bytes("other", 10));
    feed.put(
        &made
            .clone()
            .bytes("third", 20)
            .policy(DuplicatePolicy::Always),
    );
    feed.put(&arrival("A", "1", "1.1", "1.1.2"));
    feed.delete(Level::Instance, made.id(Level::Instance));
    let mut freed: Vec<u8> = purge(index).iter().map(|blob| blob.key[7]).collect();
    freed.sort_unstable();
    assert_eq!(freed, [1, 2, 3]);
    let statistics = index.statistics(DEFAULT_TENANT).expect("reads");
    assert_eq!(
        (
            statistics.instances,
            statistics.versions,
            statistics.version_bytes
        ),
        (1, 0, 0)
    );
}

pub fn versions_below_a_deleted_series_are_counted_off(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let made = arrival("A", "1", "1.1", "1.1.1");
    feed.put(&made);
    feed.put(&made.clone().bytes("other", 10));
    feed.delete(Level::Series, made.id(Level::Series));
    assert_eq!(purge(index).len(), 2);
    assert_eq!(
        index.statistics(DEFAULT_TENANT).expect("reads"),
        vna_index::Statistics::default()
    );
}

pub fn a_large_purge_is_done_in_slices(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let instance = |i: u64| arrival("A", "1", "1.1", &format!("1.1.{i}"));
    let entries: Vec<_> = (1..=2000).map(|i| instance(i).entry(i)).collect();
    index.apply(&entries).expect("applies");
    feed.lsn = 2000;
    feed.delete(Level::Patient, instance(1).id(Level::Patient));
    let list = index.list_json(DEFAULT_TENANT, Level::Instance, Page::default(), None);
    assert_eq!(list.expect("lists"), b"[]", "hidden before the first slice");
    let mut freed = Vec::new();
    let mut slices = 0;
    loop {
        let done = index
            .maintain(Duration::from_micros(200), NOW_US)
            .expect("purges");
        freed.extend(done.freed);
        slices += 1;
        if !done.more {
            break;
        }
    }
    assert!(slices > 3, "{slices} slices");
    assert_eq!(freed.len(), 2000);
    freed.sort_by_key(|blob| blob.key);
    freed.dedup();
    assert_eq!(freed.len(), 2000, "each blob is told once");
}

pub fn what_is_live_in_each_unit_is_counted_until_its_rows_are_gone(index: &dyn Index) {
    let live = || index.live_by_unit(1).expect("counts");
    let mut feed = Feed::new(index);
    let mut put = |patient: &str, store: i64, unit: i64, bytes: u64| {
        let sop = format!("1.1.{}", feed.lsn);
        let mut made = arrival(patient, patient, "1.1", &sop).bytes(&sop, bytes);
        (made.0.blob.store, made.0.blob.place_a) = (store, unit);
        feed.put(&made);
        made
    };
    assert_eq!(put("1", 1, 7, 100).0.blob.place_a, 7);
    put("2", 1, 7, 20);
    put("1", 1, 3, 5);
    put("1", 2, 9, 1);
    let last = put("1", 1, -8, 3);
    assert_eq!(live(), [(-8, 1, 3), (3, 1, 5), (7, 2, 120)]);
    assert_eq!(index.live_by_unit(2).expect("counts"), [(9, 1, 1)]);
    // The same bytes again need no row of their own.
    feed.put(&last);
    assert_eq!(live(), [(-8, 1, 3), (3, 1, 5), (7, 2, 120)]);
    feed.delete(Level::Patient, last.id(Level::Patient));
    assert_eq!(live().len(), 3, "rows that still exist count");
    purge(index);
    assert_eq!(live(), [(7, 1, 20)]);
}

pub fn blobs_lead_back_to_their_instances_whatever_became_of_them(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let first = arrival("1", "1.1", "1.1.1", "1.1.1.1").bytes("one", 100);
    feed.put(&first);
    let second = arrival("2", "1.2", "1.2.1", "1.2.1.1").bytes("two", 100);
    feed.put(&second);
    let owners = |digest: [u8; 16]| index.owners(&|row| row.digest == digest).expect("reads");
    let found = owners(first.0.blob.digest);
    assert_eq!(found.len(), 1);
    let owner = &found[0];
    assert_eq!(owner.state, OwnerState::Live);
    assert_eq!(owner.blob.digest, first.0.blob.digest);
    assert_eq!(owner.public_id, first.id(Level::Instance));
    assert_eq!(owner.sop_instance_uid, "1.1.1.1");
    assert_eq!(owner.series_instance_uid, "1.1.1");
    assert_eq!(owner.study_instance_uid, "1.1");
    assert_eq!(owner.origin, first.0.origin);
    // What is above it was deleted: it is not there either, though its row says nothing of it.
    feed.delete(Level::Patient, second.id(Level::Patient));
    assert_eq!(owners(second.0.blob.digest)[0].state, OwnerState::Deleted);
    assert_eq!(owners([0; 16]), []);
}
