//! What keys were used for.

pub(super) mod key;
pub(super) mod ledger;
pub(super) mod origins;
pub(super) mod own;
pub(super) mod workspace;

use keywright_domain::{key::KeyNumber, time::Timestamp, usage::UsageQuery, workspace::Workspace};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    caps::USAGE_BUCKETS_MAX,
    error::{ApiError, ErrorCode},
    wire::{Granularity, Time},
};

/// Which time.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Period {
    /// Length of the buckets; `hour` unless given.
    granularity: Option<Granularity>,
    /// From here on, rounded down to a bucket. Unless given: an hour, a day or 30 days before `until`, by granularity.
    #[param(value_type = Option<Time>)]
    from: Option<Time>,
    /// Up to, and not including, here; now unless given.
    #[param(value_type = Option<Time>)]
    until: Option<Time>,
}

impl Period {
    /// The question to the store.
    ///
    /// # Errors
    /// `invalid_query` when the time is empty or has too many buckets.
    fn query(
        &self,
        workspace: &Workspace,
        key: Option<KeyNumber>,
        now: Timestamp,
    ) -> Result<UsageQuery, ApiError> {
        let refuse =
            |detail: String| ApiError::with_detail(ErrorCode::InvalidQuery, detail).member("field", "from");
        let granularity = self.granularity.unwrap_or(Granularity::Hour);
        let buckets = match granularity {
            Granularity::Minute => 60,
            Granularity::Hour => 24,
            Granularity::Day => 30,
        };
        let bucket_seconds = keywright_domain::usage::Granularity::from(granularity).minutes() * 60;
        let until = self.until.map_or(now.plus_ms(1), |time| time.0);
        let from = self.from.map_or(until.plus_seconds(-buckets * bucket_seconds), |time| time.0);
        let from =
            Timestamp::from_unix_ms(from.unix_ms() - from.unix_ms().rem_euclid(bucket_seconds * 1_000));
        if from >= until {
            return Err(refuse("`from` must lie before `until`.".to_owned()));
        }
        if until.ms_since(from) > USAGE_BUCKETS_MAX.saturating_mul(bucket_seconds).saturating_mul(1_000) {
            return Err(refuse(format!(
                "That is more than {USAGE_BUCKETS_MAX} buckets; choose a later `from` or a coarser `granularity`."
            )));
        }
        Ok(UsageQuery { workspace: workspace.number, key, granularity: granularity.into(), from, until })
    }
}
