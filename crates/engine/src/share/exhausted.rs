//! Windows of which the pool said just now that nothing more is left: calls beyond a limit must not cost a question each.
//!
//! A table of fixed size without a lock. An entry whose words belong to two different writes does not show its own key
//! when they are combined (Hyatt, "A lockless transposition table", ICGA Journal 1999), and counts as absent. What was
//! overwritten by another window is asked again.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const ENTRIES: usize = 1 << 12;
/// How long a refusal is believed at most, in milliseconds: others may give units back.
const BELIEVED_MS: u64 = 100;

pub(super) struct Exhausted {
    entries: Box<[[AtomicU64; 3]]>,
}

impl Default for Exhausted {
    fn default() -> Self {
        Self { entries: (0..ENTRIES).map(|_| [const { AtomicU64::new(0) }; 3]).collect() }
    }
}

impl Exhausted {
    fn entry(&self, key: u64) -> &[AtomicU64; 3] {
        let spread = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        &self.entries[(spread >> 52) as usize % ENTRIES]
    }

    /// Fewer than `units` units are left, and it takes `retry_ms` until there are as many.
    pub(super) fn note(&self, key: u64, units: u32, now_ms: u64, retry_ms: u64) {
        let [first, second, third] = self.entry(key);
        let until = (now_ms + retry_ms.clamp(1, BELIEVED_MS)) << 24 | u64::from(units.min((1 << 24) - 1));
        let retry_at = now_ms.saturating_add(retry_ms);
        first.store(key ^ until ^ retry_at, Relaxed);
        second.store(until, Relaxed);
        third.store(retry_at, Relaxed);
    }

    /// In how many milliseconds `units` units may be there, if it is known that they are not now.
    pub(super) fn retry_ms(&self, key: u64, units: u32, now_ms: u64) -> Option<u64> {
        let [first, until, retry_at] = self.entry(key).each_ref().map(|word| word.load(Relaxed));
        #[expect(clippy::cast_possible_truncation, reason = "the last 24 bits")]
        let known_units = until as u32 & ((1 << 24) - 1);
        let holds = first ^ until ^ retry_at == key && now_ms < until >> 24 && units >= known_units;
        holds.then(|| retry_at.saturating_sub(now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_believed_for_a_moment() {
        let exhausted = Exhausted::default();
        exhausted.note(5, 3, 1_000, 40);
        assert_eq!(exhausted.retry_ms(5, 3, 1_039), Some(1));
        assert_eq!(exhausted.retry_ms(5, 2, 1_039), None, "fewer units may be left");
        assert_eq!(exhausted.retry_ms(5, 3, 1_040), None);
        assert_eq!(exhausted.retry_ms(6, 3, 1_000), None);
        exhausted.note(5, 3, 1_000, 60_000);
        assert_eq!(exhausted.retry_ms(5, 3, 1_099), Some(59_901));
        assert_eq!(exhausted.retry_ms(5, 3, 1_100), None);
        exhausted.note(5, 3, 1_000, u64::MAX);
        assert_eq!(exhausted.retry_ms(5, 3, 1_000), Some(u64::MAX - 1_000));
    }
}
