use core::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use keywright_domain::time::{Clock, Timestamp};

/// A clock that stands still until it is set.
#[derive(Debug)]
pub struct ManualClock {
    unix_ms: AtomicI64,
    boot_ns: AtomicU64,
}

impl ManualClock {
    /// A clock that shows `now`, one hour after the machine's start.
    pub const fn at(now: Timestamp) -> Self {
        Self { unix_ms: AtomicI64::new(now.unix_ms()), boot_ns: AtomicU64::new(3_600_000_000_000) }
    }

    /// Lets `milliseconds` pass on both clocks.
    pub fn advance_ms(&self, milliseconds: u64) {
        self.unix_ms.fetch_add(i64::try_from(milliseconds).unwrap(), Ordering::SeqCst);
        self.boot_ns.fetch_add(milliseconds * 1_000_000, Ordering::SeqCst);
    }

    /// Lets `seconds` pass on both clocks.
    pub fn advance_seconds(&self, seconds: u64) {
        self.advance_ms(seconds * 1_000);
    }

    /// Sets the wall clock alone, as an administrator or a time service does.
    pub fn set(&self, now: Timestamp) {
        self.unix_ms.store(now.unix_ms(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.unix_ms.load(Ordering::SeqCst))
    }

    fn boot_ns(&self) -> u64 {
        self.boot_ns.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_advance_but_only_the_wall_clock_steps() {
        let clock = ManualClock::at(Timestamp::from_unix_ms(5));
        let start_ns = clock.boot_ns();
        clock.advance_seconds(2);
        assert_eq!((clock.now().unix_ms(), clock.boot_ns() - start_ns), (2_005, 2_000_000_000));
        clock.set(Timestamp::from_unix_ms(1));
        assert_eq!((clock.now().unix_ms(), clock.boot_ns() - start_ns), (1, 2_000_000_000));
    }
}
