//! Stability, completeness, and who may make room.

use super::changes::all;
use super::world::{Feed, Made, NOW_US, SECOND_US, arrival, json, resource};
use vna_dicom::Level;
use vna_index::{
    BlobRow, ChangeType, DEFAULT_TENANT, Due, Entry, Event, Index, OldPatient, Outcome,
};

const AGE_US: i64 = 60 * SECOND_US;

/// Tells what is due `later_us` after `NOW_US`, and gives it.
fn tell(feed: &mut Feed<'_>, later_us: i64) -> Vec<(ChangeType, Level)> {
    let due = feed
        .index
        .due_changes(NOW_US + later_us - AGE_US, 1000)
        .expect("looks");
    for due in &due {
        assert_eq!(record(feed, due), Outcome::Recorded);
    }
    due.iter().map(|due| (due.change, due.level)).collect()
}

fn record(feed: &mut Feed<'_>, due: &Due) -> Outcome {
    feed.lsn += 1;
    let mut key = [0xEE; 16];
    key[..8].copy_from_slice(&feed.lsn.to_be_bytes());
    let event = Event {
        lsn: feed.lsn,
        tenant: due.tenant,
        change: due.change,
        level: due.level,
        public_id: due.public_id,
        at_us: NOW_US,
        as_of_us: due.as_of_us,
        blob: BlobRow {
            store: 1,
            key,
            place_b: i64::try_from(feed.lsn).expect("small") * 1000,
            stored_size: 11,
            plain_size: 11,
            ..BlobRow::default()
        },
    };
    let mut outcomes = (feed.index)
        .apply(&[Entry::Event(Box::new(event))])
        .expect("applies");
    outcomes.remove(0)
}

fn is_stable(index: &dyn Index, made: &Made, level: Level) -> bool {
    let shown = resource(index, level, &made.id(level)).expect("is there");
    let known = index
        .is_stable(DEFAULT_TENANT, level, &made.id(level))
        .expect("reads");
    assert_eq!(shown["IsStable"], known.expect("is there"));
    known == Some(true)
}

pub fn a_resource_is_stable_once_its_quiet_was_told(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let one = arrival("A", "1", "1.1", "1.1.1");
    feed.put(&one);
    assert!(!is_stable(index, &one, Level::Study));
    assert_eq!(index.next_awaited().expect("reads"), Some(NOW_US));
    assert_eq!(tell(&mut feed, AGE_US - 1), []);
    assert_eq!(tell(&mut feed, AGE_US).len(), 3);
    assert!(is_stable(index, &one, Level::Study));
    assert_eq!(index.next_awaited().expect("reads"), None);
    assert_eq!(tell(&mut feed, 9 * AGE_US), [], "nothing is told twice");
    // The same bytes again change nothing; something new does, and is told once more.
    feed.put(&one);
    assert!(is_stable(index, &one, Level::Study));
    feed.put(&arrival("A", "1", "1.1", "1.1.2").at(NOW_US + 1));
    assert!(!is_stable(index, &one, Level::Patient));
    assert_eq!(tell(&mut feed, AGE_US + 1).len(), 3);
    let told = json(&index.changes_json(DEFAULT_TENANT, &all()).expect("reads"));
    let stable = |change: &&serde_json::Value| {
        change["ChangeType"]
            .as_str()
            .is_some_and(|name| name.starts_with("Stable"))
    };
    let changes = told["Changes"].as_array().expect("a list");
    assert_eq!(changes.iter().filter(stable).count(), 6);
    assert_eq!(index.verify().expect("reads"), Vec::<String>::new());
}

pub fn what_is_below_is_told_before_what_it_is_in(index: &dyn Index) {
    let mut feed = Feed::new(index);
    feed.put(&arrival("A", "1", "1.1", "1.1.1"));
    feed.put(&arrival("A", "1", "1.2", "1.2.1").at(NOW_US + 10));
    // The second series came later, and with it study and patient.
    assert_eq!(
        tell(&mut feed, AGE_US),
        [(ChangeType::StableSeries, Level::Series)]
    );
    assert_eq!(
        tell(&mut feed, AGE_US + 10),
        [
            (ChangeType::StableSeries, Level::Series),
            (ChangeType::StableStudy, Level::Study),
            (ChangeType::StablePatient, Level::Patient),
        ]
    );
}

pub fn quiet_is_not_told_if_something_arrived_meanwhile(index: &dyn Index) {
    let mut feed = Feed::new(index);
    feed.put(&arrival("A", "1", "1.1", "1.1.1"));
    let due = index.due_changes(NOW_US, 10).expect("looks");
    assert_eq!(due.len(), 3);
    feed.put(&arrival("A", "1", "1.1", "1.1.2").at(NOW_US + 5));
    for due in &due {
        let outcome = record(&mut feed, due);
        assert!(
            matches!(outcome, Outcome::NotRecorded { .. }),
            "{outcome:?}"
        );
    }
    assert_eq!(tell(&mut feed, AGE_US), []);
    assert_eq!(tell(&mut feed, AGE_US + 5).len(), 3);
}

pub fn stability_can_be_set(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let one = arrival("A", "1", "1.1", "1.1.1");
    feed.put(&one);
    let id = one.id(Level::Study);
    let forced = Due {
        tenant: DEFAULT_TENANT,
        change: ChangeType::StableStudy,
        level: Level::Study,
        public_id: id,
        as_of_us: None,
    };
    assert_eq!(record(&mut feed, &forced), Outcome::Recorded);
    assert!(is_stable(index, &one, Level::Study));
    assert!(!is_stable(index, &one, Level::Series));
    let later = NOW_US + 7;
    let unsettle = |level, id| {
        index
            .unsettle(DEFAULT_TENANT, level, id, later)
            .expect("writes")
    };
    assert_eq!(unsettle(Level::Study, &id), Some(()));
    assert_eq!(unsettle(Level::Series, &id), None);
    assert!(!is_stable(index, &one, Level::Study));
    assert_eq!(tell(&mut feed, AGE_US).len(), 2, "series and patient");
    assert_eq!(
        tell(&mut feed, AGE_US + 7),
        [(ChangeType::StableStudy, Level::Study)]
    );
}

pub fn a_series_is_complete_when_all_that_it_announced_is_there(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let made = |number: i64| {
        arrival("A", "1", "1.1", &format!("1.1.{number}"))
            .tag(0x0018, 0x1090, "2")
            .number(number)
    };
    feed.put(&made(1));
    assert_eq!(tell(&mut feed, 0), []);
    feed.put(&made(2));
    let complete = [(ChangeType::CompletedSeries, Level::Series)];
    assert_eq!(tell(&mut feed, 0), complete, "at once");
    assert_eq!(tell(&mut feed, 0), []);
    // As many as were announced, and not the right ones.
    let other = |number: i64| {
        arrival("A", "1", "1.2", &format!("1.2.{number}"))
            .tag(0x0018, 0x1090, "2")
            .number(number)
    };
    feed.put(&other(1));
    feed.put(&other(7));
    assert_eq!(tell(&mut feed, 0), []);
}

pub fn what_is_deleted_awaits_nothing(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let (one, two) = (
        arrival("A", "1", "1.1", "1.1.1"),
        arrival("A", "2", "2.1", "2.1.1"),
    );
    feed.put(&one);
    feed.put(&two);
    feed.delete(Level::Study, one.id(Level::Study));
    let due = tell(&mut feed, AGE_US);
    assert_eq!(due.len(), 3, "of what is left: {due:?}");
    feed.put(&two.clone().bytes("other", 10));
    feed.delete(Level::Patient, two.id(Level::Patient));
    let purge = || index.maintain(std::time::Duration::from_secs(5), NOW_US);
    assert!(!purge().expect("purges").more);
    assert_eq!(index.next_awaited().expect("reads"), None);
    assert_eq!(index.verify().expect("reads"), Vec::<String>::new());
    // What comes again under the same identity awaits its own.
    feed.put(&one);
    assert_eq!(tell(&mut feed, AGE_US).len(), 3);
}

pub fn many_resources_become_quiet_in_their_order(index: &dyn Index) {
    const MANY: i64 = 500;
    let mut feed = Feed::new(index);
    for n in 0..MANY {
        let (patient, study) = (format!("P{n}"), format!("{n}.1"));
        let made = arrival(
            &patient,
            &study,
            &format!("{study}.1"),
            &format!("{study}.1.1"),
        );
        feed.put(&made.at(NOW_US + n));
    }
    let mut last = None;
    let mut told = 0;
    // A few are due at a time, and each look takes only those.
    for end in (0..MANY).step_by(50) {
        let due = index.due_changes(NOW_US + end + 49, 1000).expect("looks");
        assert_eq!(due.len(), 150);
        for due in due {
            assert!(due.as_of_us >= last);
            last = due.as_of_us;
            assert_eq!(record(&mut feed, &due), Outcome::Recorded);
            told += 1;
        }
    }
    assert_eq!(
        (told, index.next_awaited().expect("reads")),
        (3 * MANY, None)
    );
}

pub fn the_oldest_patients_that_may_go_are_found(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let made = |n: i64| {
        let (patient, study) = (format!("P{n}"), format!("{n}.1"));
        arrival(
            &patient,
            &study,
            &format!("{study}.1"),
            &format!("{study}.1.1"),
        )
    };
    for n in 0..4 {
        feed.put(&made(n).at(NOW_US + n));
    }
    feed.put(&arrival("P0", "0.1", "0.1.1", "0.1.1.2").at(NOW_US + 9));
    let oldest = || index.oldest_patients(10, NOW_US).expect("reads");
    let ids = |found: &[OldPatient]| found.iter().map(|old| old.public_id).collect::<Vec<_>>();
    let id = |n: i64| made(n).id(Level::Patient);
    assert_eq!(ids(&oldest()), [id(1), id(2), id(3), id(0)]);
    assert_eq!(oldest()[3].stored_bytes, 2000);
    // We committed ourselves to keep what one of them has, for a time.
    let sop = made(2).0.instance.identity.sop_instance_uid;
    let known = [
        (DEFAULT_TENANT, sop.clone(), NOW_US + 1),
        (DEFAULT_TENANT, "9.9".into(), NOW_US + 1),
    ];
    assert_eq!(index.spare(&known).expect("writes"), 1);
    assert_eq!(index.spare(&[(7, sop, i64::MAX)]).expect("writes"), 0);
    assert_eq!(ids(&oldest()), [id(1), id(3), id(0)]);
    let later = index.oldest_patients(2, NOW_US + 1).expect("reads");
    assert_eq!(ids(&later), [id(1), id(2)]);
    let was = oldest();
    assert!(
        was.iter()
            .all(|old| index.is_still_old(old, NOW_US).expect("reads"))
    );
    feed.put(&arrival("P1", "1.1", "1.1.1", "1.1.1.2").at(NOW_US + 10));
    feed.delete(Level::Patient, id(3));
    let still = was
        .iter()
        .map(|old| index.is_still_old(old, NOW_US).expect("reads"));
    assert_eq!(still.collect::<Vec<_>>(), [false, false, true]);
    let usage = index.usage().expect("reads");
    assert_eq!(
        (usage.covered, usage.patients, usage.bytes),
        (feed.lsn, 3, 5000)
    );
    assert!(index.has_patient(DEFAULT_TENANT, &id(1)).expect("reads"));
    assert!(!index.has_patient(DEFAULT_TENANT, &id(3)).expect("reads"));
}
