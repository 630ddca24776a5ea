//! Patients' names: some common, most rare; Latin, accented Latin and CJK.

use crate::random::Random;

/// How the text of an object is encoded, (0008,0005) Specific Character Set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    Latin1,
    Utf8,
}

impl Charset {
    pub fn defined_term(self) -> &'static str {
        match self {
            Self::Latin1 => "ISO_IR 100",
            Self::Utf8 => "ISO_IR 192",
        }
    }

    /// `text` in this character set; characters outside Latin 1 become a question mark there.
    pub fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Self::Latin1 => text
                .chars()
                .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
                .collect(),
            Self::Utf8 => text.as_bytes().to_vec(),
        }
    }
}

const COMMON: [&str; 16] = [
    "Smith",
    "Garcia",
    "Müller",
    "Jones",
    "Martin",
    "Rossi",
    "Novak",
    "Silva",
    "Larsen",
    "Fernández",
    "Dubois",
    "Kowalski",
    "Schäfer",
    "Lefèvre",
    "Nguyen",
    "O'Brien",
];
const SYLLABLES: [&str; 40] = [
    "al", "an", "ar", "ba", "bel", "ber", "bo", "bran", "da", "del", "der", "do", "el", "en",
    "fal", "ga", "gor", "ha", "hol", "in", "ka", "ken", "la", "len", "lin", "ma", "mer", "mo",
    "na", "nor", "o", "ra", "ros", "sa", "ser", "ta", "ti", "va", "ver", "wil",
];
const GIVEN: [&str; 20] = [
    "Anna", "James", "María", "Peter", "Sofia", "Lukas", "Emma", "José", "Chloé", "Mohamed",
    "Olga", "Björn", "Ines", "Paul", "Aisha", "Tomás", "Jane", "Karl", "Zoë", "Ivan",
];
/// Romanised, ideographic and phonetic form.
const JAPANESE_FAMILY: [(&str, &str, &str); 8] = [
    ("Yamada", "山田", "やまだ"),
    ("Sato", "佐藤", "さとう"),
    ("Suzuki", "鈴木", "すずき"),
    ("Takahashi", "高橋", "たかはし"),
    ("Tanaka", "田中", "たなか"),
    ("Ito", "伊藤", "いとう"),
    ("Watanabe", "渡辺", "わたなべ"),
    ("Nakamura", "中村", "なかむら"),
];
const JAPANESE_GIVEN: [(&str, &str, &str); 6] = [
    ("Tarou", "太郎", "たろう"),
    ("Hanako", "花子", "はなこ"),
    ("Kenji", "健二", "けんじ"),
    ("Yuki", "由紀", "ゆき"),
    ("Makoto", "誠", "まこと"),
    ("Akira", "明", "あきら"),
];
const CHINESE_FAMILY: [(&str, &str); 8] = [
    ("Wang", "王"),
    ("Li", "李"),
    ("Zhang", "张"),
    ("Liu", "刘"),
    ("Chen", "陈"),
    ("Yang", "杨"),
    ("Zhao", "赵"),
    ("Huang", "黄"),
];
const CHINESE_GIVEN: [(&str, &str); 8] = [
    ("XiaoDong", "小东"),
    ("Wei", "伟"),
    ("Fang", "芳"),
    ("Na", "娜"),
    ("Jing", "静"),
    ("Lei", "磊"),
    ("GuoQiang", "国强"),
    ("MeiLing", "美玲"),
];

/// A name (PS3.5 §6.2.1, component groups separated by `=`), and how to encode it.
pub fn patient_name(random: &mut Random) -> (String, Charset) {
    match random.below(100) {
        0..8 => {
            let family = JAPANESE_FAMILY[random.skewed_below(JAPANESE_FAMILY.len())];
            let given = JAPANESE_GIVEN[random.below(JAPANESE_GIVEN.len())];
            let name = format!(
                "{}^{}={}^{}={}^{}",
                family.0, given.0, family.1, given.1, family.2, given.2
            );
            (name, Charset::Utf8)
        }
        8..15 => {
            let family = CHINESE_FAMILY[random.skewed_below(CHINESE_FAMILY.len())];
            let given = CHINESE_GIVEN[random.below(CHINESE_GIVEN.len())];
            (
                format!("{}^{}={}^{}", family.0, given.0, family.1, given.1),
                Charset::Utf8,
            )
        }
        _ => (latin_name(random), Charset::Latin1),
    }
}

fn latin_name(random: &mut Random) -> String {
    let family = if random.percent(40) {
        COMMON[random.skewed_below(COMMON.len())].to_owned()
    } else {
        let syllables = 2 + random.below(2);
        let mut name: String = (0..=syllables)
            .map(|_| SYLLABLES[random.below(SYLLABLES.len())])
            .collect();
        name[..1].make_ascii_uppercase();
        name
    };
    let given = GIVEN[random.skewed_below(GIVEN.len())];
    if random.percent(30) {
        let middle = char::from(b'A' + u8::try_from(random.below(26)).expect("a letter"));
        format!("{family}^{given}^{middle}")
    } else {
        format!("{family}^{given}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn names_are_of_all_scripts_and_fit_their_character_set() {
        let (mut ascii, mut accented, mut cjk) = (0, 0, 0);
        for index in 0..2_000 {
            let (name, charset) = patient_name(&mut Random::new(1, Stream::Patient, index));
            assert!(name.contains('^') && name.chars().count() <= 64, "{name}");
            match (charset, name.is_ascii()) {
                (Charset::Utf8, _) => cjk += 1,
                (Charset::Latin1, true) => ascii += 1,
                (Charset::Latin1, false) => {
                    accented += 1;
                    assert!(!charset.encode(&name).contains(&b'?'), "{name}");
                }
            }
        }
        assert!(
            ascii > 800 && accented > 200 && cjk > 200,
            "{ascii} {accented} {cjk}"
        );
    }
}
