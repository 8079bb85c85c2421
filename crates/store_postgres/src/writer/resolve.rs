//! What became of a commit whose connection was lost.

use keywright_domain::store::StoreError;
use tokio::time::{Instant, sleep, timeout_at};

use super::{CommitFault, Pending, Transaction, Writer, group::BEGIN, refuse};
use crate::{connect::Connected, fault::Fault, params, rows::number, sql::journal as sql};

/// What a look at the audit trail told.
enum Outcome {
    Committed,
    NotCommitted,
}

/// Rest between two looks.
const REST: std::time::Duration = std::time::Duration::from_millis(50);

impl Writer {
    /// Finds out whether `pending` was committed: `Ok` if it was. Meanwhile, others are told that there is no connection.
    pub(super) async fn resolve(&mut self, pending: &Pending, fault: Fault) -> Result<(), StoreError> {
        let deadline = Instant::now() + self.plan.options.resolve_timeout;
        while self.wait_for_connection(deadline).await {
            let Ok(connected) = self.lane.get() else { continue };
            let looking = look(&connected, &self.plan.options, pending);
            match timeout_at(deadline, looking).await {
                Ok(Ok(Outcome::Committed)) => return Ok(()),
                Ok(Ok(Outcome::NotCommitted)) => {
                    let cause = fault.into_store_error();
                    return Err(StoreError::Unavailable(format!("the commit did not take place: {cause}")));
                }
                // Also when the lock of the lost transaction is still there: its commit may be running.
                Ok(Err(_)) => sleep(REST).await,
                Err(_) => {
                    connected.give_up();
                    break;
                }
            }
        }
        let missed_after = self.missed_after.map_or(pending.after, |before| before.min(pending.after));
        self.missed_after = Some(missed_after);
        Err(StoreError::CommitUnknown(fault.into_store_error().to_string()))
    }

    /// Waits until there is a connection; says whether there is. Whoever wants to write meanwhile is refused.
    async fn wait_for_connection(&mut self, deadline: Instant) -> bool {
        loop {
            let error = match self.lane.get() {
                Ok(connected) if !connected.is_closed() => return true,
                Ok(_) => StoreError::Unavailable("the connection to PostgreSQL was lost".to_owned()),
                Err(error) => error,
            };
            let changed = async {
                tokio::select! {
                    () = self.lane.changed() => None,
                    job = self.jobs.recv() => job,
                }
            };
            match timeout_at(deadline, changed).await {
                Ok(Some(job)) => refuse(job, &error),
                Ok(None) => {}
                Err(_) => return false,
            }
        }
    }
}

/// Looks for the audit entries of a group.
///
/// The head's lock is taken first: when it is there, the lost transaction has ended, one way or the other. The touch of
/// the head makes this a commit of its own, behind the lost one in the write-ahead log: what standbys have of this, they
/// have of that.
async fn look(
    connected: &std::sync::Arc<Connected>,
    options: &crate::PostgresOptions,
    pending: &Pending,
) -> Result<Outcome, Fault> {
    connected.batch(BEGIN).await?;
    let mut transaction = Transaction::new(std::sync::Arc::clone(connected), options.answer_timeout);
    let ids: Vec<_> = pending.audit_ids.iter().map(|id| id.to_bytes()).collect();
    let found = async {
        transaction.first(sql::LOCK_HEAD, params![]).await?;
        let row = transaction.first(sql::COUNT_AUDIT, params![ids]).await?;
        row.map_or(Ok(0), |row| number::<usize>(&row, 0))
    };
    let found = match found.await {
        Ok(found) => found,
        Err(fault) => {
            transaction.roll_back().await;
            return Err(fault);
        }
    };
    transaction.write(sql::TOUCH_HEAD, params![]);
    transaction.commit().await.map_err(|fault| match fault {
        CommitFault::RolledBack(fault) | CommitFault::Unknown(fault) => fault,
        CommitFault::NotDurable(warning) => Fault::from(StoreError::CommitUnknown(warning)),
    })?;
    match pending.audit_ids.len() {
        // Nothing that leaves a trace. If it left no changes either, it only told what was there before.
        0 if pending.changes.is_empty() => Ok(Outcome::Committed),
        0 => Err(Fault::from(StoreError::CommitUnknown("it left no audit entry".to_owned()))),
        expected if found == expected => Ok(Outcome::Committed),
        _ => Ok(Outcome::NotCommitted),
    }
}
