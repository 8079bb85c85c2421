//! The thread that follows the log: carries out what the protocol says, and tells it what came of it.
//!
//! One task owns both state machines. Whatever waits for PostgreSQL runs beside it and comes back as an event.

use std::{
    collections::VecDeque,
    future::Future,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use keywright_cluster::{
    Barrier, Follower,
    barrier::{self, Receipt},
    follower::{self, Operation},
};
use keywright_domain::{
    control::{Incarnation, NewNode, NodeRow, PollRequest, history_began},
    entropy::random_bytes,
    lease::LeaseTerm,
    store::StoreError,
};
use keywright_engine::ApplyError;
use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::spawn_blocking,
    time::{sleep, timeout},
};

use super::{
    Parts, Readiness,
    alarm::Alarm,
    controls,
    waits::{Asked, Waits},
};
use crate::{
    failure::Failure,
    installation::{LoadProblem, load_into},
    system::SystemEntropy,
};

/// How long an operation may take. The control log gives its connections up on its own, at about the same time.
const OPERATION: Duration = Duration::from_secs(6);
/// How often the database is told that a run has ended, if it does not answer.
const FORGET_MAX: u32 = 3;
/// Most changes that are fetched at once.
const FETCH_MAX: u32 = 1_000;
/// How often it is noted at most that all nodes have applied the log.
const SETTLE_EVERY_NS: u64 = 100_000_000;
/// After announcements could not be waited for.
const LISTEN_AGAIN: Duration = Duration::from_millis(200);
/// How often the server's settings are looked at.
const PROMISE_EVERY: Duration = Duration::from_secs(30);
/// How often ends of keys are written to the journal at most, and how often it is looked after without an end.
const JOURNAL_EVERY: Duration = Duration::from_millis(200);
const JOURNAL_ANYWAY: Duration = Duration::from_secs(5);
/// Most events that are taken before the clock is read again.
const EVENTS_MAX: usize = 64;

/// What happens to a node.
pub(super) enum Event {
    /// The node has committed these changes, which take something away.
    Committed(Vec<u64>),
    /// The node's own commits were applied.
    Advanced { applied: u64 },
    /// A change was announced.
    Announced { sequence: u64 },
    /// Announcements told what the changes are, and they were applied.
    Told { applied: u64 },
    /// The state in memory cannot be used any more.
    Broken,
    /// An operation of the follower ended.
    Followed(follower::Input),
    /// What this process knew of the history before is in effect again; the head of the log after that.
    Reasserted { generation: u64, head: u64 },
    /// A poll of the follower was answered; what it said, for whoever looks.
    Polled(Box<keywright_domain::control::PollReply>, u64),
    /// An operation failed.
    Failed(String),
    /// The state cannot be loaded into this process, now or later.
    Unfit(Failure),
    /// The registry was read.
    Looked { asked_at_ns: u64, rows: Vec<NodeRow> },
    /// Something came of the barrier's other questions.
    Barred(barrier::Input),
    /// It was noted, or not, that the log is applied everywhere.
    Settled,
    /// Somebody waits for a change.
    Everywhere(Asked, oneshot::Sender<Receipt>),
    /// Somebody stops waiting, and wants to know how far the change is.
    HowFar(Asked, oneshot::Sender<keywright_api::cluster::Progress>),
    /// Somebody needs to know the head of the log, of a moment after this.
    Fresh(oneshot::Sender<u64>),
    /// The head of the log was read.
    Head(Option<u64>),
    /// The node ends.
    Stop(oneshot::Sender<bool>),
}

/// The state of the thread.
pub(super) struct Driver {
    parts: Arc<Parts>,
    events: mpsc::UnboundedSender<Event>,
    follower: Follower,
    barrier: Barrier,
    waits: Waits,
    /// The run that is registered or about to be. Kept over failed attempts: they may have succeeded.
    run: Option<Incarnation>,
    /// Who waits for the head that is being read, and who came later.
    fresh_asked: Option<Vec<oneshot::Sender<u64>>>,
    fresh_next: Vec<oneshot::Sender<u64>>,
    settled: u64,
    settle_to: u64,
    settle_at_ns: u64,
    is_settling: bool,
    ready: watch::Sender<Readiness>,
    stopping: Option<oneshot::Sender<bool>>,
}

impl Driver {
    pub(super) fn new(
        parts: Arc<Parts>,
        events: mpsc::UnboundedSender<Event>,
        ready: watch::Sender<Readiness>,
    ) -> Self {
        Self {
            parts,
            events,
            follower: Follower::new(controls::timing()),
            barrier: Barrier::new(controls::timing()),
            waits: Waits::default(),
            run: None,
            fresh_asked: None,
            fresh_next: Vec::new(),
            settled: 0,
            settle_to: 0,
            settle_at_ns: 0,
            is_settling: false,
            ready,
            stopping: None,
        }
    }

    /// Runs until the node is stopped.
    pub(super) async fn run(mut self, mut events: mpsc::UnboundedReceiver<Event>) -> std::io::Result<()> {
        let mut alarm = Alarm::new()?;
        tokio::spawn(listen(Arc::clone(&self.parts), self.events.clone()));
        tokio::spawn(watch_promise(Arc::clone(&self.parts)));
        tokio::spawn(keep_journal(Arc::clone(&self.parts)));
        self.follow(&follower::Input::Tick);
        while self.stopping.is_none() {
            alarm.set(controls::real_ns(self.next_tick_ns()))?;
            tokio::select! {
                biased;
                event = events.recv() => {
                    let Some(event) = event else { break };
                    self.take(event);
                    for _ in 1..EVENTS_MAX {
                        match events.try_recv() {
                            Ok(event) => self.take(event),
                            Err(_) => break,
                        }
                    }
                }
                gone_off = alarm.gone_off() => gone_off?,
            }
            self.tick();
        }
        self.end().await;
        Ok(())
    }

    fn next_tick_ns(&self) -> u64 {
        let follower_ns = self.follower.next_tick_ns().unwrap_or(u64::MAX);
        let settle_ns = if self.is_settle_due() { self.settle_at_ns } else { u64::MAX };
        follower_ns.min(self.barrier.next_tick_ns()).min(self.waits.next_end_ns()).min(settle_ns)
    }

    const fn is_settle_due(&self) -> bool {
        self.settle_to > self.settled && !self.is_settling
    }

    fn tick(&mut self) {
        let now_ns = controls::boot_ns();
        if self.follower.next_tick_ns().is_some_and(|tick_ns| tick_ns <= now_ns) {
            self.follow(&follower::Input::Tick);
        }
        if self.barrier.next_tick_ns() <= now_ns {
            self.bar(barrier::Input::Tick);
        }
        if self.is_settle_due() && self.settle_at_ns <= now_ns {
            self.settle(now_ns);
        }
        for ticket in self.waits.end_expectations(now_ns) {
            self.bar(barrier::Input::Abandoned(ticket));
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Committed(changes) => self.expect(&changes),
            Event::Advanced { applied } => self.follow(&follower::Input::Advanced { applied }),
            Event::Announced { sequence } => self.follow(&follower::Input::Announced { sequence }),
            Event::Told { applied } => self.follow(&follower::Input::Told { applied }),
            Event::Broken => self.start_over(),
            Event::Followed(input) => {
                self.works();
                self.follow(&input);
            }
            Event::Reasserted { generation, head } => {
                self.works();
                self.follow(&follower::Input::Reasserted { generation });
                self.bar(barrier::Input::HistoryChanged { began: history_began(head), sequence: head });
            }
            Event::Polled(reply, sent_at_ns) => {
                self.works();
                let standing = &self.parts.standing;
                standing.head.store(reply.head, Relaxed);
                standing.stable.store(reply.stable, Relaxed);
                standing.generation.store(reply.generation, Relaxed);
                standing.polled_ns.store(sent_at_ns, Relaxed);
                if reply.is_alive {
                    standing.renewed_ns.store(sent_at_ns, Relaxed);
                }
                self.count_nodes(reply.nodes);
                self.follow(&follower::Input::Polled(*reply));
            }
            Event::Failed(reason) => {
                self.fails(&reason);
                self.follow(&follower::Input::Failed);
            }
            Event::Unfit(failure) => {
                self.fails(&failure.to_string());
                self.ready.send_replace(Readiness::Unfit(Arc::new(Mutex::new(Some(failure)))));
                self.follow(&follower::Input::Failed);
            }
            Event::Looked { asked_at_ns, rows } => self.looked(asked_at_ns, rows),
            Event::Barred(input) => self.bar(input),
            Event::Settled => self.is_settling = false,
            Event::Everywhere(asked, reply) => self.everywhere(asked, reply),
            Event::HowFar(asked, reply) => {
                let progress = self.waits.progress(&self.barrier, asked, controls::boot_ns());
                drop(reply.send(progress));
            }
            Event::Fresh(reply) => {
                self.fresh_next.push(reply);
                self.read_head();
            }
            Event::Head(head) => self.head_was_read(head),
            Event::Stop(reply) => self.stopping = Some(reply),
        }
    }

    fn works(&self) {
        if self.parts.standing.set_trouble(None) {
            tracing::info!("the database is reached again");
        }
    }

    fn fails(&self, reason: &str) {
        self.parts.standing.failures.fetch_add(1, Relaxed);
        if self.parts.standing.set_trouble(Some(reason.to_owned())) {
            tracing::warn!(
                reason,
                "the database cannot be reached; keys are verified as long as the leases last"
            );
        }
    }

    // --- following ------------------------------------------------------------------------------------------------

    fn follow(&mut self, input: &follower::Input) {
        let now_ns = controls::boot_ns();
        for output in self.follower.step(now_ns, input) {
            match output {
                follower::Output::DropLeases => {
                    if controls::drops_leases() {
                        self.parts.engine.drop_leases();
                    }
                    self.parts.standing.leases_ns.iter().for_each(|end| end.store(0, Relaxed));
                }
                follower::Output::Lease(ends_ns) => self.lease(ends_ns),
                follower::Output::Stable(sequence) => self.parts.engine.set_stable(sequence),
                follower::Output::WallClock { sent_at_ns, wall_ms } => {
                    self.parts.clock.learn(sent_at_ns, now_ns, wall_ms);
                }
                follower::Output::Begin(operation) => self.begin(operation),
            }
        }
        if self.follower.incarnation().is_none() && self.parts.standing.run().is_some() {
            self.parts.standing.set_run(None);
            self.run = None;
        }
    }

    fn lease(&self, ends_ns: keywright_cluster::TermTable<u64>) {
        self.parts.engine.set_leases(controls::leases(ends_ns));
        for (place, end_ns) in self.parts.standing.leases_ns.iter().zip(ends_ns) {
            place.store(end_ns, Relaxed);
        }
        if matches!(*self.ready.borrow(), Readiness::Starting) {
            self.ready.send_replace(Readiness::Ready);
        }
    }

    /// What is in memory is of no use. The others need not wait for this run any more.
    fn start_over(&mut self) {
        self.follow(&follower::Input::Stop);
        if let Some(run) = self.run.take() {
            tokio::spawn(forget(Arc::clone(&self.parts), run));
        }
        self.parts.standing.set_run(None);
        self.follower = Follower::new(controls::timing());
        self.follow(&follower::Input::Tick);
    }

    fn begin(&mut self, operation: Operation) {
        let parts = Arc::clone(&self.parts);
        match operation {
            Operation::Register { applied, reasserted } => self.register(applied, reasserted),
            Operation::Load => {
                let is_first = matches!(*self.ready.borrow(), Readiness::Starting);
                self.spawn_long(async move { load(&parts, is_first).await });
            }
            Operation::Poll { incarnation, applied, anchor } => {
                let sent_at_ns = controls::boot_ns();
                let request = PollRequest { incarnation, applied, anchor };
                self.spawn(async move {
                    let reply = parts.control.poll(request).await?;
                    Ok(Event::Polled(Box::new(reply), sent_at_ns))
                });
            }
            Operation::Fetch { after } => self.spawn(async move {
                let changes = parts.control.changes_after(after, FETCH_MAX).await?;
                Ok(match parts.applier.apply(&changes) {
                    Ok(applied) => Event::Followed(follower::Input::Fetched { applied }),
                    Err(ApplyError::Gap { .. }) => Event::Followed(follower::Input::Gap),
                    Err(_) => Event::Broken,
                })
            }),
            Operation::Acknowledge { incarnation, applied } => self.spawn(async move {
                parts.control.acknowledge(incarnation, applied).await?;
                Ok(Event::Followed(follower::Input::Acknowledged { applied }))
            }),
            Operation::BeginGeneration { generation, epoch } => self.spawn(async move {
                if parts.control.begin_generation(generation, epoch).await? && generation > 0 {
                    tracing::warn!(
                        generation,
                        "the database continues another history; a new generation begins"
                    );
                }
                Ok(Event::Followed(follower::Input::GenerationBegun))
            }),
            Operation::Reassert { incarnation, generation } => {
                self.bar(barrier::Input::Reasserting);
                self.spawn_long(async move {
                    super::reassert::reassert(&parts).await?;
                    parts.control.reasserted(incarnation, generation).await?;
                    let head = parts.control.head().await?;
                    Ok(Event::Reasserted { generation, head })
                });
            }
        }
    }

    fn register(&mut self, applied: u64, reasserted: Option<u64>) {
        let incarnation = *self.run.get_or_insert_with(|| Incarnation(random_bytes(&SystemEntropy)));
        let parts = Arc::clone(&self.parts);
        self.spawn(async move {
            // Noted first: a run that is not in the file could not be declared dead.
            let noting = Arc::clone(&parts);
            spawn_blocking(move || noting.runs.begin(incarnation))
                .await
                .map_err(|error| StoreError::Internal(error.to_string()))?
                .map_err(|failure| StoreError::Internal(failure.to_string()))?;
            let node = NewNode {
                name: parts.name.clone(),
                incarnation,
                address: parts.address.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                applied,
                reasserted,
            };
            parts.control.register(node).await?;
            parts.standing.registrations.fetch_add(1, Relaxed);
            parts.standing.set_run(Some(incarnation));
            Ok(Event::Followed(follower::Input::Registered(incarnation)))
        });
    }

    fn spawn(&self, operation: impl Future<Output = Result<Event, StoreError>> + Send + 'static) {
        let events = self.events.clone();
        tokio::spawn(async move {
            let event = match timeout(OPERATION, operation).await {
                Ok(Ok(event)) => event,
                Ok(Err(error)) => Event::Failed(error.to_string()),
                Err(_) => Event::Failed("the database does not answer".to_owned()),
            };
            drop(events.send(event));
        });
    }

    /// For operations whose length depends on how much there is.
    fn spawn_long(&self, operation: impl Future<Output = Result<Event, StoreError>> + Send + 'static) {
        let events = self.events.clone();
        tokio::spawn(async move {
            let event = operation.await.unwrap_or_else(|error| Event::Failed(error.to_string()));
            drop(events.send(event));
        });
    }

    // --- barriers -------------------------------------------------------------------------------------------------

    fn everywhere(&mut self, asked: Asked, reply: oneshot::Sender<Receipt>) {
        let now_ns = controls::boot_ns();
        if let Some(ticket) = self.waits.add(asked, reply, now_ns) {
            self.bar(barrier::Input::Committed { ticket, sequence: asked.sequence, term: asked.term });
        }
    }

    /// The barrier begins with the commit, not only when its caller has come here to wait.
    fn expect(&mut self, changes: &[u64]) {
        for sequence in changes {
            if let Some(ticket) = self.waits.expect(*sequence, controls::boot_ns()) {
                let term = LeaseTerm::Long;
                self.bar(barrier::Input::Committed { ticket, sequence: *sequence, term });
            }
        }
    }

    fn bar(&mut self, input: barrier::Input) {
        let now_ns = controls::boot_ns();
        let mut outputs: VecDeque<_> = self.barrier.step(now_ns, input).into();
        while let Some(output) = outputs.pop_front() {
            match output {
                barrier::Output::Look => self.look(),
                barrier::Output::Challenge { node, renewals, sequence } => self.ask(async move |parts| {
                    let is_silent = parts.control.challenge(node, renewals, sequence).await?;
                    Ok(barrier::Input::Challenged { node, sequence, is_silent })
                }),
                barrier::Output::Fence { node, renewals } => self.ask(async move |parts| {
                    if parts.control.fence(node, renewals).await? {
                        tracing::warn!(%node, "a node was not heard of for a long time and is shut out");
                    }
                    Ok(barrier::Input::Fenced { node })
                }),
                barrier::Output::Done { ticket, receipt } => {
                    if let Some(over) = self.waits.done(ticket, receipt) {
                        self.parts.auditor.holds(over.asked.sequence);
                        self.parts.standing.count_barrier(now_ns.saturating_sub(over.since_ns));
                        self.parts.standing.silent.fetch_add(u64::from(receipt.silent > 0), Relaxed);
                        for other in over.others {
                            outputs.extend(self.barrier.step(now_ns, barrier::Input::Abandoned(other)));
                        }
                    }
                }
                barrier::Output::Overtaken(ticket) => {
                    self.waits.overtaken(ticket);
                    tracing::warn!(
                        "a change was acknowledged by a database whose history is over; nobody is told that it holds"
                    );
                }
                barrier::Output::Settled(sequence) => {
                    self.parts.engine.set_stable(sequence);
                    self.parts.standing.stable.fetch_max(sequence, Relaxed);
                    self.settle_to = self.settle_to.max(sequence);
                }
            }
        }
        self.parts.standing.waiting.store(self.waits.open() as u64, Relaxed);
    }

    fn look(&self) {
        let (parts, events) = (Arc::clone(&self.parts), self.events.clone());
        let asked_at_ns = controls::boot_ns();
        tokio::spawn(async move {
            let event = match parts.control.nodes().await {
                Ok(rows) => Event::Looked { asked_at_ns, rows },
                Err(error) => {
                    tracing::debug!(%error, "the registry cannot be read");
                    Event::Barred(barrier::Input::LookFailed)
                }
            };
            drop(events.send(event));
        });
    }

    fn looked(&mut self, asked_at_ns: u64, rows: Vec<NodeRow>) {
        self.parts.auditor.look(&rows);
        let applied = self.parts.engine.applied();
        let alive = || rows.iter().filter(|row| !row.is_fenced);
        let standing = &self.parts.standing;
        self.count_nodes(u32::try_from(alive().count()).unwrap_or(u32::MAX));
        let slowest = alive().map(|row| row.applied).min().unwrap_or(applied);
        standing.lag.store(standing.head.load(Relaxed).max(applied).saturating_sub(slowest), Relaxed);
        let own = self.follower.incarnation().map(|run| (run, applied));
        self.bar(barrier::Input::Looked { asked_at_ns, rows, own });
    }

    fn count_nodes(&self, nodes: u32) {
        self.parts.standing.nodes.store(nodes.into(), Relaxed);
        self.parts.engine.set_nodes(nodes);
    }

    /// Asks the registry for something whose answer the barrier can do without: it asks again.
    fn ask<F>(&self, question: impl FnOnce(Arc<Parts>) -> F)
    where
        F: Future<Output = Result<barrier::Input, StoreError>> + Send + 'static,
    {
        let (answer, events) = (question(Arc::clone(&self.parts)), self.events.clone());
        tokio::spawn(async move {
            match answer.await {
                Ok(input) => drop(events.send(Event::Barred(input))),
                Err(error) => tracing::debug!(%error, "the registry cannot be changed"),
            }
        });
    }

    /// Notes in the store that all nodes have applied the log, not for each change.
    fn settle(&mut self, now_ns: u64) {
        self.is_settling = true;
        self.settled = self.settle_to;
        self.settle_at_ns = now_ns + SETTLE_EVERY_NS;
        let (parts, events, sequence) = (Arc::clone(&self.parts), self.events.clone(), self.settled);
        tokio::spawn(async move {
            // What is lost here, the next change makes good.
            drop(parts.control.settle(sequence).await);
            drop(events.send(Event::Settled));
        });
    }

    // --- reading the head -----------------------------------------------------------------------------------------

    /// A question may only be answered by a reading that was begun after it.
    fn read_head(&mut self) {
        if self.fresh_asked.is_some() || self.fresh_next.is_empty() {
            return;
        }
        self.fresh_asked = Some(std::mem::take(&mut self.fresh_next));
        let (parts, events) = (Arc::clone(&self.parts), self.events.clone());
        tokio::spawn(async move {
            let head = parts.control.head().await;
            if let Err(error) = &head {
                tracing::debug!(%error, "the head of the log cannot be read");
            }
            drop(events.send(Event::Head(head.ok())));
        });
    }

    fn head_was_read(&mut self, head: Option<u64>) {
        let asked = self.fresh_asked.take().unwrap_or_default();
        if let Some(head) = head {
            for reply in asked {
                let _whoever_went_away = reply.send(head);
            }
            if head > self.parts.engine.applied() {
                self.follow(&follower::Input::Announced { sequence: head });
            }
        }
        self.read_head();
    }

    // --- the end --------------------------------------------------------------------------------------------------

    async fn end(mut self) {
        self.follow(&follower::Input::Stop);
        self.parts.engine.drop_leases();
        let is_told = match self.run.take() {
            None => true,
            Some(run) => {
                timeout(OPERATION, forget(Arc::clone(&self.parts), run)).await.unwrap_or_else(|_| {
                    tracing::warn!("the database could not be told that this node has ended");
                    false
                })
            }
        };
        if let Some(reply) = self.stopping.take() {
            let _whoever_went_away = reply.send(is_told);
        }
    }
}

/// A run of this node has ended: it holds no lease, and nobody need wait for it. A database that is slow is told again: others
/// would wait for the run otherwise. Says whether it was told.
async fn forget(parts: Arc<Parts>, run: Incarnation) -> bool {
    let mut told = parts.control.forget(run).await;
    for _ in 1..FORGET_MAX {
        if told.is_err() {
            told = parts.control.forget(run).await;
        }
    }
    match &told {
        Ok(_) => {
            if let Err(failure) = parts.runs.forget(&[run]) {
                tracing::warn!(%failure, "the end of a run is not noted");
            }
        }
        Err(error) => {
            tracing::warn!(%error, "the database could not be told that a run of this node has ended");
        }
    }
    told.is_ok()
}

async fn load(parts: &Arc<Parts>, is_first: bool) -> Result<Event, StoreError> {
    if !is_first {
        parts.engine.begin_reload();
    } else if parts.engine.is_following() {
        // A first load that was loaded, but never led to a lease.
        parts.engine.begin_reload();
    }
    parts.applier.tell();
    let loaded = load_into(&*parts.store, &parts.engine, &parts.peppers).await;
    match loaded {
        Ok(loaded) => {
            parts.applier.tell();
            parts.standing.loads.fetch_add(1, Relaxed);
            parts.longest_window_seconds.store(loaded.longest_window_seconds, Relaxed);
            Ok(Event::Followed(follower::Input::Loaded { sequence: loaded.sequence }))
        }
        Err(LoadProblem::Store(error)) => Err(error),
        Err(LoadProblem::Unfit(failure)) => Ok(Event::Unfit(failure)),
    }
}

/// Hears of changes; a hint only.
async fn listen(parts: Arc<Parts>, events: mpsc::UnboundedSender<Event>) {
    loop {
        match parts.control.announced().await {
            Ok(announcement) => {
                if events.send(parts.applier.hear(&announcement)).is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "changes are not announced now");
                sleep(LISTEN_AGAIN).await;
            }
        }
    }
}

/// Keeps what ended, and after a restart in another history brings it into effect again.
async fn keep_journal(parts: Arc<Parts>) {
    let mut is_reported = false;
    let mut applied = parts.applier.applied();
    loop {
        // Also without a change: the history may be another one.
        drop(timeout(JOURNAL_ANYWAY, applied.changed()).await);
        sleep(JOURNAL_EVERY).await;
        let generation = parts.standing.generation.load(Relaxed);
        if generation == 0 || !parts.engine.is_following() {
            continue;
        }
        let kept = parts.journal.generation();
        if kept != 0
            && kept != generation
            && let Err(error) = super::reassert::reassert(&parts).await
        {
            tracing::warn!(%error, "ends of keys could not be brought into effect again; will try again");
            continue;
        }
        if let Err(error) = write_journal(Arc::clone(&parts), generation).await {
            if !is_reported {
                tracing::error!(%error, "ends of keys cannot be written to the journal");
            }
            is_reported = true;
        }
    }
}

/// On a thread of its own: a disk that is busy for seconds must not hold up polls, acknowledgements and barriers.
async fn write_journal(parts: Arc<Parts>, generation: u64) -> std::io::Result<()> {
    let write = move || {
        let new = parts.engine.tombstones_after(parts.journal.written(generation));
        parts.journal.write(generation, &new)
    };
    spawn_blocking(write).await.map_err(std::io::Error::other)?
}

async fn watch_promise(parts: Arc<Parts>) {
    let mut known = None;
    loop {
        if let Ok(promise) = parts.server.promise().await {
            if known.as_ref() != Some(&promise) {
                let (word, reason) = &promise;
                match reason {
                    None => tracing::info!(promise = word, "the promise in force"),
                    Some(reason) => tracing::warn!(promise = word, reason, "the promise in force"),
                }
            }
            parts.standing.set_promise(promise.0, promise.1.clone());
            known = Some(promise);
        }
        sleep(PROMISE_EVERY).await;
    }
}
