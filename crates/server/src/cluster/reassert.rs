//! After a change of history: what was taken away in the one before is taken away again.
//!
//! A fail-over to a standby that lagged behind loses the newest changes. Ends of keys and of secrets are final, so whoever
//! knows of one may bring it into effect again, and doing it twice is harmless. What can be undone, such as disabling a
//! key, is not touched: nobody can tell whether it would have been undone.

use std::sync::Arc;

use keywright_domain::{
    change::{KeyEnd, Tombstone},
    command::{Command, CommandError},
    key::{ApiKey, KeyChange},
    permit::{self, Action, Actor},
    store::{Store, StoreError},
};
use tokio::task::JoinSet;

use super::Parts;
use crate::installation::system_context;

/// Commands on their way at once.
const AT_ONCE: usize = 64;
/// What the audit trail says of it.
const REASON: &str = "revoked before a fail-over of the database, which had lost it";

/// Brings into effect again what this node knows to have ended, from memory and from its journal.
pub(super) async fn reassert(parts: &Arc<Parts>) -> Result<(), StoreError> {
    let tombstones = parts.journal.and(parts.engine.tombstones());
    if tombstones.is_empty() {
        return Ok(());
    }
    tracing::warn!(
        count = tombstones.len(),
        "the history changed: ends of keys in the one before are looked through"
    );
    let (mut running, mut changed) = (JoinSet::new(), 0_u64);
    for tombstone in tombstones {
        if running.len() >= AT_ONCE {
            changed += take(&mut running).await?;
        }
        let store = Arc::clone(&parts.store);
        running.spawn(async move { reassert_one(&*store, &tombstone).await });
    }
    while !running.is_empty() {
        changed += take(&mut running).await?;
    }
    tracing::warn!(changed, "the fail-over had lost so many ends of keys; they are in effect again");
    Ok(())
}

async fn take(running: &mut JoinSet<Result<u64, StoreError>>) -> Result<u64, StoreError> {
    match running.join_next().await {
        Some(Ok(result)) => result,
        Some(Err(error)) => Err(StoreError::Internal(error.to_string())),
        None => Ok(0),
    }
}

async fn reassert_one(store: &dyn Store, tombstone: &Tombstone) -> Result<u64, StoreError> {
    // A key that the history does not know accepts nobody.
    let Some(key) = store.key(tombstone.workspace, tombstone.key).await? else { return Ok(0) };
    let Some(change) = missing(&key, tombstone) else { return Ok(0) };
    let mut context = system_context();
    context.permit = permit::authorize(Actor::System, Action::WriteKeys, Some(tombstone.workspace))
        .expect("the system may do everything");
    match store.execute(context, Command::ChangeKey { key: tombstone.key, change }).await {
        Ok(_) => Ok(1),
        Err(CommandError::Store(error)) => Err(error),
        // Another node was faster.
        Err(error) => {
            tracing::debug!(%error, "an end of a key is in effect already");
            Ok(0)
        }
    }
}

/// What has to happen to the key, as this history has it.
fn missing(key: &ApiKey, tombstone: &Tombstone) -> Option<KeyChange> {
    let revoke = KeyChange::Revoke { reason: Some(REASON.to_owned()) };
    match tombstone.end {
        KeyEnd::Removed => return Some(KeyChange::Delete),
        KeyEnd::Revoked => return key.revoked.is_none().then_some(revoke),
        KeyEnd::SecretsOnly => {}
    }
    if key.revoked.is_some() {
        return None;
    }
    let is_ended = |locator| tombstone.retired.iter().any(|retired| retired.locator == locator);
    let live: Vec<_> = key.secrets.iter().filter(|secret| secret.retired_at.is_none()).collect();
    let ended: Vec<_> = live.iter().map(|secret| is_ended(secret.locator)).collect();
    match ended[..] {
        [true, false] => Some(KeyChange::CompleteRotation),
        [false, true] => Some(KeyChange::CancelRotation),
        // The secret that took its place is lost, so nothing is left that may work.
        _ => ended.contains(&true).then_some(revoke),
    }
}
