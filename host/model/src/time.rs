//! Time as data.
//!
//! [`Clock`] is the only door time comes in by. Entries are ordered by index; their time is what the host's clock
//! said, to the millisecond, and may go backwards.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use thiserror::Error;

/// The last millisecond that can be written whatever the time zone: near the end of the year 9999.
const MILLIS_MAX: u64 = 253_402_207_199_999;

/// Text that is not a timestamp.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not a time of the form `2026-01-31T23:59:59.999Z`")]
pub struct TimestampError(String);

/// Milliseconds since 1970-01-01T00:00:00Z, written as RFC 3339 in UTC with three decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// A time by its milliseconds; what lies after the year 9999 becomes the last time in it that can be written.
    pub const fn from_millis(millis: u64) -> Self {
        Self(if millis > MILLIS_MAX { MILLIS_MAX } else { millis })
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This much later, or the last time there is.
    #[must_use]
    pub const fn plus_millis(self, millis: u64) -> Self {
        Self::from_millis(self.0.saturating_add(millis))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).map_err(|_| fmt::Error)?;
        let time = jiff::Timestamp::from_millisecond(millis).map_err(|_| fmt::Error)?;
        write!(f, "{time:.3}")
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let wrong = || TimestampError(text.to_owned());
        let time: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
        let time = Self(u64::try_from(time.as_millisecond()).map_err(|_| wrong())?);
        // One time, one spelling.
        if time.to_string() != text {
            return Err(wrong());
        }
        Ok(time)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Where time comes from. Implementors return the wall clock; it may jump, and callers must not measure with it.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_time_has_one_spelling() {
        let time = Timestamp::from_millis(1_795_218_613_007);
        assert_eq!(time.to_string(), "2026-11-20T23:50:13.007Z");
        assert_eq!(time.to_string().parse(), Ok(time));
        for text in ["2026-11-20T23:50:13Z", "2026-11-20T23:50:13.007+00:00", "2026-11-20 23:50:13.007Z", ""] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn far_times_stay_printable() {
        assert_eq!(Timestamp::from_millis(u64::MAX).to_string(), "9999-12-30T21:59:59.999Z");
        assert_eq!(Timestamp::from_millis(u64::MAX).plus_millis(1).to_string(), "9999-12-30T21:59:59.999Z");
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
    }
}
