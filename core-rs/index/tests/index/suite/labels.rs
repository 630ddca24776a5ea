//! Labels: each level for itself, as long as their resource, on the ground of an instance that came before.

use super::world::{Feed, Made, NOW_US, arrival};
use std::time::Duration;
use vna_dicom::{Level, PublicId, Tag};
use vna_index::{
    BlobRow, DEFAULT_TENANT, DuplicatePolicy, Entry, FreedBlob, Index, Note, NoteContent, NoteId,
    Noting, Outcome, Query, RecordedNote, Unnoting,
};

fn label(level: Level, of: &Made, text: &str) -> NoteId {
    NoteId::label(of.0.tenant, level, of.id(level), text)
}

fn put(feed: &mut Feed<'_>, id: NoteId) -> Outcome {
    put_note(
        feed,
        Note {
            id,
            revision: 0,
            content: NoteContent::Nothing,
        },
        1,
    )
}

pub(super) fn put_note(feed: &mut Feed<'_>, note: Note, stored_size: u64) -> Outcome {
    feed.lsn += 1;
    let mut key = [1; 16];
    key[..8].copy_from_slice(&feed.lsn.to_be_bytes());
    let noting = Noting {
        lsn: feed.lsn,
        blob: BlobRow {
            store: 1,
            key,
            place_a: 7,
            place_b: i64::try_from(feed.lsn).expect("small"),
            stored_size,
            plain_size: stored_size,
            ..BlobRow::default()
        },
        note,
        at_us: NOW_US,
        again: false,
    };
    let entries = [Entry::Noting(Box::new(noting))];
    feed.index.apply(&entries).expect("applies").remove(0)
}

pub(super) fn take(feed: &mut Feed<'_>, id: NoteId) -> Outcome {
    feed.lsn += 1;
    let (lsn, at_us) = (feed.lsn, NOW_US);
    let entries = [Entry::Unnoting(Unnoting { lsn, id, at_us })];
    feed.index.apply(&entries).expect("applies").remove(0)
}

fn unfounded(index: &dyn Index) -> Vec<NoteId> {
    let notes = index.unfounded_notes(10).expect("reads");
    notes.into_iter().map(|found| found.note.id).collect()
}

fn labels(index: &dyn Index, level: Level, of: &Made) -> Option<Vec<String>> {
    index
        .labels(of.0.tenant, level, &of.id(level))
        .expect("reads")
}

pub(super) fn purge(index: &dyn Index) -> Vec<FreedBlob> {
    let mut freed = Vec::new();
    loop {
        let done = index
            .maintain(Duration::from_secs(1), NOW_US)
            .expect("purges");
        freed.extend(done.freed);
        if !done.more {
            return freed;
        }
    }
}

pub(super) fn assert_sound(index: &dyn Index) {
    assert_eq!(index.verify().expect("reads"), Vec::<String>::new());
}

pub fn labels_are_of_one_level_and_one_tenant(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let here = arrival("P", "1.1", "1.1.1", "1.1.1.1");
    let there = here.clone().tenant(2);
    feed.put(&here);
    feed.put(&there);
    for (level, text) in Level::ALL.into_iter().zip(["p", "t", "s", "i"]) {
        let outcome = put(&mut feed, label(level, &here, text));
        assert_eq!(
            outcome,
            Outcome::Noted {
                revision: 0,
                freed: None
            }
        );
    }
    put(&mut feed, label(Level::Study, &there, "other"));
    for (level, text) in Level::ALL.into_iter().zip(["p", "t", "s", "i"]) {
        assert_eq!(labels(index, level, &here), Some(vec![text.into()]));
    }
    assert_eq!(
        labels(index, Level::Study, &there),
        Some(vec!["other".into()])
    );
    assert_eq!(labels(index, Level::Series, &there), Some(vec![]));
    assert_eq!(
        index.all_labels(DEFAULT_TENANT).expect("reads"),
        ["i", "p", "s", "t"]
    );
    assert_eq!(index.all_labels(2).expect("reads"), ["other"]);
    assert_eq!(index.all_labels(3).expect("reads"), Vec::<String>::new());
    assert_sound(index);
}

pub fn a_label_is_given_and_taken_once(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let made = arrival("P", "1.1", "1.1.1", "1.1.1.1");
    feed.put(&made);
    put(&mut feed, label(Level::Study, &made, "a"));
    let first = feed.lsn;
    // The later record is the one that is needed now.
    let Outcome::Noted {
        freed: Some(freed), ..
    } = put(&mut feed, label(Level::Study, &made, "a"))
    else {
        panic!("the first record is still needed")
    };
    assert_eq!(freed.place_b, i64::try_from(first).expect("small"));
    let outcome = take(&mut feed, label(Level::Study, &made, "a"));
    assert!(matches!(outcome, Outcome::Unnoted { freed: Some(_) }));
    let outcome = take(&mut feed, label(Level::Study, &made, "a"));
    assert_eq!(outcome, Outcome::Unnoted { freed: None });
    let mut nowhere = label(Level::Study, &made, "a");
    nowhere.public_id = PublicId::study("nobody", "1");
    assert!(matches!(
        put(&mut feed, nowhere.clone()),
        Outcome::NotNoted { .. }
    ));
    assert_eq!(take(&mut feed, nowhere), Outcome::NotFound);
    assert_eq!(labels(index, Level::Study, &made), Some(vec![]));
    assert_sound(index);
}

pub fn labels_go_with_their_resource(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let made = arrival("P", "1.1", "1.1.1", "1.1.1.1");
    feed.put(&made);
    put(&mut feed, label(Level::Study, &made, "a"));
    put(&mut feed, label(Level::Instance, &made, "b"));
    feed.delete(Level::Instance, made.id(Level::Instance)); // the last of the study
    assert_eq!(labels(index, Level::Study, &made), None);
    assert_eq!(
        index.all_labels(DEFAULT_TENANT).expect("reads"),
        Vec::<String>::new()
    );
    feed.put(&made);
    assert_eq!(labels(index, Level::Study, &made), Some(vec![]));
    let freed = purge(index);
    assert_eq!(freed.len(), 3, "the instance and two labels");
    assert_eq!(unfounded(index), Vec::<NoteId>::new());
    assert_sound(index);
}

pub fn a_label_that_lost_its_ground_is_told_until_it_is_recorded_again(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let first = arrival("P", "1.1", "1.1.1", "1.1.1.1");
    let second = arrival("P", "1.1", "1.1.1", "1.1.1.2");
    let of_study = label(Level::Study, &first, "a");
    feed.put(&first);
    put(&mut feed, of_study.clone());
    feed.put(&second);
    feed.delete(Level::Instance, first.id(Level::Instance));
    assert_eq!(unfounded(index), Vec::<NoteId>::new());
    purge(index);
    let told = unfounded(index);
    assert_eq!(told, std::slice::from_ref(&of_study));
    assert_sound(index);
    put(&mut feed, of_study);
    assert_eq!(unfounded(index), Vec::<NoteId>::new());
    assert_eq!(labels(index, Level::Study, &first), Some(vec!["a".into()]));
    assert_sound(index);
}

pub fn an_instance_that_takes_the_place_of_another_has_its_labels(index: &dyn Index) {
    let mut feed = Feed::new(index);
    for (number, policy) in (1..).zip([DuplicatePolicy::Always, DuplicatePolicy::IfChanged]) {
        let made =
            arrival("P", &format!("1.{number}"), &format!("1.{number}.1"), "1.1").policy(policy);
        feed.put(&made);
        put(&mut feed, label(Level::Instance, &made, "a"));
        feed.put(&made); // the same bytes
        feed.put(&made.clone().bytes("other", 7));
        assert_eq!(
            labels(index, Level::Instance, &made),
            Some(vec!["a".into()])
        );
        assert_sound(index);
        // The ground of the label is gone with the last version that was there before it.
        let far = NOW_US * 2;
        index.expire_versions(far, 10).expect("expires");
        assert_eq!(unfounded(index).len(), 1);
        put(&mut feed, label(Level::Instance, &made, "a"));
        assert_sound(index);
    }
}

pub fn a_view_is_what_is_in_studies_with_its_label(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let seen = arrival("P", "1.1", "1.1.1", "1.1.1.1");
    let beside = arrival("P", "1.2", "1.2.1", "1.2.1.1");
    let other = arrival("Q", "2.1", "2.1.1", "2.1.1.1");
    let foreign = seen.clone().tenant(2);
    for made in [&beside, &seen, &other, &foreign] {
        feed.put(made);
    }
    put(&mut feed, label(Level::Study, &seen, "view"));
    put(&mut feed, label(Level::Study, &foreign, "view"));
    put(&mut feed, label(Level::Series, &other, "view")); // of a series: no matter
    for level in Level::ALL {
        let mut query = Query::all(DEFAULT_TENANT, level);
        query.study_label = Some("view".into());
        assert_eq!(index.count(&query).expect("counts").0, 1, "{level}");
        let found = index.query(&query).expect("finds");
        let ids: Vec<PublicId> = found
            .matches
            .iter()
            .map(|m| m.ids[level as usize])
            .collect();
        assert_eq!(ids, [seen.id(level)], "{level}");
        let resources = index.find(&query).expect("finds").resources;
        let instances = index.instances(level, &resources, Some("view"));
        let instances = instances.expect("reads");
        let ids: Vec<PublicId> = instances.iter().map(|one| one.public_id).collect();
        assert_eq!(ids, [seen.id(Level::Instance)], "{level}");
        // Though another one of the patient arrived before it.
        for label in [Some("view"), None] {
            let first = index.first_instances(level, &resources, label);
            let [(_, located)] = &first.expect("reads")[..] else {
                panic!("of one resource there is one")
            };
            let expected = match (level, label) {
                (Level::Patient, None) => &beside,
                _ => &seen,
            };
            assert_eq!(located.instance, expected.id(Level::Instance), "{level}");
        }
        // Of patient and series that other studies have too.
        let studies = Tag(0x0020, 0x1200);
        for (label, expected) in [(Some("view"), "1"), (None, "2")] {
            let values = index.values(level, &resources, &[studies], label);
            let values = values.expect("reads");
            let told: Vec<_> = values
                .rows()
                .map(|row| row.get(0).map(str::to_owned))
                .collect();
            assert_eq!(told, [Some(expected.to_owned())], "{level}");
        }
        let counted = query.clone().key(studies, "1");
        assert_eq!(index.count(&counted).expect("counts").0, 1, "{level}");
        let other_study = query
            .clone()
            .key(vna_dicom::tags::STUDY_INSTANCE_UID, "1.2");
        assert_eq!(index.count(&other_study).expect("counts").0, 0, "{level}");
        query.study_label = Some("none".into());
        assert_eq!(index.count(&query).expect("counts").0, 0, "{level}");
    }
    let mut patient = Query::all(DEFAULT_TENANT, Level::Patient);
    patient.study_label = Some("view".into());
    let resources = index.find(&patient).expect("finds").resources;
    for (label, expected) in [(Some("view"), vec![&seen]), (None, vec![&beside, &seen])] {
        let above = (Level::Patient, resources[0]);
        let firsts = index.first_instances_below(above, Level::Study, 0, 10, label);
        let firsts = firsts.expect("reads");
        let ids: Vec<PublicId> = firsts.iter().map(|(_, one)| one.instance).collect();
        let expected: Vec<PublicId> = expected.iter().map(|m| m.id(Level::Instance)).collect();
        assert_eq!(ids, expected);
    }
    take(&mut feed, label(Level::Study, &seen, "view"));
    let mut query = Query::all(DEFAULT_TENANT, Level::Patient);
    query.study_label = Some("view".into());
    assert_eq!(index.count(&query).expect("counts").0, 0);
}

pub fn deleted_labels_are_those_of_what_the_deletion_took(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let first = arrival("P", "1.1", "1.1.1", "1.1.1.1");
    let second = arrival("P", "1.2", "1.2.1", "1.2.1.1");
    feed.put(&first);
    feed.put(&second);
    let taken = [
        label(Level::Study, &first, "a"),
        label(Level::Instance, &first, "b"),
    ];
    for one in &taken {
        put(&mut feed, one.clone());
    }
    put(&mut feed, label(Level::Patient, &first, "stays"));
    put(&mut feed, label(Level::Study, &second, "stays"));
    feed.delete(Level::Series, first.id(Level::Series));
    let deletion = feed.lsn;
    let found = index.deleted_notes(DEFAULT_TENANT, deletion);
    let mut found: Vec<NoteId> = found
        .expect("reads")
        .into_iter()
        .map(|found| found.note.id)
        .collect();
    found.sort_by(|a, b| a.subject.cmp(&b.subject));
    assert_eq!(found, taken);
    assert_eq!(
        index.deleted_notes(2, deletion).expect("reads"),
        Vec::<RecordedNote>::new()
    );
}
