//! The structures of a ZIP archive that is written from its beginning to its end (APPNOTE.TXT of PKWARE, 6.3.10).
//!
//! 1. What was given is never gone back to: sizes that are not known before the data follow it.
//! 2. The directory waits in a spool, so what is held does not grow with the number of entries.
//! 3. Numbers that do not fit 32 or 16 bits are written in ZIP64 (§4.5.3), and only those: readers that do not know it read
//!    whatever is small enough for them.

use vna_dicom::ReadAt;

use crate::error::ArchiveError;
use crate::transcode::{Spool, SpoolSettings};

const LOCAL_HEADER: u32 = 0x0403_4B50;
const DATA_DESCRIPTOR: u32 = 0x0807_4B50;
const CENTRAL_HEADER: u32 = 0x0201_4B50;
const END_OF_DIRECTORY: u32 = 0x0605_4B50;
const ZIP64_END: u32 = 0x0606_4B50;
const ZIP64_LOCATOR: u32 = 0x0706_4B50;

/// CRC and sizes follow the data (§4.4.4, bit 3).
const SIZES_FOLLOW: u16 = 1 << 3;
/// The name is UTF-8 (§4.4.4, bit 11).
const UTF_8: u16 = 1 << 11;

/// Versions that readers need: 2.0 for deflate and folders, 4.5 for ZIP64.
const PLAIN_VERSION: u16 = 20;
const ZIP64_VERSION: u16 = 45;
/// Unix made it, so that attributes are those of a file that its owner may write and all may read.
const UNIX: u16 = 3 << 8;
const REGULAR_FILE: u32 = 0o100_644 << 16;

const ZIP64_FIELD: u16 = 1;
const IN_ZIP64: u32 = u32::MAX;

/// From here on the sizes of an entry are written in ZIP64 if they are not known before it: deflate adds a little.
const MAY_BE_LARGE: u64 = u32::MAX as u64 - (64 << 20);

/// How the bytes of an entry are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Method {
    Stored,
    Deflated,
}

impl Method {
    const fn number(self) -> u16 {
        match self {
            Method::Stored => 0,
            Method::Deflated => 8,
        }
    }
}

/// What an entry has, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sizes {
    pub crc: u32,
    pub packed: u64,
    pub plain: u64,
}

/// What is known of an entry before its data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ahead {
    /// All of it.
    Sizes(Sizes),
    /// That it has about so many bytes; `None` if not even that.
    About(Option<u64>),
}

/// An entry that has begun.
struct Open {
    name: String,
    method: Method,
    moment: [u8; 4],
    at: u64,
    ahead: Option<Sizes>,
    large: bool,
}

/// Writes headers, descriptors and the directory; the data between them goes past it.
pub(super) struct ZipWriter {
    directory: Spool,
    entries: u64,
    /// Bytes given so far.
    at: u64,
    open: Option<Open>,
}

impl ZipWriter {
    pub fn new(spool: &SpoolSettings) -> Self {
        ZipWriter {
            directory: Spool::new(spool),
            entries: 0,
            at: 0,
            open: None,
        }
    }

    /// Begins an entry that was last changed at `moment_us`.
    pub fn begin(&mut self, name: String, method: Method, moment_us: i64, ahead: Ahead) -> Vec<u8> {
        let (sizes, large) = match ahead {
            Ahead::Sizes(sizes) => (Some(sizes), false),
            Ahead::About(bytes) => (None, bytes.is_none_or(|bytes| bytes >= MAY_BE_LARGE)),
        };
        let open = Open {
            at: self.at,
            name,
            method,
            moment: dos_moment(moment_us),
            ahead: sizes,
            large,
        };
        let mut out = Vec::with_capacity(64 + open.name.len());
        put32(&mut out, LOCAL_HEADER);
        put16(&mut out, if large { ZIP64_VERSION } else { PLAIN_VERSION });
        open.put_common(&mut out);
        let Sizes { crc, packed, plain } = sizes.unwrap_or(Sizes {
            crc: 0,
            packed: 0,
            plain: 0,
        });
        put32(&mut out, crc);
        // Sizes of what is known before are small: it was held in memory.
        put32(&mut out, if large { IN_ZIP64 } else { low32(packed) });
        put32(&mut out, if large { IN_ZIP64 } else { low32(plain) });
        put16(&mut out, short(open.name.len()));
        put16(&mut out, if large { 20 } else { 0 });
        out.extend_from_slice(open.name.as_bytes());
        if large {
            put16(&mut out, ZIP64_FIELD);
            put16(&mut out, 16);
            put64(&mut out, 0);
            put64(&mut out, 0);
        }
        self.at += out.len() as u64;
        self.open = Some(open);
        out
    }

    /// Takes note of data that was given.
    pub fn passed(&mut self, bytes: usize) {
        self.at += bytes as u64;
    }

    /// Ends the entry that has begun; gives what follows its data.
    ///
    /// # Errors
    ///
    /// Those of the spool.
    pub fn end(&mut self, sizes: Sizes) -> Result<Vec<u8>, ArchiveError> {
        let Some(open) = self.open.take() else {
            return Ok(Vec::new());
        };
        let mut out = Vec::new();
        if open.ahead.is_none() {
            put32(&mut out, DATA_DESCRIPTOR);
            put32(&mut out, sizes.crc);
            for size in [sizes.packed, sizes.plain] {
                if open.large {
                    put64(&mut out, size);
                } else {
                    put32(&mut out, low32(size));
                }
            }
        }
        self.directory.append(&open.central_header(sizes))?;
        self.entries += 1;
        self.at += out.len() as u64;
        Ok(out)
    }

    /// How many bytes the directory has.
    pub fn directory_bytes(&self) -> u64 {
        self.directory.size()
    }

    /// A piece of the directory; empty at its end.
    ///
    /// # Errors
    ///
    /// Those of the spool.
    pub fn directory(&self, offset: u64, most: usize) -> Result<Vec<u8>, ArchiveError> {
        let left = usize::try_from(self.directory.size() - offset).unwrap_or(usize::MAX);
        let mut piece = vec![0; most.min(left)];
        self.directory.read_at(&mut piece, offset)?;
        Ok(piece)
    }

    /// What stands behind the directory.
    pub fn trailer(&self) -> Vec<u8> {
        let (bytes, entries) = (self.directory.size(), self.entries);
        let mut out = Vec::with_capacity(98);
        let fits = u32::try_from(self.at).is_ok_and(|at| at != IN_ZIP64)
            && u32::try_from(bytes).is_ok()
            && entries < u64::from(u16::MAX);
        if !fits {
            put32(&mut out, ZIP64_END);
            put64(&mut out, 44); // bytes that follow
            put16(&mut out, UNIX | ZIP64_VERSION);
            put16(&mut out, ZIP64_VERSION);
            put32(&mut out, 0); // this disk
            put32(&mut out, 0); // disk of the directory
            put64(&mut out, entries); // on this disk
            put64(&mut out, entries);
            put64(&mut out, bytes);
            put64(&mut out, self.at);
            put32(&mut out, ZIP64_LOCATOR);
            put32(&mut out, 0); // disk of the record above
            put64(&mut out, self.at + bytes);
            put32(&mut out, 1); // disks
        }
        put32(&mut out, END_OF_DIRECTORY);
        put16(&mut out, 0);
        put16(&mut out, 0);
        let number = if fits { short_of(entries) } else { u16::MAX };
        put16(&mut out, number);
        put16(&mut out, number);
        put32(&mut out, if fits { low32(bytes) } else { IN_ZIP64 });
        put32(&mut out, if fits { low32(self.at) } else { IN_ZIP64 });
        put16(&mut out, 0); // comment
        out
    }
}

impl Open {
    /// What local and central header have alike behind the version: flags, method, time.
    fn put_common(&self, out: &mut Vec<u8>) {
        let follow = if self.ahead.is_none() {
            SIZES_FOLLOW
        } else {
            0
        };
        let utf8 = if self.name.is_ascii() { 0 } else { UTF_8 };
        put16(out, follow | utf8);
        put16(out, self.method.number());
        out.extend_from_slice(&self.moment);
    }

    fn central_header(&self, sizes: Sizes) -> Vec<u8> {
        let mut extra = Vec::new();
        let mut number = |value: u64| match u32::try_from(value) {
            Ok(number) if number != IN_ZIP64 => number,
            _ => {
                put64(&mut extra, value);
                IN_ZIP64
            }
        };
        // In the order of §4.5.3.
        let (plain, packed, at) = (number(sizes.plain), number(sizes.packed), number(self.at));
        let is_large = self.large || !extra.is_empty();
        let version = if is_large {
            ZIP64_VERSION
        } else {
            PLAIN_VERSION
        };
        let mut out = Vec::with_capacity(80 + self.name.len());
        put32(&mut out, CENTRAL_HEADER);
        put16(&mut out, UNIX | version);
        put16(&mut out, version);
        self.put_common(&mut out);
        put32(&mut out, sizes.crc);
        put32(&mut out, packed);
        put32(&mut out, plain);
        put16(&mut out, short(self.name.len()));
        put16(
            &mut out,
            if extra.is_empty() {
                0
            } else {
                short(extra.len() + 4)
            },
        );
        put16(&mut out, 0); // comment
        put16(&mut out, 0); // disk
        put16(&mut out, 0); // internal attributes
        put32(&mut out, REGULAR_FILE);
        put32(&mut out, at);
        out.extend_from_slice(self.name.as_bytes());
        if !extra.is_empty() {
            put16(&mut out, ZIP64_FIELD);
            put16(&mut out, short(extra.len()));
            out.extend_from_slice(&extra);
        }
        out
    }
}

/// Time and date as MS-DOS has them (§4.4.6), of microseconds of UTC.
fn dos_moment(us: i64) -> [u8; 4] {
    let text = vna_index::moment(us); // yyyymmddThhmmss
    let number = |from: usize, to: usize| text.get(from..to).and_then(|n| n.parse::<u16>().ok());
    let fields = [(0, 4), (4, 6), (6, 8), (9, 11), (11, 13), (13, 15)];
    let [year, month, day, hour, minute, second] =
        fields.map(|(from, to)| number(from, to).unwrap_or(0));
    if text.len() != 15 || !(1980..=2107).contains(&year) {
        return [0, 0, 0x21, 0]; // 1 January 1980
    }
    let time = (hour << 11) | (minute << 5) | (second / 2);
    let date = ((year - 1980) << 9) | (month << 5) | day;
    let ([a, b], [c, d]) = (time.to_le_bytes(), date.to_le_bytes());
    [a, b, c, d]
}

fn low32(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(IN_ZIP64)
}

fn short(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

fn short_of(number: u64) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

fn put16(out: &mut Vec<u8>, number: u16) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put32(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes {
        crc: 7,
        packed: 3,
        plain: 5,
    };

    fn writer() -> ZipWriter {
        ZipWriter::new(&SpoolSettings::default())
    }

    fn entry(zip: &mut ZipWriter, name: &str, ahead: Ahead, sizes: Sizes) -> (Vec<u8>, Vec<u8>) {
        let head = zip.begin(name.to_owned(), Method::Deflated, 0, ahead);
        zip.passed(3);
        let tail = zip.end(sizes).unwrap();
        (head, tail)
    }

    #[test]
    fn sizes_stand_before_the_data_or_follow_it() {
        let mut zip = writer();
        let (head, tail) = entry(&mut zip, "a", Ahead::Sizes(SIZES), SIZES);
        assert_eq!((head.len(), tail.len()), (31, 0));
        assert_eq!(head[6..8], [0, 0]);
        let (head, tail) = entry(&mut zip, "b", Ahead::About(Some(5)), SIZES);
        assert_eq!((head.len(), tail.len()), (31, 16));
        assert_eq!(head[6..8], SIZES_FOLLOW.to_le_bytes());
        let (head, tail) = entry(&mut zip, "é", Ahead::About(None), SIZES);
        assert_eq!((head.len(), tail.len()), (30 + 2 + 20, 24));
        assert_eq!(head[6..8], (SIZES_FOLLOW | UTF_8).to_le_bytes());
    }

    #[test]
    fn only_what_does_not_fit_is_in_zip64() {
        let mut zip = writer();
        entry(&mut zip, "a", Ahead::Sizes(SIZES), SIZES);
        assert_eq!(zip.directory_bytes(), 47);
        assert_eq!(zip.trailer().len(), 22);
        let large = Sizes {
            plain: 1 << 32,
            ..SIZES
        };
        entry(&mut zip, "a", Ahead::About(Some(large.plain)), large);
        assert_eq!(zip.directory_bytes(), 47 + 47 + 12);
        zip.at += 1 << 32;
        assert_eq!(zip.trailer().len(), 22 + 56 + 20);
    }

    #[test]
    fn as_many_entries_as_16_bits_cannot_count_are_counted_in_zip64() {
        let mut zip = writer();
        for _ in 0..0xFFFE {
            entry(&mut zip, "a", Ahead::Sizes(SIZES), SIZES);
        }
        assert_eq!(zip.trailer().len(), 22);
        entry(&mut zip, "a", Ahead::Sizes(SIZES), SIZES);
        assert_eq!(zip.trailer().len(), 22 + 56 + 20);
    }

    #[test]
    fn moments_are_those_of_dos_as_far_as_it_has_them() {
        let date = |[_, _, low, high]: [u8; 4]| u16::from_le_bytes([low, high]);
        assert_eq!(date(dos_moment(0)), 0x21);
        assert_eq!(date(dos_moment(i64::MAX)), 0x21);
        let one = dos_moment(1_795_348_551_000_000); // 2026-11-22 11:55:51
        assert_eq!(date(one), 46 << 9 | 11 << 5 | 22);
        assert_eq!(
            u16::from_le_bytes([one[0], one[1]]),
            11 << 11 | 55 << 5 | 25
        );
    }
}
