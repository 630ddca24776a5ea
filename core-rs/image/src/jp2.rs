//! JP2: a codestream of JPEG 2000 in a file of its own (ISO 15444-1 Annex I).

use crate::ImageError;
use crate::icc::is_restricted;
use crate::picture::Picture;

const JPEG_2000_LOSSLESS: &str = "1.2.840.10008.1.2.4.90";

/// Enumerated colour spaces (ISO 15444-1 Table I.10).
const SRGB: u32 = 16;
const GRAY: u32 = 17;

/// Ways to say what the colours are (ISO 15444-1 Table I.9).
const ENUMERATED: u8 = 1;
const RESTRICTED_ICC_PROFILE: u8 = 2;

impl Picture {
    /// A JP2 file of 8 bits, without loss, with a colour profile if there is one.
    ///
    /// # Errors
    ///
    /// [`ImageError::Encode`] if it has samples of 16 bits, or more than the format holds: so is a profile with tables.
    pub fn to_jp2(&self, icc_profile: Option<&[u8]>) -> Result<Vec<u8>, ImageError> {
        let codestream = self.to_codestream(JPEG_2000_LOSSLESS, "JP2", 100)?;
        let samples = self.pixels.samples();
        let mut header = Vec::new();
        let mut image = Vec::new();
        image.extend(self.height.to_be_bytes());
        image.extend(self.width.to_be_bytes());
        image.extend(samples.to_be_bytes());
        // Bits less one, compressed as JPEG 2000 does, the colours known, no rights reserved.
        image.extend([7, 7, 0, 0]);
        push_box(&mut header, b"ihdr", &image)?;
        let mut colour = vec![ENUMERATED, 0, 0];
        match icc_profile {
            Some(profile) => {
                if !is_restricted(profile)? {
                    return Err(ImageError::Encode {
                        problem: "JP2 holds no colour profile with tables; iccprofile=srgb gives one without"
                            .to_owned(),
                    });
                }
                colour[0] = RESTRICTED_ICC_PROFILE;
                colour.extend(profile);
            }
            None => colour.extend(if samples == 1 { GRAY } else { SRGB }.to_be_bytes()),
        }
        push_box(&mut header, b"colr", &colour)?;
        let mut file = Vec::with_capacity(codestream.len() + header.len() + 64);
        push_box(&mut file, b"jP  ", b"\r\n\x87\n")?;
        push_box(&mut file, b"ftyp", b"jp2 \0\0\0\0jp2 ")?;
        push_box(&mut file, b"jp2h", &header)?;
        push_box(&mut file, b"jp2c", &codestream)?;
        Ok(file)
    }
}

fn push_box(out: &mut Vec<u8>, kind: &[u8; 4], contents: &[u8]) -> Result<(), ImageError> {
    let length = contents.len() as u64 + 8;
    let length = u32::try_from(length).map_err(|_| ImageError::Encode {
        problem: format!("a box of JP2 has at most {} bytes", u32::MAX),
    })?;
    out.extend(length.to_be_bytes());
    out.extend(kind);
    out.extend(contents);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ColourSpace, Pixels};

    /// The boxes of a file, by their types.
    fn boxes(mut file: &[u8]) -> Vec<(&[u8], &[u8])> {
        let mut found = Vec::new();
        while let Some((length, rest)) = file.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            found.push((&rest[..4], &rest[4..length - 4]));
            file = &file[length..];
        }
        found
    }

    #[test]
    fn a_file_says_what_its_codestream_is() {
        for (pixels, samples, colour) in [
            (Pixels::Gray8(vec![7; 15]), 1u8, GRAY),
            (Pixels::Rgb8(vec![7; 45]), 3, SRGB),
        ] {
            let picture = Picture {
                width: 5,
                height: 3,
                pixels,
            };
            let file = picture.to_jp2(None).unwrap();
            let found = boxes(&file);
            let kinds: Vec<_> = found.iter().map(|(kind, _)| *kind).collect();
            assert_eq!(kinds, [b"jP  ", b"ftyp", b"jp2h", b"jp2c"]);
            assert!(found[3].1.starts_with(b"\xFF\x4F\xFF\x51"));
            let header = boxes(found[2].1);
            assert_eq!(
                header[0].1,
                [0, 0, 0, 3, 0, 0, 0, 5, 0, samples, 7, 7, 0, 0]
            );
            assert_eq!(header[1].1[..3], [ENUMERATED, 0, 0]);
            assert_eq!(header[1].1[3..], colour.to_be_bytes());
            let with_profile = picture.into_colour_space(ColourSpace::Own, None);
            let (picture, profile) = with_profile.unwrap();
            let file = picture.to_jp2(Some(&profile)).unwrap();
            let header = boxes(&file)[2].1.to_vec();
            let colour = boxes(&header)[1].1;
            assert_eq!(colour, [b"\x02\0\0", &profile[..]].concat());
        }
    }
}
