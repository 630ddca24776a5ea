//! What becomes of an archive until its power is cut.

use vna_dicom::Level;
use vna_node::Method;

use super::world::{Done, World};
use crate::common::Who;

pub const A: Who = Who(1, 1, 1, 1);
pub const B: Who = Who(1, 1, 1, 2);
pub const C: Who = Who(1, 2, 1, 1);
pub const D: Who = Who(2, 1, 1, 1);

/// Arrivals, duplicates, deletions at each level, compaction, a lost index.
pub fn life(world: &mut World) -> Done {
    world.open()?;
    world.store(A, 1, 500)?;
    world.store(B, 1, 3_000)?;
    world.store(A, 2, 700)?; // a duplicate with other bytes
    world.store(A, 1, 500)?; // and one with the same as the first
    world.store(C, 1, 20)?;
    world.store(D, 1, 4_000)?;
    world.check()?;
    world.delete(Level::Series, A)?;
    world.check()?;
    world.tidy()?;
    world.store(B, 3, 900)?;
    world.checkpoint()?;
    world.store(D, 4, 5_000)?;
    world.delete(Level::Patient, D)?;
    world.restart()?;
    world.store(C, 2, 2_000)?;
    for number in 10..16 {
        world.store(Who(3, 1, 1, number), 1, 2_000)?;
    }
    for number in 10..15 {
        world.delete(Level::Instance, Who(3, 1, 1, number))?;
    }
    world.tidy()?; // packs that are mostly dead are rewritten
    world.lose_index()?;
    world.reindex()?;
    world.store(D, 5, 100)?;
    world.delete(Level::Study, C)?;
    world.checkpoint()?;
    world.check()
}

/// Deletions that are taken back, or erased, or whose time comes.
pub fn life_with_grace(world: &mut World) -> Done {
    world.open()?;
    world.store(A, 1, 500)?;
    world.store(B, 1, 3_000)?;
    world.store(A, 2, 700)?; // a version is kept of it
    world.store(C, 1, 8_000)?; // in a file of its own
    world.store(D, 1, 4_000)?;
    world.delete(Level::Series, A)?;
    world.delete(Level::Study, C)?;
    world.tidy()?;
    world.undelete(Level::Instance, B)?; // a part of what was deleted
    world.undelete(Level::Series, A)?;
    world.undelete(Level::Patient, C)?;
    world.delete(Level::Instance, D)?;
    world.store(D, 2, 900)?;
    world.undelete(Level::Instance, D)?; // what came since stays
    world.restart()?;
    world.delete(Level::Instance, A)?;
    world.erase(Level::Instance, A)?;
    world.compact()?;
    // A deletion of what is in older packs must outlive all packs behind it.
    world.delete(Level::Instance, B)?;
    for number in 10..16 {
        world.store(Who(3, 1, 1, number), 1, 2_000)?;
    }
    for number in 10..15 {
        world.delete(Level::Instance, Who(3, 1, 1, number))?;
        world.erase(Level::Instance, Who(3, 1, 1, number))?;
    }
    world.compact()?;
    world.lose_index()?;
    world.store(B, 3, 100)?;
    world.delete(Level::Instance, B)?;
    world.delete(Level::Patient, C)?;
    world.compact()?;
    world.undelete(Level::Series, B)?; // of two deletions the last
    world.delete(Level::Instance, B)?;
    world.reindex()?;
    world.a_day_later()?;
    world.compact()
}

/// Stored files that are recompressed, in packs and in files of their own, between arrivals and deletions.
pub fn life_with_recompression(world: &mut World) -> Done {
    world.open()?;
    world.store(A, 1, 5_500)?; // smaller afterwards
    world.store(B, 1, 500)?; // not worth it
    world.store(C, 1, 9_000)?; // in a file of its own
    world.store(D, 1, 5_500)?;
    world.delete(Level::Instance, D)?;
    world.recompress(Method::Deflate)?;
    world.restart()?;
    world.store(A, 2, 5_600)?; // a duplicate of what is recompressed
    world.store(C, 1, 9_000)?; // the same bytes as those that were
    world.store(D, 2, 8_500)?;
    world.recompress(Method::Rle)?; // what was deflated is not worth it
    world.recompress(Method::Deflate)?;
    world.lose_index()?;
    world.delete(Level::Study, C)?;
    world.tidy()?;
    world.reindex()?;
    world.delete(Level::Instance, A)?;
    world.compact()?;
    world.restart()?;
    world.check()
}

/// Resources that become quiet and are told to be, before and after cuts, deletions and rebuilds.
pub fn life_that_becomes_quiet(world: &mut World) -> Done {
    world.open()?;
    world.store(A, 1, 500)?;
    world.store(D, 1, 400)?;
    world.a_quiet_minute()?;
    world.store(B, 1, 300)?;
    world.restart()?;
    world.a_quiet_minute()?;
    world.a_quiet_minute()?; // nothing is told again
    world.lose_index()?;
    world.a_quiet_minute()?; // not even by an index that was built anew
    world.store(A, 1, 500)?; // the same bytes change nothing
    world.a_quiet_minute()?;
    world.delete(Level::Instance, A)?;
    world.delete(Level::Study, D)?;
    for number in 10..16 {
        world.store(Who(3, 1, 1, number), 1, 2_000)?;
        world.a_quiet_minute()?;
    }
    for number in 10..15 {
        world.delete(Level::Instance, Who(3, 1, 1, number))?;
    }
    world.tidy()?; // packs that are mostly dead are rewritten, with the records of what was told
    world.compact()?;
    world.lose_index()?;
    world.a_quiet_minute()?;
    world.store(D, 2, 700)?;
    world.reindex()?;
    world.a_quiet_minute()?;
    world.check()
}

/// There is room for two patients, and the oldest makes room for the next.
pub fn life_with_bounds(world: &mut World) -> Done {
    world.open()?;
    world.store(A, 1, 500)?;
    world.store(B, 1, 8_000)?; // in a file of its own
    world.store(C, 1, 900)?;
    world.store(D, 1, 4_000)?;
    world.a_quiet_minute()?;
    world.store(Who(3, 1, 1, 1), 1, 2_000)?; // instead of patient 1
    world.check()?;
    world.store(Who(3, 1, 1, 2), 1, 7_000)?; // of a patient who is there: nobody goes
    world.tidy()?;
    world.store(D, 2, 500)?; // now the other one is the oldest
    world.store(A, 2, 600)?;
    world.restart()?;
    world.store(Who(4, 1, 1, 1), 1, 300)?;
    world.lose_index()?;
    world.store(Who(3, 1, 1, 2), 2, 9_000)?;
    world.compact()?;
    world.a_quiet_minute()?;
    world.reindex()?;
    world.store(D, 3, 700)?;
    world.check()
}
