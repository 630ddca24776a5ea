//! Value representations (PS3.5 §6.2, §7.1.2).

use std::fmt;

/// A value representation: its two bytes as they stand in an explicit VR data set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vr(pub [u8; 2]);

macro_rules! vrs {
    ($($name:ident)*) => {
        #[allow(missing_docs, reason = "each constant is the VR of that name")]
        impl Vr {
            $(pub const $name: Vr = {
                let name = stringify!($name).as_bytes();
                Vr([name[0], name[1]])
            };)*

            /// The VRs that PS3.5 Table 6.2-1 defines.
            pub const ALL: &'static [Vr] = &[$(Vr::$name),*];
        }
    };
}

vrs!(AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV);

impl Vr {
    /// Whether PS3.5 defines this VR.
    #[inline]
    #[must_use]
    pub const fn is_known(self) -> bool {
        SHAPES[self.index()] != UNKNOWN
    }

    /// Whether an explicit VR header of this VR has a 16-bit length field (PS3.5 §7.1.2).
    ///
    /// The standard names the short VRs and gives all others, even those not yet invented, the long
    /// form. Asking "is it short?" therefore keeps unknown VRs readable.
    #[inline]
    #[must_use]
    pub const fn has_short_length(self) -> bool {
        SHAPES[self.index()] == SHORT
    }

    /// Whether both bytes are upper-case letters, so that this may be a VR at all.
    #[must_use]
    pub const fn is_plausible(self) -> bool {
        self.0[0].is_ascii_uppercase() && self.0[1].is_ascii_uppercase()
    }

    /// Whether values are text, in the default repertoire or the Specific Character Set.
    #[must_use]
    pub const fn is_text(self) -> bool {
        matches!(
            &self.0,
            b"AE"
                | b"AS"
                | b"CS"
                | b"DA"
                | b"DS"
                | b"DT"
                | b"IS"
                | b"LO"
                | b"LT"
                | b"PN"
                | b"SH"
                | b"ST"
                | b"TM"
                | b"UC"
                | b"UI"
                | b"UR"
                | b"UT"
        )
    }

    /// Whether Specific Character Set (0008,0005) governs values of this VR (PS3.5 §6.1.2.3).
    #[must_use]
    pub const fn uses_character_set(self) -> bool {
        matches!(
            &self.0,
            b"LO" | b"LT" | b"PN" | b"SH" | b"ST" | b"UC" | b"UT"
        )
    }

    /// Whether a backslash separates values; not so in long texts (PS3.5 §6.2).
    #[must_use]
    pub const fn is_multi_valued_text(self) -> bool {
        self.is_text() && !matches!(&self.0, b"LT" | b"ST" | b"UT" | b"UR")
    }

    /// Whether values are binary numbers, other than bulk data.
    #[must_use]
    pub const fn is_number(self) -> bool {
        matches!(
            &self.0,
            b"AT" | b"FD" | b"FL" | b"SL" | b"SS" | b"SV" | b"UL" | b"US" | b"UV"
        )
    }

    /// Bytes of one number in a binary VR; `None` for texts, sequences and unknown.
    #[must_use]
    pub const fn unit(self) -> Option<usize> {
        Some(match &self.0 {
            b"US" | b"SS" | b"OW" => 2,
            b"UL" | b"SL" | b"FL" | b"AT" | b"OF" | b"OL" => 4,
            b"FD" | b"SV" | b"UV" | b"OD" | b"OV" => 8,
            b"OB" => 1,
            _ => return None,
        })
    }

    /// The two bytes as text; bytes that are not ASCII print as `?`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        if self.0.is_ascii() {
            std::str::from_utf8(&self.0).unwrap_or("??")
        } else {
            "??"
        }
    }

    const fn index(self) -> usize {
        let [a, b] = self.0;
        if a.is_ascii_uppercase() && b.is_ascii_uppercase() {
            (a - b'A') as usize * 26 + (b - b'A') as usize
        } else {
            0 // "AA", which is no VR
        }
    }
}

const UNKNOWN: u8 = 0;
const SHORT: u8 = 1;
const LONG: u8 = 2;

/// One byte for each pair of letters, because the scanner asks for every element.
static SHAPES: [u8; 26 * 26] = shapes();

const fn shapes() -> [u8; 26 * 26] {
    let mut table = [UNKNOWN; 26 * 26];
    let mut i = 0;
    while i < Vr::ALL.len() {
        let vr = Vr::ALL[i];
        let long = matches!(
            &vr.0,
            b"OB"
                | b"OD"
                | b"OF"
                | b"OL"
                | b"OV"
                | b"OW"
                | b"SQ"
                | b"SV"
                | b"UC"
                | b"UN"
                | b"UR"
                | b"UT"
                | b"UV"
        );
        table[vr.index()] = if long { LONG } else { SHORT };
        i += 1;
    }
    table
}

impl fmt::Display for Vr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Vr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vr({})", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_the_form_of_the_standard() {
        let long: Vec<_> = Vr::ALL
            .iter()
            .filter(|vr| !vr.has_short_length())
            .map(Vr::as_str)
            .collect();
        assert_eq!(
            long,
            [
                "OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"
            ]
        );
        assert!(Vr::ALL.iter().all(|vr| vr.is_known()));
    }

    #[test]
    fn an_unknown_vr_is_long_and_not_known() {
        for bytes in [*b"ZZ", *b"AA", *b"  ", [0, 0], [0xFF, 0xFF]] {
            assert!(
                !Vr(bytes).is_known() && !Vr(bytes).has_short_length(),
                "{bytes:?}"
            );
        }
    }
}
