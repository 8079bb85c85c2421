//! How the node stands: what health, metrics and commands show.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use keywright_domain::{control::Incarnation, lease::LeaseTerm};
use parking_lot::Mutex;

use super::audit::AuditStats;

/// Ends of the buckets of the barrier's histogram, in microseconds.
pub(crate) const BUCKETS_US: [u32; 14] = [
    500,
    1_000,
    2_000,
    3_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    500_000,
    1_000_000,
    5_000_000,
    40_000_000,
    400_000_000,
];

/// How the node stands.
#[derive(Default)]
pub(crate) struct Standing {
    /// The head of the log at the last poll.
    pub(crate) head: AtomicU64,
    /// Up to here every node is known to have applied the log.
    pub(crate) stable: AtomicU64,
    /// The generation that the node follows.
    pub(crate) generation: AtomicU64,
    /// Ends of the leases on the boot clock, by term.
    pub(crate) leases_ns: [AtomicU64; LeaseTerm::ALL.len()],
    /// When the last poll that was answered was sent.
    pub(crate) polled_ns: AtomicU64,
    /// When the last poll was sent that renewed the row of this node, durably.
    pub(crate) renewed_ns: AtomicU64,
    /// Operations that failed.
    pub(crate) failures: AtomicU64,
    /// Loads of the whole state.
    pub(crate) loads: AtomicU64,
    /// Registrations.
    pub(crate) registrations: AtomicU64,
    /// Nodes that are not fenced, at the last look or poll.
    pub(crate) nodes: AtomicU64,
    /// The most that one of them is behind the head.
    pub(crate) lag: AtomicU64,
    /// Changes that somebody waits for.
    pub(crate) waiting: AtomicU64,
    /// Barriers that ended by time, because a node was silent.
    pub(crate) silent: AtomicU64,
    /// What came of the self-audits.
    pub(crate) audits: Arc<AuditStats>,
    buckets: [AtomicU64; BUCKETS_US.len() + 1],
    sum_us: AtomicU64,
    /// What does not work now.
    trouble: Mutex<Option<String>>,
    /// The promise in force, as a word, and why it is no better.
    promise: Mutex<Option<(&'static str, Option<String>)>>,
    run: Mutex<Option<Incarnation>>,
}

/// Durations of barriers.
pub(crate) struct Barriers {
    /// Counts by bucket, the last one without an end.
    pub(crate) buckets: [u64; BUCKETS_US.len() + 1],
    /// Their sum in seconds.
    pub(crate) sum_seconds: f64,
}

impl Standing {
    /// A barrier ended.
    pub(super) fn count_barrier(&self, duration_ns: u64) {
        let took_us = duration_ns / 1_000;
        let bucket = BUCKETS_US.iter().position(|end_us| took_us <= u64::from(*end_us));
        self.buckets[bucket.unwrap_or(BUCKETS_US.len())].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(took_us, Relaxed);
    }

    /// How long barriers took.
    pub(crate) fn barriers(&self) -> Barriers {
        let sum_us = self.sum_us.load(Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "a sum for a graph")]
        let sum_seconds = sum_us as f64 / 1e6;
        Barriers { buckets: self.buckets.each_ref().map(|count| count.load(Relaxed)), sum_seconds }
    }

    /// Something does not work, or works again. Says whether that is news.
    pub(super) fn set_trouble(&self, trouble: Option<String>) -> bool {
        let is_trouble = trouble.is_some();
        let before = std::mem::replace(&mut *self.trouble.lock(), trouble);
        before.is_some() != is_trouble
    }

    /// What does not work now. It may name hosts.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    pub(super) fn set_promise(&self, promise: &'static str, reason: Option<String>) {
        *self.promise.lock() = Some((promise, reason));
    }

    /// The promise in force, as a word, and why it is no better.
    pub(crate) fn promise(&self) -> Option<(&'static str, Option<String>)> {
        self.promise.lock().clone()
    }

    pub(super) fn set_run(&self, run: Option<Incarnation>) {
        *self.run.lock() = run;
    }

    /// The registered run.
    pub(crate) fn run(&self) -> Option<Incarnation> {
        *self.run.lock()
    }

    /// Time left of each lease, by term, in nanoseconds.
    pub(crate) fn leases_left_ns(&self, boot_ns: u64) -> BTreeMap<u32, u64> {
        let left = |term: LeaseTerm| self.leases_ns[term as usize].load(Relaxed).saturating_sub(boot_ns);
        LeaseTerm::ALL.into_iter().skip(1).map(|term| (term.seconds(), left(term))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_their_buckets() {
        let standing = Standing::default();
        for duration_ns in [0, 500_000, 501_000, 400_000_000_000, 400_000_001_000] {
            standing.count_barrier(duration_ns);
        }
        let counted = standing.barriers();
        assert_eq!(counted.buckets[..3], [2, 1, 0]);
        assert_eq!(counted.buckets[BUCKETS_US.len() - 1..], [1, 1]);
        assert!((counted.sum_seconds - 800.001_002).abs() < 1e-3);
    }

    #[test]
    fn news_is_told_once() {
        let standing = Standing::default();
        assert!(!standing.set_trouble(None));
        assert!(standing.set_trouble(Some("a".to_owned())));
        assert!(!standing.set_trouble(Some("b".to_owned())));
        assert_eq!(standing.trouble().as_deref(), Some("b"));
        assert!(standing.set_trouble(None));
    }
}
