//! Times of a calendar that come again, as `cron` of Unix tells them: five fields for minute, hour, day of the month,
//! month and day of the week, in UTC.
//!
//! A field is `*`, a number, a range `1-5`, either with a step `*/15`, or several of these with commas between; months
//! and days have their English names' first three letters too, and Sunday is 0 or 7. A day counts when the day of the
//! month and that of the week do; when both are restricted, one is enough (POSIX.1-2017, `crontab`). `@hourly`,
//! `@daily`, `@weekly`, `@monthly` and `@yearly` stand for their firsts.

use crate::ids::Time;

/// Bytes of a calendar's text; longer is refused.
pub const CRON_BYTES_MAX: usize = 128;
/// Days after which a calendar without a time in them has none: every date of a leap year on every day of the week comes
/// within 40 years, also over a century that has no leap year.
const DAYS_MAX: i64 = 40 * 366;
const MINUTE_US: i64 = 60_000_000;
const DAY_MINUTES: i64 = 24 * 60;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Times that come again. Bit n of a set stands for n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether a day of the month, or of the week, is enough.
    either: bool,
}

/// Why a text is no calendar: what is wrong, and the cure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CronError(&'static str);

impl core::fmt::Display for CronError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.0)
    }
}

impl core::error::Error for CronError {}

impl Cron {
    /// Reads a calendar.
    ///
    /// # Errors
    /// What is wrong with the text; a calendar that names no time at all is refused too.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        if text.len() > CRON_BYTES_MAX {
            return Err(CronError("the calendar is longer than CRON_BYTES_MAX (128): write two hooks"));
        }
        let text = match text {
            "@hourly" => "0 * * * *",
            "@daily" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" => "0 0 1 1 *",
            text => text,
        };
        let mut fields = text.split_ascii_whitespace();
        let mut next = || fields.next().ok_or(CronError("a calendar has five fields: minute hour day month weekday"));
        let (minute, hour, day, month, weekday) = (next()?, next()?, next()?, next()?, next()?);
        if fields.next().is_some() {
            return Err(CronError("a calendar has five fields, not more: minute hour day month weekday"));
        }
        let weekdays = field(weekday, 0, 7, &DAYS, 0)?;
        let cron = Self {
            minutes: field(minute, 0, 59, &[], 0)?,
            hours: field(hour, 0, 23, &[], 0)?,
            days: field(day, 1, 31, &[], 0)?,
            months: field(month, 1, 12, &MONTHS, 1)?,
            weekdays: weekdays & 0x7f | weekdays >> 7,
            either: !day.starts_with('*') && !weekday.starts_with('*'),
        };
        match cron.next_after(Time(0)) {
            Some(_) => Ok(cron),
            None => Err(CronError("the calendar names a day that never comes: look at day and month")),
        }
    }

    /// The first time after `time`; none when it is beyond what a time can say.
    pub fn next_after(&self, time: Time) -> Option<Time> {
        let first = time.0.div_euclid(MINUTE_US).checked_add(1)?;
        let (today, minute) = (first.div_euclid(DAY_MINUTES), first.rem_euclid(DAY_MINUTES));
        for day in today..=today + DAYS_MAX {
            if !self.has_day(day) {
                continue;
            }
            let from = if day == today { minute } else { 0 };
            if let Some(minute) = (from..DAY_MINUTES).find(|minute| self.has_minute(*minute)) {
                return day.checked_mul(DAY_MINUTES)?.checked_add(minute)?.checked_mul(MINUTE_US).map(Time);
            }
        }
        None
    }

    fn has_minute(&self, minute: i64) -> bool {
        has(self.hours, minute / 60) && has(self.minutes, minute % 60)
    }

    /// Whether a day counts, given by its number from 1970-01-01, which was a Thursday.
    fn has_day(&self, day: i64) -> bool {
        let (month, day_of_month) = date(day);
        let (of_month, of_week) = (has(self.days, day_of_month), has(self.weekdays, (day + 4).rem_euclid(7)));
        has(self.months, month) && if self.either { of_month || of_week } else { of_month && of_week }
    }
}

fn has(set: u64, number: i64) -> bool {
    set >> number & 1 == 1
}

/// Month and day of the month of a day numbered from 1970-01-01, by the civil calendar (H. Hinnant, "chrono-compatible
/// low-level date algorithms").
fn date(day: i64) -> (i64, i64) {
    let day = day + 719_468;
    let day_of_era = day.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    (if month < 10 { month + 3 } else { month - 9 }, day_of_month)
}

/// The set of a field's numbers; `names` stand for the numbers from `first_name` on.
fn field(text: &str, min: u64, max: u64, names: &[&str], first_name: u64) -> Result<u64, CronError> {
    let number = |text: &str| -> Result<u64, CronError> {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let number = match named {
            Some(position) => Some(first_name + position as u64),
            None if text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            None => None,
        };
        number
            .filter(|number| (min..=max).contains(number))
            .ok_or(CronError("a field holds a number that is none or out of range: minute 0-59, hour 0-23, day 1-31, month 1-12, weekday 0-7"))
    };
    let mut set = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            None => (part, 1),
            Some((range, step)) => {
                let step = step.parse::<u8>().ok().filter(|step| *step > 0);
                (range, step.ok_or(CronError("a step is a number from 1, as in `*/15`"))?)
            }
        };
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (number(from)?, number(to)?),
            None if range == "*" => (min, max),
            // `5/10` begins at 5 and goes on to the end.
            None if part.contains('/') => (number(range)?, max),
            None => (number(range)?, number(range)?),
        };
        if from > to {
            return Err(CronError("a range goes upwards, as in `1-5`"));
        }
        (from..=to).step_by(usize::from(step)).for_each(|number| set |= 1 << number);
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

    use super::*;

    const DAY: i64 = DAY_MINUTES * MINUTE_US;

    fn times(text: &str, from: i64, count: usize) -> alloc::vec::Vec<i64> {
        let cron = Cron::parse(text).unwrap();
        core::iter::successors(cron.next_after(Time(from)), |time| cron.next_after(*time))
            .take(count)
            .map(|time| time.0 / MINUTE_US)
            .collect()
    }

    #[test]
    fn fields_say_which_minutes() {
        assert_eq!(times("*/20 * * * *", 0, 4), [20, 40, 60, 80]);
        assert_eq!(times("5/25 1-2 * * *", 0, 4), [65, 90, 115, 125]);
        assert_eq!(times("0,30 12 * * *", 0, 3), [720, 750, 1440 + 720]);
        assert_eq!(times("* * * * *", -1, 1), [0], "a time before 1970, and the first minute after it");
        assert_eq!(times("* * * * *", 59_999_999, 1), [1]);
    }

    #[test]
    fn days_are_those_of_the_civil_calendar() {
        // 1970-01-01 was a Thursday.
        assert_eq!(times("0 0 * * fri", 0, 2), [1440, 8 * 1440]);
        assert_eq!(times("0 0 * * 7", 0, 1), times("0 0 * * 0", 0, 1));
        // 2024-02-29, 2028-02-29: days 19782 and 21243.
        assert_eq!(times("0 0 29 feb *", 19_700 * DAY, 2), [19_782 * 1440, 21_243 * 1440]);
        // 2096-02-29, then 2104: 2100 has none.
        assert_eq!(times("0 0 29 2 *", 46_100 * DAY, 1), [46_080 * 1440 + (8 * 365 + 1) * 1440]);
        assert_eq!(times("@yearly", 19_700 * DAY, 1), [19_723 * 1440], "2024-01-01");
    }

    #[test]
    fn one_of_two_restricted_days_is_enough() {
        // The 13th, and every Friday, of January 1970: 2, 9, 13, 16.
        assert_eq!(times("0 0 13 * fri", 0, 4), [1, 8, 12, 15].map(|day| day * 1440));
        // A Friday that is the 13th can not be asked for so; a step leaves the field unrestricted.
        assert_eq!(times("0 0 */2 * fri", 0, 2), [8, 22].map(|day| day * 1440));
    }

    #[test]
    fn what_is_no_calendar_is_refused() {
        let long = "0,".repeat(100);
        for text in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "5-1 * * * *",
            "*/0 * * * *",
            "a * * * *",
            "1.5 * * * *",
            "-1 * * * *",
            "0 0 31 feb *",
            "0 0 30 2 *",
            &long,
        ] {
            assert!(Cron::parse(text).is_err(), "{text}");
        }
    }
}
