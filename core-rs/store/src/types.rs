//! What goes into the log and comes out of it.

use std::fmt;

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::blobs::FinishedBlob;

/// The position of a record in the log: grows with every record, is never used twice, has holes.
/// The first record has 1.
pub type Lsn = u64;

/// The name of a blob: 16 random bytes, never given to another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobKey(pub [u8; 16]);

impl BlobKey {
    /// Reads what [`Display`](fmt::Display) prints: 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<BlobKey> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = u128::from_str_radix(text, 16).ok().filter(|_| is_hex)?;
        Some(BlobKey(value.to_be_bytes()))
    }
}

impl fmt::Display for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobKey({self})")
    }
}

/// XXH3-128 of a blob's bytes, in the canonical (big endian) order. It finds damage, not forgery.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(xxh3_128(bytes).to_be_bytes())
    }

    /// The digest of all of `parts`, one behind the other.
    pub fn of_parts(parts: &[&[u8]]) -> Digest {
        if let [part] = parts {
            return Digest::of(part); // the one-shot form is faster
        }
        let mut digester = Digester::new();
        for part in parts {
            digester.update(part);
        }
        digester.finish()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({:032x})", u128::from_be_bytes(self.0))
    }
}

/// Computes a [`Digest`] of bytes that come in pieces.
#[derive(Clone, Default)]
pub struct Digester(Box<Xxh3>);

impl Digester {
    /// A digester that has seen nothing.
    pub fn new() -> Digester {
        Digester::default()
    }

    /// Adds the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all pieces so far.
    pub fn finish(&self) -> Digest {
        Digest(self.0.digest128().to_be_bytes())
    }
}

/// The form in which a blob is kept. The store knows what [`Encoding::PLAIN`] means; the others are its caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Encoding(pub u8);

impl Encoding {
    /// The bytes of the blob as they came.
    pub const PLAIN: Encoding = Encoding(0);
    /// The last one that can be used.
    pub const LAST: Encoding = Encoding(15);

    /// All that can be used.
    pub fn all() -> impl Iterator<Item = Encoding> {
        (Self::PLAIN.0..=Self::LAST.0).map(Encoding)
    }
}

/// Where a blob's record lies, and with it the blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The bytes are in the record.
    Segment {
        /// The segment's id.
        segment: u64,
        /// Offset of the record in it, in bytes.
        offset: u64,
    },
    /// The bytes are a file of their own, named by the key; the record only refers to it.
    File {
        /// The segment's id.
        segment: u64,
        /// Offset of the record in it, in bytes.
        offset: u64,
    },
}

impl Place {
    /// The segment that holds the record.
    pub fn segment(&self) -> u64 {
        match self {
            Place::Segment { segment, .. } | Place::File { segment, .. } => *segment,
        }
    }

    /// The offset of the record in its segment, in bytes.
    pub fn offset(&self) -> u64 {
        match self {
            Place::Segment { offset, .. } | Place::File { offset, .. } => *offset,
        }
    }

    /// As two integers for a row: segment and offset; the segment's complement for a file, so that
    /// its sign tells them apart.
    ///
    /// # Panics
    ///
    /// If segment or offset exceed `i64::MAX`, which no log that fits on a disk reaches.
    pub fn to_columns(self) -> (i64, i64) {
        let as_i64 = |value| i64::try_from(value).expect("segment ids and offsets fit 63 bits");
        match self {
            Place::Segment { segment, offset } => (as_i64(segment), as_i64(offset)),
            Place::File { segment, offset } => (!as_i64(segment), as_i64(offset)),
        }
    }

    /// The inverse of [`to_columns`](Place::to_columns); `None` if the offset is negative.
    pub fn from_columns(segment: i64, offset: i64) -> Option<Place> {
        let offset = u64::try_from(offset).ok()?;
        Some(match u64::try_from(segment) {
            Ok(segment) => Place::Segment { segment, offset },
            Err(_) => Place::File {
                segment: u64::try_from(!segment).ok()?,
                offset,
            },
        })
    }
}

/// All that is needed to read a blob and to know that it is the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlobRef {
    /// Its name.
    pub key: BlobKey,
    /// Where it is.
    pub place: Place,
    /// Its length in bytes, in whatever form it is kept.
    pub size: u64,
    /// The digest of its bytes, in whatever form they are kept.
    pub digest: Digest,
    /// The form in which it is kept.
    pub encoding: Encoding,
    /// Length in bytes of what is kept.
    pub stored_size: u64,
}

/// What a record is about. The store gives a meaning only to its own kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecordKind(pub u8);

impl RecordKind {
    /// An object arrived.
    pub const ARRIVAL: RecordKind = RecordKind(1);
    /// A resource was deleted.
    pub const DELETE: RecordKind = RecordKind(2);
    /// What deletions kept for a while goes now.
    pub const ERASE: RecordKind = RecordKind(3);
    /// Something happened to the archive itself, such as a repair; nothing follows from it.
    pub const REMARK: RecordKind = RecordKind(4);
    /// A resource got a note (a label, metadata, an attachment); the blob is what it says, and lives as long as the
    /// resource has it.
    pub const NOTE: RecordKind = RecordKind(5);
    /// A resource lost a note.
    pub const UNNOTE: RecordKind = RecordKind(6);
    /// A note is recorded once more, before bytes go that stood for it. Since space comes back behind it, it may use
    /// the reserve, as deletions may.
    pub const NOTE_AGAIN: RecordKind = RecordKind(7);
    /// Something happened to a resource that its change feed tells; the blob lives as long as the feed has it.
    pub const EVENT: RecordKind = RecordKind(16);
    /// Kinds from here on are the store's own.
    pub const FIRST_RESERVED: RecordKind = RecordKind(0xF0);
}

/// A record to append.
#[derive(Clone, Copy)]
pub struct NewRecord<'a> {
    /// What it is about; below [`RecordKind::FIRST_RESERVED`].
    pub kind: RecordKind,
    /// Bytes that the store does not look into: who, how, when, which policy.
    pub header: &'a [u8],
    /// The blob that came with it.
    pub body: Body<'a>,
}

/// The blob of a record to append.
#[derive(Clone, Copy)]
pub enum Body<'a> {
    /// No blob: the record is a deed, such as a deletion.
    None,
    /// A blob that goes into the log: all parts, one behind the other.
    Bytes {
        /// The bytes.
        parts: &'a [&'a [u8]],
        /// [`Digest::of_parts`] of them, computed by the caller so that the one thread that
        /// appends need not.
        digest: Digest,
    },
    /// A blob that has its own file.
    File(&'a FinishedBlob),
}

/// What became of an appended record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its position.
    pub lsn: Lsn,
    /// Its blob.
    pub blob: Option<BlobRef>,
}

/// A record as it is read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its position.
    pub lsn: Lsn,
    /// What it is about.
    pub kind: RecordKind,
    /// The bytes given as [`NewRecord::header`].
    pub header: &'a [u8],
    /// Its blob.
    pub blob: Option<BlobRef>,
}
