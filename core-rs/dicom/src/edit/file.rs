//! Part 10 files as they are edited: what is short in memory, what is long where it is.
//!
//! 1. Held are texts that a recipe may look into, and values of up to some kB; all else, pixel data first of all, is an
//!    extent of the file: never read before the file that is made of it is.
//! 2. What is made is encoded as the file was: extents go from one to the other as they are.

use super::EditError;
use crate::data_set::{Piece, choose_vrs, read_meta, write_meta, write_pieces};
use crate::element::{Window, holds_fragments};
use crate::encode::{is_big, push_item, swap, swap_unit, without_padding};
use crate::reencode::{Opened, PIECE_BYTES, open};
use crate::stream::{Fed, Unread};
use crate::syntax::{Encoding, TransferSyntax};
use crate::text::effective_vr;
use crate::walk::{Outcome, Sink, Step, Walker};
use crate::{
    Budget, DataElement, DataSet, DicomError, Element, FrameProblem, IMPLICIT_VR_LITTLE_ENDIAN,
    MAX_HEADER_BYTES, ReadAt, StoredValue, Tag, Value, Vr, dictionary_vr, tags,
};

/// Values up to this are held; a longer one costs a read of its own anyway.
const MAX_HELD_BYTES: u64 = 4 << 10;

/// What is read behind a value that was stepped over.
const FIRST_PIECE_BYTES: usize = 4 << 10;

/// A Part 10 file on its way through a recipe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EditedFile {
    /// The transfer syntax that it is in, and will be.
    pub transfer_syntax_uid: String,
    /// The elements of its File Meta Information.
    pub meta: DataSet,
    /// All of its data set, also what stands behind the pixel data; long values are [`Value::Stored`].
    pub data_set: DataSet,
}

/// The file that was made, to be read at any position: header bytes, and extents of the file that it was made from.
#[derive(Clone, Debug)]
pub struct MadeFile<S> {
    source: S,
    /// With the position behind each.
    pieces: Vec<(u64, Piece)>,
}

impl EditedFile {
    /// Reads a Part 10 file: also one without preamble, or without meta information.
    ///
    /// # Errors
    ///
    /// - [`DicomError::Frames`] with [`FrameProblem::Deflated`] if the data set is deflated as a whole: positions in it are
    ///   none in the file.
    /// - [`DicomError::Budget`] if what has to be held is more than [`MAX_HEADER_BYTES`].
    /// - As [`crate::scan`] of the whole file; what `source` says.
    pub fn read<S: ReadAt>(source: &S) -> Result<Self, S::Error> {
        let opened = open(source)?;
        let syntax = TransferSyntax::from_uid(&opened.transfer_syntax_uid);
        if syntax.deflated {
            let problem = FrameProblem::Deflated;
            let offset = opened.data_set_offset;
            return Err(DicomError::Frames { problem, offset }.into());
        }
        let data_set = read_data_set(source, &opened, syntax.encoding)?;
        let meta = match &opened.meta {
            Some(meta) => read_meta(opened.beginning(), meta.meta_offset, meta.data_set_offset)?,
            None => DataSet::new(),
        };
        Ok(EditedFile {
            transfer_syntax_uid: opened.transfer_syntax_uid,
            meta,
            data_set,
        })
    }

    /// The file that it has become; `source` is what it was read from.
    ///
    /// The preamble is empty: what stood there belonged to the other file. With `meta_stays` the File Meta Information
    /// keeps what it says but for the identifiers and the implementation, which is ours; else only that is written.
    ///
    /// # Errors
    ///
    /// [`EditError::Dicom`] if it cannot be encoded: as [`DataSet::write`].
    pub fn into_made<S>(self, source: S, meta_stays: bool) -> Result<MadeFile<S>, EditError> {
        let uid = crate::public_id::strip(&self.transfer_syntax_uid);
        let mut meta = if meta_stays {
            self.meta
        } else {
            DataSet::new()
        };
        for (tag, of) in [
            (tags::MEDIA_STORAGE_SOP_CLASS_UID, tags::SOP_CLASS_UID),
            (tags::MEDIA_STORAGE_SOP_INSTANCE_UID, tags::SOP_INSTANCE_UID),
        ] {
            match self.data_set.get(of).map(|element| &element.value) {
                Some(Value::Bytes(uid)) if !uid.is_empty() => {
                    meta.insert(DataElement::new(tag, Vr::UI, uid.clone()));
                }
                _ => {}
            }
        }
        meta.remove(tags::IMPLEMENTATION_CLASS_UID);
        meta.remove(tags::IMPLEMENTATION_VERSION_NAME);
        let mut pieces = vec![Piece::Written(write_meta(&meta, uid, &[0; 128])?)];
        pieces.extend(write_pieces(&self.data_set, uid)?);
        Ok(MadeFile::of(pieces, source))
    }
}

/// Bytes of a fragment: an even number, so that no fragment but the last is padded.
const MAX_FRAGMENT_BYTES: u64 = 1 << 30;

impl<S> MadeFile<S> {
    fn of(pieces: impl IntoIterator<Item = Piece>, source: S) -> Self {
        let mut end = 0;
        let pieces = pieces.into_iter().map(|piece| {
            end += piece.length();
            (end, piece)
        });
        MadeFile {
            pieces: pieces.collect(),
            source,
        }
    }

    /// Extents of `source`, each an offset and a length, one behind the other.
    pub fn joined(source: S, extents: &[(u64, u64)]) -> Self {
        let stored = |(offset, length): &(u64, u64)| {
            Piece::Stored(StoredValue {
                offset: *offset,
                length: *length,
                encapsulated: false,
            })
        };
        Self::of(extents.iter().map(stored), source)
    }

    /// The value of encapsulated pixel data (PS3.5 §A.4) in little endian: an item for the Basic Offset Table, which is
    /// empty unless there are several frames and their offsets fit it; then the codestream of each frame, an extent of
    /// `source`, in a fragment of its own or, if it is longer than one may be, in several; then the delimiter.
    pub fn encapsulated(source: S, frames: &[(u64, u64)]) -> Self {
        let little = Encoding::ExplicitLittle;
        let padded = |length: u64| length + length % 2;
        let framed = |length: u64| padded(length) + 8 * length.div_ceil(MAX_FRAGMENT_BYTES).max(1);
        let mut at = 0;
        let offsets: Option<Vec<u32>> = frames
            .iter()
            .map(|(_, length)| {
                let offset = u32::try_from(at);
                at += framed(*length);
                offset.ok()
            })
            .collect();
        let offsets = offsets
            .filter(|offsets| offsets.len() > 1)
            .unwrap_or_default();
        let mut written = Vec::new();
        let table_bytes = u32::try_from(4 * offsets.len()).unwrap_or(0);
        push_item(&mut written, little, tags::ITEM, table_bytes);
        if table_bytes > 0 {
            offsets
                .iter()
                .for_each(|at| written.extend(at.to_le_bytes()));
        }
        let mut pieces = Vec::with_capacity(2 * frames.len() + 1);
        for (mut offset, mut left) in frames.iter().copied() {
            loop {
                let length = left.min(MAX_FRAGMENT_BYTES);
                let announced = u32::try_from(padded(length)).unwrap_or(u32::MAX); // far below it
                push_item(&mut written, little, tags::ITEM, announced);
                pieces.push(Piece::Written(std::mem::take(&mut written)));
                pieces.push(Piece::Stored(StoredValue {
                    offset,
                    length,
                    encapsulated: false,
                }));
                if length % 2 == 1 {
                    written.push(0);
                }
                (offset, left) = (offset + length, left - length);
                if left == 0 {
                    break;
                }
            }
        }
        push_item(&mut written, little, tags::SEQUENCE_DELIMITATION_ITEM, 0);
        pieces.push(Piece::Written(written));
        Self::of(pieces, source)
    }
}

impl<S: ReadAt> ReadAt for MadeFile<S> {
    type Error = S::Error;

    fn size(&self) -> u64 {
        self.pieces.last().map_or(0, |(end, _)| *end)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, S::Error> {
        let first = self.pieces.partition_point(|(end, _)| *end <= offset);
        let (mut filled, mut at) = (0, offset);
        for (end, piece) in &self.pieces[first..] {
            let rest = &mut buffer[filled..];
            let left = usize::try_from(end - at).unwrap_or(usize::MAX);
            let count = rest.len().min(left);
            if count == 0 {
                break;
            }
            let within = piece.length() - (end - at);
            let count = match piece {
                Piece::Written(bytes) => bytes[..].read_at(&mut rest[..count], within)?,
                Piece::Stored(value) => self
                    .source
                    .read_at(&mut rest[..count], value.offset + within)?,
            };
            filled += count;
            at += count as u64;
            if at < *end {
                break; // the source is shorter than it was
            }
        }
        Ok(filled)
    }
}

fn read_data_set<S: ReadAt>(
    source: &S,
    opened: &Opened,
    encoding: Encoding,
) -> Result<DataSet, S::Error> {
    let mut walker = Walker::new(opened.data_set_offset, encoding);
    let mut unread = Unread::from_offset(opened.data_set_offset);
    let mut tree = Tree {
        to: encoding,
        open: vec![Open::DataSet(Vec::new())],
        held: 0,
    };
    let mut piece = opened.data_set_beginning().to_vec();
    let (mut read_to, mut wanted) = (opened.data_set_offset + piece.len() as u64, PIECE_BYTES);
    loop {
        let mut walk = |window: Window<'_>| -> Result<Fed<()>, DicomError> {
            Ok(match walker.run(window, &mut tree)? {
                Outcome::NeedMore(to) => Fed::NeedMore {
                    from: walker.position(),
                    to,
                },
                Outcome::End | Outcome::Stopped => Fed::Done(()),
            })
        };
        let done = if piece.is_empty() {
            walk(unread.last())?;
            true
        } else {
            unread.feed(&piece, walk)?.is_some()
        };
        if done {
            break;
        }
        let at = unread.skip(source.size());
        // Behind a value that was stepped over, as between fragments, another such one may follow.
        wanted = if at == read_to {
            (2 * wanted).min(PIECE_BYTES)
        } else {
            FIRST_PIECE_BYTES
        };
        piece.resize(wanted, 0);
        let count = source.read_at(&mut piece, at)?;
        piece.truncate(count);
        read_to = at + count as u64;
    }
    let mut data_set = tree.finish();
    if walker.encoding() == Encoding::ImplicitLittle {
        choose_vrs(&mut data_set);
    }
    Ok(data_set)
}

/// Makes a data set of the elements that a walk passes.
struct Tree {
    /// The encoding that it will be written in.
    to: Encoding,
    /// The data set, and from it on by turns a sequence and an item that are not at their ends.
    open: Vec<Open>,
    /// Bytes that are held.
    held: u64,
}

enum Open {
    DataSet(Vec<DataElement>),
    Sequence(Tag, Vec<DataSet>),
    /// Fragments, of which the extent grows.
    Fragments(Tag, Vr, StoredValue),
}

impl Sink for Tree {
    fn visit(&mut self, element: &Element, window: Window<'_>) -> Result<Step, DicomError> {
        let depth = usize::from(element.depth);
        if element.is_item() {
            self.close(2 * depth);
            if let Some(Open::Fragments(_, _, value)) = self.open.last_mut() {
                value.length = element.end().unwrap_or(element.value_offset) - value.offset;
            } else {
                self.hold(size_of::<DataSet>(), element)?;
                self.open.push(Open::DataSet(Vec::new()));
            }
            return Ok(Step::Into);
        }
        let vr = effective_vr(element.tag, element.vr);
        let held = vr.uses_character_set() || vr == Vr::UI || vr == Vr::SQ;
        let opens = element.vr == Vr::SQ || element.length().is_none();
        let is_long = element
            .length()
            .is_some_and(|length| length > MAX_HELD_BYTES);
        let turned = is_big(element.encoding, element.vr) != is_big(self.to, element.vr);
        let stays = is_long && !held && !(turned && swap_unit(element.vr) > 1);
        let value = window.value(element).filter(|_| !stays);
        if !opens && !stays && value.is_none() {
            self.check(element.length().unwrap_or(0), element)?;
            return Ok(Step::Await);
        }
        self.close(2 * depth + 1);
        self.hold(
            size_of::<DataElement>() + value.map_or(0, <[u8]>::len),
            element,
        )?;
        let tag = element.tag;
        if opens {
            let is_fragments = element.vr != Vr::SQ && holds_fragments(tag, element.vr);
            self.open.push(if is_fragments {
                let value = StoredValue {
                    offset: element.value_offset,
                    length: 0,
                    encapsulated: true,
                };
                Open::Fragments(tag, element.vr, value)
            } else {
                Open::Sequence(tag, Vec::new())
            });
            return Ok(Step::Into);
        }
        let value = match value {
            Some(value) => held_value(element, value),
            None => Value::Stored(StoredValue {
                offset: element.value_offset,
                length: element.length().unwrap_or(0),
                encapsulated: false,
            }),
        };
        let vr = if matches!(value, Value::Items(_)) {
            Vr::SQ
        } else {
            element.vr
        };
        self.push(DataElement { tag, vr, value });
        Ok(Step::Over)
    }
}

impl Tree {
    /// Counts bytes that are held from now on.
    fn hold(&mut self, bytes: usize, element: &Element) -> Result<(), DicomError> {
        self.check(bytes as u64, element)?;
        self.held += bytes as u64;
        Ok(())
    }

    /// Whether so many bytes more may be held.
    fn check(&self, bytes: u64, element: &Element) -> Result<(), DicomError> {
        if self.held + bytes > MAX_HEADER_BYTES as u64 {
            let budget = Budget::Header;
            let offset = element.offset();
            return Err(DicomError::Budget { budget, offset });
        }
        Ok(())
    }

    fn push(&mut self, element: DataElement) {
        if let Some(Open::DataSet(elements)) = self.open.last_mut() {
            elements.push(element);
        }
    }

    /// Ends what is open until so many are.
    fn close(&mut self, open: usize) {
        while self.open.len() > open {
            match self.open.pop() {
                Some(Open::DataSet(elements)) => {
                    if let Some(Open::Sequence(_, items)) = self.open.last_mut() {
                        items.push(elements.into_iter().collect());
                    }
                }
                Some(Open::Sequence(tag, items)) => self.push(DataElement::sequence(tag, items)),
                Some(Open::Fragments(tag, vr, mut value)) => {
                    value.length += 8; // the delimiter
                    let value = Value::Stored(value);
                    self.push(DataElement { tag, vr, value });
                }
                None => {}
            }
        }
    }

    fn finish(mut self) -> DataSet {
        self.close(1);
        match self.open.pop() {
            Some(Open::DataSet(elements)) => elements.into_iter().collect(),
            _ => DataSet::new(),
        }
    }
}

/// A value as [`Value::Bytes`] has it. UN of defined length that the standard knows to be a sequence is read as what it is,
/// since what is in it must not be missed (PS3.5 §6.2.2).
fn held_value(element: &Element, value: &[u8]) -> Value {
    if element.vr == Vr::UN
        && dictionary_vr(element.tag) == Vr::SQ
        && let Some(items) = unknown_items(element.tag, value)
    {
        return Value::Items(items);
    }
    let mut bytes = without_padding(element.vr, value).to_vec();
    if is_big(element.encoding, element.vr) {
        swap(&mut bytes, swap_unit(element.vr));
    }
    Value::Bytes(bytes)
}

fn unknown_items(tag: Tag, value: &[u8]) -> Option<Vec<DataSet>> {
    let mut bytes = Vec::with_capacity(8 + value.len());
    bytes.extend(tag.0.to_le_bytes());
    bytes.extend(tag.1.to_le_bytes());
    bytes.extend(u32::try_from(value.len()).ok()?.to_le_bytes());
    bytes.extend(value);
    let mut read = DataSet::read(&bytes, IMPLICIT_VR_LITTLE_ENDIAN).ok()?;
    match read.remove(tag)?.value {
        Value::Items(items) => Some(items),
        _ => None,
    }
}
