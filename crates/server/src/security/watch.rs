//! Refused calls that are too many: they change nothing, so no audit entry tells of them.
//!
//! Of known keys they are seen as usage is written down, by key and minute; of unknown ones in the counts of all verdicts.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use keywright_domain::{key::KeyNumber, usage::UsageRow, verdict::Code};

/// Keys that are watched at once. When there are more, those that were quiet longest are forgotten.
const WATCHED_MAX: usize = 10_000;
/// Addresses of one event.
const ADDRESSES_MAX: usize = 8;
/// After an event about a key none follows about the same for so many minutes.
const QUIET_MINUTES: i64 = 10;

/// How many are too many, per minute; 0: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Thresholds {
    /// Refused credentials: of one key, or all unknown ones together.
    pub(crate) refused: u64,
    /// Calls beyond the limits of one key.
    pub(crate) limited: u64,
}

/// What was too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Excess {
    /// Credentials that are not good, or not from there.
    Refused,
    /// Calls beyond limits.
    Limited,
}

impl Excess {
    /// What a verdict is a sign of.
    pub(crate) const fn of(code: Code) -> Option<Self> {
        match code {
            Code::MalformedKey
            | Code::InvalidKey
            | Code::RevokedKey
            | Code::ExpiredKey
            | Code::DisabledKey
            | Code::WrongEnvironment
            | Code::WrongWorkspace
            | Code::IpNotAllowed => Some(Self::Refused),
            Code::RateLimited | Code::QuotaExceeded => Some(Self::Limited),
            _ => None,
        }
    }

    /// The event's name.
    pub(crate) const fn action(self) -> &'static str {
        match self {
            Self::Refused => "credentials.refused",
            Self::Limited => "limits.exceeded",
        }
    }
}

/// Something to tell of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The key; `None`: unknown ones.
    pub(crate) key: Option<KeyNumber>,
    /// What was too much.
    pub(crate) excess: Excess,
    /// How often, by code, so far in this minute.
    pub(crate) counts: BTreeMap<String, u64>,
    /// From where; some of the addresses when there are many.
    pub(crate) addresses: BTreeSet<IpAddr>,
}

#[derive(Default)]
struct Watched {
    minute: i64,
    counts: BTreeMap<String, u64>,
    addresses: BTreeSet<IpAddr>,
    told: Option<i64>,
}

/// Counts what is refused.
pub(crate) struct Watch {
    thresholds: Thresholds,
    keys: HashMap<(KeyNumber, Excess), Watched>,
    /// The minute of the unknown credentials, and their counts at its beginning.
    unknown: Option<(i64, BTreeMap<String, u64>)>,
    unknown_told: Option<i64>,
}

impl Watch {
    /// Has seen nothing yet.
    pub(crate) fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, keys: HashMap::new(), unknown: None, unknown_told: None }
    }

    fn threshold(&self, excess: Excess) -> u64 {
        match excess {
            Excess::Refused => self.thresholds.refused,
            Excess::Limited => self.thresholds.limited,
        }
    }

    /// Usage of known keys is written down.
    pub(crate) fn note(&mut self, rows: &[UsageRow]) -> Vec<Found> {
        let mut found = Vec::new();
        for row in rows {
            let Some(excess) = Excess::of(row.code) else { continue };
            let threshold = self.threshold(excess);
            if threshold == 0 {
                continue;
            }
            let watched = self.keys.entry((row.key, excess)).or_default();
            if watched.add(row) >= threshold && watched.may_be_told() {
                watched.told = Some(watched.minute);
                found.push(Found {
                    key: Some(row.key),
                    excess,
                    counts: watched.counts.clone(),
                    addresses: watched.addresses.clone(),
                });
            }
        }
        self.forget_the_quiet();
        found
    }

    /// The counts of all verdicts on credentials that are nobody's, since the start of the process, as they are in `minute`.
    pub(crate) fn note_unknown(&mut self, minute: i64, totals: &BTreeMap<String, u64>) -> Option<Found> {
        let threshold = self.thresholds.refused;
        let (_, before) = self.unknown.get_or_insert_with(|| (minute, totals.clone()));
        let counts: BTreeMap<String, u64> = totals
            .iter()
            .map(|(code, total)| (code.clone(), total - before.get(code).unwrap_or(&0).min(total)))
            .filter(|(_, count)| *count > 0)
            .collect();
        let is_too_much = threshold > 0 && counts.values().sum::<u64>() >= threshold;
        let is_news = self.unknown_told.is_none_or(|told| minute - told >= QUIET_MINUTES);
        if self.unknown.as_ref().is_some_and(|(begun, _)| *begun != minute) {
            self.unknown = Some((minute, totals.clone()));
        }
        if !is_too_much || !is_news {
            return None;
        }
        self.unknown_told = Some(minute);
        Some(Found { key: None, excess: Excess::Refused, counts, addresses: BTreeSet::new() })
    }

    fn forget_the_quiet(&mut self) {
        if self.keys.len() <= WATCHED_MAX {
            return;
        }
        let latest = self.keys.values().map(|watched| watched.minute).max().unwrap_or(0);
        self.keys.retain(|_, watched| watched.minute == latest);
        if self.keys.len() > WATCHED_MAX {
            self.keys.clear();
        }
    }
}

impl Watched {
    /// Adds a row; returns the sum of its minute.
    fn add(&mut self, row: &UsageRow) -> u64 {
        if row.minute > self.minute {
            self.minute = row.minute;
            self.counts.clear();
            self.addresses.clear();
        }
        if row.minute == self.minute {
            *self.counts.entry(row.code.as_str().to_owned()).or_default() += row.count;
            if self.addresses.len() < ADDRESSES_MAX {
                self.addresses.extend(row.address);
            }
        }
        self.counts.values().sum()
    }

    fn may_be_told(&self) -> bool {
        self.told.is_none_or(|told| self.minute - told >= QUIET_MINUTES)
    }
}

#[cfg(test)]
mod tests {
    use keywright_domain::{time::Timestamp, usage::AgentClass};

    use super::*;

    fn row(key: u32, minute: i64, code: Code, count: u64) -> UsageRow {
        UsageRow {
            key: KeyNumber(key),
            secret_ordinal: 1,
            minute,
            address: Some([192, 0, 2, u8::try_from(key % 256).unwrap()].into()),
            route: String::new(),
            code,
            agent: AgentClass::Unknown,
            count,
            cost: 0,
            last_at: Timestamp::from_unix_ms(minute * 60_000),
        }
    }

    fn watch() -> Watch {
        Watch::new(Thresholds { refused: 10, limited: 100 })
    }

    #[test]
    fn told_at_the_threshold_and_once() {
        let mut watch = watch();
        assert!(watch.note(&[row(1, 5, Code::RevokedKey, 9), row(2, 5, Code::Valid, 1_000)]).is_empty());
        let found = watch.note(&[row(1, 5, Code::ExpiredKey, 1)]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].key, found[0].excess), (Some(KeyNumber(1)), Excess::Refused));
        assert_eq!(found[0].counts.values().sum::<u64>(), 10);
        assert_eq!(found[0].addresses.len(), 1);
        assert!(watch.note(&[row(1, 5, Code::RevokedKey, 50), row(1, 14, Code::RevokedKey, 50)]).is_empty());
        assert_eq!(watch.note(&[row(1, 15, Code::RevokedKey, 50)]).len(), 1, "it goes on");
    }

    #[test]
    fn another_minute_begins_anew() {
        let mut watch = watch();
        assert!(watch.note(&[row(1, 5, Code::RevokedKey, 9), row(1, 6, Code::RevokedKey, 9)]).is_empty());
        assert!(watch.note(&[row(1, 5, Code::RevokedKey, 9)]).is_empty(), "late ones count nowhere");
    }

    #[test]
    fn limits_and_what_is_switched_off() {
        let mut watch = watch();
        assert!(watch.note(&[row(1, 5, Code::RateLimited, 99)]).is_empty());
        assert_eq!(watch.note(&[row(1, 5, Code::QuotaExceeded, 1)])[0].excess.action(), "limits.exceeded");
        let mut off = Watch::new(Thresholds { refused: 0, limited: 0 });
        let rows = [row(1, 5, Code::RateLimited, 1_000), row(1, 5, Code::RevokedKey, 1_000)];
        assert!(off.note(&rows).is_empty());
        let totals = |count| BTreeMap::from([("invalid_key".to_owned(), count)]);
        assert_eq!(off.note_unknown(5, &totals(0)), None);
        assert_eq!(off.note_unknown(5, &totals(1_000)), None);
    }

    #[test]
    fn unknown_credentials() {
        let mut watch = watch();
        let totals = |count| BTreeMap::from([("invalid_key".to_owned(), count)]);
        assert_eq!(watch.note_unknown(5, &totals(1_000)), None, "from before");
        assert_eq!(watch.note_unknown(5, &totals(1_009)), None);
        let found = watch.note_unknown(5, &totals(1_010)).unwrap();
        assert_eq!((found.key, found.counts["invalid_key"]), (None, 10));
        assert_eq!(watch.note_unknown(6, &totals(1_030)), None, "told just now");
        assert_eq!(watch.note_unknown(15, &totals(1_030)), None, "nothing since");
        assert!(watch.note_unknown(16, &totals(1_045)).is_some());
    }

    #[test]
    fn memory_is_bounded() {
        let mut watch = watch();
        for key in 0..=u32::try_from(WATCHED_MAX).unwrap() {
            watch.note(&[row(key, 5, Code::RevokedKey, 1)]);
        }
        assert!(watch.keys.len() <= WATCHED_MAX);
        watch.note(&[row(1, 6, Code::RevokedKey, 1)]);
    }
}
