use std::{fs::File, io::Read as _};

use keywright_domain::entropy::Entropy;
use parking_lot::Mutex;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};

/// Random bytes that are the same for the same seed.
pub struct SeededEntropy(Mutex<ChaCha8Rng>);

impl SeededEntropy {
    /// The source with this seed.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(ChaCha8Rng::seed_from_u64(seed)))
    }

    /// A number below `bound`, near enough to evenly for tests.
    pub fn below(&self, bound: u64) -> u64 {
        self.0.lock().next_u64() % bound
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        self.0.lock().fill_bytes(buffer);
    }
}

/// Bytes that are others each time.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use keywright_domain::entropy::random_bytes;

    #[test]
    fn the_seed_decides() {
        let bytes = |seed| random_bytes::<32>(&SeededEntropy::new(seed));
        assert_eq!(bytes(1), bytes(1));
        assert_ne!(bytes(1), bytes(2));
    }
}
