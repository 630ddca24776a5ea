//! Public ids of resources: what REST clients name patients, studies, series and instances by.

use sha1::{Digest, Sha1};
use std::{fmt, str::FromStr};

/// The SHA-1 of a resource's identifiers, `|` between them.
///
/// Displays as five groups of eight lower-case hexadecimal digits. Every identifier is stripped of
/// leading and trailing spaces and NULs first, so padding on the wire never makes a second resource.
///
/// ```
/// # use vna_dicom::PublicId;
/// let id = PublicId::patient("ozp00SjY2xG");
/// assert_eq!(id.to_string().len(), 44);
/// assert_eq!(id.to_string().parse::<PublicId>(), Ok(id));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicId(pub [u8; 20]);

impl PublicId {
    /// The id of a patient. An absent PatientID is the empty string.
    #[must_use]
    pub fn patient(patient_id: &str) -> Self {
        Self::of(&[patient_id])
    }

    /// The id of a study.
    #[must_use]
    pub fn study(patient_id: &str, study_instance_uid: &str) -> Self {
        Self::of(&[patient_id, study_instance_uid])
    }

    /// The id of a series.
    #[must_use]
    pub fn series(patient_id: &str, study_instance_uid: &str, series_instance_uid: &str) -> Self {
        Self::of(&[patient_id, study_instance_uid, series_instance_uid])
    }

    /// The id of an instance.
    #[must_use]
    pub fn instance(
        patient_id: &str,
        study_instance_uid: &str,
        series_instance_uid: &str,
        sop_instance_uid: &str,
    ) -> Self {
        Self::of(&[
            patient_id,
            study_instance_uid,
            series_instance_uid,
            sop_instance_uid,
        ])
    }

    fn of(parts: &[&str]) -> Self {
        let mut hash = Sha1::new();
        for (i, part) in parts.iter().enumerate() {
            if i > 0 {
                hash.update(b"|");
            }
            hash.update(strip(part));
        }
        PublicId(hash.finalize().into())
    }
}

/// Removes the padding that PS3.5 §6.2 allows around identifiers: spaces and NULs.
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c == '\0' || c.is_ascii_whitespace())
}

impl PublicId {
    /// Its text, as [`Display`](fmt::Display) writes it.
    #[must_use]
    pub fn text(&self) -> [u8; 44] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'-'; 44];
        for (i, byte) in self.0.iter().enumerate() {
            let at = i * 2 + i / 4;
            text[at] = DIGITS[usize::from(byte >> 4)];
            text[at + 1] = DIGITS[usize::from(byte & 15)];
        }
        text
    }
}

impl fmt::Display for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(&self.text()).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicId({self})")
    }
}

/// A text that is no public id: it takes 40 hexadecimal digits in five groups of eight, `-` between.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParsePublicIdError;

impl fmt::Display for ParsePublicIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a public id is five groups of eight hexadecimal digits, joined by '-'")
    }
}

impl std::error::Error for ParsePublicIdError {}

impl FromStr for PublicId {
    type Err = ParsePublicIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes: &[u8; 44] = text.as_bytes().try_into().map_err(|_| ParsePublicIdError)?;
        let mut id = [0; 20];
        for (i, byte) in id.iter_mut().enumerate() {
            let at = i * 2 + i / 4;
            if i > 0 && i % 4 == 0 && bytes[at - 1] != b'-' {
                return Err(ParsePublicIdError);
            }
            *byte = digit(bytes[at])? << 4 | digit(bytes[at + 1])?;
        }
        Ok(PublicId(id))
    }
}

fn digit(byte: u8) -> Result<u8, ParsePublicIdError> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        b'A'..=b'F' => Ok(byte - b'A' + 10),
        _ => Err(ParsePublicIdError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_patient_id_is_the_empty_string() {
        // SHA-1 of nothing, FIPS 180-4.
        assert_eq!(
            PublicId::patient("").to_string(),
            "da39a3ee-5e6b4b0d-3255bfef-95601890-afd80709"
        );
    }

    #[test]
    fn ids_are_those_that_other_servers_give() {
        // DummyCT.dcm of the public Orthanc test set.
        let patient = "ozp00SjY2xG";
        let study = "1.2.840.113619.2.176.2025.1499492.7391.1171285944.390";
        let series = "1.2.840.113619.2.176.2025.1499492.7391.1171285944.394";
        let instance = "1.2.840.113619.2.176.2025.1499492.7040.1171286242.109";
        for (id, text) in [
            (
                PublicId::patient(patient),
                "6816cb19-844d5aee-85245eba-28e841e6-2414fae2",
            ),
            (
                PublicId::study(patient, study),
                "b9c08539-26f93bde-c81ab0d7-bffaf2cb-a4d0bdd0",
            ),
            (
                PublicId::series(patient, study, series),
                "f2635388-f01d497a-15f7c06b-ad7dba06-c4c599fe",
            ),
            (
                PublicId::instance(patient, study, series, instance),
                "66a662ce-7430e543-bad44d47-0dc5a943-ec7a538d",
            ),
        ] {
            assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn padding_does_not_change_an_id() {
        assert_eq!(PublicId::patient(" AB \0"), PublicId::patient("AB"));
        assert_ne!(PublicId::patient("A B"), PublicId::patient("AB"));
        assert_eq!(PublicId::study("A ", "1.2\0"), PublicId::study("A", "1.2"));
    }

    #[test]
    fn other_texts_are_refused() {
        let good = PublicId::patient("x").to_string();
        assert_eq!(good.parse(), Ok(PublicId::patient("x")));
        for bad in [
            "",
            &good[1..],
            &good.replace('-', "_"),
            &good.replace(|c: char| c != '-', "g"),
            "é".repeat(22).as_str(),
        ] {
            assert_eq!(bad.parse::<PublicId>(), Err(ParsePublicIdError), "{bad}");
        }
    }
}
