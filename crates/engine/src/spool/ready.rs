//! How far ahead of its use a segment's memory is made ready.

use std::{
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Entries whose memory is made ready before they are claimed: several times what the fastest machine claims between two
/// calls from the background.
const AHEAD: usize = 1 << 17;
/// Segments of up to so many entries are made ready when they are created. A larger one is not made ready as a whole:
/// nobody knows whether it will be used, and what is ready counts as resident.
pub(super) const AT_ONCE: usize = 1 << 14;

/// Entries of one segment, from its first, whose memory is there. Only the background writes it.
#[derive(Debug, Default)]
pub(super) struct Ready(AtomicUsize);

impl Ready {
    /// The entries to make ready next, when so many are claimed; afterwards they count as ready. In steps of a half of
    /// what is kept ahead, so that most calls have nothing to do.
    pub(super) fn next(&self, claimed: usize, capacity: usize) -> Option<Range<usize>> {
        let ready = self.0.load(Relaxed);
        let wanted = claimed.saturating_add(AHEAD).min(capacity);
        let is_worth_it = wanted >= ready + AHEAD / 2 || wanted == capacity;
        (wanted > ready && is_worth_it).then(|| {
            self.0.store(wanted, Relaxed);
            ready..wanted
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_ahead_in_steps_and_ends_with_the_segment() {
        let (ready, capacity) = (Ready::default(), AHEAD * 2);
        assert_eq!(ready.next(0, capacity), Some(0..AHEAD));
        assert_eq!(ready.next(0, capacity), None);
        assert_eq!(ready.next(AHEAD / 2 - 1, capacity), None);
        assert_eq!(ready.next(AHEAD / 2, capacity), Some(AHEAD..AHEAD / 2 * 3));
        assert_eq!(ready.next(usize::MAX, capacity), Some(AHEAD / 2 * 3..capacity));
        assert_eq!(ready.next(capacity, capacity), None);
        assert_eq!(Ready::default().next(0, AT_ONCE), Some(0..AT_ONCE), "a small one at once");
    }
}
