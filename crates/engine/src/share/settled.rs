//! What was settled with the pool on behalf of one call.

use keywright_domain::{
    limits::{Algorithm, Mode, OnUnavailable},
    pool::PoolWindow,
};

use super::words::Tag;
use crate::limits::METERS_MAX;

/// A window that a call must be paid for in the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The window.
    pub window: PoolWindow,
    /// Its limit.
    pub limit: u32,
    /// Whether it is counted call by call.
    pub mode: Mode,
    /// What it says while the pool cannot be asked.
    pub on_unavailable: OnUnavailable,
    /// Where it is among the windows of a call.
    pub(super) position: u8,
    /// Where it is among its subject's.
    pub(super) place: u8,
    pub(super) tag: Tag,
}

/// What settling one window came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The call's cost is paid; until then, on the boot clock in milliseconds.
    Paid {
        /// Until when.
        until_ms: u64,
    },
    /// Less than the cost is left.
    Refused {
        /// Until it may be there; `u64::MAX` for never.
        retry_ms: u64,
    },
    /// The answer came too late to be of use.
    Late,
    /// The pool cannot be asked.
    CutOff,
}

/// What was settled for a call so far; part of its request. Holds only for the key and the limits that it was settled
/// for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    pub(super) key: u32,
    pub(super) sets: [u32; 2],
    pub(super) cost: u32,
    pub(super) paid: u16,
    pub(super) refused: u16,
    pub(super) cut_off: u16,
    /// Paid units are good until then.
    pub(super) until_ms: u64,
    pub(super) retry_ms: u64,
}

/// What a call is still to be settled for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingShares {
    /// What is settled.
    pub settled: Settled,
    /// Windows to be settled now. Those of a smooth limit come one by one, when everything else is settled: nothing of
    /// them can be given back.
    pub targets: Vec<Target>,
    /// The call's cost, in each window.
    pub cost: u32,
}

impl Settled {
    /// Adds what settling a window came to.
    #[must_use]
    pub fn with(mut self, target: &Target, outcome: Outcome) -> Self {
        let bit = 1 << target.position;
        match outcome {
            Outcome::Paid { until_ms } => {
                self.until_ms = if self.paid == 0 { until_ms } else { self.until_ms.min(until_ms) };
                self.paid |= bit;
            }
            Outcome::Refused { retry_ms } => {
                self.refused |= bit;
                self.retry_ms = self.retry_ms.max(retry_ms);
            }
            Outcome::Late => {}
            Outcome::CutOff => self.cut_off |= bit,
        }
        self
    }

    pub(super) fn has(bits: u16, position: usize) -> bool {
        position < METERS_MAX && bits >> position & 1 == 1
    }

    pub(super) fn is_any(&self) -> bool {
        self.paid | self.refused | self.cut_off != 0
    }
}

impl Target {
    /// Whether a share is drawn of it, so that calls need not wait.
    pub fn is_shared(&self) -> bool {
        self.mode == Mode::Shared && self.window.algorithm == Algorithm::Sliding
    }
}
