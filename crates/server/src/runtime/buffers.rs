//! Buffers that the connections of a worker take turns with.
//!
//! A plain request is read, answered and sent before the next connection's turn. With buffers of their own, the
//! connections' buffers would not fit in a core's cache together; idle connections have none.

use std::cell::RefCell;

/// Buffers of each kind that are kept. More are in use only while clients are slow to send or to read.
const KEPT: usize = 8;
/// Larger ones are given back to the allocator.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// What can be used again.
trait Buffer: Default {
    fn capacity(&self) -> usize;
    fn clear(&mut self);
}

impl Buffer for Vec<u8> {
    fn capacity(&self) -> usize {
        self.capacity()
    }

    fn clear(&mut self) {
        self.clear();
    }
}

impl Buffer for String {
    fn capacity(&self) -> usize {
        self.capacity()
    }

    fn clear(&mut self) {
        self.clear();
    }
}

/// Buffers that nobody uses, the last one that was used on top: it is the one in the cache.
struct Spare<B>(RefCell<Vec<B>>);

impl<B: Buffer> Spare<B> {
    const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    fn take(&self) -> B {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    fn put_back(&self, mut buffer: B) {
        let mut kept = self.0.borrow_mut();
        if kept.len() < KEPT && (1..=KEPT_BYTES_MAX).contains(&buffer.capacity()) {
            buffer.clear();
            kept.push(buffer);
        }
    }
}

thread_local! {
    static INPUTS: Spare<Vec<u8>> = const { Spare::new() };
    static OUTPUTS: Spare<String> = const { Spare::new() };
}

/// An empty buffer for what is read.
pub(super) fn input() -> Vec<u8> {
    INPUTS.with(Spare::take)
}

/// Nobody needs what is in `buffer` any more.
pub(super) fn put_back_input(buffer: Vec<u8>) {
    INPUTS.with(|spare| spare.put_back(buffer));
}

/// An empty buffer for answers.
pub(super) fn output() -> String {
    OUTPUTS.with(Spare::take)
}

/// Nobody needs what is in `buffer` any more.
pub(super) fn put_back_output(buffer: String) {
    OUTPUTS.with(|spare| spare.put_back(buffer));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_is_used_again_without_what_was_in_it() {
        let spare = Spare::new();
        spare.put_back(String::with_capacity(100));
        spare.put_back("a secret".repeat(40));
        let again = spare.take();
        assert!(again.is_empty() && again.capacity() >= 320, "{}", again.capacity());
        assert_eq!(spare.take().capacity(), 100);
        assert_eq!(spare.take().capacity(), 0);
    }

    #[test]
    fn neither_many_nor_large_ones_are_kept() {
        let spare = Spare::new();
        for _ in 0..=KEPT {
            spare.put_back(Vec::<u8>::with_capacity(1));
        }
        assert_eq!(spare.0.borrow().len(), KEPT);
        while spare.take().capacity() > 0 {}
        spare.put_back(Vec::<u8>::with_capacity(KEPT_BYTES_MAX + 1));
        spare.put_back(Vec::<u8>::new());
        assert!(spare.0.borrow().is_empty());
        spare.put_back(Vec::<u8>::with_capacity(KEPT_BYTES_MAX));
        assert_eq!(spare.0.borrow().len(), 1);
    }
}
