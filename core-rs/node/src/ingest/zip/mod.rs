//! ZIP archives (APPNOTE.TXT of PKWARE, 6.3.10), read by positioned reads: the directory at the end tells where each
//! entry is.
//!
//! (1) Nothing is sized by what an archive says: the directory is read piece by piece, and of an entry no more comes
//!     out than the directory says, and no more than `uploads.max_ratio` allows.
//! (2) Entries do not overlap: each ends before the next one begins, so an archive makes no more of its bytes than
//!     all of its entries do.
//! (3) A name is told to people and never used as a path.

mod directory;
mod entry;

pub(super) use directory::Zip;

use super::error::UploadError;

fn invalid(problem: impl Into<String>) -> UploadError {
    UploadError::Zip {
        code: "zip.invalid",
        problem: problem.into(),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
