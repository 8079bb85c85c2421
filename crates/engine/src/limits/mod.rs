//! Counting what was spent, without a lock: [`sliding`] windows and [`gcra`], several at once, all or nothing.

pub(crate) mod gcra;
#[cfg(test)]
mod oracle;
mod sliding;

use std::sync::atomic::AtomicU64;

use keywright_domain::limits::Algorithm;

#[expect(clippy::struct_field_names, reason = "the names that the domain gives them")]
/// One window's definition, as the hot path needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Window {
    /// Cost units per window.
    pub(crate) limit: u32,
    /// Length in seconds.
    pub(crate) window_seconds: u32,
    /// How it is counted.
    pub(crate) algorithm: Algorithm,
}

/// The moment of a call, on the clocks that limits use. Neither ever steps back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tick {
    /// Milliseconds since the Unix epoch as the engine knew it when it started, carried on by the boot clock: windows
    /// begin on the wall clock's minutes and days, but a step of the wall clock moves no window.
    pub(crate) aligned_ms: u64,
    /// Nanoseconds since boot.
    pub(crate) boot_ns: u64,
}

/// What one window says to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Admitted {
        /// Cost units left after this call.
        remaining: u64,
        /// Until the window is over (sliding), or everything has drained (GCRA).
        reset_ms: u64,
    },
    Refused {
        /// Cost units left, fewer than asked for.
        remaining: u64,
        /// Until the same call would be admitted if nothing else is spent; `u64::MAX` if its cost exceeds the limit.
        retry_ms: u64,
        /// As above.
        reset_ms: u64,
    },
}

impl Decision {
    pub(crate) fn is_admitted(self) -> bool {
        matches!(self, Self::Admitted { .. })
    }
}

/// One window: its definition, and the two words it counts in.
#[derive(Clone, Copy)]
pub(crate) struct Meter<'words> {
    pub(crate) window: Window,
    pub(crate) words: &'words [AtomicU64; 2],
}

/// What a call spent in one window, for giving it back.
#[derive(Clone, Copy, Debug)]
enum Taken {
    Sliding(sliding::Taken),
    Smooth(gcra::Taken),
}

impl Meter<'_> {
    fn counters(&self) -> sliding::Counters<'_> {
        sliding::Counters { current: &self.words[0], previous: &self.words[1] }
    }

    /// Decides without spending.
    pub(crate) fn check(&self, tick: Tick, cost: u32) -> Decision {
        match self.window.algorithm {
            Algorithm::Sliding => self.counters().check(self.window, tick.aligned_ms, cost),
            Algorithm::Smooth => gcra::check(&self.words[0], self.window, tick.boot_ns, cost),
        }
    }

    /// Counts what was spent at `at_ms` (on the clock of [`Tick::aligned_ms`]) before this process started. A smooth
    /// window has drained by the time a process has started, or nearly so, and starts anew.
    pub(crate) fn restore(&self, tick: Tick, at_ms: u64, cost: u32) {
        if self.window.algorithm == Algorithm::Sliding {
            self.counters().restore(self.window, tick.aligned_ms, at_ms, cost);
        }
    }

    fn take(&self, tick: Tick, cost: u32) -> (Decision, Taken) {
        match self.window.algorithm {
            Algorithm::Sliding => {
                let (decision, taken) = self.counters().take(self.window, tick.aligned_ms, cost);
                (decision, Taken::Sliding(taken))
            }
            Algorithm::Smooth => {
                let (decision, taken) = gcra::take(&self.words[0], self.window, tick.boot_ns, cost);
                (decision, Taken::Smooth(taken))
            }
        }
    }

    fn give_back(&self, taken: Taken, cost: u32) {
        match taken {
            Taken::Sliding(taken) => self.counters().give_back(taken, cost),
            Taken::Smooth(taken) => gcra::give_back(&self.words[0], taken),
        }
    }
}

/// Spends `cost` in every meter or in none. `report` is told each meter's decision in order; after a refusal, the
/// decisions that a call without cost would get for the other meters.
///
/// Returns whether the call is admitted. All meters are asked before any is charged, so a refused call usually touches
/// nothing; one that loses a race for the last units gives back what it took, erring towards refusing where that is no
/// longer possible (see the bounds of both algorithms).
pub(crate) fn take_all(
    meters: &[Meter<'_>],
    tick: Tick,
    cost: u32,
    mut report: impl FnMut(usize, Decision),
) -> bool {
    if let [only] = meters {
        let (decision, _) = only.take(tick, cost);
        report(0, decision);
        return decision.is_admitted();
    }
    if meters.iter().all(|meter| meter.check(tick, cost).is_admitted()) {
        let mut taken: [Option<Taken>; METERS_MAX] = [None; METERS_MAX];
        let refused = meters.iter().enumerate().find_map(|(position, meter)| {
            let (decision, own) = meter.take(tick, cost);
            if decision.is_admitted() {
                taken[position] = Some(own);
                report(position, decision);
                return None;
            }
            Some(position)
        });
        if refused.is_none() {
            return true;
        }
        for (meter, own) in meters.iter().zip(taken) {
            if let Some(own) = own {
                meter.give_back(own, cost);
            }
        }
    }
    report_refusal(meters, tick, cost, report);
    false
}

/// Most meters of one call: the windows of a key and of its workspace.
pub(crate) const METERS_MAX: usize = 2 * keywright_domain::caps::WINDOWS_MAX;

fn report_refusal(meters: &[Meter<'_>], tick: Tick, cost: u32, mut report: impl FnMut(usize, Decision)) {
    for (position, meter) in meters.iter().enumerate() {
        let asked = meter.check(tick, cost);
        report(position, if asked.is_admitted() { meter.check(tick, 0) } else { asked });
    }
}
