//! Queries: every answer is compared with what a look at each resource gives.

use super::world::{Feed, Made, NOW_US, SECOND_US, arrival, json};
use std::time::Duration;
use vna_dicom::{Level, PublicId, Tag, TagsForm, main_tags};
use vna_index::{
    Case, Content, DEFAULT_TENANT, Index, Key, Order, OrderAs, OrderBy, Outcome, Query, Shape,
    Wanted, key_matches, metadata_number,
};

const NAMES: [&str; 9] = [
    "Müller^Hans",
    "Muller^Anna",
    "Smith^John",
    "SMITHSON^Joan",
    "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "Sato^Hanako=佐藤^花子=さとう^はなこ",
    "Hong^Gildong=洪^吉洞=홍^길동",
    "O'Neil^Mary Ann^^Dr",
    "",
];

/// 30 patients, 45 studies, 90 series, 180 instances, with values that repeat.
fn population() -> Vec<Made> {
    (0..180usize)
        .map(|i| {
            let (series, study) = (i / 2, i / 4);
            let patient = study % 30;
            arrival(
                &format!("PAT{patient:03}"),
                &format!("1.2.{study}"),
                &format!("1.2.{study}.{series}"),
                &format!("1.2.{study}.{series}.{i}"),
            )
            // A study of a patient may come with another name than the first had.
            .name(NAMES[(patient + study / 40) % NAMES.len()])
            .tag(0x0010, 0x0030, &format!("19{:02}0101", 40 + patient))
            .tag(
                0x0008,
                0x0020,
                &format!("2004{:02}{:02}", 1 + study % 12, 1 + study % 28),
            )
            .tag(
                0x0008,
                0x0030,
                &format!("{:02}{:02}00", study % 24, study % 60),
            )
            .tag(0x0008, 0x0050, &format!("A{}", study % 20))
            .tag(0x0008, 0x0090, NAMES[study % 4])
            .tag(
                0x0008,
                0x1030,
                ["Chest CT", "CHEST CT", "Abdomen", "Knee [left]"][study % 4],
            )
            .tag(0x0020, 0x0010, &format!("S{}", study % 7))
            .tag(0x0008, 0x0060, ["CT", "MR", "US"][series % 3])
            .tag(0x0020, 0x0011, &format!("{}", series % 5))
            .tag(0x0008, 0x103E, ["axial", "coronal"][series % 2])
            .number(i64::try_from(i % 3).expect("small"))
        })
        .collect()
}

fn fill(index: &dyn Index) -> Vec<Made> {
    let all = population();
    let mut feed = Feed::new(index);
    for made in &all {
        assert!(matches!(
            feed.put(made),
            Outcome::Stored {
                conflict: false,
                ..
            }
        ));
    }
    all
}

fn value(made: &Made, tag: Tag) -> Option<&str> {
    made.0.instance.tag(tag)
}

/// The resources that match, by looking at each, in the order of arrival.
fn expected(all: &[Made], query: &Query) -> Vec<PublicId> {
    let mut first: Vec<(PublicId, &Made)> = Vec::new();
    for made in all {
        let id = made.id(query.level);
        if first.iter().all(|(seen, _)| *seen != id) {
            first.push((id, made));
        }
    }
    let matches = |made: &Made, key: &Key| {
        if key.tag == Tag(0x0008, 0x0061) {
            let study = made.id(Level::Study);
            return all
                .iter()
                .filter(|other| other.id(Level::Study) == study)
                .any(|other| {
                    key_matches(
                        key.tag,
                        &key.value,
                        value(other, Tag(0x0008, 0x0060)),
                        query.case,
                    )
                });
        }
        key_matches(key.tag, &key.value, value(made, key.tag), query.case)
    };
    first
        .into_iter()
        .filter(|(_, made)| query.keys.iter().all(|key| matches(made, key)))
        .map(|(id, _)| id)
        .collect()
}

fn found(index: &dyn Index, query: &Query) -> Vec<PublicId> {
    let answer = index.query(query).expect("answers");
    assert!(answer.headers.is_empty(), "{query:?}");
    answer
        .matches
        .iter()
        .map(|one| *one.ids.last().expect("has ids"))
        .collect()
}

const KEYS: [(Tag, &[&str]); 11] = [
    (
        Tag(0x0010, 0x0010),
        &[
            "muller*",
            "MÜLLER^HANS",
            "*son*",
            "*it*",
            "smith^*",
            "S?ITH^JOHN",
            "山田*",
            "*太郎*",
            "*たろ*",
            "*길*",
            "yamada*=山田*",
            "=佐藤^花子",
            "*ann*",
            "o'neil*",
            "nobody*",
            "?*",
            "Smith^John\\Muller^Anna",
            "*z*",
        ],
    ),
    (
        Tag(0x0010, 0x0020),
        &[
            "PAT003",
            "PAT00*",
            "*T01?",
            "PAT001\\PAT002",
            "pat001",
            "*1*",
        ],
    ),
    (
        Tag(0x0010, 0x0030),
        &["19450101", "19440101-19460101", "-19420101"],
    ),
    (
        Tag(0x0008, 0x0020),
        &[
            "20040101",
            "20040301-20040520",
            "20041001-",
            "-20040202",
            "20040101\\20040202",
        ],
    ),
    (Tag(0x0008, 0x0030), &["0700-0900", "0505", "2200-"]),
    (Tag(0x0008, 0x0050), &["A7", "A1*", "*9", "A1\\A2"]),
    (Tag(0x0008, 0x0090), &["smith*", "*ller*", "Muller^Anna"]),
    (
        Tag(0x0008, 0x1030),
        &["Chest CT", "chest*", "*EST*", "*[left]", "Knee*", "*CT*"],
    ),
    (Tag(0x0020, 0x0010), &["S3", "S?", "*4*"]),
    (Tag(0x0008, 0x0061), &["CT", "MR\\US", "X*"]),
    (Tag(0x0020, 0x000D), &["1.2.7", "1.2.7\\1.2.9", "1.2.777"]),
];

fn applies(tag: Tag, level: Level) -> bool {
    tag == Tag(0x0008, 0x0061) && level >= Level::Study
        || Level::ALL
            .iter()
            .any(|at| *at <= level && main_tags(*at).contains(&tag))
}

fn compare_all(index: &dyn Index, all: &[Made]) {
    let mut not_empty = 0;
    for level in Level::ALL {
        for (i, (tag, values)) in KEYS.iter().enumerate() {
            for value in values.iter().filter(|_| applies(*tag, level)) {
                let query = Query::all(DEFAULT_TENANT, level).key(*tag, value);
                let mut got = found(index, &query);
                let mut want = expected(all, &query);
                not_empty += usize::from(!want.is_empty());
                assert_eq!(
                    index.count(&query).expect("counts").0,
                    want.len() as u64,
                    "{level} {tag} {value}"
                );
                got.sort();
                want.sort();
                assert_eq!(got, want, "{level} {tag} {value}");
                // With a second key, so that sets are cut and driven from another level.
                let (second, others) = KEYS[(i + 3) % KEYS.len()];
                if applies(second, level) {
                    let query = query.key(second, others[0]);
                    let mut got = found(index, &query);
                    let mut want = expected(all, &query);
                    got.sort();
                    want.sort();
                    assert_eq!(
                        got, want,
                        "{level} {tag} {value} and {second} {}",
                        others[0]
                    );
                }
            }
        }
    }
    assert!(not_empty > 60, "{not_empty}");
}

fn settle(index: &dyn Index) {
    while index
        .maintain(Duration::from_millis(20), NOW_US)
        .expect("maintains")
        .more
    {}
}

pub fn every_key_finds_what_a_look_at_each_resource_finds(index: &dyn Index) {
    let all = fill(index);
    compare_all(index, &all); // from memory
    settle(index);
    compare_all(index, &all); // from tables
    let mut feed = Feed::new(index);
    let late = arrival("PAT900", "1.2.900", "1.2.900.1", "1.2.900.1.1")
        .name("Smith^Late")
        .tag(0x0008, 0x1030, "Chest CT");
    feed.put(&late);
    let all: Vec<Made> = all.into_iter().chain([late]).collect();
    compare_all(index, &all); // from both
}

pub fn deleted_resources_are_not_found(index: &dyn Index) {
    let mut all = fill(index);
    settle(index);
    let gone = all[8].id(Level::Patient);
    Feed::new(index).delete(Level::Patient, gone);
    all.retain(|made| made.id(Level::Patient) != gone);
    compare_all(index, &all);
    settle(index);
    compare_all(index, &all);
}

pub fn names_can_be_compared_with_case(index: &dyn Index) {
    let all = fill(index);
    for key in ["smith*", "Smith*", "Müller*", "muller*", "S?ith*", "*mith*"] {
        let mut query = Query::all(DEFAULT_TENANT, Level::Study).key(Tag(0x0010, 0x0010), key);
        query.case = Case::Exact;
        let (mut got, mut want) = (found(index, &query), expected(&all, &query));
        got.sort();
        want.sort();
        assert_eq!(got, want, "{key}");
    }
}

pub fn pages_join_to_the_whole_in_the_asked_order(index: &dyn Index) {
    let all = fill(index);
    let by = |group, element, compare_as, descending| Order {
        by: OrderBy::Tag(Tag(group, element)),
        compare_as,
        descending,
    };
    let orders = [
        vec![],
        vec![by(0x0008, 0x0020, OrderAs::Text, false)],
        vec![
            by(0x0008, 0x1030, OrderAs::Text, true),
            by(0x0008, 0x0020, OrderAs::Int, false),
        ],
        vec![Order {
            by: OrderBy::LastUpdate,
            compare_as: OrderAs::Text,
            descending: true,
        }],
    ];
    for order in orders {
        let mut query =
            Query::all(DEFAULT_TENANT, Level::Study).key(Tag(0x0008, 0x0020), "20040201-20041120");
        query.order = order;
        let whole = found(index, &query);
        assert_eq!(whole.len(), expected(&all, &query).len());
        for size in [1, 7, 100] {
            let mut joined = Vec::new();
            loop {
                query.page = vna_index::Page {
                    since: joined.len() as u64,
                    limit: size,
                };
                let answer = index.query(&query).expect("answers");
                joined.extend(answer.matches.iter().map(|one| one.ids[1]));
                if !answer.more {
                    break;
                }
                assert_eq!(answer.matches.len() as u64, size);
            }
            assert_eq!(joined, whole, "pages of {size} by {:?}", query.order);
        }
    }
    let mut query = Query::all(DEFAULT_TENANT, Level::Series);
    query.order = vec![
        by(0x0020, 0x0011, OrderAs::Int, true),
        by(0x0008, 0x0020, OrderAs::Text, false),
    ];
    let answer = index.query(&query).expect("answers");
    let keys: Vec<(i64, String)> = answer
        .matches
        .iter()
        .map(|one| {
            let value = |tag| {
                one.tags
                    .iter()
                    .find(|(at, _)| *at == tag)
                    .expect("is there")
                    .1
                    .clone()
            };
            (
                -value(Tag(0x0020, 0x0011)).parse::<i64>().expect("number"),
                value(Tag(0x0008, 0x0020)),
            )
        })
        .collect();
    assert!(keys.is_sorted(), "{keys:?}");
}

pub fn what_lacks_the_value_comes_last(index: &dyn Index) {
    let mut feed = Feed::new(index);
    for (i, date) in ["", "20040101", "20030101"].iter().enumerate() {
        let made = arrival(
            &format!("P{i}"),
            &format!("1.{i}"),
            &format!("1.{i}.1"),
            &format!("1.{i}.1.1"),
        );
        feed.put(&if date.is_empty() {
            made
        } else {
            made.tag(0x0008, 0x0020, date)
        });
    }
    for (descending, wanted) in [
        (false, ["1.2", "1.1", "1.0"]),
        (true, ["1.1", "1.2", "1.0"]),
    ] {
        let mut query = Query::all(DEFAULT_TENANT, Level::Study);
        query.order = vec![Order {
            by: OrderBy::Tag(Tag(0x0008, 0x0020)),
            compare_as: OrderAs::Text,
            descending,
        }];
        let answer = index.query(&query).expect("answers");
        let uids: Vec<&str> = answer
            .matches
            .iter()
            .map(|one| {
                one.tags
                    .iter()
                    .find(|(tag, _)| *tag == Tag(0x0020, 0x000D))
                    .expect("is there")
                    .1
                    .as_str()
            })
            .collect();
        assert_eq!(uids, wanted);
    }
}

pub fn parents_restrict_a_query(index: &dyn Index) {
    let all = fill(index);
    let (patient, study) = (all[0].id(Level::Patient), all[0].id(Level::Study));
    let mut query = Query::all(DEFAULT_TENANT, Level::Instance);
    query.parents = vec![(Level::Patient, patient)];
    let below = |level, id| all.iter().filter(|made| made.id(level) == id).count();
    assert_eq!(found(index, &query).len(), below(Level::Patient, patient));
    query.parents.push((Level::Study, study));
    assert_eq!(found(index, &query).len(), below(Level::Study, study));
    query.parents = vec![(Level::Study, patient)];
    assert_eq!(found(index, &query), [], "a patient's id names no study");
    query.level = Level::Study;
    query.parents = vec![(Level::Series, all[0].id(Level::Series))];
    assert_eq!(
        index.query(&query).expect_err("is refused").code(),
        "index.bad_query"
    );
}

pub fn keys_that_are_not_indexed_are_named(index: &dyn Index) {
    fill(index);
    let query = Query::all(DEFAULT_TENANT, Level::Study)
        .key(Tag(0x0010, 0x0010), "smith*")
        .key(Tag(0x0010, 0x2180), "Baker")
        .key(Tag(0x0018, 0x0015), "*")
        .key(Tag(0x0018, 0x0015), "KNEE")
        .key(Tag(0x0009, 0x1001), "private")
        .key(Tag(0x0010, 0x4000), "*");
    assert_eq!(
        index.query_json(&query, None).expect("answers"),
        None,
        "there is no answer yet"
    );
    let answer = index.query(&query).expect("answers");
    let own: Vec<Tag> = answer.headers.own.iter().map(|key| key.tag).collect();
    assert_eq!(own, [Tag(0x0010, 0x2180)]);
    let (level, below) = answer.headers.below.expect("keys of a lower level");
    let below: Vec<Tag> = below.iter().map(|key| key.tag).collect();
    assert_eq!(
        (level, below.as_slice()),
        (
            Level::Instance,
            [Tag(0x0018, 0x0015), Tag(0x0009, 0x1001)].as_slice()
        )
    );
    let known = Query::all(DEFAULT_TENANT, Level::Study).key(Tag(0x0010, 0x0010), "smith*");
    assert_eq!(
        answer.matches.len(),
        0,
        "no series has a body part, whatever the headers say"
    );
    let query = known.clone().key(Tag(0x0009, 0x1001), "private");
    let all = index.find(&query.page(0, 1)).expect("answers");
    assert_eq!(
        all.resources.len(),
        found(index, &known).len(),
        "the superset by the known keys, not cut"
    );
}

pub fn answers_tell_counts_and_classes(index: &dyn Index) {
    let all = fill(index);
    let study = &all[0];
    let mut query = Query::all(DEFAULT_TENANT, Level::Study).key(Tag(0x0020, 0x000D), "1.2.0");
    query.wanted = Wanted {
        counts: true,
        classes: true,
        labels: true,
    };
    let answer = index.query(&query).expect("answers");
    let [one] = answer.matches.as_slice() else {
        panic!("{answer:?}")
    };
    assert_eq!(one.ids, [study.id(Level::Patient), study.id(Level::Study)]);
    assert_eq!(
        (one.studies, one.series, one.instances),
        (None, Some(2), Some(4))
    );
    assert_eq!(one.modalities, ["CT", "MR"]);
    assert_eq!(one.sop_classes, ["1.2.840.10008.5.1.4.1.1.2"]);
    let tag = |tag| {
        one.tags
            .iter()
            .find(|(at, _)| *at == tag)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(
        tag(Tag(0x0010, 0x0010)),
        Some("Müller^Hans"),
        "the patient's tags come with the study"
    );
    let ids = index.query_json(&query, None).expect("answers");
    assert_eq!(
        json(&ids.expect("no headers are needed")),
        serde_json::json!([study.id(Level::Study).to_string()])
    );
    let objects = index
        .query_json(&query, Some(&Shape::whole()))
        .expect("answers");
    let objects = json(&objects.expect("no headers are needed"));
    assert_eq!(objects[0]["ID"], study.id(Level::Study).to_string());
}

/// What a look at each resource finds, where any resource of a lower level may match.
fn expected_below(all: &[Made], level: Level, matches: impl Fn(&Made) -> bool) -> Vec<PublicId> {
    let mut ids: Vec<PublicId> = Vec::new();
    for made in all.iter().filter(|made| matches(made)) {
        if !ids.contains(&made.id(level)) {
            ids.push(made.id(level));
        }
    }
    ids.sort();
    ids
}

pub fn keys_of_lower_levels_find_what_holds_a_resource_that_matches_all(index: &dyn Index) {
    let mut all = fill(index);
    settle(index);
    // The rest of its study must not answer for a deleted series.
    let gone = all[0].id(Level::Series);
    Feed::new(index).delete(Level::Series, gone);
    all.retain(|made| made.id(Level::Series) != gone);
    let (modality, description) = (Tag(0x0008, 0x0060), Tag(0x0008, 0x103E));
    let (number, sop_uid, date) = (
        Tag(0x0020, 0x0013),
        Tag(0x0008, 0x0018),
        Tag(0x0008, 0x0020),
    );
    let (sop_class, class) = (Tag(0x0008, 0x0016), "1.2.840.10008.5.1.4.1.1.2");
    let mut not_empty = 0;
    for keys in [
        vec![(modality, "CT")],
        vec![(modality, "CT"), (description, "axial")],
        vec![(modality, "M?"), (description, "*al"), (number, "2")],
        vec![(sop_uid, "1.2.7.15.30\\1.2.7.15.31\\1.2.999")],
        vec![(sop_uid, "1.2.7.15.30"), (number, "1")],
        vec![(date, "20040301-20040630"), (modality, "US")],
        vec![(sop_class, class)],
        vec![(sop_class, "1.2.3"), (number, "1")],
        vec![(sop_class, class), (number, "1")],
    ] {
        for level in [Level::Patient, Level::Study, Level::Series] {
            let mut query = Query::all(DEFAULT_TENANT, level);
            for (tag, value) in &keys {
                query = query.key(*tag, value);
            }
            let mut got = found(index, &query);
            got.sort();
            let want = expected_below(&all, level, |made| {
                keys.iter().all(|(tag, key)| {
                    let class = &made.0.instance.identity.sop_class_uid;
                    let value = match *tag {
                        t if t == sop_class => Some(class.as_str()),
                        t => value(made, t),
                    };
                    key_matches(*tag, key, value, Case::Standard)
                })
            });
            not_empty += usize::from(!want.is_empty());
            assert_eq!(got, want, "{level} {keys:?}");
        }
    }
    assert!(not_empty > 12, "{not_empty}");
}

pub fn texts_can_be_compared_without_case_and_accents(index: &dyn Index) {
    let all = fill(index);
    for settled in [false, true] {
        if settled {
            settle(index);
        }
        for level in Level::ALL {
            for (tag, values) in KEYS.iter().filter(|(tag, _)| applies(*tag, level)) {
                for value in *values {
                    for value in [value.to_uppercase(), value.to_lowercase()] {
                        let mut query = Query::all(DEFAULT_TENANT, level).key(*tag, &value);
                        query.case = Case::Ignored;
                        let (mut got, mut want) = (found(index, &query), expected(&all, &query));
                        got.sort();
                        want.sort();
                        assert_eq!(got, want, "{level} {tag} {value}");
                    }
                }
            }
        }
    }
    let mut query = Query::all(DEFAULT_TENANT, Level::Patient).key(Tag(0x0010, 0x0020), "pat003");
    query.case = Case::Ignored;
    assert_eq!(found(index, &query).len(), 1);
}

pub fn metadata_restrict_and_order_a_query(index: &dyn Index) {
    let mut feed = Feed::new(index);
    for (i, aet) in ["CT1", "CT2", "MR1"].iter().enumerate() {
        let n = i64::try_from(i).expect("small");
        let mut made = arrival("P", "1.1", &format!("1.1.{i}"), &format!("1.1.{i}.1"))
            .number(10 - n)
            .at(NOW_US - n * SECOND_US);
        made.0.origin.calling_ae_title = (*aet).into();
        feed.put(&made);
    }
    let find = |level, metadata: &[(&str, &str)]| {
        let mut query = Query::all(DEFAULT_TENANT, level);
        query.metadata = metadata
            .iter()
            .map(|(name, value)| (metadata_number(name).expect("is one"), (*value).to_owned()))
            .collect();
        found(index, &query).len()
    };
    for (level, name, value, count) in [
        (Level::Instance, "RemoteAET", "CT*", 2),
        (Level::Series, "RemoteAET", "CT1\\MR?", 2),
        (Level::Study, "RemoteAET", "*", 0),
        (Level::Study, "RemoteAET", "", 1),
        (Level::Instance, "Origin", "RestApi", 3),
        (Level::Instance, "TransferSyntax", "1.2.840.10008.1.2.1", 3),
        (Level::Instance, "IndexInSeries", "9", 1),
        (Level::Instance, "ReceptionDate", "20261122T1155*", 3),
        (Level::Patient, "LastUpdate", "2026*", 1),
        (Level::Patient, "LastUpdate", "2025*", 0),
        (Level::Patient, "5000", "*", 0),
    ] {
        assert_eq!(
            find(level, &[(name, value)]),
            count,
            "{level} {name} {value}"
        );
    }
    let both = [("Origin", "RestApi"), ("RemoteAET", "MR1")];
    assert_eq!(find(Level::Instance, &both), 1);
    let mut query = Query::all(DEFAULT_TENANT, Level::Instance);
    query.order = vec![Order {
        by: OrderBy::Metadata(metadata_number("ReceptionDate").expect("is one")),
        compare_as: OrderAs::Text,
        descending: false,
    }];
    let whole = Query::all(DEFAULT_TENANT, Level::Instance);
    let reversed: Vec<PublicId> = found(index, &whole).into_iter().rev().collect();
    assert_eq!(found(index, &query), reversed);
}

pub fn counts_can_be_keys(index: &dyn Index) {
    let all = fill(index);
    let studies = |patient| {
        let mut ids: Vec<PublicId> = all
            .iter()
            .filter(|made| made.id(Level::Patient) == patient)
            .map(|made| made.id(Level::Study))
            .collect();
        ids.dedup();
        ids.len()
    };
    let query = Query::all(DEFAULT_TENANT, Level::Patient).key(Tag(0x0020, 0x1200), "2");
    let got = found(index, &query);
    assert_eq!(got.len(), 15);
    assert!(got.into_iter().all(|patient| studies(patient) == 2));
}

pub fn what_cannot_be_answered_as_asked_is_refused(index: &dyn Index) {
    fill(index);
    let mut query = Query::all(DEFAULT_TENANT, Level::Study);
    query.order = vec![Order {
        by: OrderBy::Tag(Tag(0x0010, 0x1010)),
        compare_as: OrderAs::Text,
        descending: false,
    }];
    let error = index.find(&query).expect_err("the index has no such tag");
    assert_eq!(error.code(), "index.bad_query");
    let many = vec!["*x*"; 1_001].join("\\");
    let query = Query::all(DEFAULT_TENANT, Level::Study).key(Tag(0x0008, 0x1030), &many);
    let error = index.find(&query).expect_err("too much for each row");
    assert_eq!(error.code(), "index.bad_query");
    let long = vec!["1.2.3"; 20_000].join("\\");
    let query = Query::all(DEFAULT_TENANT, Level::Study).key(Tag(0x0020, 0x000D), &long);
    assert_eq!(found(index, &query).len(), 1, "a long list of UIDs is none");
}

pub fn a_search_ends_at_its_deadline_and_leaves_a_reader_that_works(index: &dyn Index) {
    let all = fill(index);
    // Enough rows for a look at the clock.
    let mut query = Query::all(DEFAULT_TENANT, Level::Instance).key(Tag(0x0020, 0x0013), "1");
    let want = expected(&all, &query).len();
    for _ in 0..8 {
        query.until = Some(std::time::Instant::now());
        let error = index.find(&query).expect_err("the time is over");
        assert_eq!(error.code(), "deadline");
        assert_eq!(index.count(&query).expect_err("so here").code(), "deadline");
        query.until = Some(std::time::Instant::now() + Duration::from_secs(3600));
        assert_eq!(found(index, &query).len(), want);
        query.until = None;
        assert_eq!(found(index, &query).len(), want);
    }
}

pub fn objects_show_what_their_shape_says(index: &dyn Index) {
    let all = fill(index);
    let study = all[0].id(Level::Study);
    let show = |level, id: &PublicId, shape: &Shape| {
        json(
            &index
                .resource_json(DEFAULT_TENANT, level, id, shape)
                .expect("answers")
                .expect("is there"),
        )
    };
    let names = |value: &serde_json::Value| {
        let object = value.as_object().expect("an object");
        object.keys().cloned().collect::<Vec<_>>()
    };
    let mut shape = Shape {
        content: Content::NONE,
        ..Shape::whole()
    };
    assert_eq!(names(&show(Level::Study, &study, &shape)), ["ID", "Type"]);
    shape.content.metadata = true;
    let shown = show(Level::Study, &study, &shape);
    assert_eq!(names(&shown), ["ID", "Metadata", "Type"]);
    assert_eq!(shown["Metadata"]["LastUpdate"], "20261122T115551");
    shape.content = Content {
        main_tags: true,
        attachments: true,
        ..Content::NONE
    };
    shape.form = TagsForm::Full;
    shape.requested = vec![
        Tag(0x0008, 0x0061),
        Tag(0x0010, 0x1010),
        Tag(0x0020, 0x1206),
        Tag(0x0020, 0x1200),
        Tag(0x0008, 0x0056),
    ];
    let shown = show(Level::Study, &study, &shape);
    assert_eq!(
        shown["MainDicomTags"]["0008,0020"],
        serde_json::json!({"Name": "StudyDate", "Type": "String", "Value": "20040101"})
    );
    let requested = &shown["RequestedTags"];
    assert_eq!(requested["0008,0061"]["Value"], "CT\\MR");
    assert_eq!(
        requested["0010,1010"],
        serde_json::json!({"Name": "PatientAge", "Type": "Null", "Value": null})
    );
    assert_eq!(requested["0020,1206"]["Value"], "2");
    assert_eq!(requested["0020,1200"]["Value"], "2");
    assert_eq!(requested["0008,0056"]["Value"], "ONLINE");
    assert_eq!(shown["Attachments"], serde_json::json!([]));

    shape.form = TagsForm::Short;
    shape.requested = vec![Tag(0x0010, 0x0010), Tag(0x0009, 0x1001)];
    let number = index
        .number(DEFAULT_TENANT, Level::Study, &study, Level::Study)
        .expect("answers")
        .expect("is there");
    let from_headers = std::collections::HashMap::from([(
        number,
        vec![vna_index::Requested {
            tag: Tag(0x0009, 0x1001),
            json: b"[\"from a header\"]".to_vec(),
        }],
    )]);
    let written = index
        .write_json(
            Level::Study,
            &[number, 999_999],
            Some(&shape),
            &from_headers,
        )
        .expect("writes");
    let written = json(&written);
    assert_eq!(written.as_array().map(Vec::len), Some(1));
    assert_eq!(
        written[0]["RequestedTags"],
        serde_json::json!({"0010,0010": "Müller^Hans", "0009,1001": ["from a header"]})
    );
}

pub fn first_instances_stand_for_what_they_are_in(index: &dyn Index) {
    let all = fill(index);
    let number = |made: &Made, level: Level| {
        index
            .number(
                DEFAULT_TENANT,
                Level::Instance,
                &made.id(Level::Instance),
                level,
            )
            .expect("answers")
            .expect("is there")
    };
    let first = |level: Level, id: i64| {
        let found = index
            .first_instances(level, &[id, 999_999], None)
            .expect("answers");
        let [(at, located)] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(*at, id);
        located.instance
    };
    for level in Level::ALL {
        assert_eq!(
            first(level, number(&all[0], level)),
            all[0].id(Level::Instance)
        );
    }
    assert_eq!(
        first(Level::Series, number(&all[3], Level::Series)),
        all[2].id(Level::Instance)
    );
    Feed::new(index).delete(Level::Instance, all[0].id(Level::Instance));
    assert_eq!(
        first(Level::Study, number(&all[1], Level::Study)),
        all[1].id(Level::Instance)
    );
    let study = number(&all[1], Level::Study);
    let below = |at, after, limit| {
        index
            .first_instances_below((Level::Study, study), at, after, limit, None)
            .expect("answers")
    };
    let series = below(Level::Series, 0, 10);
    let ids: Vec<PublicId> = series.iter().map(|(_, located)| located.instance).collect();
    assert_eq!(
        ids,
        [all[1].id(Level::Instance), all[2].id(Level::Instance)]
    );
    assert_eq!(below(Level::Instance, 0, 10).len(), 3);
    assert_eq!(below(Level::Series, series[0].0, 10), series[1..]);
    assert_eq!(below(Level::Series, 0, 1), series[..1]);
}

pub fn values_are_those_of_the_resources_in_any_order_of_tags(index: &dyn Index) {
    let all = fill(index);
    let wanted = [
        Tag(0x0020, 0x1208), // Number of Study Related Instances
        Tag(0x0010, 0x0010),
        Tag(0x0008, 0x1030),
        Tag(0x0008, 0x0050), // behind a greater tag of the same packed value
        Tag(0x0020, 0x000D),
        Tag(0x0028, 0x0010), // Rows, which the index does not keep
        Tag(0x0008, 0x0061),
    ];
    let found = index
        .find(&Query::all(DEFAULT_TENANT, Level::Study))
        .expect("find");
    let ids: Vec<i64> = found.resources.iter().rev().copied().collect();
    let values = index
        .values(Level::Study, &ids, &wanted, None)
        .expect("values");
    let rows: Vec<_> = values.rows().collect();
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), ids);
    for row in rows {
        let uid = row.get(4).expect("a study has its UID");
        let made = all
            .iter()
            .find(|made| made.0.instance.identity.study_instance_uid == uid);
        let made = made.expect("is of the population");
        for (at, tag) in wanted
            .iter()
            .enumerate()
            .filter(|(at, _)| (1..4).contains(at))
        {
            assert_eq!(row.get(at), value(made, *tag), "{tag} of {uid}");
        }
        assert_eq!(row.get(0), Some("4"));
        assert_eq!(row.get(5), None);
        assert_eq!(
            row.get(6),
            Some(["CT\\MR", "CT\\US", "MR\\US"][modalities_of(made)])
        );
    }
    let gone = index
        .values(Level::Study, &[-1, ids[0]], &wanted, None)
        .expect("values");
    assert_eq!(gone.rows().count(), 1);
}

/// Which two modalities the study of an instance has: see `population`.
fn modalities_of(made: &Made) -> usize {
    let uid = &made.0.instance.identity.study_instance_uid;
    let study: usize = uid
        .rsplit('.')
        .next()
        .and_then(|last| last.parse().ok())
        .expect("a number");
    let mut two = [2 * study % 3, (2 * study + 1) % 3];
    two.sort_unstable();
    match two {
        [0, 1] => 0,
        [0, 2] => 1,
        _ => 2,
    }
}

pub fn instances_are_listed_below_resources_of_each_level(index: &dyn Index) {
    let all = fill(index);
    for level in Level::ALL {
        let found = index
            .find(&Query::all(DEFAULT_TENANT, level))
            .expect("find");
        let instances = index
            .instances(level, &found.resources, None)
            .expect("instances");
        assert_eq!(instances.len(), all.len(), "{level}");
        let one = index
            .instances(level, &found.resources[..1], None)
            .expect("instances");
        let ids: Vec<PublicId> = one.iter().map(|instance| instance.public_id).collect();
        let first = &all[0];
        let expected = all.iter().filter(|made| made.id(level) == first.id(level));
        assert_eq!(
            ids,
            expected
                .map(|made| made.id(Level::Instance))
                .collect::<Vec<_>>(),
            "{level}"
        );
        let identity = &first.0.instance.identity;
        assert_eq!(one[0].sop_instance_uid, identity.sop_instance_uid);
        assert_eq!(one[0].series_instance_uid, identity.series_instance_uid);
        assert_eq!(one[0].study_instance_uid, identity.study_instance_uid);
    }
}

pub fn identifiers_are_looked_up_at_every_level(index: &dyn Index) {
    fill(index);
    for (identifier, level) in [
        ("PAT003", "Patient"),
        ("1.2.3", "Study"),
        ("1.2.3.7", "Series"),
        ("1.2.3.7.14", "Instance"),
    ] {
        let answer = json(
            &index
                .lookup_json(DEFAULT_TENANT, identifier)
                .expect("looks up"),
        );
        let list = answer.as_array().expect("a list");
        assert_eq!(list.len(), 1, "{identifier}");
        assert_eq!(list[0]["Type"], level);
    }
    assert_eq!(
        index
            .lookup_json(DEFAULT_TENANT, "nothing")
            .expect("looks up"),
        b"[]"
    );
}
