//! The port of the limit pool: from it nodes draw what they may spend of a limit window, before they spend it.
//!
//! Whatever a node admits was granted to it before by the pool, and the pool never grants more than the limit. So the
//! sum over all nodes never exceeds it, whatever their number, whoever joins or crashes, and whatever their clocks say:
//! only the pool's clock decides in which window a grant counts (O'Neil, "The escrow transactional method", TODS 1986).
//!
//! The arithmetic is here, so that every pool and its oracle share it: [`Counter`].

use async_trait::async_trait;

use crate::{key::KeyNumber, limits::Algorithm, store::StoreError, workspace::WorkspaceNumber};

/// Whose window it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A key's.
    Key(KeyNumber),
    /// A workspace's as a whole.
    Workspace(WorkspaceNumber),
}

/// A window that is counted in the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolWindow {
    /// Whose.
    pub subject: Subject,
    /// Length in seconds.
    pub window_seconds: u32,
    /// Which of the subject's windows of this length it is; those before it count from 0.
    pub slot: u8,
    /// How it is counted. Another algorithm is another window.
    pub algorithm: Algorithm,
}

/// What a node asks of one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The window.
    pub window: PoolWindow,
    /// Its limit, in cost units per window.
    pub limit: u64,
    /// Cost units that calls are waiting for.
    pub needed: u32,
    /// The smallest number of units that is of use: below that nothing is granted.
    pub smallest: u32,
    /// Units that the node expects to spend soon. More than `needed` is granted only as far as enough is left for all,
    /// and never of a smooth window.
    pub want: u32,
    /// Units that the node granted itself in this window while the pool could not be reached.
    pub already: u32,
    /// How many nodes share the limit, at least 1.
    pub nodes: u32,
}

/// What one window grants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Units that the node may spend.
    pub granted: u32,
    /// Units that are left for all nodes after this grant.
    pub left: u32,
    /// The fixed window that the grant counts in.
    pub bucket: u64,
    /// For how long the units may be spent, counted from before the draw was sent.
    pub valid_for_ms: u64,
    /// If less than `needed` was granted: until `smallest` would be granted if nothing else is drawn meanwhile, or
    /// `u64::MAX` if it exceeds the limit.
    pub retry_ms: u64,
}

/// The answer to several draws.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drawn {
    /// By draw, in their order.
    pub grants: Vec<Grant>,
    /// The pool's clock, in Unix milliseconds.
    pub now_ms: i64,
}

/// Units that were granted and will not be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Return {
    /// The window, which is a sliding one.
    pub window: PoolWindow,
    /// The fixed window that they were granted in: later nothing is given back.
    pub bucket: u64,
    /// How many.
    pub units: u32,
}

/// Where all nodes draw from.
#[async_trait]
pub trait LimitPool: Send + Sync + 'static {
    /// Draws from several windows, each named at most once. Each grants what it can, for itself.
    ///
    /// # Errors
    /// [`StoreError`]; what was granted, if anything was, is lost until the window is over.
    async fn draw(&self, draws: Vec<Draw>) -> Result<Drawn, StoreError>;

    /// Gives units back. To be called at most once for the same units, also after an error.
    ///
    /// # Errors
    /// [`StoreError`]; the units are lost until their window is over.
    async fn give_back(&self, units: Vec<Return>) -> Result<(), StoreError>;

    /// Forgets windows that are over. To be called now and then.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn prune(&self) -> Result<(), StoreError>;
}

/// How far ahead of the clock a window may be before it is taken for the work of a clock that was wrong, in
/// milliseconds.
pub const AHEAD_MAX_MS: u64 = 600_000;
/// How long units of a smooth window, which a call waits for, are good.
pub const SMOOTH_VALID_MS: u64 = 2_000;

/// One window's count. A sliding window keeps what was granted in the fixed window `bucket` and in the one before; a
/// smooth one the time at which everything granted has drained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// Number of the fixed window, counted from the Unix epoch.
    pub bucket: u64,
    /// Granted in it.
    pub current: u64,
    /// Granted in the one before.
    pub previous: u64,
    /// Theoretical arrival time (ITU-T I.371), in Unix nanoseconds.
    pub drained_at_ns: u64,
}

impl Counter {
    /// Draws at `now_ms`, in Unix milliseconds.
    pub fn draw(&mut self, draw: &Draw, now_ms: u64) -> Grant {
        match draw.window.algorithm {
            Algorithm::Sliding => {
                self.roll(draw.window.window_seconds, now_ms);
                self.current += u64::from(draw.already);
                let available = self.available(draw, now_ms);
                let granted = granted(draw, available);
                self.current += u64::from(granted);
                self.grant(draw, granted, now_ms)
            }
            Algorithm::Smooth => self.draw_smooth(draw, now_ms),
        }
    }

    /// Takes units back.
    pub fn give_back(&mut self, returned: &Return) {
        if self.bucket == returned.bucket {
            self.current = self.current.saturating_sub(u64::from(returned.units));
        }
    }

    /// What a draw of a sliding window comes to, given the count after it.
    pub fn grant(&self, draw: &Draw, granted: u32, now_ms: u64) -> Grant {
        let length_ms = length_ms(draw.window.window_seconds);
        let left = self.available(draw, now_ms);
        let end_ms = (self.bucket + 1) * length_ms;
        let retry_ms = if granted >= draw.needed { 0 } else { self.retry_ms(draw, now_ms) };
        Grant {
            granted,
            left: u32::try_from(left).unwrap_or(u32::MAX),
            bucket: self.bucket,
            valid_for_ms: end_ms.saturating_sub(now_ms),
            retry_ms,
        }
    }

    /// Moves on to the fixed window of `now_ms`. A clock that is behind draws from the window that is there.
    fn roll(&mut self, window_seconds: u32, now_ms: u64) {
        let length_ms = length_ms(window_seconds);
        let own = now_ms / length_ms;
        let is_plausible = self.bucket <= own + 1 + AHEAD_MAX_MS / length_ms;
        if self.bucket >= own && is_plausible {
            return;
        }
        self.previous = if self.bucket + 1 == own { self.current } else { 0 };
        self.current = 0;
        self.bucket = own;
    }

    /// `limit − current − previous · (1 − elapsed / length)`, the last rounded up.
    fn available(&self, draw: &Draw, now_ms: u64) -> u64 {
        let length_ms = length_ms(draw.window.window_seconds);
        let elapsed_ms = now_ms.saturating_sub(self.bucket * length_ms).min(length_ms);
        let carried = scale_up(self.previous, length_ms - elapsed_ms, length_ms);
        draw.limit.saturating_sub(self.current).saturating_sub(carried)
    }

    fn retry_ms(&self, draw: &Draw, now_ms: u64) -> u64 {
        let length_ms = length_ms(draw.window.window_seconds);
        let begin_ms = self.bucket * length_ms;
        let Some(room) = draw.limit.checked_sub(u64::from(draw.smallest.max(1))) else { return u64::MAX };
        // The elapsed time at which a full window carries at most the room.
        let until = |spent: u64, room: u64| match spent.checked_sub(room) {
            None | Some(0) => 0,
            Some(over) => scale_up(over, length_ms, spent),
        };
        let at_ms = match room.checked_sub(self.current) {
            Some(room) if until(self.previous, room) < length_ms => begin_ms + until(self.previous, room),
            _ => begin_ms + length_ms + until(self.current, room),
        };
        at_ms.saturating_sub(now_ms).max(1)
    }

    fn draw_smooth(&mut self, draw: &Draw, now_ms: u64) -> Grant {
        let instant_ns = now_ms.saturating_mul(1_000_000);
        let length_ns = length_ms(draw.window.window_seconds).saturating_mul(1_000_000);
        let is_foreign = self.drained_at_ns > instant_ns + length_ns + AHEAD_MAX_MS * 1_000_000;
        let start_ns = if is_foreign { instant_ns } else { self.drained_at_ns.max(instant_ns) };
        let room_ns = (instant_ns + length_ns).saturating_sub(start_ns);
        let room = u128::from(room_ns) * u128::from(draw.limit) / u128::from(length_ns);
        let room = u32::try_from(room).unwrap_or(u32::MAX);
        let granted = if room < draw.smallest { 0 } else { room.min(draw.needed) };
        self.drained_at_ns = start_ns + scale_up(u64::from(granted), length_ns, draw.limit);
        smooth_grant(draw, granted, self.drained_at_ns, now_ms)
    }
}

/// What a draw of a smooth window comes to, given the time at which everything granted has drained.
pub fn smooth_grant(draw: &Draw, granted: u32, drained_at_ns: u64, now_ms: u64) -> Grant {
    let instant_ns = now_ms.saturating_mul(1_000_000);
    let length_ns = length_ms(draw.window.window_seconds).saturating_mul(1_000_000);
    let room_ns = (instant_ns + length_ns).saturating_sub(drained_at_ns).min(length_ns);
    let left = u128::from(room_ns) * u128::from(draw.limit) / u128::from(length_ns);
    let smallest_ns = scale_up(u64::from(draw.smallest.max(1)), length_ns, draw.limit);
    let retry_ms = match (granted >= draw.needed, smallest_ns > length_ns) {
        (true, _) => 0,
        (false, true) => u64::MAX,
        (false, false) => smallest_ns.saturating_sub(room_ns).div_ceil(1_000_000).max(1),
    };
    Grant {
        granted,
        left: u32::try_from(left).unwrap_or(u32::MAX),
        bucket: 0,
        valid_for_ms: SMOOTH_VALID_MS,
        retry_ms,
    }
}

/// How much of what is available a draw gets: what calls wait for first, then what is expected, as long as every node
/// could take twice as much.
fn granted(draw: &Draw, available: u64) -> u32 {
    if available < u64::from(draw.smallest) {
        return 0;
    }
    let ahead = (available / (2 * u64::from(draw.nodes.max(1)))).min(draw.want.into());
    let granted = ahead.max(draw.needed.into()).min(available);
    u32::try_from(granted).expect("at most what was asked for")
}

fn length_ms(window_seconds: u32) -> u64 {
    u64::from(window_seconds.max(1)) * 1_000
}

/// `value · numerator / denominator`, rounded up; all of it where that exceeds 64 bits.
fn scale_up(value: u64, numerator: u64, denominator: u64) -> u64 {
    let product = u128::from(value) * u128::from(numerator);
    u64::try_from(product.div_ceil(u128::from(denominator.max(1)))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn draw(limit: u64, needed: u32, want: u32, algorithm: Algorithm) -> Draw {
        let subject = Subject::Key(KeyNumber(1));
        Draw {
            window: PoolWindow { subject, window_seconds: 10, slot: 0, algorithm },
            limit,
            needed,
            smallest: needed,
            want,
            already: 0,
            nodes: 3,
        }
    }

    #[test]
    fn grants_shrink_towards_the_end_and_are_exact_there() {
        let mut counter = Counter::default();
        let ask = |needed, want| draw(100, needed, want, Algorithm::Sliding);
        assert_eq!(counter.draw(&ask(1, 50), 100_000).granted, 16, "100 / (2 · 3)");
        assert_eq!(counter.draw(&ask(40, 1), 100_000).granted, 40);
        assert_eq!(counter.draw(&ask(1, 50), 100_000).granted, 7);
        assert_eq!(
            counter.draw(&ask(38, 1), 100_000),
            Grant { granted: 0, left: 37, bucket: 10, valid_for_ms: 10_000, retry_ms: 10_159 }
        );
        assert_eq!(counter.draw(&ask(37, 1), 109_999).granted, 37);
        assert_eq!(counter.draw(&ask(0, 50), 109_999).granted, 0);
        assert_eq!(counter.draw(&ask(1, 1), 110_000).granted, 0, "the window before still counts");
        assert_eq!(counter.draw(&ask(1, 1), 110_100).granted, 1);
        counter.give_back(&Return { window: ask(1, 1).window, bucket: 10, units: 1 });
        assert_eq!(counter.current, 1, "too late");
        counter.give_back(&Return { window: ask(1, 1).window, bucket: 11, units: 1 });
        assert_eq!(counter.current, 0);
    }

    #[test]
    fn what_a_node_granted_itself_counts_even_beyond_the_limit() {
        let mut counter = Counter::default();
        let ask = Draw { already: 90, ..draw(100, 5, 5, Algorithm::Sliding) };
        assert_eq!(counter.draw(&ask, 100_000).granted, 5);
        assert_eq!(counter.draw(&ask, 100_000).granted, 0);
        assert_eq!(counter.current, 185);
    }

    #[test]
    fn a_clock_that_steps_back_draws_from_the_window_that_is_there() {
        let mut counter = Counter::default();
        let ask = draw(10, 10, 10, Algorithm::Sliding);
        assert_eq!(counter.draw(&ask, 100_000).granted, 10);
        assert_eq!(counter.draw(&ask, 99_999).granted, 0);
        assert_eq!(counter.bucket, 10);
        // Hours ahead: that clock was wrong.
        counter.bucket = 10_000;
        assert_eq!(counter.draw(&ask, 99_999).granted, 10);
        assert_eq!(counter.bucket, 9);
    }

    #[test]
    fn smooth_windows_refill_evenly() {
        let mut counter = Counter::default();
        let ask = |needed| draw(10, needed, needed, Algorithm::Smooth);
        assert_eq!(counter.draw(&ask(8), 100_000).granted, 8);
        let refused = counter.draw(&ask(3), 100_000);
        assert_eq!((refused.granted, refused.left, refused.retry_ms), (0, 2, 1_000));
        assert_eq!(counter.draw(&ask(3), 100_999).granted, 0);
        assert_eq!(counter.draw(&ask(3), 101_000).granted, 3);
        assert_eq!(counter.draw(&ask(11), 999_000).retry_ms, u64::MAX);
    }

    proptest! {
        #[test]
        fn never_more_than_the_limit_in_a_fixed_window(
            limit in 1..500_u64,
            asks in prop::collection::vec((0..4_000_u64, 0..60_u32, 0..200_u32, 0..30_u32), 1..200),
        ) {
            let (mut counter, mut now_ms, mut per_bucket) = (Counter::default(), 1_000_000, std::collections::HashMap::new());
            for (pause_ms, needed, want, smallest) in asks {
                now_ms += pause_ms;
                let ask = Draw { smallest, ..draw(limit, needed, want, Algorithm::Sliding) };
                let grant = counter.draw(&ask, now_ms);
                let sum = per_bucket.entry(grant.bucket).or_insert(0);
                *sum += u64::from(grant.granted);
                prop_assert!(*sum <= limit);
                prop_assert_eq!(grant.bucket, now_ms / 10_000);
                prop_assert_eq!(now_ms + grant.valid_for_ms, (grant.bucket + 1) * 10_000);
                if grant.retry_ms != 0 && grant.retry_ms != u64::MAX {
                    let (mut early, mut then) = (counter, counter);
                    let least = smallest.max(1);
                    let again = Draw { needed: least, smallest: least, ..ask };
                    prop_assert!(then.draw(&again, now_ms + grant.retry_ms).granted >= least);
                    let too_early = early.draw(&again, now_ms + grant.retry_ms - 1);
                    prop_assert!(too_early.granted < least || grant.retry_ms == 1);
                }
            }
        }
    }
}
