//! Arrivals: resources, duplicates, conflicts, counters.

use super::world::{Feed, NOW_US, SECOND_US, arrival, json, resource};
use serde_json::json;
use vna_dicom::Level;
use vna_index::{DEFAULT_TENANT, DuplicatePolicy, Index, IndexError, Outcome, Page};

pub fn a_new_instance_is_seen_at_all_levels(index: &dyn Index) {
    let made = arrival("4711", "1.2", "1.2.3", "1.2.3.4")
        .name("Doe^John")
        .number(7)
        .tag(0x0008, 0x0020, "20040119")
        .tag(0x0008, 0x0060, "CT");
    let outcome = Feed::new(index).put(&made);
    assert!(
        matches!(
            outcome,
            Outcome::Stored {
                conflict: false,
                ..
            }
        ),
        "{outcome:?}"
    );
    let [patient, study, series, instance] = Level::ALL.map(|level| made.id(level).to_string());
    assert_eq!(
        resource(index, Level::Patient, &made.id(Level::Patient)),
        Some(json!({
            "ID": patient, "IsStable": false, "Labels": [], "LastUpdate": "20261122T115551",
            "MainDicomTags": {"PatientID": "4711", "PatientName": "Doe^John"},
            "Studies": [study], "Type": "Patient",
        }))
    );
    assert_eq!(
        resource(index, Level::Study, &made.id(Level::Study)),
        Some(json!({
            "ID": study, "IsStable": false, "Labels": [], "LastUpdate": "20261122T115551",
            "MainDicomTags": {"StudyDate": "20040119", "StudyInstanceUID": "1.2"},
            "ParentPatient": patient,
            "PatientMainDicomTags": {"PatientID": "4711", "PatientName": "Doe^John"},
            "Series": [series], "Type": "Study",
        }))
    );
    assert_eq!(
        resource(index, Level::Series, &made.id(Level::Series)),
        Some(json!({
            "ExpectedNumberOfInstances": null, "ID": series, "Instances": [instance], "IsStable": false,
            "Labels": [], "LastUpdate": "20261122T115551",
            "MainDicomTags": {"Modality": "CT", "SeriesInstanceUID": "1.2.3"},
            "ParentStudy": study, "Status": "Unknown", "Type": "Series",
        }))
    );
    assert_eq!(
        resource(index, Level::Instance, &made.id(Level::Instance)),
        Some(json!({
            "FileSize": 1000, "FileUuid": "00000000-0000-0001-0000-000000000000", "ID": instance,
            "IndexInSeries": 7, "Labels": [],
            "MainDicomTags": {"InstanceNumber": "7", "SOPInstanceUID": "1.2.3.4"},
            "ParentSeries": series, "Type": "Instance",
        }))
    );
}

pub fn counters_follow_arrivals(index: &dyn Index) {
    let mut feed = Feed::new(index);
    for patient in 0..2 {
        for study in 0..2 {
            for instance in 0..3 {
                feed.put(&arrival(
                    &format!("P{patient}"),
                    &format!("1.{patient}.{study}"),
                    &format!("1.{patient}.{study}.1"),
                    &format!("1.{patient}.{study}.1.{instance}"),
                ));
            }
        }
    }
    let statistics = index.statistics(DEFAULT_TENANT).expect("reads");
    let counts = [
        statistics.patients,
        statistics.studies,
        statistics.series,
        statistics.instances,
    ];
    assert_eq!(counts, [2, 4, 4, 12]);
    assert_eq!(
        (statistics.stored_bytes, statistics.plain_bytes),
        (12_000, 12_000)
    );
    assert_eq!(
        json(&index.statistics_json(DEFAULT_TENANT).expect("reads")),
        json!({
            "CountInstances": 12, "CountPatients": 2, "CountSeries": 4, "CountStudies": 4,
            "TotalDiskSize": "12000", "TotalDiskSizeMB": 0,
            "TotalUncompressedSize": "12000", "TotalUncompressedSizeMB": 0,
        })
    );
    let patient = arrival("P1", "1.1.0", "1.1.0.1", "1.1.0.1.0").id(Level::Patient);
    let bytes = index
        .resource_statistics_json(DEFAULT_TENANT, Level::Patient, &patient)
        .expect("reads");
    let statistics = json(&bytes.expect("is there"));
    assert_eq!(statistics["CountInstances"], 6);
    assert_eq!(statistics["CountSeries"], 2);
    assert_eq!(statistics["CountStudies"], 2);
    assert_eq!(statistics["DiskSize"], "6000");
}

pub fn the_same_bytes_again_change_nothing(index: &dyn Index) {
    let made = arrival("4711", "1.2", "1.2.3", "1.2.3.4");
    let mut feed = Feed::new(index);
    feed.put(&made);
    let before = index
        .changes_json(DEFAULT_TENANT, &super::changes::all())
        .expect("reads");
    for policy in [DuplicatePolicy::Never, DuplicatePolicy::IfChanged] {
        let outcome = feed.put(&made.clone().policy(policy));
        let Outcome::AlreadyStored { freed, .. } = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(
            freed.key[7],
            u8::try_from(feed.lsn).expect("small"),
            "the newcomer's blob is free"
        );
    }
    assert_eq!(
        index
            .changes_json(DEFAULT_TENANT, &super::changes::all())
            .expect("reads"),
        before
    );
    assert_eq!(
        index.statistics(DEFAULT_TENANT).expect("reads").instances,
        1
    );
}

pub fn other_bytes_are_kept_as_a_version_until_they_expire(index: &dyn Index) {
    let made = arrival("4711", "1.2", "1.2.3", "1.2.3.4");
    let mut feed = Feed::new(index);
    feed.put(&made);
    let other = made.clone().bytes("other", 500);
    let outcome = feed.put(&other);
    let Outcome::KeptAsVersion {
        version,
        expires_us,
        freed: None,
        ..
    } = outcome
    else {
        panic!("{outcome:?}")
    };
    assert_eq!((version, expires_us), (2, NOW_US + 3600 * SECOND_US));
    let outcome = feed.put(&other);
    assert!(
        matches!(
            outcome,
            Outcome::KeptAsVersion {
                version: 2,
                freed: Some(_),
                ..
            }
        ),
        "a version is kept once: {outcome:?}"
    );
    let located = index
        .locate(DEFAULT_TENANT, &made.id(Level::Instance))
        .expect("reads");
    assert_eq!(
        located.expect("is there").file_size,
        1000,
        "the first stays live"
    );
    let statistics = index.statistics(DEFAULT_TENANT).expect("reads");
    assert_eq!((statistics.instances, statistics.stored_bytes), (1, 1000));
    assert_eq!((statistics.versions, statistics.version_bytes), (1, 500));
    assert_eq!(
        index.expire_versions(expires_us - 1, 10).expect("expires"),
        []
    );
    let freed = index.expire_versions(expires_us, 10).expect("expires");
    assert_eq!(
        freed.iter().map(|blob| blob.key[7]).collect::<Vec<_>>(),
        [2]
    );
    let statistics = index.statistics(DEFAULT_TENANT).expect("reads");
    assert_eq!((statistics.versions, statistics.version_bytes), (0, 0));
    assert_eq!(statistics.instances, 1);
}

pub fn a_superseding_instance_takes_the_place_of_the_old_one(index: &dyn Index) {
    let made = arrival("4711", "1.2", "1.2.3", "1.2.3.4").number(1);
    let mut feed = Feed::new(index);
    feed.put(&made);
    for (policy, size) in [
        (DuplicatePolicy::IfChanged, 500),
        (DuplicatePolicy::Always, 700),
    ] {
        let other = made
            .clone()
            .bytes(&format!("size {size}"), size)
            .number(2)
            .policy(policy);
        let outcome = feed.put(&other);
        assert!(
            matches!(outcome, Outcome::Superseded { freed: None, .. }),
            "{outcome:?}"
        );
        let located = index
            .locate(DEFAULT_TENANT, &made.id(Level::Instance))
            .expect("reads");
        assert_eq!(located.expect("is there").file_size, size);
    }
    let statistics = index.statistics(DEFAULT_TENANT).expect("reads");
    assert_eq!((statistics.instances, statistics.stored_bytes), (1, 700));
    assert_eq!((statistics.versions, statistics.version_bytes), (2, 1500));
    let series = resource(index, Level::Series, &made.id(Level::Series)).expect("is there");
    assert_eq!(
        series["Instances"],
        json!([made.id(Level::Instance).to_string()])
    );
    let changes = json(
        &index
            .changes_json(DEFAULT_TENANT, &super::changes::all())
            .expect("reads"),
    );
    let types: Vec<&str> = changes["Changes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|change| change["ChangeType"].as_str().expect("text"))
        .collect();
    assert_eq!(
        types,
        ["NewSeries", "NewStudy", "NewPatient", "NewInstance"]
    );
}

pub fn always_replaces_even_the_same_bytes(index: &dyn Index) {
    let made = arrival("4711", "1.2", "1.2.3", "1.2.3.4").policy(DuplicatePolicy::Always);
    let mut feed = Feed::new(index);
    feed.put(&made);
    let outcome = feed.put(&made);
    let Outcome::Superseded {
        freed: Some(freed), ..
    } = outcome
    else {
        panic!("{outcome:?}")
    };
    assert_eq!(freed.key[7], 1, "the old blob is free");
    let located = index
        .locate(DEFAULT_TENANT, &made.id(Level::Instance))
        .expect("reads");
    assert_eq!(located.expect("is there").blob.key[7], 2);
    let statistics = index.statistics(DEFAULT_TENANT).expect("reads");
    assert_eq!((statistics.instances, statistics.versions), (1, 0));
}

pub fn a_uid_below_a_second_parent_is_stored_and_flagged(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let first = arrival("A", "1.2", "1.2.3", "1.2.3.4");
    assert!(matches!(
        feed.put(&first),
        Outcome::Stored {
            conflict: false,
            ..
        }
    ));
    for (what, other) in [
        (
            "study below another patient",
            arrival("B", "1.2", "1.9", "1.9.1"),
        ),
        (
            "series below another study",
            arrival("A", "1.3", "1.2.3", "1.9.2"),
        ),
        (
            "instance below another series",
            arrival("A", "1.2", "1.2.4", "1.2.3.4"),
        ),
    ] {
        let outcome = feed.put(&other);
        assert!(
            matches!(outcome, Outcome::Stored { conflict: true, .. }),
            "{what}: {outcome:?}"
        );
        assert!(
            resource(index, Level::Instance, &other.id(Level::Instance)).is_some(),
            "{what}"
        );
    }
    assert!(resource(index, Level::Instance, &first.id(Level::Instance)).is_some());
    assert_eq!(
        index.statistics(DEFAULT_TENANT).expect("reads").instances,
        4
    );
}

pub fn issuers_and_tenants_keep_patients_apart(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let plain = arrival("4711", "1.1", "1.1.1", "1.1.1.1");
    let issued = arrival("4711", "1.2", "1.2.1", "1.2.1.1").issuer("HOSPITAL");
    let foreign = arrival("4711", "1.1", "1.1.1", "1.1.1.1").tenant(2);
    for made in [&plain, &issued, &foreign] {
        let outcome = feed.put(made);
        assert!(
            matches!(
                outcome,
                Outcome::Stored {
                    conflict: false,
                    ..
                }
            ),
            "{outcome:?}"
        );
    }
    assert_ne!(plain.id(Level::Patient), issued.id(Level::Patient));
    assert_eq!(index.statistics(DEFAULT_TENANT).expect("reads").patients, 2);
    assert_eq!(index.statistics(2).expect("reads").patients, 1);
    let list = index
        .list_json(2, Level::Instance, Page::default(), None)
        .expect("lists");
    assert_eq!(json(&list), json!([plain.id(Level::Instance).to_string()]));
    assert_eq!(
        index.locate(3, &plain.id(Level::Instance)).expect("reads"),
        None
    );
}

pub fn an_entry_out_of_order_is_refused_and_changes_nothing(index: &dyn Index) {
    let mut feed = Feed::new(index);
    feed.put(&arrival("A", "1", "1.1", "1.1.1"));
    let again = arrival("A", "1", "1.1", "1.1.2").entry(1);
    let error = index.apply(&[again]).expect_err("is refused");
    assert!(
        matches!(
            error,
            IndexError::LsnOrder {
                found: 1,
                covered: 1
            }
        ),
        "{error}"
    );
    let (good, bad) = (
        arrival("A", "1", "1.1", "1.1.2"),
        arrival("A", "1", "1.1", ""),
    );
    let error = index
        .apply(&[good.entry(2), bad.entry(3)])
        .expect_err("is refused");
    assert!(
        matches!(error, IndexError::EmptyUid { lsn: 3, .. }),
        "{error}"
    );
    assert_eq!(index.covered_lsn(), 1);
    assert_eq!(
        index.statistics(DEFAULT_TENANT).expect("reads").instances,
        1
    );
    // What the failed transaction had in memory is gone too.
    let good = arrival("A", "1", "1.1", "1.1.2");
    assert!(matches!(
        feed.put(&good),
        Outcome::Stored {
            conflict: false,
            ..
        }
    ));
    assert!(resource(index, Level::Instance, &good.id(Level::Instance)).is_some());
}

pub fn the_status_of_a_series_follows_its_numbers(index: &dyn Index) {
    // As a reference server answered for a series that announces two instances.
    let cases: [(&[i64], &str); 8] = [
        (&[1], "Missing"),
        (&[0], "Inconsistent"),
        (&[3], "Inconsistent"),
        (&[1, 1], "Missing"),
        (&[1, 2], "Complete"),
        (&[1, 2, 3], "Inconsistent"),
        (&[-5], "Inconsistent"),
        (&[-5, 1, 2], "Inconsistent"),
    ];
    let mut feed = Feed::new(index);
    for (case, (numbers, status)) in cases.iter().enumerate() {
        let series = format!("1.{case}");
        let instance = |i: usize| {
            arrival("A", "1", &series, &format!("{series}.{i}")).tag(0x0018, 0x1090, "2")
        };
        for (i, number) in numbers.iter().enumerate() {
            feed.put(&instance(i).number(*number));
        }
        let answer =
            resource(index, Level::Series, &instance(0).id(Level::Series)).expect("is there");
        assert_eq!(answer["ExpectedNumberOfInstances"], 2);
        assert_eq!(answer["Status"], *status, "{numbers:?}");
        if *status == "Complete" {
            feed.put(&instance(99));
            let answer =
                resource(index, Level::Series, &instance(0).id(Level::Series)).expect("is there");
            assert_eq!(
                answer["Status"], "Complete",
                "an instance without a number says nothing"
            );
        }
    }
}

pub fn the_first_instance_announces_how_many_are_expected(index: &dyn Index) {
    const IMAGES: (u16, u16) = (0x0020, 0x1002);
    const POSITIONS: (u16, u16) = (0x0020, 0x0105);
    const SLICES: (u16, u16) = (0x0054, 0x0081);
    const TIME_SLICES: (u16, u16) = (0x0054, 0x0101);
    const CARDIAC: (u16, u16) = (0x0018, 0x1090);
    type Tags<'a> = &'a [((u16, u16), &'a str)];
    let cases: [(Tags<'_>, Option<i64>); 8] = [
        (&[], None),
        (&[(IMAGES, "4")], None),
        (&[(IMAGES, "4"), (POSITIONS, "2")], Some(8)),
        (&[(POSITIONS, "2"), (CARDIAC, "3")], Some(3)),
        (&[(SLICES, "4")], None),
        (
            &[(SLICES, "4"), (TIME_SLICES, "2"), (CARDIAC, "3")],
            Some(8),
        ),
        (&[(CARDIAC, "0")], None),
        (
            &[(IMAGES, "15"), (POSITIONS, "10"), (CARDIAC, "0")],
            Some(150),
        ),
    ];
    let mut feed = Feed::new(index);
    for (case, (tags, expected)) in cases.iter().enumerate() {
        let series = format!("1.{case}");
        let made = tags.iter().fold(
            arrival("A", "1", &series, &format!("{series}.1")),
            |made, ((group, element), value)| made.tag(*group, *element, value),
        );
        feed.put(&made);
        let answer = resource(index, Level::Series, &made.id(Level::Series)).expect("is there");
        assert_eq!(
            answer["ExpectedNumberOfInstances"],
            json!(expected),
            "{tags:?}"
        );
    }
}

pub fn what_the_log_holds_nothing_up_to_is_covered_and_never_goes_back(index: &dyn Index) {
    let mut feed = Feed::new(index);
    feed.put(&arrival("A", "1", "1.1", "1.1.1"));
    index.cover(40).expect("covers");
    assert_eq!(index.covered_lsn(), 40);
    index.cover(7).expect("is covered already");
    assert_eq!(index.covered_lsn(), 40);
    let entry = |lsn| arrival("A", "1", "1.1", "1.1.2").entry(lsn);
    let error = index.apply(&[entry(40)]).expect_err("is covered");
    assert!(
        matches!(
            error,
            IndexError::LsnOrder {
                found: 40,
                covered: 40
            }
        ),
        "{error}"
    );
    index.apply(&[entry(41)]).expect("applies");
    assert_eq!(index.checkpoint().expect("syncs"), 41);
    let error = index.cover(u64::MAX).expect_err("no such position");
    assert!(matches!(error, IndexError::OutOfRange { .. }), "{error}");
    assert_eq!(index.covered_lsn(), 41);
}
