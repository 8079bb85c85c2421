//! The clocks of the operating system.

use std::cell::Cell;

use keywright_domain::time::{Clock, Timestamp};
use rustix::time::{ClockId, clock_gettime};

/// How long the difference between both clocks is believed.
const BELIEVED_NS: u64 = 1_000_000;

thread_local! {
    /// Wall clock minus boot clock in nanoseconds, and until when (boot clock) it is believed.
    static DIFFERENCE: Cell<(i64, u64)> = const { Cell::new((0, 0)) };
}

/// `CLOCK_REALTIME` and `CLOCK_BOOTTIME`.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(nanoseconds(ClockId::Realtime).div_euclid(1_000_000))
    }

    fn boot_ns(&self) -> u64 {
        u64::try_from(nanoseconds(ClockId::Boottime)).expect("time since boot is not negative")
    }

    /// Reads the boot clock; the wall clock follows from the difference that this thread saw at most a millisecond
    /// ago. A step of the wall clock shows that much later.
    fn both(&self) -> (Timestamp, u64) {
        let boot_ns = self.boot_ns();
        let signed_boot_ns = i64::try_from(boot_ns).expect("less than 292 years since boot");
        let (mut difference_ns, believed_until_ns) = DIFFERENCE.get();
        if boot_ns >= believed_until_ns {
            difference_ns = nanoseconds(ClockId::Realtime) - signed_boot_ns;
            DIFFERENCE.set((difference_ns, boot_ns + BELIEVED_NS));
        }
        (Timestamp::from_unix_ms((signed_boot_ns + difference_ns).div_euclid(1_000_000)), boot_ns)
    }
}

fn nanoseconds(clock: ClockId) -> i64 {
    let point = clock_gettime(clock);
    point.tv_sec * 1_000_000_000 + point.tv_nsec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_readings_agree_with_the_single_ones() {
        for _ in 0..10_000 {
            let (wall_before, boot_before) = (SystemClock.now(), SystemClock.boot_ns());
            let (wall, boot_ns) = SystemClock.both();
            assert!(wall.ms_since(wall_before) >= -1 && boot_ns >= boot_before);
            assert!(SystemClock.now().ms_since(wall) >= -1 && SystemClock.boot_ns() >= boot_ns);
        }
    }
}
