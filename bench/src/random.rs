//! Random numbers for benchmarks: fast, and the same in every run.

use std::sync::atomic::{AtomicU64, Ordering};

use keywright_domain::entropy::Entropy;

/// xorshift64*. Not for secrets that protect anything.
pub(crate) struct Random(u64);

impl Random {
    /// The numbers of this seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// The next number.
    pub(crate) const fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from((u128::from(self.next()) * bound as u128) >> 64).expect("below a usize")
    }

    /// Fills `bytes`.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&self.next().to_be_bytes()[..part.len()]);
        }
    }
}

/// The same for many threads at once.
pub(crate) struct SharedRandom(AtomicU64);

impl SharedRandom {
    /// The numbers of this seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Entropy for SharedRandom {
    fn fill(&self, buffer: &mut [u8]) {
        // Weyl sequence into a generator per call: no lock, and no two calls alike.
        let seed = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mut random = Random::new(seed ^ 0xd1b5_4a32_d192_ed03);
        random.next();
        random.fill(buffer);
    }
}
