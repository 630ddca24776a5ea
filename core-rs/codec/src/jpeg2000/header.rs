//! What a JPEG 2000 codestream says of itself (ISO/IEC 15444-1 Annex A, 15444-15), read before a library gets it.
//!
//! The libraries size memory by tiles, precincts and layers as well as by pixels; here each of them is bounded, and
//! a codestream that ends too early is refused, so that nothing half decoded is shown.

use std::borrow::Cow;
use std::ops::Range;

use super::corrupt;
use crate::CodecError;

const SOC: u16 = 0xFF4F;
const SIZ: u16 = 0xFF51;
const COD: u16 = 0xFF52;
const COC: u16 = 0xFF53;
const SOT: u16 = 0xFF90;
const SOD: u16 = 0xFF93;
const EOC: u16 = 0xFFD9;
const QCD: u16 = 0xFF5C;
const QCC: u16 = 0xFF5D;
const RGN: u16 = 0xFF5E;
const POC: u16 = 0xFF5F;
const PPM: u16 = 0xFF60;
const PLT: u16 = 0xFF58;
const COM: u16 = 0xFF64;

/// Quantisation of all subbands from that of the lowest (ISO/IEC 15444-1 Table A.28).
const DERIVED: u8 = 1;

const JP2_SIGNATURE: &[u8] = b"\0\0\0\x0CjP  \r\n\x87\n";

/// Samples per Pixel goes to 4 (PS3.3 §C.7.6.3.1.1).
const MAX_COMPONENTS: usize = 4;
/// Decomposition levels (ISO/IEC 15444-1 Table A.15).
const MAX_LEVELS: u8 = 32;
/// A tile costs a library some 10 kB whatever its size, a precinct 1 kB: so many are free, more must have some pixels
/// each.
const FREE_TILES: u64 = 1024;
const PIXELS_OF_A_TILE: u64 = 1024;
const FREE_PRECINCTS: u64 = 1 << 16;
const PIXELS_OF_A_PRECINCT: u64 = 64;

/// One component (ISO/IEC 15444-1 §A.5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Component {
    /// Bits of a sample.
    pub(super) precision: u8,
    pub(super) signed: bool,
    /// Of so many columns and rows one has samples.
    pub(super) every: (u8, u8),
}

/// The headers of a codestream.
#[derive(Clone, Debug)]
pub(super) struct Header {
    /// First and last column and row of the image on the reference grid, the last excluded.
    pub(super) left: u32,
    pub(super) top: u32,
    pub(super) right: u32,
    pub(super) bottom: u32,
    pub(super) components: Vec<Component>,
    /// Whether the first three components went through RCT or ICT.
    pub(super) colour_transform: bool,
    /// Whether all code-blocks are as Part 15 has them, and nothing is in the headers that OpenJPH does not know: several
    /// layers, derived quantisation, regions of interest, packet headers elsewhere, tiles that differ.
    pub(super) high_throughput: bool,
    tile_left: u32,
    tile_top: u32,
    tile_width: u32,
    tile_height: u32,
    /// Where the last tile-part ends, if no EOC is there.
    end_without_eoc: Option<usize>,
}

/// How a component of a tile is cut into packets: what COD and COC say.
#[derive(Clone, Debug)]
struct Coding {
    layers: u64,
    levels: u8,
    /// Logarithms of width and height of the precincts of each resolution; of the missing ones 15.
    precincts: Vec<u8>,
}

/// The style of code-blocks.
#[derive(Clone, Copy)]
struct BlockStyle {
    style: u8,
    /// Logarithms of width and height, less 2.
    size: (u8, u8),
}

impl BlockStyle {
    /// For OpenJPH, which takes much memory for the smallest blocks.
    fn is_high_throughput(self) -> bool {
        self.style & 0xC0 == 0x40 && self.size.0 >= 2 && self.size.1 >= 2
    }
}

/// The tile-parts of one tile.
#[derive(Clone, Copy, Default)]
struct TileParts {
    found: u16,
    /// Zero as long as none has said it.
    announced: u8,
}

impl Header {
    /// The codestream that this header was read of, with the EOC that some devices forget.
    pub(super) fn completed<'a>(&self, codestream: &'a [u8]) -> Cow<'a, [u8]> {
        match self.end_without_eoc {
            None => codestream.into(),
            Some(end) => [&codestream[..end], &EOC.to_be_bytes()].concat().into(),
        }
    }

    /// Columns and rows of the image.
    pub(super) fn size(&self) -> (u32, u32) {
        (self.right - self.left, self.bottom - self.top)
    }

    /// Columns that `component` has samples of, counted in its samples.
    pub(super) fn columns_of(&self, component: usize) -> Range<u32> {
        let every = u32::from(self.components[component].every.0);
        self.left.div_ceil(every)..self.right.div_ceil(every)
    }

    /// Rows that `component` has samples of, counted in its samples.
    pub(super) fn rows_of(&self, component: usize) -> Range<u32> {
        let every = u32::from(self.components[component].every.1);
        self.top.div_ceil(every)..self.bottom.div_ceil(every)
    }

    fn tiles(&self) -> (u32, u32) {
        (
            (self.right - self.tile_left).div_ceil(self.tile_width),
            (self.bottom - self.tile_top).div_ceil(self.tile_height),
        )
    }

    fn pixels(&self) -> u64 {
        let (width, height) = self.size();
        u64::from(width) * u64::from(height)
    }

    /// How many packets the tile has, and how many precincts.
    fn packets(&self, tile: u32, codings: &[Coding]) -> (u64, u64) {
        let (across, _) = self.tiles();
        let span = |first: u32, size: u32, index: u32, from: u32, to: u32| {
            let start = u64::from(first) + u64::from(size) * u64::from(index);
            let end = start + u64::from(size);
            (start.max(from.into()), end.min(to.into()))
        };
        let columns = span(
            self.tile_left,
            self.tile_width,
            tile % across,
            self.left,
            self.right,
        );
        let rows = span(
            self.tile_top,
            self.tile_height,
            tile / across,
            self.top,
            self.bottom,
        );
        let (mut packets, mut precincts) = (0, 0);
        for (component, coding) in self.components.iter().zip(codings) {
            for resolution in 0..=coding.levels {
                let exponents = coding
                    .precincts
                    .get(usize::from(resolution))
                    .unwrap_or(&0xFF);
                let down = coding.levels - resolution;
                let here = count(columns, component.every.0, down, exponents & 15)
                    * count(rows, component.every.1, down, exponents >> 4);
                precincts += here;
                packets += here * coding.layers;
            }
        }
        (packets, precincts)
    }
}

/// How many precincts one resolution of a tile has in one direction (ISO/IEC 15444-1 §B.5, §B.6).
fn count((start, end): (u64, u64), every: u8, down: u8, exponent: u8) -> u64 {
    let scale = |at: u64| at.div_ceil(u64::from(every)).div_ceil(1 << down);
    let (start, end) = (scale(start), scale(end));
    if start < end {
        end.div_ceil(1 << exponent) - (start >> exponent)
    } else {
        0
    }
}

/// The codestream in what a fragment holds: itself, or in a JP2 file, as some devices write.
pub(super) fn codestream(data: &[u8]) -> Result<&[u8], CodecError> {
    if !data.starts_with(JP2_SIGNATURE) {
        return Ok(data);
    }
    let mut rest = data;
    loop {
        let mut reader = Reader { data: rest, at: 0 };
        let (length, kind) = match (reader.u32()?, reader.u32()?) {
            (1, kind) => (
                u64::from(reader.u32()?) << 32 | u64::from(reader.u32()?),
                kind,
            ),
            (0, kind) => (rest.len() as u64, kind),
            (length, kind) => (u64::from(length), kind),
        };
        let end = usize::try_from(length).unwrap_or(usize::MAX);
        if kind.to_be_bytes() == *b"jp2c" {
            return Ok(&rest[reader.at..end.clamp(reader.at, rest.len())]);
        }
        if end < reader.at || end >= rest.len() {
            return Err(corrupt("the JP2 file has no codestream"));
        }
        rest = &rest[end..];
    }
}

/// Reads all headers of a codestream.
///
/// # Errors
///
/// [`CodecError::Corrupt`] if they contradict each other or the codestream ends too early, [`CodecError::Limit`] if there
/// are more tiles or packets than its pixels and bytes explain, [`CodecError::Unsupported`] above four components.
pub(super) fn read(codestream: &[u8]) -> Result<Header, CodecError> {
    let mut reader = Reader {
        data: codestream,
        at: 0,
    };
    if reader.u16()? != SOC || reader.u16()? != SIZ {
        return Err(corrupt("it does not begin with SOC and SIZ"));
    }
    let mut header = read_size(&mut reader.segment()?)?;
    let codings = read_main(&mut reader, &mut header)?;
    let (across, down) = header.tiles();
    // A tile-part has a header of 14 bytes.
    let tiles = u64::from(across) * u64::from(down);
    let limit = (FREE_TILES + header.pixels() / PIXELS_OF_A_TILE).min(1 << 16);
    within("tiles", tiles, limit.min(codestream.len() as u64 / 14))?;
    let (all_same, ended) = read_tile_parts(&mut reader, &header, &codings, tiles)?;
    header.high_throughput &= all_same;
    header.end_without_eoc = (!ended).then_some(reader.at);
    Ok(header)
}

fn read_size(segment: &mut Reader) -> Result<Header, CodecError> {
    segment.u16()?; // capabilities
    let [right, bottom, left, top] = [
        segment.u32()?,
        segment.u32()?,
        segment.u32()?,
        segment.u32()?,
    ];
    let [tile_width, tile_height] = [segment.u32()?, segment.u32()?];
    let [tile_left, tile_top] = [segment.u32()?, segment.u32()?];
    let covers = |first: u32, size: u32, from: u32, to: u32| {
        from < to && first <= from && u64::from(first) + u64::from(size) > u64::from(from)
    };
    if !covers(tile_left, tile_width, left, right) || !covers(tile_top, tile_height, top, bottom) {
        return Err(corrupt("its tiles do not cover the image"));
    }
    let found = usize::from(segment.u16()?);
    if found == 0 || found > MAX_COMPONENTS {
        return Err(CodecError::Unsupported {
            what: format!("a JPEG 2000 codestream of {found} components"),
        });
    }
    let mut components = Vec::with_capacity(found);
    for _ in 0..found {
        let [depth, across, down] = [segment.u8()?, segment.u8()?, segment.u8()?];
        if across == 0 || down == 0 {
            return Err(corrupt("a component is subsampled by 0"));
        }
        components.push(Component {
            precision: (depth & 0x7F) + 1,
            signed: depth & 0x80 != 0,
            every: (across, down),
        });
    }
    Ok(Header {
        left,
        top,
        right,
        bottom,
        components,
        colour_transform: false,
        high_throughput: false,
        tile_left,
        tile_top,
        tile_width,
        tile_height,
        end_without_eoc: None,
    })
}

/// Reads the main header to the first SOT, exclusive.
fn read_main(reader: &mut Reader, header: &mut Header) -> Result<Vec<Coding>, CodecError> {
    let mut codings = Vec::new();
    header.high_throughput = true;
    loop {
        match reader.u16()? {
            COD => {
                let mut segment = reader.segment()?;
                let (coding, colour_transform, style) = read_cod(&mut segment)?;
                header.colour_transform = colour_transform && header.components.len() >= 3;
                header.high_throughput &= style.is_high_throughput() && coding.layers == 1;
                codings = vec![coding; header.components.len()];
            }
            COC => {
                let style = read_coc(&mut reader.segment()?, &mut codings)?;
                header.high_throughput &= style.is_high_throughput();
            }
            marker @ (QCD | QCC) => {
                let mut segment = reader.segment()?;
                if marker == QCC {
                    segment.u8()?; // component
                }
                header.high_throughput &= segment.u8()? & 0x1F != DERIVED;
            }
            marker @ (RGN | POC | PPM) => {
                header.high_throughput = false;
                reader.skip_segment(marker)?;
            }
            SOT if codings.is_empty() => return Err(corrupt("it has no COD")),
            SOT => {
                reader.at -= 2;
                return Ok(codings);
            }
            marker => reader.skip_segment(marker)?,
        }
    }
}

fn read_cod(segment: &mut Reader) -> Result<(Coding, bool, BlockStyle), CodecError> {
    let has_precincts = segment.u8()? & 1 != 0;
    segment.u8()?; // progression order
    let layers = segment.u16()?.into();
    let colour_transform = segment.u8()? != 0;
    let (levels, style, precincts) = read_style(segment, has_precincts)?;
    let coding = Coding {
        layers,
        levels,
        precincts,
    };
    Ok((coding, colour_transform, style))
}

fn read_coc(segment: &mut Reader, codings: &mut [Coding]) -> Result<BlockStyle, CodecError> {
    let index = usize::from(segment.u8()?); // one byte below 257 components
    let has_precincts = segment.u8()? & 1 != 0;
    let (levels, style, precincts) = read_style(segment, has_precincts)?;
    let coding = codings.get_mut(index);
    let coding = coding.ok_or_else(|| corrupt("COC before COD, or of a component it has not"))?;
    coding.levels = levels;
    coding.precincts = precincts;
    Ok(style)
}

/// SPcod or SPcoc: levels, the style of code-blocks, precincts.
fn read_style(
    segment: &mut Reader,
    has_precincts: bool,
) -> Result<(u8, BlockStyle, Vec<u8>), CodecError> {
    let levels = segment.u8()?;
    let size = (segment.u8()?, segment.u8()?);
    let style = BlockStyle {
        style: segment.u8()?,
        size,
    };
    segment.u8()?; // transform
    if levels > MAX_LEVELS {
        return Err(corrupt("it has more than 32 decomposition levels"));
    }
    let mut precincts = Vec::new();
    if has_precincts {
        for _ in 0..=levels {
            precincts.push(segment.u8()?);
        }
    }
    Ok((levels, style, precincts))
}

/// Walks all tile-parts: each tile has all of its own, and there are not more packets than bytes. Gives whether all are
/// coded as the main header says, and whether EOC ends them; if not, the reader is where they end.
fn read_tile_parts(
    reader: &mut Reader,
    header: &Header,
    defaults: &[Coding],
    tiles: u64,
) -> Result<(bool, bool), CodecError> {
    let mut parts = vec![TileParts::default(); usize::try_from(tiles).unwrap_or(0)];
    let (mut packets, mut precincts) = (0, 0);
    let mut all_same = true;
    let length = reader.data.len() as u64;
    let ended = loop {
        if reader.left() < 2 {
            break false;
        }
        let start = reader.at;
        match reader.u16()? {
            SOT => {}
            EOC => break true,
            // Padding after a missing EOC.
            0 => {
                reader.at = start;
                break false;
            }
            marker => {
                return Err(corrupt(format!(
                    "marker {marker:04X} at byte {start} between tiles"
                )));
            }
        }
        let mut segment = reader.segment()?;
        let tile = segment.u16()?;
        let size = segment.u32()?;
        let [_, announced] = [segment.u8()?, segment.u8()?];
        let Some(part) = parts.get_mut(usize::from(tile)) else {
            return Err(corrupt(format!("tile {tile} of {tiles}")));
        };
        let (coding, same) = read_tile_header(reader, defaults)?;
        all_same &= same;
        if part.found == 0 {
            let (more_packets, more_precincts) = header.packets(tile.into(), &coding);
            packets += more_packets;
            precincts += more_precincts;
            // Even an empty packet takes a byte; those few that a progression order change may leave out are free.
            within("packets", packets, length + FREE_PRECINCTS)?;
            let limit = FREE_PRECINCTS + header.pixels() / PIXELS_OF_A_PRECINCT;
            within("precincts", precincts, limit)?;
        }
        part.found = part.found.saturating_add(1);
        if announced != 0 {
            part.announced = announced;
        }
        if size == 0 {
            // The last tile-part goes to the end, which nothing else tells.
            if !reader.ends_with_eoc() {
                return Err(corrupt("it ends within its last tile-part"));
            }
            break true;
        }
        let end = start + usize::try_from(size).unwrap_or(usize::MAX / 2);
        if end < reader.at || end > reader.data.len() {
            let left = reader.data.len() - start;
            return Err(corrupt(format!(
                "the tile-part at byte {start} has {size} bytes, {left} are left"
            )));
        }
        reader.at = end;
    };
    // Without EOC, which some devices forget, each tile must have said how many parts it has.
    let complete =
        |part: &TileParts| part.found > 0 && (ended || part.found == u16::from(part.announced));
    match parts.iter().position(|part| !complete(part)) {
        None => Ok((all_same, ended)),
        Some(tile) => Err(corrupt(format!("it ends before tile {tile} is complete"))),
    }
}

/// Reads a tile-part's header behind its SOT, SOD inclusive, and gives how the tile is coded, and whether that is as the
/// main header says.
fn read_tile_header(
    reader: &mut Reader,
    defaults: &[Coding],
) -> Result<(Vec<Coding>, bool), CodecError> {
    let mut codings = defaults.to_vec();
    let mut same = true;
    loop {
        let marker = reader.u16()?;
        same &= matches!(marker, SOD | PLT | COM);
        match marker {
            SOD => return Ok((codings, same)),
            COD => codings = vec![read_cod(&mut reader.segment()?)?.0; defaults.len()],
            COC => {
                read_coc(&mut reader.segment()?, &mut codings)?;
            }
            marker => reader.skip_segment(marker)?,
        }
    }
}

fn within(what: &'static str, found: u64, limit: u64) -> Result<(), CodecError> {
    if found > limit {
        return Err(CodecError::Limit { what, found, limit });
    }
    Ok(())
}

/// Big-endian numbers, checked against the bytes at hand.
struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn left(&self) -> usize {
        self.data.len() - self.at
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let bytes = self.data[self.at..].first_chunk::<N>();
        let bytes = *bytes.ok_or_else(|| {
            corrupt(format!(
                "a header needs {N} bytes at byte {}, {} left",
                self.at,
                self.left()
            ))
        })?;
        self.at += N;
        Ok(bytes)
    }

    fn u8(&mut self) -> Result<u8, CodecError> {
        self.take().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Result<u16, CodecError> {
        self.take().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, CodecError> {
        self.take().map(u32::from_be_bytes)
    }

    /// The segment of the marker that was read last; goes behind it.
    fn segment(&mut self) -> Result<Reader<'a>, CodecError> {
        let start = self.at;
        let length = usize::from(self.u16()?);
        if length < 2 || length > self.data.len() - start {
            return Err(corrupt(format!(
                "the segment at byte {start} has {length} bytes, {} are left",
                self.data.len() - start
            )));
        }
        self.at = start + length;
        Ok(Reader {
            data: &self.data[start + 2..self.at],
            at: 0,
        })
    }

    fn skip_segment(&mut self, marker: u16) -> Result<(), CodecError> {
        // FF30 to FF3F have no segment (ISO/IEC 15444-1 §A.1).
        match marker {
            0xFF30..=0xFF3F => Ok(()),
            0xFF01..=0xFFFE => self.segment().map(|_| ()),
            _ => Err(corrupt(format!("no marker at byte {}", self.at - 2))),
        }
    }

    /// Whether EOC stands at the end, padding aside.
    fn ends_with_eoc(&self) -> bool {
        let end = self.data.iter().rposition(|byte| *byte != 0);
        end.is_some_and(|end| self.data[..=end].ends_with(&EOC.to_be_bytes()))
    }
}
