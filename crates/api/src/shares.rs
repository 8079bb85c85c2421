//! Settles limits with the pool that all nodes share.
//!
//! Calls that find no share of a limit wait here. Per window one draw is made at a time, for everybody who waits; draws of
//! different windows go together. Little is left of a share that is in demand: more is drawn before anybody waits. What
//! is not spent goes back. While the pool does not answer, calls are told so at once, and it is asked four times a second
//! whether it is back.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::{
    StreamExt as _,
    future::{Either, join_all, select},
    stream::FuturesUnordered,
};
use keywright_domain::{
    pool::{Drawn, LimitPool, PoolWindow, Return},
    time::Clock,
};
use keywright_engine::{Engine, MissingShares, Moment, Outcome, Settled, Target};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, MissedTickBehavior, interval, interval_at, timeout},
};

/// Most windows in one statement.
const BATCH_MAX: usize = 256;
/// Most statements under way.
const STATEMENTS_MAX: usize = 4;
/// Most calls that wait for one window; more are refused at once, to be tried again.
const CALLS_MAX: usize = 4_096;
/// How long the pool may take before it counts as out of reach.
const PATIENCE: Duration = Duration::from_millis(400);
/// How long a call waits if nobody draws at all.
const CALL_PATIENCE: Duration = Duration::from_secs(2);
/// How often idle shares are looked for, and a pool that is out of reach.
const TICK: Duration = Duration::from_millis(250);
/// Number of ticks between two looks for idle shares.
const IDLE_TICKS: u64 = 2;
/// How often windows that are over are removed from the pool.
const PRUNE: Duration = Duration::from_secs(60);

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Draws shares of limits for the calls of this node.
pub struct Shares {
    engine: Arc<Engine>,
    pool: Arc<dyn LimitPool>,
    clock: Arc<dyn Clock>,
    waiting: Mutex<Waiting>,
    wake: Arc<Notify>,
    is_cut_off: AtomicBool,
}

/// Windows that calls wait for.
#[derive(Default)]
struct Waiting {
    windows: HashMap<PoolWindow, Queue>,
    /// Windows to be drawn from, each once.
    due: VecDeque<PoolWindow>,
}

struct Queue {
    target: Target,
    calls: Vec<Call>,
    /// Whether a draw of it is under way.
    is_under_way: bool,
}

struct Call {
    cost: u32,
    reply: oneshot::Sender<Outcome>,
}

impl Shares {
    /// Draws from `pool` for `engine`, which shares its limits, once [`Self::run`] runs.
    pub fn new(engine: Arc<Engine>, pool: Arc<dyn LimitPool>, clock: Arc<dyn Clock>) -> Self {
        let wake = Arc::new(Notify::new());
        let waker = Arc::clone(&wake);
        engine.on_low_shares(move || waker.notify_one());
        Self { engine, pool, clock, waiting: Mutex::default(), wake, is_cut_off: AtomicBool::new(false) }
    }

    /// Whether the pool did not answer lately.
    pub fn is_cut_off(&self) -> bool {
        self.is_cut_off.load(Relaxed)
    }

    /// Settles what a call misses. May be called from any runtime.
    pub(crate) async fn settle(&self, missing: &MissingShares) -> Settled {
        let MissingShares { settled, targets, cost } = missing;
        let (settled, cost) = (*settled, *cost);
        if self.is_cut_off() {
            return targets.iter().fold(settled, |settled, target| settled.with(target, Outcome::CutOff));
        }
        let replies: Vec<_> = targets.iter().map(|target| self.wait_for(target, cost)).collect();
        self.wake.notify_one();
        let outcomes = timeout(CALL_PATIENCE, join_all(replies)).await.unwrap_or_default();
        let outcomes = outcomes.into_iter().map(|outcome| outcome.unwrap_or(Outcome::CutOff));
        let outcomes = outcomes.chain(std::iter::repeat(Outcome::CutOff));
        targets.iter().zip(outcomes).fold(settled, |settled, (target, outcome)| settled.with(target, outcome))
    }

    fn wait_for(&self, target: &Target, cost: u32) -> oneshot::Receiver<Outcome> {
        let (reply, outcome) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        let queue = waiting.due(target);
        if queue.calls.len() < CALLS_MAX {
            queue.calls.push(Call { cost, reply });
        } else {
            // Nobody waits for it.
            let _closed = reply.send(Outcome::Refused { retry_ms: 1_000 });
        }
        outcome
    }

    /// Draws until `stop` is ready; then gives back what is left. In one runtime, which the pool's connections live in.
    pub async fn run(self: Arc<Self>, stop: impl Future<Output = ()> + Send) {
        let mut stop = Box::pin(stop);
        {
            let work = Box::pin(Arc::clone(&self).draw_for_ever());
            if let Either::Left(((), _)) = select(&mut stop, work).await {}
        }
        let left = self.engine.all_shares(self.now());
        if !left.is_empty() {
            drop(timeout(PATIENCE, self.pool.give_back(left)).await);
        }
    }

    async fn draw_for_ever(self: Arc<Self>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut prunes = interval_at(Instant::now() + PRUNE, PRUNE);
        prunes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut draws, mut others) = (FuturesUnordered::<Work>::new(), FuturesUnordered::<Work>::new());
        let mut tick = 0_u64;
        loop {
            tokio::select! {
                () = self.wake.notified() => {}
                Some(()) = draws.next(), if !draws.is_empty() => {}
                Some(()) = others.next(), if !others.is_empty() => {}
                _ = prunes.tick() => others.push(self.prune()),
                // A node that holds nothing and misses nothing sleeps.
                _ = ticks.tick(), if self.is_cut_off() || self.engine.holds_shares() => {
                    tick += 1;
                    if others.len() < STATEMENTS_MAX {
                        others.extend(self.at_tick(tick));
                    }
                }
            }
            self.note_low();
            while draws.len() < STATEMENTS_MAX
                && let Some(batch) = self.next_batch()
            {
                draws.push(Box::pin(Arc::clone(&self).draw(batch)));
            }
        }
    }

    fn at_tick(self: &Arc<Self>, tick: u64) -> Option<Work> {
        let shares = Arc::clone(self);
        if self.is_cut_off() {
            return Some(Box::pin(async move {
                if let Ok(Ok(_)) = timeout(PATIENCE, shares.pool.draw(Vec::new())).await {
                    shares.set_cut_off(false, "");
                }
            }));
        }
        if !tick.is_multiple_of(IDLE_TICKS) {
            return None;
        }
        let idle: Vec<Return> = self.engine.idle_shares(self.now());
        if idle.is_empty() {
            return None;
        }
        let give_back = async move {
            // At most once: what gets lost is over with its window.
            drop(timeout(PATIENCE, shares.pool.give_back(idle)).await);
        };
        Some(Box::pin(give_back))
    }

    fn prune(self: &Arc<Self>) -> Work {
        let shares = Arc::clone(self);
        Box::pin(async move {
            if let Ok(Err(error)) = timeout(CALL_PATIENCE, shares.pool.prune()).await {
                tracing::warn!(%error, "limit windows that are over were not removed");
            }
        })
    }

    fn note_low(&self) {
        let low = self.engine.low_shares();
        if !low.is_empty() && !self.is_cut_off() {
            let mut waiting = self.waiting.lock();
            for target in low {
                waiting.due(&target);
            }
        }
    }

    fn next_batch(&self) -> Option<Vec<(Target, Vec<Call>)>> {
        let mut waiting = self.waiting.lock();
        let mut batch = Vec::new();
        while batch.len() < BATCH_MAX
            && let Some(window) = waiting.due.pop_front()
        {
            let Some(queue) = waiting.windows.get_mut(&window) else { continue };
            queue.is_under_way = true;
            // Whoever does not wait any more does not pay either.
            let calls = std::mem::take(&mut queue.calls);
            let calls = calls.into_iter().filter(|call| !call.reply.is_closed()).collect();
            batch.push((queue.target, calls));
        }
        (!batch.is_empty()).then_some(batch)
    }

    async fn draw(self: Arc<Self>, batch: Vec<(Target, Vec<Call>)>) {
        let sent = self.now();
        let costs: Vec<Vec<u32>> =
            batch.iter().map(|(_, calls)| calls.iter().map(|call| call.cost).collect()).collect();
        let asked = batch.iter().zip(&costs);
        let asked: Vec<_> =
            asked.filter_map(|((target, _), costs)| self.engine.draw(target, costs, sent)).collect();
        let drawn = match timeout(PATIENCE, self.pool.draw(asked)).await {
            Ok(Ok(drawn)) if drawn.grants.len() == batch.len() => Some(drawn),
            Ok(Ok(_)) => None,
            Ok(Err(error)) => {
                self.set_cut_off(true, &error.to_string());
                None
            }
            Err(_) => {
                self.set_cut_off(true, "it does not answer in time");
                None
            }
        };
        let windows: Vec<PoolWindow> = batch.iter().map(|(target, _)| target.window).collect();
        self.distribute(batch, &costs, drawn.as_ref(), sent);
        let mut waiting = self.waiting.lock();
        for window in &windows {
            waiting.done(window);
        }
    }

    fn distribute(
        &self,
        batch: Vec<(Target, Vec<Call>)>,
        costs: &[Vec<u32>],
        drawn: Option<&Drawn>,
        sent: Moment,
    ) {
        for (position, ((target, calls), costs)) in batch.into_iter().zip(costs).enumerate() {
            let outcomes = match drawn {
                Some(drawn) => {
                    self.engine.settle(&target, &drawn.grants[position], drawn.now_ms, sent, costs)
                }
                None => vec![Outcome::CutOff; costs.len()],
            };
            for (call, outcome) in calls.into_iter().zip(outcomes) {
                // Who has gone away meanwhile loses what was paid for the call: the limit errs towards refusing.
                let _gone = call.reply.send(outcome);
            }
        }
    }

    fn set_cut_off(&self, is_cut_off: bool, reason: &str) {
        if self.is_cut_off.swap(is_cut_off, Relaxed) == is_cut_off {
            return;
        }
        if is_cut_off {
            tracing::warn!(reason, "limits are not shared: this node goes on with its part of each");
        } else {
            tracing::info!("limits are shared again");
        }
    }

    fn now(&self) -> Moment {
        Moment::read(&*self.clock)
    }
}

impl Waiting {
    /// The window's queue; it will be drawn from.
    fn due(&mut self, target: &Target) -> &mut Queue {
        let fresh = || Queue { target: *target, calls: Vec::new(), is_under_way: false };
        let is_new = !self.windows.contains_key(&target.window);
        let queue = self.windows.entry(target.window).or_insert_with(fresh);
        queue.target = *target;
        if is_new {
            self.due.push_back(target.window);
        }
        queue
    }

    /// A draw of the window is over.
    fn done(&mut self, window: &PoolWindow) {
        let Some(queue) = self.windows.get_mut(window) else { return };
        if queue.calls.is_empty() {
            self.windows.remove(window);
        } else {
            queue.is_under_way = false;
            self.due.push_back(*window);
        }
    }
}
