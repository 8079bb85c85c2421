//! The store itself: hands commands to the writer and questions to the readers.

mod members;

use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use async_trait::async_trait;
use keywright_domain::{
    audit::{Checkpoint, StoredEntry},
    change::{Change, ChangeSink, NumberedChange},
    command::{Command, CommandError, Committed, Context},
    ids::{KeyId, WorkspaceId},
    key::{ApiKey, Incident, KeyNumber},
    operator::OperatorCredential,
    permission::Catalogue,
    plan::Plan as ServicePlan,
    principal::Membership,
    query::{AuditQuery, KeyQuery, LastUsed, Page},
    store::{RecentCost, Store, StoreError},
    time::Timestamp,
    usage::{LedgerRow, Origin, UsageBatch, UsageBucket, UsageQuery},
    vault::SharedVault,
    workspace::{Slug, Workspace, WorkspaceStore},
};
use parking_lot::Mutex;
use tokio::{
    runtime::{Builder, Handle},
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};

use crate::{
    connect::{ConnectError, Connected, Plan},
    durability::Durability,
    fault::Fault,
    lane::Lane,
    migrate,
    options::PostgresOptions,
    params,
    read::{self, load::Piece},
    rows::{bytes, each, installation, journal, keys, members as member_rows, number},
    sealing::Sealing,
    sql,
    usage::UsageWriter,
    writer::{Job, PendingCommand, Reply, Sink, Writer},
};

/// Pieces of a load that may wait for whoever asked for it.
const PIECES_WAITING: usize = 2;

/// An installation in a `PostgreSQL` database, shared with other nodes.
pub struct PostgresStore {
    plan: Arc<Plan>,
    jobs: mpsc::Sender<Job>,
    sink: Sink,
    readers: Vec<Lane>,
    next_reader: AtomicUsize,
    /// Questions that may still be asked.
    questions: Arc<Semaphore>,
    usage: Arc<UsageWriter>,
    sealing: Arc<Sealing>,
    /// The runtime that drives all connections.
    runtime: Handle,
    thread: Mutex<Option<Thread>>,
}

/// The thread with the runtime. It ends when `end` is dropped.
struct Thread {
    end: oneshot::Sender<()>,
    handle: thread::JoinHandle<()>,
}

/// What is made in the runtime.
struct Parts {
    jobs: mpsc::Sender<Job>,
    readers: Vec<Lane>,
    usage: UsageWriter,
    sealing: Arc<Sealing>,
    runtime: Handle,
}

impl PostgresStore {
    /// Connects, checks the server, brings the schema up to date, seals what an older program wrote in the clear, and starts the writer and the readers.
    ///
    /// # Errors
    /// [`ConnectError`]; its text says what to do.
    pub async fn connect(options: PostgresOptions, vault: SharedVault) -> Result<Self, ConnectError> {
        let plan = Arc::new(Plan::new(options)?);
        let sink = Sink::default();
        let (ready, parts) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let (for_thread, sink_for_thread) = (Arc::clone(&plan), Arc::clone(&sink));
        let handle = thread::Builder::new()
            .name("store-postgres".to_owned())
            .spawn(move || run(&for_thread, &sink_for_thread, vault, ready, ended))
            .map_err(|error| ConnectError::Store(no_thread(&error)))?;
        let parts = parts.await.unwrap_or_else(|_| Err(ConnectError::Store(closed())))?;
        let questions = Arc::new(Semaphore::new(plan.options.queue_max));
        Ok(Self {
            plan,
            jobs: parts.jobs,
            sink,
            readers: parts.readers,
            next_reader: AtomicUsize::new(0),
            questions,
            usage: Arc::new(parts.usage),
            sealing: parts.sealing,
            runtime: parts.runtime,
            thread: Mutex::new(Some(Thread { end, handle })),
        })
    }

    /// What the server promises about changes that it acknowledged.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn durability(&self) -> Result<Durability, StoreError> {
        self.ask(|connected| async move { Durability::read(&connected).await }).await
    }

    /// How many keys are not deleted: for whoever makes room before [`Store::load`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn key_count(&self) -> Result<usize, StoreError> {
        self.ask(|connected| async move {
            let row = connected.first(sql::installation::COUNT_KEYS, params![]).await?;
            row.map_or(Ok(0), |row| number(&row, 0))
        })
        .await
    }

    /// What opens personal data.
    pub(crate) fn sealing(&self) -> Arc<Sealing> {
        Arc::clone(&self.sealing)
    }

    /// Asks a question on one of the reading connections, in the runtime that drives them.
    pub(crate) async fn ask<T, F>(&self, question: impl FnOnce(Arc<Connected>) -> F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        let place = Arc::clone(&self.questions)
            .try_acquire_owned()
            .map_err(|_| StoreError::Unavailable("too many questions are waiting".to_owned()))?;
        let connected = self.reader()?;
        let answering = question(Arc::clone(&connected));
        let patience = self.plan.options.answer_timeout;
        let answer = self.runtime.spawn(async move {
            let _place = place;
            let answer = timeout(patience, answering).await.unwrap_or(Err(Fault::Silent));
            answer.map_err(|fault| {
                if fault.ends_connection() {
                    connected.give_up();
                }
                fault.into_store_error()
            })
        });
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// A reading connection; the next one in turn that is there.
    fn reader(&self) -> Result<Arc<Connected>, StoreError> {
        let first = self.next_reader.fetch_add(1, Ordering::Relaxed);
        let mut answer = Err(closed());
        for turn in 0..self.readers.len() {
            answer = self.readers[(first.wrapping_add(turn)) % self.readers.len()].get();
            if answer.is_ok() {
                break;
            }
        }
        answer
    }

    fn send(&self, job: Job) -> Result<(), StoreError> {
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                StoreError::Unavailable("too many writes are waiting".to_owned())
            }
            mpsc::error::TrySendError::Closed(_) => closed(),
        })
    }

    async fn write(&self, job: impl FnOnce(Reply<Result<(), StoreError>>) -> Job) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(job(reply))?;
        answer.await.unwrap_or_else(|_| Err(unknown()))
    }

    /// Ends the thread, and with it all connections.
    fn end_thread(&self) {
        if let Some(Thread { end, handle }) = self.thread.lock().take() {
            drop(end);
            // A panic was reported where it happened.
            drop(handle.join());
        }
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.end_thread();
    }
}

/// The thread: makes everything, then drives it until nobody needs it any more.
fn run(
    plan: &Arc<Plan>,
    sink: &Sink,
    vault: SharedVault,
    ready: oneshot::Sender<Result<Parts, ConnectError>>,
    ended: oneshot::Receiver<()>,
) {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(ready.send(Err(ConnectError::Store(no_thread(&error))))),
    };
    runtime.block_on(async {
        let parts = start(plan, sink, vault).await;
        let is_started = parts.is_ok();
        if ready.send(parts).is_ok() && is_started {
            // Nothing is ever sent: the sender is dropped.
            drop(ended.await);
        }
    });
    // A look-up of a host's name may hang: it is not waited for.
    runtime.shutdown_background();
}

async fn start(plan: &Arc<Plan>, sink: &Sink, vault: SharedVault) -> Result<Parts, ConnectError> {
    migrate::migrate(plan).await?;
    let sealing = Arc::new(Sealing::prepare(plan, vault).await?);
    let write_lane = Lane::start(Arc::clone(plan), sql::writer()).await?;
    let usage = Lane::start(Arc::clone(plan), sql::usage_writer()).await?;
    let mut readers = Vec::with_capacity(plan.options.readers);
    for _ in 0..plan.options.readers.max(1) {
        readers.push(Lane::start(Arc::clone(plan), &[sql::keys::CHANGES_AFTER]).await?);
    }
    let (jobs, arriving) = mpsc::channel(plan.options.queue_max.max(1));
    let writer = Writer::new(Arc::clone(plan), write_lane, arriving, Arc::clone(sink), Arc::clone(&sealing));
    tokio::spawn(writer.run());
    let usage = UsageWriter::new(Arc::clone(plan), usage);
    Ok(Parts { jobs, readers, usage, sealing, runtime: Handle::current() })
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

fn no_thread(error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("a thread cannot be started: {error}"))
}

/// The writer ended with the work in its hands.
fn unknown() -> StoreError {
    StoreError::CommitUnknown("the writer ended before it answered".to_owned())
}

#[async_trait]
impl WorkspaceStore for PostgresStore {
    async fn workspaces_to_purge(&self, now: Timestamp, limit: u32) -> Result<Vec<Workspace>, StoreError> {
        self.ask(|connected| async move {
            let rows = connected.query(sql::installation::WORKSPACES_TO_PURGE, params![now, limit]).await?;
            each(&rows, installation::workspace)
        })
        .await
    }

    async fn origins(&self, key: KeyNumber) -> Result<Vec<Origin>, StoreError> {
        self.ask(|connected| async move { read::usage::origins(&connected, key).await }).await
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn execute(&self, context: Context, command: Command) -> Result<Committed, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Command(Box::new(PendingCommand { context, command, reply })))?;
        answer.await.unwrap_or_else(|_| Err(unknown().into()))
    }

    async fn flush_usage(&self, batch: UsageBatch) -> Result<(), StoreError> {
        let usage = Arc::clone(&self.usage);
        self.runtime.spawn(async move { usage.add(batch).await }).await.unwrap_or_else(|_| Err(closed()))
    }

    async fn put_checkpoint(&self, checkpoint: Checkpoint) -> Result<(), StoreError> {
        self.ask(|connected| async move {
            let values = journal::checkpoint_params(&checkpoint);
            connected.execute(sql::journal::INSERT_CHECKPOINT, values).await?;
            Ok(())
        })
        .await
    }

    fn attach(&self, sink: Arc<dyn ChangeSink>) {
        *self.sink.lock() = Some(sink);
    }

    async fn load(&self, mut sink: Box<dyn FnMut(Change) + Send>) -> Result<u64, StoreError> {
        let plan = Arc::clone(&self.plan);
        let (pieces, mut arriving) = mpsc::channel(PIECES_WAITING);
        let loading = self.runtime.spawn(async move { read::load::load(&plan, pieces).await });
        while let Some(piece) = arriving.recv().await {
            match piece {
                Piece::Changes(changes) => changes.into_iter().for_each(&mut sink),
                Piece::Keys(rows) => {
                    read::load::hand_on(&rows, &mut *sink).map_err(Fault::into_store_error)?;
                }
            }
        }
        loading.await.unwrap_or_else(|_| Err(closed().into())).map_err(Fault::into_store_error)
    }

    async fn changes_after(&self, sequence: u64, limit: u32) -> Result<Vec<NumberedChange>, StoreError> {
        self.ask(|connected| async move { read::changes::after(&connected, sequence, limit).await }).await
    }

    async fn is_set_up(&self) -> Result<bool, StoreError> {
        self.ask(|connected| async move {
            Ok(connected.first(sql::installation::ANY_OPERATOR, params![]).await?.is_some())
        })
        .await
    }

    async fn key(&self, workspace: WorkspaceId, key: KeyId) -> Result<Option<ApiKey>, StoreError> {
        self.ask(|connected| async move {
            let values = params![key.to_bytes(), workspace.to_bytes()];
            Ok(keys::with_secrets(&connected.query(sql::keys::OF_WORKSPACE, values).await?)?.pop())
        })
        .await
    }

    async fn keys(&self, query: KeyQuery) -> Result<Page<ApiKey>, StoreError> {
        self.ask(|connected| async move { read::keys::page(&connected, &query).await }).await
    }

    async fn last_used(
        &self,
        numbers: Vec<KeyNumber>,
    ) -> Result<HashMap<KeyNumber, Vec<LastUsed>>, StoreError> {
        self.ask(|connected| async move {
            let numbers: Vec<_> = numbers.iter().map(|number| number.0).collect();
            let mut found: HashMap<KeyNumber, Vec<LastUsed>> = HashMap::new();
            for row in connected.query(sql::keys::LAST_USED, params![numbers]).await? {
                let (key, used) = keys::last_used(&row)?;
                found.entry(key).or_default().push(used);
            }
            Ok(found)
        })
        .await
    }

    async fn workspace(&self, slug: Slug) -> Result<Option<Workspace>, StoreError> {
        self.ask(|connected| async move {
            let values = params![slug.as_str()];
            let row = connected.first(sql::installation::WORKSPACE_BY_SLUG, values).await?;
            row.as_ref().map(installation::workspace).transpose()
        })
        .await
    }

    async fn workspaces(&self, after: Option<Slug>, limit: u32) -> Result<Page<Workspace>, StoreError> {
        self.ask(|connected| async move {
            let after = after.as_ref().map_or("", Slug::as_str);
            let rows =
                connected.query(sql::installation::WORKSPACES, params![after, u64::from(limit) + 1]).await?;
            Ok(read::journal::cut(each(&rows, installation::workspace)?, limit))
        })
        .await
    }

    async fn memberships(&self, workspace: WorkspaceId) -> Result<Vec<Membership>, StoreError> {
        self.ask(|connected| async move {
            let values = params![workspace.to_bytes()];
            each(&connected.query(sql::installation::MEMBERSHIPS, values).await?, member_rows::membership)
        })
        .await
    }

    async fn plans(&self) -> Result<Vec<ServicePlan>, StoreError> {
        self.ask(|connected| async move {
            each(&connected.query(sql::installation::PLANS, params![]).await?, installation::plan)
        })
        .await
    }

    async fn catalogue(&self) -> Result<Catalogue, StoreError> {
        self.ask(|connected| async move {
            installation::catalogue(&connected.query(sql::installation::PERMISSIONS, params![]).await?)
        })
        .await
    }

    async fn operators(&self) -> Result<Vec<OperatorCredential>, StoreError> {
        self.ask(|connected| async move {
            each(&connected.query(sql::installation::OPERATORS, params![]).await?, installation::operator)
        })
        .await
    }

    async fn incidents(&self, workspace: WorkspaceId, limit: u32) -> Result<Vec<Incident>, StoreError> {
        self.ask(|connected| async move {
            let values = params![workspace.to_bytes(), limit];
            let rows = connected.query(sql::keys::INCIDENTS, values).await?;
            each(&rows, |row| keys::incident(row, workspace))
        })
        .await
    }

    async fn audit(&self, query: AuditQuery) -> Result<Page<StoredEntry>, StoreError> {
        let sealing = Arc::clone(&self.sealing);
        self.ask(|connected| async move { read::journal::page(&connected, &sealing, &query).await }).await
    }

    async fn audit_after(&self, sequence: u64, limit: u32) -> Result<Vec<StoredEntry>, StoreError> {
        let sealing = Arc::clone(&self.sealing);
        self.ask(|connected| async move {
            let rows =
                connected.query(sql::journal::AUDIT_AFTER, params![sequence, None::<&str>, limit]).await?;
            each(&rows, |row| journal::entry(row, &sealing))
        })
        .await
    }

    async fn audit_head(&self) -> Result<(u64, [u8; 32]), StoreError> {
        self.ask(|connected| async move {
            let row = connected.first(sql::journal::AUDIT_HEAD, params![]).await?;
            let row = row.ok_or_else(|| Fault::Damaged("the table head is empty".to_owned()))?;
            Ok((number(&row, 0)?, bytes(&row, 1)?))
        })
        .await
    }

    async fn checkpoints(&self) -> Result<Vec<Checkpoint>, StoreError> {
        self.ask(|connected| async move {
            each(&connected.query(sql::journal::CHECKPOINTS, params![]).await?, journal::checkpoint)
        })
        .await
    }

    async fn usage(&self, query: UsageQuery) -> Result<Vec<UsageBucket>, StoreError> {
        self.ask(|connected| async move { read::usage::buckets(&connected, &query).await }).await
    }

    async fn ledger(
        &self,
        key: KeyNumber,
        before_minute: Option<i64>,
        limit: u32,
    ) -> Result<Vec<LedgerRow>, StoreError> {
        self.ask(|connected| async move { read::usage::ledger(&connected, key, before_minute, limit).await })
            .await
    }

    async fn recent_cost(&self, since_minute: i64) -> Result<RecentCost, StoreError> {
        self.ask(|connected| async move { read::usage::recent_cost(&connected, since_minute).await }).await
    }

    async fn check_writable(&self) -> Result<(), StoreError> {
        self.write(Job::Probe).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        let closed = self.write(Job::Close).await;
        self.end_thread();
        closed
    }
}
