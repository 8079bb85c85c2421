//! How far ahead of its use a segment's memory is made ready.

use std::{
    ops::{Range, RangeInclusive},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Entries whose memory is made ready before they are claimed: four times what was claimed between the last two calls from
/// the background, within these bounds. What is ready counts as resident, and one entry whose memory is not costs no
/// more than a fault in 64.
const AHEAD: RangeInclusive<usize> = 1 << 13..=1 << 17;
/// Segments of up to so many entries are made ready when they are created. A larger one is not made ready as a whole:
/// nobody knows whether it will be used, and what is ready counts as resident.
pub(super) const AT_ONCE: usize = 1 << 14;

/// Entries of one segment, from its first, whose memory is there. Only the background writes it.
#[derive(Debug, Default)]
pub(super) struct Ready {
    entries: AtomicUsize,
    /// Entries that were claimed at the last call.
    claimed: AtomicUsize,
}

impl Ready {
    /// The entries to make ready next, when so many are claimed; afterwards they count as ready. In steps of a half of
    /// what is kept ahead, so that most calls have nothing to do.
    pub(super) fn next(&self, claimed: usize, capacity: usize) -> Option<Range<usize>> {
        let since_last = claimed.saturating_sub(self.claimed.swap(claimed, Relaxed));
        let ahead = since_last.saturating_mul(4).clamp(*AHEAD.start(), *AHEAD.end());
        let ready = self.entries.load(Relaxed);
        let is_small = capacity <= AT_ONCE;
        let wanted = if is_small { capacity } else { claimed.saturating_add(ahead).min(capacity) };
        let is_worth_it = wanted >= ready + ahead / 2 || wanted == capacity;
        (wanted > ready && is_worth_it).then(|| {
            self.entries.store(wanted, Relaxed);
            ready..wanted
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_ahead_in_steps_and_ends_with_the_segment() {
        let (ready, capacity, least) = (Ready::default(), 1 << 20, *AHEAD.start());
        assert_eq!(ready.next(0, capacity), Some(0..least));
        assert_eq!(ready.next(0, capacity), None);
        assert_eq!(
            ready.next(least / 2 - 1, capacity),
            Some(least..least / 2 - 1 + 2 * (least - 2)),
            "faster"
        );
        assert_eq!(ready.next(least / 2, capacity), None, "slower");
        let most = *AHEAD.end();
        assert_eq!(ready.next(most, capacity).map(|next| next.end), Some(2 * most));
        assert_eq!(ready.next(usize::MAX, capacity), Some(2 * most..capacity));
        assert_eq!(ready.next(capacity, capacity), None);
        assert_eq!(Ready::default().next(0, AT_ONCE), Some(0..AT_ONCE), "a small one at once");
    }
}
