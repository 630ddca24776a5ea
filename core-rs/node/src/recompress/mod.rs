//! Stored files kept in fewer bytes: native pixel data as codestreams, beside them the rest of the file as it is.
//!
//! 1. What was received comes back bit for bit: all of Bits Allocated, header, padding and what stands behind the pixel
//!    data. Nothing above [`StoredFile`](crate::StoredFile) knows in which form a file is kept.
//! 2. A form counts only after the file was read back from it and had the digest of what was received; the store has the
//!    old bytes until the new ones are durable and the index points at them.
//! 3. Metadata is read without a codec: it lies in the container as it was.
//! 4. Encapsulated pixel data is left alone, since decoding and encoding it again would not give the same codestream,
//!    unless an operator gives the originals up (`giving_up`). Then another file takes the place of what was received: the
//!    same instance with the same samples. Its record keeps digest and length of what was received, so the index is
//!    rebuilt alike, and the same file sent again is known again.

mod container;
mod giving_up;
mod recoder;
mod samples;
mod source;

use serde::{Deserialize, Serialize};
use vna_store::{BlobRef, Encoding};

pub(crate) use container::Container;
pub(crate) use giving_up::GivingUp;
pub(crate) use recoder::{Counts, Recompression};

/// How pixel data is kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The file in pieces, without regard to what they are.
    Deflate,
    /// RLE Lossless (PS3.5 §A.4.2).
    Rle,
    /// JPEG-LS Lossless (PS3.5 §A.4.3).
    JpegLs,
    /// JPEG 2000 Lossless (PS3.5 §A.4.4).
    J2k,
    /// High-Throughput JPEG 2000 Lossless (PS3.5 §A.4.9).
    Htj2k,
}

/// From here on numbers stand for files that took the place of what was received: each is a method's, added to this.
pub(crate) const FIRST_INSTEAD: Encoding = Encoding(8);

/// Whether what is kept of a blob is itself the file that is given, in the place of what was received.
pub(crate) fn is_instead(encoding: Encoding) -> bool {
    encoding >= FIRST_INSTEAD
}

/// How long the file is that a blob gives.
pub(crate) fn file_bytes(blob: &BlobRef) -> u64 {
    match is_instead(blob.encoding) {
        true => blob.stored_size,
        false => blob.size,
    }
}

impl Method {
    const ALL: [Method; 5] = [
        Method::Deflate,
        Method::Rle,
        Method::JpegLs,
        Method::J2k,
        Method::Htj2k,
    ];

    /// Reads what the settings and the command line say.
    #[must_use]
    pub fn parse(name: &str) -> Option<Method> {
        serde_json::from_value(name.into()).ok()
    }

    /// The number by which the store knows it. Never given to another: packs are full of it.
    pub(crate) fn encoding(self) -> Encoding {
        Encoding(match self {
            Method::Deflate => 1,
            Method::Rle => 2,
            Method::JpegLs => 3,
            Method::J2k => 4,
            Method::Htj2k => 5,
        })
    }

    /// The number of files in its transfer syntax that took the place of what was received.
    pub(crate) fn encoding_instead(self) -> Encoding {
        Encoding(FIRST_INSTEAD.0 + self.encoding().0)
    }

    pub(crate) fn of_encoding(encoding: Encoding) -> Option<Method> {
        Self::ALL.into_iter().find(|m| m.encoding() == encoding)
    }

    /// The transfer syntax of its codestreams; `None` if it has none.
    pub(crate) fn transfer_syntax_uid(self) -> Option<&'static str> {
        match self {
            Method::Deflate => None,
            Method::Rle => Some("1.2.840.10008.1.2.5"),
            Method::JpegLs => Some("1.2.840.10008.1.2.4.80"),
            Method::J2k => Some("1.2.840.10008.1.2.4.90"),
            Method::Htj2k => Some("1.2.840.10008.1.2.4.201"),
        }
    }
}
