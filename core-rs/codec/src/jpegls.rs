//! JPEG-LS (ISO/IEC 14495-1; PS3.5 §A.4.3, §8.2.3) by CharLS, which catches its exceptions behind its C functions.

use std::borrow::Cow;
use std::ffi::{CStr, c_int};
use std::ptr::NonNull;

use charls_sys as charls;

use crate::colour::{finish, interleaved};
use crate::jpeg::from_start_of_image;
use crate::native::{checked_length, interleave, sample_bytes};
use crate::widen::{extend_sign, fits_bits, narrow, widen, with_words};
use crate::{CodecError, Colour, EncodeOptions, FrameCodec, FrameFormat, Photometric, Sample};

/// JPEG-LS, as a transfer syntax allows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum JpegLs {
    /// 1.2.840.10008.1.2.4.80.
    Lossless,
    /// With differences of a few grey levels: 1.2.840.10008.1.2.4.81.
    NearLossless,
}

/// The largest NEAR (ISO/IEC 14495-1 §C.2.3); it is also at most half of the largest sample.
const MAX_NEAR: u16 = 255;

unsafe extern "C" {
    // charls-sys does not declare it.
    fn charls_jpegls_decoder_get_interleave_mode(
        decoder: *const charls::charls_jpegls_decoder,
        interleave_mode: *mut charls::charls_interleave_mode,
    ) -> charls::charls_jpegls_errc;
    fn charls_jpegls_decoder_get_near_lossless(
        decoder: *const charls::charls_jpegls_decoder,
        component: i32,
        near_lossless: *mut i32,
    ) -> charls::charls_jpegls_errc;
}

impl FrameCodec for JpegLs {
    fn name(&self) -> &'static str {
        "JPEG-LS"
    }

    fn decode(
        &self,
        codestream: &[u8],
        format: &FrameFormat,
        colour: Colour,
        out: &mut [u8],
    ) -> Result<FrameFormat, CodecError> {
        let length = checked_length(format.frame_bytes()?, out.len())?;
        let out = &mut out[..length];
        let allocated = sample_bytes(format)?;
        let codestream = whole(codestream)?;
        let decoder = Decoder::new(&codestream)?;
        let info = decoder.frame_info()?;
        check(&info, format)?;
        let precision = u16::try_from(info.bits_per_sample).unwrap_or(u16::MAX);
        let width = if precision > 8 { 2 } else { 1 };
        let components = usize::from(format.samples_per_pixel);
        let planar =
            components > 1 && decoder.interleave_mode()? == charls::charls_interleave_mode_none;
        widen(out, width, allocated, |samples| {
            if planar {
                let mut planes = vec![0; samples.len()];
                with_words(&mut planes, width, |planes| decoder.decode(planes))?;
                interleave(&planes, components, width, samples);
                return Ok(());
            }
            with_words(samples, width, |samples| decoder.decode(samples))
        })?;
        if format.sample == Sample::Signed {
            extend_sign(out, allocated, precision);
        } else if (1..precision).contains(&format.bits_stored) {
            limit(out, allocated, format.bits_stored, decoder.near()?);
        }
        Ok(finish(out, format, colour))
    }

    fn encode(
        &self,
        samples: &[u8],
        format: &FrameFormat,
        options: &EncodeOptions,
        out: &mut [u8],
    ) -> Result<(usize, FrameFormat), CodecError> {
        let length = checked_length(format.frame_bytes()?, samples.len())?;
        let samples = &samples[..length];
        let near = match self {
            JpegLs::Lossless => 0,
            JpegLs::NearLossless => options.near,
        };
        let holds = matches!((format.samples_per_pixel, format.bits_allocated), (1 | 3, 8 | 16))
            && format.sample != Sample::Float
            // A palette's neighbouring indexes need not be neighbouring colours.
            && (near == 0 || format.photometric != Photometric::PaletteColor);
        if !holds {
            return Err(CodecError::Unsupported {
                what: format!(
                    "{} {:?} samples of {} bits in {} as JPEG-LS",
                    format.samples_per_pixel,
                    format.sample,
                    format.bits_allocated,
                    format.photometric.name()
                ),
            });
        }
        let (precision, near) = precision_and_near(samples, format, near);
        let width = if precision > 8 { 2 } else { 1 };
        // CharLS looks at the bits of the precision only.
        let samples = narrow(samples, sample_bytes(format)?, width, 16);
        let written = encode(&samples, format, precision, near, out)?;
        Ok((written, interleaved(format)))
    }
}

fn corrupt(reason: String) -> CodecError {
    CodecError::Corrupt {
        codec: "JPEG-LS",
        reason,
    }
}

/// The bits that are encoded of each sample, and the difference that is allowed.
fn precision_and_near(samples: &[u8], format: &FrameFormat, near: u16) -> (u16, u16) {
    // What is in unused bits is kept, if it is more than the sign.
    let mut precision = format.bits_allocated;
    if fits_bits(samples, format) {
        precision = format.bits_stored.max(2);
    }
    let half = |precision: u16| u16::MAX >> (17 - precision);
    let near = near.min(MAX_NEAR).min(half(precision));
    if near == 0 || format.sample != Sample::Signed {
        return (precision, near);
    }
    // A difference must not carry the largest value over to the smallest: then more bits are encoded, or each sample exactly.
    let (least, most) = signed_range(samples, format.bits_allocated);
    let is_inside = |precision: u16| {
        let limit = i32::from(half(precision)) - i32::from(near);
        least > -limit && most < limit
    };
    match [precision, format.bits_allocated]
        .into_iter()
        .find(|bits| is_inside(*bits))
    {
        Some(precision) => (precision, near),
        None => (precision, 0),
    }
}

/// The smallest and the largest of samples of 8 or 16 bits.
fn signed_range(samples: &[u8], bits_allocated: u16) -> (i32, i32) {
    let widen = |(least, most): (i16, i16)| (least.into(), most.into());
    let start = (i16::MAX, i16::MIN);
    let range = |(least, most): (i16, i16), value: i16| (least.min(value), most.max(value));
    if bits_allocated == 8 {
        let values = samples.iter().map(|sample| i16::from(*sample as i8));
        return widen(values.fold(start, range));
    }
    let values = samples
        .chunks_exact(2)
        .map(|sample| i16::from_le_bytes([sample[0], sample[1]]));
    widen(values.fold(start, range))
}

/// What CharLS says, as an error.
fn checked(status: charls::charls_jpegls_errc) -> Result<(), CodecError> {
    if status == charls::charls_jpegls_errc_success {
        return Ok(());
    }
    // SAFETY: it gives a static text for any number.
    let text = unsafe { charls::charls_get_error_message(status) };
    let reason = NonNull::new(text.cast_mut()).map_or_else(String::new, |text| {
        // SAFETY: the text is static and ends with NUL.
        unsafe { CStr::from_ptr(text.as_ptr()) }
            .to_string_lossy()
            .into_owned()
    });
    Err(match status {
        // Subsampled components, for one: whole, but beyond the library.
        charls::charls_jpegls_errc_parameter_value_not_supported
        | charls::charls_jpegls_errc_encoding_not_supported
        | charls::charls_jpegls_errc_color_transform_not_supported
        | charls::charls_jpegls_errc_bit_depth_for_transform_not_supported => {
            CodecError::Unsupported {
                what: format!("JPEG-LS: {reason}"),
            }
        }
        _ => corrupt(reason),
    })
}

/// The codestream from SOI to EOI. Writers exist that leave the latter away; the library wants both. Inside entropy-coded
/// data FF is followed by less than 80.
fn whole(bytes: &[u8]) -> Result<Cow<'_, [u8]>, CodecError> {
    let bytes =
        from_start_of_image(bytes).ok_or_else(|| corrupt("it has no start of image".into()))?;
    if bytes.windows(2).rev().any(|two| two == [0xFF, 0xD9]) {
        return Ok(Cow::Borrowed(bytes));
    }
    Ok(Cow::Owned([bytes, &[0xFF, 0xD9]].concat()))
}

/// Where more bits were encoded with loss than are stored, white may have become a little more than that, whose stored bits are
/// black: it is white again.
fn limit(samples: &mut [u8], allocated: usize, bits_stored: u16, near: u32) {
    let most = u64::MAX >> (64 - bits_stored); // at least one, and fewer than the 16 that there can be
    for sample in samples.chunks_exact_mut(allocated) {
        let mut bytes = [0; 8];
        bytes[..allocated].copy_from_slice(sample);
        if (most + 1..=most + u64::from(near)).contains(&u64::from_le_bytes(bytes)) {
            sample.copy_from_slice(&most.to_le_bytes()[..allocated]);
        }
    }
}

/// The codestream against the data set, before any row is decoded.
fn check(info: &charls::charls_frame_info, format: &FrameFormat) -> Result<(), CodecError> {
    let number = |value: c_int| u64::try_from(value).unwrap_or(0);
    for (what, expected, found) in [
        ("Rows", u64::from(format.rows), u64::from(info.height)),
        ("Columns", format.columns.into(), info.width.into()),
        (
            "Samples per Pixel",
            format.samples_per_pixel.into(),
            number(info.component_count),
        ),
    ] {
        if expected != found {
            return Err(CodecError::Mismatch {
                what,
                expected,
                found,
            });
        }
    }
    let precision = number(info.bits_per_sample);
    if precision > format.bits_allocated.into() || format.sample == Sample::Float {
        return Err(CodecError::Mismatch {
            what: "Bits Allocated",
            expected: format.bits_allocated.into(),
            found: precision,
        });
    }
    Ok(())
}

/// A decoder that has read the header of a codestream, which it borrows.
struct Decoder<'a> {
    handle: NonNull<charls::charls_jpegls_decoder>,
    codestream: std::marker::PhantomData<&'a [u8]>,
}

impl<'a> Decoder<'a> {
    fn new(codestream: &'a [u8]) -> Result<Self, CodecError> {
        // SAFETY: it gives a decoder of its own, or null without memory.
        let handle = unsafe { charls::charls_jpegls_decoder_create() };
        let decoder = Decoder {
            handle: NonNull::new(handle).ok_or_else(|| corrupt("no memory".into()))?,
            codestream: std::marker::PhantomData,
        };
        let handle = decoder.handle.as_ptr();
        // SAFETY: the handle is valid until `decoder` is dropped, and the source as long as 'a, which is longer.
        checked(unsafe {
            charls::charls_jpegls_decoder_set_source_buffer(
                handle,
                codestream.as_ptr().cast(),
                codestream.len(),
            )
        })?;
        // SAFETY: the handle is valid and has its source.
        checked(unsafe { charls::charls_jpegls_decoder_read_header(handle) })?;
        Ok(decoder)
    }

    fn frame_info(&self) -> Result<charls::charls_frame_info, CodecError> {
        let mut info = charls::charls_frame_info {
            width: 0,
            height: 0,
            bits_per_sample: 0,
            component_count: 0,
        };
        // SAFETY: the handle is valid, and `info` a place to write to.
        checked(unsafe {
            charls::charls_jpegls_decoder_get_frame_info(self.handle.as_ptr(), &raw mut info)
        })?;
        Ok(info)
    }

    fn interleave_mode(&self) -> Result<charls::charls_interleave_mode, CodecError> {
        let mut mode = charls::charls_interleave_mode_none;
        // SAFETY: the handle is valid, and `mode` a place to write to.
        checked(unsafe {
            charls_jpegls_decoder_get_interleave_mode(self.handle.as_ptr(), &raw mut mode)
        })?;
        Ok(mode)
    }

    /// By how much samples may differ from those that were encoded.
    fn near(&self) -> Result<u32, CodecError> {
        let mut near = 0;
        // SAFETY: the handle is valid, and `near` a place to write to.
        checked(unsafe {
            charls_jpegls_decoder_get_near_lossless(self.handle.as_ptr(), 0, &raw mut near)
        })?;
        Ok(u32::try_from(near).unwrap_or(0))
    }

    /// Decodes into exactly the memory of the frame, aligned for 16-bit words where samples are.
    fn decode(&self, out: &mut [u8]) -> Result<(), CodecError> {
        let mut needed = 0;
        let handle = self.handle.as_ptr();
        // SAFETY: the handle is valid, and `needed` a place to write to.
        checked(unsafe {
            charls::charls_jpegls_decoder_get_destination_size(handle, 0, &raw mut needed)
        })?;
        if needed != out.len() {
            return Err(CodecError::Mismatch {
                what: "bytes of a frame",
                expected: out.len() as u64,
                found: needed as u64,
            });
        }
        // SAFETY: the handle is valid, its source still borrowed, and `out` memory of the given length, which
        // the library does not exceed.
        checked(unsafe {
            charls::charls_jpegls_decoder_decode_to_buffer(
                handle,
                out.as_mut_ptr().cast(),
                out.len(),
                0,
            )
        })
    }
}

impl Drop for Decoder<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle is valid and not used again.
        unsafe { charls::charls_jpegls_decoder_destroy(self.handle.as_ptr()) };
    }
}

struct Encoder(NonNull<charls::charls_jpegls_encoder>);

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: the handle is valid and not used again.
        unsafe { charls::charls_jpegls_encoder_destroy(self.0.as_ptr()) };
    }
}

/// Encodes samples of bytes or aligned 16-bit words into `out`; gives how many bytes were written.
fn encode(
    samples: &[u8],
    format: &FrameFormat,
    precision: u16,
    near: u16,
    out: &mut [u8],
) -> Result<usize, CodecError> {
    let info = charls::charls_frame_info {
        width: format.columns,
        height: format.rows,
        bits_per_sample: precision.into(),
        component_count: format.samples_per_pixel.into(),
    };
    let mode = match format.samples_per_pixel {
        1 => charls::charls_interleave_mode_none,
        _ => charls::charls_interleave_mode_sample,
    };
    // SAFETY: it gives an encoder of its own, or null without memory.
    let handle = unsafe { charls::charls_jpegls_encoder_create() };
    let encoder = Encoder(NonNull::new(handle).ok_or_else(|| corrupt("no memory".into()))?);
    let handle = encoder.0.as_ptr();
    let mut written = 0;
    // SAFETY: the handle is valid until `encoder` is dropped; `samples` and `out` are memory of the given lengths, which outlive it
    // and which the library does not exceed.
    let status = unsafe {
        checked(charls::charls_jpegls_encoder_set_frame_info(
            handle,
            &raw const info,
        ))?;
        checked(charls::charls_jpegls_encoder_set_near_lossless(
            handle,
            near.into(),
        ))?;
        checked(charls::charls_jpegls_encoder_set_interleave_mode(
            handle, mode,
        ))?;
        checked(charls::charls_jpegls_encoder_set_destination_buffer(
            handle,
            out.as_mut_ptr().cast(),
            out.len(),
        ))?;
        charls::charls_jpegls_encoder_encode_from_buffer(
            handle,
            samples.as_ptr().cast(),
            samples.len(),
            0,
        )
    };
    if status == charls::charls_jpegls_errc_destination_buffer_too_small {
        return Err(CodecError::Limit {
            what: "bytes of a JPEG-LS codestream",
            found: out.len() as u64 + 1,
            limit: out.len() as u64,
        });
    }
    checked(status)?;
    // SAFETY: the handle is valid, and `written` a place to write to.
    checked(unsafe { charls::charls_jpegls_encoder_get_bytes_written(handle, &raw mut written) })?;
    Ok(written)
}
