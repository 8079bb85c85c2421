//! A share of a limit in the two words of its window.
//!
//! | word | content |
//! |---|---|
//! | 0 | until when the share may be spent, in ms on the boot clock (40 bits); units left of it (24) |
//! | 1 | limit set (12), fixed window (8), whether the node granted itself (1), low-water mark (5), units left in the pool as of the last draw (20), units drawn in the fixed window (16) |
//!
//! Calls change word 0 by compare-and-swap and read word 1. Only draws write word 1, one at a time for each window: word
//! 0 is emptied before word 1 gets another limit set, so no units of one definition are ever spent under another.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Release},
};

const UNITS_BITS: u32 = 24;
/// Most units of one share.
pub(super) const UNITS_MAX: u32 = (1 << UNITS_BITS) - 1;
/// Number of limit sets that are told apart.
const TAG_MASK: u64 = (1 << 12) - 1;

/// The words of a window whose limit is shared.
#[derive(Clone, Copy)]
pub(crate) struct Share<'words> {
    units: &'words AtomicU64,
    known: &'words AtomicU64,
}

/// What word 1 says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Which limit set the share belongs to.
    pub(super) tag: Tag,
    /// The last eight bits of the fixed window's number.
    pub(super) bucket: u8,
    /// Whether the node granted itself units in this fixed window, and the pool does not know it.
    pub(super) is_own_grant: bool,
    /// Below 2 to the power of this, more is drawn ahead; 0 for never.
    pub(super) mark: u8,
    /// Left in the pool as of the last draw, or a little less.
    pub(super) left: u32,
    /// Drawn or self-granted in the fixed window, or a little more.
    pub(super) drawn: u32,
}

/// A limit set, as far as shares tell them apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Tag(u16);

/// What a call took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    /// Left of the share.
    pub(crate) left: u32,
    /// Whether it fell below its low-water mark.
    pub(crate) is_low: bool,
}

impl Tag {
    pub(crate) fn of(limit_set: u32) -> Self {
        Self((u64::from(limit_set) & TAG_MASK) as u16)
    }

    pub(super) fn bits(self) -> u64 {
        self.0.into()
    }
}

impl Known {
    fn pack(self) -> u64 {
        u64::from(self.tag.0)
            | u64::from(self.bucket) << 12
            | u64::from(self.is_own_grant) << 20
            | u64::from(self.mark & 31) << 21
            | round_down(self.left) << 26
            | round_up(self.drawn) << 46
    }

    #[expect(clippy::cast_possible_truncation, reason = "fields are cut out of the word by their width")]
    fn unpack(word: u64) -> Self {
        Self {
            tag: Tag((word & TAG_MASK) as u16),
            bucket: (word >> 12) as u8,
            is_own_grant: word >> 20 & 1 == 1,
            mark: (word >> 21 & 31) as u8,
            left: expand::<15>(word >> 26 & 0xf_ffff),
            drawn: expand::<11>(word >> 46 & 0xffff),
        }
    }
}

/// As 15 significant bits and an exponent, rounded down.
fn round_down(value: u32) -> u64 {
    let shift = (32 - value.leading_zeros()).saturating_sub(15);
    u64::from(shift) << 15 | u64::from(value >> shift)
}

/// As 11 significant bits and an exponent, rounded up.
fn round_up(value: u32) -> u64 {
    let shift = (32 - value.leading_zeros()).saturating_sub(11);
    let mantissa = u64::from(value).div_ceil(1 << shift);
    if mantissa == 1 << 11 { u64::from(shift + 1) << 11 | 1 << 10 } else { u64::from(shift) << 11 | mantissa }
}

fn expand<const MANTISSA_BITS: u32>(bits: u64) -> u32 {
    let value = (bits & ((1 << MANTISSA_BITS) - 1)) << (bits >> MANTISSA_BITS);
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn pack_units(until_ms: u64, units: u32) -> u64 {
    until_ms << UNITS_BITS | u64::from(units.min(UNITS_MAX))
}

#[expect(clippy::cast_possible_truncation, reason = "the last 24 bits")]
fn unpack_units(word: u64) -> (u64, u32) {
    (word >> UNITS_BITS, word as u32 & UNITS_MAX)
}

impl<'words> Share<'words> {
    pub(crate) fn of(words: &'words [AtomicU64; 2]) -> Self {
        Self { units: &words[0], known: &words[1] }
    }

    /// Takes `cost` units, or none.
    #[inline]
    pub(crate) fn take(self, tag: Tag, now_ms: u64, cost: u32) -> Option<Taken> {
        let known = self.known.load(Acquire);
        if known & TAG_MASK != tag.bits() {
            return None;
        }
        let mut word = self.units.load(Acquire);
        loop {
            let (until_ms, units) = unpack_units(word);
            if now_ms >= until_ms || units < cost {
                return None;
            }
            match self.units.compare_exchange_weak(word, word - u64::from(cost), AcqRel, Acquire) {
                Ok(_) => {
                    let (mark, left) = (known >> 21 & 31, units - cost);
                    return Some(Taken {
                        left,
                        is_low: mark != 0 && units >> mark != 0 && left >> mark == 0,
                    });
                }
                Err(changed) => word = changed,
            }
        }
    }

    /// Units that can be spent now.
    #[inline]
    pub(crate) fn units(self, tag: Tag, now_ms: u64) -> u32 {
        let (until_ms, units) = unpack_units(self.units.load(Acquire));
        if now_ms < until_ms && self.known().tag == tag { units } else { 0 }
    }

    pub(super) fn known(self) -> Known {
        Known::unpack(self.known.load(Acquire))
    }

    /// Puts units back that are good until the end of the current fixed window. Without a share to put them into they
    /// are lost: the limit errs towards refusing.
    pub(crate) fn give_back(self, tag: Tag, now_ms: u64, units: u32) {
        if self.known().tag != tag {
            return;
        }
        let mut word = self.units.load(Acquire);
        loop {
            let (until_ms, present) = unpack_units(word);
            if now_ms >= until_ms {
                return;
            }
            let more = pack_units(until_ms, present.saturating_add(units));
            match self.units.compare_exchange_weak(word, more, AcqRel, Acquire) {
                Ok(_) => return,
                Err(changed) => word = changed,
            }
        }
    }

    /// Takes whatever is there.
    pub(super) fn withdraw(self, tag: Tag, now_ms: u64) -> u32 {
        let (until_ms, units) = unpack_units(self.units.swap(0, AcqRel));
        if now_ms < until_ms && self.known().tag == tag { units } else { 0 }
    }

    /// Puts a share in place of whatever is there. Only one draw of a window does this at a time.
    pub(super) fn put(self, known: Known, until_ms: u64, units: u32) {
        self.units.store(0, Release);
        self.known.store(known.pack(), Release);
        self.units.store(pack_units(until_ms, units), Release);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_rounded_to_the_safe_side(value: u32) {
            let (down, up) = (expand::<15>(round_down(value)), expand::<11>(round_up(value)));
            prop_assert!(down <= value && value - down <= value >> 14);
            prop_assert!(up >= value && up - value <= value >> 10);
            prop_assert!(round_down(value) < 1 << 20 && round_up(value) < 1 << 16);
        }

        #[test]
        fn what_is_known_is_read(limit_set: u32, bucket: u8, is_own_grant: bool, mark in 0..32_u8, left in 0..32_768_u32, drawn in 0..2_048_u32) {
            let known = Known { tag: Tag::of(limit_set), bucket, is_own_grant, mark, left, drawn };
            prop_assert_eq!(Known::unpack(known.pack()), known);
        }
    }

    #[test]
    fn units_are_spent_once_in_time_and_under_their_definition() {
        let words = [AtomicU64::new(0), AtomicU64::new(0)];
        let (share, tag) = (Share::of(&words), Tag::of(7));
        assert!(share.take(tag, 0, 1).is_none());
        share.put(Known { tag, mark: 2, ..Known::default() }, 1_000, 5);
        assert!(share.take(Tag::of(8), 999, 1).is_none(), "another limit set");
        assert!(share.take(tag, 1_000, 1).is_none(), "over");
        assert!(share.take(tag, 999, 6).is_none(), "not enough");
        assert!(!share.take(tag, 999, 1).unwrap().is_low);
        assert!(share.take(tag, 999, 1).unwrap().is_low, "4 to 3");
        assert!(!share.take(tag, 999, 1).unwrap().is_low, "said once");
        share.give_back(tag, 999, 3);
        share.give_back(tag, 1_000, 3);
        share.give_back(Tag::of(8), 999, 3);
        assert_eq!(share.units(tag, 999), 5);
        share.give_back(tag, 999, u32::MAX);
        assert_eq!((share.withdraw(tag, 999), share.withdraw(tag, 999)), (UNITS_MAX, 0));
    }
}
