//! Buffers that the connections of a worker take turns with.
//!
//! A plain request is read, answered and sent before the next connection's turn. With buffers of their own, the
//! connections' buffers would not fit in a core's cache together; idle connections have none.

use std::cell::RefCell;

/// Buffers that are kept. More are in use only while clients are slow to send or to read.
const KEPT: usize = 8;
/// Larger ones are given back to the allocator.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// Buffers that nobody uses, the last one that was used on top: it is the one in the cache.
struct Spare(RefCell<Vec<Vec<u8>>>);

impl Spare {
    const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    fn take(&self) -> Vec<u8> {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    fn put_back(&self, mut buffer: Vec<u8>) {
        let mut kept = self.0.borrow_mut();
        if kept.len() < KEPT && (1..=KEPT_BYTES_MAX).contains(&buffer.capacity()) {
            buffer.clear();
            kept.push(buffer);
        }
    }
}

thread_local! {
    static SPARE: Spare = const { Spare::new() };
}

/// An empty buffer for bytes.
pub(super) fn bytes() -> Vec<u8> {
    SPARE.with(Spare::take)
}

/// An empty buffer for text.
pub(super) fn text() -> String {
    String::from_utf8(bytes()).expect("no bytes are UTF-8")
}

/// Nobody needs what is in `buffer` any more.
pub(super) fn put_back(buffer: impl Into<Vec<u8>>) {
    SPARE.with(|spare| spare.put_back(buffer.into()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_is_used_again_without_what_was_in_it() {
        let spare = Spare::new();
        spare.put_back(Vec::with_capacity(100));
        spare.put_back(b"a secret".repeat(40));
        let again = spare.take();
        assert!(again.is_empty() && again.capacity() >= 320, "{}", again.capacity());
        assert_eq!(spare.take().capacity(), 100);
        assert_eq!(spare.take().capacity(), 0);
    }

    #[test]
    fn neither_many_nor_large_ones_are_kept() {
        let spare = Spare::new();
        for _ in 0..=KEPT {
            spare.put_back(Vec::with_capacity(1));
        }
        assert_eq!(spare.0.borrow().len(), KEPT);
        while spare.take().capacity() > 0 {}
        spare.put_back(Vec::with_capacity(KEPT_BYTES_MAX + 1));
        spare.put_back(Vec::new());
        assert!(spare.0.borrow().is_empty());
        spare.put_back(Vec::with_capacity(KEPT_BYTES_MAX));
        assert_eq!(spare.0.borrow().len(), 1);
    }
}
