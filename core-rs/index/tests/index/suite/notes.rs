//! Metadata, attachments, protection: revised, counted, told, and handed on as labels are.

use super::labels::{assert_sound, purge, put_note, take};
use super::world::{Feed, Made, NOW_US, arrival};
use vna_dicom::{Level, PublicId};
use vna_index::{
    Attached, ChangesRequest, DEFAULT_TENANT, Derivation, DuplicatePolicy, FreedBlob, Index, Note,
    NoteContent, NoteId, Outcome, RecordedNote, Subject,
};

fn id(level: Level, of: &Made, subject: Subject) -> NoteId {
    NoteId {
        tenant: of.0.tenant,
        level,
        public_id: of.id(level),
        subject,
    }
}

fn metadata(level: Level, of: &Made, number: i64, revision: u64, value: &[u8]) -> Note {
    Note {
        id: id(level, of, Subject::Metadata(number)),
        revision,
        content: NoteContent::Value(value.to_vec()),
    }
}

fn attachment(level: Level, of: &Made, number: i64, size: u64) -> Note {
    Note {
        id: id(level, of, Subject::Attachment(number)),
        revision: 0,
        content: NoteContent::Bytes(Attached {
            size,
            md5: [7; 16],
            stored_md5: None,
        }),
    }
}

fn read(index: &dyn Index, id: &NoteId) -> Option<Note> {
    let found = index.note(id).expect("reads").expect("is there");
    found.map(|found| found.note)
}

/// Bytes of attachments of each level of a resource, and of the tenant.
fn attached(index: &dyn Index, of: &Made) -> [u64; 5] {
    let of_level = |level: Level| {
        let json = index.resource_statistics_json(of.0.tenant, level, &of.id(level));
        let json = json.expect("reads").expect("is there");
        let json: serde_json::Value = serde_json::from_slice(&json).expect("is JSON");
        let number = |name: &str| {
            json[name]
                .as_str()
                .expect("text")
                .parse::<u64>()
                .expect("number")
        };
        number("DiskSize") - number("DicomDiskSize")
    };
    let [patient, study, series, instance] = Level::ALL.map(of_level);
    let tenant = index
        .statistics(of.0.tenant)
        .expect("reads")
        .attached_stored_bytes;
    [patient, study, series, instance, tenant]
}

fn changes(index: &dyn Index) -> Vec<(String, String)> {
    let request = ChangesRequest {
        limit: 100,
        ..ChangesRequest::default()
    };
    let json = index.changes_json(DEFAULT_TENANT, &request).expect("reads");
    let json: serde_json::Value = serde_json::from_slice(&json).expect("is JSON");
    let changes = json["Changes"].as_array().expect("list").iter();
    let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
    changes
        .map(|change| (text(&change["ChangeType"]), text(&change["ResourceType"])))
        .filter(|(change, _)| !change.starts_with("New"))
        .collect()
}

pub fn metadata_is_what_was_put_last(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let made = arrival("P", "1.1", "1.1.1", "1.1.1.1");
    feed.put(&made);
    for (revision, value) in [&b"first"[..], b"", b"\xff\0\xfe", "\u{e9}".as_bytes()]
        .iter()
        .enumerate()
    {
        let note = metadata(Level::Series, &made, 1024, revision as u64, value);
        let Outcome::Noted {
            revision: told,
            freed,
        } = put_note(&mut feed, note.clone(), 5)
        else {
            panic!("is noted")
        };
        assert_eq!((told, freed.is_some()), (revision as u64, revision > 0));
        assert_eq!(read(index, &note.id), Some(note));
    }
    put_note(
        &mut feed,
        metadata(Level::Series, &made, 65_535, 0, b"other"),
        5,
    );
    let all = index.metadata(DEFAULT_TENANT, Level::Series, &made.id(Level::Series));
    let all = all.expect("reads").expect("is there");
    assert!(all.contains(&(1024, "\u{e9}".into())) && all.contains(&(65_535, "other".into())));
    assert_eq!(
        read(index, &id(Level::Study, &made, Subject::Metadata(1024))),
        None
    );
    let gone = id(Level::Series, &made, Subject::Metadata(1024));
    assert!(matches!(
        take(&mut feed, gone.clone()),
        Outcome::Unnoted { freed: Some(_) }
    ));
    assert_eq!(
        take(&mut feed, gone.clone()),
        Outcome::Unnoted { freed: None }
    );
    assert_eq!(read(index, &gone), None);
    let expected = vec![("UpdatedMetadata".to_owned(), "Series".to_owned()); 6];
    assert_eq!(changes(index), expected);
    assert_sound(index);
}

pub fn attachments_are_counted_where_they_are_and_above(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let first = arrival("P", "1.1", "1.1.1", "1.1.1.1");
    let second = arrival("P", "1.1", "1.1.1", "1.1.1.2");
    let other = arrival("P", "1.2", "1.2.1", "1.2.1.1");
    for made in [&first, &second, &other] {
        feed.put(made);
    }
    for (level, size) in Level::ALL.into_iter().zip([1, 20, 300, 4000]) {
        put_note(&mut feed, attachment(level, &first, 1024, size), size);
    }
    assert_eq!(attached(index, &first), [4321, 4320, 4300, 4000, 4321]);
    put_note(&mut feed, attachment(Level::Series, &first, 1024, 500), 500);
    assert_eq!(attached(index, &first), [4521, 4520, 4500, 4000, 4521]);
    take(
        &mut feed,
        id(Level::Study, &first, Subject::Attachment(1024)),
    );
    assert_eq!(attached(index, &first), [4501, 4500, 4500, 4000, 4501]);
    assert_sound(index);
    feed.delete(Level::Instance, first.id(Level::Instance));
    assert_eq!(attached(index, &second), [501, 500, 500, 0, 501]);
    assert_sound(index);
    assert_eq!(purge(index).len(), 2, "the instance and its attachment");
    feed.delete(Level::Study, second.id(Level::Study));
    assert_eq!(attached(index, &other), [1, 0, 0, 0, 1]);
    purge(index);
    assert_sound(index);
    feed.delete(Level::Patient, other.id(Level::Patient));
    assert_eq!(
        index
            .statistics(DEFAULT_TENANT)
            .expect("reads")
            .attached_stored_bytes,
        0
    );
    purge(index);
    assert_sound(index);
}

pub fn a_protected_patient_is_one_until_it_is_not(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let made = arrival("P", "1.1", "1.1.1", "1.1.1.1");
    let (patient, nobody) = (made.id(Level::Patient), PublicId::patient("nobody"));
    feed.put(&made);
    let is_protected = |id| index.is_protected(DEFAULT_TENANT, id).expect("reads");
    assert_eq!(
        (is_protected(&patient), is_protected(&nobody)),
        (Some(false), None)
    );
    let note = Note {
        id: id(Level::Patient, &made, Subject::Protection),
        revision: 0,
        content: NoteContent::Nothing,
    };
    put_note(&mut feed, note.clone(), 1);
    assert_eq!(is_protected(&patient), Some(true));
    assert_sound(index);
    take(&mut feed, note.id);
    assert_eq!(is_protected(&patient), Some(false));
    assert_eq!(changes(index), []);
    assert_sound(index);
}

fn derived(of: &Made, is_anonymized: bool, from: &Made) -> Made {
    let mut made = of.clone();
    made.0.derivation = Some(Box::new(Derivation {
        is_anonymized,
        sources: Level::ALL.map(|level| Some(from.id(level))),
    }));
    made
}

fn made_from(index: &dyn Index, level: Level, of: &Made, number: i64) -> Option<String> {
    let all = index.metadata(DEFAULT_TENANT, level, &of.id(level));
    let all = all.expect("reads").expect("is there").into_iter();
    let mut found = all.filter(|(known, _)| *known == number);
    found.next().map(|(_, value)| value)
}

pub fn what_was_made_of_others_says_so_where_its_arrival_made_it(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let source = arrival("P", "1.1", "1.1.1", "1.1.1.1");
    let beside = arrival("P", "1.1", "1.1.1", "1.1.1.2");
    let first = derived(&arrival("Q", "2.1", "2.1.1", "2.1.1.1"), true, &source);
    let second = derived(&arrival("Q", "2.1", "2.1.1", "2.1.1.2"), true, &beside);
    let moved = derived(&arrival("P", "1.1", "1.1.9", "1.1.9.1"), false, &beside);
    for made in [&source, &beside, &first, &second, &moved] {
        feed.put(made);
    }
    for level in Level::ALL {
        let from = source.id(level).to_string();
        assert_eq!(made_from(index, level, &first, 6), Some(from), "{level}");
        assert_eq!(made_from(index, level, &source, 6), None, "{level}");
    }
    assert_eq!(
        made_from(index, Level::Instance, &second, 6),
        Some(beside.id(Level::Instance).to_string())
    );
    assert_eq!(made_from(index, Level::Study, &moved, 5), None);
    assert!(made_from(index, Level::Series, &moved, 5).is_some());
    assert_sound(index);
    // The arrival that made the study says it no longer; its own record does then.
    feed.delete(Level::Instance, first.id(Level::Instance));
    purge(index);
    let lost: Vec<RecordedNote> = index.unfounded_notes(10).expect("reads");
    assert_eq!(lost.len(), 3, "of patient, study and series");
    for found in lost {
        assert_eq!(found.blob, None);
        put_note(&mut feed, found.note, 44);
    }
    assert_eq!(index.unfounded_notes(10).expect("reads"), []);
    assert_eq!(
        made_from(index, Level::Study, &first, 6),
        Some(source.id(Level::Study).to_string())
    );
    assert_sound(index);
}

pub fn another_file_takes_over_what_users_noted_of_an_instance_and_no_more(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let source = arrival("P", "1.1", "1.1.1", "1.1.1.1");
    let plain = arrival("P", "1.1", "1.1.1", "1.1.1.2").policy(DuplicatePolicy::Always);
    let made = derived(&plain, false, &source);
    feed.put(&source);
    feed.put(&made);
    put_note(
        &mut feed,
        metadata(Level::Instance, &made, 1024, 4, b"v"),
        1,
    );
    put_note(&mut feed, attachment(Level::Instance, &made, 1024, 50), 50);
    feed.put(&plain); // the same bytes
    assert!(made_from(index, Level::Instance, &made, 5).is_some());
    feed.put(&derived(&plain, false, &plain)); // they were made of another this time
    let from = Some(plain.id(Level::Instance).to_string());
    assert_eq!(made_from(index, Level::Instance, &made, 5), from);
    assert_sound(index);
    feed.put(&plain.clone().bytes("other", 7));
    assert_eq!(made_from(index, Level::Instance, &made, 5), None);
    assert_eq!(
        made_from(index, Level::Instance, &made, 1024),
        Some("v".into())
    );
    assert_eq!(attached(index, &made), [50, 50, 50, 50, 50]);
    assert_sound(index);
    index.expire_versions(NOW_US * 2, 10).expect("expires");
    assert_sound(index);
    feed.delete(Level::Patient, made.id(Level::Patient));
    let freed: Vec<FreedBlob> = purge(index);
    assert_eq!(freed.len(), 4, "two instances, metadata and an attachment");
    assert_sound(index);
}
