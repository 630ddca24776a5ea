//! What is noted of what is in an archive until its power is cut.

use vna_dicom::Level;
use vna_index::Subject;

use super::lives::{A, B, C, D};
use super::world::{Done, World};
use crate::common::Who;

const READ: Subject = Subject::Metadata(1024);
const SMALL: Subject = Subject::Attachment(1024);
/// In a file of its own, if its bytes are many.
const LARGE: Subject = Subject::Attachment(1025);

/// So many bytes of which no two thousand are the same.
fn bytes(count: u32, seed: u32) -> Vec<u8> {
    let mixed = (0..count).map(|at| (at ^ seed).wrapping_mul(2_654_435_761));
    mixed.map(|mixed| mixed.to_le_bytes()[3]).collect()
}

/// Labels that are given, taken, go with their resources, and outlive the instances that were there before them.
pub fn life_with_labels(world: &mut World) -> Done {
    world.open()?;
    world.store(A, 1, 500)?;
    world.store(D, 1, 4_000)?;
    world.label(Level::Study, A, "kept")?;
    world.label(Level::Instance, A, "own")?;
    world.label(Level::Patient, D, "gone")?;
    world.store(B, 1, 3_000)?;
    world.store(A, 2, 700)?; // by the policy, another instance has the labels now
    world.check()?;
    world.delete(Level::Patient, D)?;
    world.store(D, 2, 900)?; // without the label
    world.tidy()?;
    world.delete(Level::Instance, A)?; // the study stays, and so does its label
    world.tidy()?;
    world.compact()?;
    world.lose_index()?;
    world.label(Level::Study, A, "taken")?;
    world.unlabel(Level::Study, A, "taken")?;
    world.label_refused(Level::Study, C, "never")?; // it is not there
    world.restart()?;
    for number in 10..16 {
        world.store(Who(3, 1, 1, number), 1, 2_000)?;
        world.label(Level::Series, Who(3, 1, 1, number), "series")?;
    }
    for number in 10..15 {
        world.delete(Level::Instance, Who(3, 1, 1, number))?;
    }
    world.tidy()?; // packs that are mostly dead are rewritten
    world.compact()?;
    world.store(D, 5, 8_000)?; // in a file of its own
    world.label(Level::Study, D, "large")?;
    world.store(Who(2, 1, 1, 2), 1, 200)?;
    world.delete(Level::Instance, D)?;
    world.tidy()?;
    world.lose_index()?;
    world.reindex()?;
    world.unlabel(Level::Study, A, "kept")?;
    world.compact()?;
    world.reindex()?;
    world.check()
}

/// Labels come back with what is brought back.
pub fn life_with_labels_and_grace(world: &mut World) -> Done {
    world.open()?;
    world.store(A, 1, 500)?;
    world.store(B, 1, 500)?;
    world.store(C, 1, 500)?;
    world.label(Level::Study, A, "study")?;
    world.label(Level::Instance, B, "instance")?;
    world.label(Level::Patient, A, "patient")?;
    world.delete(Level::Instance, A)?;
    world.delete(Level::Study, B)?;
    world.tidy()?;
    world.check()?;
    world.undelete(Level::Study, B)?;
    world.compact()?;
    world.lose_index()?;
    world.delete(Level::Study, C)?;
    world.delete(Level::Patient, A)?;
    world.store(A, 3, 400)?;
    world.reindex()?;
    world.a_day_later()?;
    world.compact()
}

/// Metadata and attachments that are changed, taken, go with their resources, and outlive the instances that were there
/// before them.
pub fn life_with_metadata_and_attachments(world: &mut World) -> Done {
    world.open()?;
    world.store(A, 1, 500)?;
    world.store(D, 1, 4_000)?;
    world.put(Level::Study, A, &READ, b"one")?;
    world.put(Level::Study, A, &SMALL, &bytes(300, 1))?;
    world.put(Level::Study, A, &LARGE, &[7; 9_000])?;
    world.put(Level::Study, A, &READ, b"two")?;
    world.put_refused(Level::Study, A, &READ)?;
    world.compress(Level::Study, A, 1025, true)?; // no file of its own any more
    world.put(Level::Patient, D, &LARGE, &bytes(7_000, 2))?;
    world.put(Level::Instance, D, &READ, b"")?;
    world.protect(A, true)?;
    world.store(B, 1, 3_000)?;
    world.delete(Level::Patient, D)?; // and what is attached to it
    world.store(D, 2, 900)?;
    world.put(Level::Patient, D, &LARGE, &bytes(7_500, 3))?; // from revision 0 on
    world.tidy()?;
    world.delete(Level::Instance, A)?; // the study stays, and so does what is noted of it
    world.tidy()?;
    world.compact()?;
    world.lose_index()?;
    world.put(Level::Study, A, &LARGE, &bytes(9_000, 4))?; // in a file of its own again
    world.put_refused(Level::Study, A, &LARGE)?;
    world.take(Level::Study, A, &SMALL)?;
    world.take(Level::Patient, D, &LARGE)?;
    world.restart()?;
    for number in 10..14 {
        let who = Who(3, 1, 1, number);
        world.store(who, 1, 2_000)?;
        world.put(Level::Series, who, &READ, &[number])?;
        world.put(Level::Instance, who, &SMALL, &bytes(1_500, number.into()))?;
    }
    for number in 10..13 {
        world.delete(Level::Instance, Who(3, 1, 1, number))?;
    }
    world.tidy()?; // packs that are mostly dead are rewritten
    world.compact()?;
    world.compress(Level::Study, A, 1025, true)?;
    world.compress(Level::Study, A, 1025, false)?;
    world.lose_index()?;
    world.reindex()?;
    world.take(Level::Study, A, &READ)?;
    world.protect(A, false)?;
    world.compact()?;
    world.reindex()?;
    world.check()
}

/// Metadata and attachments come back with what is brought back, as they were.
pub fn life_with_metadata_attachments_and_grace(world: &mut World) -> Done {
    world.open()?;
    world.store(A, 1, 500)?;
    world.store(B, 1, 500)?;
    world.store(C, 1, 500)?;
    world.put(Level::Study, A, &READ, b"one")?;
    world.put(Level::Study, A, &READ, b"two")?;
    world.put(Level::Instance, B, &LARGE, &bytes(7_000, 1))?;
    world.put(Level::Patient, A, &SMALL, &bytes(100, 2))?;
    world.protect(A, true)?;
    world.delete(Level::Instance, A)?;
    world.delete(Level::Study, B)?;
    world.tidy()?;
    world.check()?;
    world.undelete(Level::Study, B)?;
    world.put(Level::Study, B, &READ, b"three")?; // goes on counting
    world.compact()?;
    world.lose_index()?;
    world.delete(Level::Study, C)?;
    world.delete(Level::Patient, A)?;
    world.store(A, 3, 400)?;
    world.put(Level::Study, A, &READ, b"of another")?;
    world.reindex()?;
    world.a_day_later()?;
    world.compact()
}

/// There is room for two patients: who is protected stays, and who makes room takes along what was noted.
pub fn life_with_bounds_and_notes(world: &mut World) -> Done {
    world.open()?;
    world.store(A, 1, 500)?;
    world.put(Level::Study, A, &READ, b"kept")?;
    world.protect(A, true)?;
    world.store(D, 1, 4_000)?;
    world.put(Level::Patient, D, &LARGE, &bytes(7_000, 1))?;
    world.label(Level::Study, D, "goes")?;
    world.store(Who(3, 1, 1, 1), 1, 2_000)?; // instead of patient 2, though 1 is older
    world.check()?;
    world.put(Level::Study, Who(3, 1, 1, 1), &SMALL, &bytes(100, 2))?;
    world.restart()?;
    world.store(Who(4, 1, 1, 1), 1, 300)?; // instead of patient 3
    world.tidy()?;
    world.lose_index()?;
    world.protect(A, false)?;
    world.protect(Who(4, 1, 1, 1), true)?;
    world.store(D, 2, 900)?; // instead of patient 1, who is the oldest and free
    world.compact()?;
    world.reindex()?;
    world.check()
}
