//! OpenJPH, behind a shim that catches what it throws.

use std::ffi::{CStr, c_char, c_void};
use std::slice;

use super::header::Header;
use super::rows::{RowWriter, Samples};
use super::{Compression, corrupt};
use crate::CodecError;

/// More bits do not come back exactly.
pub(super) const MAX_PRECISION: u8 = 32;

/// `VnaJphFrame` of the shim.
#[repr(C)]
struct Frame {
    columns: u32,
    rows: u32,
    components: u32,
    precision: u32,
    levels: u32,
    step: f32,
    is_signed: bool,
    colour_transform: bool,
    by_resolution: bool,
}

type GetRow = unsafe extern "C" fn(*mut c_void, u32, u32, *mut i32, usize);
type PutRow = unsafe extern "C" fn(*mut c_void, u32, *const i32, usize) -> bool;

unsafe extern "C" {
    fn vna_jph_encode(
        frame: *const Frame,
        get_row: GetRow,
        user: *mut c_void,
        out: *mut u8,
        room: usize,
        message: *mut c_char,
        message_room: usize,
    ) -> i64;
    fn vna_jph_decode(
        data: *const u8,
        length: usize,
        rows: u64,
        put_row: PutRow,
        user: *mut c_void,
        message: *mut c_char,
        message_room: usize,
    ) -> bool;
}

/// Decodes a codestream that [`super::header::read`] found sound, and made for this library.
pub(super) fn decode(
    codestream: &[u8],
    header: &Header,
    rows: &mut RowWriter,
) -> Result<(), CodecError> {
    let components = 0..header.components.len();
    let count = components.map(|component| header.rows_of(component).len() as u64);
    let mut taker = Taker { rows, error: None };
    let mut message = Message::default();
    // SAFETY: the codestream is readable, the message writable for its length; `put_row` takes a `Taker`.
    let done = unsafe {
        vna_jph_decode(
            codestream.as_ptr(),
            codestream.len(),
            count.sum(),
            put_row,
            std::ptr::from_mut(&mut taker).cast(),
            message.0.as_mut_ptr(),
            message.0.len(),
        )
    };
    match (done, taker.error) {
        (_, Some(error)) => Err(error),
        (true, None) => Ok(()),
        (false, None) => Err(message.error()),
    }
}

/// Encodes samples into `out`; gives how many bytes that were. With `by_resolution` each resolution is a tile-part that
/// TLM tells the length of, and the first one is a thumbnail (PS3.5 §10.18).
pub(super) fn encode(
    samples: &Samples,
    colour_transform: bool,
    compression: Compression,
    by_resolution: bool,
    out: &mut [u8],
) -> Result<usize, CodecError> {
    let mut frame = Frame {
        columns: samples.columns,
        rows: samples.rows,
        components: samples.components.into(),
        precision: samples.precision.into(),
        levels: levels(samples),
        step: 0.0,
        is_signed: samples.signed,
        colour_transform,
        by_resolution,
    };
    match compression {
        Compression::Reversible => encode_frame(&frame, samples, out),
        Compression::Irreversible { .. } if samples.precision > MAX_LOSSY_PRECISION => {
            let what = format!("samples of {} bits as lossy HTJ2K", samples.precision);
            Err(CodecError::Unsupported { what })
        }
        Compression::Irreversible { ratio } => {
            let target = HEADERS + samples.coded_bytes() / f64::from(ratio.max(1.0));
            let attempt = |step| {
                frame.step = step;
                encode_frame(&frame, samples, out)
            };
            let first = first_step(samples, target);
            approach(target, samples.precision, first, attempt)
        }
    }
}

/// Levels of the transform: five as elsewhere, more where the smallest resolution is to be a thumbnail, fewer where
/// nothing is left to halve.
fn levels(samples: &Samples) -> u32 {
    let longer = samples.columns.max(samples.rows);
    let to_thumbnail = longer.div_ceil(THUMBNAIL).next_power_of_two().ilog2();
    let possible = samples.columns.min(samples.rows).ilog2();
    // Without a transform the library has one bit too few for the lowest sample.
    possible.clamp(1, 5).max(to_thumbnail)
}

/// Bits of a sample that is compressed with loss at most: of finer steps the library writes code-blocks that it does
/// not read.
const MAX_LOSSY_PRECISION: u8 = 24;

/// Width or height of the smallest resolution at most (PS3.5 §10.18).
const THUMBNAIL: u32 = 64;

/// Encodes until the codestream has about `target` bytes: the library takes a step of quantisation, not a length. Begins
/// with the step whose logarithm is `step`.
fn approach(
    target: f64,
    precision: u8,
    step: f32,
    mut encode: impl FnMut(f32) -> Result<usize, CodecError>,
) -> Result<usize, CodecError> {
    // Logarithms of steps, as parts of the range. The finest is one of the samples' own, the coarsest leaves an image.
    let (mut finer, mut coarser) = (-f32::from(precision).max(5.0), -4.0);
    let mut step = step.clamp(finer, coarser);
    let mut before: Option<(f32, f32)> = None;
    let mut attempts = 0;
    loop {
        attempts += 1;
        let length = encode(step.exp2())?;
        let excess = length as f64 / target;
        if (excess - 1.0).abs() < TOLERANCE || attempts == MAX_ATTEMPTS || coarser - finer < 0.01 {
            return Ok(length);
        }
        if excess > 1.0 {
            finer = step;
        } else {
            coarser = step;
        }
        #[allow(clippy::cast_possible_truncation)]
        let excess = excess.log2() as f32;
        // Twice the step takes about a bit from each sample that has one left; how many have shows when two are known.
        let slope = before.map_or(1.0, |(other, found)| (excess - found) / (other - step));
        before = Some((step, excess));
        let guess = step + excess / slope.clamp(0.25, 2.0);
        let between = finer < guess && guess < coarser;
        step = if between {
            guess
        } else {
            (finer + coarser) / 2.0
        };
    }
}

/// The logarithm of the step that makes about `target` bytes of samples, as a part of their range: by how much neighbours
/// differ, which is what the finest part of the transform sees.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "an estimate"
)]
fn first_step(samples: &Samples, target: f64) -> f32 {
    let columns = samples.columns as usize;
    let (mut line, mut sum, mut count) = (vec![0; columns], 0.0, 0_u64);
    let every = (samples.rows as usize / SAMPLED_ROWS).max(1);
    for component in 0..usize::from(samples.components) {
        for row in (0..samples.rows as usize).step_by(every) {
            samples.get(component, row, &mut line);
            let differences = line.windows(2).map(|pair| pair[0].abs_diff(pair[1]));
            sum += differences.map(f64::from).sum::<f64>();
            count += line.len() as u64;
        }
    }
    let difference = (sum / count.max(1) as f64).max(0.25);
    let pixels = f64::from(samples.columns) * f64::from(samples.rows);
    let bits = target * 8.0 / (pixels * f64::from(samples.components)).max(1.0);
    // Measured: at a step of the mean difference a sample takes about a bit, at each half of it one more.
    (difference.log2() - f64::from(samples.precision) + 1.0 - bits) as f32
}

/// Rows of a component that are looked at for an estimate.
const SAMPLED_ROWS: usize = 64;

/// How often a frame is encoded for its ratio, and how near to it is near enough.
const MAX_ATTEMPTS: usize = 8;
const TOLERANCE: f64 = 0.05;
/// Bytes of a codestream that no step makes fewer.
const HEADERS: f64 = 160.0;

fn encode_frame(frame: &Frame, samples: &Samples, out: &mut [u8]) -> Result<usize, CodecError> {
    let mut message = Message::default();
    // SAFETY: `out` and the message are writable for their lengths; `get_row` takes `Samples`, and only reads them.
    let length = unsafe {
        vna_jph_encode(
            frame,
            get_row,
            std::ptr::from_ref(samples).cast_mut().cast(),
            out.as_mut_ptr(),
            out.len(),
            message.0.as_mut_ptr(),
            message.0.len(),
        )
    };
    match usize::try_from(length) {
        Ok(length) => Ok(length),
        Err(_) if length == -2 => Err(CodecError::Limit {
            what: "bytes of a codestream",
            found: out.len() as u64 + 1,
            limit: out.len() as u64,
        }),
        Err(_) => Err(message.error()),
    }
}

struct Taker<'a, 'b> {
    rows: &'a mut RowWriter<'b>,
    error: Option<CodecError>,
}

unsafe extern "C" fn put_row(
    taker: *mut c_void,
    component: u32,
    line: *const i32,
    columns: usize,
) -> bool {
    // SAFETY: `decode` gave a `Taker`, the library a line of so many columns.
    let (taker, line) = unsafe {
        (
            &mut *taker.cast::<Taker>(),
            slice::from_raw_parts(line, columns),
        )
    };
    taker.error = taker.rows.put(component as usize, line).err();
    taker.error.is_none()
}

unsafe extern "C" fn get_row(
    samples: *mut c_void,
    component: u32,
    row: u32,
    line: *mut i32,
    columns: usize,
) {
    // SAFETY: `encode_frame` gave `Samples`, the library a line of so many columns.
    let (samples, line) = unsafe {
        (
            &*samples.cast::<Samples>(),
            slice::from_raw_parts_mut(line, columns),
        )
    };
    samples.get(component as usize, row as usize, line);
}

/// What the library says.
struct Message([c_char; 256]);

impl Default for Message {
    fn default() -> Self {
        Message([0; 256])
    }
}

impl Message {
    fn error(&self) -> CodecError {
        // SAFETY: the shim ends it with zero, and nobody else writes to it.
        let message = unsafe { CStr::from_ptr(self.0.as_ptr()) };
        corrupt(message.to_string_lossy().trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often a frame of which a step of 2^s makes `length(s)` bytes is encoded.
    fn attempts(target: f64, first: f32, length: impl Fn(f32) -> f64) -> usize {
        let mut attempts = 0;
        let found = approach(target, 12, first, |step| {
            attempts += 1;
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let bytes = length(step.log2()) as usize;
            Ok(bytes)
        });
        let excess = found.unwrap() as f64 / target;
        assert!((excess - 1.0).abs() < TOLERANCE, "{excess}");
        attempts
    }

    #[test]
    fn a_few_attempts_are_enough_however_much_a_step_takes_away() {
        for first in [-11.0, -9.0, -6.0, -4.5] {
            for slope in [0.4, 0.7, 1.0, 1.4] {
                let length = |step: f32| 1e5 * (f64::from(-8.0 - step) * slope).exp2();
                let needed = attempts(1e5, first, length);
                assert!(needed <= 4, "{needed} attempts from {first} with {slope}");
            }
        }
    }
}
