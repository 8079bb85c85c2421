//! The sliding window counter.
//!
//! Time is cut into fixed windows of the limit's length. Two numbers are kept: what was spent in the current fixed
//! window and in the one before. The estimate for the window that ends now is
//! `previous · (1 − elapsed / length) + current`, rounded up.
//!
//! # Bounds
//!
//! For a limit `L` over a length `W`, whatever the traffic:
//! * in a fixed window at most `L` is admitted;
//! * in **any** interval of length `W` less than `2 L` is admitted, and at most `L` when spending within the previous
//!   fixed window was spread evenly (which is what the estimate assumes);
//! * a call is never refused while the exact sum over the last `2 W`, its own cost included, is at most `L`.
//!
//! # Two words, no lock
//!
//! `current` holds the index of its fixed window and what was spent in it; `previous` holds the same of the window
//! before. When a call finds `current` in the window before its own, it first raises `previous` (only ever to a newer
//! index, or to more for the same index) and then moves `current` by compare-and-swap, so that no interleaving loses
//! what was spent. A call that finds that another has seen a later window than its own clock shows judges itself in
//! that later window.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use super::{Decision, Window};

/// How far ahead of a call's own clock a stored index may be before it is taken for the remains of another window
/// definition. A stopped thread's clock is older than others'; ten minutes is beyond any real stop.
const AHEAD_MAX_MS: u64 = 600_000;

/// The two counters of one window.
#[derive(Clone, Copy)]
pub(crate) struct Counters<'words> {
    pub(crate) current: &'words AtomicU64,
    pub(crate) previous: &'words AtomicU64,
}

/// What was read: the fixed window that the call is judged in, and both sums.
struct Seen {
    raw_current: u64,
    index: u32,
    elapsed_ms: u64,
    current: u32,
    previous: u32,
}

fn pack(index: u32, spent: u32) -> u64 {
    u64::from(index) << 32 | u64::from(spent)
}

#[expect(clippy::cast_possible_truncation, reason = "the word's two halves")]
fn unpack(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

/// Whether a stored index can come from this definition of the window and a clock like ours.
fn is_plausible(index: u32, own: u32, length_ms: u64) -> bool {
    index <= own || index - own == 1 || u64::from(index - own) <= AHEAD_MAX_MS / length_ms
}

fn length_ms(window: Window) -> u64 {
    u64::from(window.window_seconds) * 1_000
}

impl Counters<'_> {
    fn look(self, window: Window, now_ms: u64) -> Seen {
        let length_ms = length_ms(window);
        let raw_current = self.current.load(SeqCst);
        let (index_of_current, spent) = unpack(raw_current);
        let (index_of_previous, spent_before) = unpack(self.previous.load(SeqCst));
        let windows = now_ms / length_ms;
        let own = u32::try_from(windows).unwrap_or(u32::MAX - 1);
        let mut index = own;
        if is_plausible(index_of_current, own, length_ms) {
            index = index.max(index_of_current);
        }
        // `previous` of index j exists only because some call saw window j + 1. Index 0 is the state before any call.
        let after_previous = index_of_previous.saturating_add(1);
        if index_of_previous != 0 && is_plausible(after_previous, own, length_ms) {
            index = index.max(after_previous);
        }
        let elapsed_ms = if index == own { now_ms - windows * length_ms } else { 0 };
        let current = if index_of_current == index { spent } else { 0 };
        let previous = if index_of_current.wrapping_add(1) == index {
            // Not rolled over yet; or being rolled over, and then `previous` may hold more after a late refund.
            if index_of_previous.wrapping_add(1) == index { spent.max(spent_before) } else { spent }
        } else if index_of_previous.wrapping_add(1) == index {
            spent_before
        } else {
            0
        };
        Seen { raw_current, index, elapsed_ms, current, previous }
    }

    /// Decides without spending.
    pub(crate) fn check(self, window: Window, now_ms: u64, cost: u32) -> Decision {
        self.look(window, now_ms).decide(window, cost)
    }

    /// Decides, and spends `cost` if it is admitted.
    pub(crate) fn take(self, window: Window, now_ms: u64, cost: u32) -> (Decision, Taken) {
        loop {
            let seen = self.look(window, now_ms);
            let decision = seen.decide(window, cost);
            if !decision.is_admitted() || cost == 0 {
                return (decision, Taken(seen.index));
            }
            let (index_of_current, spent) = unpack(seen.raw_current);
            if index_of_current.wrapping_add(1) == seen.index {
                self.raise_previous(index_of_current, spent, length_ms(window));
            }
            let next = pack(seen.index, seen.current.saturating_add(cost));
            if self.current.compare_exchange(seen.raw_current, next, SeqCst, Relaxed).is_ok() {
                return (decision, Taken(seen.index));
            }
        }
    }

    /// Gives back what a [`Self::take`] spent, while its fixed window is the current one. Later nothing is given
    /// back: the limit then errs towards refusing.
    pub(crate) fn give_back(self, taken: Taken, cost: u32) {
        let mut word = self.current.load(SeqCst);
        loop {
            let (index, spent) = unpack(word);
            if index != taken.0 {
                return;
            }
            match self.current.compare_exchange(
                word,
                pack(index, spent.saturating_sub(cost)),
                SeqCst,
                Relaxed,
            ) {
                Ok(_) => return,
                Err(changed) => word = changed,
            }
        }
    }

    /// Adds what was spent at `at_ms`, before anybody else uses the counters.
    pub(crate) fn restore(self, window: Window, now_ms: u64, at_ms: u64, cost: u32) {
        let index_at = |ms: u64| u32::try_from(ms / length_ms(window)).unwrap_or(u32::MAX - 1);
        let (now, then) = (index_at(now_ms), index_at(at_ms));
        let word = match now.checked_sub(then) {
            Some(0) => self.current,
            Some(1) => self.previous,
            _ => return,
        };
        let (index, spent) = unpack(word.load(SeqCst));
        let before = if index == then { spent } else { 0 };
        word.store(pack(then, before.saturating_add(cost)), SeqCst);
    }

    /// Moves `previous` to the fixed window `index`: only ever to a newer one, or to more for the same one. The
    /// remains of another definition give way.
    fn raise_previous(self, index: u32, spent: u32, length_ms: u64) {
        let mut word = self.previous.load(SeqCst);
        loop {
            let (known_index, known_spent) = unpack(word);
            let is_newer = known_index > index && is_plausible(known_index, index + 1, length_ms);
            let is_more = known_index == index && known_spent >= spent;
            if is_newer || is_more {
                return;
            }
            match self.previous.compare_exchange(word, pack(index, spent), SeqCst, Relaxed) {
                Ok(_) => return,
                Err(changed) => word = changed,
            }
        }
    }
}

/// Which fixed window a call spent in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken(u32);

impl Seen {
    /// `previous · (1 − elapsed / length)`, rounded up.
    fn carried(&self, length_ms: u64) -> u64 {
        if self.previous == 0 {
            return 0;
        }
        scale_up(u64::from(self.previous), length_ms - self.elapsed_ms, length_ms)
    }

    fn decide(&self, window: Window, cost: u32) -> Decision {
        let length_ms = length_ms(window);
        let limit = u64::from(window.limit);
        let spent = self.carried(length_ms) + u64::from(self.current);
        let to_end_ms = length_ms - self.elapsed_ms;
        if spent + u64::from(cost) <= limit {
            return Decision::Admitted { remaining: limit - spent - u64::from(cost), reset_ms: to_end_ms };
        }
        Decision::Refused {
            remaining: limit.saturating_sub(spent),
            retry_ms: self.retry_ms(window, cost),
            reset_ms: to_end_ms,
        }
    }

    /// How long until `cost` would be admitted if nothing else is spent meanwhile; `u64::MAX` if never.
    fn retry_ms(&self, window: Window, cost: u32) -> u64 {
        let (length_ms, limit) = (length_ms(window), u64::from(window.limit));
        let Some(room) = limit.checked_sub(u64::from(cost)) else { return u64::MAX };
        let to_end_ms = length_ms - self.elapsed_ms;
        if let Some(room) = room.checked_sub(u64::from(self.current)) {
            // Within this fixed window, once enough of the previous one has slid out.
            let elapsed_ms = elapsed_until(self.previous, room, length_ms);
            if elapsed_ms < length_ms {
                return elapsed_ms.saturating_sub(self.elapsed_ms);
            }
        }
        to_end_ms + elapsed_until(self.current, room, length_ms)
    }
}

/// The smallest elapsed time at which `previous` carries at most `room`.
fn elapsed_until(previous: u32, room: u64, length_ms: u64) -> u64 {
    if u64::from(previous) <= room {
        return 0;
    }
    // Rounded up: what is left over of a millisecond still carries too much.
    scale_up(u64::from(previous) - room, length_ms, u64::from(previous))
}

/// `value · numerator / denominator`, rounded up, where the quotient fits.
fn scale_up(value: u64, numerator: u64, denominator: u64) -> u64 {
    if let Some(product) = value.checked_mul(numerator) {
        return product.div_ceil(denominator);
    }
    let quotient = (u128::from(value) * u128::from(numerator)).div_ceil(u128::from(denominator));
    u64::try_from(quotient).expect("at most a limit or a window's length")
}
