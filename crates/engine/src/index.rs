//! From locator to row: an open-addressed table of single words.
//!
//! One writer, any number of readers, no lock: a reader sees a word or it does not. A word carries 31 bits of the
//! locator's hash, so that a probe reads a record only when it is almost certainly the right one; the record decides.
//! A full table is replaced by a larger one, which readers find through the engine's roots.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use keywright_keyformat::Locator;

use crate::raw::{Pages, Words, prefetch_read};

const EMPTY: u64 = 0;
const TOMBSTONE: u64 = 1;
const PRESENT: u64 = 1 << 63;
/// Probes a lookup makes at most before the table counts as damaged; far beyond what a load of 0.8 can produce.
const MIN_CAPACITY: usize = 64;

/// The hash of a locator. Its high half chooses the place, its low half is the tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LocatorHash(u64);

impl LocatorHash {
    /// Locators are drawn by us from a CSPRNG, so nobody can choose colliding ones for stored keys; presented ones
    /// that are not stored cost a few probes of one cache line at worst.
    #[inline]
    pub(crate) fn of(locator: &Locator) -> Self {
        Self::of_bytes(locator.as_bytes())
    }

    /// The hash of what may be a locator.
    #[inline]
    pub(crate) fn of_bytes(bytes: &[u8; 12]) -> Self {
        let [head @ .., a, b, c, d] = *bytes;
        let low = u64::from_le_bytes(head) ^ 0x9e37_79b9_7f4a_7c15;
        let high = u64::from(u32::from_le_bytes([a, b, c, d])) ^ 0xd1b5_4a32_d192_ed03;
        let product = u128::from(low) * u128::from(high);
        #[expect(clippy::cast_possible_truncation, reason = "both halves are folded together")]
        Self((product >> 64) as u64 ^ product as u64)
    }

    /// The hash's bits, for tables that need another place.
    #[inline]
    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    #[inline]
    fn entry(self, row: u32) -> u64 {
        PRESENT | (self.0 & 0x7fff_ffff) << 32 | u64::from(row)
    }
}

/// Whether a lookup's candidate is the one looked for.
pub(crate) struct Index {
    words: Words,
}

/// The writer's side of an index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Entries that are found.
    pub(crate) live: usize,
    /// Entries that were removed and still lengthen probes.
    pub(crate) tombstones: usize,
}

impl Load {
    /// Whether one more entry keeps the table at or below a load of 0.8.
    pub(crate) fn has_room(self, index: &Index) -> bool {
        (self.live + self.tombstones + 1) * 5 <= index.words.len() * 4
    }
}

impl Index {
    /// A table for `entries` entries at a load of at most 0.8: at most 10 bytes each.
    pub(crate) fn with_room_for(entries: usize) -> Self {
        let capacity = (entries + entries / 4 + 1).max(MIN_CAPACITY);
        Self {
            words: Words::anonymous(capacity, if capacity > 1 << 16 { Pages::Huge } else { Pages::Normal }),
        }
    }

    /// Words of the table.
    pub(crate) fn capacity(&self) -> usize {
        self.words.len()
    }

    #[inline]
    fn place(&self, hash: LocatorHash) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "below the table's length")]
        let place = ((u128::from(hash.0) * self.words.len() as u128) >> 64) as usize;
        place
    }

    /// Asks for the cache line where a lookup begins.
    #[inline]
    pub(crate) fn prefetch(&self, hash: LocatorHash) {
        if let Some(word) = self.words.get(self.place(hash)) {
            prefetch_read(word);
        }
    }

    /// The rows that may belong to `hash`, nearest first; nearly always none or one.
    #[inline]
    pub(crate) fn candidates(&self, hash: LocatorHash) -> Candidates<'_> {
        Candidates {
            index: self,
            place: self.place(hash),
            left: self.words.len(),
            wanted: hash.entry(0) >> 32,
        }
    }

    /// Adds an entry. The caller has checked [`Load::has_room`] and that the entry is new.
    pub(crate) fn insert(&self, load: &mut Load, hash: LocatorHash, row: u32) {
        let entry = hash.entry(row);
        let mut place = self.place(hash);
        loop {
            let word = self.words[place].load(Relaxed);
            if word == EMPTY || word == TOMBSTONE {
                load.tombstones -= usize::from(word == TOMBSTONE);
                load.live += 1;
                // Release: a reader that finds the row also finds the record written before.
                self.words[place].store(entry, Release);
                return;
            }
            place = (place + 1) % self.words.len();
        }
    }

    /// Removes an entry. Returns whether it was there.
    pub(crate) fn remove(&self, load: &mut Load, hash: LocatorHash, row: u32) -> bool {
        let entry = hash.entry(row);
        let mut place = self.place(hash);
        for _ in 0..self.words.len() {
            match self.words[place].load(Relaxed) {
                EMPTY => return false,
                word if word == entry => {
                    let next = self.words[(place + 1) % self.words.len()].load(Relaxed);
                    let replacement = if next == EMPTY { EMPTY } else { TOMBSTONE };
                    load.tombstones += usize::from(replacement == TOMBSTONE);
                    load.live -= 1;
                    self.words[place].store(replacement, Release);
                    return true;
                }
                _ => place = (place + 1) % self.words.len(),
            }
        }
        false
    }

    /// A table for at least `entries` entries with the same content. `hashes_of` gives the hashes of a row's locators.
    pub(crate) fn rebuilt(
        &self,
        entries: usize,
        mut hashes_of: impl FnMut(u32, &mut Vec<LocatorHash>),
    ) -> (Self, Load) {
        let (table, mut load) = (Self::with_room_for(entries), Load::default());
        let mut hashes = Vec::new();
        for word in self.words.iter().map(|word| word.load(Relaxed)).filter(|word| word & PRESENT != 0) {
            #[expect(clippy::cast_possible_truncation, reason = "the low half is the row")]
            let row = word as u32;
            hashes.clear();
            hashes_of(row, &mut hashes);
            for hash in hashes.iter().filter(|hash| hash.entry(row) == word) {
                if !table.candidates(*hash).any(|present| present == row) {
                    table.insert(&mut load, *hash, row);
                }
            }
        }
        (table, load)
    }
}

/// See [`Index::candidates`].
pub(crate) struct Candidates<'index> {
    index: &'index Index,
    place: usize,
    left: usize,
    wanted: u64,
}

impl Iterator for Candidates<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        while self.left > 0 {
            let word = self.index.words.get(self.place)?.load(Acquire);
            if word == EMPTY {
                return None;
            }
            self.left -= 1;
            self.place += 1;
            if self.place == self.index.words.len() {
                self.place = 0;
            }
            if word >> 32 == self.wanted {
                #[expect(clippy::cast_possible_truncation, reason = "the low half is the row")]
                return Some(word as u32);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn locator(number: u32) -> Locator {
        Locator::parse(format!("{number:012}")).unwrap()
    }

    fn find(index: &Index, number: u32) -> Option<u32> {
        index.candidates(LocatorHash::of(&locator(number))).find(|row| *row == number)
    }

    #[test]
    fn ten_bytes_per_key() {
        let index = Index::with_room_for(1_000_000);
        assert!(index.capacity() * 8 <= 10_000_100, "{}", index.capacity());
        assert!(Load { live: 999_999, tombstones: 0 }.has_room(&index));
        assert!(!Load { live: 1_000_001, tombstones: 0 }.has_room(&index));
    }

    #[test]
    fn a_full_load_still_finds_every_entry_and_no_other() {
        let (index, mut load) = (Index::with_room_for(10_000), Load::default());
        for number in 0..10_000 {
            index.insert(&mut load, LocatorHash::of(&locator(number)), number);
        }
        assert!((0..10_000).all(|number| find(&index, number) == Some(number)));
        assert!(
            (10_000..20_000)
                .all(|number| index.candidates(LocatorHash::of(&locator(number))).next().is_none())
        );
    }

    proptest! {
        #[test]
        fn agrees_with_a_map(operations in proptest::collection::vec((any::<bool>(), 0_u32..60), 1..400)) {
            let (mut index, mut load, mut model) = (Index::with_room_for(8), Load::default(), HashSet::new());
            for (insert, number) in operations {
                let hash = LocatorHash::of(&locator(number));
                if insert && model.insert(number) {
                    if !load.has_room(&index) {
                        let (larger, rebuilt) = index.rebuilt(load.live * 3 / 2 + 1, |row, hashes| hashes.push(LocatorHash::of(&locator(row))));
                        prop_assert_eq!(rebuilt, Load { live: load.live, tombstones: 0 });
                        (index, load) = (larger, rebuilt);
                    }
                    index.insert(&mut load, hash, number);
                } else if !insert {
                    prop_assert_eq!(index.remove(&mut load, hash, number), model.remove(&number));
                }
                prop_assert_eq!(load.live, model.len());
                for number in 0..60 {
                    prop_assert_eq!(find(&index, number).is_some(), model.contains(&number));
                }
            }
        }
    }
}
