//! Request ids without a system call each.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use keywright_domain::{
    entropy::{Entropy, random_bytes},
    ids::RequestId,
    time::Timestamp,
};

/// Makes ids: the millisecond, four random bytes of this process, and a counter.
#[derive(Debug)]
pub struct RequestIds {
    process: [u8; 4],
    next: AtomicU64,
}

impl RequestIds {
    /// A source whose ids no other process makes (within the odds of 32 random bits and the same millisecond).
    pub fn new(entropy: &dyn Entropy) -> Self {
        // A random start: ids tell nothing about how much traffic there is.
        let start = u64::from_be_bytes(random_bytes(entropy)) >> 16;
        Self { process: random_bytes(entropy), next: AtomicU64::new(start) }
    }

    /// A new id.
    pub fn next(&self, now: Timestamp) -> RequestId {
        let mut bytes = [0; 16];
        let milliseconds = u64::try_from(now.unix_ms()).unwrap_or(0);
        bytes[..6].copy_from_slice(&milliseconds.to_be_bytes()[2..]);
        bytes[6..10].copy_from_slice(&self.process);
        bytes[10..].copy_from_slice(&self.next.fetch_add(1, Relaxed).to_be_bytes()[2..]);
        RequestId::from_bytes(bytes)
    }
}
