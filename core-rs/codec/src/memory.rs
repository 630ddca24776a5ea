//! What memory this process holds.

use std::io;

/// Sizes of a process (proc(5), statm).
#[derive(Clone, Copy, Debug)]
pub struct MemoryInUse {
    /// Of its address space.
    pub address_space_bytes: u64,
    /// Of what it may write there that is its own.
    pub data_bytes: u64,
    /// Of what is in memory, without what belongs to files and is shared.
    pub resident_bytes: u64,
}

/// What this process holds now.
///
/// # Errors
///
/// If the system does not say it.
pub fn memory_in_use() -> io::Result<MemoryInUse> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: Vec<u64> = statm.split(' ').flat_map(|n| n.trim().parse()).collect();
    let page = rustix::param::page_size() as u64;
    match pages[..] {
        [all, resident, shared, _, _, data, ..] => Ok(MemoryInUse {
            address_space_bytes: all * page,
            data_bytes: data * page,
            resident_bytes: resident.saturating_sub(shared) * page,
        }),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Lets the allocator of this process hold little that nobody uses, from now on: less than 4 MiB in each of its heaps.
///
/// On its own, glibc learns from the largest piece that was ever freed, up to 32 MiB: from then on each heap keeps twice
/// as much at its end, which [`give_back_free_memory`] does not reach, and there are eight heaps for each processor.
pub fn hold_little_free_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it sets numbers; both, because what is not set would go on as glibc begins, with 128 KiB.
    unsafe {
        // What is as large has pages of its own, which go when it is freed: what they cost is little beside the work on it.
        libc::mallopt(libc::M_MMAP_THRESHOLD, 2 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 4 << 20);
    }
}

/// Lets the allocator return what it holds and nobody uses, but for the ends of its heaps.
pub fn give_back_free_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it only releases memory that no allocation is in.
    unsafe {
        libc::malloc_trim(0);
    }
}
