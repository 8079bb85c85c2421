//! Usage and the access ledger.

use std::collections::BTreeMap;

use keywright_domain::{
    time::Timestamp,
    usage::{self, UsageBucket as Bucket},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Granularity, Time};

/// Usage in one bucket of time.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UsageBucket {
    /// Where the bucket begins.
    pub start: Time,
    /// All verifications.
    pub total: u64,
    /// Verifications by code.
    #[schema(example = json!({"valid": 40, "rate_limited": 2}))]
    pub by_code: BTreeMap<&'static str, u64>,
    /// Cost units consumed.
    pub cost: u64,
}

/// Usage over a time.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Usage {
    /// Length of the buckets.
    pub granularity: Granularity,
    /// Where the time begins.
    pub from: Time,
    /// Where it ends; not included.
    pub until: Time,
    /// All verifications.
    pub total: u64,
    /// Those that were accepted.
    pub accepted: u64,
    /// Those that were refused.
    pub refused: u64,
    /// Share of those that were refused, from 0 to 1; 0 without any verification.
    pub error_rate: f64,
    /// Cost units consumed.
    pub cost: u64,
    /// Verifications by code.
    #[schema(example = json!({"valid": 40, "rate_limited": 2}))]
    pub by_code: BTreeMap<&'static str, u64>,
    /// The buckets, oldest first; those without usage are left out.
    pub series: Vec<UsageBucket>,
    /// When the key was last used, if ever; of a workspace always `null`.
    pub last_used_at: Option<Time>,
}

impl Usage {
    /// Sums up the buckets.
    pub(crate) fn new(
        query: &usage::UsageQuery,
        mut buckets: Vec<Bucket>,
        last_used_at: Option<Time>,
    ) -> Self {
        buckets.sort_by_key(|bucket| bucket.start);
        let total: u64 = buckets.iter().map(Bucket::total).sum();
        let refused: u64 = buckets.iter().map(Bucket::refused).sum();
        let mut by_code = BTreeMap::new();
        for (code, count) in buckets.iter().flat_map(|bucket| &bucket.by_code) {
            *by_code.entry(code.as_str()).or_insert(0) += count;
        }
        Self {
            granularity: query.granularity.into(),
            from: query.from.into(),
            until: query.until.into(),
            total,
            accepted: total - refused,
            refused,
            error_rate: share(refused, total),
            cost: buckets.iter().map(|bucket| bucket.cost).sum(),
            by_code,
            series: buckets.into_iter().map(UsageBucket::from).collect(),
            last_used_at,
        }
    }
}

impl From<Bucket> for UsageBucket {
    fn from(bucket: Bucket) -> Self {
        Self {
            start: bucket.start.into(),
            total: bucket.total(),
            cost: bucket.cost,
            by_code: bucket.by_code.into_iter().map(|(code, count)| (code.as_str(), count)).collect(),
        }
    }
}

/// `part / whole`, rounded to six digits.
#[expect(clippy::cast_precision_loss, reason = "six digits are kept")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64 * 1e6).round() / 1e6 }
}

/// One row of the access ledger: who used the key from where for what, with which outcome, in one minute.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LedgerRow {
    /// The minute.
    pub minute: Time,
    /// Which of the key's secrets, counted from 1.
    pub secret_ordinal: u16,
    /// From where, if known.
    #[schema(example = "203.0.113.7")]
    pub address: Option<String>,
    /// The route that was asked for, if told.
    #[schema(example = "POST /v1/chat")]
    pub route: Option<String>,
    /// The outcome.
    #[schema(example = "valid")]
    pub code: &'static str,
    /// What kind of client it was.
    #[schema(example = "library")]
    pub agent: &'static str,
    /// Number of verifications.
    pub count: u64,
}

impl From<usage::LedgerRow> for LedgerRow {
    fn from(row: usage::LedgerRow) -> Self {
        Self {
            minute: Time(Timestamp::from_unix_ms(row.minute.saturating_mul(60_000))),
            secret_ordinal: row.secret_ordinal,
            address: row.address.map(|address| address.to_string()),
            route: Some(row.route).filter(|route| !route.is_empty()),
            code: row.code.as_str(),
            agent: row.agent.as_str(),
            count: row.count,
        }
    }
}

/// A network that a key is used from.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Origin {
    /// The network: IPv4 /24 or IPv6 /48.
    #[schema(example = "203.0.113.0/24")]
    pub network: String,
    /// When the key was first used from there.
    pub first_seen_at: Time,
    /// When it was last used from there.
    pub last_seen_at: Time,
    /// Verifications that were accepted.
    pub accepted: u64,
    /// Verifications that were refused.
    pub refused: u64,
    /// Share of those that were refused, from 0 to 1.
    pub error_rate: f64,
}

impl From<usage::Origin> for Origin {
    fn from(origin: usage::Origin) -> Self {
        Self {
            network: origin.network.to_string(),
            first_seen_at: origin.first_at.into(),
            last_seen_at: origin.last_at.into(),
            accepted: origin.accepted,
            refused: origin.refused,
            error_rate: share(origin.refused, origin.accepted + origin.refused),
        }
    }
}
