//! Verdicts by code, for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use keywright_domain::verdict::Code;

/// How many presented keys were judged how. Each worker thread has its own, so that no two cores write to the same
/// memory.
#[derive(Debug, Default)]
pub struct VerdictCounts([AtomicU64; Code::ALL.len()]);

impl VerdictCounts {
    /// Counts one verdict.
    pub fn count(&self, code: Code) {
        self.0[code as usize].fetch_add(1, Relaxed);
    }

    /// The verdicts of one code so far.
    pub fn of(&self, code: Code) -> u64 {
        self.0[code as usize].load(Relaxed)
    }
}
