//! Calls of `shim.c`.

use std::ffi::{CStr, c_char, c_int};

// The library is linked by this crate; its functions are called by the shim alone.
use turbojpeg_sys as _;

use crate::CodecError;

/// Mirrors `struct vna_jpeg_parameters`.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Parameters {
    pub columns: u32,
    pub rows: u32,
    pub components: i32,
    pub precision: i32,
    pub jpeg_colour: i32,
    pub sample_colour: i32,
    pub quality: i32,
    pub subsampling_h: i32,
    pub subsampling_v: i32,
    pub memory: i64,
    pub scans: i32,
}

/// `J_COLOR_SPACE` of jpeglib.h.
pub(super) mod colour_space {
    pub const GRAYSCALE: i32 = 1;
    pub const RGB: i32 = 2;
    pub const YCBCR: i32 = 3;
    pub const CMYK: i32 = 4;
}

/// `VNA_JPEG_ROOM`.
const ROOM: c_int = 2;
/// `JMSG_LENGTH_MAX` of jpeglib.h.
const MESSAGE_BYTES: usize = 200;

unsafe extern "C" {
    fn vna_jpeg_decode(
        codestream: *const u8,
        length: usize,
        parameters: *const Parameters,
        samples: *mut u8,
        row_bytes: usize,
        message: *mut c_char,
    ) -> c_int;

    fn vna_jpeg_encode(
        samples: *const u8,
        row_bytes: usize,
        parameters: *const Parameters,
        codestream: *mut u8,
        length: *mut usize,
        message: *mut c_char,
    ) -> c_int;
}

impl Parameters {
    /// Bytes of a row of samples: 16-bit words beyond 8 bits.
    fn row_bytes(&self) -> usize {
        let width = if self.precision > 8 { 2 } else { 1 };
        self.columns as usize * usize::try_from(self.components).unwrap_or(0) * width
    }

    /// Whether `samples` is memory of exactly this image, aligned for its samples.
    fn fits(&self, samples: &[u8]) -> bool {
        let aligned = self.precision <= 8 || samples.as_ptr().cast::<u16>().is_aligned();
        aligned && samples.len() == self.row_bytes() * self.rows as usize
    }
}

/// Decodes into `samples`, which must be what [`Parameters`] says, aligned for 16-bit words where they are.
pub(super) fn decode(
    codestream: &[u8],
    parameters: &Parameters,
    samples: &mut [u8],
) -> Result<(), CodecError> {
    assert!(
        parameters.fits(samples),
        "room for the samples of a JPEG frame"
    );
    let mut message = [0; MESSAGE_BYTES];
    // SAFETY: the shim reads `length` bytes of the codestream; it writes `rows` rows of `row_bytes` only if the codestream
    // has the dimensions and precision of the parameters, which `samples` has room for by the assertion, and a
    // text of at most MESSAGE_BYTES. It keeps none of the pointers, and returns rather than jumps.
    let status = unsafe {
        vna_jpeg_decode(
            codestream.as_ptr(),
            codestream.len(),
            parameters,
            samples.as_mut_ptr(),
            parameters.row_bytes(),
            message.as_mut_ptr(),
        )
    };
    match status {
        0 => Ok(()),
        _ => Err(super::corrupt(text(&message))),
    }
}

/// Encodes into `out`; gives how many bytes were written. `samples` as for [`decode`].
pub(super) fn encode(
    samples: &[u8],
    parameters: &Parameters,
    out: &mut [u8],
) -> Result<usize, CodecError> {
    assert!(parameters.fits(samples), "the samples of a JPEG frame");
    let mut length = out.len();
    let mut message = [0; MESSAGE_BYTES];
    // SAFETY: the shim reads `rows` rows of `row_bytes`, which `samples` has by the assertion, writes at most `length` bytes
    // of `out`, and a text of at most MESSAGE_BYTES. It keeps none of the pointers, and returns rather than jumps.
    let status = unsafe {
        vna_jpeg_encode(
            samples.as_ptr(),
            parameters.row_bytes(),
            parameters,
            out.as_mut_ptr(),
            &raw mut length,
            message.as_mut_ptr(),
        )
    };
    match status {
        0 => Ok(length),
        ROOM => Err(CodecError::Limit {
            what: "bytes of a JPEG codestream",
            found: out.len() as u64 + 1,
            limit: out.len() as u64,
        }),
        _ => Err(CodecError::Unsupported {
            what: format!("JPEG: {}", text(&message)),
        }),
    }
}

#[allow(clippy::cast_sign_loss)] // characters are bytes
fn text(message: &[c_char; MESSAGE_BYTES]) -> String {
    let bytes = message.map(|character| character as u8);
    CStr::from_bytes_until_nul(&bytes).map_or_else(
        |_| String::new(),
        |text| text.to_string_lossy().into_owned(),
    )
}
