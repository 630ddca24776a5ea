//! Which codec a transfer syntax takes (PS3.5 §10, §A.4; PS3.6 Table A-1).

use crate::FrameCodec;
use crate::deflated::{DeflatedFrame, UncompressedFrame};
use crate::jpeg::Jpeg;
use crate::jpeg2000::Jpeg2000;
use crate::jpegls::JpegLs;
use crate::jpegxl::JpegXl;
use crate::rle::Rle;

/// What a transfer syntax does to samples.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Compression {
    /// Nothing: pixel data is native.
    None,
    /// They come back bit for bit.
    Lossless,
    /// They may come back changed: the syntax allows lossy codestreams (and some also lossless ones).
    Lossy,
    /// A video stream over all frames.
    Video,
}

/// A transfer syntax, as far as pixel data goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PixelSyntax {
    /// Its UID.
    pub uid: &'static str,
    /// Its name, shortened from PS3.6 Table A-1.
    pub name: &'static str,
    /// What it does to samples.
    pub compression: Compression,
    /// Lossy Image Compression Method (0028,2114) of what is compressed with loss in it (PS3.3 §C.7.6.1.1.5.1).
    pub method: Option<&'static str>,
}

const fn syntax(
    uid: &'static str,
    name: &'static str,
    compression: Compression,
    method: Option<&'static str>,
) -> PixelSyntax {
    PixelSyntax {
        uid,
        name,
        compression,
        method,
    }
}

use Compression::{Lossless, Lossy, None as Native, Video};

/// Every transfer syntax that holds images.
#[rustfmt::skip]
pub const PIXEL_SYNTAXES: &[PixelSyntax] = &[
    syntax("1.2.840.10008.1.2", "Implicit VR Little Endian", Native, None),
    syntax("1.2.840.10008.1.2.1", "Explicit VR Little Endian", Native, None),
    syntax("1.2.840.10008.1.2.1.99", "Deflated Explicit VR Little Endian", Native, None),
    syntax("1.2.840.10008.1.2.2", "Explicit VR Big Endian", Native, None),
    syntax("1.2.840.10008.1.2.1.98", "Encapsulated Uncompressed Explicit VR Little Endian", Lossless, None),
    syntax("1.2.840.10008.1.2.5", "RLE Lossless", Lossless, None),
    syntax("1.2.840.10008.1.2.8.1", "Deflated Image Frame Compression", Lossless, None),
    syntax("1.2.840.10008.1.2.4.50", "JPEG Baseline", Lossy, Some("ISO_10918_1")),
    syntax("1.2.840.10008.1.2.4.51", "JPEG Extended", Lossy, Some("ISO_10918_1")),
    syntax("1.2.840.10008.1.2.4.53", "JPEG Spectral Selection", Lossy, Some("ISO_10918_1")),
    syntax("1.2.840.10008.1.2.4.55", "JPEG Full Progression", Lossy, Some("ISO_10918_1")),
    syntax("1.2.840.10008.1.2.4.57", "JPEG Lossless", Lossless, None),
    syntax("1.2.840.10008.1.2.4.70", "JPEG Lossless SV1", Lossless, None),
    syntax("1.2.840.10008.1.2.4.80", "JPEG-LS Lossless", Lossless, None),
    syntax("1.2.840.10008.1.2.4.81", "JPEG-LS Near-lossless", Lossy, Some("ISO_14495_1")),
    syntax("1.2.840.10008.1.2.4.90", "JPEG 2000 Lossless", Lossless, None),
    syntax("1.2.840.10008.1.2.4.91", "JPEG 2000", Lossy, Some("ISO_15444_1")),
    syntax("1.2.840.10008.1.2.4.92", "JPEG 2000 Multi-component Lossless", Lossless, None),
    syntax("1.2.840.10008.1.2.4.93", "JPEG 2000 Multi-component", Lossy, Some("ISO_15444_1")),
    syntax("1.2.840.10008.1.2.4.110", "JPEG XL Lossless", Lossless, None),
    syntax("1.2.840.10008.1.2.4.111", "JPEG XL JPEG Recompression", Lossy, Some("ISO_18181_1")),
    syntax("1.2.840.10008.1.2.4.112", "JPEG XL", Lossy, Some("ISO_18181_1")),
    syntax("1.2.840.10008.1.2.4.201", "HTJ2K Lossless", Lossless, None),
    syntax("1.2.840.10008.1.2.4.202", "HTJ2K Lossless RPCL", Lossless, None),
    syntax("1.2.840.10008.1.2.4.203", "HTJ2K", Lossy, Some("ISO_15444_15")),
    syntax("1.2.840.10008.1.2.4.100", "MPEG2 Main Profile Main Level", Video, Some("ISO_13818_2")),
    syntax("1.2.840.10008.1.2.4.100.1", "Fragmentable MPEG2 Main Profile Main Level", Video, Some("ISO_13818_2")),
    syntax("1.2.840.10008.1.2.4.101", "MPEG2 Main Profile High Level", Video, Some("ISO_13818_2")),
    syntax("1.2.840.10008.1.2.4.101.1", "Fragmentable MPEG2 Main Profile High Level", Video, Some("ISO_13818_2")),
    syntax("1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264 High Profile 4.1", Video, Some("ISO_14496_10")),
    syntax("1.2.840.10008.1.2.4.102.1", "Fragmentable MPEG-4 AVC/H.264 High Profile 4.1", Video, Some("ISO_14496_10")),
    syntax("1.2.840.10008.1.2.4.103", "MPEG-4 AVC/H.264 BD-compatible High Profile 4.1", Video, Some("ISO_14496_10")),
    syntax("1.2.840.10008.1.2.4.103.1", "Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile 4.1", Video, Some("ISO_14496_10")),
    syntax("1.2.840.10008.1.2.4.104", "MPEG-4 AVC/H.264 High Profile 4.2 For 2D Video", Video, Some("ISO_14496_10")),
    syntax("1.2.840.10008.1.2.4.104.1", "Fragmentable MPEG-4 AVC/H.264 High Profile 4.2 For 2D Video", Video, Some("ISO_14496_10")),
    syntax("1.2.840.10008.1.2.4.105", "MPEG-4 AVC/H.264 High Profile 4.2 For 3D Video", Video, Some("ISO_14496_10")),
    syntax("1.2.840.10008.1.2.4.105.1", "Fragmentable MPEG-4 AVC/H.264 High Profile 4.2 For 3D Video", Video, Some("ISO_14496_10")),
    syntax("1.2.840.10008.1.2.4.106", "MPEG-4 AVC/H.264 Stereo High Profile 4.2", Video, Some("ISO_14496_10")),
    syntax("1.2.840.10008.1.2.4.106.1", "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile 4.2", Video, Some("ISO_14496_10")),
    syntax("1.2.840.10008.1.2.4.107", "HEVC/H.265 Main Profile 5.1", Video, Some("ISO_23008_2")),
    syntax("1.2.840.10008.1.2.4.108", "HEVC/H.265 Main 10 Profile 5.1", Video, Some("ISO_23008_2")),
];

/// What a transfer syntax does to pixel data; `None` if it is not one that holds images. Padding is allowed.
#[must_use]
pub fn pixel_syntax(transfer_syntax_uid: &str) -> Option<&'static PixelSyntax> {
    let uid = transfer_syntax_uid.trim_end_matches(['\0', ' ']);
    PIXEL_SYNTAXES.iter().find(|syntax| syntax.uid == uid)
}

/// The codec of a transfer syntax; `None` for native pixel data, video, and what no codec is known for.
#[must_use]
pub fn codec(transfer_syntax_uid: &str) -> Option<&'static dyn FrameCodec> {
    let uid = pixel_syntax(transfer_syntax_uid)?.uid;
    let line = CODECS.iter().find(|(codec_uid, _)| *codec_uid == uid);
    line.map(|(_, codec)| *codec)
}

/// The place of a transfer syntax in the table of those that have a codec, which both sides of a helper's socket share.
pub(crate) fn codec_index(transfer_syntax_uid: &str) -> Option<u16> {
    let uid = pixel_syntax(transfer_syntax_uid)?.uid;
    let index = CODECS.iter().position(|(codec_uid, _)| *codec_uid == uid)?;
    u16::try_from(index).ok()
}

/// The codec at a place of that table.
pub(crate) fn codec_at(index: usize) -> Option<&'static dyn FrameCodec> {
    CODECS.get(index).map(|(_, codec)| *codec)
}

/// How many that table has.
pub(crate) fn codec_count() -> usize {
    CODECS.len()
}

/// Each codec adds its lines here.
#[rustfmt::skip]
const CODECS: &[(&str, &dyn FrameCodec)] = &[
    ("1.2.840.10008.1.2.1.98", &UncompressedFrame),
    ("1.2.840.10008.1.2.5", &Rle),
    ("1.2.840.10008.1.2.8.1", &DeflatedFrame),
    ("1.2.840.10008.1.2.4.50", &Jpeg::Baseline),
    ("1.2.840.10008.1.2.4.51", &Jpeg::Extended),
    ("1.2.840.10008.1.2.4.53", &Jpeg::Progressive),
    ("1.2.840.10008.1.2.4.55", &Jpeg::Progressive),
    ("1.2.840.10008.1.2.4.57", &Jpeg::Lossless),
    ("1.2.840.10008.1.2.4.70", &Jpeg::LosslessFirstOrder),
    ("1.2.840.10008.1.2.4.80", &JpegLs::Lossless),
    ("1.2.840.10008.1.2.4.81", &JpegLs::NearLossless),
    ("1.2.840.10008.1.2.4.90", &Jpeg2000::Lossless),
    ("1.2.840.10008.1.2.4.91", &Jpeg2000::Lossy),
    ("1.2.840.10008.1.2.4.92", &Jpeg2000::MultiComponent),
    ("1.2.840.10008.1.2.4.93", &Jpeg2000::MultiComponent),
    ("1.2.840.10008.1.2.4.110", &JpegXl),
    ("1.2.840.10008.1.2.4.111", &JpegXl),
    ("1.2.840.10008.1.2.4.112", &JpegXl),
    ("1.2.840.10008.1.2.4.201", &Jpeg2000::HighThroughputLossless),
    ("1.2.840.10008.1.2.4.202", &Jpeg2000::HighThroughputByResolution),
    ("1.2.840.10008.1.2.4.203", &Jpeg2000::HighThroughput),
];
