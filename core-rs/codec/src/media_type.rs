//! Media types of pixel data by transfer syntax (PS3.18 §8.7.3.3, Table 8.7.3-5): one table for all that sends or takes
//! frames over the web.

use crate::syntax::{PixelSyntax, pixel_syntax};

/// The media type of bytes of which nothing is said: native pixel data, and encodings that have no type of their own.
pub const OCTET_STREAM: &str = "application/octet-stream";

/// Media types and the transfer syntaxes that they are for. The first of each is meant where none is said.
#[rustfmt::skip]
const MEDIA_TYPES: &[(&str, &[&str])] = &[
    (OCTET_STREAM, &[
        "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99",
        "1.2.840.10008.1.2.1.98", "1.2.840.10008.1.2.8.1",
    ]),
    ("image/jpeg", &[
        "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57",
        "1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55",
    ]),
    ("image/dicom-rle", &["1.2.840.10008.1.2.5"]),
    ("image/jls", &["1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"]),
    ("image/jp2", &["1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"]),
    ("image/jpx", &["1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.93"]),
    ("image/jphc", &["1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203"]),
    ("image/jxl", &["1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.4.112"]),
    ("video/mpeg2", &[
        "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.101", "1.2.840.10008.1.2.4.100.1",
        "1.2.840.10008.1.2.4.101.1",
    ]),
    ("video/mp4", &[
        "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.103", "1.2.840.10008.1.2.4.104", "1.2.840.10008.1.2.4.105",
        "1.2.840.10008.1.2.4.106", "1.2.840.10008.1.2.4.102.1", "1.2.840.10008.1.2.4.103.1",
        "1.2.840.10008.1.2.4.104.1", "1.2.840.10008.1.2.4.105.1", "1.2.840.10008.1.2.4.106.1",
    ]),
    ("video/H265", &["1.2.840.10008.1.2.4.107", "1.2.840.10008.1.2.4.108"]),
];

impl PixelSyntax {
    /// The media type of a frame in this transfer syntax, or of the whole of a video.
    ///
    /// ```
    /// # use vna_codec::pixel_syntax;
    /// let htj2k = pixel_syntax("1.2.840.10008.1.2.4.202").unwrap();
    /// assert_eq!(htj2k.media_type(), "image/jphc");
    /// ```
    #[must_use]
    pub fn media_type(&self) -> &'static str {
        let line = MEDIA_TYPES
            .iter()
            .find(|(_, uids)| uids.contains(&self.uid));
        line.map_or(OCTET_STREAM, |(media_type, _)| media_type)
    }
}

/// The media type of frames in a transfer syntax; that of plain bytes if it is none that holds images. Padding is allowed.
#[must_use]
pub fn frame_media_type(transfer_syntax_uid: &str) -> &'static str {
    pixel_syntax(transfer_syntax_uid).map_or(OCTET_STREAM, PixelSyntax::media_type)
}

/// The transfer syntaxes that a media type is for, the one first that is meant where none is said (PS3.18 §8.7.3.5); none
/// if it is no type of pixel data. Case does not matter.
#[must_use]
pub fn media_type_syntaxes(media_type: &str) -> &'static [&'static str] {
    let is_it = |name: &str| name.eq_ignore_ascii_case(media_type);
    let line = MEDIA_TYPES.iter().find(|(name, _)| is_it(name));
    line.map_or(&[], |(_, uids)| uids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PIXEL_SYNTAXES;
    use std::collections::HashSet;

    #[test]
    fn every_transfer_syntax_of_images_stands_in_one_line() {
        let lines = MEDIA_TYPES
            .iter()
            .flat_map(|(_, uids)| uids.iter().copied());
        let all: Vec<&str> = lines.collect();
        let each: HashSet<&str> = all.iter().copied().collect();
        assert_eq!(all.len(), each.len());
        let known: HashSet<&str> = PIXEL_SYNTAXES.iter().map(|syntax| syntax.uid).collect();
        assert_eq!(each, known);
    }

    #[test]
    fn who_names_a_type_alone_means_what_is_without_loss() {
        for (media_type, uid) in [
            ("application/octet-stream", "1.2.840.10008.1.2.1"),
            ("image/jpeg", "1.2.840.10008.1.2.4.70"),
            ("IMAGE/JLS", "1.2.840.10008.1.2.4.80"),
            ("image/jphc", "1.2.840.10008.1.2.4.201"),
        ] {
            assert_eq!(media_type_syntaxes(media_type).first(), Some(&uid));
        }
        assert!(media_type_syntaxes("image/png").is_empty());
        assert_eq!(frame_media_type("1.2.840.10008.1.2.4.90\0"), "image/jp2");
        assert_eq!(frame_media_type("1.2.3"), OCTET_STREAM);
    }
}
