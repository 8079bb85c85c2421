//! The node's permission to answer from memory.
//!
//! A lease is the end of a time span on the boot clock, during which the state in memory counts as current. It is
//! published after everything that its poll showed was applied (`Release`), and read before the record (`Acquire`).

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};

/// Number of lease classes.
const CLASSES: usize = 4;

/// Which lease a workspace's keys are answered under: workspaces may trade survival of a lost database against the
/// time a revocation waits for an unreachable node differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeaseClass {
    /// Every workspace that asked for nothing else.
    #[default]
    Default = 0,
    /// Short leases.
    Strict = 1,
    /// Long leases.
    Lasting = 2,
    /// Reserved.
    Reserved = 3,
}

/// The end of a lease, in nanoseconds on the boot clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaseEnd(pub u64);

impl LeaseEnd {
    /// No lease: nothing is answered from memory.
    pub const NONE: Self = Self(0);
    /// A single node with an embedded store: whatever is committed is applied before the commit is answered, so the
    /// state in memory is always current.
    pub const NEVER: Self = Self(u64::MAX);

    /// Whether the lease holds at `boot_ns`.
    #[inline]
    pub const fn holds_at(self, boot_ns: u64) -> bool {
        boot_ns < self.0
    }
}

/// The leases by class.
#[derive(Default)]
pub(crate) struct Leases([AtomicU64; CLASSES]);

impl Leases {
    pub(crate) fn set(&self, class: LeaseClass, end: LeaseEnd) {
        self.0[class as usize].store(end.0, Release);
    }

    pub(crate) fn drop_all(&self) {
        self.0.iter().for_each(|lease| lease.store(0, Release));
    }

    /// All leases, read before the record that tells which one applies.
    #[inline]
    pub(crate) fn read(&self) -> [LeaseEnd; CLASSES] {
        [0, 1, 2, 3].map(|class: usize| LeaseEnd(self.0[class].load(Acquire)))
    }
}
