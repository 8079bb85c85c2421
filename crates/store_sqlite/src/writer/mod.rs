//! The one thread that writes: it takes all commands that wait, runs them one after the other, and commits them
//! together. A command that fails is undone alone.

mod accounts;
mod cache;
mod credentials;
mod credits;
mod identities;
mod installation;
mod invitations;
mod keys;
mod members;
mod privacy;
mod prompts;
mod record;
mod usage;
mod workspaces;

use std::{
    collections::VecDeque,
    fs::File,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    },
    time::Duration,
};

use keywright_domain::{
    audit::Checkpoint,
    change::{ChangeSink, NumberedChange},
    command::{Command, CommandError, Committed, Context},
    store::StoreError,
    usage::UsageBatch,
};
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::oneshot;

use self::{cache::Workspaces, record::Heads, usage::UsageJob};
use crate::{
    fault::{self, Fault},
    known::KnownWorkspaces,
    read,
    readers::Question,
    rows::journal,
    sealing::{Sealer, Sealing},
    sql::journal as sql,
};

/// Who follows the change log.
pub(crate) type Sink = Arc<Mutex<Option<Arc<dyn ChangeSink>>>>;

/// Where an answer goes. Whoever stopped waiting loses only the answer.
pub(crate) type Reply<T> = oneshot::Sender<T>;

/// Work for the writer.
pub(crate) enum Job {
    /// A command.
    Command(Box<PendingCommand>),
    /// Usage to add.
    Usage(UsageBatch, Reply<Result<(), StoreError>>),
    /// A checkpoint to keep.
    Checkpoint(Box<Checkpoint>, Reply<Result<(), StoreError>>),
    /// A real, tiny write.
    Probe(Reply<Result<(), StoreError>>),
    /// Something to do with the connection between transactions.
    Ask(Question),
    /// The end.
    Close(Reply<Result<(), StoreError>>),
}

/// A command whose caller waits.
pub(crate) struct PendingCommand {
    /// What it carries beside itself.
    pub(crate) context: Context,
    /// The command.
    pub(crate) command: Command,
    /// Who waits.
    pub(crate) reply: Reply<Result<Committed, CommandError>>,
}

/// How long the writer waits for one more command when the last group says that more are on their way. A lone caller
/// never waits: its last group had one command.
const GATHER: Duration = Duration::from_micros(60);

/// The writer's state. Whatever is cached here is read again from the database after a transaction was lost.
pub(crate) struct Writer {
    connection: Connection,
    /// `None` after a lost transaction, until they were read again.
    heads: Option<Heads>,
    workspaces: Workspaces,
    sealer: Sealer,
    sink: Sink,
    /// Changes of the running transaction.
    changes: Vec<NumberedChange>,
    /// Up to here the sink has seen the log.
    published: u64,
    usage: VecDeque<UsageJob>,
    group_max: usize,
    /// Held for as long as the writer lives.
    _lock: Option<File>,
}

/// What the caller of a command gets.
type Answer = Result<Committed, CommandError>;

/// How a command that failed halfway is undone.
#[derive(Clone, Copy)]
enum Undo {
    /// With its group, which then runs once more in savepoints. They copy every page that a command touches, so the
    /// group does without them as long as it can.
    ByGroup,
    /// Alone, by its savepoint.
    BySavepoint,
}

/// Why a transaction took all its commands with it.
enum Stop {
    /// SQLite failed, and what it did is undone or unknown.
    Lost(StoreError),
    /// A command failed halfway, and there was no savepoint.
    Entangled,
}

impl Stop {
    fn into_error(self) -> StoreError {
        match self {
            Self::Lost(error) => error,
            Self::Entangled => StoreError::Internal("a command could not be told from its group".to_owned()),
        }
    }
}

impl Writer {
    /// A writer on `connection`; `lock` is released when it ends.
    pub(crate) fn new(
        connection: Connection,
        sink: Sink,
        known: Arc<KnownWorkspaces>,
        sealing: Arc<Sealing>,
        group_max: usize,
        lock: Option<File>,
    ) -> Result<Self, StoreError> {
        let heads = Heads::read(&connection).map_err(Fault::into_store_error)?;
        Ok(Self {
            connection,
            published: heads.sequence,
            heads: Some(heads),
            workspaces: Workspaces::new(known),
            sealer: Sealer::new(sealing),
            sink,
            changes: Vec::new(),
            usage: VecDeque::new(),
            group_max,
            _lock: lock,
        })
    }

    /// Works until it is told to close, or nobody is left who could.
    pub(crate) fn run(mut self, jobs: &Receiver<Job>) {
        let mut last_group = 1;
        loop {
            let mut round = Round::default();
            let is_connected = self.gather(jobs, &mut round, last_group);
            if !round.commands.is_empty() {
                last_group = round.commands.len();
                self.commit_group(round.commands);
            }
            for (write, reply) in round.writes {
                drop(reply.send(self.write_alone(&write)));
            }
            if let Some(reply) = round.close {
                drop(reply.send(self.finish(jobs)));
                return;
            }
            self.add_usage();
            if !is_connected && self.usage.is_empty() {
                drop(self.checkpoint_log());
                return;
            }
        }
    }

    /// Takes what waits; waits for something if there is nothing else to do. Says whether anyone is left.
    fn gather(&mut self, jobs: &Receiver<Job>, round: &mut Round, last_group: usize) -> bool {
        if self.usage.is_empty() {
            match jobs.recv() {
                Ok(job) => self.sort(job, round),
                Err(_) => return false,
            }
        }
        while round.commands.len() < self.group_max && round.close.is_none() {
            match jobs.try_recv() {
                Ok(job) => self.sort(job, round),
                Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty)
                    if round.commands.len() >= last_group || round.commands.is_empty() =>
                {
                    break;
                }
                Err(TryRecvError::Empty) => match jobs.recv_timeout(GATHER) {
                    Ok(job) => self.sort(job, round),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return false,
                },
            }
        }
        true
    }

    fn sort(&mut self, job: Job, round: &mut Round) {
        match job {
            Job::Command(pending) => round.commands.push(*pending),
            Job::Usage(batch, reply) => self.usage.push_back(UsageJob::new(batch, reply)),
            Job::Checkpoint(checkpoint, reply) => {
                round.writes.push((LoneWrite::Checkpoint(checkpoint), reply));
            }
            Job::Probe(reply) => round.writes.push((LoneWrite::Probe, reply)),
            Job::Ask(question) => question(&self.connection),
            Job::Close(reply) => round.close = Some(reply),
        }
    }

    /// Runs the commands in one transaction and answers them.
    fn commit_group(&mut self, group: Vec<PendingCommand>) {
        let mut waiters = Vec::with_capacity(group.len());
        let mut commands = Vec::with_capacity(group.len());
        for PendingCommand { context, command, reply } in group {
            waiters.push(reply);
            commands.push((context, command));
        }
        let outcome = match self.run_group(&commands, Undo::ByGroup) {
            Err(Stop::Entangled) => {
                self.recover();
                self.run_group(&commands, Undo::BySavepoint)
            }
            outcome => outcome,
        };
        match outcome {
            Ok(answers) => {
                self.workspaces.committed();
                self.publish();
                for (reply, answer) in waiters.into_iter().zip(answers) {
                    drop(reply.send(answer));
                }
            }
            Err(stop) => {
                // Also for commands that were refused: what refused them may have gone with the transaction.
                self.recover();
                let error = stop.into_error();
                for reply in waiters {
                    drop(reply.send(Err(fault::copy_of(&error).into())));
                }
            }
        }
    }

    fn run_group(&mut self, commands: &[(Context, Command)], undo: Undo) -> Result<Vec<Answer>, Stop> {
        self.begin()?;
        let mut answers = Vec::with_capacity(commands.len());
        for (context, command) in commands {
            answers.push(match undo {
                Undo::ByGroup => self.attempt(context, command)?,
                Undo::BySavepoint => self.attempt_in_savepoint(context, command)?,
            });
        }
        self.workspaces.keep_counts(&self.connection)?;
        self.commit()?;
        Ok(answers)
    }

    /// Runs one command without a safety net: nearly all that fail do so before they write anything.
    fn attempt(&mut self, context: &Context, command: &Command) -> Result<Answer, Stop> {
        let (rows_before, changes_before) = (self.connection.total_changes(), self.changes.len());
        match self.carry_out(context, command.clone()) {
            Ok(committed) => Ok(Ok(committed)),
            Err(fault) if self.connection.is_autocommit() => Err(fault.into()),
            Err(fault) if self.connection.total_changes() == rows_before => {
                self.changes.truncate(changes_before);
                Ok(Err(fault.into_command_error()))
            }
            Err(_) => Err(Stop::Entangled),
        }
    }

    /// Runs one command in a savepoint: if it fails, only it is undone.
    fn attempt_in_savepoint(&mut self, context: &Context, command: &Command) -> Result<Answer, Stop> {
        self.run_sql(sql::SAVEPOINT)?;
        let changes_before = self.changes.len();
        match self.carry_out(context, command.clone()) {
            Ok(committed) => {
                self.run_sql(sql::RELEASE)?;
                Ok(Ok(committed))
            }
            // After some errors SQLite has rolled back everything by itself.
            Err(fault) if self.connection.is_autocommit() => Err(fault.into()),
            Err(fault) => {
                self.changes.truncate(changes_before);
                self.sealer.forget();
                self.run_sql(sql::ROLLBACK_TO)?;
                self.run_sql(sql::RELEASE)?;
                Ok(Err(fault.into_command_error()))
            }
        }
    }

    fn begin(&mut self) -> Result<(), Stop> {
        if self.heads.is_none() {
            self.heads = Some(Heads::read(&self.connection)?);
        }
        self.run_sql(sql::BEGIN)
    }

    fn commit(&self) -> Result<(), Stop> {
        let mut statement = self.connection.prepare_cached(sql::COMMIT).map_err(Fault::Sql)?;
        statement.execute([]).map_err(|error| Stop::Lost(fault::commit_error(&error)))?;
        Ok(())
    }

    fn run_sql(&self, statement: &str) -> Result<(), Stop> {
        let run = || self.connection.prepare_cached(statement)?.execute([]);
        run().map_err(Fault::Sql)?;
        Ok(())
    }

    /// Hands the changes of the transaction that was just committed to the sink.
    fn publish(&mut self) {
        if let Some(last) = self.changes.last() {
            self.published = last.sequence;
            let sink = self.sink.lock().clone();
            if let Some(sink) = sink {
                sink.committed(&self.changes);
            }
        }
        self.changes.clear();
    }

    /// Forgets a lost transaction. What the database says now is the truth, also after a commit of unknown outcome.
    fn recover(&mut self) {
        if !self.connection.is_autocommit() {
            drop(self.run_sql(sql::ROLLBACK));
        }
        self.changes.clear();
        self.workspaces.forget();
        self.sealer.forget();
        self.heads = Heads::read(&self.connection).ok();
        while self.heads.is_some_and(|heads| heads.sequence > self.published) {
            match read::changes::after(&self.connection, self.published, 1_000) {
                Ok(changes) if !changes.is_empty() => {
                    self.changes = changes;
                    self.publish();
                }
                // Tried again with the next transaction that is lost; until then the sink polls on its own.
                Ok(_) | Err(_) => return,
            }
        }
    }

    fn write_alone(&mut self, write: &LoneWrite) -> Result<(), StoreError> {
        self.in_transaction(|connection| match write {
            LoneWrite::Checkpoint(checkpoint) => journal::insert_checkpoint(connection, checkpoint),
            LoneWrite::Probe => {
                connection.prepare_cached(sql::PROBE)?.execute([])?;
                Ok(())
            }
        })
    }

    /// Runs `work` in a transaction of its own.
    fn in_transaction<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let run = || -> Result<T, Stop> {
            self.run_sql(sql::BEGIN)?;
            let value = work(&self.connection)?;
            self.commit()?;
            Ok(value)
        };
        run().map_err(|stop| {
            self.recover();
            stop.into_error()
        })
    }

    /// Finishes what was accepted, refuses what was not begun, and folds the log into the database.
    fn finish(&mut self, jobs: &Receiver<Job>) -> Result<(), StoreError> {
        while let Ok(job) = jobs.try_recv() {
            refuse(job);
        }
        while !self.usage.is_empty() {
            self.add_usage();
        }
        self.checkpoint_log()
    }

    fn checkpoint_log(&self) -> Result<(), StoreError> {
        let truncate = "PRAGMA wal_checkpoint(TRUNCATE)";
        self.connection.query_row(truncate, [], |_| Ok(())).map_err(|error| fault::store_error(&error))
    }
}

/// What the writer takes on at once.
#[derive(Default)]
struct Round {
    commands: Vec<PendingCommand>,
    writes: Vec<(LoneWrite, Reply<Result<(), StoreError>>)>,
    close: Option<Reply<Result<(), StoreError>>>,
}

/// A write that is a transaction by itself.
enum LoneWrite {
    Checkpoint(Box<Checkpoint>),
    Probe,
}

fn refuse(job: Job) {
    let closed = || StoreError::Unavailable("the store is closed".to_owned());
    match job {
        Job::Command(pending) => drop(pending.reply.send(Err(closed().into()))),
        Job::Usage(_, reply) | Job::Checkpoint(_, reply) | Job::Probe(reply) | Job::Close(reply) => {
            drop(reply.send(Err(closed())));
        }
        Job::Ask(question) => drop(question),
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Lost(fault.into_store_error())
    }
}
