//! The operating system's clocks and random source.

use keywright_domain::entropy::Entropy;
pub(crate) use keywright_engine::SystemClock;

/// The operating system's CSPRNG.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the source that everything else takes as an argument"
    )]
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the operating system has a random source");
    }
}

#[cfg(test)]
mod tests {
    use keywright_domain::time::Clock as _;

    use super::*;

    #[test]
    fn clocks_run_and_randomness_differs() {
        let clock = SystemClock;
        assert!(clock.now().unix_ms() > 1_700_000_000_000);
        let before = clock.boot_ns();
        assert!(clock.boot_ns() >= before);
        let draw = || keywright_domain::entropy::random_bytes::<16>(&SystemEntropy);
        assert_ne!(draw(), draw());
    }
}
