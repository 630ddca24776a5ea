//! File Meta Information (PS3.10 §7.1): the preamble, `DICM`, and group 0002 in Explicit VR Little Endian.

use crate::element::{Window, truncated};
use crate::public_id::strip;
use crate::syntax::{self, Encoding};
use crate::walk::{Sink, Step, Walker};
use crate::{Budget, DicomError, Element, Tag, Vr};

/// Our Implementation Class UID: the decimal form of a fixed UUID below 2.25 (PS3.5 §B.2).
pub const IMPLEMENTATION_CLASS_UID: &str = "2.25.213674772765781714871466525626911378437";
/// Our Implementation Version Name.
pub const IMPLEMENTATION_VERSION_NAME: &str = "VNA_0.1";

/// What the File Meta Information of a file says. Texts are stripped of padding, empty if absent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FileMeta {
    /// (0002,0010).
    pub transfer_syntax_uid: String,
    /// (0002,0002).
    pub media_storage_sop_class_uid: String,
    /// (0002,0003).
    pub media_storage_sop_instance_uid: String,
    /// (0002,0012).
    pub implementation_class_uid: String,
    /// (0002,0013).
    pub implementation_version_name: String,
    /// (0002,0016).
    pub source_application_entity_title: String,
    /// Where group 0002 begins: 132, or 0 in a file that lacks the preamble.
    pub meta_offset: u64,
    /// Where the data set begins.
    pub data_set_offset: u64,
}

/// What [`write_file_meta`] needs to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FileMetaFields<'a> {
    /// (0002,0002); as in the data set.
    pub media_storage_sop_class_uid: &'a str,
    /// (0002,0003); as in the data set.
    pub media_storage_sop_instance_uid: &'a str,
    /// (0002,0010); how the data set that follows is encoded.
    pub transfer_syntax_uid: &'a str,
    /// (0002,0016); left out if empty.
    pub source_application_entity_title: &'a str,
}

/// Reads the File Meta Information of a whole file; `None` if it has none.
///
/// # Errors
///
/// As [`crate::read_instance`], but for what lies behind the File Meta Information.
pub fn read_file_meta(file: &[u8]) -> Result<Option<FileMeta>, DicomError> {
    match MetaReader::default().run(Window::whole(file))? {
        Parsed::NeedMore(_) | Parsed::Absent => Ok(None),
        Parsed::Meta(meta) => Ok(Some(meta)),
    }
}

/// The elements of group 0002 at the beginning of a file, up to the first fault if there is one.
#[must_use]
pub fn meta_elements(file: &[u8]) -> Vec<Element> {
    struct Group2(Vec<Element>);
    impl Sink for Group2 {
        fn visit(&mut self, element: &Element, window: Window<'_>) -> Result<Step, DicomError> {
            if element.tag.0 != 2 || window.value(element).is_none() {
                return Ok(Step::Stop);
            }
            self.0.push(*element);
            Ok(Step::Over)
        }
    }
    let start = find_start(file, true).unwrap_or_default();
    let mut found = Group2(Vec::new());
    // What ended the reading, the reader of the file itself tells.
    let _ =
        Walker::new(start as u64, Encoding::ExplicitLittle).run(Window::whole(file), &mut found);
    found.0
}

/// What the beginning of an input turned out to be.
pub(crate) enum Parsed {
    /// At least this many bytes are needed to say.
    NeedMore(u64),
    /// A bare data set begins at byte 0.
    Absent,
    /// File Meta Information.
    Meta(FileMeta),
}

/// Bytes before `DICM`.
pub(crate) const PREAMBLE: usize = 128;
const MAGIC: &[u8; 4] = b"DICM";

/// Where group 2 begins, or would begin; or how many bytes it takes to say. `data` is the beginning of the input.
fn find_start(data: &[u8], complete: bool) -> Result<usize, usize> {
    let start = match data.get(PREAMBLE..PREAMBLE + 4) {
        Some(magic) if magic == MAGIC => PREAMBLE + 4,
        Some(_) => 0,
        None if complete => 0,
        None => return Err(PREAMBLE + 4),
    };
    // `DICM` may stand there by chance, in a data set without preamble: then group 2 does not follow.
    let start = match data.get(start..start + 2) {
        Some([2, 0]) => start,
        Some(_) if start > 0 && data.len() >= 8 && syntax::guess(&data[..8], false).is_ok() => 0,
        None if !complete => return Err(start + 8),
        _ => start,
    };
    // Without a preamble the file may begin with `DICM` or with group 2 itself.
    Ok(if start == 0 && data.starts_with(MAGIC) {
        4
    } else {
        start
    })
}

/// Reads the File Meta Information at the beginning of an input, between two windows.
///
/// Elements of group 2 are read one by one and (0002,0000) is not relied on: files exist where it lies.
#[derive(Debug, Default)]
pub(crate) struct MetaReader {
    meta: FileMeta,
    /// Where group 2 begins, once that is known.
    start: Option<u64>,
    /// The next element: nothing before it is needed again.
    at: u64,
    /// The element before it, which names the culprit if the input ends inside.
    passed: u64,
}

impl MetaReader {
    /// Nothing before this byte of the input is needed again.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Goes on until the window or group 2 is at its end.
    pub fn run(&mut self, window: Window<'_>) -> Result<Parsed, DicomError> {
        let start = match self.start {
            Some(start) => start,
            // Until the beginning is known nothing of it has passed: the window is at byte 0.
            None => match find_start(window.bytes, window.complete) {
                Err(at_least) => return Ok(Parsed::NeedMore(at_least as u64)),
                Ok(start) => {
                    self.at = start as u64;
                    self.meta.meta_offset = self.at;
                    *self.start.insert(self.at)
                }
            },
        };
        loop {
            match self.element(window, start)? {
                Next::Element => {}
                Next::NeedMore(at_least) => return Ok(Parsed::NeedMore(at_least)),
                Next::End if self.at == 0 => return Ok(Parsed::Absent),
                Next::End => break,
            }
        }
        self.meta.data_set_offset = self.at;
        Ok(Parsed::Meta(std::mem::take(&mut self.meta)))
    }

    /// Passes the element at `at`, if it is one of group 2.
    fn element(&mut self, window: Window<'_>, start: u64) -> Result<Next, DicomError> {
        let at = self.at;
        let rest = window.from(at);
        let Some(header) = rest.get(..8) else {
            if !window.complete {
                return Ok(Next::NeedMore(at + 8));
            }
            if at > window.end() {
                return Err(cut_off(self.passed, at, window));
            }
            // Nothing but a few bytes, a file of meta information alone, or so little of a data set that was deflated.
            let over = rest
                .get(..2)
                .map_or(rest.is_empty(), |group| group != [2, 0]);
            if at == 0 || (over && at > start) {
                return Ok(Next::End);
            }
            return Err(cut_off(at, at + 8, window));
        };
        let tag = Tag(
            u16::from_le_bytes([header[0], header[1]]),
            u16::from_le_bytes([header[2], header[3]]),
        );
        if tag.0 != 0x0002 {
            return Ok(Next::End);
        }
        let vr = Vr([header[4], header[5]]);
        let (value_at, length) = if vr.has_short_length() {
            let length = u16::from_le_bytes([header[6], header[7]]);
            (at + 8, u32::from(length))
        } else if vr.is_known() {
            let Some(long) = rest.get(8..12) else {
                if window.complete {
                    return Err(cut_off(at, at + 12, window));
                }
                return Ok(Next::NeedMore(at + 12));
            };
            let length = u32::from_le_bytes([long[0], long[1], long[2], long[3]]);
            (at + 12, length)
        } else {
            // Some writers encode group 2 with implicit VR (against PS3.10 §7.1).
            let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
            (at + 8, length)
        };
        let end = value_at + u64::from(length);
        if end - start > crate::MAX_META_BYTES as u64 {
            return Err(DicomError::Budget {
                budget: Budget::Meta,
                offset: at,
            });
        }
        let field = field(&mut self.meta, tag);
        // Before the end of the input is looked at, which a reader of parts does not know yet.
        if field.is_some() && length as usize > crate::MAX_INDEXED_VALUE_BYTES {
            return Err(DicomError::Budget {
                budget: Budget::Identifier,
                offset: at,
            });
        }
        if end > window.end() && window.complete {
            return Err(cut_off(at, end, window));
        }
        if let Some(field) = field {
            let Some(value) = window.from(value_at).get(..length as usize) else {
                return Ok(Next::NeedMore(end));
            };
            // All of group 2 is in the default repertoire; other bytes become U+FFFD rather than a refusal.
            *field = strip(&String::from_utf8_lossy(value)).to_owned();
        }
        (self.passed, self.at) = (at, end);
        Ok(Next::Element)
    }
}

/// What stands at a place where an element of group 2 may be.
enum Next {
    /// One, which was passed.
    Element,
    /// The input has to reach to here to say.
    NeedMore(u64),
    /// None.
    End,
}

fn field(meta: &mut FileMeta, tag: Tag) -> Option<&mut String> {
    Some(match tag.1 {
        0x0002 => &mut meta.media_storage_sop_class_uid,
        0x0003 => &mut meta.media_storage_sop_instance_uid,
        0x0010 => &mut meta.transfer_syntax_uid,
        0x0012 => &mut meta.implementation_class_uid,
        0x0013 => &mut meta.implementation_version_name,
        0x0016 => &mut meta.source_application_entity_title,
        _ => return None,
    })
}

/// The input ends inside what goes from `offset` to `end`.
fn cut_off(offset: u64, end: u64, window: Window<'_>) -> DicomError {
    truncated("file meta information", offset, end - offset, window)
}

/// Writes preamble, `DICM` and File Meta Information; the data set follows it.
///
/// UIDs of odd length are padded with NUL, the AE title with a space (PS3.5 §6.2).
#[must_use]
pub fn write_file_meta(fields: &FileMetaFields<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(384);
    push_preamble(&mut out, &[0; PREAMBLE]);
    push(&mut out, 0x0000, b"UL", &[0; 4], 0);
    let body = out.len();
    out.extend_from_slice(b"\x02\x00\x01\x00OB\x00\x00\x02\x00\x00\x00\x00\x01");
    push(
        &mut out,
        0x0002,
        b"UI",
        fields.media_storage_sop_class_uid.as_bytes(),
        0,
    );
    push(
        &mut out,
        0x0003,
        b"UI",
        fields.media_storage_sop_instance_uid.as_bytes(),
        0,
    );
    push(
        &mut out,
        0x0010,
        b"UI",
        fields.transfer_syntax_uid.as_bytes(),
        0,
    );
    push(
        &mut out,
        0x0012,
        b"UI",
        IMPLEMENTATION_CLASS_UID.as_bytes(),
        0,
    );
    push(
        &mut out,
        0x0013,
        b"SH",
        IMPLEMENTATION_VERSION_NAME.as_bytes(),
        b' ',
    );
    if !fields.source_application_entity_title.is_empty() {
        push(
            &mut out,
            0x0016,
            b"AE",
            fields.source_application_entity_title.as_bytes(),
            b' ',
        );
    }
    let length = u32::try_from(out.len() - body).unwrap_or(u32::MAX);
    out[body - 4..body].copy_from_slice(&length.to_le_bytes());
    out
}

/// Appends the preamble and `DICM`.
pub(crate) fn push_preamble(out: &mut Vec<u8>, preamble: &[u8; PREAMBLE]) {
    out.extend_from_slice(preamble);
    out.extend_from_slice(MAGIC);
}

/// Appends an element of group 2 with a 16-bit length. What a UI, SH or AE may hold is far shorter than that.
fn push(out: &mut Vec<u8>, element: u16, vr: &[u8; 2], value: &[u8], pad: u8) {
    let value = &value[..value.len().min(usize::from(u16::MAX) - 1)];
    let length = u16::try_from(value.len() + value.len() % 2).unwrap_or(u16::MAX - 1);
    out.extend_from_slice(&[2, 0]);
    out.extend_from_slice(&element.to_le_bytes());
    out.extend_from_slice(vr);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(value);
    if value.len() % 2 == 1 {
        out.push(pad);
    }
}
