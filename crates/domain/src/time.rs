//! Points in time, and where they come from.

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The point `unix_ms` milliseconds after the Unix epoch.
    pub const fn from_unix_ms(unix_ms: i64) -> Self {
        Self(unix_ms)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// This point moved by `seconds` (saturating).
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000)))
    }

    /// This point moved by `milliseconds` (saturating).
    #[must_use]
    pub const fn plus_ms(self, milliseconds: i64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }

    /// Milliseconds from `earlier` to `self`; negative if `earlier` is later.
    pub const fn ms_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// RFC 3339 in UTC with `Z` and milliseconds, as the HTTP API writes it.
    pub fn to_rfc3339(self) -> String {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(point) => format!("{point:.3}"),
            Err(_) => String::from("9999-12-31T23:59:59.999Z"),
        }
    }

    /// Reads RFC 3339 with any offset. Precision finer than a millisecond is cut.
    ///
    /// # Errors
    /// [`InvalidTimestamp`] when the text is not an RFC 3339 date-time with an offset.
    pub fn parse_rfc3339(text: &str) -> Result<Self, InvalidTimestamp> {
        text.parse::<jiff::Timestamp>()
            .map(|point| Self(point.as_millisecond()))
            .map_err(|_| InvalidTimestamp)
    }
}

/// The text is not an RFC 3339 date-time with an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 date-time with an offset, such as 2027-01-31T00:00:00Z")]
pub struct InvalidTimestamp;

/// A calendar period, as rotation policies state it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// A number of days of 24 hours.
    Days(u16),
    /// A number of calendar months (UTC); the 31st becomes the last day of a shorter month.
    Months(u8),
}

impl Period {
    /// The point one period after `start`.
    pub fn after(self, start: Timestamp) -> Timestamp {
        match self {
            Self::Days(days) => start.plus_seconds(i64::from(days) * 86_400),
            Self::Months(months) => add_months(start, months).unwrap_or(Timestamp(i64::MAX)),
        }
    }
}

fn add_months(start: Timestamp, months: u8) -> Option<Timestamp> {
    let point = jiff::Timestamp::from_millisecond(start.0).ok()?;
    let civil = jiff::tz::Offset::UTC.to_datetime(point);
    let moved = civil.checked_add(jiff::Span::new().try_months(i64::from(months)).ok()?).ok()?;
    let moved = jiff::tz::Offset::UTC.to_timestamp(moved).ok()?;
    Some(Timestamp(moved.as_millisecond()))
}

/// Where time comes from: the system in production, a hand-set one in tests.
pub trait Clock: Send + Sync {
    /// The wall clock. May step; used for expiry, windows and records, never for leases.
    fn now(&self) -> Timestamp;

    /// Nanoseconds on a clock that also runs while the machine is suspended (Linux `CLOCK_BOOTTIME`), for leases
    /// and durations.
    fn boot_ns(&self) -> u64;

    /// Both at once, for those who need both often: a clock may offer it for less than two readings.
    fn both(&self) -> (Timestamp, u64) {
        (self.now(), self.boot_ns())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_round_trip() {
        let point = Timestamp::parse_rfc3339("2026-11-21T08:00:00.123+02:00").unwrap();
        assert_eq!(point.to_rfc3339(), "2026-11-21T06:00:00.123Z");
        assert_eq!(
            Timestamp::parse_rfc3339("2026-11-21T06:00:00Z").unwrap().to_rfc3339(),
            "2026-11-21T06:00:00.000Z"
        );
        assert_eq!(Timestamp::parse_rfc3339("2026-11-21"), Err(InvalidTimestamp));
        assert_eq!(Timestamp::parse_rfc3339("2026-11-21T06:00:00"), Err(InvalidTimestamp));
    }

    #[test]
    fn months_end_on_the_last_day() {
        let start = Timestamp::parse_rfc3339("2026-11-30T10:00:00Z").unwrap();
        assert_eq!(Period::Months(3).after(start).to_rfc3339(), "2027-02-28T10:00:00.000Z");
        assert_eq!(Period::Days(90).after(start).to_rfc3339(), "2027-02-28T10:00:00.000Z");
        assert_eq!(Period::Months(6).after(start).to_rfc3339(), "2027-05-30T10:00:00.000Z");
    }
}
