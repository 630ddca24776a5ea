//! JPEG files that no data set describes: what the data set that is made for one has to say.

use super::{Header, corrupt};
use crate::{CodecError, FrameFormat, Photometric, Sample};

/// A JPEG file, by what it says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JpegFile {
    /// What its samples are as they are encoded.
    pub format: FrameFormat,
    /// The transfer syntax that it can be encapsulated in as it is; `None` if DICOM has none for its process, as for
    /// progressive files since PS3.5 of 2004.
    pub transfer_syntax_uid: Option<&'static str>,
}

/// Reads the markers of a JPEG file, up to the data of its last scan.
///
/// # Errors
///
/// [`CodecError::Corrupt`] if it is no JPEG or is cut off, [`CodecError::Unsupported`] if it has neither one nor three
/// components, or a process that nobody reads.
pub fn jpeg_file(bytes: &[u8]) -> Result<JpegFile, CodecError> {
    let header = Header::read(bytes, 0)?;
    if header.rows == 0 || header.columns == 0 {
        return Err(corrupt("it says no size".into()));
    }
    let (samples_per_pixel, photometric) = match header.components.len() {
        1 => (1, Photometric::Monochrome2),
        3 if !header.is_ycbcr(Photometric::YbrFull) => (3, Photometric::Rgb),
        // However it is sampled, which the codestream says: there is no other name for it (PS3.5 §8.2.1, table 8.2.1-1).
        3 => (3, Photometric::YbrFull422),
        count => {
            return Err(CodecError::Unsupported {
                what: format!("JPEG of {count} components"),
            });
        }
    };
    let precision = u16::from(header.precision);
    if !(1..=16).contains(&precision) {
        return Err(corrupt(format!("it has samples of {precision} bits")));
    }
    Ok(JpegFile {
        format: FrameFormat {
            rows: header.rows.into(),
            columns: header.columns.into(),
            samples_per_pixel,
            bits_allocated: if precision > 8 { 16 } else { 8 },
            bits_stored: precision,
            sample: Sample::Unsigned,
            planar: false,
            photometric,
        },
        transfer_syntax_uid: match (header.process, header.first_scan.predictor) {
            (0, _) => Some("1.2.840.10008.1.2.4.50"),
            (1, _) => Some("1.2.840.10008.1.2.4.51"),
            (3, 1) => Some("1.2.840.10008.1.2.4.70"),
            (3, _) => Some("1.2.840.10008.1.2.4.57"),
            _ => None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Markers of a JPEG file: SOI, a frame header, SOS and a byte of data.
    fn file(process: u8, precision: u8, components: &[(u8, u8)], predictor: u8) -> Vec<u8> {
        let count = u8::try_from(components.len()).expect("few");
        let mut file = vec![
            0xFF,
            0xD8,
            0xFF,
            0xC0 + process,
            0,
            8 + 3 * count,
            precision,
        ];
        file.extend([0, 3, 0, 5, count]);
        for (id, sampling) in components {
            file.extend([*id, *sampling, 0]);
        }
        file.extend([0xFF, 0xDA, 0, 6 + 2 * count, count]);
        for (id, _) in components {
            file.extend([*id, 0]);
        }
        file.extend([predictor, 0, 0, 0x55, 0xFF, 0xD9]);
        file
    }

    #[test]
    fn a_file_says_what_its_samples_are_and_what_it_is_encapsulated_as() {
        let gray: &[(u8, u8)] = &[(1, 0x11)];
        let colour: &[(u8, u8)] = &[(1, 0x22), (2, 0x11), (3, 0x11)];
        let full: &[(u8, u8)] = &[(1, 0x11), (2, 0x11), (3, 0x11)];
        let rgb: &[(u8, u8)] = &[(b'R', 0x11), (b'G', 0x11), (b'B', 0x11)];
        for (file, photometric, bits, uid) in [
            (
                file(0, 8, gray, 0),
                "MONOCHROME2",
                8,
                Some("1.2.840.10008.1.2.4.50"),
            ),
            (
                file(1, 12, gray, 0),
                "MONOCHROME2",
                16,
                Some("1.2.840.10008.1.2.4.51"),
            ),
            (
                file(3, 16, gray, 1),
                "MONOCHROME2",
                16,
                Some("1.2.840.10008.1.2.4.70"),
            ),
            (
                file(3, 16, gray, 6),
                "MONOCHROME2",
                16,
                Some("1.2.840.10008.1.2.4.57"),
            ),
            (file(2, 8, colour, 0), "YBR_FULL_422", 8, None),
            (
                file(0, 8, full, 0),
                "YBR_FULL_422",
                8,
                Some("1.2.840.10008.1.2.4.50"),
            ),
            (file(0, 8, rgb, 0), "RGB", 8, Some("1.2.840.10008.1.2.4.50")),
        ] {
            let found = jpeg_file(&file).expect("is one");
            let format = found.format;
            assert_eq!((format.rows, format.columns), (3, 5));
            assert_eq!(format.photometric.name(), photometric);
            assert_eq!(format.bits_allocated, bits);
            assert_eq!(found.transfer_syntax_uid, uid);
        }
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let whole = file(0, 8, &[(1, 0x11), (2, 0x11), (3, 0x11)], 0);
        for end in 0..whole.len() - 3 {
            assert!(jpeg_file(&whole[..end]).is_err(), "{end} bytes");
        }
        let four: Vec<(u8, u8)> = (1..5).map(|id| (id, 0x11)).collect();
        let error = jpeg_file(&file(0, 8, &four, 0)).expect_err("CMYK");
        assert_eq!(error.code(), "codec.unsupported");
        assert!(jpeg_file(&file(0, 0, &[(1, 0x11)], 0)).is_err());
    }
}
