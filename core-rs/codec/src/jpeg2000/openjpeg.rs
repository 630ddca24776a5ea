//! OpenJPEG, behind memory streams.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;
use std::slice;

use openjpeg_sys as opj;

use super::header::Header;
use super::rows::{RowWriter, Samples};
use super::{Compression, corrupt};
use crate::CodecError;

/// More bits do not come back exactly.
pub(super) const MAX_PRECISION: u8 = 20;

/// Enough for any small frame at once; larger ones are copied in pieces of it.
const MAX_STREAM_BUFFER: usize = 1 << 20;

/// What rounding adds in a transform is much beside samples of fewer bits than these: they get more guard bits than the two
/// of all others (ISO/IEC 15444-1 §E.1).
const FEW_BITS: u8 = 8;
const GUARD_BITS: &CStr = c"GUARD_BITS=4";

/// Decodes a codestream that [`super::header::read`] found sound.
pub(super) fn decode(
    codestream: &[u8],
    header: &Header,
    rows: &mut RowWriter,
) -> Result<(), CodecError> {
    let mut source = Source {
        data: codestream,
        at: 0,
    };
    let mut messages = Messages::default();
    let stream = Stream::reading(&mut source)?;
    // SAFETY: it takes no pointer.
    let codec =
        Codec::new(unsafe { opj::opj_create_decompress(opj::OPJ_CODEC_FORMAT::OPJ_CODEC_J2K) })?;
    codec.report_to(&mut messages);
    // SAFETY: all zero is a valid value of this C struct.
    let mut parameters: opj::opj_dparameters_t = unsafe { std::mem::zeroed() };
    let mut image = std::ptr::null_mut();
    // Strict is the default: missing data is an error. To ask for it is not the same, files that tell one tile-part too
    // few are then decoded without their last ones.
    // SAFETY: codec, stream and parameters live to the end of this function; `image` takes what the library gives.
    unsafe {
        opj::opj_set_default_decoder_parameters(&mut parameters);
        if opj::opj_setup_decoder(codec.0.as_ptr(), &mut parameters) == 0
            || opj::opj_read_header(stream.0.as_ptr(), codec.0.as_ptr(), &mut image) == 0
        {
            return Err(messages.error());
        }
    }
    let image = Image::owning(image)?;
    if image.components().len() != header.components.len() {
        return Err(corrupt("OpenJPEG finds other components in its header"));
    }
    // SAFETY: as above, and the image is the one of this codec.
    if unsafe { opj::opj_decode(codec.0.as_ptr(), stream.0.as_ptr(), image.0.as_ptr()) } == 0 {
        return Err(messages.error());
    }
    image.give_rows(rows)
}

/// Encodes samples into `out`; gives how many bytes that were.
pub(super) fn encode(
    samples: &Samples,
    colour_transform: bool,
    compression: Compression,
    out: &mut [u8],
) -> Result<usize, CodecError> {
    let image = Image::of(samples)?;
    let mut sink = Sink {
        out,
        at: 0,
        end: 0,
        full: false,
    };
    let mut messages = Messages::default();
    let stream = Stream::writing(&mut sink)?;
    // SAFETY: it takes no pointer.
    let codec =
        Codec::new(unsafe { opj::opj_create_compress(opj::OPJ_CODEC_FORMAT::OPJ_CODEC_J2K) })?;
    codec.report_to(&mut messages);
    let options = [GUARD_BITS.as_ptr(), std::ptr::null()];
    let mut parameters = parameters(samples, colour_transform, compression);
    // SAFETY: codec, stream, image and parameters live to the end of this function.
    let done = unsafe {
        opj::opj_setup_encoder(codec.0.as_ptr(), &mut parameters, image.0.as_ptr()) != 0
            && (samples.precision >= FEW_BITS
                || opj::opj_encoder_set_extra_options(codec.0.as_ptr(), options.as_ptr()) != 0)
            && opj::opj_start_compress(codec.0.as_ptr(), image.0.as_ptr(), stream.0.as_ptr()) != 0
            && opj::opj_encode(codec.0.as_ptr(), stream.0.as_ptr()) != 0
            && opj::opj_end_compress(codec.0.as_ptr(), stream.0.as_ptr()) != 0
    };
    drop((stream, codec));
    match (done, sink.full) {
        (true, false) => Ok(sink.end),
        (_, true) => Err(CodecError::Limit {
            what: "bytes of a codestream",
            found: sink.out.len() as u64 + 1,
            limit: sink.out.len() as u64,
        }),
        (false, false) => Err(messages.error()),
    }
}

fn parameters(
    samples: &Samples,
    colour_transform: bool,
    compression: Compression,
) -> opj::opj_cparameters_t {
    // SAFETY: all zero is a valid value of this C struct, which the library then fills.
    let mut parameters = unsafe {
        let mut parameters: opj::opj_cparameters_t = std::mem::zeroed();
        opj::opj_set_default_encoder_parameters(&mut parameters);
        parameters
    };
    parameters.cp_disto_alloc = 1;
    parameters.tcp_numlayers = 1;
    parameters.tcp_mct = colour_transform.into();
    if let Compression::Irreversible { ratio } = compression {
        parameters.irreversible = 1;
        parameters.tcp_rates[0] = ratio.max(1.0);
    }
    // The smallest resolution has at least one row and column. Of one or two bits a transform makes more: the library's
    // buffer is too small for noise then.
    let shorter = samples.columns.min(samples.rows);
    let possible = if samples.precision <= 2 {
        1
    } else {
        shorter.ilog2() as i32 + 1
    };
    parameters.numresolution = parameters.numresolution.min(possible);
    parameters
}

/// An image of the library.
struct Image(NonNull<opj::opj_image_t>);

impl Image {
    fn owning(image: *mut opj::opj_image_t) -> Result<Self, CodecError> {
        NonNull::new(image).map(Image).ok_or_else(no_memory)
    }

    fn of(samples: &Samples) -> Result<Self, CodecError> {
        let component = opj::opj_image_cmptparm_t {
            dx: 1,
            dy: 1,
            w: samples.columns,
            h: samples.rows,
            x0: 0,
            y0: 0,
            prec: samples.precision.into(),
            bpp: samples.precision.into(),
            sgnd: samples.signed.into(),
        };
        let mut components = vec![component; samples.components.into()];
        let space = opj::OPJ_COLOR_SPACE::OPJ_CLRSPC_UNSPECIFIED;
        let count = samples.components.into();
        // SAFETY: so many components are there.
        let image = unsafe { opj::opj_image_create(count, components.as_mut_ptr(), space) };
        let mut image = Image::owning(image)?;
        // SAFETY: nobody else has the image yet.
        let header = unsafe { image.0.as_mut() };
        (header.x1, header.y1) = (samples.columns, samples.rows);
        let columns = samples.columns as usize;
        for (index, component) in image.components().iter().enumerate() {
            let length = columns * samples.rows as usize;
            // SAFETY: the library made room for so many samples and zeroed it; no other reference to it is there.
            let plane = unsafe { slice::from_raw_parts_mut(component.data, length) };
            for (row, line) in plane.chunks_exact_mut(columns).enumerate() {
                samples.get(index, row, line);
            }
        }
        Ok(image)
    }

    fn components(&self) -> &[opj::opj_image_comp_t] {
        // SAFETY: the image is ours, and the library keeps `numcomps` components at `comps`.
        unsafe {
            let image = self.0.as_ref();
            if image.comps.is_null() {
                return &[];
            }
            slice::from_raw_parts(image.comps, image.numcomps as usize)
        }
    }

    /// Gives the rows of all components.
    fn give_rows(&self, rows: &mut RowWriter) -> Result<(), CodecError> {
        for (index, component) in self.components().iter().enumerate() {
            let columns = component.w as usize;
            let length = columns.checked_mul(component.h as usize);
            let (Some(length), false) = (length, component.data.is_null() || columns == 0) else {
                return Err(corrupt(format!("component {index} was not decoded")));
            };
            // SAFETY: a component that was decoded has width times height samples.
            let plane = unsafe { slice::from_raw_parts(component.data, length) };
            for line in plane.chunks_exact(columns) {
                rows.put(index, line)?;
            }
        }
        Ok(())
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // SAFETY: the image is ours.
        unsafe { opj::opj_image_destroy(self.0.as_ptr()) }
    }
}

struct Codec(NonNull<opj::opj_codec_t>);

impl Codec {
    fn new(codec: *mut opj::opj_codec_t) -> Result<Self, CodecError> {
        NonNull::new(codec).map(Codec).ok_or_else(no_memory)
    }

    /// Keeps the library's errors in `messages`, which outlives the codec's use.
    fn report_to(&self, messages: &mut Messages) {
        let messages = std::ptr::from_mut(messages).cast();
        // SAFETY: the callback takes `Messages`, as given here.
        unsafe { opj::opj_set_error_handler(self.0.as_ptr(), Some(on_error), messages) };
    }
}

impl Drop for Codec {
    fn drop(&mut self) {
        // SAFETY: the codec is ours.
        unsafe { opj::opj_destroy_codec(self.0.as_ptr()) }
    }
}

/// What the library says, the first thing of it: what follows are consequences.
#[derive(Default)]
struct Messages {
    first: Option<String>,
}

impl Messages {
    fn error(&self) -> CodecError {
        corrupt(self.first.as_deref().unwrap_or("OpenJPEG gives no reason"))
    }
}

unsafe extern "C" fn on_error(message: *const c_char, messages: *mut c_void) {
    // SAFETY: `report_to` gave `Messages`, the library gives a string that ends with zero.
    let (messages, message) =
        unsafe { (&mut *messages.cast::<Messages>(), CStr::from_ptr(message)) };
    let message = message.to_string_lossy();
    messages
        .first
        .get_or_insert_with(|| message.trim().to_owned());
}

struct Source<'a> {
    data: &'a [u8],
    at: usize,
}

struct Sink<'a> {
    out: &'a mut [u8],
    at: usize,
    /// The library goes back to write lengths; so far the output goes.
    end: usize,
    full: bool,
}

/// A stream of the library. It points to its source or sink: make it after them.
struct Stream(NonNull<opj::opj_stream_t>);

impl Stream {
    fn new(length: usize, is_input: bool) -> Result<Self, CodecError> {
        // A buffer must hold a main header.
        let buffer = length.clamp(4096, MAX_STREAM_BUFFER);
        // SAFETY: it takes no pointer.
        let stream = unsafe { opj::opj_stream_create(buffer, is_input.into()) };
        NonNull::new(stream).map(Stream).ok_or_else(no_memory)
    }

    fn reading(source: &mut Source) -> Result<Self, CodecError> {
        let stream = Stream::new(source.data.len(), true)?;
        let at = stream.0.as_ptr();
        let length = source.data.len() as u64;
        // SAFETY: the callbacks take a `Source`, which outlives the stream.
        unsafe {
            opj::opj_stream_set_user_data(at, std::ptr::from_mut(source).cast(), None);
            opj::opj_stream_set_user_data_length(at, length);
            opj::opj_stream_set_read_function(at, Some(read));
            opj::opj_stream_set_skip_function(at, Some(skip_source));
            opj::opj_stream_set_seek_function(at, Some(seek_source));
        }
        Ok(stream)
    }

    fn writing(sink: &mut Sink) -> Result<Self, CodecError> {
        let stream = Stream::new(sink.out.len(), false)?;
        let at = stream.0.as_ptr();
        // SAFETY: the callbacks take a `Sink`, which outlives the stream.
        unsafe {
            opj::opj_stream_set_user_data(at, std::ptr::from_mut(sink).cast(), None);
            opj::opj_stream_set_write_function(at, Some(write));
            opj::opj_stream_set_skip_function(at, Some(skip_sink));
            opj::opj_stream_set_seek_function(at, Some(seek_sink));
        }
        Ok(stream)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: the stream is ours.
        unsafe { opj::opj_stream_destroy(self.0.as_ptr()) }
    }
}

/// What a callback says when nothing is left, or nothing can be done.
const NOTHING: usize = usize::MAX;

unsafe extern "C" fn read(buffer: *mut c_void, length: usize, source: *mut c_void) -> usize {
    // SAFETY: `Stream::reading` gave a `Source`.
    let source = unsafe { &mut *source.cast::<Source>() };
    let rest = &source.data[source.at..];
    let length = length.min(rest.len());
    if length == 0 {
        return NOTHING;
    }
    // SAFETY: the library's buffer has at least so many bytes.
    unsafe { std::ptr::copy_nonoverlapping(rest.as_ptr(), buffer.cast(), length) };
    source.at += length;
    length
}

unsafe extern "C" fn skip_source(length: i64, source: *mut c_void) -> i64 {
    // SAFETY: `Stream::reading` gave a `Source`.
    let source = unsafe { &mut *source.cast::<Source>() };
    let rest = source.data.len() - source.at;
    let length = usize::try_from(length).unwrap_or(0).min(rest);
    if length == 0 {
        return -1;
    }
    source.at += length;
    length as i64
}

unsafe extern "C" fn seek_source(to: i64, source: *mut c_void) -> i32 {
    // SAFETY: `Stream::reading` gave a `Source`.
    let source = unsafe { &mut *source.cast::<Source>() };
    match usize::try_from(to) {
        Ok(to) if to <= source.data.len() => {
            source.at = to;
            1
        }
        _ => 0,
    }
}

unsafe extern "C" fn write(buffer: *mut c_void, length: usize, sink: *mut c_void) -> usize {
    // SAFETY: `Stream::writing` gave a `Sink`.
    let sink = unsafe { &mut *sink.cast::<Sink>() };
    let Some(place) = sink.out[sink.at..].get_mut(..length) else {
        sink.full = true;
        return NOTHING;
    };
    // SAFETY: the library gives so many bytes.
    place.copy_from_slice(unsafe { slice::from_raw_parts(buffer.cast(), length) });
    sink.at += length;
    sink.end = sink.end.max(sink.at);
    length
}

unsafe extern "C" fn skip_sink(length: i64, sink: *mut c_void) -> i64 {
    // SAFETY: `Stream::writing` gave a `Sink`.
    let sink = unsafe { &mut *sink.cast::<Sink>() };
    match usize::try_from(length) {
        Ok(skipped) if skipped <= sink.out.len() - sink.at => {
            sink.at += skipped;
            length
        }
        _ => -1,
    }
}

unsafe extern "C" fn seek_sink(to: i64, sink: *mut c_void) -> i32 {
    // SAFETY: `Stream::writing` gave a `Sink`.
    let sink = unsafe { &mut *sink.cast::<Sink>() };
    match usize::try_from(to) {
        Ok(to) if to <= sink.out.len() => {
            sink.at = to;
            1
        }
        _ => 0,
    }
}

fn no_memory() -> CodecError {
    corrupt("OpenJPEG has no memory for it")
}
