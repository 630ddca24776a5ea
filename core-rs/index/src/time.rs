//! Moments as text.

use std::fmt::Write;

/// Writes microseconds of UTC as `yyyymmddThhmmss`, the form of the REST interface.
pub(crate) fn write_compact(us: i64, into: &mut String) {
    let seconds = us.div_euclid(1_000_000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    // Writing to a String cannot fail.
    let _ = write!(
        into,
        "{year:04}{month:02}{day:02}T{hour:02}{minute:02}{:02}",
        second % 60
    );
}

/// Year, month and day of the proleptic Gregorian calendar, from days since 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    // Years begin in March here, so that the leap day is the last of its year; eras are of 400 years.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compact(us: i64) -> String {
        let mut text = String::new();
        write_compact(us, &mut text);
        text
    }

    #[test]
    fn known_moments_are_written_right() {
        assert_eq!(compact(0), "19700101T000000");
        assert_eq!(compact(951_868_799_999_999), "20000229T235959");
        assert_eq!(compact(951_868_800_000_000), "20000301T000000");
        assert_eq!(compact(1_795_348_551_000_000), "20261122T115551");
        assert_eq!(compact(-1), "19691231T235959");
    }
}
