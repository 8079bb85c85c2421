//! Usage and the access ledger.

use std::collections::BTreeMap;

use keywright_domain::{
    time::Timestamp,
    usage::{self, UsageBucket as Bucket},
};
use serde::{Deserialize, Serialize};
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
    if whole == 0 { 0.0 } else { six_digits(part as f64 / whole as f64) }
}

/// Rounded to six digits after the point.
pub(crate) fn six_digits(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

/// Whose usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UsageScope {
    /// That of the key that asks.
    #[default]
    Key,
    /// That of all keys of its workspace.
    Workspace,
}

/// How today's usage compares with the days before.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OwnUsage {
    /// Requests since midnight UTC.
    #[schema(example = 201)]
    pub requests_today: u64,
    /// Requests per day before, on average over the last `average_days` full days (UTC). Where `average_days` is 0, there is
    /// nothing to compare with, and this is `requests_today`.
    #[schema(example = 100.0)]
    pub avg_requests: f64,
    /// Share of today's requests whose key was refused, from 0 to 1; 0 without any request.
    #[schema(example = 0.0612)]
    pub error_rate: f64,
    /// Today's requests whose key was refused.
    #[schema(example = 12)]
    pub errors_today: u64,
    /// Full days that `avg_requests` is made of: 7, or as many as the key or workspace has existed for.
    #[schema(example = 7)]
    pub average_days: i64,
    /// Whose usage this is.
    pub scope: UsageScope,
    /// Slug of the workspace.
    #[schema(example = "acme")]
    pub workspace: String,
    /// The key; `null` for the whole workspace.
    #[schema(example = "key_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub key_id: Option<String>,
    /// Where today begins.
    pub today: Time,
    /// Today by hour, oldest first; hours without usage are left out.
    pub hours: Vec<UsageBucket>,
    /// The days of the average and today, oldest first; days without usage are left out.
    pub days: Vec<UsageBucket>,
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
