//! The one task that writes: it takes all commands that wait and commits them together.

mod accounts;
mod credentials;
mod credits;
mod group;
mod identities;
mod installation;
mod invitations;
mod keys;
mod members;
mod privacy;
mod prompts;
mod record;
mod resolve;
mod transaction;
mod workspaces;

use std::sync::Arc;

use keywright_domain::{
    change::{ChangeSink, NumberedChange},
    command::{Command, CommandError, Committed, Context},
    ids::KeyId,
    store::StoreError,
};
use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
    time::timeout,
};

pub(crate) use self::transaction::Transaction;
use self::{
    group::{Group, Lost, Pending},
    transaction::CommitFault,
};
use crate::{
    connect::{Connected, Plan},
    fault::{self, Fault},
    lane::Lane,
    params, read,
    sealing::{KnownKeys, Sealer, Sealing},
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
    /// A real, tiny write.
    Probe(Reply<Result<(), StoreError>>),
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
    pub(crate) reply: Reply<Answer>,
}

/// What the caller of a command gets.
pub(crate) type Answer = Result<Committed, CommandError>;

/// A command without its caller.
type Work = (Context, Command);

/// How often other tasks get their turn before a group that is smaller than the last one begins. A lone caller never
/// waits: its last group had one command.
const GATHER_TURNS: u32 = 32;

/// How many commands lock the head first after one that did not, and found that somebody else had written.
const LOCKED_NEXT: u32 = 16;

/// How many changes are read at once for a sink that may have missed some.
const CATCH_UP: u32 = 1_000;

/// The writer.
pub(crate) struct Writer {
    plan: Arc<Plan>,
    lane: Lane,
    jobs: mpsc::Receiver<Job>,
    sink: Sink,
    sealing: Arc<Sealing>,
    /// Data keys that are in the database: they were committed, or read.
    known: KnownKeys,
    /// After a commit of unknown outcome: the head of the log before it.
    missed_after: Option<u64>,
    /// How many commands that are alone lock the head first.
    locked_next: u32,
}

impl Writer {
    /// A writer that takes `jobs` and writes on `lane`.
    pub(crate) fn new(
        plan: Arc<Plan>,
        lane: Lane,
        jobs: mpsc::Receiver<Job>,
        sink: Sink,
        sealing: Arc<Sealing>,
    ) -> Self {
        Self {
            plan,
            lane,
            jobs,
            sink,
            sealing,
            known: KnownKeys::default(),
            missed_after: None,
            locked_next: 0,
        }
    }

    /// Works until it is told to close, or nobody is left who could.
    pub(crate) async fn run(mut self) {
        let mut last_group = 1;
        loop {
            let first = tokio::select! {
                job = self.jobs.recv() => job,
                () = self.lane.changed() => {
                    self.catch_up().await;
                    continue;
                }
            };
            let Some(first) = first else { return };
            let mut round = Round::default();
            round.sort(first);
            self.gather(&mut round, last_group).await;
            last_group = round.commands.len().max(1);
            if !round.commands.is_empty() {
                self.commit_group(round.commands).await;
            }
            if !round.probes.is_empty() {
                let outcome = self.probe().await;
                for reply in round.probes {
                    drop(
                        reply.send(
                            outcome.as_ref().map_or_else(|error| Err(fault::copy_of(error)), |()| Ok(())),
                        ),
                    );
                }
            }
            if let Some(reply) = round.close {
                self.refuse_all();
                drop(reply.send(Ok(())));
                return;
            }
        }
    }

    /// Takes what waits, and lets those who were just answered come again.
    async fn gather(&mut self, round: &mut Round, last_group: usize) {
        let mut turns = 0;
        while round.commands.len() < self.plan.options.group_max && round.close.is_none() {
            match self.jobs.try_recv() {
                Ok(job) => round.sort(job),
                // A probe alone waits for nobody.
                Err(_) if round.commands.is_empty() => return,
                Err(_) if round.commands.len() >= last_group || turns == GATHER_TURNS => return,
                Err(_) => {
                    turns += 1;
                    yield_now().await;
                }
            }
        }
    }

    /// Runs the commands in one transaction and answers them; if the transaction is lost to one of them, each in its own.
    async fn commit_group(&mut self, group: Vec<PendingCommand>) {
        let mut replies = Vec::with_capacity(group.len());
        let mut commands = Vec::with_capacity(group.len());
        for PendingCommand { context, command, reply } in group {
            replies.push(reply);
            commands.push((context, command));
        }
        let answers = match self.run_group(&commands).await {
            Err(lost) if commands.len() > 1 && lost.is_of_one_command() => {
                let mut answers = Vec::with_capacity(commands.len());
                for command in &commands {
                    let alone = std::slice::from_ref(command);
                    let outcome = self.run_group(alone).await;
                    answers.extend(self.conclude(1, outcome).await);
                }
                answers
            }
            outcome => self.conclude(commands.len(), outcome).await,
        };
        for (reply, answer) in replies.into_iter().zip(answers) {
            drop(reply.send(answer));
        }
    }

    async fn run_group(&mut self, commands: &[Work]) -> Result<Pending, Lost> {
        if let [alone] = commands
            && let Some(key) = Group::only_key(alone)
            && self.is_quiet()
        {
            if let Some(pending) = self.run_alone(alone, key).await? {
                return Ok(pending);
            }
            self.locked_next = LOCKED_NEXT;
        }
        let connected = self.lane.get().map_err(Fault::from)?;
        let sealer = self.sealer();
        let group = Group::begin(&connected, &self.plan, commands, sealer).await?;
        let pending = Self::finish(group, commands, &connected).await?;
        pending.ok_or_else(|| Fault::Damaged("a transaction ended without an outcome".to_owned()).into())
    }

    /// Whether nobody else wrote when a command was last carried out on what was seen without a lock, or some time after that.
    fn is_quiet(&mut self) -> bool {
        let is_quiet = self.locked_next == 0;
        self.locked_next = self.locked_next.saturating_sub(1);
        is_quiet
    }

    /// Carries a command about one key out on what is seen without a lock, and writes it in one statement if nobody else has written
    /// meanwhile; `None` if somebody has.
    async fn run_alone(&mut self, alone: &Work, key: KeyId) -> Result<Option<Pending>, Lost> {
        let connected = self.lane.get().map_err(Fault::from)?;
        let sealer = self.sealer();
        let group = Group::see(&connected, &self.plan, key, sealer).await?;
        Self::finish(group, std::slice::from_ref(alone), &connected).await
    }

    /// If the group is lost, so is what it has learned: some of it may not be in the database.
    fn sealer(&mut self) -> Sealer {
        Sealer::new(Arc::clone(&self.sealing), std::mem::take(&mut self.known))
    }

    /// Carries the commands out and commits.
    async fn finish(
        mut group: Group,
        commands: &[Work],
        connected: &Connected,
    ) -> Result<Option<Pending>, Lost> {
        let after = group.heads.sequence;
        let mut answers = Vec::with_capacity(commands.len());
        for (context, command) in commands {
            match group.attempt(context, command.clone()).await {
                Ok(answer) => answers.push(answer),
                Err(lost) => {
                    group.transaction.roll_back().await;
                    return Err(lost);
                }
            }
        }
        let outcome = group.commit(after, answers).await;
        if matches!(&outcome, Err(Lost::Unknown(..))) {
            connected.give_up();
        }
        outcome
    }

    /// The answers to a group of `count` commands. The sink has seen what was committed.
    async fn conclude(&mut self, count: usize, outcome: Result<Pending, Lost>) -> Vec<Answer> {
        let fail = |error: &StoreError| (0..count).map(|_| Err(fault::copy_of(error).into())).collect();
        match outcome {
            Ok(done) => {
                self.known = done.known;
                self.publish(&done.changes);
                done.answers
            }
            Err(Lost::Entangled(refusal)) if count == 1 => vec![Err(refusal)],
            Err(Lost::Entangled(_)) => {
                fail(&StoreError::Internal("a command could not be told from its group".to_owned()))
            }
            Err(Lost::Before(fault)) => fail(&fault.into_store_error()),
            Err(Lost::NotDurable(done, warning)) => {
                self.publish(&done.changes);
                fail(&StoreError::CommitUnknown(format!("PostgreSQL warned on the commit: {warning}")))
            }
            Err(Lost::Unknown(pending, fault)) => match self.resolve(&pending, fault).await {
                Ok(()) => {
                    self.publish(&pending.changes);
                    pending.answers
                }
                Err(error) => fail(&error),
            },
        }
    }

    /// Hands changes that were committed to the sink.
    fn publish(&self, changes: &[NumberedChange]) {
        if changes.is_empty() {
            return;
        }
        let sink = self.sink.lock().clone();
        if let Some(sink) = sink {
            sink.committed(changes);
        }
    }

    /// After a commit of unknown outcome: hands the sink what was committed, whoever did it.
    async fn catch_up(&mut self) {
        while let (Some(after), Ok(connected)) = (self.missed_after, self.lane.get()) {
            let patience = self.plan.options.answer_timeout;
            let reading = read::changes::after(&connected, after, CATCH_UP);
            let Ok(Ok(changes)) = timeout(patience, reading).await else {
                // Tried again with the next connection.
                connected.give_up();
                return;
            };
            self.missed_after = changes.last().map(|last| last.sequence);
            self.publish(&changes);
        }
    }

    async fn probe(&self) -> Result<(), StoreError> {
        let connected = self.lane.get()?;
        let patience = self.plan.options.answer_timeout;
        let warnings = connected.warnings();
        match timeout(patience, connected.execute(sql::TOUCH_HEAD, params![])).await {
            Ok(Ok(_)) if connected.warnings() == warnings => Ok(()),
            Ok(Ok(_)) => Err(StoreError::CommitUnknown(connected.last_warning())),
            Ok(Err(fault)) => Err(fault.into_store_error()),
            Err(_) => {
                connected.give_up();
                Err(Fault::Silent.into_store_error())
            }
        }
    }

    fn refuse_all(&mut self) {
        self.jobs.close();
        while let Ok(job) = self.jobs.try_recv() {
            refuse(job, &StoreError::Unavailable("the store is closed".to_owned()));
        }
    }
}

/// What the writer takes on at once.
#[derive(Default)]
struct Round {
    commands: Vec<PendingCommand>,
    probes: Vec<Reply<Result<(), StoreError>>>,
    close: Option<Reply<Result<(), StoreError>>>,
}

impl Round {
    fn sort(&mut self, job: Job) {
        match job {
            Job::Command(pending) => self.commands.push(*pending),
            Job::Probe(reply) => self.probes.push(reply),
            Job::Close(reply) => self.close = Some(reply),
        }
    }
}

fn refuse(job: Job, error: &StoreError) {
    match job {
        Job::Command(pending) => drop(pending.reply.send(Err(fault::copy_of(error).into()))),
        Job::Probe(reply) | Job::Close(reply) => drop(reply.send(Err(fault::copy_of(error)))),
    }
}

impl Lost {
    /// Whether the same commands, one by one, may fare better.
    fn is_of_one_command(&self) -> bool {
        match self {
            Self::Before(fault) => fault.is_of_one_command() && !fault.ends_connection(),
            Self::Entangled(_) => true,
            Self::Unknown(..) | Self::NotDurable(..) => false,
        }
    }
}
