//! A transaction whose writes are sent without waiting for their answers; or, before it has begun, kept.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::timeout;
use tokio_postgres::{Row, error::SqlState};

use crate::{
    connect::{Connected, Param},
    fault::Fault,
    sql::{journal as sql, keys::UPDATE as UPDATE_KEY},
};

type Write = Pin<Box<dyn Future<Output = Result<u64, Fault>> + Send>>;

/// A running transaction.
pub(crate) struct Transaction {
    connected: Arc<Connected>,
    /// Writes whose answers are not here yet.
    unanswered: FuturesUnordered<Write>,
    /// How many writes were sent.
    written: usize,
    /// Why the transaction cannot be committed.
    failed: Option<Fault>,
    /// How long an answer may take.
    patience: Duration,
    /// The writes of one that has not begun.
    kept: Option<Kept>,
}

/// Writes that are kept back.
#[derive(Default)]
struct Kept {
    /// Of the one statement that can be written together with the journal.
    changed_key: Option<Vec<Param>>,
    /// Whether there are others, too.
    has_others: bool,
}

/// How a commit ended, if it did not succeed.
pub(super) enum CommitFault {
    /// `PostgreSQL` rolled the transaction back.
    RolledBack(Fault),
    /// Nobody knows whether the transaction was committed.
    Unknown(Fault),
    /// The transaction is visible, but `PostgreSQL` warns that it may be lost.
    NotDurable(String),
}

impl Transaction {
    /// One that the server is told to begin.
    pub(super) fn new(connected: Arc<Connected>, patience: Duration) -> Self {
        Self {
            connected,
            unanswered: FuturesUnordered::new(),
            written: 0,
            failed: None,
            patience,
            kept: None,
        }
    }

    /// One that does not begin yet. What is read sees what is committed; what is written is kept back, so that nothing is
    /// locked, and can be written at the end by [`Self::write_kept`].
    pub(super) fn kept_back(connected: Arc<Connected>, patience: Duration) -> Self {
        Self { kept: Some(Kept::default()), ..Self::new(connected, patience) }
    }

    /// Whether it does not begin yet.
    pub(super) const fn is_kept_back(&self) -> bool {
        self.kept.is_some()
    }

    /// The connection. Whoever reads with it directly must not have written before.
    pub(super) fn connected(&self) -> &Connected {
        &self.connected
    }

    /// How many writes were sent.
    pub(super) const fn written(&self) -> usize {
        self.written
    }

    /// Sends a write. The statement was prepared ahead, so it is on its way when this returns, in the order of calls.
    pub(crate) fn write(&mut self, statement: &'static str, params: Vec<Param>) {
        if let Some(kept) = &mut self.kept {
            self.written += 1;
            kept.take(statement, params);
            return;
        }
        let connected = Arc::clone(&self.connected);
        let mut write: Write = Box::pin(async move { connected.execute(statement, params).await });
        self.written += 1;
        match write.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => self.take(answer),
            Poll::Pending => self.unanswered.push(write),
        }
    }

    /// The rows of a statement, which sees all writes before it.
    pub(crate) async fn query(
        &mut self,
        statement: &'static str,
        params: Vec<Param>,
    ) -> Result<Vec<Row>, Fault> {
        let connected = Arc::clone(&self.connected);
        let mut read = pin!(connected.query(statement, params));
        let patience = self.patience;
        // Answers come in order: those of the writes must be taken, or the connection does not get to this one.
        let both = poll_fn(|context| {
            while let Poll::Ready(Some(answer)) = self.unanswered.poll_next_unpin(context) {
                self.take(answer);
            }
            read.as_mut().poll(context)
        });
        let rows = timeout(patience, both).await.map_err(|_| Fault::Silent)?;
        match self.failed.take() {
            Some(fault) => Err(fault),
            None => rows,
        }
    }

    /// The first row of a statement, which sees all writes before it.
    pub(crate) async fn first(
        &mut self,
        statement: &'static str,
        params: Vec<Param>,
    ) -> Result<Option<Row>, Fault> {
        Ok(self.query(statement, params).await?.into_iter().next())
    }

    /// Commits. The commit is sent right behind the writes: if one of them fails, `PostgreSQL` rolls back instead.
    pub(super) async fn commit(mut self) -> Result<(), CommitFault> {
        if let Some(fault) = self.failed.take() {
            return Err(CommitFault::RolledBack(self.roll_back_because(fault).await));
        }
        let warnings = self.connected.warnings();
        self.write(sql::COMMIT, Vec::new());
        loop {
            match timeout(self.patience, self.unanswered.next()).await {
                Ok(Some(Err(fault))) if fault.ends_connection() => return Err(CommitFault::Unknown(fault)),
                Ok(Some(answer)) => self.take(answer),
                Ok(None) => break,
                Err(_) => return Err(CommitFault::Unknown(Fault::Silent)),
            }
        }
        match self.failed.take() {
            // Also what `write` saw at once: then the connection was closed before anything of this was sent, or after.
            Some(fault) if fault.ends_connection() => Err(CommitFault::Unknown(fault)),
            Some(fault) => Err(CommitFault::RolledBack(fault)),
            None if self.connected.warnings() != warnings => {
                Err(CommitFault::NotDurable(self.connected.last_warning()))
            }
            None => Ok(()),
        }
    }

    /// Of a transaction that has not begun: writes the journal and the changed key in one that begins and ends now, if the
    /// condition that `journal` ends with holds, and nothing else was to be written. Says whether it was written.
    pub(super) async fn write_kept(self, mut journal: Vec<Param>) -> Result<bool, CommitFault> {
        let Some(Kept { changed_key: Some(changed), has_others: false }) = self.kept else {
            return Ok(false);
        };
        journal.extend(changed);
        let warnings = self.connected.warnings();
        let writing = self.connected.first(sql::WRITE_IF_UNCHANGED, journal);
        let row = match timeout(self.patience, writing).await {
            Err(_) => return Err(CommitFault::Unknown(Fault::Silent)),
            Ok(Err(fault)) if fault.ends_connection() => return Err(CommitFault::Unknown(fault)),
            Ok(Err(fault)) => return Err(CommitFault::RolledBack(fault)),
            Ok(Ok(row)) => row,
        };
        let is_written = row.is_some();
        if is_written && self.connected.warnings() != warnings {
            return Err(CommitFault::NotDurable(self.connected.last_warning()));
        }
        Ok(is_written)
    }

    /// Forgets the transaction. A connection on which that cannot be said is given up.
    pub(super) async fn roll_back(mut self) {
        if self.is_kept_back() {
            return;
        }
        let connected = Arc::clone(&self.connected);
        let rolled_back = async {
            while self.unanswered.next().await.is_some() {}
            connected.batch("ROLLBACK").await
        };
        if !matches!(timeout(self.patience, rolled_back).await, Ok(Ok(()))) {
            connected.give_up();
        }
    }

    async fn roll_back_because(self, fault: Fault) -> Fault {
        self.roll_back().await;
        fault
    }

    /// Keeps the first fault: those after it only say that the transaction has failed.
    fn take(&mut self, answer: Result<u64, Fault>) {
        let Err(fault) = answer else { return };
        let is_consequence = matches!(
            &self.failed,
            Some(Fault::Sql(error)) if error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION)
        );
        if self.failed.is_none() || is_consequence {
            self.failed = Some(fault);
        }
    }
}

impl Kept {
    fn take(&mut self, statement: &'static str, params: Vec<Param>) {
        if statement == UPDATE_KEY && self.changed_key.is_none() {
            self.changed_key = Some(params);
        } else {
            self.has_others = true;
        }
    }
}
