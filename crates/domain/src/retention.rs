//! How long what is personal, and what is counted, is kept.

use crate::time::Timestamp;

const DAY_MS: i64 = 86_400_000;

/// How long things are kept, in days; 0: for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Addresses and user agents beside the audit trail.
    pub audit_personal_days: u32,
    /// Addresses that keys were used from: the access ledger, networks, last uses.
    pub access_days: u32,
    /// Counts by minute, of keys and workspaces.
    pub usage_minute_days: u32,
    /// Counts by hour, of keys and workspaces.
    pub usage_hour_days: u32,
}

/// What is older than these points goes; `None`: nothing does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cutoffs {
    /// Addresses and user agents beside the audit trail.
    pub audit_personal: Option<Timestamp>,
    /// Addresses that keys were used from.
    pub access: Option<Timestamp>,
    /// Counts by minute.
    pub usage_minute: Option<Timestamp>,
    /// Counts by hour.
    pub usage_hour: Option<Timestamp>,
}

impl Retention {
    /// What goes at `now`.
    pub fn cutoffs(&self, now: Timestamp) -> Cutoffs {
        let before = |days: u32| (days > 0).then(|| now.plus_ms(-DAY_MS * i64::from(days)));
        Cutoffs {
            audit_personal: before(self.audit_personal_days),
            access: before(self.access_days),
            usage_minute: before(self.usage_minute_days),
            usage_hour: before(self.usage_hour_days),
        }
    }
}

impl Cutoffs {
    /// The minute, counted from the Unix epoch, that `cutoff` lies in; the smallest number where nothing goes.
    pub fn minute(cutoff: Option<Timestamp>) -> i64 {
        cutoff.map_or(i64::MIN, |at| at.unix_seconds().div_euclid(60))
    }

    /// The hour, counted from the Unix epoch, that `cutoff` lies in; the smallest number where nothing goes.
    pub fn hour(cutoff: Option<Timestamp>) -> i64 {
        cutoff.map_or(i64::MIN, |at| at.unix_seconds().div_euclid(3_600))
    }

    /// Milliseconds from the Unix epoch to `cutoff`; the smallest number where nothing goes.
    pub fn ms(cutoff: Option<Timestamp>) -> i64 {
        cutoff.map_or(i64::MIN, Timestamp::unix_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_before_now_or_never() {
        let retention =
            Retention { audit_personal_days: 1, access_days: 0, usage_minute_days: 2, usage_hour_days: 3 };
        let cutoffs = retention.cutoffs(Timestamp::from_unix_ms(10 * DAY_MS + 61_000));
        assert_eq!(cutoffs.audit_personal, Some(Timestamp::from_unix_ms(9 * DAY_MS + 61_000)));
        assert_eq!(cutoffs.access, None);
        assert_eq!(Cutoffs::minute(cutoffs.usage_minute), 8 * 1_440 + 1);
        assert_eq!(Cutoffs::hour(cutoffs.usage_hour), 7 * 24);
        assert_eq!(Cutoffs::ms(cutoffs.access), i64::MIN);
    }
}
