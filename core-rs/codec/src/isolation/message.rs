//! What a helper is asked and what it answers: messages of one size, written by hand.

use crate::task::{Action, Done, Task};
use crate::{CodecError, Colour, EncodeOptions, FrameFormat, Photometric, Sample};

/// First bytes of a greeting: both sides must be of one build.
pub(super) const MAGIC: &[u8; 8] = b"vna-hlp1";
/// Bytes of every message to a helper.
pub(super) const REQUEST_BYTES: usize = 96;
/// Bytes of every message from a helper.
pub(super) const ANSWER_BYTES: usize = 384;
const REASON_BYTES: usize = 240;
const WHAT_BYTES: usize = 64;

/// What a helper is told first: the memory that it shares with us, and its bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Greeting {
    /// Bytes of each of the two buffers.
    pub(super) buffer_bytes: u64,
    /// Most bytes that it may ever allocate for itself.
    pub(super) work_bytes: u64,
}

/// One frame for a helper.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Request {
    /// The transfer syntax, by its place in the table that both sides have.
    pub(crate) syntax: u16,
    /// What is to be done.
    pub(crate) task: Task,
    /// Which of the two buffers has the input; the other one takes the output.
    pub(crate) input_buffer: u8,
    /// Bytes of input.
    pub(crate) input_bytes: u64,
    /// Room for output.
    pub(crate) output_bytes: u64,
    /// Bytes that the codec may allocate.
    pub(crate) work_bytes: u64,
}

impl Greeting {
    pub(super) fn to_bytes(self) -> [u8; REQUEST_BYTES] {
        let mut out = Writer::<REQUEST_BYTES>::new();
        out.put(MAGIC);
        out.put(&self.buffer_bytes.to_le_bytes());
        out.put(&self.work_bytes.to_le_bytes());
        out.put(&build());
        out.bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; REQUEST_BYTES]) -> Option<Self> {
        let mut from = Reader(bytes);
        let is_ours = from.take::<8>() == *MAGIC;
        let greeting = Greeting {
            buffer_bytes: u64::from_le_bytes(from.take()),
            work_bytes: u64::from_le_bytes(from.take()),
        };
        (is_ours && from.take::<16>() == build()).then_some(greeting)
    }
}

/// What tells builds apart: the version, cut to what a greeting has room for, and the number of codecs.
fn build() -> [u8; 16] {
    let mut out = Writer::<16>::new();
    let version = env!("CARGO_PKG_VERSION").as_bytes();
    out.put(&version[..version.len().min(14)]);
    let codecs = u16::try_from(crate::syntax::codec_count()).unwrap_or(u16::MAX);
    out.at = 14;
    out.put(&codecs.to_le_bytes());
    out.bytes
}

impl Request {
    pub(super) fn to_bytes(self) -> [u8; REQUEST_BYTES] {
        let mut out = Writer::<REQUEST_BYTES>::new();
        let (kind, colour, options) = match self.task.action {
            Action::Decode(colour) => (0u8, colour, EncodeOptions::default()),
            Action::Encode(options) => (1, Colour::default(), options),
        };
        out.put(&self.syntax.to_le_bytes());
        out.put(&[kind, self.input_buffer, colour as u8, options.quality]);
        out.put(&options.near.to_le_bytes());
        out.put(&options.ratio.to_le_bytes());
        out.put(&self.input_bytes.to_le_bytes());
        out.put(&self.output_bytes.to_le_bytes());
        out.put(&self.work_bytes.to_le_bytes());
        put_format(&mut out, &self.task.format);
        out.bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; REQUEST_BYTES]) -> Option<Self> {
        let mut from = Reader(bytes);
        let syntax = u16::from_le_bytes(from.take());
        let [kind, input_buffer, colour, quality] = from.take();
        let options = EncodeOptions {
            quality,
            near: u16::from_le_bytes(from.take()),
            ratio: f32::from_le_bytes(from.take()),
        };
        let action = match (kind, colour) {
            (0, c) if c == Colour::AsStored as u8 => Action::Decode(Colour::AsStored),
            (0, c) if c == Colour::Rgb as u8 => Action::Decode(Colour::Rgb),
            (1, _) => Action::Encode(options),
            _ => return None,
        };
        let (input_bytes, output_bytes, work_bytes) = (
            u64::from_le_bytes(from.take()),
            u64::from_le_bytes(from.take()),
            u64::from_le_bytes(from.take()),
        );
        let format = take_format(&mut from)?;
        Some(Request {
            syntax,
            task: Task { action, format },
            input_buffer,
            input_bytes,
            output_bytes,
            work_bytes,
        })
    }
}

/// What a helper answers: what it did, or why it could not.
pub(super) fn answer_to_bytes(answer: &Result<Done, CodecError>) -> [u8; ANSWER_BYTES] {
    let mut out = Writer::<ANSWER_BYTES>::new();
    match answer {
        Ok(done) => {
            out.put(&[0]);
            out.put(&done.length.to_le_bytes());
            put_format(&mut out, &done.format);
        }
        Err(error) => {
            let (kind, text, a, b) = match error {
                CodecError::Corrupt { reason, .. } => (1u8, reason.as_str(), 0, 0),
                CodecError::Mismatch {
                    what,
                    expected,
                    found,
                } => (2, *what, *expected, *found),
                CodecError::Limit { what, found, limit } => (3, *what, *found, *limit),
                CodecError::Unsupported { what } => (4, what.as_str(), 0, 0),
                CodecError::Helper { reason } => (5, reason.as_str(), 0, 0),
                CodecError::Unavailable { reason } => (6, reason.as_str(), 0, 0),
            };
            out.put(&[kind]);
            out.put(&a.to_le_bytes());
            out.put(&b.to_le_bytes());
            let text = &text.as_bytes()[..text.len().min(REASON_BYTES)];
            out.put(&[u8::try_from(text.len()).unwrap_or(u8::MAX)]);
            out.put(text);
        }
    }
    out.bytes
}

/// Reads an answer that may be anything; `None` if it is none. `codec` is the name of who was asked.
pub(super) fn answer_from_bytes(
    bytes: &[u8; ANSWER_BYTES],
    codec: &'static str,
) -> Option<Result<Done, CodecError>> {
    let mut from = Reader(bytes);
    let [kind] = from.take();
    let first = u64::from_le_bytes(from.take());
    if kind == 0 {
        let format = take_format(&mut from)?;
        return Some(Ok(Done {
            length: first,
            format,
        }));
    }
    let second = u64::from_le_bytes(from.take());
    let [length] = from.take();
    let text = from.0.get(..usize::from(length))?;
    let text: String = String::from_utf8_lossy(text)
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    Some(Err(match kind {
        1 => CodecError::Corrupt {
            codec,
            reason: text,
        },
        2 => CodecError::Mismatch {
            what: interned(&text),
            expected: first,
            found: second,
        },
        3 => CodecError::Limit {
            what: interned(&text),
            found: first,
            limit: second,
        },
        4 => CodecError::Unsupported { what: text },
        5 => CodecError::Helper { reason: text },
        6 => CodecError::Unavailable { reason: text },
        _ => return None,
    }))
}

/// The name of a property for good.
fn interned(text: &str) -> &'static str {
    static NAMES: parking_lot::Mutex<Names> = parking_lot::Mutex::new(Names(Vec::new()));
    NAMES.lock().keep(text)
}

/// Names that are kept for good. What codecs name is few; what a helper invents that was taken over is not kept.
struct Names(Vec<&'static str>);

impl Names {
    fn keep(&mut self, text: &str) -> &'static str {
        const MOST: usize = 64;
        if let Some(same) = self.0.iter().find(|same| **same == text) {
            return same;
        }
        if self.0.len() == MOST || text.len() > WHAT_BYTES {
            return "something in a frame";
        }
        let name = Box::leak(text.to_owned().into_boxed_str());
        self.0.push(name);
        name
    }
}

const PHOTOMETRICS: [Photometric; 11] = [
    Photometric::Monochrome1,
    Photometric::Monochrome2,
    Photometric::PaletteColor,
    Photometric::Rgb,
    Photometric::YbrFull,
    Photometric::YbrFull422,
    Photometric::YbrPartial422,
    Photometric::YbrPartial420,
    Photometric::YbrIct,
    Photometric::YbrRct,
    Photometric::Xyb,
];
const SAMPLES: [Sample; 3] = [Sample::Unsigned, Sample::Signed, Sample::Float];

fn put_format<const N: usize>(out: &mut Writer<N>, format: &FrameFormat) {
    out.put(&format.rows.to_le_bytes());
    out.put(&format.columns.to_le_bytes());
    out.put(&format.samples_per_pixel.to_le_bytes());
    out.put(&format.bits_allocated.to_le_bytes());
    out.put(&format.bits_stored.to_le_bytes());
    out.put(&[
        format.sample as u8,
        u8::from(format.planar),
        format.photometric as u8,
    ]);
}

fn take_format(from: &mut Reader<'_>) -> Option<FrameFormat> {
    let rows = u32::from_le_bytes(from.take());
    let columns = u32::from_le_bytes(from.take());
    let samples_per_pixel = u16::from_le_bytes(from.take());
    let bits_allocated = u16::from_le_bytes(from.take());
    let bits_stored = u16::from_le_bytes(from.take());
    let [sample, planar, photometric] = from.take();
    Some(FrameFormat {
        rows,
        columns,
        samples_per_pixel,
        bits_allocated,
        bits_stored,
        sample: *SAMPLES.get(usize::from(sample))?,
        planar: planar != 0,
        photometric: *PHOTOMETRICS.get(usize::from(photometric))?,
    })
}

/// Puts values one behind the other; all that is put fits by construction.
struct Writer<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Writer<N> {
    fn new() -> Self {
        Writer {
            bytes: [0; N],
            at: 0,
        }
    }

    fn put(&mut self, value: &[u8]) {
        self.bytes[self.at..self.at + value.len()].copy_from_slice(value);
        self.at += value.len();
    }
}

/// Takes values one behind the other out of a message, which is longer than all of them.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (value, rest) = self
            .0
            .split_first_chunk()
            .expect("a message has room for all its values");
        self.0 = rest;
        *value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn format() -> impl Strategy<Value = FrameFormat> {
        let numbers = (
            any::<u32>(),
            any::<u32>(),
            any::<u16>(),
            any::<u16>(),
            any::<u16>(),
        );
        (
            numbers,
            0..SAMPLES.len(),
            any::<bool>(),
            0..PHOTOMETRICS.len(),
        )
            .prop_map(
                |(
                    (rows, columns, samples_per_pixel, bits_allocated, bits_stored),
                    sample,
                    planar,
                    photometric,
                )| {
                    FrameFormat {
                        rows,
                        columns,
                        samples_per_pixel,
                        bits_allocated,
                        bits_stored,
                        sample: SAMPLES[sample],
                        planar,
                        photometric: PHOTOMETRICS[photometric],
                    }
                },
            )
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            Just(Action::Decode(Colour::AsStored)),
            Just(Action::Decode(Colour::Rgb)),
            (any::<u8>(), any::<u16>(), 0f32..1e6).prop_map(|(quality, near, ratio)| {
                Action::Encode(EncodeOptions {
                    quality,
                    near,
                    ratio,
                })
            }),
        ]
    }

    proptest! {
        #[test]
        fn a_request_arrives_as_it_was_sent(
            (syntax, input_buffer, lengths) in any::<(u16, u8, [u64; 3])>(), format in format(), action in action()
        ) {
            let [input_bytes, output_bytes, work_bytes] = lengths;
            let task = Task { action, format };
            let request = Request { syntax, task, input_buffer, input_bytes, output_bytes, work_bytes };
            prop_assert_eq!(Request::from_bytes(&request.to_bytes()), Some(request));
        }

        #[test]
        fn an_answer_arrives_as_it_was_sent(
            format in format(), numbers in any::<[u64; 2]>(), text in "[a-z ]{0,60}", kind in 0..7u8
        ) {
            let [found, limit] = numbers;
            let answer = match kind {
                0 => Ok(Done { length: found, format }),
                1 => Err(CodecError::Corrupt { codec: "JPEG", reason: text }),
                2 => Err(CodecError::Mismatch { what: "rows", expected: limit, found }),
                3 => Err(CodecError::Limit { what: "columns", found, limit }),
                4 => Err(CodecError::Unsupported { what: text }),
                5 => Err(CodecError::Helper { reason: text }),
                _ => Err(CodecError::Unavailable { reason: text }),
            };
            prop_assert_eq!(answer_from_bytes(&answer_to_bytes(&answer), "JPEG"), Some(answer));
        }

        #[test]
        fn any_bytes_are_an_answer_or_none(bytes in proptest::collection::vec(any::<u8>(), ANSWER_BYTES)) {
            let bytes: [u8; ANSWER_BYTES] = bytes.try_into().unwrap();
            if let Some(Err(error)) = answer_from_bytes(&bytes, "JPEG") {
                prop_assert!(error.to_string().len() < 2 * ANSWER_BYTES);
            }
        }
    }

    #[test]
    fn names_of_properties_take_bounded_memory() {
        let mut names = Names(Vec::new());
        assert_eq!(
            names.keep(&"x".repeat(WHAT_BYTES + 1)),
            "something in a frame"
        );
        for number in 0..1000 {
            names.keep(&format!("property {number}"));
        }
        assert_eq!(names.keep("property 0"), "property 0");
        assert_eq!(names.keep("property 999"), "something in a frame");
    }
}
