//! A node among others: follows the log of a shared database, holds leases, and waits for the other nodes.
//!
//! The protocol is in `keywright_cluster`, without I/O; here is what drives it, on a thread of its own, so that no request
//! holds it up.

mod alarm;
mod applier;
mod audit;
mod clock;
mod controls;
mod driver;
mod journal;
mod limits;
mod reassert;
mod runs;
mod standing;
mod waits;

use std::{
    sync::{Arc, atomic::AtomicU32},
    thread::JoinHandle,
    time::Duration,
};

use async_trait::async_trait;
use keywright_api::cluster::{Awaited, Cluster, Progress, Stale};
use keywright_cluster::Timing;
use keywright_domain::{
    change::ChangeSink,
    control::ControlLog,
    store::{Store, StoreError},
    time::Clock,
};
use keywright_engine::Engine;
use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use self::{
    applier::Applier,
    audit::Auditor,
    driver::{Driver, Event},
    waits::{Asked, holds},
};
pub(crate) use self::{
    audit::{AuditDesk, AuditKeys},
    clock::NodeClock,
    journal::Journal,
    limits::Limits,
    runs::Runs,
    standing::{BUCKETS_US, Barriers, Standing},
};
use crate::{
    failure::{Exit, Failure},
    installation::Peppers,
};

/// How long the head of the log may be asked for, and then be caught up with.
const FRESH: Duration = Duration::from_secs(2);
/// How long ending in order may take.
const STOP: Duration = Duration::from_secs(8);

/// What the server says of the promise that it can keep: a word, and why it is no better.
pub(crate) type InForce = (&'static str, Option<String>);

/// The database server as such.
#[async_trait]
pub(crate) trait DatabaseServer: Send + Sync + 'static {
    /// The promise in force.
    async fn promise(&self) -> Result<InForce, StoreError>;
}

/// What a node is made of.
pub(crate) struct NodeParts {
    pub(crate) name: String,
    /// Where its public port is reached; may be empty.
    pub(crate) address: String,
    pub(crate) control: Arc<dyn ControlLog>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) server: Arc<dyn DatabaseServer>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) clock: Arc<NodeClock>,
    pub(crate) peppers: Arc<Peppers>,
    pub(crate) runs: Runs,
    pub(crate) journal: Journal,
}

/// What the thread shares with what it begins.
struct Parts {
    name: String,
    address: String,
    control: Arc<dyn ControlLog>,
    store: Arc<dyn Store>,
    server: Arc<dyn DatabaseServer>,
    engine: Arc<Engine>,
    clock: Arc<NodeClock>,
    peppers: Arc<Peppers>,
    runs: Runs,
    journal: Journal,
    applier: Arc<Applier>,
    standing: Arc<Standing>,
    auditor: Arc<Auditor>,
    longest_window_seconds: AtomicU32,
}

/// Whether the node has come to answer for the first time.
#[derive(Clone)]
enum Readiness {
    Starting,
    Ready,
    Unfit(Arc<Mutex<Option<Failure>>>),
}

/// A running node.
pub(crate) struct Node {
    events: mpsc::UnboundedSender<Event>,
    applied: watch::Receiver<u64>,
    ready: watch::Receiver<Readiness>,
    parts: Arc<Parts>,
    desk: Arc<AuditDesk>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Node {
    /// Starts to follow. The changes of the store go to the engine by way of the node from now on.
    pub(crate) fn start(parts: NodeParts) -> Result<Self, Failure> {
        let (events, waiting) = mpsc::unbounded_channel();
        let (readiness, ready) = watch::channel(Readiness::Starting);
        let standing = Arc::<Standing>::default();
        let keys = Arc::new(parts.peppers.audit_keys());
        let auditor = Auditor::start(Arc::clone(&keys), Arc::clone(&standing.audits))
            .map_err(|error| Failure::new(Exit::System, format!("cannot start a thread: {error}")))?;
        let auditor = Arc::new(auditor);
        let desk = AuditDesk {
            engine: Arc::clone(&parts.engine),
            clock: Arc::clone(&parts.clock) as Arc<dyn Clock>,
            keys,
        };
        let applier = Applier::new(Arc::clone(&parts.engine), events.clone(), Arc::clone(&auditor));
        let applier = Arc::new(applier);
        parts.store.attach(Arc::clone(&applier) as Arc<dyn ChangeSink>);
        let progress = applier.applied();
        let NodeParts { name, address, control, store, server, engine, clock, peppers, runs, journal } =
            parts;
        let parts = Arc::new(Parts {
            name,
            address,
            control,
            store,
            server,
            engine,
            clock,
            peppers,
            runs,
            journal,
            applier,
            standing,
            auditor,
            longest_window_seconds: AtomicU32::new(0),
        });
        let driver = Driver::new(Arc::clone(&parts), events.clone(), readiness);
        let engine = Arc::clone(&parts.engine);
        let thread = std::thread::Builder::new().name("node".to_owned()).spawn(move || {
            let ended = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .and_then(|runtime| runtime.block_on(driver.run(waiting)));
            engine.drop_leases();
            if let Err(error) = ended {
                tracing::error!(%error, "this node does not follow the database any more; restart the process");
            }
        });
        let thread =
            thread.map_err(|error| Failure::new(Exit::System, format!("cannot start a thread: {error}")))?;
        Ok(Self {
            events,
            applied: progress,
            ready,
            parts,
            desk: Arc::new(desk),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Returns when the keys are in memory and may be answered for the first time; the longest limit window of all, in
    /// seconds.
    pub(crate) async fn ready(&self) -> Result<u32, Failure> {
        let mut ready = self.ready.clone();
        let ended = || Failure::new(Exit::Software, "the thread of the node has ended");
        let readiness =
            ready.wait_for(|ready| !matches!(ready, Readiness::Starting)).await.map_err(|_| ended())?.clone();
        match readiness {
            Readiness::Unfit(failure) => Err(failure.lock().take().unwrap_or_else(ended)),
            _ => Ok(self.parts.longest_window_seconds.load(std::sync::atomic::Ordering::Relaxed)),
        }
    }

    /// How the node stands.
    pub(crate) fn standing(&self) -> &Arc<Standing> {
        &self.parts.standing
    }

    /// Who answers the self-audit of other nodes.
    pub(crate) fn desk(&self) -> &Arc<AuditDesk> {
        &self.desk
    }

    /// Gives back the leases, tells the others that this node has ended, and ends the thread. Says whether they were told: if
    /// not, they wait for its leases once.
    pub(crate) async fn stop(&self) -> bool {
        let (reply, ended) = oneshot::channel();
        let is_sent = self.events.send(Event::Stop(reply)).is_ok();
        let is_told = is_sent && matches!(timeout(STOP, ended).await, Ok(Ok(true)));
        self.parts.engine.drop_leases();
        if let Some(thread) = self.thread.lock().take() {
            // It has nothing more to do; if it hangs all the same, the process ends without it.
            drop(thread);
        }
        is_told
    }
}

#[async_trait]
impl Cluster for Node {
    async fn everywhere(&self, change: Awaited, patience: Duration) -> Progress {
        let asked = Asked { sequence: change.sequence, term: change.term };
        let (reply, receipt) = oneshot::channel();
        let sent = self.events.send(Event::Everywhere(asked, reply));
        if sent.is_ok()
            && let Ok(Ok(receipt)) = timeout(patience, receipt).await
        {
            return holds(receipt);
        }
        let (reply, progress) = oneshot::channel();
        if self.events.send(Event::HowFar(asked, reply)).is_ok()
            && let Ok(progress) = progress.await
        {
            return progress;
        }
        // The thread has ended: nothing is known, but after this time no lease is left anywhere.
        let wait_ns = Timing::STANDARD.wait_ns(change.term);
        Progress::Waiting { on: Vec::new(), complete_in: Duration::from_nanos(wait_ns) }
    }

    async fn here(&self, sequence: u64, patience: Duration) -> Result<(), Stale> {
        let mut applied = self.applied.clone();
        let waiting = applied.wait_for(|applied| *applied >= sequence);
        match timeout(patience, waiting).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Stale),
        }
    }

    async fn fresh(&self) -> Result<(), Stale> {
        let (reply, head) = oneshot::channel();
        self.events.send(Event::Fresh(reply)).map_err(|_| Stale)?;
        match timeout(FRESH, head).await {
            Ok(Ok(head)) => self.here(head, FRESH).await,
            _ => Err(Stale),
        }
    }
}
