//! What a JPEG codestream says of itself (ISO/IEC 10918-1 Annex B), read before the library allocates anything for it.

use std::borrow::Cow;

use super::corrupt;
use crate::{CodecError, Photometric};

/// One component of the frame header.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Component {
    pub id: u8,
    pub horizontal: u8,
    pub vertical: u8,
}

/// The markers before and between the scans.
#[derive(Debug)]
pub(super) struct Header<'a> {
    /// From SOI on.
    pub codestream: Cow<'a, [u8]>,
    pub lossless: bool,
    /// Of the frame header: 0 for the baseline, 2 for progressive codestreams (ISO/IEC 10918-1 §B.1.1.3).
    pub process: u8,
    pub precision: u8,
    pub rows: u16,
    pub columns: u16,
    pub components: Vec<Component>,
    /// Huffman tables of DC coefficients and of differences.
    pub tables: [Option<TableSpec<'a>>; 4],
    /// In minimum coded units; 0 for none.
    pub restart_interval: usize,
    pub first_scan: Scan,
    jfif: bool,
    adobe_transform: Option<u8>,
}

/// A Huffman table as DHT has it: how many codes there are of 1 to 16 bits, and what they mean.
#[derive(Clone, Copy, Debug)]
pub(super) struct TableSpec<'a> {
    pub counts: &'a [u8; 16],
    pub values: &'a [u8],
}

/// A scan header.
#[derive(Clone, Default, Debug)]
pub(super) struct Scan {
    /// Of each component its name and the number of its table.
    pub components: Vec<(u8, u8)>,
    /// Selection value of lossless codestreams.
    pub predictor: u8,
    pub point_transform: u8,
    /// Where the entropy-coded data begins.
    pub data_at: usize,
}

/// More scans than any writer makes: three components of 64 coefficients by themselves.
pub(super) const MAX_SCANS: usize = 256;

mod marker {
    pub const SOI: u8 = 0xD8;
    pub const EOI: u8 = 0xD9;
    pub const SOS: u8 = 0xDA;
    pub const DHT: u8 = 0xC4;
    pub const DRI: u8 = 0xDD;
    pub const APP0: u8 = 0xE0;
    pub const APP14: u8 = 0xEE;
    pub const TEM: u8 = 0x01;
}

impl<'a> Header<'a> {
    /// Reads the markers. `rows` is what the data set says: some codestreams tell it only behind the first scan (DNL).
    pub(super) fn read(bytes: &'a [u8], rows: u32) -> Result<Self, CodecError> {
        let bytes =
            from_start_of_image(bytes).ok_or_else(|| corrupt("it has no start of image".into()))?;
        let mut header = Header {
            codestream: Cow::Borrowed(bytes),
            lossless: false,
            process: 0,
            precision: 0,
            rows: 0,
            columns: 0,
            components: Vec::new(),
            tables: [None; 4],
            restart_interval: 0,
            first_scan: Scan::default(),
            jfif: false,
            adobe_transform: None,
        };
        let mut scanned = Vec::new();
        let mut scans = 0;
        let mut segments = Segments { bytes, at: 2 };
        while let Some(Segment {
            code,
            at,
            bytes: segment,
        }) = segments.next()?
        {
            match code {
                0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                    header.read_frame(code, segment)?;
                    if header.rows == 0 {
                        header.set_rows(at, rows)?;
                    }
                }
                marker::APP0 => header.jfif |= segment.starts_with(b"JFIF\0"),
                marker::APP14 if segment.starts_with(b"Adobe") => {
                    header.adobe_transform = segment.get(11).copied();
                }
                marker::DHT if scans == 0 => header.read_tables(segment)?,
                marker::DRI if scans == 0 && segment.len() >= 2 => {
                    header.restart_interval = u16::from_be_bytes([segment[0], segment[1]]).into();
                }
                marker::SOS => {
                    let scan = header.read_scan(segment, segments.at)?;
                    scanned.extend(scan.components.iter().map(|(id, _)| *id));
                    if scans == 0 {
                        header.first_scan = scan;
                    }
                    scans += 1;
                    let all = |component: &Component| scanned.contains(&component.id);
                    // A scan of all components is the only one, unless they are refined by others: the library looks after that.
                    if header.components.iter().all(all) {
                        return Ok(header);
                    }
                    if scans > MAX_SCANS {
                        return Err(corrupt(format!("more than {MAX_SCANS} scans")));
                    }
                    segments.skip_scan();
                }
                _ => {}
            }
        }
        Err(corrupt("it ends before all its components".into()))
    }

    fn read_frame(&mut self, code: u8, segment: &[u8]) -> Result<(), CodecError> {
        if !matches!(code, 0xC0..=0xC3 | 0xC9 | 0xCA) {
            return Err(CodecError::Unsupported {
                what: format!("JPEG of process SOF{}", code - 0xC0),
            });
        }
        if !self.components.is_empty() {
            return Err(corrupt("it has two frame headers".into()));
        }
        let &[precision, r0, r1, c0, c1, count, ref components @ ..] = segment else {
            return Err(corrupt("its frame header is cut off".into()));
        };
        let components = components
            .get(..usize::from(count) * 3)
            .ok_or_else(|| corrupt("its frame header is cut off".into()))?;
        self.lossless = code == 0xC3;
        self.process = code - 0xC0;
        self.precision = precision;
        self.rows = u16::from_be_bytes([r0, r1]);
        self.columns = u16::from_be_bytes([c0, c1]);
        let component = |three: &[u8]| Component {
            id: three[0],
            horizontal: three[1] >> 4,
            vertical: three[1] & 15,
        };
        self.components = components.chunks_exact(3).map(component).collect();
        if self.components.is_empty() {
            return Err(corrupt("it has no components".into()));
        }
        Ok(())
    }

    /// The library does not read DNL: it gets a codestream that says its rows where it looks for them.
    fn set_rows(&mut self, segment_at: usize, rows: u32) -> Result<(), CodecError> {
        let rows = u16::try_from(rows).map_err(|_| corrupt("it does not say its rows".into()))?;
        let place = &mut self.codestream.to_mut()[segment_at + 1..segment_at + 3];
        place.copy_from_slice(&rows.to_be_bytes());
        self.rows = rows;
        Ok(())
    }

    /// The tables of DHT; those of AC coefficients are passed over.
    fn read_tables(&mut self, segment: &'a [u8]) -> Result<(), CodecError> {
        let mut rest = segment;
        while let Some((&kind, behind)) = rest.split_first() {
            let cut_off = || corrupt("a Huffman table is cut off".into());
            let (counts, behind) = behind.split_first_chunk::<16>().ok_or_else(cut_off)?;
            let values = counts.iter().map(|count| usize::from(*count)).sum();
            let (values, behind) = behind.split_at_checked(values).ok_or_else(cut_off)?;
            if let Some(table) = self.tables.get_mut(usize::from(kind)) {
                *table = Some(TableSpec { counts, values });
            }
            rest = behind;
        }
        Ok(())
    }

    /// A scan header, whose data begins at `data_at`.
    fn read_scan(&self, segment: &[u8], data_at: usize) -> Result<Scan, CodecError> {
        if self.components.is_empty() {
            return Err(corrupt("a scan comes before the frame header".into()));
        }
        let cut_off = || corrupt("a scan header is cut off".into());
        let (count, rest) = segment.split_first().ok_or_else(cut_off)?;
        let (components, rest) = rest
            .split_at_checked(2 * usize::from(*count))
            .ok_or_else(cut_off)?;
        let &[predictor, _, point_transform, ..] = rest else {
            return Err(cut_off());
        };
        Ok(Scan {
            components: components
                .chunks_exact(2)
                .map(|two| (two[0], two[1] >> 4))
                .collect(),
            predictor,
            point_transform: point_transform & 15,
            data_at,
        })
    }

    /// Whether three components are YCbCr, by what is hardest to have been written by mistake.
    ///
    /// Lossless codestreams have the components as they were given, so the data set knows what they are. Of a lossy one the
    /// encoder knew: an Adobe marker tells it, JFIF has no other, names tell it, and RGB is never subsampled.
    /// Only else the data set is believed, whose Photometric Interpretation is often that of the samples before compression.
    pub(super) fn is_ycbcr(&self, photometric: Photometric) -> bool {
        let by_data_set = !matches!(photometric, Photometric::Rgb);
        if self.lossless {
            return by_data_set;
        }
        if let Some(transform) = self.adobe_transform {
            return transform != 0;
        }
        if self.jfif {
            return true;
        }
        let ids: Vec<u8> = self
            .components
            .iter()
            .map(|component| component.id)
            .collect();
        if ids == *b"RGB" || ids == *b"rgb" {
            return false;
        }
        let sampling = |component: &Component| (component.horizontal, component.vertical);
        let first = self.components.first().map(sampling);
        if self
            .components
            .iter()
            .any(|component| Some(sampling(component)) != first)
        {
            return true;
        }
        by_data_set
    }
}

/// From SOI on: some writers put other bytes before it, or a second one.
pub(crate) fn from_start_of_image(bytes: &[u8]) -> Option<&[u8]> {
    let start = bytes
        .windows(4)
        .position(|four| four[..3] == [0xFF, marker::SOI, 0xFF] && four[3] != marker::SOI)?;
    Some(&bytes[start..])
}

/// A marker with its parameters, which begin at byte `at`.
struct Segment<'a> {
    code: u8,
    at: usize,
    bytes: &'a [u8],
}

/// Marker segments, one after the other.
struct Segments<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Segments<'a> {
    /// The next one; `None` at EOI, or at the end where there is none.
    fn next(&mut self) -> Result<Option<Segment<'a>>, CodecError> {
        loop {
            // Fill bytes and what writers leave between segments are passed over.
            let Some(skipped) = self.bytes[self.at..].iter().position(|byte| *byte == 0xFF) else {
                return Ok(None);
            };
            self.at += skipped + 1;
            let code = match self.bytes.get(self.at) {
                None | Some(&marker::EOI) => return Ok(None),
                Some(0 | 0xFF) => continue,
                Some(code) => *code,
            };
            self.at += 1;
            if matches!(code, marker::TEM | 0xD0..=marker::SOI) {
                continue;
            }
            let cut_off = || corrupt(format!("its segment FF{code:02X} is cut off"));
            let length = self.bytes.get(self.at..self.at + 2).ok_or_else(cut_off)?;
            let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
            let at = self.at + 2;
            let end = self.at + length;
            let bytes = self.bytes.get(at..end).ok_or_else(cut_off)?;
            self.at = end;
            return Ok(Some(Segment { code, at, bytes }));
        }
    }

    /// Passes over the entropy-coded data behind SOS.
    fn skip_scan(&mut self) {
        while let Some(found) = self.bytes[self.at..].iter().position(|byte| *byte == 0xFF) {
            self.at += found;
            match self.bytes.get(self.at + 1) {
                Some(0 | 0xD0..=0xD7) => self.at += 2,
                Some(0xFF) => self.at += 1,
                Some(_) => return,
                None => break,
            }
        }
        self.at = self.bytes.len();
    }
}
