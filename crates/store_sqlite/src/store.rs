//! The store itself: hands work to the writer and questions to the readers.

mod members;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{self, SyncSender, TrySendError},
    },
    thread::{self, JoinHandle},
};

use async_trait::async_trait;
use keywright_domain::{
    audit::{Checkpoint, StoredEntry},
    change::{Change, ChangeSink, NumberedChange},
    command::{Command, CommandError, Committed, Context, Outcome},
    ids::{KeyId, WorkspaceId},
    key::{ApiKey, Incident, KeyNumber},
    operator::OperatorCredential,
    permission::Catalogue,
    plan::Plan,
    principal::Membership,
    privacy::{PrivacyCommand, PrivacyOutcome},
    query::{AuditQuery, KeyQuery, LastUsed, Page},
    store::{RecentCost, Store, StoreError},
    time::Timestamp,
    usage::{LedgerRow, Origin, UsageBatch, UsageBucket, UsageQuery},
    vault::SharedVault,
    workspace::{Slug, Workspace, WorkspaceStore},
};
use parking_lot::Mutex;
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use crate::{
    backup,
    fault::Fault,
    known::KnownWorkspaces,
    migrate,
    open::{self, OpenError, Options},
    read,
    readers::Readers,
    rows::{
        installation::{self, all},
        journal, keys, members as member_rows, sequence_column,
    },
    sealing::{self, Sealing},
    sql,
    writer::{Job, PendingCommand, Reply, Sink, Writer},
};

/// An installation in a data directory, or in memory.
pub struct SqliteStore {
    /// `None`: opened for reading only.
    writer: Option<WriterHandle>,
    /// `None`: questions go to the writer's connection, the only one that sees a database in memory.
    readers: Option<Readers>,
    sink: Sink,
    /// `None`: another process may change workspaces.
    known: Option<Arc<KnownWorkspaces>>,
    /// `None`: personal data cannot be opened here.
    sealing: Option<Arc<Sealing>>,
    /// `None`: in memory.
    directory: Option<PathBuf>,
}

struct WriterHandle {
    jobs: Option<SyncSender<Job>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteStore {
    /// Opens the data directory for this process alone, creating what is missing, and seals what an older program wrote in
    /// the clear.
    ///
    /// # Errors
    /// [`OpenError`]; its text says what to do.
    pub fn open(directory: &Path, options: &Options, vault: SharedVault) -> Result<Self, OpenError> {
        open::prepare_directory(directory)?;
        let lock = open::lock(directory)?;
        let mut connection = open::writer(directory, options)?;
        let sealing = prepare(&mut connection, vault)?;
        let (sink, known) = (Sink::default(), Arc::<KnownWorkspaces>::default());
        let writer = Writer::new(
            connection,
            Arc::clone(&sink),
            Arc::clone(&known),
            Arc::clone(&sealing),
            options.group_max,
            Some(lock),
        )?;
        let readers = open_readers(directory, options)?;
        Ok(Self {
            writer: Some(WriterHandle::start(writer, options.queue_max)?),
            readers: Some(readers),
            sink,
            known: Some(known),
            sealing: Some(sealing),
            directory: Some(directory.to_owned()),
        })
    }

    /// Opens a new installation in memory: for tests.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_in_memory(vault: SharedVault) -> Result<Self, OpenError> {
        let options = Options::default();
        let mut connection = open::memory()?;
        let sealing = prepare(&mut connection, vault)?;
        let (sink, known) = (Sink::default(), Arc::<KnownWorkspaces>::default());
        let writer = Writer::new(
            connection,
            Arc::clone(&sink),
            Arc::clone(&known),
            Arc::clone(&sealing),
            options.group_max,
            None,
        )?;
        Ok(Self {
            writer: Some(WriterHandle::start(writer, options.queue_max)?),
            readers: None,
            sink,
            known: Some(known),
            sealing: Some(sealing),
            directory: None,
        })
    }

    /// Opens the data directory for reading, whether or not another process owns it. Writes answer
    /// [`StoreError::ReadOnly`]. Without a vault, personal data is left out of what is read.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_read_only(directory: &Path, vault: Option<SharedVault>) -> Result<Self, OpenError> {
        let readers = open_readers(directory, &Options::default())?;
        let sealing = match vault {
            Some(vault) => Sealing::open_to_read(&open::reader(directory, 0)?, vault)?.map(Arc::new),
            None => None,
        };
        Ok(Self {
            writer: None,
            readers: Some(readers),
            sink: Sink::default(),
            known: None,
            sealing,
            directory: Some(directory.to_owned()),
        })
    }

    /// Copies the database as it is now to a new file at `target`, while it goes on being used. `progress` is told
    /// pages done and pages in all.
    ///
    /// # Errors
    /// [`StoreError`]; the file at `target` is then of no use.
    pub async fn backup_to(
        &self,
        target: &Path,
        mut progress: impl FnMut(u64, u64) + Send + 'static,
    ) -> Result<(), StoreError> {
        let target = target.to_owned();
        self.ask_raw(move |connection| backup::copy(connection, &target, &mut progress)).await
    }

    /// Looks for damage in the whole database. Takes seconds per gigabyte.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] with what was found.
    pub async fn quick_check(&self) -> Result<(), StoreError> {
        self.ask(backup::quick_check).await
    }

    /// Lets the database grow to `pages` of 4 KiB and no further; more is refused with [`StoreError::Full`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn limit_pages(&self, pages: u32) -> Result<(), StoreError> {
        self.ask_writer(move |connection| Ok(open::limit_pages(connection, pages)?)).await
    }

    /// Refuses all writes with [`StoreError::ReadOnly`] until `access` says otherwise.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_access(&self, access: Access) -> Result<(), StoreError> {
        let is_read_only = access == Access::ReadOnly;
        self.ask_writer(move |connection| Ok(connection.pragma_update(None, "query_only", is_read_only)?))
            .await
    }

    /// How many keys are not deleted: for whoever makes room before [`Store::load`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn key_count(&self) -> Result<usize, StoreError> {
        self.ask(|connection| {
            let statement = sql::installation::LOAD_WORKSPACES;
            let counted = all(connection, statement, [], installation::counted_workspace)?;
            Ok(counted.iter().map(|counted| usize::try_from(counted.key_count).unwrap_or(usize::MAX)).sum())
        })
        .await
    }

    /// Pages of 4 KiB that the database has.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn pages(&self) -> Result<u32, StoreError> {
        self.ask(|connection| Ok(connection.pragma_query_value(None, "page_count", |row| row.get(0))?)).await
    }

    /// What opens personal data.
    pub(crate) const fn sealing(&self) -> Option<&Arc<Sealing>> {
        self.sealing.as_ref()
    }

    /// Asks a question of one snapshot.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask_raw(|connection| {
            let snapshot = connection.unchecked_transaction()?;
            question(&snapshot)
        })
        .await
    }

    /// Asks a question outside of any transaction.
    async fn ask_raw<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Some(readers) = &self.readers else { return self.ask_writer(question).await };
        let (reply, answer) = oneshot::channel();
        readers.ask(Box::new(move |connection| {
            drop(reply.send(question(connection).map_err(Fault::into_store_error)));
        }))?;
        answer.await.unwrap_or_else(|_| Err(unanswered()))
    }

    /// Asks a question of the writer's connection, between transactions.
    pub(crate) async fn ask_writer<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Ask(Box::new(move |connection| {
            drop(reply.send(question(connection).map_err(Fault::into_store_error)));
        })))?;
        answer.await.unwrap_or_else(|_| Err(unanswered()))
    }

    fn send(&self, job: Job) -> Result<(), StoreError> {
        let writer =
            self.writer.as_ref().ok_or_else(|| StoreError::ReadOnly("opened for reading only".to_owned()))?;
        let jobs = writer.jobs.as_ref().expect("taken only when the store is dropped");
        jobs.try_send(job).map_err(|error| {
            StoreError::Unavailable(match error {
                TrySendError::Full(_) => "too many writes are waiting".to_owned(),
                TrySendError::Disconnected(_) => "the store is closed".to_owned(),
            })
        })
    }

    async fn write(&self, job: impl FnOnce(Reply<Result<(), StoreError>>) -> Job) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(job(reply))?;
        answer.await.unwrap_or_else(|_| Err(unknown()))
    }
}

/// Whether writes are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Writes are taken.
    ReadWrite,
    /// Writes are refused.
    ReadOnly,
}

impl WriterHandle {
    fn start(writer: Writer, queue_max: usize) -> Result<Self, OpenError> {
        let (jobs, waiting) = mpsc::sync_channel(queue_max);
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(&waiting))
            .map_err(|error| StoreError::Unavailable(format!("a thread cannot be started: {error}")))?;
        Ok(Self { jobs: Some(jobs), thread: Mutex::new(Some(thread)) })
    }

    /// Waits for the end of the writer, which was told to end; with it goes the lock.
    fn join(&self) {
        if let Some(thread) = self.thread.lock().take() {
            // A panic was reported where it happened.
            drop(thread.join());
        }
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        self.jobs = None;
        self.join();
    }
}

/// Brings the schema up to date, fits the vault to it, and seals what an older program wrote.
fn prepare(connection: &mut Connection, vault: SharedVault) -> Result<Arc<Sealing>, OpenError> {
    migrate::migrate(connection)?;
    let sealing = Arc::new(Sealing::open(connection, vault)?);
    sealing::convert(connection, &sealing)?;
    Ok(sealing)
}

fn open_readers(directory: &Path, options: &Options) -> Result<Readers, OpenError> {
    let mut connections = Vec::with_capacity(options.readers);
    for _ in 0..options.readers.max(1) {
        let connection = open::reader(directory, options.reader_cache_kib)?;
        if migrate::check_version(&connection)? < migrate::VERSION {
            let text = "the database's schema is older than this program; start the server once".to_owned();
            return Err(StoreError::Unavailable(text).into());
        }
        connections.push(connection);
    }
    Ok(Readers::start(connections, options.queue_max)?)
}

/// A second connection with the same snapshot as `connection`, which is in a transaction; `None` when that cannot be
/// had, such as in the middle of writes: then one must do.
fn open_assistant(directory: &Path, connection: &Connection) -> Option<Connection> {
    let assistant = open::reader(directory, Options::default().reader_cache_kib).ok()?;
    assistant.execute_batch("BEGIN").ok()?;
    let sees_the_same = read::load::head(&assistant).ok()? == read::load::head(connection).ok()?;
    sees_the_same.then_some(assistant)
}

fn unanswered() -> StoreError {
    StoreError::Internal("the question was given up: a defect, or the store is closed".to_owned())
}

/// The writer ended with the work in its hands.
fn unknown() -> StoreError {
    StoreError::CommitUnknown("the writer ended before it answered".to_owned())
}

#[async_trait]
impl WorkspaceStore for SqliteStore {
    async fn workspaces_to_purge(&self, now: Timestamp, limit: u32) -> Result<Vec<Workspace>, StoreError> {
        self.ask(move |connection| {
            let parameters = params![now.unix_ms(), limit];
            all(connection, sql::installation::WORKSPACES_TO_PURGE, parameters, installation::workspace)
        })
        .await
    }

    async fn origins(&self, key: KeyNumber) -> Result<Vec<Origin>, StoreError> {
        self.ask(move |connection| read::usage::origins(connection, key)).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn execute(&self, context: Context, command: Command) -> Result<Committed, CommandError> {
        let erases =
            matches!(command, Command::Privacy(PrivacyCommand::Erase { .. } | PrivacyCommand::Retain { .. }));
        let (reply, answer) = oneshot::channel();
        self.send(Job::Command(Box::new(PendingCommand { context, command, reply })))?;
        let answer = answer.await.unwrap_or_else(|_| Err(unknown().into()));
        if erases && answer.as_ref().is_ok_and(|committed| !removed_nothing(&committed.outcome)) {
            // Nothing of before is left in the log, unless somebody is still reading there: then the next one does it.
            drop(self.ask_writer(|connection| Ok(sealing::truncate_log(connection)?)).await);
        }
        answer
    }

    async fn flush_usage(&self, batch: UsageBatch) -> Result<(), StoreError> {
        self.write(|reply| Job::Usage(batch, reply)).await
    }

    async fn put_checkpoint(&self, checkpoint: Checkpoint) -> Result<(), StoreError> {
        self.write(|reply| Job::Checkpoint(Box::new(checkpoint), reply)).await
    }

    fn attach(&self, sink: Arc<dyn ChangeSink>) {
        *self.sink.lock() = Some(sink);
    }

    async fn load(&self, mut sink: Box<dyn FnMut(Change) + Send>) -> Result<u64, StoreError> {
        let directory = self.directory.clone();
        self.ask(move |connection| {
            let mut assistant = directory.and_then(|directory| open_assistant(&directory, connection));
            read::load::load(connection, assistant.as_mut(), &mut *sink)
        })
        .await
    }

    async fn changes_after(&self, sequence: u64, limit: u32) -> Result<Vec<NumberedChange>, StoreError> {
        self.ask(move |connection| read::changes::after(connection, sequence, limit)).await
    }

    async fn is_set_up(&self) -> Result<bool, StoreError> {
        self.ask(installation::is_set_up).await
    }

    async fn key(&self, workspace: WorkspaceId, key: KeyId) -> Result<Option<ApiKey>, StoreError> {
        self.ask(move |connection| {
            let Some(found) = installation::workspace_by_id(connection, workspace)? else { return Ok(None) };
            let key = keys::by_id(connection, key, workspace)?;
            Ok(key.filter(|key| key.workspace_number == found.workspace.number && key.deleted_at.is_none()))
        })
        .await
    }

    async fn keys(&self, query: KeyQuery) -> Result<Page<ApiKey>, StoreError> {
        self.ask(move |connection| read::keys::page(connection, &query)).await
    }

    async fn last_used(
        &self,
        numbers: Vec<KeyNumber>,
    ) -> Result<HashMap<KeyNumber, Vec<LastUsed>>, StoreError> {
        self.ask(move |connection| {
            let mut found = HashMap::new();
            for number in numbers {
                let uses = all(connection, sql::keys::LAST_USED, [number.0], keys::last_used)?;
                if !uses.is_empty() {
                    found.insert(number, uses);
                }
            }
            Ok(found)
        })
        .await
    }

    async fn workspace(&self, slug: Slug) -> Result<Option<Workspace>, StoreError> {
        let asked = match self.known.as_ref().map(|known| known.get(&slug)) {
            Some(Ok(workspace)) => return Ok(Some(workspace)),
            Some(Err(asked)) => Some(asked),
            None => None,
        };
        let question = move |connection: &Connection| {
            Ok(installation::workspace_by_slug(connection, &slug)?.map(|found| found.workspace))
        };
        let found = self.ask(question).await?;
        if let (Some(known), Some(asked), Some(workspace)) = (&self.known, asked, &found) {
            known.learn(asked, workspace);
        }
        Ok(found)
    }

    async fn workspaces(&self, after: Option<Slug>, limit: u32) -> Result<Page<Workspace>, StoreError> {
        self.ask(move |connection| {
            let after = after.as_ref().map_or("", Slug::as_str);
            let parameters = params![after, u64::from(limit) + 1];
            let found = all(connection, sql::installation::WORKSPACES, parameters, installation::workspace)?;
            Ok(read::journal::cut(found, limit))
        })
        .await
    }

    async fn memberships(&self, workspace: WorkspaceId) -> Result<Vec<Membership>, StoreError> {
        self.ask(move |connection| {
            let statement = sql::installation::MEMBERSHIPS;
            all(connection, statement, [workspace.to_bytes()], member_rows::membership)
        })
        .await
    }

    async fn plans(&self) -> Result<Vec<Plan>, StoreError> {
        self.ask(installation::plans).await
    }

    async fn catalogue(&self) -> Result<Catalogue, StoreError> {
        self.ask(installation::catalogue).await
    }

    async fn operators(&self) -> Result<Vec<OperatorCredential>, StoreError> {
        self.ask(installation::operators).await
    }

    async fn incidents(&self, workspace: WorkspaceId, limit: u32) -> Result<Vec<Incident>, StoreError> {
        self.ask(move |connection| {
            let Some(found) = installation::workspace_by_id(connection, workspace)? else {
                return Ok(Vec::new());
            };
            let parameters = params![found.workspace.number.0, limit];
            all(connection, sql::keys::INCIDENTS, parameters, |row| keys::incident(row, workspace))
        })
        .await
    }

    async fn audit(&self, query: AuditQuery) -> Result<Page<StoredEntry>, StoreError> {
        let sealing = self.sealing.clone();
        self.ask(move |connection| read::journal::page(connection, sealing.as_deref(), &query)).await
    }

    async fn audit_after(&self, sequence: u64, limit: u32) -> Result<Vec<StoredEntry>, StoreError> {
        let parameters = [sequence_column(sequence), i64::from(limit)];
        let sealing = self.sealing.clone();
        self.ask(move |connection| {
            all(connection, sql::journal::AUDIT_AFTER, parameters, |row| {
                journal::entry(row, sealing.as_deref())
            })
        })
        .await
    }

    async fn audit_head(&self) -> Result<(u64, [u8; 32]), StoreError> {
        self.ask(journal::audit_head).await
    }

    async fn checkpoints(&self) -> Result<Vec<Checkpoint>, StoreError> {
        self.ask(|connection| all(connection, sql::journal::CHECKPOINTS, [], journal::checkpoint)).await
    }

    async fn usage(&self, query: UsageQuery) -> Result<Vec<UsageBucket>, StoreError> {
        self.ask(move |connection| read::usage::buckets(connection, &query)).await
    }

    async fn ledger(
        &self,
        key: KeyNumber,
        before_minute: Option<i64>,
        limit: u32,
    ) -> Result<Vec<LedgerRow>, StoreError> {
        self.ask(move |connection| read::usage::ledger(connection, key, before_minute, limit)).await
    }

    async fn recent_cost(&self, since_minute: i64) -> Result<RecentCost, StoreError> {
        self.ask(move |connection| read::usage::recent_cost(connection, since_minute)).await
    }

    async fn check_writable(&self) -> Result<(), StoreError> {
        self.write(Job::Probe).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        // Readers first: an open snapshot would keep the log from being folded into the database.
        if let Some(readers) = &self.readers {
            readers.close();
        }
        let Some(writer) = &self.writer else { return Ok(()) };
        let closed = self.write(Job::Close).await;
        writer.join();
        closed
    }
}

fn removed_nothing(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Privacy(PrivacyOutcome::Retained { removed: 0, .. }))
}
