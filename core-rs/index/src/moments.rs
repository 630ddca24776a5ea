//! A date and a time that belong together, as one moment: combined matching and time zones (PS3.4 §C.2.2.2.5, §C.5.1.1.1.1).

use crate::Case;
use crate::matching::Matcher;
use crate::normal::{date, time_range_us};
use vna_dicom::tags as t;

const DAY_US: i64 = 86_400_000_000;
const MINUTE_US: i64 = 60_000_000;

/// The keys of a date and of the time that goes with it.
#[derive(Clone, PartialEq, Debug)]
pub struct MomentKeys {
    date: Matcher,
    time: Matcher,
    /// The one span of moments that two ranges of one form make together.
    combined: Option<((i64, i64), (i64, i64))>,
}

impl MomentKeys {
    /// Reads the keys, as C-FIND writes them. `combined`: two ranges of one form (`a-b`, `a-`, `-b`) are one range of
    /// moments rather than a range of days and a range of hours.
    #[must_use]
    pub fn new(date_key: &str, time_key: &str, combined: bool) -> MomentKeys {
        let date = Matcher::new(t::STUDY_DATE, date_key, Case::Standard);
        let time = Matcher::new(t::STUDY_TIME, time_key, Case::Standard);
        let combined = match (&date, &time) {
            (Matcher::Date(days), Matcher::Time(hours)) if combined => {
                match (days.as_slice(), hours.as_slice()) {
                    ([days], [hours])
                        if form(date_key).is_some() && form(date_key) == form(time_key) =>
                    {
                        Some(((days.0, hours.0), (days.1, hours.1)))
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        MomentKeys {
            date,
            time,
            combined,
        }
    }

    /// Whether a stored date and time match; `None` is an absent attribute.
    #[must_use]
    pub fn matches(&self, stored_date: Option<&str>, stored_time: Option<&str>) -> bool {
        let Some((first, last)) = self.combined else {
            return self.date.matches(stored_date) && self.time.matches(stored_time);
        };
        let Some(day) = stored_date.and_then(date) else {
            return false;
        };
        // A day without a time is all of its moments.
        let (low, high) = stored_time
            .and_then(time_range_us)
            .map_or((i64::MIN, i64::MAX), |(low, _)| (low, low));
        (day, high) >= first && (day, low) <= last
    }
}

/// Which bounds a range has; `None` if it is none.
fn form(key: &str) -> Option<(bool, bool)> {
    let key = key.trim();
    let at = key.find('-')?;
    Some((at > 0, at + 1 < key.len()))
}

/// Minutes east of UTC that (0008,0201) Timezone Offset From UTC says; `None` if it is none.
///
/// ```
/// # use vna_index::offset_minutes;
/// assert_eq!(offset_minutes("-0330"), Some(-210));
/// assert_eq!(offset_minutes("0330"), None);
/// ```
#[must_use]
pub fn offset_minutes(value: &str) -> Option<i32> {
    let value = value.trim();
    let digits = value.strip_prefix(['+', '-'])?;
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: i32 = digits.parse().ok()?;
    let minutes = number / 100 * 60 + number % 100;
    let sane = number % 100 < 60 && minutes <= 14 * 60;
    sane.then_some(if value.starts_with('-') {
        -minutes
    } else {
        minutes
    })
}

/// A date and time, `minutes` later, in the precision that they have; `None` if they are none, or if the time has no
/// minutes and such are asked for.
///
/// ```
/// # use vna_index::shift_date_time;
/// assert_eq!(shift_date_time("20231231", "2330", 60), Some(("20240101".into(), "0030".into())));
/// assert_eq!(shift_date_time("20240301", "003000.25", -60), Some(("20240229".into(), "233000.25".into())));
/// ```
#[must_use]
pub fn shift_date_time(
    date_value: &str,
    time_value: &str,
    minutes: i32,
) -> Option<(String, String)> {
    let (day, time) = (date(date_value)?, time_value.trim().replace(':', ""));
    let (us, _) = time_range_us(&time)?;
    if time.len() == 2 && minutes % 60 != 0 {
        return None;
    }
    let moved = us + i64::from(minutes) * MINUTE_US;
    let minutes_of_day = moved.rem_euclid(DAY_US) / MINUTE_US;
    let day = moved_day(day, moved.div_euclid(DAY_US));
    let hours = format!("{:02}{:02}", minutes_of_day / 60, minutes_of_day % 60);
    let rest = time.get(4..).unwrap_or_default();
    let kept = hours.get(..time.len().min(4))?;
    Some((format!("{day:08}"), format!("{kept}{rest}")))
}

/// A DT value, `minutes` later. One that says its own offset from UTC, or that has no hours, stays as it is: `None`.
#[must_use]
pub fn shift_moment(value: &str, minutes: i32) -> Option<String> {
    let value = value.trim();
    if !value.is_ascii() || value.len() < 10 || value.contains(['+', '-']) {
        return None;
    }
    let (day, time) = value.split_at(8);
    shift_date_time(day, time, minutes).map(|(day, time)| day + &time)
}

/// A key for dates that has a day more at both ends: whatever the time zone, the day of a moment that matches is in it.
pub(crate) fn widened(spans: &[(i64, i64)]) -> String {
    let bound = |day: i64, by| match day {
        i64::MIN | i64::MAX => String::new(),
        day => format!("{:08}", moved_day(day, by)),
    };
    let spans = spans
        .iter()
        .map(|(low, high)| format!("{}-{}", bound(*low, -1), bound(*high, 1)));
    spans.collect::<Vec<_>>().join("\\")
}

/// The day `by` days after one of the calendar, both as yyyymmdd.
fn moved_day(day: i64, by: i64) -> i64 {
    if by == 0 {
        return day;
    }
    let (year, month, day) = (day / 10_000, day / 100 % 100, day % 100);
    // Days since 1 March of year 0, so that the leap day ends a year.
    let (shifted, of_year) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let number = 365 * shifted + shifted.div_euclid(4) - shifted.div_euclid(100)
        + shifted.div_euclid(400)
        + (153 * of_year + 2) / 5
        + day
        - 1
        + by;
    let era = number.div_euclid(146_097);
    let in_era = number.rem_euclid(146_097);
    let year_of_era = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let day_of_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year * 100 + month) * 100 + day
}

impl MomentKeys {
    /// What the date must match at least when the stored moments are in other time zones than the keys; empty: all.
    #[must_use]
    pub fn widened_date_key(&self) -> String {
        match &self.date {
            Matcher::Date(spans) => widened(spans),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_ranges_of_one_form_are_one_range_of_moments() {
        let keys = MomentKeys::new("20240105-20240107", "1000-1800", true);
        for (date, time, expected) in [
            ("20240105", "0959", false),
            ("20240105", "100000", true),
            ("20240105", "2300", true),
            ("20240106", "0100", true),
            ("20240107", "1800", true),
            ("20240107", "1801", false),
            ("20240108", "1200", false),
        ] {
            assert_eq!(
                keys.matches(Some(date), Some(time)),
                expected,
                "{date} {time}"
            );
        }
        assert!(keys.matches(Some("20240105"), None));
        assert!(!keys.matches(None, Some("1100")));
        let apart = MomentKeys::new("20240105-20240107", "1000-1800", false);
        assert!(!apart.matches(Some("20240106"), Some("0100")));
        // Ranges of different forms stay apart.
        let mixed = MomentKeys::new("20240105-", "-1800", true);
        assert!(!mixed.matches(Some("20240106"), Some("1900")));
        let open = MomentKeys::new("20240105-", "1000-", true);
        assert!(open.matches(Some("20240106"), Some("0100")));
        assert!(!open.matches(Some("20240105"), Some("0100")));
    }

    #[test]
    fn moments_move_over_the_ends_of_days_months_and_years() {
        for (date, time, minutes, expected) in [
            ("20240228", "2330", 60, Some(("20240229", "0030"))),
            ("20230228", "2330", 60, Some(("20230301", "0030"))),
            ("20240101", "003015.5", -60, Some(("20231231", "233015.5"))),
            ("20240101", "10", 120, Some(("20240101", "12"))),
            ("20240101", "10", 90, None),
            ("2024", "10", 60, None),
            ("20240101", "", 60, None),
        ] {
            let expected = expected.map(|(date, time)| (date.to_owned(), time.to_owned()));
            assert_eq!(
                shift_date_time(date, time, minutes),
                expected,
                "{date} {time}"
            );
        }
        assert_eq!(
            shift_moment("20240101003000.123", -60).as_deref(),
            Some("20231231233000.123")
        );
        assert_eq!(shift_moment("20240101003000+0100", -60), None);
        assert_eq!(shift_moment("20240101", -60), None);
        assert_eq!(offset_minutes("+1400"), Some(840));
        for bad in ["", "+0160", "+1500", "+1", "+01a0", "0100"] {
            assert_eq!(offset_minutes(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_widened_key_has_a_day_more() {
        let widened = |key| MomentKeys::new(key, "", false).widened_date_key();
        assert_eq!(widened("20240101"), "20231231-20240102");
        assert_eq!(widened("20240101-"), "20231231-");
        assert_eq!(widened("-20240229"), "-20240301");
        assert_eq!(widened(""), "");
    }

    proptest! {
        #[test]
        fn there_and_back_is_the_same_moment(year in 1900..2100i64, month in 1..13i64, day in 1..29i64, minute in 0..1440i64, by in -840..840i32) {
            let (date, time) = (format!("{year:04}{month:02}{day:02}"), format!("{:02}{:02}30", minute / 60, minute % 60));
            let (there, then) = shift_date_time(&date, &time, by).expect("are a date and a time");
            prop_assert_eq!(shift_date_time(&there, &then, -by), Some((date, time)));
        }
    }
}
