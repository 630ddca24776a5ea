//! The time after a deletion in which it can be taken back.

use super::world::{Feed, Made, NOW_US, SECOND_US, arrival, json, resource};
use std::time::Duration;
use vna_dicom::{Level, PublicId, Tag};
use vna_index::{
    DEFAULT_TENANT, DeletedInstance, DeletedMark, Deletion, DuplicatePolicy, Entry, Erasure,
    FreedBlob, Index, Lsn, Outcome, Page, UidPath,
};

const HOUR_US: i64 = 3600 * SECOND_US;

impl Feed<'_> {
    /// Deletes; what goes is kept for an hour.
    fn delete_for_now(&mut self, level: Level, id: PublicId) -> Lsn {
        self.lsn += 1;
        let deletion = Deletion {
            lsn: self.lsn,
            tenant: DEFAULT_TENANT,
            level,
            public_id: id,
            at_us: NOW_US,
            keep_us: HOUR_US,
        };
        let outcomes = self.index.apply(&[Entry::Deletion(deletion)]);
        let outcomes = outcomes.expect("applies");
        assert!(matches!(outcomes[..], [Outcome::Deleted { .. }]));
        self.lsn
    }

    fn erase(&mut self, deletions: &[Lsn]) -> Outcome {
        self.lsn += 1;
        let erasure = Erasure {
            lsn: self.lsn,
            deletions: deletions.to_vec(),
        };
        let outcomes = self.index.apply(&[Entry::Erasure(erasure)]);
        outcomes.expect("applies").remove(0)
    }
}

fn purge_at(index: &dyn Index, now_us: i64) -> Vec<FreedBlob> {
    let mut freed = Vec::new();
    loop {
        let done = index.maintain(Duration::from_millis(5), now_us);
        let done = done.expect("purges");
        freed.extend(done.freed);
        if !done.more {
            return freed;
        }
    }
}

fn deleted(index: &dyn Index, id: PublicId, deletion: Lsn) -> Vec<DeletedInstance> {
    // In pages of one, so that their order is looked at as well.
    let (mut found, mut mark) = (Vec::new(), DeletedMark::default());
    loop {
        let page = index.deleted_instances(DEFAULT_TENANT, &id, deletion, mark, 1, NOW_US);
        let Some(next) = page.expect("reads").pop() else {
            return found;
        };
        mark = next.mark;
        found.push(next);
    }
}

fn deletions(index: &dyn Index, id: PublicId) -> Vec<(Lsn, bool)> {
    let found = index.deletions_of(DEFAULT_TENANT, &id, NOW_US);
    let found = found.expect("reads").into_iter();
    found
        .map(|found| (found.deletion, found.is_whole))
        .collect()
}

fn keys(found: &[DeletedInstance]) -> Vec<u8> {
    found.iter().map(|instance| instance.blob.key[7]).collect()
}

fn listed(index: &dyn Index, now_us: i64) -> Vec<(Lsn, Level)> {
    let listed = index.deleted(DEFAULT_TENANT, now_us, Page::default());
    let listed = listed.expect("lists").into_iter();
    listed
        .map(|deleted| (deleted.deletion, deleted.level))
        .collect()
}

fn made(series: &str, number: u64) -> Made {
    arrival("A", "1", series, &format!("{series}.{number}")).name("Doe^John")
}

pub fn what_was_deleted_seems_gone_and_stays_until_its_time_has_come(index: &dyn Index) {
    let mut feed = Feed::new(index);
    feed.put(&made("1.1", 1));
    feed.put(&made("1.1", 2));
    let study = made("1.1", 1).id(Level::Study);
    let deletion = feed.delete_for_now(Level::Study, study);
    for level in Level::ALL {
        let id = made("1.1", 1).id(level);
        assert!(resource(index, level, &id).is_none(), "{level}");
        let list = index.list_json(DEFAULT_TENANT, level, Page::default(), None);
        assert_eq!(list.expect("lists"), b"[]");
    }
    let statistics = index.statistics(DEFAULT_TENANT).expect("reads");
    assert_eq!(statistics, vna_index::Statistics::default());
    let changes = index.changes_json(DEFAULT_TENANT, &super::changes::all());
    assert_eq!(
        json(&changes.expect("reads"))["Changes"],
        serde_json::json!([])
    );
    assert_eq!(index.oldest_deletion().expect("reads"), Some(deletion));

    assert_eq!(purge_at(index, NOW_US + HOUR_US - 1), []);
    assert_eq!(index.live_by_unit(1).expect("counts"), [(1, 2, 2000)]);
    assert_eq!(index.verify().expect("checks"), Vec::<String>::new());
    let until = NOW_US + HOUR_US;
    assert_eq!(listed(index, until - 1), [(deletion, Level::Patient)]);
    assert_eq!(listed(index, until), [], "too late");

    assert_eq!(purge_at(index, until).len(), 2);
    assert_eq!(index.oldest_deletion().expect("reads"), None);
    assert_eq!(index.live_by_unit(1).expect("counts"), []);
    assert_eq!(index.verify().expect("checks"), Vec::<String>::new());
}

pub fn what_was_deleted_is_described_from_the_patient_down(index: &dyn Index) {
    let mut feed = Feed::new(index);
    feed.put(&made("1.1", 1).tag(0x0008, 0x0020, "20261124"));
    feed.put(&made("1.2", 1).tag(0x0008, 0x0060, "CT"));
    let deletion = feed.delete_for_now(Level::Series, made("1.2", 1).id(Level::Series));
    let list = index.deleted(DEFAULT_TENANT, NOW_US, Page::default());
    let [found] = &list.expect("lists")[..] else {
        panic!("one deletion")
    };
    assert_eq!(
        (found.deletion, found.level, found.public_id),
        (deletion, Level::Series, made("1.2", 1).id(Level::Series))
    );
    assert_eq!((found.instances, found.stored_bytes), (1, 1000));
    assert_eq!(
        (found.deleted_us, found.until_us),
        (NOW_US, NOW_US + HOUR_US)
    );
    for (tag, value) in [
        (Tag(0x0008, 0x0020), "20261124"),
        (Tag(0x0008, 0x0060), "CT"),
        (Tag(0x0010, 0x0010), "Doe^John"),
        (Tag(0x0010, 0x0020), "A"),
        (Tag(0x0020, 0x000D), "1"),
        (Tag(0x0020, 0x000E), "1.2"),
    ] {
        let right = (tag, value.to_owned());
        assert!(found.tags.contains(&right), "{tag}: {:?}", found.tags);
    }
    let other = index.deleted(DEFAULT_TENANT + 1, NOW_US, Page::default());
    assert_eq!(other.expect("lists"), [], "of another tenant");
}

pub fn an_erasure_ends_the_time_of_its_deletions_alone(index: &dyn Index) {
    let mut feed = Feed::new(index);
    for number in 1..=3 {
        feed.put(&made("1.1", number));
    }
    let first = feed.delete_for_now(Level::Instance, made("1.1", 1).id(Level::Instance));
    let second = feed.delete_for_now(Level::Instance, made("1.1", 2).id(Level::Instance));
    assert_eq!(
        feed.erase(&[first, 3, 99]),
        Outcome::Erased { deletions: 1 }
    );
    assert_eq!(listed(index, NOW_US), [(second, Level::Instance)]);
    assert_eq!(deletions(index, made("1.1", 1).id(Level::Instance)), []);
    let freed = purge_at(index, NOW_US);
    assert_eq!(
        freed.iter().map(|blob| blob.key[7]).collect::<Vec<_>>(),
        [1]
    );
    assert_eq!(index.oldest_deletion().expect("reads"), Some(second));
    assert!(resource(index, Level::Instance, &made("1.1", 3).id(Level::Instance)).is_some());
    assert_eq!(feed.erase(&[first]), Outcome::Erased { deletions: 0 });
}

pub fn deleted_instances_are_found_from_every_level(index: &dyn Index) {
    let mut feed = Feed::new(index);
    for (series, number) in [("1.1", 1), ("1.1", 2), ("1.2", 1), ("1.2", 2)] {
        feed.put(&made(series, number));
    }
    let first = feed.delete_for_now(Level::Instance, made("1.1", 2).id(Level::Instance));
    let second = feed.delete_for_now(Level::Series, made("1.2", 1).id(Level::Series));
    for level in [Level::Patient, Level::Study] {
        let id = made("1.1", 1).id(level);
        assert_eq!(deletions(index, id), [(second, true), (first, true)]);
        assert_eq!(keys(&deleted(index, id, first)), [2]);
        assert_eq!(keys(&deleted(index, id, second)), [3, 4]);
    }
    let id = made("1.1", 1).id(Level::Series);
    assert_eq!(deletions(index, id), [(first, true)]);
    let id = made("1.2", 2).id(Level::Instance);
    assert_eq!(
        deletions(index, id),
        [(second, false)],
        "a part of what it took"
    );
    assert_eq!(keys(&deleted(index, id, second)), [4]);
    let live = made("1.1", 1).id(Level::Instance);
    assert_eq!(deletions(index, live), []);

    // The last instance of all takes everything above with it.
    let last = feed.delete_for_now(Level::Instance, live);
    assert_eq!(listed(index, NOW_US)[0], (last, Level::Patient));
    assert_eq!(deletions(index, live), [(last, true)]);
    let patient = made("1.1", 1).id(Level::Patient);
    let all = [(last, true), (second, true), (first, true)];
    assert_eq!(deletions(index, patient), all);
    assert_eq!(keys(&deleted(index, patient, last)), [1]);
}

pub fn the_same_instance_can_be_deleted_again_and_again(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let one = made("1.1", 1);
    feed.put(&one);
    let first = feed.delete_for_now(Level::Study, one.id(Level::Study));
    let outcome = feed.put(&one.clone().bytes("other", 10));
    assert!(matches!(
        outcome,
        Outcome::Stored {
            conflict: false,
            ..
        }
    ));
    let second = feed.delete_for_now(Level::Instance, one.id(Level::Instance));
    feed.put(&one);
    for level in Level::ALL {
        let id = one.id(level);
        let both = [(second, true), (first, true)];
        assert_eq!(deletions(index, id), both, "{level}");
        assert_eq!(keys(&deleted(index, id, first)), [1]);
        assert_eq!(keys(&deleted(index, id, second)), [3]);
    }
    assert_eq!(
        index.statistics(DEFAULT_TENANT).expect("reads").instances,
        1
    );
    assert_eq!(purge_at(index, NOW_US + HOUR_US).len(), 2);
    assert!(resource(index, Level::Instance, &one.id(Level::Instance)).is_some());
    assert_eq!(index.verify().expect("checks"), Vec::<String>::new());
}

pub fn kept_versions_come_behind_the_instance_that_was_current(index: &dyn Index) {
    for level in [Level::Instance, Level::Series] {
        let mut feed = Feed::new(index);
        let (name, from) = (format!("V{level}"), feed.lsn);
        let one = |number: u64| arrival(&name, &name, "1", &format!("1.{number}"));
        feed.put(&one(1));
        let newer = one(1).bytes("newer", 20).policy(DuplicatePolicy::Always);
        feed.put(&newer);
        feed.put(&one(1).bytes("late", 30)); // kept beside the one that stays
        feed.put(&one(2));
        let deletion = feed.delete_for_now(level, one(1).id(level));
        let found: Vec<u64> = keys(&deleted(index, one(1).id(Level::Instance), deletion))
            .into_iter()
            .map(|key| u64::from(key) - from)
            .collect();
        assert_eq!(found, [2, 1, 3], "{level}");
        let whole = level == Level::Instance;
        let found = deletions(index, one(1).id(Level::Instance));
        assert_eq!(found, [(deletion, whole)]);
        let in_list = listed(index, NOW_US);
        let told = in_list.iter().filter(|(lsn, _)| *lsn == deletion);
        assert_eq!(told.count(), 1, "one entry for one deletion");
        feed.erase(&[deletion]);
        purge_at(index, NOW_US);
    }
}

pub fn what_uids_name_is_known_to_have_been_deleted_while_it_can_be_brought_back(
    index: &dyn Index,
) {
    let mut feed = Feed::new(index);
    let (first, second, other) = (made("1.1", 1), made("1.1", 2), made("1.2", 1));
    for one in [&first, &second, &other] {
        feed.put(one);
    }
    let told = |series, instance, now_us| {
        let study = "1";
        let path = UidPath {
            study,
            series,
            instance,
        };
        index.was_deleted(DEFAULT_TENANT, &path, now_us)
    };
    let was = |series, instance| told(series, instance, NOW_US).expect("reads");
    assert!(!was(Some("1.1"), Some("1.1.1")));
    feed.delete_for_now(Level::Instance, first.id(Level::Instance));
    assert!(was(Some("1.1"), Some("1.1.1")));
    assert!(
        !was(Some("1.2"), Some("1.1.1")),
        "it was not in that series"
    );
    assert!(!was(Some("1.1"), Some("1.1.2")));
    assert!(!was(Some("1.1"), None) && !was(None, None));

    // The last of a series takes the series along, and the last of all takes all.
    feed.delete_for_now(Level::Instance, second.id(Level::Instance));
    assert!(was(Some("1.1"), None) && was(Some("1.1"), Some("1.1.2")));
    assert!(!was(None, None) && !was(Some("1.2"), None));
    let deletion = feed.delete_for_now(Level::Study, other.id(Level::Study));
    assert!(was(None, None) && was(Some("1.2"), None));
    assert!(was(Some("1.1"), Some("1.1.1")) && was(Some("1.2"), Some("1.2.1")));

    let elsewhere = UidPath {
        study: "1",
        series: None,
        instance: None,
    };
    let of_another = index.was_deleted(DEFAULT_TENANT + 1, &elsewhere, NOW_US);
    assert!(!of_another.expect("reads"));
    assert!(
        !told(None, None, NOW_US + HOUR_US).expect("reads"),
        "too late"
    );
    feed.erase(&[deletion]);
    assert!(!was(None, None) && !was(Some("1.2"), None), "erased");
    assert!(was(Some("1.1"), None), "the deletion before it was not");
}
