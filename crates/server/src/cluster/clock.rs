//! The time that all nodes share: the database's, learnt with each poll.

use arc_swap::ArcSwap;
use keywright_domain::time::{Clock, Timestamp};

use super::controls;
use crate::system::SystemClock;

/// A clock that is ahead loses a quarter of a second each second until it is not.
const SLEW: u64 = 4;
/// What the database's clock says has whole milliseconds.
const STEP_NS: i64 = 1_000_000;

/// The database's wall clock, told by the boot clock of this machine: expiry is the same moment on every node, whatever
/// their own wall clocks say. Never goes back by a step, and stands still for nobody.
pub(crate) struct NodeClock(ArcSwap<Line>);

/// Wall clock minus boot clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    /// What it is to be.
    offset_ns: i64,
    /// By how much it was more at `since_boot_ns`.
    ahead_ns: u64,
    since_boot_ns: u64,
    /// Whether it was learnt from the database.
    is_learnt: bool,
}

impl NodeClock {
    /// A clock that says what the machine's own wall clock says now.
    pub(crate) fn new() -> Self {
        let (wall, boot_ns) = SystemClock.both();
        let offset_ns = wall.unix_ms() * 1_000_000 - signed(boot_ns);
        Self(ArcSwap::from_pointee(Line { offset_ns, ahead_ns: 0, since_boot_ns: boot_ns, is_learnt: false }))
    }

    /// The database's clock said `wall_ms` at some moment between these two of the boot clock.
    pub(crate) fn learn(&self, sent_at_ns: u64, received_ns: u64, wall_ms: i64) {
        let line = self.0.load().learnt(sent_at_ns, received_ns, wall_ms);
        if let Some(line) = line {
            self.0.store(line.into());
        }
    }
}

impl Line {
    fn at(&self, boot_ns: u64) -> i64 {
        let worn_off = boot_ns.saturating_sub(self.since_boot_ns) / SLEW;
        self.offset_ns + signed(self.ahead_ns.saturating_sub(worn_off))
    }

    /// The line to follow from now on, if it is another one.
    fn learnt(&self, sent_at_ns: u64, received_ns: u64, wall_ms: i64) -> Option<Self> {
        let round_trip_ns = received_ns.saturating_sub(sent_at_ns);
        let offset_ns = wall_ms * 1_000_000 - signed(sent_at_ns + round_trip_ns / 2);
        let error_ns = signed(round_trip_ns / 2) + STEP_NS;
        if self.is_learnt && (offset_ns - self.offset_ns).abs() <= error_ns {
            return None;
        }
        let ahead_ns = if self.is_learnt { self.at(received_ns) - offset_ns } else { 0 };
        Some(Self {
            offset_ns,
            ahead_ns: u64::try_from(ahead_ns).unwrap_or(0),
            since_boot_ns: received_ns,
            is_learnt: true,
        })
    }
}

impl Clock for NodeClock {
    fn now(&self) -> Timestamp {
        self.both().0
    }

    fn boot_ns(&self) -> u64 {
        controls::boot_ns()
    }

    fn both(&self) -> (Timestamp, u64) {
        let boot_ns = controls::boot_ns();
        let wall_ns = signed(boot_ns) + self.0.load().at(boot_ns);
        (Timestamp::from_unix_ms(wall_ns.div_euclid(1_000_000)), boot_ns)
    }
}

fn signed(nanoseconds: u64) -> i64 {
    i64::try_from(nanoseconds).expect("less than 292 years")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const WALL_MS: i64 = 1_800_000_000_000;

    /// What the line says at a moment, in milliseconds of the wall clock.
    fn wall_ms(line: &Line, boot_ms: u64) -> i64 {
        (signed(boot_ms * MS) + line.at(boot_ms * MS)).div_euclid(1_000_000)
    }

    #[test]
    fn taken_over_at_first_then_forward_at_once_and_back_slowly() {
        let own = Line { offset_ns: 5, ahead_ns: 0, since_boot_ns: 0, is_learnt: false };
        let line = own.learnt(1_000 * MS, 1_002 * MS, WALL_MS).unwrap();
        assert_eq!(wall_ms(&line, 1_001), WALL_MS);
        // Within what the round trip leaves open: nothing new.
        assert_eq!(line.learnt(2_000 * MS, 2_010 * MS, WALL_MS + 1_000), None);
        assert_eq!(line.learnt(2_000 * MS, 2_010 * MS, WALL_MS + 1_010), None);
        let forward = line.learnt(2_000 * MS, 2_002 * MS, WALL_MS + 61_000).unwrap();
        assert_eq!(wall_ms(&forward, 2_001), WALL_MS + 61_000);
        let back = forward.learnt(3_000 * MS, 3_000 * MS, WALL_MS + 2_000).unwrap();
        assert_eq!(wall_ms(&back, 3_000), WALL_MS + 61_999, "no step");
        let mut last = wall_ms(&back, 3_000);
        for boot_ms in (3_010..300_000).step_by(10) {
            let now = wall_ms(&back, boot_ms);
            assert!((last..=last + 10).contains(&now), "never back, never faster");
            last = now;
        }
        assert_eq!(wall_ms(&back, 299_990), WALL_MS + 298_990, "and in the end it is right");
    }

    #[test]
    fn begins_as_the_machine_says() {
        let clock = NodeClock::new();
        assert!(clock.now().ms_since(SystemClock.now()).abs() < 1_000);
    }
}
