//! The generic cell rate algorithm (ITU-T I.371, annex A; also known as a leaky bucket as a meter).
//!
//! One number is kept: the *theoretical arrival time*, at which everything spent so far has drained at the rate
//! `L / W`. A call of cost `c` moves it `c · W / L` further, and is admitted if it then lies at most `W` ahead.
//!
//! # Bounds
//!
//! For a limit `L` over a length `W`, whatever the traffic: in any interval of length `t` at most `L + t · L / W` is
//! admitted (the burst and the refill), so less than or exactly `2 L` in an interval of length `W`. The emission interval
//! `W / L` is rounded up to a sixteenth of a nanosecond, so rounding only ever admits less.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use super::{Decision, Window};

/// Units per nanosecond. 64 bits of them are 36 years since boot.
const UNITS_PER_NS: u64 = 16;
const NS_PER_MS: u64 = 1_000_000;
/// How far ahead a stored time may be beyond what this window can have stored before it is taken for the remains of
/// another definition: clocks of stopped threads are older than others'.
const AHEAD_MAX_UNITS: u64 = 600_000 * NS_PER_MS * UNITS_PER_NS;

/// Units of one cost unit.
fn emission_units(window: Window) -> u64 {
    let length = u64::from(window.window_seconds) * 1_000 * NS_PER_MS * UNITS_PER_NS;
    length.div_ceil(u64::from(window.limit))
}

struct Seen {
    raw: u64,
    /// Stored time, or now if that is later.
    start: u64,
    now: u64,
    emission: u64,
    burst: u64,
}

fn look(word: &AtomicU64, window: Window, now_ns: u64) -> Seen {
    let raw = word.load(SeqCst);
    let emission = emission_units(window);
    let burst = emission.saturating_mul(u64::from(window.limit));
    let now = now_ns.saturating_mul(UNITS_PER_NS);
    let is_foreign = raw > now.saturating_add(burst).saturating_add(AHEAD_MAX_UNITS);
    let start = if is_foreign { now } else { raw.max(now) };
    Seen { raw, start, now, emission, burst }
}

impl Seen {
    fn after(&self, cost: u32) -> u64 {
        self.start.saturating_add(self.emission.saturating_mul(u64::from(cost)))
    }

    fn decide(&self, cost: u32) -> Decision {
        let after = self.after(cost);
        let bound = self.now.saturating_add(self.burst);
        let reset_ms = |time: u64| (time - self.now).div_ceil(UNITS_PER_NS * NS_PER_MS);
        if after <= bound {
            return Decision::Admitted {
                remaining: (bound - after) / self.emission,
                reset_ms: reset_ms(after),
            };
        }
        let never = self.emission.saturating_mul(u64::from(cost)) > self.burst;
        let retry_ms = if never { u64::MAX } else { (after - bound).div_ceil(UNITS_PER_NS * NS_PER_MS) };
        let remaining = bound.saturating_sub(self.start) / self.emission;
        Decision::Refused { remaining, retry_ms, reset_ms: reset_ms(self.start) }
    }
}

/// Decides without spending.
pub(crate) fn check(word: &AtomicU64, window: Window, now_ns: u64, cost: u32) -> Decision {
    look(word, window, now_ns).decide(cost)
}

/// Decides, and spends `cost` if it is admitted.
pub(crate) fn take(word: &AtomicU64, window: Window, now_ns: u64, cost: u32) -> (Decision, Taken) {
    loop {
        let seen = look(word, window, now_ns);
        let decision = seen.decide(cost);
        let taken = Taken { before: seen.raw, after: seen.after(cost) };
        if !decision.is_admitted() || cost == 0 {
            return (decision, taken);
        }
        if word.compare_exchange(seen.raw, taken.after, SeqCst, Relaxed).is_ok() {
            return (decision, taken);
        }
    }
}

/// Gives back what a [`take`] spent, unless another call has spent since: then it cannot be told how much of it has
/// drained, and the limit errs towards refusing.
pub(crate) fn give_back(word: &AtomicU64, taken: Taken) {
    let _lost = word.compare_exchange(taken.after, taken.before, SeqCst, Relaxed);
}

/// The word before and after a call spent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    before: u64,
    after: u64,
}
