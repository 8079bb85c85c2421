//! A slice of a balance in memory: what is left of it, and how many calls are between taking and spending.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use super::ledger::{Ledger, Slot};

/// One call under way.
const CALL: u64 = 1 << 32;
/// Nothing more is taken.
const CLOSED: u64 = 1 << 63;

/// A slice. One word: closed 1, calls under way 31, units left 32.
pub(crate) struct Slice {
    word: AtomicU64,
    slot: Slot,
    /// Units at the beginning.
    pub(super) units: u32,
    /// When it was drawn, on the boot clock.
    pub(super) drawn_ns: u64,
    /// The word at the last look for idle slices.
    seen: AtomicU64,
}

impl Slice {
    pub(super) fn new(slot: Slot, units: u32, drawn_ns: u64) -> Self {
        Self { word: AtomicU64::new(units.into()), slot, units, drawn_ns, seen: AtomicU64::new(u64::MAX) }
    }

    pub(super) const fn slot(&self) -> Slot {
        self.slot
    }

    /// Takes units for a call, which must say what becomes of them.
    #[inline]
    pub(super) fn take(&self, units: u32) -> bool {
        let taken =
            |word| (word & CLOSED == 0 && left(word) >= units).then(|| word - u64::from(units) + CALL);
        self.word.fetch_update(AcqRel, Acquire, taken).is_ok()
    }

    /// The call was accepted: counted in the ledger before it is answered.
    #[inline]
    pub(super) fn spend(&self, ledger: &Ledger, units: u32) {
        ledger.spend(self.slot, units);
        self.word.fetch_sub(CALL, AcqRel);
    }

    /// The call was refused.
    #[inline]
    pub(super) fn give_back(&self, units: u32) {
        self.word.fetch_sub(CALL - u64::from(units), AcqRel);
    }

    /// Units that may be taken.
    pub(super) fn left(&self) -> u32 {
        let word = self.word.load(Acquire);
        if word & CLOSED == 0 { left(word) } else { 0 }
    }

    pub(super) fn close(&self) {
        self.word.fetch_or(CLOSED, AcqRel);
    }

    /// Whether it is closed and no call is under way: what was spent of it is known for good.
    pub(super) fn is_over(&self) -> bool {
        let word = self.word.load(Acquire);
        word & CLOSED != 0 && (word & !CLOSED) < CALL
    }

    /// Whether nothing was taken since the last call of this.
    pub(super) fn is_idle(&self) -> bool {
        let word = self.word.load(Acquire);
        self.seen.swap(word, Relaxed) == word
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the last 32 bits")]
const fn left(word: u64) -> u32 {
    word as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_slice_is_over_when_every_call_has_ended() {
        let directory = tempfile::tempdir().unwrap();
        let (ledger, _) = Ledger::open(directory.path(), 1).unwrap();
        let slice = Slice::new(ledger.begin([1; 16]).unwrap(), 10, 0);
        assert!(slice.take(4) && slice.take(6) && !slice.take(1));
        slice.close();
        slice.give_back(6);
        assert!(!slice.is_over() && slice.left() == 0 && !slice.take(1));
        slice.spend(&ledger, 4);
        assert!(slice.is_over());
        assert_eq!(ledger.settlement(slice.slot()).spent, 4);
    }

    #[test]
    fn idle_is_what_nobody_took_from() {
        let directory = tempfile::tempdir().unwrap();
        let (ledger, _) = Ledger::open(directory.path(), 1).unwrap();
        let slice = Slice::new(ledger.begin([1; 16]).unwrap(), 10, 0);
        assert!(!slice.is_idle() && slice.is_idle());
        slice.take(1);
        assert!(!slice.is_idle());
    }
}
