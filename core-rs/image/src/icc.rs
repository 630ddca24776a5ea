//! Colour profiles of pictures (ICC.1; PS3.3 §C.11.15, PS3.18 §8.3.5.1.5).

use std::panic::catch_unwind;
use std::sync::OnceLock;

use moxcms::{
    ColorDateTime, ColorProfile, DataColorSpace, Layout, ParsingOptions, ProfileClass,
    TransformOptions,
};
use vna_dicom::{DataSet, Tag};

use crate::ImageError;
use crate::attributes::Attributes;
use crate::picture::{Picture, Pixels};

const ICC_PROFILE: Tag = Tag(0x0028, 0x2000);
const OPTICAL_PATH_SEQUENCE: Tag = Tag(0x0048, 0x0105);

/// Slide scanners have profiles of a megabyte and more.
const MAX_PROFILE_BYTES: usize = 8 << 20;

/// Values of a table of colours: 128 to each side of RGB, which no scanner has.
const MAX_TABLE_VALUES: usize = 3 << 21;

/// Values of a curve.
const MAX_CURVE_VALUES: usize = 1 << 16;

/// Which colours a picture has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ColourSpace {
    /// Those of the image, as its own profile describes them; sRGB if it has none.
    Own,
    /// sRGB (IEC 61966-2-1).
    Srgb,
    /// Adobe RGB (1998).
    AdobeRgb,
    /// ROMM RGB (ISO 22028-2), also known as ProPhoto.
    RommRgb,
}

/// The colour profile of an image: ICC Profile (0028,2000) of it, or of its optical paths if they have one and the same.
///
/// # Errors
///
/// [`ImageError::Table`] if it has several, or one that is too long.
pub fn icc_profile(data_set: &DataSet) -> Result<Option<&[u8]>, ImageError> {
    let paths = data_set.items(OPTICAL_PATH_SEQUENCE).iter();
    let mut profiles = paths.filter_map(|path| path.bytes(ICC_PROFILE));
    let found = match data_set.bytes(ICC_PROFILE) {
        Some(profile) => Some(profile),
        None => {
            let first = profiles.next();
            if profiles.any(|other| Some(other) != first) {
                return Err(broken("there are several, of several optical paths"));
            }
            first
        }
    };
    match found {
        Some(profile) if profile.len() > MAX_PROFILE_BYTES => Err(broken("is too long")),
        found => Ok(found.map(without_padding)),
    }
}

/// A profile says its length in its first bytes (ICC.1 §7.2.2); behind it is what makes the value even.
fn without_padding(profile: &[u8]) -> &[u8] {
    let length = profile
        .first_chunk()
        .map(|bytes| u32::from_be_bytes(*bytes));
    match length.and_then(|length| usize::try_from(length).ok()) {
        Some(length) if length + 1 == profile.len() => &profile[..length],
        _ => profile,
    }
}

impl Picture {
    /// The same picture in the colours of `space`, and the profile that describes them; `own` is that of the image.
    ///
    /// Grays are those of sRGB, and stay gray where `space` is that or their own.
    ///
    /// # Errors
    ///
    /// [`ImageError::Table`] if `own` is not usable, [`ImageError::Encode`] for samples of 16 bits.
    pub fn into_colour_space(
        self,
        space: ColourSpace,
        own: Option<&[u8]>,
    ) -> Result<(Picture, Vec<u8>), ImageError> {
        let (rgb, own) = match (self.pixels, space) {
            (Pixels::Gray8(samples), ColourSpace::Own | ColourSpace::Srgb) => {
                let pixels = Pixels::Gray8(samples);
                return Ok((Picture { pixels, ..self }, gray_profile().to_vec()));
            }
            // The profile of the image is of its colours.
            (Pixels::Gray8(samples), _) => {
                (samples.iter().flat_map(|gray| [*gray; 3]).collect(), None)
            }
            (Pixels::Rgb8(samples), _) => (samples, own),
            _ => {
                return Err(ImageError::Encode {
                    problem: "colour profiles are for pictures of 8 bits".to_owned(),
                });
            }
        };
        let (samples, profile) = match (space, own) {
            (ColourSpace::Own, Some(own)) => {
                read(own)?;
                (rgb, own.to_vec())
            }
            (ColourSpace::Own | ColourSpace::Srgb, None) => (rgb, srgb_profile().to_vec()),
            (space, own) => {
                let target = known(space);
                let source = own.map_or_else(|| Ok(ColorProfile::new_srgb()), read)?;
                (converted(&rgb, &source, &target)?, encoded(target))
            }
        };
        let pixels = Pixels::Rgb8(samples);
        Ok((Picture { pixels, ..self }, profile))
    }
}

/// Whether a profile is one of those that JP2 holds: without tables of colours (ISO 15444-1 §I.3.2).
///
/// # Errors
///
/// [`ImageError::Table`] if it is no profile.
pub(crate) fn is_restricted(profile: &[u8]) -> Result<bool, ImageError> {
    let profile = guarded(|| parsed(profile))?;
    Ok([
        &profile.lut_a_to_b_perceptual,
        &profile.lut_a_to_b_colorimetric,
        &profile.lut_a_to_b_saturation,
    ]
    .iter()
    .all(|table| table.is_none()))
}

/// Reads the profile of an image.
fn read(profile: &[u8]) -> Result<ColorProfile, ImageError> {
    let profile = guarded(|| parsed(profile))?;
    let describes_devices = matches!(
        profile.profile_class,
        ProfileClass::InputDevice | ProfileClass::DisplayDevice | ProfileClass::ColorSpace
    );
    match profile.color_space {
        DataColorSpace::Rgb if describes_devices => Ok(profile),
        _ => Err(broken("is not of RGB")),
    }
}

fn parsed(profile: &[u8]) -> Option<ColorProfile> {
    let options = ParsingOptions {
        max_profile_size: MAX_PROFILE_BYTES,
        max_allowed_clut_size: MAX_TABLE_VALUES,
        max_allowed_trc_size: MAX_CURVE_VALUES,
    };
    ColorProfile::new_from_slice_with_options(profile, options).ok()
}

fn converted(
    rgb: &[u8],
    source: &ColorProfile,
    target: &ColorProfile,
) -> Result<Vec<u8>, ImageError> {
    guarded(|| {
        let options = TransformOptions::default();
        let transform = source
            .create_transform_8bit(Layout::Rgb, target, Layout::Rgb, options)
            .ok()?;
        let mut out = vec![0; rgb.len()];
        transform.transform(rgb, &mut out).ok()?;
        Some(out)
    })
}

/// Profiles are hostile input to a library that takes them to be well formed: where it gives up, this picture is all that
/// is lost.
fn guarded<T>(work: impl FnOnce() -> Option<T> + std::panic::UnwindSafe) -> Result<T, ImageError> {
    match catch_unwind(work) {
        Ok(Some(done)) => Ok(done),
        _ => Err(broken("is no colour profile that can be used")),
    }
}

fn broken(problem: &'static str) -> ImageError {
    ImageError::Table {
        tag: ICC_PROFILE,
        problem,
    }
}

fn known(space: ColourSpace) -> ColorProfile {
    match space {
        ColourSpace::Own | ColourSpace::Srgb => ColorProfile::new_srgb(),
        ColourSpace::AdobeRgb => ColorProfile::new_adobe_rgb(),
        ColourSpace::RommRgb => ColorProfile::new_pro_photo_rgb(),
    }
}

fn srgb_profile() -> &'static [u8] {
    static PROFILE: OnceLock<Vec<u8>> = OnceLock::new();
    PROFILE.get_or_init(|| encoded(ColorProfile::new_srgb()))
}

/// Gray with the curve of sRGB.
fn gray_profile() -> &'static [u8] {
    static PROFILE: OnceLock<Vec<u8>> = OnceLock::new();
    PROFILE.get_or_init(|| {
        let mut profile = ColorProfile::new_gray_with_gamma(2.2);
        profile.gray_trc = ColorProfile::new_srgb().red_trc;
        encoded(profile)
    })
}

/// The bytes of a profile, the same whenever they are made.
fn encoded(mut profile: ColorProfile) -> Vec<u8> {
    profile.creation_date_time = ColorDateTime {
        year: 2000,
        month: 1,
        day_of_the_month: 1,
        hours: 0,
        minutes: 0,
        seconds: 0,
    };
    profile.encode().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use vna_dicom::{DataElement, Vr};

    fn rgb(samples: &[u8]) -> Picture {
        Picture {
            width: u32::try_from(samples.len() / 3).unwrap(),
            height: 1,
            pixels: Pixels::Rgb8(samples.to_vec()),
        }
    }

    fn samples(picture: &Picture) -> &[u8] {
        match &picture.pixels {
            Pixels::Gray8(samples) | Pixels::Rgb8(samples) => samples,
            _ => panic!("of 16 bits"),
        }
    }

    fn image_with(profile: &[u8]) -> DataSet {
        let mut data_set = DataSet::new();
        data_set.insert(DataElement::new(ICC_PROFILE, Vr::OB, profile));
        data_set
    }

    #[test]
    fn colours_without_a_profile_are_those_of_srgb() {
        let colours = [200, 30, 40, 7, 250, 3, 255, 255, 255];
        for space in [ColourSpace::Own, ColourSpace::Srgb] {
            let (picture, profile) = rgb(&colours).into_colour_space(space, None).unwrap();
            assert_eq!(samples(&picture), colours);
            assert_eq!(profile, srgb_profile());
        }
        let (picture, profile) = rgb(&colours)
            .into_colour_space(ColourSpace::AdobeRgb, None)
            .unwrap();
        assert_ne!(profile, srgb_profile());
        // Red of sRGB is less than all the red that there is; white is white.
        let found = samples(&picture);
        assert!((170..182).contains(&found[0]), "{found:?}");
        assert_eq!(found[6..], [255, 255, 255]);
    }

    #[test]
    fn the_profile_of_the_image_is_embedded_or_used() {
        let own = encoded(ColorProfile::new_pro_photo_rgb());
        let data_set = image_with(&[own.clone(), vec![0; own.len() % 2]].concat());
        let found = icc_profile(&data_set).unwrap();
        let colours = [100, 120, 90];
        let (same, profile) = rgb(&colours)
            .into_colour_space(ColourSpace::Own, found)
            .unwrap();
        assert_eq!((samples(&same), &profile), (&colours[..], &own));
        let (srgb, profile) = rgb(&colours)
            .into_colour_space(ColourSpace::Srgb, found)
            .unwrap();
        assert_eq!(profile, srgb_profile());
        assert_ne!(samples(&srgb), colours);
        let (back, _) = srgb.into_colour_space(ColourSpace::RommRgb, None).unwrap();
        for (a, b) in samples(&back).iter().zip(colours) {
            assert!(a.abs_diff(b) <= 2, "{:?}", samples(&back));
        }
    }

    #[test]
    fn gray_stays_gray_and_becomes_colour_for_other_spaces() {
        let gray = Picture {
            width: 3,
            height: 1,
            pixels: Pixels::Gray8(vec![0, 128, 255]),
        };
        let (same, profile) = gray
            .clone()
            .into_colour_space(ColourSpace::Own, None)
            .unwrap();
        assert_eq!(
            (samples(&same), &profile[16..20]),
            (&[0, 128, 255][..], &b"GRAY"[..])
        );
        let (other, _) = gray.into_colour_space(ColourSpace::RommRgb, None).unwrap();
        let found = samples(&other);
        assert_eq!((&found[..3], &found[6..]), (&[0; 3][..], &[255; 3][..]));
        assert!(found[3].abs_diff(found[4]) <= 1 && found[4].abs_diff(found[5]) <= 1);
    }

    #[test]
    fn a_profile_of_optical_paths_is_used_if_it_is_one() {
        let own = encoded(ColorProfile::new_adobe_rgb());
        let other = encoded(ColorProfile::new_srgb());
        let with = |paths: Vec<DataSet>| {
            let mut data_set = DataSet::new();
            data_set.insert(DataElement {
                tag: OPTICAL_PATH_SEQUENCE,
                vr: Vr::SQ,
                value: vna_dicom::Value::Items(paths),
            });
            data_set
        };
        let same = with(vec![image_with(&own), image_with(&own)]);
        assert_eq!(icc_profile(&same).unwrap(), Some(&own[..]));
        let several = with(vec![image_with(&own), image_with(&other)]);
        assert_eq!(icc_profile(&several).unwrap_err().code(), "image.table");
    }

    #[test]
    fn what_is_no_profile_of_colours_is_refused() {
        let gray = gray_profile();
        for wrong in [&b""[..], b"abc", gray, &srgb_profile()[..200]] {
            for space in [ColourSpace::Own, ColourSpace::Srgb] {
                let refused = rgb(&[1, 2, 3]).into_colour_space(space, Some(wrong));
                assert_eq!(refused.unwrap_err().code(), "image.table");
            }
        }
        assert!(is_restricted(srgb_profile()).unwrap());
    }

    proptest! {
        #[test]
        fn a_damaged_profile_is_used_or_refused(
            changes in prop::collection::vec((0..500usize, any::<u8>()), 1..20),
            length in 0..600usize,
        ) {
            let mut profile = srgb_profile().to_vec();
            for (at, byte) in changes {
                let at = at % profile.len();
                profile[at] = byte;
            }
            profile.truncate(length);
            let _ = rgb(&[1, 2, 3, 200, 100, 50]).into_colour_space(ColourSpace::AdobeRgb, Some(&profile));
        }
    }
}
