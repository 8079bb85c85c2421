//! The node's permission to answer from memory.
//!
//! A lease is the end of a time span on the boot clock, during which the state in memory counts as current. It is
//! published after everything that its poll showed was applied (`Release`), and read before the record (`Acquire`).
//! Beside the leases, in the same cache line, is how far the log is applied, and whether the state in memory is whole.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
    fence,
};

use keywright_domain::lease::LeaseTerm;

const TERMS: usize = LeaseTerm::ALL.len();

/// The end of a lease, in nanoseconds on the boot clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
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

/// What makes the state in memory count as current for one verification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// The lease of the key's workspace.
    #[default]
    Lease,
    /// The caller has seen, after the call began, that everything in the log is applied: no lease is needed.
    Fresh,
}

/// Why nothing can be said about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// The workspace's lease is not held, or the state is being loaded: the same call may succeed with
    /// [`Trust::Fresh`].
    Stale,
    /// The digest was made under a pepper that this process does not have.
    PepperMissing,
    /// The key's workspace, plan or creator is not in memory.
    Incomplete,
    /// Limits are shared with other nodes, and a share has to be drawn first. Not counted, and nobody's answer: ask
    /// [`Engine::missing_shares`](crate::Engine::missing_shares).
    Share,
    /// The call spends credits, and a slice of the balance has to be drawn first. Not counted, and nobody's answer: ask
    /// [`Engine::missing_credits`](crate::Engine::missing_credits).
    Credits,
    /// An exact limit cannot be counted, because the pool cannot be reached.
    Uncountable,
}

/// The leases by term, and what else vouches for the state.
#[repr(align(64))]
pub(crate) struct Leases {
    ends: [AtomicU64; TERMS],
    /// The last change that is applied; 0 while the state is not whole.
    applied: AtomicU64,
    /// Up to here every node is known to have applied the log.
    stable: AtomicU64,
    /// Odd while the state in memory is not whole. Another number than before: it was not, meanwhile.
    epoch: AtomicU64,
}

/// What vouched for the state when a verification began.
#[derive(Clone, Copy)]
pub(crate) struct Vouched {
    ends: [LeaseEnd; TERMS],
    epoch: u64,
    pub(crate) as_of: u64,
}

impl Default for Leases {
    fn default() -> Self {
        Self {
            ends: Default::default(),
            applied: AtomicU64::new(0),
            stable: AtomicU64::new(0),
            epoch: AtomicU64::new(1),
        }
    }
}

impl Leases {
    pub(crate) fn set(&self, ends: [LeaseEnd; TERMS]) {
        self.ends.iter().zip(ends).for_each(|(place, end)| place.store(end.0, Release));
    }

    pub(crate) fn drop_all(&self) {
        self.set([LeaseEnd::NONE; TERMS]);
    }

    /// Everything, read before the record that tells which lease applies.
    #[inline]
    pub(crate) fn read(&self) -> Vouched {
        let epoch = self.epoch.load(Acquire);
        let ends = [0, 1, 2, 3].map(|term: usize| LeaseEnd(self.ends[term].load(Acquire)));
        Vouched { ends, epoch, as_of: self.applied.load(Acquire) }
    }

    /// Whether what was read since `vouched` was one whole state, and may be answered as current. `boot_ns` is asked
    /// only if it matters.
    #[inline]
    pub(crate) fn vouch(
        &self,
        vouched: &Vouched,
        lease: LeaseEnd,
        trust: Trust,
        boot_ns: impl FnOnce() -> u64,
    ) -> bool {
        fence(Acquire);
        let is_whole = self.epoch.load(Relaxed) == vouched.epoch && vouched.epoch.is_multiple_of(2);
        is_whole && (lease == LeaseEnd::NEVER || trust == Trust::Fresh || lease.holds_at(boot_ns()))
    }

    /// The last change that is applied; 0 while the state is not whole.
    pub(crate) fn applied(&self) -> u64 {
        self.applied.load(Acquire)
    }

    /// Every change up to here is applied.
    pub(crate) fn set_applied(&self, sequence: u64) {
        self.applied.store(sequence, Release);
    }

    pub(crate) fn stable(&self) -> u64 {
        self.stable.load(Acquire)
    }

    /// Says what the last stable change is now; it never goes back, until [`Self::interrupt`].
    pub(crate) fn set_stable(&self, sequence: u64) {
        self.stable.fetch_max(sequence, Release);
    }

    /// From now on the state in memory is not whole: no answer that was read from it counts, however it was begun.
    pub(crate) fn interrupt(&self) {
        let epoch = self.epoch.load(Relaxed);
        self.epoch.store(epoch + 1 + epoch % 2, SeqCst);
        fence(SeqCst);
        self.drop_all();
        self.applied.store(0, Release);
        self.stable.store(0, Release);
    }

    /// The state in memory is whole, up to `sequence`.
    pub(crate) fn resume(&self, sequence: u64) {
        self.applied.store(sequence, Release);
        let epoch = self.epoch.load(Relaxed);
        self.epoch.store(epoch + epoch % 2, Release);
    }
}

impl Vouched {
    /// The lease of this term.
    #[inline]
    pub(crate) fn end(&self, term: LeaseTerm) -> LeaseEnd {
        self.ends[term as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_across_an_interruption_counts_for_nothing() {
        let leases = Leases::default();
        let never = || panic!("an endless lease needs no clock");
        let before = leases.read();
        assert!(!leases.vouch(&before, LeaseEnd::NEVER, Trust::Fresh, never), "nothing is loaded");
        leases.resume(7);
        assert!(!leases.vouch(&before, LeaseEnd::NEVER, Trust::Fresh, never));
        let whole = leases.read();
        assert_eq!(whole.as_of, 7);
        assert!(leases.vouch(&whole, LeaseEnd::NEVER, Trust::Lease, never));
        assert!(leases.vouch(&whole, LeaseEnd::NONE, Trust::Fresh, never));
        assert!(!leases.vouch(&whole, LeaseEnd(5), Trust::Lease, || 5));
        assert!(leases.vouch(&whole, LeaseEnd(5), Trust::Lease, || 4));
        leases.interrupt();
        assert!(!leases.vouch(&whole, LeaseEnd::NEVER, Trust::Fresh, never));
        assert!(!leases.vouch(&leases.read(), LeaseEnd::NEVER, Trust::Fresh, never));
        leases.interrupt();
        leases.resume(3);
        assert!(!leases.vouch(&whole, LeaseEnd::NEVER, Trust::Fresh, never), "another state, whole again");
        assert!(leases.vouch(&leases.read(), LeaseEnd::NEVER, Trust::Fresh, never));
    }

    #[test]
    fn stable_grows_until_the_history_changes() {
        let leases = Leases::default();
        leases.set_stable(5);
        leases.set_stable(4);
        assert_eq!(leases.stable(), 5);
        leases.interrupt();
        assert_eq!(leases.stable(), 0);
    }
}
