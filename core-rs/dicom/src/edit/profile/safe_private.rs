//! Private elements that are known to hold nothing of a person (PS3.15 E.3.10).

use crate::{Tag, Vr};

/// Elements by group, creator of their block and number within it: well-known ones whose values are numbers that make
/// images of diffusion, of tomographs and of positron emission usable. They have not been compared with PS3.15 Table
/// E.3.10-1, which has more, texts among them; that nothing but numbers stays is what [`is_plausible`] sees to. What is not
/// here goes.
const SAFE: [(u16, &str, u8, Vr); 32] = [
    (0x0019, "SIEMENS MR HEADER", 0x0A, Vr::US), // images in a mosaic
    (0x0019, "SIEMENS MR HEADER", 0x0B, Vr::DS), // duration of a slice
    (0x0019, "SIEMENS MR HEADER", 0x0C, Vr::IS), // b-value
    (0x0019, "SIEMENS MR HEADER", 0x0E, Vr::FD), // direction of diffusion
    (0x0019, "SIEMENS MR HEADER", 0x27, Vr::FD), // b-matrix
    (0x0019, "SIEMENS MR HEADER", 0x28, Vr::FD), // bandwidth of phase encoding
    (0x0019, "SIEMENS MR HEADER", 0x29, Vr::FD), // times of slices
    (0x0019, "GEMS_ACQU_01", 0x23, Vr::DS),      // speed of the table
    (0x0019, "GEMS_ACQU_01", 0x24, Vr::DS),      // time of the middle of the scan
    (0x0019, "GEMS_ACQU_01", 0x27, Vr::DS),      // speed of rotation
    (0x0019, "GEMS_ACQU_01", 0xBB, Vr::DS),      // direction of diffusion, x
    (0x0019, "GEMS_ACQU_01", 0xBC, Vr::DS),      // y
    (0x0019, "GEMS_ACQU_01", 0xBD, Vr::DS),      // z
    (0x0025, "GEMS_SERS_01", 0x07, Vr::SL),      // images of the series
    (0x0043, "GEMS_PARM_01", 0x39, Vr::IS),      // b-value
    (0x0043, "GEMS_PARM_01", 0x6F, Vr::DS),      // position of the table
    (0x0045, "GEMS_HELIOS_01", 0x01, Vr::SS),    // rows of the detector
    (0x0045, "GEMS_HELIOS_01", 0x02, Vr::FL),    // their width
    (0x2001, "Philips Imaging DD 001", 0x03, Vr::FL), // b-value
    (0x2005, "Philips MR Imaging DD 001", 0x0D, Vr::FL), // intercept of the scale
    (0x2005, "Philips MR Imaging DD 001", 0x0E, Vr::FL), // its slope
    (0x2005, "Philips MR Imaging DD 001", 0xB0, Vr::FL), // direction of diffusion
    (0x2005, "Philips MR Imaging DD 001", 0xB1, Vr::FL),
    (0x2005, "Philips MR Imaging DD 001", 0xB2, Vr::FL),
    (0x7053, "Philips PET Private Group", 0x00, Vr::DS), // factor of the SUV
    (0x7053, "Philips PET Private Group", 0x09, Vr::DS), // factor of the activity
    (0x00E1, "ELSCINT1", 0x21, Vr::DS),                  // dose length product
    (0x00E1, "ELSCINT1", 0x50, Vr::DS),                  // duration of the acquisition
    (0x01F1, "ELSCINT1", 0x07, Vr::DS),                  // speed of the table
    (0x01F1, "ELSCINT1", 0x26, Vr::DS),                  // pitch
    (0x01F1, "ELSCINT1", 0x27, Vr::DS),                  // time of rotation
    (0x01F1, "ELSCINT1", 0x28, Vr::DS),                  // increment of the table
];

/// Whether a private element is known to be safe, or reserves a block of which elements may be.
pub(super) fn is_safe(tag: Tag, creator: &str) -> bool {
    if tag.is_private_creator() {
        return rows(tag, creator).next().is_some();
    }
    vr(tag, creator).is_some()
}

/// Whether the value of a safe element is what it is known to be: numbers, and nothing else.
pub(super) fn is_plausible(tag: Tag, creator: &str, value: &[u8]) -> bool {
    if tag.is_private_creator() {
        return true; // it is one of our own texts
    }
    match vr(tag, creator) {
        Some(vr @ (Vr::DS | Vr::IS)) => {
            let allowed: &[u8] = if vr == Vr::IS {
                b"0123456789+-\\ \0"
            } else {
                b"0123456789+-.eE\\ \0"
            };
            value.iter().all(|byte| allowed.contains(byte))
        }
        Some(vr) => vr.unit().is_some_and(|unit| value.len() % unit == 0),
        None => false,
    }
}

/// The VR of a safe element.
fn vr(tag: Tag, creator: &str) -> Option<Vr> {
    let number = tag.to_u32() & 0xFF;
    let found = rows(tag, creator).find(|row| u32::from(row.2) == number);
    found.filter(|_| tag.1 > 0xFF).map(|row| row.3)
}

fn rows(
    tag: Tag,
    creator: &str,
) -> impl Iterator<Item = &'static (u16, &'static str, u8, Vr)> + use<'_> {
    let creator = creator.trim();
    SAFE.iter()
        .filter(move |(group, name, ..)| *group == tag.0 && *name == creator)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIEMENS: &str = "SIEMENS MR HEADER";

    #[test]
    fn an_element_is_safe_only_in_a_block_of_its_creator() {
        let b_value = Tag(0x0019, 0x100C);
        assert!(is_safe(b_value, SIEMENS));
        assert!(is_safe(Tag(0x0019, 0x110C), "SIEMENS MR HEADER "));
        assert!(is_safe(Tag(0x0019, 0x0010), SIEMENS));
        for (tag, creator) in [
            (b_value, "SOMEBODY ELSE"),
            (Tag(0x0021, 0x100C), SIEMENS),
            (Tag(0x0019, 0x1001), SIEMENS),
            (Tag(0x0019, 0x000C), SIEMENS),
            (Tag(0x0019, 0x0010), "DOE^JOHN"),
        ] {
            assert!(!is_safe(tag, creator), "{tag} {creator}");
        }
    }

    #[test]
    fn a_safe_element_holds_numbers_alone() {
        let b_value = Tag(0x0019, 0x100C);
        assert!(is_plausible(b_value, SIEMENS, b"1000 "));
        assert!(!is_plausible(b_value, SIEMENS, b"1000\0DOE^JOHN"));
        assert!(!is_plausible(b_value, "SOMEBODY ELSE", b"1000"));
        let direction = Tag(0x0019, 0x100E);
        assert!(is_plausible(direction, SIEMENS, &[0; 24]));
        assert!(!is_plausible(direction, SIEMENS, b"DOE^JOHN."));
    }
}
