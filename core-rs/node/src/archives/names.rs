//! Names of what an archive holds.
//!
//! 1. No value of a tag leads out of the folder that an archive is unpacked to, hides a file, or takes the name of a device.
//! 2. A name is as long at most as what file systems take, and no two in a folder are equal, whatever the case of letters.
//! 3. Names in ASCII are those that Orthanc gives to the same data, as far as they keep 1 and 2.

use std::collections::HashSet;

/// Most bytes of a name, room for a number behind it included: file systems take 255.
const LONGEST: usize = 160;

/// Names that Windows keeps for devices.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
const NUMBERED_DEVICES: [&str; 2] = ["com", "lpt"];

/// Which characters names may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Alphabet {
    /// Letters, digits, `.` and `_`, which all programs read.
    Ascii,
    /// All that file systems take.
    Unicode,
}

impl Alphabet {
    /// The character that one becomes in a name; `None` if it is left out.
    fn map(self, character: char) -> Option<char> {
        match character {
            '^' | ' ' | '\n' | '\r' | '\t' => Some(' '),
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' => Some(character),
            _ if self == Alphabet::Ascii => None,
            '=' | '\\' | '/' => Some(' '),
            ':' | '*' | '?' | '"' | '<' | '>' | '|' => None,
            _ if character.is_control() || is_invisible(character) => None,
            _ if character.is_whitespace() => Some(' '),
            _ => Some(character),
        }
    }
}

/// Characters that change how those around them are shown: a name would not read as what it is.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF0}'..='\u{FFFF}'
    )
}

/// A name of values, with spaces between them; `fallback` if nothing of them is left.
pub(super) fn name_of(alphabet: Alphabet, values: &[Option<&str>], fallback: &str) -> String {
    let mut name = String::new();
    for value in values.iter().flatten() {
        // More would be cut off anyway, and a value may be long.
        for character in value.chars().take(4 * LONGEST) {
            match alphabet.map(character) {
                Some(' ') if name.is_empty() || name.ends_with(' ') => {}
                Some(mapped) => name.push(mapped),
                None => {}
            }
        }
        if !name.is_empty() && !name.ends_with(' ') {
            name.push(' ');
        }
    }
    let name = cut(&name, LONGEST);
    let name = name.trim_end().trim_start_matches(['.', ' ']);
    if name.is_empty() {
        return fallback.to_owned();
    }
    if is_device(name) {
        return format!("{name}_");
    }
    name.to_owned()
}

/// The beginning of a text, of whole characters.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end();
    let stem = stem.to_lowercase();
    let is_numbered = NUMBERED_DEVICES.iter().any(|device| {
        let number = stem.strip_prefix(device);
        number.is_some_and(|number| {
            number.len() == 1 && number != "0" && number.parse::<u8>().is_ok()
        })
    });
    is_numbered || DEVICES.contains(&stem.as_str())
}

/// Names in one folder.
#[derive(Default)]
pub(super) struct Folder(HashSet<String>);

impl Folder {
    /// The name, or if it is taken the name with the next number.
    pub fn take(&mut self, name: &str) -> String {
        let mut number = 1_u64;
        let mut wanted = name.to_owned();
        while !self.0.insert(wanted.to_lowercase()) {
            number += 1;
            wanted = format!("{name}-{number}");
        }
        wanted
    }
}

/// What files of a series begin with: two characters of its modality, in capitals.
pub(super) fn file_prefix(modality: Option<&str>) -> String {
    let of_modality = modality.unwrap_or_default().chars();
    let letters = of_modality.filter(char::is_ascii_alphanumeric);
    letters.take(2).map(|c| c.to_ascii_uppercase()).collect()
}

/// The name of a file: eight characters or more, most of them a number.
pub(super) fn file_name(prefix: &str, number: u64) -> String {
    let digits = 8 - prefix.len().min(8);
    format!("{prefix}{number:0digits$}.dcm")
}

/// Files in one folder of a medium: names have eight characters (PS3.10 §8.2), and six of them are left for a number.
const FILES_OF_FOLDER: u64 = 1_000_000;

/// The components of the File ID of a file of a medium.
pub(super) fn file_id(number: u64) -> [String; 2] {
    let folder = match number / FILES_OF_FOLDER {
        0 => "IMAGES".to_owned(),
        further => format!("IMAGES{further}"),
    };
    [folder, format!("IM{}", number % FILES_OF_FOLDER)]
}

/// Numbers for the files of a series: the indexes that its instances have if no two are equal, those that have none getting
/// the first that are free; else they are counted.
pub(super) fn numbers(indexes: &[Option<i64>]) -> Vec<u64> {
    let given = |index: &Option<i64>| index.and_then(|index| u64::try_from(index).ok());
    let mut taken: Vec<u64> = indexes.iter().filter_map(given).collect();
    taken.sort_unstable();
    if taken.windows(2).any(|pair| pair[0] == pair[1]) {
        return (0..indexes.len() as u64).collect();
    }
    let mut free = (0..).filter(|number| taken.binary_search(number).is_err());
    indexes
        .iter()
        .map(|index| given(index).or_else(|| free.next()).unwrap_or_default())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ascii(values: &[&str]) -> String {
        let values: Vec<_> = values.iter().map(|value| Some(*value)).collect();
        name_of(Alphabet::Ascii, &values, "Unknown")
    }

    fn unicode(value: &str) -> String {
        name_of(Alphabet::Unicode, &[Some(value)], "Unknown")
    }

    #[test]
    fn names_are_those_that_clients_know() {
        assert_eq!(
            ascii(&["S61289.1476739615", "DOE^JOHN^^^"]),
            "S61289.1476739615 DOE JOHN"
        );
        assert_eq!(ascii(&["CS-latin1", "Núñez^Íñigo"]), "CSlatin1 Nez igo");
        assert_eq!(ascii(&["204", ""]), "204");
        assert_eq!(ascii(&["", "Neuro/Brain  MRI"]), "NeuroBrain MRI");
        assert_eq!(ascii(&["山田", "^^"]), "Unknown");
        assert_eq!(file_name(&file_prefix(Some("CT")), 3), "CT000003.dcm");
        assert_eq!(file_name(&file_prefix(Some("m")), 3), "M0000003.dcm");
        assert_eq!(file_name(&file_prefix(None), 1_234_567), "01234567.dcm");
        assert_eq!(
            file_name(&file_prefix(Some("RTDOSE")), 12_345_678),
            "RT12345678.dcm"
        );
    }

    #[test]
    fn all_that_file_systems_take_is_kept_if_wanted() {
        assert_eq!(unicode("Núñez^Íñigo=山田"), "Núñez Íñigo 山田");
        assert_eq!(unicode("a\u{202E}gnp.exe"), "agnp.exe");
        assert_eq!(unicode("T1/T2: *?"), "T1 T2");
    }

    #[test]
    fn nothing_leads_out_hides_or_is_a_device() {
        for hostile in [
            "..",
            ".",
            "../..",
            "../../etc/passwd",
            "....",
            ".hidden",
            "/etc",
            "C:\\x",
        ] {
            for name in [ascii(&[hostile]), unicode(hostile)] {
                assert!(
                    !name.starts_with('.') && !name.contains(['/', '\\', ':']),
                    "{name}"
                );
            }
        }
        assert_eq!(ascii(&["CON"]), "CON_");
        assert_eq!(ascii(&["lpt1.txt"]), "lpt1.txt_");
        assert_eq!(ascii(&["COM10", "x"]), "COM10 x");
    }

    #[test]
    fn names_of_a_folder_differ_in_more_than_case() {
        let mut folder = Folder::default();
        let names = ["a", "A", "a-2", "b"].map(|name| folder.take(name));
        assert_eq!(names, ["a", "A-2", "a-2-2", "b"]);
    }

    #[test]
    fn numbers_are_the_indexes_unless_two_are_equal() {
        assert_eq!(numbers(&[Some(5), Some(7)]), [5, 7]);
        assert_eq!(numbers(&[None, Some(0), Some(-3), Some(2)]), [1, 0, 3, 2]);
        assert_eq!(numbers(&[Some(5), Some(5), Some(7)]), [0, 1, 2]);
        assert_eq!(numbers(&[]), [] as [u64; 0]);
    }

    #[test]
    fn file_ids_have_eight_characters_at_most() {
        for number in [0, 999_999, 1_000_000, 42_123_456] {
            assert!(
                file_id(number).iter().all(|part| part.len() <= 8),
                "{number}"
            );
        }
        assert_eq!(file_id(0), ["IMAGES", "IM0"]);
        assert_eq!(file_id(1_000_001), ["IMAGES1", "IM1"]);
    }

    proptest! {
        #[test]
        fn any_values_give_a_name_that_a_file_system_takes(
            values in proptest::collection::vec(proptest::option::of("\\PC{0,300}"), 0..3),
        ) {
            let values: Vec<_> = values.iter().map(Option::as_deref).collect();
            for alphabet in [Alphabet::Ascii, Alphabet::Unicode] {
                let name = name_of(alphabet, &values, "Unknown");
                prop_assert!(!name.is_empty() && name.len() <= LONGEST + 1);
                prop_assert!(!name.starts_with(['.', ' ']) && !name.ends_with(' '));
                prop_assert!(!name.contains(['/', '\\', '\0', '\n']));
                prop_assert!(alphabet == Alphabet::Unicode || name.is_ascii());
            }
        }
    }
}
