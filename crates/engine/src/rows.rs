//! Tables of fixed rows of atomic words that grow without moving a row.

use std::sync::{OnceLock, atomic::AtomicU64};

use crate::raw::{Pages, Words, prefetch_read};

const CHUNK_ROWS_LOG2: u32 = 18;
const CHUNK_ROWS: usize = 1 << CHUNK_ROWS_LOG2;
const CHUNKS: usize = 1 << 12;

/// Rows of `N` words, all zero until written. Memory is spent only for rows that were touched.
pub(crate) struct Rows<const N: usize> {
    chunks: Box<[OnceLock<Words>]>,
    pages: Pages,
}

impl<const N: usize> Rows<N> {
    /// The most rows a table can have.
    pub(crate) const CAPACITY: usize = CHUNKS * CHUNK_ROWS;

    pub(crate) fn new(pages: Pages) -> Self {
        Self { chunks: (0..CHUNKS).map(|_| OnceLock::new()).collect(), pages }
    }

    /// The row, if its chunk was ever written to.
    #[inline]
    pub(crate) fn get(&self, row: u32) -> Option<&[AtomicU64; N]> {
        let words = self.chunks.get((row >> CHUNK_ROWS_LOG2) as usize)?.get()?;
        let begin = (row as usize % CHUNK_ROWS) * N;
        words.get(begin..begin + N)?.first_chunk()
    }

    /// The row, creating its chunk where needed. Only writers call this.
    ///
    /// Panics when `row` is at or above [`Self::CAPACITY`] (2³⁰); callers check where numbers come from.
    pub(crate) fn get_or_create(&self, row: u32) -> &[AtomicU64; N] {
        let chunk = &self.chunks[(row >> CHUNK_ROWS_LOG2) as usize];
        chunk.get_or_init(|| Words::anonymous(CHUNK_ROWS * N, self.pages));
        self.get(row).expect("the chunk was created just now")
    }

    /// Hands every row of the chunks that exist to `visit`.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&[AtomicU64; N])) {
        let chunks = self.chunks.iter().filter_map(OnceLock::get);
        chunks.flat_map(|words| words.as_chunks::<N>().0).for_each(&mut visit);
    }

    /// Asks for the cache lines of a row.
    #[inline]
    pub(crate) fn prefetch(&self, row: u32) {
        if let Some(words) = self.get(row) {
            prefetch_read(&words[0]);
            if N > 8 {
                prefetch_read(&words[8]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[test]
    fn rows_do_not_overlap_and_stay_in_place() {
        let rows = Rows::<4>::new(Pages::Normal);
        assert!(rows.get(0).is_none());
        let edge = u32::try_from(CHUNK_ROWS).unwrap();
        for row in [0, 1, edge - 1, edge, edge + 1] {
            rows.get_or_create(row).iter().for_each(|word| word.store(u64::from(row) + 1, Relaxed));
        }
        let first = rows.get(0).unwrap().as_ptr();
        rows.get_or_create(10 * edge);
        assert_eq!(first, rows.get(0).unwrap().as_ptr());
        for row in [0, 1, edge - 1, edge, edge + 1] {
            assert!(rows.get(row).unwrap().iter().all(|word| word.load(Relaxed) == u64::from(row) + 1));
        }
        assert_eq!(rows.get(2).unwrap()[0].load(Relaxed), 0);
        assert!(rows.get(u32::MAX).is_none());
    }
}
