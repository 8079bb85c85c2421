//! A process: the crate's own `Follower` and `Barrier`, its memory and its clock.

use std::collections::BTreeMap;

use keywright_cluster::{Barrier, Follower, TermTable, Timing, barrier::Ticket};

/// Runs at its own rate, from its own beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BootClock {
    pub(crate) offset: u64,
    pub(crate) per_mille: u64,
}

impl BootClock {
    pub(crate) const fn at(self, moment: u64) -> u64 {
        self.offset + moment / 1_000 * self.per_mille
    }

    /// The first moment at which it shows at least `reading`.
    pub(crate) const fn when(self, reading: u64) -> u64 {
        (reading.saturating_sub(self.offset) / self.per_mille + 1).saturating_mul(1_000)
    }
}

pub(crate) struct Process {
    pub(crate) clock: BootClock,
    timing: Timing,
    pub(crate) follower: Follower,
    pub(crate) barrier: Barrier,
    /// Counts the process's lives.
    pub(crate) life: u64,
    pub(crate) is_up: bool,
    pub(crate) paused_until: u64,
    pub(crate) cut_until: u64,
    /// Numbers the follower's operations: an answer to one that was given up is dropped.
    pub(crate) operation: u64,
    pub(crate) look: u64,
    pub(crate) applied: u64,
    pub(crate) revoked: u64,
    /// Keys whose revocation this process committed, applied or not: what it may have told somebody.
    pub(crate) journal: u64,
    pub(crate) lease: TermTable<u64>,
    pub(crate) stable: u64,
    /// When which key's revocation was received, and its number.
    pub(crate) received: BTreeMap<u8, (u64, u64)>,
    /// Which key's caller waits.
    pub(crate) waiting: BTreeMap<Ticket, u8>,
    pub(crate) next_wake: u64,
    pub(crate) next_look: u64,
}

impl Process {
    pub(crate) const fn new(clock: BootClock, timing: Timing) -> Self {
        Self {
            clock,
            timing,
            follower: Follower::new(timing),
            barrier: Barrier::new(timing),
            life: 0,
            is_up: true,
            paused_until: 0,
            cut_until: 0,
            operation: 0,
            look: 0,
            applied: 0,
            revoked: 0,
            journal: 0,
            lease: [0; 4],
            stable: 0,
            received: BTreeMap::new(),
            waiting: BTreeMap::new(),
            next_wake: 0,
            next_look: 0,
        }
    }

    /// kill -9, and a start later: nothing is left but the clock.
    pub(crate) fn restart(&mut self) {
        *self = Self { life: self.life + 1, is_up: true, ..Self::new(self.clock, self.timing) };
    }

    pub(crate) fn take_in(&mut self, (sequence, key): (u64, u8), now: u64) {
        if sequence == self.applied + 1 {
            self.applied = sequence;
            self.revoked |= 1 << key;
            self.received.entry(key).or_insert((now, sequence));
        }
    }
}
