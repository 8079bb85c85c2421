//! How today's usage compares with the days before: the numbers that a simple alert goes by.

use crate::{
    time::Timestamp,
    usage::{Granularity, UsageBucket},
};

/// Milliseconds of a day (UTC days have no leap seconds here).
const DAY_MS: i64 = 86_400_000;

/// Which days count for a summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SummaryDays {
    /// Where the first full day that counts for the average begins; `today` where there is none.
    pub first: Timestamp,
    /// Where today begins (UTC).
    pub today: Timestamp,
}

impl SummaryDays {
    /// The full days before `now`'s, at most `days_max`, on all of which what was created at `created_at` existed.
    pub fn before(now: Timestamp, created_at: Timestamp, days_max: i64) -> Self {
        let day_of = |point: Timestamp| point.unix_ms().div_euclid(DAY_MS);
        let today = day_of(now);
        let first_full = day_of(created_at.plus_ms(DAY_MS - 1));
        let first = first_full.clamp(today.saturating_sub(days_max), today);
        let begin = |day: i64| Timestamp::from_unix_ms(day.saturating_mul(DAY_MS));
        Self { first: begin(first), today: begin(today) }
    }

    /// How many days count for the average.
    pub const fn count(self) -> i64 {
        self.today.ms_since(self.first) / DAY_MS
    }
}

/// Today's requests, and what the days before lead to expect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UsageSummary {
    /// Verifications since the day began (UTC).
    pub requests_today: u64,
    /// Those of them that were refused.
    pub errors_today: u64,
    /// Verifications per day before, on average; today's own where no full day went before, so that there is nothing to
    /// compare with and nobody is alarmed.
    pub avg_requests: f64,
    /// Share of today's that were refused, from 0 to 1; 0 without any.
    pub error_rate: f64,
}

impl UsageSummary {
    /// The summary of the daily `buckets` from `days.first` to now.
    #[expect(clippy::cast_precision_loss, reason = "a count below 2^53, or a rounding nobody sees")]
    pub fn of(days: SummaryDays, buckets: &[UsageBucket]) -> Self {
        debug_assert_eq!(Granularity::Day.minutes() * 60_000, DAY_MS, "buckets are days");
        let (today, before): (Vec<_>, Vec<_>) = buckets.iter().partition(|bucket| bucket.start >= days.today);
        let requests_today = today.iter().map(|bucket| bucket.total()).sum::<u64>();
        let errors_today = today.iter().map(|bucket| bucket.refused()).sum::<u64>();
        let total_before = before.iter().map(|bucket| bucket.total()).sum::<u64>();
        let avg_requests = match days.count() {
            0 => requests_today as f64,
            count => total_before as f64 / count as f64,
        };
        let error_rate = if requests_today == 0 { 0.0 } else { errors_today as f64 / requests_today as f64 };
        Self { requests_today, errors_today, avg_requests, error_rate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Code;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    fn day(text: &str, valid: u64, refused: u64) -> UsageBucket {
        let by_code = vec![(Code::Valid, valid), (Code::RateLimited, refused)];
        UsageBucket { start: at(text), by_code, cost: valid }
    }

    #[test]
    fn which_days_count() {
        let now = at("2026-11-21T08:00:00Z");
        let days = |created: &str| {
            let days = SummaryDays::before(now, at(created), 7);
            (days.first.to_rfc3339()[..10].to_owned(), days.count())
        };
        assert_eq!(days("2026-01-01T00:00:00Z"), ("2026-11-14".to_owned(), 7));
        assert_eq!(days("2026-11-14T00:00:00Z"), ("2026-11-14".to_owned(), 7), "from its first moment on");
        assert_eq!(days("2026-11-14T00:00:00.001Z"), ("2026-11-15".to_owned(), 6), "not a full day");
        assert_eq!(days("2026-11-20T00:00:00Z"), ("2026-11-20".to_owned(), 1));
        assert_eq!(days("2026-11-20T12:00:00Z"), ("2026-11-21".to_owned(), 0));
        assert_eq!(days("2026-11-21T07:00:00Z"), ("2026-11-21".to_owned(), 0));
        assert_eq!(days("2027-11-21T07:00:00Z"), ("2026-11-21".to_owned(), 0), "a clock that was set back");
    }

    #[test]
    fn quiet_days_count_for_the_average() {
        let days = SummaryDays::before(at("2026-11-21T08:00:00Z"), at("2026-01-01T00:00:00Z"), 7);
        let buckets = [
            day("2026-11-15T00:00:00Z", 300, 100),
            day("2026-11-20T00:00:00Z", 300, 0),
            day("2026-11-21T00:00:00Z", 188, 13),
        ];
        let summary = UsageSummary::of(days, &buckets);
        assert_eq!((summary.requests_today, summary.errors_today), (201, 13));
        assert!((summary.avg_requests - 100.0).abs() < 1e-9, "{}", summary.avg_requests);
        assert!((summary.error_rate - 13.0 / 201.0).abs() < 1e-9, "{}", summary.error_rate);
    }

    #[test]
    fn without_a_past_today_is_what_is_expected() {
        let days = SummaryDays::before(at("2026-11-21T08:00:00Z"), at("2026-11-21T07:00:00Z"), 7);
        let summary = UsageSummary::of(days, &[day("2026-11-21T00:00:00Z", 40, 0)]);
        assert!((summary.avg_requests - 40.0).abs() < 1e-9);
        let nothing = UsageSummary::of(days, &[]);
        assert!(nothing.avg_requests.abs() < 1e-9 && nothing.error_rate.abs() < 1e-9);
        // A past without a request: the first one after it is worth an alarm.
        let days = SummaryDays::before(at("2026-11-21T08:00:00Z"), at("2026-01-01T00:00:00Z"), 7);
        let woken = UsageSummary::of(days, &[day("2026-11-21T00:00:00Z", 1, 0)]);
        assert!(woken.avg_requests.abs() < 1e-9);
    }
}
