//! What it takes before a pack's bytes go.

use std::cell::RefCell;

use vna_store::{BlobKey, Lsn, StoreError};

use super::Ground;
use crate::common::{self, delete};

pub fn a_pack_that_the_index_refers_to_is_not_dropped_whatever_the_counts_say(ground: &Ground) {
    let log = ground.open();
    let given = common::append(&log, &[1000, 1000]);
    log.rotate().unwrap();
    let next = common::append(&log, &[1000]);
    log.rotate().unwrap();
    let packs: Vec<u64> = log.segments().iter().map(|info| info.segment).collect();
    // One blob is counted off twice, so nothing seems to be left of the first pack.
    log.mark_dead(&[given[0].blob, given[0].blob, next[0].blob]);
    assert_eq!(log.live(packs[0]).unwrap().records, 0);
    let asked = RefCell::new(Vec::new());
    let is_live = |segment| {
        asked.borrow_mut().push(segment);
        Ok::<bool, StoreError>(segment == given[1].blob.place.segment())
    };
    let last = log.last_lsn();
    assert_eq!(log.drop_dead(last, last, &is_live).unwrap(), [packs[1]]);
    assert_eq!(*asked.borrow(), packs[..2]);
    log.open_blob(&given[1].blob).unwrap().verify().unwrap();
    // An index that cannot answer keeps the pack as well.
    let unable = |_| Err(StoreError::ReservedKind(1));
    let refused = log.drop_dead(last, last, &unable).err().unwrap();
    assert_eq!(refused.code(), "record.reserved_kind");
    log.open_blob(&given[1].blob).unwrap().verify().unwrap();
    let nothing = |_| Ok::<bool, StoreError>(false);
    assert_eq!(log.drop_dead(last, last, &nothing).unwrap(), [packs[0]]);
}

pub fn a_pack_that_is_being_replaced_is_kept_for_references_to_either(ground: &Ground) {
    let log = ground.open();
    let given = common::append(&log, &[400, 500]);
    log.rotate().unwrap();
    let old = log.segments()[0].segment;
    log.mark_dead(&[given[0].blob]);
    let is_live = |key: &BlobKey| *key == given[1].blob.key;
    let last = log.last_lsn();
    // Cut off when the index is told: rows still say the old place.
    let refused = log.compact(old, 0, last, &is_live, &mut |_| {
        Err(StoreError::ReservedKind(1))
    });
    assert_eq!(refused.err().unwrap().code(), "record.reserved_kind");
    log.mark_dead(&[given[1].blob]); // too early
    common::append(&log, &[10]);
    log.rotate().unwrap();
    let refers_to_old = |segment| Ok::<bool, StoreError>(segment == old);
    assert_eq!(log.drop_dead(last, last, &refers_to_old).unwrap(), []);
    assert_eq!(
        log.open_blob(&given[1].blob).unwrap().read_all().unwrap(),
        given[1].bytes
    );
    let nothing = |_| Ok::<bool, StoreError>(false);
    assert_eq!(log.drop_dead(last, last, &nothing).unwrap().len(), 1);
}

pub fn packs_that_the_index_does_not_cover_stay_as_they_are(ground: &Ground) {
    let log = ground.open();
    let given = common::append(&log, &[1000, 1000]);
    delete(&log, b"deed");
    let last = log.last_lsn();
    log.rotate().unwrap();
    common::append(&log, &[10]);
    log.rotate().unwrap();
    let pack = log.segments()[0].segment;
    log.mark_dead(&[given[0].blob, given[1].blob]);
    let nothing = |_| Ok::<bool, StoreError>(false);
    let covered = last - 1;
    assert_eq!(log.drop_dead(last, covered, &nothing).unwrap(), []);
    let mut told = 0;
    let refused = log.compact(pack, last, covered, &|_| false, &mut |_| {
        told += 1;
        Ok::<(), StoreError>(())
    });
    let error = refused.err().unwrap();
    assert_eq!(error.code(), "segment.not_covered");
    assert!(
        matches!(error, StoreError::NotCovered { segment, last_lsn, covered: known }
            if (segment, last_lsn, known) == (pack, last, covered)),
        "{error}"
    );
    assert_eq!((told, log.horizon()), (0, 0));
    for given in &given {
        log.open_blob(&given.blob).unwrap().verify().unwrap();
    }
    // The deed is not settled behind what is covered, whatever the caller says.
    assert_eq!(log.drop_dead(Lsn::MAX, last, &nothing).unwrap(), [pack]);
    assert_eq!(log.horizon(), last);
}
