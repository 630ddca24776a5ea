//! Normal forms of values: what the index stores to find them by.

use unicode_normalization::UnicodeNormalization;

/// A DA value as the number yyyymmdd; the old form yyyy.mm.dd is read too (PS3.5 §6.2). `None` if it is no date.
pub(crate) fn date(value: &str) -> Option<i64> {
    let bytes = value.trim().as_bytes();
    let digits: [u8; 8] = match bytes {
        [y0, y1, y2, y3, b'.', m0, m1, b'.', d0, d1] => [*y0, *y1, *y2, *y3, *m0, *m1, *d0, *d1],
        _ => bytes.try_into().ok()?,
    };
    let number = decimal(&digits)?;
    let (month, day) = (number / 100 % 100, number % 100);
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then_some(number)
}

/// A TM value as microseconds of the day; parts that are left out are zero. The old form with colons is read
/// too (PS3.5 §6.2). `None` if it is no time.
pub(crate) fn time_us(value: &str) -> Option<i64> {
    time_range_us(value).map(|(first, _)| first)
}

/// The first and last microsecond that a TM value may mean: `10` is any moment from 10:00:00 on before 11.
pub(crate) fn time_range_us(value: &str) -> Option<(i64, i64)> {
    let text: String = value.trim().chars().filter(|c| *c != ':').collect();
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text.as_str(), None),
    };
    let digits = whole.as_bytes();
    let part = |at: usize| digits.get(at..at + 2).map_or(Some(0), decimal);
    if !matches!(digits.len(), 2 | 4 | 6) || (fraction.is_some() && digits.len() != 6) {
        return None;
    }
    let (hour, minute, second) = (part(0)?, part(2)?, part(4)?);
    // 60 is a leap second.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (mut us, mut width) = (0, 1_000_000);
    if let Some(fraction) = fraction {
        if fraction.is_empty() || fraction.len() > 6 {
            return None;
        }
        for digit in fraction.bytes() {
            width /= 10;
            us += decimal(&[digit])? * width;
        }
    }
    let first = ((hour * 60 + minute) * 60 + second) * 1_000_000 + us;
    let length = match digits.len() {
        2 => 3_600_000_000,
        4 => 60_000_000,
        _ => width,
    };
    Some((first, first + length - 1))
}

fn decimal(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0i64, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + i64::from(digit - b'0'))
    })
}

/// Case folded, accents stripped, half-width and full-width forms made the usual ones.
///
/// Marks that make another letter (Japanese voicing, vowels of Indic scripts) stay: only the combining marks of
/// Latin, Greek and Cyrillic go.
pub(crate) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let usual: String = text
        .chars()
        .flat_map(|c| {
            let width_form = ('\u{FF00}'..='\u{FFEF}').contains(&c) || c == '\u{3000}';
            let compatible = width_form.then(|| std::iter::once(c).nfkd());
            let canonical = (!width_form).then(|| std::iter::once(c).nfd());
            compatible
                .into_iter()
                .flatten()
                .chain(canonical.into_iter().flatten())
        })
        .filter(|c| !matches!(c, '\u{300}'..='\u{36F}'))
        .flat_map(char::to_lowercase)
        .filter(|c| !matches!(c, '\u{300}'..='\u{36F}')) // the dot of a lower-case U+0130
        .map(|c| match c {
            'ø' => 'o',
            'ł' => 'l',
            'đ' | 'ð' => 'd',
            'ı' => 'i',
            other => other,
        })
        .collect();
    usual.nfc().collect()
}

/// The component groups of one PN value (alphabetic, ideographic, phonetic), each with its components trimmed
/// and the empty ones at its end left out; `normal` is applied to each group.
pub(crate) fn pn_groups(value: &str, normal: impl Fn(&str) -> String) -> Vec<String> {
    value
        .split('=')
        .map(|group| {
            let group = normal(group);
            let mut tidy = String::with_capacity(group.len());
            for (i, component) in group.split('^').enumerate() {
                if i > 0 {
                    tidy.push('^');
                }
                tidy.push_str(component.trim());
            }
            tidy.truncate(tidy.trim_end_matches('^').len());
            tidy
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_in_both_forms_are_numbers_and_others_are_none() {
        assert_eq!(date("20040119"), Some(20_040_119));
        assert_eq!(date(" 2004.01.19 "), Some(20_040_119));
        for bad in [
            "",
            "2004",
            "20041319",
            "20040100",
            "200401199",
            "2004011x",
            "2004-01-19",
        ] {
            assert_eq!(date(bad), None, "{bad}");
        }
    }

    #[test]
    fn times_are_microseconds_and_short_ones_a_range() {
        assert_eq!(time_us("072730"), Some(26_850_000_000));
        assert_eq!(time_us("07:27:30.5"), Some(26_850_500_000));
        assert_eq!(time_range_us("10"), Some((36_000_000_000, 39_599_999_999)));
        assert_eq!(
            time_range_us("1000"),
            Some((36_000_000_000, 36_059_999_999))
        );
        assert_eq!(
            time_range_us("100000.25"),
            Some((36_000_250_000, 36_000_259_999))
        );
        for bad in [
            "",
            "1",
            "24",
            "1060",
            "100000.",
            "100000.1234567",
            "10.5",
            "abc",
        ] {
            assert_eq!(time_us(bad), None, "{bad}");
        }
    }

    #[test]
    fn folding_hides_case_accents_and_width_but_not_letters() {
        assert_eq!(fold("MÜLLER"), "muller");
        assert_eq!(fold("Muller"), fold("müller"));
        assert_eq!(fold("ﾔﾏﾀﾞ"), fold("ヤマダ"));
        assert_ne!(fold("か"), fold("が"));
        assert_eq!(fold("김희중"), "김희중");
        assert_eq!(fold("Ł"), "l");
        assert_eq!(fold("İ"), "i");
    }

    #[test]
    fn names_split_into_tidy_groups() {
        assert_eq!(
            pn_groups("Yamada ^Tarou^^=山田^太郎=やまだ^たろう", fold),
            ["yamada^tarou", "山田^太郎", "やまだ^たろう"]
        );
        assert_eq!(pn_groups("", fold), [""]);
    }
}
