//! A moment of the week, and windows of it.

use core::fmt;

pub const MINUTES_OF_DAY: u16 = 24 * 60;
const DAYS_OF_WEEK: usize = 7;

/// The names of days, from Monday.
pub const DAYS: [&str; DAYS_OF_WEEK] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// 1970-01-01 was a Thursday.
const DAY_OF_EPOCH: i64 = 3;

/// A minute of a day of the week, by some clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    day: usize,
    minute: u16,
}

impl Moment {
    /// What a clock shows that is so many minutes ahead of UTC.
    pub fn new(time_ms: u64, offset_minutes: i64) -> Self {
        let minutes = i64::try_from(time_ms / 60_000).unwrap_or(i64::MAX / 2) + offset_minutes;
        let of_day = minutes.rem_euclid(i64::from(MINUTES_OF_DAY));
        let day = (minutes.div_euclid(i64::from(MINUTES_OF_DAY)) + DAY_OF_EPOCH).rem_euclid(DAYS_OF_WEEK as i64);
        Self { day: usize::try_from(day).unwrap_or(0), minute: u16::try_from(of_day).unwrap_or(0) }
    }

    fn day_before(self) -> usize {
        (self.day + DAYS_OF_WEEK - 1) % DAYS_OF_WEEK
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", DAYS.get(self.day).unwrap_or(&"?"), Clock(self.minute))
    }
}

/// Hours of days. One that ends before it begins goes on into the next day.
#[derive(Clone, Debug)]
pub struct Window {
    /// On which days it begins, from Monday.
    pub days: [bool; DAYS_OF_WEEK],
    /// Its first minute.
    pub from: u16,
    /// The minute after its last.
    pub to: u16,
}

impl Window {
    /// Whether a moment lies within.
    pub fn holds(&self, moment: Moment) -> bool {
        let begins_on = |day: usize| self.days.get(day).copied().unwrap_or(false);
        let (from, to, minute) = (self.from, self.to, moment.minute);
        if from < to {
            return begins_on(moment.day) && (from..to).contains(&minute);
        }
        begins_on(moment.day) && minute >= from || begins_on(moment.day_before()) && minute < to
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days: Vec<_> = DAYS.iter().zip(self.days).filter(|(_, is_meant)| *is_meant).map(|(day, _)| *day).collect();
        if days.len() < DAYS_OF_WEEK {
            write!(f, "{} ", days.join("/"))?;
        }
        write!(f, "{} to {}", Clock(self.from), Clock(self.to))
    }
}

struct Clock(u16);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}
