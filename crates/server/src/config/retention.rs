//! `[retention]`: how long things are kept.

use keywright_domain::retention::Retention;
use serde::Deserialize;

use super::value::Bounded;

/// Limit windows of up to 366 days are restored from counts by minute, and a sliding window weighs the one before it.
const USAGE_MINUTE_DAYS_MIN: u32 = 2 * 366 + 1;

/// How long things are kept, in days; 0: for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_field_names, reason = "units stand at the end of names")]
pub(crate) struct RetentionSettings {
    /// Addresses and user agents beside the audit trail.
    pub(crate) audit_personal_days: Bounded<0, 36_500>,
    /// Addresses that keys were used from.
    pub(crate) access_days: Bounded<0, 36_500>,
    /// Counts by minute.
    pub(crate) usage_minute_days: Bounded<0, 36_500>,
    /// Counts by hour.
    pub(crate) usage_hour_days: Bounded<0, 36_500>,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self {
            audit_personal_days: Bounded::of(365),
            access_days: Bounded::of(365),
            usage_minute_days: Bounded::of(0),
            usage_hour_days: Bounded::of(0),
        }
    }
}

impl RetentionSettings {
    /// What is wrong with them, if something is.
    pub(super) fn problem(&self) -> Option<String> {
        let days = self.usage_minute_days.get();
        ((1..USAGE_MINUTE_DAYS_MIN).contains(&days)).then(|| {
            format!(
                "retention.usage_minute_days is 0 or at least {USAGE_MINUTE_DAYS_MIN}: limits of long windows are \
                 restored from these counts at a start"
            )
        })
    }
}

impl From<&RetentionSettings> for Retention {
    fn from(settings: &RetentionSettings) -> Self {
        Self {
            audit_personal_days: settings.audit_personal_days.get(),
            access_days: settings.access_days.get(),
            usage_minute_days: settings.usage_minute_days.get(),
            usage_hour_days: settings.usage_hour_days.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_kept_as_long_as_limits_need_them() {
        let with =
            |days| RetentionSettings { usage_minute_days: Bounded::of(days), ..RetentionSettings::default() };
        assert!(with(0).problem().is_none() && with(USAGE_MINUTE_DAYS_MIN).problem().is_none());
        assert!(with(1).problem().is_some() && with(USAGE_MINUTE_DAYS_MIN - 1).problem().is_some());
    }
}
