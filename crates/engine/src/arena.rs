//! Cold bytes: what a full verdict needs and the decision mostly does not (metadata, networks, other secrets).
//!
//! One writer allocates and frees; readers copy out while it does. A reader therefore may copy bytes that were
//! replaced meanwhile, and must check the version of the record that named the blob afterwards ([`crate::record`]):
//! the writer frees a blob only after the record no longer names it.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::raw::{Pages, WORD_BYTES, Words};

const CHUNK_WORDS_LOG2: u32 = 21;
const CHUNK_WORDS: usize = 1 << CHUNK_WORDS_LOG2;
const CHUNKS: usize = 1 << 12;
const LENGTH_BITS: u32 = 24;

/// Where a blob is: 40 bits of word offset and 24 bits of length in bytes. Zero names the empty blob.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BlobRef(pub(crate) u64);

impl BlobRef {
    fn new(offset_words: u64, length_bytes: usize) -> Self {
        Self(offset_words << LENGTH_BITS | length_bytes as u64)
    }

    #[inline]
    pub(crate) fn length_bytes(self) -> usize {
        (self.0 & ((1 << LENGTH_BITS) - 1)) as usize
    }

    #[inline]
    fn offset_words(self) -> usize {
        (self.0 >> LENGTH_BITS) as usize
    }

    fn words(self) -> usize {
        self.length_bytes().div_ceil(WORD_BYTES)
    }
}

/// The memory of all blobs.
pub(crate) struct Arena {
    chunks: Box<[OnceLock<Words>]>,
}

/// The writer's side: what is free.
#[derive(Default)]
pub(crate) struct Allocator {
    /// First word that was never used.
    next_word: usize,
    /// Freed places by their length in words; an exact fit is reused.
    free: Vec<Vec<u64>>,
    live_bytes: usize,
}

impl Arena {
    pub(crate) fn new() -> Self {
        Self { chunks: (0..CHUNKS).map(|_| OnceLock::new()).collect() }
    }

    /// Stores `bytes` (fewer than 16 MiB) and returns where.
    pub(crate) fn insert(&self, allocator: &mut Allocator, bytes: &[u8]) -> BlobRef {
        assert!(bytes.len() < 1 << LENGTH_BITS, "a blob is shorter than 16 MiB");
        if bytes.is_empty() {
            return BlobRef::default();
        }
        let words = bytes.len().div_ceil(WORD_BYTES);
        let offset = allocator.allocate(words);
        allocator.live_bytes += words * WORD_BYTES;
        let chunk = self.chunks[offset >> CHUNK_WORDS_LOG2]
            .get_or_init(|| Words::anonymous(CHUNK_WORDS, Pages::Huge));
        let begin = offset % CHUNK_WORDS;
        for (word, piece) in chunk[begin..begin + words].iter().zip(bytes.chunks(WORD_BYTES)) {
            let mut padded = [0; WORD_BYTES];
            padded[..piece.len()].copy_from_slice(piece);
            word.store(u64::from_le_bytes(padded), Relaxed);
        }
        BlobRef::new(offset as u64, bytes.len())
    }

    /// Gives a blob's place back. No record may name it any more.
    pub(crate) fn remove(allocator: &mut Allocator, blob: BlobRef) {
        let words = blob.words();
        if words == 0 {
            return;
        }
        if allocator.free.len() <= words {
            allocator.free.resize(words + 1, Vec::new());
        }
        allocator.free[words].push(blob.offset_words() as u64);
        allocator.live_bytes -= words * WORD_BYTES;
    }

    /// Appends the blob's bytes to `buffer`. They mean something only if the record still names the blob afterwards;
    /// a reference that was never valid gives nothing.
    pub(crate) fn read_into(&self, blob: BlobRef, buffer: &mut Vec<u8>) {
        let words = self.words_of(blob);
        let end = buffer.len() + blob.length_bytes().min(words.len() * WORD_BYTES);
        buffer.reserve(words.len() * WORD_BYTES);
        for word in words {
            buffer.extend_from_slice(&word.load(Relaxed).to_le_bytes());
        }
        buffer.truncate(end);
    }

    /// The blob's words.
    #[inline]
    pub(crate) fn words_of(&self, blob: BlobRef) -> &[AtomicU64] {
        let offset = blob.offset_words();
        let begin = offset % CHUNK_WORDS;
        self.chunks
            .get(offset >> CHUNK_WORDS_LOG2)
            .and_then(OnceLock::get)
            .and_then(|chunk| chunk.get(begin..begin + blob.words()))
            .unwrap_or_default()
    }
}

impl Allocator {
    /// A place of `words` words that lies within one chunk.
    fn allocate(&mut self, words: usize) -> usize {
        if let Some(offset) = self.free.get_mut(words).and_then(Vec::pop) {
            return usize::try_from(offset).expect("offsets come from usize");
        }
        let left_in_chunk = CHUNK_WORDS - self.next_word % CHUNK_WORDS;
        if left_in_chunk < words {
            self.next_word += left_in_chunk;
        }
        let offset = self.next_word;
        self.next_word += words;
        offset
    }

    /// Bytes in use by blobs, padding included.
    pub(crate) fn live_bytes(&self) -> usize {
        self.live_bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(arena: &Arena, blob: BlobRef) -> Vec<u8> {
        let mut bytes = Vec::new();
        arena.read_into(blob, &mut bytes);
        bytes
    }

    #[test]
    fn freed_space_is_used_again_for_the_same_size() {
        let (arena, mut allocator) = (Arena::new(), Allocator::default());
        let first = arena.insert(&mut allocator, &[1; 20]);
        Arena::remove(&mut allocator, first);
        assert_eq!(allocator.live_bytes(), 0);
        let second = arena.insert(&mut allocator, &[2; 24]);
        assert_eq!(first.offset_words(), second.offset_words());
        assert_eq!(read(&arena, second), [2; 24]);
    }

    #[test]
    fn a_blob_never_crosses_a_chunk() {
        let (arena, mut allocator) =
            (Arena::new(), Allocator { next_word: CHUNK_WORDS - 1, ..Allocator::default() });
        let blob = arena.insert(&mut allocator, &[3; 9]);
        assert_eq!(blob.offset_words(), CHUNK_WORDS);
        assert_eq!(read(&arena, blob), [3; 9]);
    }

    #[test]
    fn a_reference_that_was_never_valid_reads_nothing() {
        assert_eq!(read(&Arena::new(), BlobRef(u64::MAX)), Vec::<u8>::new());
    }

    proptest! {
        #[test]
        fn blobs_keep_their_bytes(operations in proptest::collection::vec((any::<bool>(), 0_usize..200, any::<u8>()), 1..200)) {
            let (arena, mut allocator) = (Arena::new(), Allocator::default());
            let mut live: Vec<(BlobRef, Vec<u8>)> = Vec::new();
            for (insert, size, fill) in operations {
                if insert || live.is_empty() {
                    let bytes = vec![fill; size];
                    live.push((arena.insert(&mut allocator, &bytes), bytes));
                } else {
                    let (blob, _) = live.swap_remove(size % live.len());
                    Arena::remove(&mut allocator, blob);
                }
                for (blob, bytes) in &live {
                    prop_assert_eq!(&read(&arena, *blob), bytes);
                }
            }
        }
    }
}
