//! The instances of a resource, by numbers that stay while their rows do.

use super::world::{Feed, Made, NOW_US, arrival};
use std::time::Duration;
use vna_dicom::Level;
use vna_index::{DEFAULT_TENANT, Index, Picked, UidPath};

pub fn members_come_series_by_series_in_the_order_of_their_numbers(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let made = |series: &str, sop: &str| arrival("P", "1", series, sop);
    let (a2, b, a1) = (made("1.1", "2"), made("1.2", "3"), made("1.1", "1"));
    for one in [&a2.clone().number(2), &b, &a1.clone().number(1)] {
        feed.put(one);
    }
    feed.put(&arrival("Q", "2", "2.1", "2.1.1"));
    let number = |level, id| {
        index
            .number(DEFAULT_TENANT, level, &id, level)
            .expect("reads")
    };
    for (level, wanted) in [
        (Level::Patient, vec![&a1, &a2, &b]),
        (Level::Study, vec![&a1, &a2, &b]),
        (Level::Series, vec![&a1, &a2]),
        (Level::Instance, vec![&a1]),
    ] {
        let id = number(level, a1.id(level)).expect("is there");
        let found = index.members(level, id).expect("reads");
        let instances: Vec<_> = found.iter().map(|member| Some(member.instance)).collect();
        let wanted: Vec<_> = wanted
            .into_iter()
            .map(|one| number(Level::Instance, one.id(Level::Instance)))
            .collect();
        assert_eq!(instances, wanted, "{level}");
        assert_eq!((found[0].index, found[0].file_size), (Some(1), 1000));
        assert_eq!(
            number(Level::Study, a1.id(Level::Study)),
            Some(found[0].study)
        );
    }
    assert!(
        index
            .members(Level::Study, i64::MAX)
            .expect("reads")
            .is_empty()
    );
}

pub fn members_are_located_until_their_rows_are_gone(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let made = arrival("P", "1", "1.1", "1.1.1");
    feed.put(&made);
    let id = made.id(Level::Instance);
    let number = index.number(DEFAULT_TENANT, Level::Instance, &id, Level::Instance);
    let number = number.expect("reads").expect("is there");
    let located = || index.locate_members(&[number, i64::MAX]).expect("reads");
    let live = located();
    assert_eq!((live.len(), live[0].0, live[0].1.instance), (1, number, id));
    feed.delete(Level::Study, made.id(Level::Study));
    assert!(
        index
            .members(Level::Instance, number)
            .expect("reads")
            .is_empty()
    );
    assert_eq!(located(), live);
    while index
        .maintain(Duration::from_millis(1), NOW_US)
        .expect("purges")
        .more
    {}
    assert!(located().is_empty());
}

pub fn uids_pick_what_they_name_and_nothing_else(index: &dyn Index) {
    let mut feed = Feed::new(index);
    let made =
        |patient: &str, study: &str, series: &str, sop: &str| arrival(patient, study, series, sop);
    let second = made("P", "1", "1.1", "1.1.2").number(2);
    let first = made("P", "1", "1.1", "1.1.1").number(1);
    let other = made("P", "1", "1.2", "1.2.1");
    let twin = made("Q", "1", "1.1", "1.1.1"); // the same study of another patient
    for one in [
        &second,
        &first,
        &other,
        &twin,
        &made("P", "2", "2.1", "2.1.1"),
    ] {
        feed.put(one);
    }
    let pick = |study, series, instance| {
        let path = UidPath {
            study,
            series,
            instance,
        };
        index.pick(DEFAULT_TENANT, &path).expect("reads")
    };
    let numbers =
        |picked: &Picked| -> Vec<_> { picked.instances.iter().map(|one| one.instance).collect() };
    let number = |one: &Made| {
        index
            .number(
                DEFAULT_TENANT,
                Level::Instance,
                &one.id(Level::Instance),
                Level::Instance,
            )
            .expect("reads")
            .expect("is there")
    };
    let study = pick("1", None, None);
    assert_eq!(
        numbers(&study),
        [&first, &second, &other, &twin].map(&number)
    );
    let series = |picked: &Picked| -> Vec<_> {
        let of = |one: &vna_index::PickedSeries| one.series_instance_uid.clone();
        picked.series.iter().map(of).collect()
    };
    assert_eq!(series(&study), ["1.1", "1.2", "1.1"]);
    assert_eq!(study.syntaxes.len(), 1);
    assert_eq!(
        numbers(&pick("1", Some("1.1"), Some("1.1.2"))),
        [number(&second)]
    );
    for (study, series, instance) in [
        ("3", None, None),
        ("1", Some("2.1"), None),
        ("2", Some("1.1"), None),
        ("1", Some("1.2"), Some("1.1.1")),
        ("2", Some("1.1"), Some("1.1.1")),
        ("1.1", None, None),
    ] {
        let picked = pick(study, series, instance);
        assert_eq!(picked, Picked::default(), "{study} {series:?} {instance:?}");
    }
    let path = UidPath {
        study: "1",
        series: None,
        instance: None,
    };
    let of_another = index.pick(DEFAULT_TENANT + 1, &path).expect("reads");
    assert_eq!(of_another, Picked::default());

    feed.delete(Level::Instance, first.id(Level::Instance));
    assert_eq!(numbers(&pick("1", Some("1.2"), None)), [number(&other)]);
    let left = pick("1", None, None);
    assert_eq!(left.instances.len(), 3);
    feed.put(&made("P", "1", "1.1", "1.1.9"));
    assert_ne!(pick("1", None, None), left);
}
