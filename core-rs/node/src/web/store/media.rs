//! What the media types of a Store request mean (PS3.18 §8.7.3, Table 10.5.2-1).

use vna_codec::{Compression, jpeg_file, pixel_syntax};
use vna_dicom::EXPLICIT_VR_LITTLE_ENDIAN;

use crate::ingest::UploadError;
use crate::ingest::multipart::parameter;

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PartKind {
    /// A PS3.10 file.
    File,
    /// Metadata in the DICOM JSON Model.
    Json,
    /// Metadata in the Native DICOM Model.
    Xml,
    /// A value of a data set, or a frame of one.
    Bulk,
}

/// What parts are that do not say it, in a body of this Content-Type.
///
/// # Errors
///
/// [`UploadError::Unsupported`] for what a Store request cannot be.
pub(super) fn parts_of(content_type: &str) -> Result<Option<PartKind>, UploadError> {
    let media_type = media_type(content_type);
    if media_type == "multipart/related" {
        // RFC 2387 demands the type, which some clients leave out.
        let Some(root) = parameter(content_type, "type") else {
            return Ok(None);
        };
        return match known(&self::media_type(&root)) {
            // Whoever sends metadata says so of its parts, and the others are bulk data.
            Some(PartKind::Json | PartKind::Xml) => Ok(Some(PartKind::Bulk)),
            Some(kind) => Ok(Some(kind)),
            None => Err(unsupported(&format!("multipart/related of {root}"))),
        };
    }
    match known(&media_type) {
        Some(kind) => Ok(Some(kind)),
        None if media_type.is_empty() => Err(unsupported("a body without Content-Type")),
        None => Err(unsupported(&media_type)),
    }
}

/// What the part of this Content-Type is, if those are so that do not say it.
pub(super) fn kind_of(content_type: &str, otherwise: Option<PartKind>) -> PartKind {
    let media_type = media_type(content_type);
    match media_type.as_str() {
        "" => otherwise.unwrap_or(PartKind::File),
        _ => known(&media_type).unwrap_or(PartKind::Bulk),
    }
}

fn known(media_type: &str) -> Option<PartKind> {
    match media_type {
        "application/dicom" => Some(PartKind::File),
        "application/dicom+json" | "application/json" => Some(PartKind::Json),
        "application/dicom+xml" => Some(PartKind::Xml),
        _ => None,
    }
}

/// The transfer syntax of pixel data in parts of this Content-Type; `None` if it is native, in little endian. `beginning`
/// are the first bytes of the first part, `told` is what File Meta Information says that a client sent among the metadata.
///
/// Where a media type leaves a choice and no parameter makes it, the codestream does.
///
/// # Errors
///
/// [`UploadError::Unsupported`] if no transfer syntax has such parts.
pub(super) fn transfer_syntax(
    content_type: &str,
    beginning: &[u8],
    told: Option<&str>,
) -> Result<Option<&'static str>, UploadError> {
    if let Some(uid) = parameter(content_type, "transfer-syntax").filter(|uid| uid != "*") {
        return named(&uid);
    }
    let lossy = |is_lossy: bool, lossless: &'static str, with_loss: &'static str| {
        Ok(Some(if is_lossy { with_loss } else { lossless }))
    };
    let media_type = media_type(content_type);
    match media_type.as_str() {
        "" | "application/octet-stream" => told.map_or(Ok(None), named),
        "image/jpeg" => match jpeg_file(beginning) {
            Ok(file) if file.transfer_syntax_uid.is_some() => Ok(file.transfer_syntax_uid),
            Ok(_) => Err(unsupported("a progressive JPEG")),
            Err(_) => Ok(Some("1.2.840.10008.1.2.4.70")), // Table 8.7.3-5 makes it the default
        },
        "image/jls" | "image/x-jls" => lossy(
            is_near_lossless(beginning),
            "1.2.840.10008.1.2.4.80",
            "1.2.840.10008.1.2.4.81",
        ),
        "image/jp2" | "image/x-jp2" | "image/j2c" => lossy(
            is_irreversible(beginning),
            "1.2.840.10008.1.2.4.90",
            "1.2.840.10008.1.2.4.91",
        ),
        "image/jpx" => lossy(
            is_irreversible(beginning),
            "1.2.840.10008.1.2.4.92",
            "1.2.840.10008.1.2.4.93",
        ),
        "image/jphc" => lossy(
            is_irreversible(beginning),
            "1.2.840.10008.1.2.4.201",
            "1.2.840.10008.1.2.4.203",
        ),
        "image/jxl" => Ok(Some("1.2.840.10008.1.2.4.110")),
        "image/dicom-rle" | "image/x-dicom-rle" => Ok(Some("1.2.840.10008.1.2.5")),
        "video/mpeg" | "video/mpeg2" => Ok(Some("1.2.840.10008.1.2.4.100")),
        "video/mp4" | "video/h264" => Ok(Some("1.2.840.10008.1.2.4.102")),
        "video/h265" => Ok(Some("1.2.840.10008.1.2.4.107")),
        other => Err(unsupported(&format!("pixel data as {other}"))),
    }
}

fn named(uid: &str) -> Result<Option<&'static str>, UploadError> {
    match pixel_syntax(uid) {
        // Bulk data that is not compressed is in little endian, whatever the file was (PS3.18 §8.7.3.3.1).
        Some(syntax) if syntax.compression == Compression::None => Ok(None),
        Some(syntax) => Ok(Some(syntax.uid)),
        None => Err(unsupported(&format!("pixel data in transfer syntax {uid}"))),
    }
}

/// Whether pixel data of that transfer syntax is one stream over all frames.
pub(super) fn is_video(transfer_syntax_uid: &str) -> bool {
    pixel_syntax(transfer_syntax_uid).is_some_and(|it| it.compression == Compression::Video)
}

/// The transfer syntax of a file whose pixel data is in `pixels`.
pub(super) fn file_syntax(pixels: Option<&'static str>) -> &'static str {
    pixels.unwrap_or(EXPLICIT_VR_LITTLE_ENDIAN)
}

/// The media type without its parameters, in lower case.
pub(super) fn media_type(content_type: &str) -> String {
    let kind = content_type.split(';').next().unwrap_or("");
    kind.trim().to_ascii_lowercase()
}

fn unsupported(what: &str) -> UploadError {
    UploadError::Unsupported {
        code: "media_type.unsupported",
        problem: format!(
            "{} is not stored; application/dicom is, and multipart/related of application/dicom, or of \
             application/dicom+json or application/dicom+xml with bulk data",
            what.chars().take(200).collect::<String>()
        ),
    }
}

/// The segments of a codestream of JPEG's family before its data: marker and contents.
pub(super) fn segments(codestream: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = codestream.get(2..).unwrap_or_default();
    std::iter::from_fn(move || {
        let [0xFF, marker, high, low, ..] = *rest else {
            return None;
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let contents = rest.get(4..2 + length)?;
        rest = &rest[2 + length..];
        Some((marker, contents))
    })
}

/// Whether a codestream of JPEG-LS says in its first scan that samples may differ (ISO 14495-1 C.2.3).
fn is_near_lossless(codestream: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xDA;
    let scan = segments(codestream).find(|(marker, _)| *marker == START_OF_SCAN);
    scan.is_some_and(|(_, scan)| scan.len() >= 3 && scan[scan.len() - 3] != 0)
}

/// Whether a codestream of JPEG 2000 is transformed by the irreversible wavelet (ISO 15444-1 A.6.1).
fn is_irreversible(codestream: &[u8]) -> bool {
    const CODING_STYLE: u8 = 0x52;
    let style = segments(codestream).find(|(marker, _)| *marker == CODING_STYLE);
    style.is_some_and(|(_, style)| style.get(9) == Some(&0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_what_its_type_says_quoted_or_not() {
        let parts = |content_type: &str| parts_of(content_type).ok().flatten();
        for quoted in ["\"application/dicom\"", "application/dicom"] {
            let content_type = format!("multipart/related; type={quoted}; boundary=x");
            assert_eq!(parts(&content_type), Some(PartKind::File));
        }
        assert_eq!(
            parts("Multipart/Related; boundary=x; type=\"application/dicom+json\""),
            Some(PartKind::Bulk)
        );
        assert_eq!(parts("application/dicom"), Some(PartKind::File));
        assert_eq!(parts_of("multipart/related; boundary=x"), Ok(None));
        for other in ["", "text/plain", "multipart/form-data; boundary=x"] {
            assert_eq!(
                parts_of(other).unwrap_err().code(),
                "media_type.unsupported"
            );
        }
        let of_images = "multipart/related; type=\"image/png\"; boundary=x";
        assert!(parts_of(of_images).is_err());
    }

    #[test]
    fn a_part_is_what_it_says_or_else_what_its_body_says() {
        let bulk = Some(PartKind::Bulk);
        assert_eq!(kind_of("application/dicom+json", bulk), PartKind::Json);
        assert_eq!(
            kind_of("application/dicom; transfer-syntax=1.2", bulk),
            PartKind::File
        );
        assert_eq!(kind_of("", bulk), PartKind::Bulk);
        assert_eq!(kind_of("", None), PartKind::File);
        assert_eq!(kind_of("image/jpeg", None), PartKind::Bulk);
    }

    #[test]
    fn the_codestream_chooses_where_the_media_type_does_not() {
        let syntax = |content_type: &str, beginning: &[u8]| {
            transfer_syntax(content_type, beginning, None).expect("known")
        };
        let jpeg = |process: u8, predictor: u8| {
            let frame = [
                0xFF, 0xD8, 0xFF, process, 0, 11, 8, 0, 1, 0, 1, 1, 1, 0x11, 0,
            ];
            let scan = [0xFF, 0xDA, 0, 8, 1, 1, 0, predictor, 0, 0, 0, 0xFF, 0xD9];
            [&frame[..], &scan].concat()
        };
        assert_eq!(
            syntax("image/jpeg", &jpeg(0xC0, 0)),
            Some("1.2.840.10008.1.2.4.50")
        );
        assert_eq!(
            syntax("image/jpeg", &jpeg(0xC3, 1)),
            Some("1.2.840.10008.1.2.4.70")
        );
        assert_eq!(
            syntax("image/jpeg", &jpeg(0xC3, 2)),
            Some("1.2.840.10008.1.2.4.57")
        );
        assert_eq!(
            syntax("image/jpeg", b"no jpeg"),
            Some("1.2.840.10008.1.2.4.70")
        );
        let parameter = "image/jpeg; transfer-syntax=\"1.2.840.10008.1.2.4.51\"";
        assert_eq!(
            syntax(parameter, &jpeg(0xC0, 0)),
            Some("1.2.840.10008.1.2.4.51")
        );
        for (media_type, uid) in [
            ("video/mpeg", "1.2.840.10008.1.2.4.100"),
            ("video/H264", "1.2.840.10008.1.2.4.102"),
            ("video/H265", "1.2.840.10008.1.2.4.107"),
        ] {
            assert_eq!(syntax(media_type, b""), Some(uid));
        }
        assert_eq!(syntax("application/octet-stream", b""), None);
        assert_eq!(syntax("", b""), None);
        let near = [0xFF, 0xD8, 0xFF, 0xDA, 0, 8, 1, 1, 0, 2, 0, 0];
        assert_eq!(syntax("image/jls", &near), Some("1.2.840.10008.1.2.4.81"));
        let style = |wavelet| {
            let style = [
                0xFF, 0x4F, 0xFF, 0x52, 0, 12, 0, 0, 0, 1, 0, 5, 4, 4, 0, wavelet,
            ];
            style.to_vec()
        };
        assert_eq!(
            syntax("image/jp2", &style(1)),
            Some("1.2.840.10008.1.2.4.90")
        );
        assert_eq!(
            syntax("image/jp2", &style(0)),
            Some("1.2.840.10008.1.2.4.91")
        );
        assert_eq!(
            syntax("image/jphc", &style(0)),
            Some("1.2.840.10008.1.2.4.203")
        );
        let told = transfer_syntax("application/octet-stream", b"", Some("1.2.840.10008.1.2.5"));
        assert_eq!(told, Ok(Some("1.2.840.10008.1.2.5")));
        assert!(transfer_syntax("image/png", b"", None).is_err());
        assert!(transfer_syntax("image/jpeg; transfer-syntax=1.2.3", b"", None).is_err());
    }
}
