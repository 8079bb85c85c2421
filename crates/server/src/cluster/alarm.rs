//! A timer that is exact to microseconds: a barrier is over in a few hundred of them.

use std::{io, os::fd::OwnedFd};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::{Interest, unix::AsyncFd};

/// Goes off at a point of the boot clock.
pub(super) struct Alarm {
    timer: AsyncFd<OwnedFd>,
    set_to_ns: u64,
}

impl Alarm {
    /// An alarm that is not set. To be made in the runtime that waits for it.
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Boottime, flags)?;
        #[expect(deprecated, reason = "its successor asks for a promise that an `OwnedFd` keeps anyway")]
        let timer = AsyncFd::with_interest(timer, Interest::READABLE)?;
        Ok(Self { timer, set_to_ns: u64::MAX })
    }

    /// Sets it, in place of what it was set to; `u64::MAX` is never.
    pub(super) fn set(&mut self, boot_ns: u64) -> io::Result<()> {
        if self.set_to_ns == boot_ns {
            return Ok(());
        }
        self.set_to_ns = boot_ns;
        // Zero would switch it off.
        let at_ns = if boot_ns == u64::MAX { 0 } else { boot_ns.max(1) };
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        let when = Itimerspec { it_interval: none, it_value: timespec(at_ns) };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &when)?;
        Ok(())
    }

    /// Returns when it goes off.
    pub(super) async fn gone_off(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.timer.readable_mut().await?;
            let mut count = [0; 8];
            let read = ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut count)?));
            if let Ok(read) = read {
                self.set_to_ns = u64::MAX;
                return read.map(drop);
            }
        }
    }
}

fn timespec(at_ns: u64) -> Timespec {
    let seconds = i64::try_from(at_ns / 1_000_000_000).unwrap_or(i64::MAX);
    let rest_ns = i64::try_from(at_ns % 1_000_000_000).expect("less than a second");
    Timespec { tv_sec: seconds, tv_nsec: rest_ns }
}

#[cfg(test)]
mod tests {
    use keywright_domain::time::Clock as _;

    use super::*;
    use crate::system::SystemClock;

    #[tokio::test]
    async fn goes_off_once_and_not_early() {
        let mut alarm = Alarm::new().unwrap();
        for wait_ns in [300_000, 1, 2_000_000] {
            let at_ns = SystemClock.boot_ns() + wait_ns;
            alarm.set(at_ns).unwrap();
            alarm.gone_off().await.unwrap();
            assert!(SystemClock.boot_ns() >= at_ns);
        }
        alarm.set(1).unwrap();
        alarm.gone_off().await.unwrap();
        alarm.set(u64::MAX).unwrap();
        let never = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(never, alarm.gone_off()).await.is_err());
    }
}
