//! The operating system's clocks and random source: the only place that asks for them.

use keywright_domain::{
    entropy::Entropy,
    time::{Clock, Timestamp},
};
use rustix::time::{ClockId, clock_gettime};

/// The clocks of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let point = clock_gettime(ClockId::Realtime);
        Timestamp::from_unix_ms(point.tv_sec * 1_000 + point.tv_nsec / 1_000_000)
    }

    fn boot_ns(&self) -> u64 {
        let point = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(point.tv_sec).expect("time since boot is not negative");
        let nanoseconds = u64::try_from(point.tv_nsec).expect("a fraction of a second is not negative");
        seconds * 1_000_000_000 + nanoseconds
    }
}

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
