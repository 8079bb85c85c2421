//! Append-only tables of values that are set once and read without a lock.

use std::sync::OnceLock;

const CHUNK_LOG2: u32 = 13;
const CHUNKS: usize = 1 << 13;

type Chunk<T> = OnceLock<Box<[OnceLock<T>]>>;

/// Up to 2²⁶ values by number.
pub(crate) struct Table<T> {
    chunks: Box<[Chunk<T>]>,
}

impl<T> Table<T> {
    pub(crate) const CAPACITY: usize = CHUNKS << CHUNK_LOG2;

    pub(crate) fn new() -> Self {
        Self { chunks: (0..CHUNKS).map(|_| OnceLock::new()).collect() }
    }

    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        let chunk = self.chunks.get((number >> CHUNK_LOG2) as usize)?.get()?;
        chunk[number as usize % (1 << CHUNK_LOG2)].get()
    }

    /// Sets a value that was not set before; a value that is there stays. `number` is below [`Self::CAPACITY`].
    pub(crate) fn set(&self, number: u32, value: T) {
        let chunk = self.chunks[(number >> CHUNK_LOG2) as usize]
            .get_or_init(|| (0..1 << CHUNK_LOG2).map(|_| OnceLock::new()).collect());
        // An earlier value stays: the caller only sets what never changes.
        let _kept = chunk[number as usize % (1 << CHUNK_LOG2)].set(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_set_once() {
        let table = Table::new();
        assert_eq!(table.get(8_192), None);
        table.set(8_192, 'a');
        table.set(8_192, 'b');
        assert_eq!((table.get(8_192), table.get(8_191), table.get(u32::MAX)), (Some(&'a'), None, None));
    }
}
