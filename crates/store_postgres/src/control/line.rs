//! A connection of one's own: made when it is needed, and given up when it does not answer in time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use keywright_domain::{control::Announcement, store::StoreError};
use tokio::{
    sync::{Mutex, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_postgres::Row;

use crate::{
    connect::{ConnectError, Connected, Param, Plan, connect},
    fault::Fault,
};

/// How long a statement may take. It is not cancelled then, but never heard of again.
const DEADLINE: Duration = Duration::from_secs(2);

/// Whether an answer counts if the server warned beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// An answer. What was written may be lost in a crash.
    Answer,
    /// An answer whose commit is as durable as the server makes commits. A wait for standbys that somebody cancelled ends
    /// with a warning, and the commit counts as done: here it does not.
    Durable,
}

/// A connection that is made when it is needed.
pub(crate) struct Line {
    plan: Arc<Plan>,
    statements: &'static [&'static str],
    /// What is said first, if the server understands it.
    greeting: Option<String>,
    is_greeting_refused: AtomicBool,
    open: Mutex<Option<Open>>,
}

struct Open {
    connected: Arc<Connected>,
    driver: JoinHandle<String>,
}

impl Line {
    /// A line that is not open yet. Whoever asks on it first opens it, in the runtime that shall drive it.
    pub(crate) fn new(
        plan: Arc<Plan>,
        statements: &'static [&'static str],
        greeting: Option<String>,
    ) -> Self {
        Self {
            plan,
            statements,
            greeting,
            is_greeting_refused: AtomicBool::new(false),
            open: Mutex::default(),
        }
    }

    /// The rows of a statement.
    pub(crate) async fn query(
        &self,
        sql: &'static str,
        params: Vec<Param>,
        need: Need,
    ) -> Result<Vec<Row>, StoreError> {
        let connected = self.connected().await?;
        let warnings = connected.warnings();
        let fault = match timeout(DEADLINE, connected.query(sql, params)).await {
            Ok(Ok(rows)) if need == Need::Answer || connected.warnings() == warnings => return Ok(rows),
            Ok(Ok(_)) => {
                let warning = connected.last_warning();
                return Err(StoreError::CommitUnknown(format!("PostgreSQL warned: {warning}")));
            }
            Ok(Err(fault)) => fault,
            Err(_) => Fault::Silent,
        };
        let ends = fault.ends_connection();
        let error = fault.into_store_error();
        // A server that became a standby will not do; the next attempt may find the primary.
        if ends || matches!(error, StoreError::ReadOnly(_)) {
            connected.give_up();
        }
        Err(error)
    }

    /// What comes of several statements, of which none writes.
    pub(super) async fn read<T, F>(
        &self,
        question: impl FnOnce(Arc<Connected>) -> F + Send,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Fault>> + Send,
    {
        let connected = self.connected().await?;
        let answer = timeout(DEADLINE, question(Arc::clone(&connected))).await;
        answer.unwrap_or(Err(Fault::Silent)).map_err(|fault| {
            if fault.ends_connection() {
                connected.give_up();
            }
            fault.into_store_error()
        })
    }

    /// Whether the server did not understand the greeting at the last attempt.
    pub(super) fn is_greeting_refused(&self) -> bool {
        self.is_greeting_refused.load(Ordering::Relaxed)
    }

    /// Waits for an announcement that was not seen yet.
    pub(super) async fn announced(
        &self,
        seen: &mut Option<watch::Receiver<Announcement>>,
    ) -> Result<Announcement, StoreError> {
        let connected = self.connected().await?;
        let receiver = match seen.take() {
            Some(receiver) if receiver.same_channel(&connected.announced) => seen.insert(receiver),
            // A new connection: what was announced before it listened is not known.
            _ => {
                *seen = Some(connected.announced.clone());
                let rows = self.query(super::sql::GLANCE, Vec::new(), Need::Answer).await?;
                return super::sequence(&rows).map(Announcement::of);
            }
        };
        match receiver.changed().await {
            Ok(()) => Ok(receiver.borrow_and_update().clone()),
            Err(_) => Err(StoreError::Unavailable("the connection to PostgreSQL was lost".to_owned())),
        }
    }

    async fn connected(&self) -> Result<Arc<Connected>, StoreError> {
        let mut open = self.open.lock().await;
        if let Some(Open { connected, driver }) = &*open
            && !driver.is_finished()
        {
            return Ok(Arc::clone(connected));
        }
        *open = None;
        let (connected, driver) = connect(&self.plan).await.map_err(unavailable)?;
        if let Err(fault) = self.greet(&connected).await {
            connected.give_up();
            return Err(fault.into_store_error());
        }
        let connected = Arc::new(connected);
        *open = Some(Open { connected: Arc::clone(&connected), driver });
        Ok(connected)
    }

    async fn greet(&self, connected: &Connected) -> Result<(), Fault> {
        let greeting = async {
            if let Some(greeting) = &self.greeting {
                let refused = match connected.batch(greeting).await {
                    Err(fault) if !fault.is_not_understood() => return Err(fault),
                    outcome => outcome.is_err(),
                };
                if refused && !self.is_greeting_refused.swap(refused, Ordering::Relaxed) {
                    tracing::warn!(
                        "the database announces nothing: the head of the log is looked at ten times a second"
                    );
                }
            }
            connected.warm(self.statements).await
        };
        timeout(DEADLINE, greeting).await.map_err(|_| Fault::Silent)?
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(open) = self.open.get_mut() {
            open.connected.give_up();
        }
    }
}

fn unavailable(error: ConnectError) -> StoreError {
    match error {
        ConnectError::Store(error) => error,
        other => StoreError::Unavailable(other.to_string()),
    }
}
