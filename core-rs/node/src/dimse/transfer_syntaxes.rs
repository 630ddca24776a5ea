//! Which transfer syntaxes are accepted, and which of those offered in one presentation context.

/// Implicit VR Little Endian.
pub const IMPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2";
/// Explicit VR Little Endian.
pub const EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
/// Explicit VR Big Endian (retired).
pub const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// The transfer syntaxes of PS3.6 Table A-1 that data sets are sent in, in the order of their text. Left out are those
/// of real-time video (SMPTE ST 2110) and Papyrus. From the UID registry of `dicom-dictionary-std` 0.10.1.
#[rustfmt::skip]
pub const TRANSFER_SYNTAXES: [&str; 59] = [
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.1.98",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.4.100",
    "1.2.840.10008.1.2.4.100.1",
    "1.2.840.10008.1.2.4.101",
    "1.2.840.10008.1.2.4.101.1",
    "1.2.840.10008.1.2.4.102",
    "1.2.840.10008.1.2.4.102.1",
    "1.2.840.10008.1.2.4.103",
    "1.2.840.10008.1.2.4.103.1",
    "1.2.840.10008.1.2.4.104",
    "1.2.840.10008.1.2.4.104.1",
    "1.2.840.10008.1.2.4.105",
    "1.2.840.10008.1.2.4.105.1",
    "1.2.840.10008.1.2.4.106",
    "1.2.840.10008.1.2.4.106.1",
    "1.2.840.10008.1.2.4.107",
    "1.2.840.10008.1.2.4.108",
    "1.2.840.10008.1.2.4.110",
    "1.2.840.10008.1.2.4.111",
    "1.2.840.10008.1.2.4.112",
    "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.4.202",
    "1.2.840.10008.1.2.4.203",
    "1.2.840.10008.1.2.4.204",
    "1.2.840.10008.1.2.4.205",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.52",
    "1.2.840.10008.1.2.4.53",
    "1.2.840.10008.1.2.4.54",
    "1.2.840.10008.1.2.4.55",
    "1.2.840.10008.1.2.4.56",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.58",
    "1.2.840.10008.1.2.4.59",
    "1.2.840.10008.1.2.4.60",
    "1.2.840.10008.1.2.4.61",
    "1.2.840.10008.1.2.4.62",
    "1.2.840.10008.1.2.4.63",
    "1.2.840.10008.1.2.4.64",
    "1.2.840.10008.1.2.4.65",
    "1.2.840.10008.1.2.4.66",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.92",
    "1.2.840.10008.1.2.4.93",
    "1.2.840.10008.1.2.4.94",
    "1.2.840.10008.1.2.4.95",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.6.1",
    "1.2.840.10008.1.2.6.2",
    "1.2.840.10008.1.2.8.1",
];

/// The uncompressed ones, best first. Explicit ones carry the VR of every element, which Implicit VR leaves to a
/// dictionary that may not know it.
const UNCOMPRESSED: [&str; 3] = [
    EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
];

/// Deflated Explicit VR Little Endian.
const DEFLATED: &str = "1.2.840.10008.1.2.1.99";

/// Whether data sets in this transfer syntax are accepted.
#[must_use]
pub fn is_accepted(uid: &str) -> bool {
    TRANSFER_SYNTAXES.binary_search(&uid).is_ok()
}

/// Chooses one of the transfer syntaxes offered in one presentation context.
///
/// The archive stores what it gets, so the best one is the one that the object is in already. Requestors that offer
/// several put that one first: a compressed one in first place is taken. If an uncompressed one is first, the object
/// can be had uncompressed without decoding, and [`UNCOMPRESSED`] says which; compressed ones behind it are what the
/// requestor would have to make on purpose.
#[must_use]
pub fn choose<'a>(offered: &[&'a str]) -> Option<&'a str> {
    let first = offered.iter().copied().find(|uid| is_accepted(uid))?;
    if !UNCOMPRESSED.contains(&first) {
        return Some(first);
    }
    let best = UNCOMPRESSED
        .iter()
        .find_map(|uid| offered.iter().find(|offer| *offer == uid));
    best.copied()
}

/// Chooses one for data sets that are read and answered, not kept: identifiers, worklist items, attribute lists.
#[must_use]
pub fn choose_readable<'a>(offered: &[&'a str]) -> Option<&'a str> {
    let best = UNCOMPRESSED
        .iter()
        .chain(&[DEFLATED])
        .find_map(|uid| offered.iter().find(|offer| *offer == uid));
    best.copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JPEG_LOSSLESS: &str = "1.2.840.10008.1.2.4.70";
    const J2K: &str = "1.2.840.10008.1.2.4.90";
    const PRIVATE: &str = "1.2.840.113619.5.2";

    #[test]
    fn explicit_is_preferred_over_implicit_and_a_first_compressed_one_over_all() {
        let [implicit, explicit, big] = [
            IMPLICIT_VR_LITTLE_ENDIAN,
            EXPLICIT_VR_LITTLE_ENDIAN,
            EXPLICIT_VR_BIG_ENDIAN,
        ];
        assert_eq!(choose(&[implicit, explicit]), Some(explicit));
        assert_eq!(choose(&[implicit, big]), Some(big));
        assert_eq!(choose(&[big, implicit, explicit]), Some(explicit));
        assert_eq!(choose(&[implicit]), Some(implicit));
        assert_eq!(choose(&[JPEG_LOSSLESS, explicit]), Some(JPEG_LOSSLESS));
        assert_eq!(choose(&[J2K, JPEG_LOSSLESS]), Some(J2K));
        assert_eq!(choose(&[implicit, J2K, explicit]), Some(explicit));
        assert_eq!(choose(&[PRIVATE, J2K]), Some(J2K));
        assert_eq!(choose(&[PRIVATE]), None);
        assert_eq!(choose(&[]), None);
    }

    #[test]
    fn what_is_read_is_never_compressed_pixels() {
        assert_eq!(choose_readable(&[J2K, DEFLATED]), Some(DEFLATED));
        assert_eq!(
            choose_readable(&[DEFLATED, IMPLICIT_VR_LITTLE_ENDIAN]),
            Some(IMPLICIT_VR_LITTLE_ENDIAN)
        );
        assert_eq!(choose_readable(&[J2K, PRIVATE]), None);
    }

    #[test]
    fn the_table_is_sorted_so_that_it_can_be_searched() {
        assert!(TRANSFER_SYNTAXES.is_sorted());
        assert!(UNCOMPRESSED.iter().all(|uid| is_accepted(uid)));
    }
}
