//! How the codestreams of a transfer syntax begin and end: only that, nothing is decoded.

/// What a transfer syntax puts into the fragments of a frame (PS3.5 §8.2, §A.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Codestream {
    /// SOI ... EOI: ISO/IEC 10918-1 and 14495-1.
    Jpeg,
    /// SOC ... EOC, bare or in a JP2 file: ISO/IEC 15444-1 and -15.
    Jpeg2000,
    /// Bare or in its container: ISO/IEC 18181. Its end has no marker.
    JpegXl,
    /// One fragment a frame by definition: RLE (PS3.5 §G), Deflated Image Frame Compression, Encapsulated Uncompressed.
    OneFragment,
    /// A stream across frames: MPEG-2, H.264, H.265. Fragments say nothing of frames.
    Video,
    /// One that we do not know.
    Unknown,
}

impl Codestream {
    pub fn of(transfer_syntax_uid: &str) -> Self {
        let Some(number) = transfer_syntax_uid.strip_prefix("1.2.840.10008.1.2.") else {
            return Codestream::Unknown;
        };
        match number {
            "1.98" | "5" | "8.1" => return Codestream::OneFragment,
            _ => {}
        }
        let Some(number) = number.strip_prefix("4.") else {
            return Codestream::Unknown;
        };
        match number
            .split('.')
            .next()
            .and_then(|number| number.parse::<u16>().ok())
        {
            Some(50..=81) => Codestream::Jpeg,
            Some(90..=93 | 201..=203) => Codestream::Jpeg2000,
            Some(100..=108) => Codestream::Video,
            Some(110..=112) => Codestream::JpegXl,
            _ => Codestream::Unknown,
        }
    }

    /// Whether the beginning of a codestream can be told.
    pub fn has_start(self) -> bool {
        matches!(
            self,
            Codestream::Jpeg | Codestream::Jpeg2000 | Codestream::JpegXl
        )
    }

    /// Whether a codestream begins with `bytes`.
    pub fn starts(self, bytes: &[u8]) -> bool {
        match self {
            Codestream::Jpeg => bytes.starts_with(b"\xFF\xD8\xFF"),
            // SOC must be followed by SIZ.
            Codestream::Jpeg2000 => {
                bytes.starts_with(b"\xFF\x4F\xFF\x51") || bytes.starts_with(b"\0\0\0\x0CjP  ")
            }
            Codestream::JpegXl => {
                bytes.starts_with(b"\xFF\x0A") || bytes.starts_with(b"\0\0\0\x0CJXL ")
            }
            Codestream::OneFragment | Codestream::Video | Codestream::Unknown => false,
        }
    }

    /// Whether `bytes` end with the end of a codestream; padding may follow. `None` if its end has no marker.
    pub fn ends(self, bytes: &[u8]) -> Option<bool> {
        match self {
            // EOI and EOC have the same code.
            Codestream::Jpeg | Codestream::Jpeg2000 => {
                let padding = bytes.iter().rev().take_while(|byte| **byte == 0).count();
                Some(bytes[..bytes.len() - padding].ends_with(b"\xFF\xD9"))
            }
            Codestream::JpegXl
            | Codestream::OneFragment
            | Codestream::Video
            | Codestream::Unknown => None,
        }
    }
}
