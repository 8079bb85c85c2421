//! Time that a request may take beyond the usual, because it waits for other nodes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// What a request may take beyond [`super::EdgeSettings::timeout`]. It is in the request's extensions, and grows with each
/// wait that the endpoint begins: how long a wait may last is decided where it is asked for, not by the clock that ends
/// whatever hangs.
#[derive(Clone, Debug, Default)]
pub struct Allowance(Arc<AtomicU64>);

impl Allowance {
    /// A wait of at most this long begins.
    pub fn extend(&self, wait: Duration) {
        let milliseconds = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        // It is read by the task that waits for the endpoint, which is the same one.
        self.0.fetch_add(milliseconds, Ordering::Relaxed);
    }

    /// All waits so far.
    #[must_use]
    pub fn total(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}
