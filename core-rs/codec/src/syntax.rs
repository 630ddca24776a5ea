//! Which codec a transfer syntax takes (PS3.5 §10, §A.4; PS3.6 Table A-1).

use crate::FrameCodec;
use crate::deflated::{DeflatedFrame, UncompressedFrame};
use crate::jpeg::Jpeg;
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
    /// What it does to samples.
    pub compression: Compression,
    /// Lossy Image Compression Method (0028,2114) of what is compressed with loss in it (PS3.3 §C.7.6.1.1.5.1).
    pub method: Option<&'static str>,
}

const fn syntax(
    uid: &'static str,
    compression: Compression,
    method: Option<&'static str>,
) -> PixelSyntax {
    PixelSyntax {
        uid,
        compression,
        method,
    }
}

use Compression::{Lossless, Lossy, None as Native, Video};

/// Every transfer syntax that holds images.
#[rustfmt::skip]
const PIXEL_SYNTAXES: &[PixelSyntax] = &[
    syntax("1.2.840.10008.1.2", Native, None),
    syntax("1.2.840.10008.1.2.1", Native, None),
    syntax("1.2.840.10008.1.2.1.99", Native, None),
    syntax("1.2.840.10008.1.2.2", Native, None),
    syntax("1.2.840.10008.1.2.1.98", Lossless, None),
    syntax("1.2.840.10008.1.2.5", Lossless, None),
    syntax("1.2.840.10008.1.2.8.1", Lossless, None),
    syntax("1.2.840.10008.1.2.4.50", Lossy, Some("ISO_10918_1")),
    syntax("1.2.840.10008.1.2.4.51", Lossy, Some("ISO_10918_1")),
    syntax("1.2.840.10008.1.2.4.53", Lossy, Some("ISO_10918_1")),
    syntax("1.2.840.10008.1.2.4.55", Lossy, Some("ISO_10918_1")),
    syntax("1.2.840.10008.1.2.4.57", Lossless, None),
    syntax("1.2.840.10008.1.2.4.70", Lossless, None),
    syntax("1.2.840.10008.1.2.4.80", Lossless, None),
    syntax("1.2.840.10008.1.2.4.81", Lossy, Some("ISO_14495_1")),
    syntax("1.2.840.10008.1.2.4.90", Lossless, None),
    syntax("1.2.840.10008.1.2.4.91", Lossy, Some("ISO_15444_1")),
    syntax("1.2.840.10008.1.2.4.92", Lossless, None),
    syntax("1.2.840.10008.1.2.4.93", Lossy, Some("ISO_15444_1")),
    syntax("1.2.840.10008.1.2.4.110", Lossless, None),
    syntax("1.2.840.10008.1.2.4.111", Lossy, Some("ISO_18181_1")),
    syntax("1.2.840.10008.1.2.4.112", Lossy, Some("ISO_18181_1")),
    syntax("1.2.840.10008.1.2.4.201", Lossless, None),
    syntax("1.2.840.10008.1.2.4.202", Lossless, None),
    syntax("1.2.840.10008.1.2.4.203", Lossy, Some("ISO_15444_15")),
    syntax("1.2.840.10008.1.2.4.100", Video, Some("ISO_13818_2")),
    syntax("1.2.840.10008.1.2.4.100.1", Video, Some("ISO_13818_2")),
    syntax("1.2.840.10008.1.2.4.101", Video, Some("ISO_13818_2")),
    syntax("1.2.840.10008.1.2.4.101.1", Video, Some("ISO_13818_2")),
    syntax("1.2.840.10008.1.2.4.102", Video, Some("ISO_14496_10")),
    syntax("1.2.840.10008.1.2.4.102.1", Video, Some("ISO_14496_10")),
    syntax("1.2.840.10008.1.2.4.103", Video, Some("ISO_14496_10")),
    syntax("1.2.840.10008.1.2.4.103.1", Video, Some("ISO_14496_10")),
    syntax("1.2.840.10008.1.2.4.104", Video, Some("ISO_14496_10")),
    syntax("1.2.840.10008.1.2.4.104.1", Video, Some("ISO_14496_10")),
    syntax("1.2.840.10008.1.2.4.105", Video, Some("ISO_14496_10")),
    syntax("1.2.840.10008.1.2.4.105.1", Video, Some("ISO_14496_10")),
    syntax("1.2.840.10008.1.2.4.106", Video, Some("ISO_14496_10")),
    syntax("1.2.840.10008.1.2.4.106.1", Video, Some("ISO_14496_10")),
    syntax("1.2.840.10008.1.2.4.107", Video, Some("ISO_23008_2")),
    syntax("1.2.840.10008.1.2.4.108", Video, Some("ISO_23008_2")),
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
];
