//! Limits that several nodes share.
//!
//! The two words of a window hold a *share* here: units that were drawn from the pool
//! ([`keywright_domain::pool`]) before, and until when they may be spent. A call that finds enough spends by
//! compare-and-swap. One that does not gets [`Unavailable::Share`](crate::Unavailable::Share), which nobody answers:
//! whoever asked settles it with the pool ([`Engine::missing_shares`], [`Engine::draw`], [`Engine::settle`]), and asks
//! again with what was [`Settled`].
//!
//! # Bounds
//!
//! While the pool answers: at most the limit in each of its fixed windows, and less than twice the limit in any interval
//! of that length, in total over all nodes; exactly as a single node counts. A share ends with the fixed window that it
//! was granted in, counted from before the draw was sent, so units never spill into the next. A call is in the window in
//! which its decision began. Unused are the shares of nodes that do not spend them, until they are given back.
//!
//! While a node cannot ask the pool, it goes on with its part of the limit, divided by the number of nodes that it knew
//! last, less what it drew before: then at most `(2 − 1 / nodes) · limit` in the windows that begin or end such a time.

mod exhausted;
mod ledger;
mod settled;
mod spend;
mod words;

use std::sync::{
    OnceLock,
    atomic::{AtomicI64, AtomicU32, Ordering::Relaxed},
};

use keywright_domain::{
    key::KeyNumber,
    limits::Algorithm,
    pool::{Draw, Grant, PoolWindow, Return, Subject},
    workspace::WorkspaceNumber,
};
use parking_lot::Mutex;

pub use self::settled::{MissingShares, Outcome, Settled, Target};
pub(crate) use self::spend::SharedCall;
use self::words::{Share, Tag};
use self::{exhausted::Exhausted, ledger::Ledger, words::Known};
use crate::{Engine, Moment, limits::Window, record, state::WORKSPACE_WINDOWS};

/// Most windows that wait to be drawn ahead.
const LOW_MAX: usize = 1_024;

type Wake = Box<dyn Fn() + Send + Sync>;

/// What an engine needs to share limits.
pub(crate) struct Sharing {
    nodes: AtomicU32,
    /// The pool's clock minus the boot clock, in milliseconds.
    offset_ms: AtomicI64,
    exhausted: Exhausted,
    ledger: Ledger,
    low: Mutex<Vec<Target>>,
    wake: OnceLock<Wake>,
    /// Held while a node grants itself units.
    own_grants: Mutex<()>,
}

impl Sharing {
    fn new(offset_ms: i64) -> Self {
        Self {
            nodes: AtomicU32::new(1),
            offset_ms: AtomicI64::new(offset_ms),
            exhausted: Exhausted::default(),
            ledger: Ledger::default(),
            low: Mutex::default(),
            wake: OnceLock::new(),
            own_grants: Mutex::default(),
        }
    }

    pub(crate) fn offset_ms(&self) -> i64 {
        self.offset_ms.load(Relaxed)
    }

    /// A share of which little is left. Never waits: who comes next says it again, or waits for a draw.
    #[cold]
    fn note_low(&self, target: Target) {
        let Some(mut low) = self.low.try_lock() else { return };
        if low.len() < LOW_MAX {
            low.push(target);
        }
        drop(low);
        if let Some(wake) = self.wake.get() {
            wake();
        }
    }
}

impl Engine {
    /// From now on limits are shared with other nodes: to be called before anything is loaded.
    #[must_use]
    pub fn with_shared_limits(mut self) -> Self {
        self.sharing = Some(Box::new(Sharing::new(self.aligned_offset_ms)));
        self
    }

    /// Whether limits are shared.
    pub fn shares_limits(&self) -> bool {
        self.sharing.is_some()
    }

    /// How many nodes share the limits.
    pub fn set_nodes(&self, nodes: u32) {
        if let Some(sharing) = &self.sharing {
            sharing.nodes.store(nodes.max(1), Relaxed);
        }
    }

    /// How many nodes share limits and balances, this one included.
    pub fn nodes(&self) -> u32 {
        self.sharing.as_ref().map_or(1, |sharing| sharing.nodes.load(Relaxed))
    }

    /// Has `wake` called when [`Self::low_shares`] has something to say. Only the first one is kept.
    pub fn on_low_shares(&self, wake: impl Fn() + Send + Sync + 'static) {
        if let Some(sharing) = &self.sharing {
            let _kept = sharing.wake.set(Box::new(wake));
        }
    }

    /// Shares of which little is left, and of which more will be needed.
    pub fn low_shares(&self) -> Vec<Target> {
        self.sharing.as_ref().map(|sharing| std::mem::take(&mut *sharing.low.lock())).unwrap_or_default()
    }

    /// What to draw from a window for calls with these costs; without any, to draw ahead.
    pub fn draw(&self, target: &Target, costs: &[u32], now: Moment) -> Option<Draw> {
        let sharing = self.sharing.as_ref()?;
        let now_ms = now.boot_ns / 1_000_000;
        let waiting = costs.iter().fold(0_u32, |sum, cost| sum.saturating_add(*cost));
        let smallest = costs.iter().copied().min().unwrap_or(0);
        let (mut units, mut already) = (0, 0);
        if target.window.algorithm == Algorithm::Sliding {
            let known = self.with_share(target, |share| (share.units(target.tag, now_ms), share.known()));
            let (left, known) = known.unwrap_or_default();
            units = left;
            if known.is_own_grant && known.bucket == self.bucket_bits(&target.window, now_ms) {
                already = part(target.limit, sharing.nodes.load(Relaxed));
            }
        }
        let want =
            if target.is_shared() { sharing.ledger.want(target, units, waiting, now.boot_ns) } else { 0 };
        Some(Draw {
            window: target.window,
            limit: target.limit.into(),
            needed: waiting.saturating_sub(units),
            smallest: smallest.saturating_sub(units),
            want,
            already,
            nodes: sharing.nodes.load(Relaxed),
        })
    }

    /// Distributes what was granted among the calls that wait, in their order; what is left becomes the node's share.
    /// `sent` is a moment before the draw was sent, `pool_now_ms` the pool's clock in its answer. Of the same window one
    /// draw is made at a time.
    pub fn settle(
        &self,
        target: &Target,
        grant: &Grant,
        pool_now_ms: i64,
        sent: Moment,
        costs: &[u32],
    ) -> Vec<Outcome> {
        let Some(sharing) = &self.sharing else { return vec![Outcome::CutOff; costs.len()] };
        let sent_ms = sent.boot_ns / 1_000_000;
        let now_ms = self.clock.boot_ns() / 1_000_000;
        sharing.offset_ms.store(pool_now_ms.saturating_sub_unsigned(sent_ms), Relaxed);
        // Less what may have been lost in rounding to milliseconds.
        let until_ms = sent_ms.saturating_add(grant.valid_for_ms).saturating_sub(1);
        if now_ms >= until_ms {
            return vec![Outcome::Late; costs.len()];
        }
        if target.window.algorithm == Algorithm::Smooth {
            let (outcomes, _) = self.distribute(target, grant, grant.granted, until_ms, costs);
            return outcomes;
        }
        let settled = self.with_share(target, |share| {
            let before = share.known();
            let bucket = low_bits(grant.bucket);
            let kept = share.withdraw(target.tag, now_ms);
            let kept = if before.bucket == bucket { kept } else { 0 };
            let pot = kept.saturating_add(grant.granted);
            let (outcomes, rest) = self.distribute(target, grant, pot, until_ms, costs);
            let drawn = if before.bucket == bucket { before.drawn } else { 0 };
            let mark = if rest >= 8 && target.is_shared() { rest.ilog2() - 2 } else { 0 };
            let known = Known {
                tag: target.tag,
                bucket,
                is_own_grant: false,
                mark: u8::try_from(mark).unwrap_or(0),
                left: grant.left,
                drawn: drawn.saturating_add(grant.granted),
            };
            share.put(known, until_ms, rest);
            sharing.ledger.drawn(target, grant.bucket, rest, self.clock.boot_ns());
            outcomes
        });
        settled.unwrap_or_else(|| vec![Outcome::Late; costs.len()])
    }

    /// Pays calls out of `pot`; returns what is left of it.
    fn distribute(
        &self,
        target: &Target,
        grant: &Grant,
        mut pot: u32,
        until_ms: u64,
        costs: &[u32],
    ) -> (Vec<Outcome>, u32) {
        let pay = |cost: &u32| match pot.checked_sub(*cost) {
            Some(rest) => {
                pot = rest;
                Outcome::Paid { until_ms }
            }
            None if *cost > target.limit => Outcome::Refused { retry_ms: u64::MAX },
            None => Outcome::Refused { retry_ms: grant.retry_ms.max(1) },
        };
        let outcomes: Vec<Outcome> = costs.iter().map(pay).collect();
        let refused =
            costs.iter().zip(&outcomes).filter(|(_, outcome)| matches!(outcome, Outcome::Refused { .. }));
        if let (Some(sharing), Some(cost)) = (&self.sharing, refused.map(|(cost, _)| *cost).min()) {
            let now_ms = self.clock.boot_ns() / 1_000_000;
            sharing.exhausted.note(
                exhausted_key(target),
                cost.saturating_sub(pot),
                now_ms,
                grant.retry_ms.max(1),
            );
        }
        (outcomes, pot)
    }

    /// Units that were not spent since the last call, taken out of the shares, to be given back. Call it twice a second.
    pub fn idle_shares(&self, now: Moment) -> Vec<Return> {
        let Some(sharing) = &self.sharing else { return Vec::new() };
        let now_ms = now.boot_ns / 1_000_000;
        let units = |target: &Target| {
            self.with_share(target, |share| share.units(target.tag, now_ms)).unwrap_or_default()
        };
        self.withdraw(sharing.ledger.idle(now.boot_ns, units), now_ms)
    }

    /// Whether this node may have units of a limit that others could use.
    pub fn holds_shares(&self) -> bool {
        self.sharing.as_ref().is_some_and(|sharing| !sharing.ledger.is_empty())
    }

    /// All units, taken out of the shares, to be given back at the end.
    pub fn all_shares(&self, now: Moment) -> Vec<Return> {
        let Some(sharing) = &self.sharing else { return Vec::new() };
        self.withdraw(sharing.ledger.all(), now.boot_ns / 1_000_000)
    }

    fn withdraw(&self, targets: Vec<(Target, u64)>, now_ms: u64) -> Vec<Return> {
        let take = |(target, bucket): (Target, u64)| {
            // What the node granted itself is not the pool's.
            let take = |share: Share<'_>| {
                if share.known().is_own_grant { 0 } else { share.withdraw(target.tag, now_ms) }
            };
            let units = self.with_share(&target, take).unwrap_or_default();
            (units > 0).then_some(Return { window: target.window, bucket, units })
        };
        targets.into_iter().filter_map(take).collect()
    }

    /// Hands the words of a window to `look`. `None` if they are gone.
    fn with_share<T>(&self, target: &Target, look: impl FnOnce(Share<'_>) -> T) -> Option<T> {
        let place = usize::from(target.place);
        let words = match target.window.subject {
            Subject::Workspace(WorkspaceNumber(number)) => {
                self.state.workspaces.get(number)?[WORKSPACE_WINDOWS..].as_chunks::<2>().0.get(place)?
            }
            Subject::Key(KeyNumber(number)) => {
                let record = self.state.records.get(number)?;
                match place.checked_sub(1) {
                    None => record::first_window(record),
                    Some(further) => {
                        let counters = record::read(record)?.facts.counters;
                        let row = self.state.counters.get(counters).filter(|_| counters != 0)?;
                        row.as_chunks::<2>().0.get(further)?
                    }
                }
            }
        };
        Some(look(Share::of(words)))
    }

    /// The last bits of the number of the fixed window, as far as this node knows the pool's clock.
    fn bucket_bits(&self, window: &PoolWindow, now_ms: u64) -> u8 {
        let offset_ms = self.sharing.as_ref().map_or(0, |sharing| sharing.offset_ms());
        low_bits(now_ms.saturating_add_signed(offset_ms) / length_ms(window.window_seconds))
    }
}

/// A node's part of a limit.
fn part(limit: u32, nodes: u32) -> u32 {
    limit / nodes.max(1)
}

fn length_ms(window_seconds: u32) -> u64 {
    u64::from(window_seconds.max(1)) * 1_000
}

#[expect(clippy::cast_possible_truncation, reason = "the last eight bits")]
fn low_bits(bucket: u64) -> u8 {
    bucket as u8
}

/// Names a window in the table of exhausted ones, together with its definition.
fn exhausted_key(target: &Target) -> u64 {
    let (scope, number) = match target.window.subject {
        Subject::Key(number) => (0, number.0),
        Subject::Workspace(number) => (1, number.0),
    };
    1 << 63 | scope << 60 | u64::from(target.place) << 48 | target.tag.bits() << 32 | u64::from(number)
}

/// Which of the windows of this length and algorithm a window is.
fn slot(windows: &[Window], place: usize) -> u8 {
    let own = windows[place];
    let same = windows[..place]
        .iter()
        .filter(|other| other.window_seconds == own.window_seconds && other.algorithm == own.algorithm);
    u8::try_from(same.count()).unwrap_or(u8::MAX)
}
