//! Two buffers in memory that a helper can share.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::io::Result;
use rustix::mm::{MapFlags, ProtFlags};

/// Mappings grow by whole multiples of this, so that frames of about one size need no second one.
const STEP_BYTES: usize = 1 << 20;

/// Two buffers in a file without a name that is nowhere but in memory. Its length is fixed and sealed: a helper
/// can neither cut it below us (reading it would then be a SIGBUS) nor fill the machine's memory through it.
#[derive(Debug)]
pub(crate) struct Arena {
    file: OwnedFd,
    buffer_bytes: u64,
    buffers: [Mapping; 2],
}

impl Arena {
    /// Two buffers of up to `buffer_bytes` each, which take no memory before they are written to.
    pub(crate) fn new(buffer_bytes: u64) -> Result<Self> {
        let buffer_bytes = buffer_bytes.next_multiple_of(STEP_BYTES as u64);
        let file = rustix::fs::memfd_create(
            "vna-frames",
            MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
        )?;
        rustix::fs::ftruncate(&file, 2 * buffer_bytes)?;
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, seals)?;
        Ok(Self::over(file, buffer_bytes))
    }

    /// The buffers of an arena that another process made.
    pub(crate) fn over(file: OwnedFd, buffer_bytes: u64) -> Self {
        let buffers = [Mapping::default(), Mapping::default()];
        Arena {
            file,
            buffer_bytes,
            buffers,
        }
    }

    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Most bytes of one buffer.
    pub(crate) fn buffer_bytes(&self) -> u64 {
        self.buffer_bytes
    }

    /// Address space that the buffers take in this process.
    pub(crate) fn mapped_bytes(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.length as u64).sum()
    }

    /// Makes buffer `index` at least `length` long. What is in it stays.
    ///
    /// # Panics
    ///
    /// If `length` is beyond [`Arena::buffer_bytes`], which callers check.
    pub(crate) fn reserve(&mut self, index: usize, length: usize) -> Result<()> {
        assert!(length as u64 <= self.buffer_bytes);
        if length > self.buffers[index].length {
            let length = length.next_multiple_of(STEP_BYTES);
            let offset = index as u64 * self.buffer_bytes;
            self.buffers[index] = Mapping::new(self.file.as_fd(), offset, length)?;
        }
        Ok(())
    }

    /// Gives back the memory of all but the first `keep` bytes of each buffer.
    pub(crate) fn shrink(&mut self, keep: usize) -> Result<()> {
        let keep = keep.next_multiple_of(STEP_BYTES);
        for index in 0..2 {
            let length = self.buffers[index].length;
            if length > keep {
                let offset = index as u64 * self.buffer_bytes;
                let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                let at = offset + keep as u64;
                rustix::fs::fallocate(&self.file, hole, at, (length - keep) as u64)?;
                self.buffers[index] = Mapping::new(self.file.as_fd(), offset, keep)?;
            }
        }
        Ok(())
    }

    /// The first `length` bytes of buffer `index`, which [`Arena::reserve`] made that long.
    pub(crate) fn bytes(&self, index: usize, length: usize) -> &[u8] {
        &self.buffers[index].bytes()[..length]
    }

    /// As [`Arena::bytes`], to write.
    pub(crate) fn bytes_mut(&mut self, index: usize, length: usize) -> &mut [u8] {
        &mut self.buffers[index].bytes_mut()[..length]
    }

    /// The first `input` bytes of one buffer and the first `output` ones of the other.
    pub(crate) fn both(
        &mut self,
        input_buffer: usize,
        input: usize,
        output: usize,
    ) -> (&[u8], &mut [u8]) {
        let [first, second] = &mut self.buffers;
        let (from, to) = if input_buffer == 0 {
            (first, second)
        } else {
            (second, first)
        };
        (&from.bytes()[..input], &mut to.bytes_mut()[..output])
    }
}

/// A part of the file, mapped.
#[derive(Debug)]
struct Mapping {
    address: NonNull<u8>,
    length: usize,
}

// SAFETY: a mapping belongs to the process, not to the thread that made it, and is reached through `&self` only to read.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Default for Mapping {
    fn default() -> Self {
        Mapping {
            address: NonNull::dangling(),
            length: 0,
        }
    }
}

impl Mapping {
    fn new(file: BorrowedFd<'_>, offset: u64, length: usize) -> Result<Self> {
        if length == 0 {
            return Ok(Self::default());
        }
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses an address that is free, so no other memory is touched.
        let address = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                length,
                protection,
                MapFlags::SHARED,
                file,
                offset,
            )?
        };
        let address = NonNull::new(address.cast()).ok_or(rustix::io::Errno::NOMEM)?;
        Ok(Mapping { address, length })
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is `length` long, lives as long as `self`, and its file cannot become shorter. The
        // helper writes only between a request and its answer, while nobody here holds a slice; one that was taken
        // over might write later, which changes samples and, since they are read with bounds, nothing else.
        unsafe { std::slice::from_raw_parts(self.address.as_ptr(), self.length) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; `&mut self` keeps other slices away.
        unsafe { std::slice::from_raw_parts_mut(self.address.as_ptr(), self.length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.length > 0 {
            // SAFETY: the mapping was made by `Mapping::new` with this length, and no slice of it is left.
            let _ = unsafe { rustix::mm::munmap(self.address.as_ptr().cast(), self.length) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_a_buffer_stays_when_it_grows_and_goes_when_it_shrinks() {
        let mut arena = Arena::new(64 << 20).unwrap();
        arena.reserve(0, 100).unwrap();
        arena.bytes_mut(0, 100).fill(7);
        arena.reserve(0, 40 << 20).unwrap();
        assert_eq!(arena.bytes(0, 100), [7; 100]);
        arena.bytes_mut(0, 40 << 20).fill(9);
        arena.shrink(STEP_BYTES).unwrap();
        assert_eq!(arena.mapped_bytes(), STEP_BYTES as u64);
        arena.reserve(0, 40 << 20).unwrap();
        let bytes = arena.bytes(0, 40 << 20);
        assert!(bytes[..STEP_BYTES].iter().all(|byte| *byte == 9));
        assert!(bytes[STEP_BYTES..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn two_buffers_do_not_overlap() {
        let mut arena = Arena::new(1 << 20).unwrap();
        for index in 0..2 {
            arena.reserve(index, 1 << 20).unwrap();
            arena
                .bytes_mut(index, 1 << 20)
                .fill(1 + u8::try_from(index).unwrap());
        }
        let (input, output) = arena.both(1, 1 << 20, 1 << 20);
        assert!(input.iter().all(|byte| *byte == 2));
        assert!(output.iter().all(|byte| *byte == 1));
    }

    #[test]
    fn who_shares_an_arena_cannot_change_its_length() {
        let arena = Arena::new(1 << 20).unwrap();
        assert!(rustix::fs::ftruncate(arena.file(), 0).is_err());
        assert!(rustix::fs::ftruncate(arena.file(), 1 << 40).is_err());
    }
}
