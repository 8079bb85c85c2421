//! Which windows this node draws shares of, and how fast it spends them. Read and written by draws, not by calls.

use std::collections::HashMap;

use keywright_domain::pool::PoolWindow;
use parking_lot::Mutex;

use super::Target;

/// Most windows whose use is followed. Of others every draw is for the calls that wait.
const WINDOWS_MAX: usize = 1 << 16;
/// A window that was not drawn from for so long is forgotten.
const FORGOTTEN_NS: u64 = 10_000_000_000;
/// A share should last for a tenth of its window, within these bounds.
const HORIZON_MS: std::ops::RangeInclusive<u64> = 20..=500;

#[derive(Default)]
pub(super) struct Ledger {
    windows: Mutex<HashMap<PoolWindow, Active>>,
}

/// A window that is drawn from.
#[derive(Clone, Copy)]
struct Active {
    target: Target,
    drawn_at_ns: u64,
    /// Units left after the last draw.
    deposited: u32,
    /// Units per second.
    demand: u64,
    /// What was asked for last.
    want: u32,
    /// The fixed window of the last grant.
    bucket: u64,
    /// Units left at the last look for idle ones.
    seen: u32,
}

impl Ledger {
    /// How many units the node will want of a window, of which `units` are left here and calls wait for `waiting`.
    pub(super) fn want(&self, target: &Target, units: u32, waiting: u32, now_ns: u64) -> u32 {
        let mut windows = self.windows.lock();
        let Some(active) = windows.get_mut(&target.window) else { return 0 };
        let elapsed_ns = now_ns.saturating_sub(active.drawn_at_ns).max(1_000_000);
        let spent = u64::from(active.deposited.saturating_sub(units)) + u64::from(waiting);
        let rate = spent.saturating_mul(1_000_000_000) / elapsed_ns;
        active.demand = rate.max(if elapsed_ns < 1_000_000_000 { active.demand / 2 } else { 0 });
        let horizon_ms =
            (u64::from(target.window.window_seconds) * 100).clamp(*HORIZON_MS.start(), *HORIZON_MS.end());
        let expected = u32::try_from(active.demand * horizon_ms / 1_000).unwrap_or(u32::MAX);
        // Two calls in the same millisecond are no thousand a second.
        active.want =
            expected.min(active.want.saturating_mul(4).saturating_add(4)).min(super::words::UNITS_MAX);
        active.want
    }

    /// Notes what a draw came to: `units` are left here.
    pub(super) fn drawn(&self, target: &Target, bucket: u64, units: u32, now_ns: u64) {
        let mut windows = self.windows.lock();
        if windows.len() >= WINDOWS_MAX && !windows.contains_key(&target.window) {
            return;
        }
        let fresh = Active {
            target: *target,
            drawn_at_ns: now_ns,
            deposited: 0,
            demand: 0,
            want: 0,
            bucket,
            seen: 0,
        };
        let active = windows.entry(target.window).or_insert(fresh);
        *active = Active {
            target: *target,
            drawn_at_ns: now_ns,
            deposited: units,
            bucket,
            seen: u32::MAX,
            ..*active
        };
    }

    /// Windows of which nothing was spent between the last call and this one, with the fixed window of their share.
    /// `units` tells what is left.
    pub(super) fn idle(&self, now_ns: u64, units: impl Fn(&Target) -> u32) -> Vec<(Target, u64)> {
        let mut idle = Vec::new();
        self.windows.lock().retain(|_, active| {
            let left = units(&active.target);
            if left > 0 && left == active.seen {
                idle.push((active.target, active.bucket));
            }
            active.seen = left;
            left > 0 || now_ns.saturating_sub(active.drawn_at_ns) < FORGOTTEN_NS
        });
        idle
    }

    /// Whether there is no window that a share may be left of.
    pub(super) fn is_empty(&self) -> bool {
        self.windows.lock().is_empty()
    }

    /// All windows that a share may be left of.
    pub(super) fn all(&self) -> Vec<(Target, u64)> {
        self.windows.lock().values().map(|active| (active.target, active.bucket)).collect()
    }
}
