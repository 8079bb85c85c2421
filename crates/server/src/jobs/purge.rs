//! Removes the data of workspaces whose deletion is final, a bounded number of rows at a time.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use keywright_domain::{
    command::{Command, CommandError, Context, Outcome, PurgeProgress, WorkspaceCommand},
    key::KeyNumber,
    store::Store,
    time::Timestamp,
    workspace::{Workspace, WorkspaceError},
};
use tokio::{sync::watch, task::JoinSet};

use super::{JobName, Shared, repeat};
use crate::installation::system_context;

/// How often it is looked whether a deletion has become final.
const PERIOD: Duration = Duration::from_secs(60);
/// Workspaces that one run takes on.
const WORKSPACES_PER_RUN: u32 = 20;
/// Rest between two steps, so that other writes get their turn.
const REST: Duration = Duration::from_millis(20);

pub(super) fn start(jobs: &mut JoinSet<()>, shared: &Shared, stopping: &watch::Receiver<bool>) {
    let opened = Arc::clone(&shared.opened);
    let stop = stopping.clone();
    jobs.spawn(repeat(JobName::Purge, PERIOD, Arc::clone(&shared.stats), stopping.clone(), move || {
        let (opened, stop) = (Arc::clone(&opened), stop.clone());
        async move { purge_due(&*opened.store, opened.clock.now(), &stop).await }
    }));
}

async fn purge_due(
    store: &dyn Store,
    now: Timestamp,
    stopping: &watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let due = store
        .workspaces_to_purge(now, WORKSPACES_PER_RUN)
        .await
        .context("it cannot be told which workspaces are to be removed")?;
    for workspace in due {
        purge(store, &workspace, now, stopping)
            .await
            .with_context(|| format!("the data of workspace {} was not removed", workspace.id))?;
    }
    Ok(())
}

async fn purge(
    store: &dyn Store,
    workspace: &Workspace,
    now: Timestamp,
    stopping: &watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let mut after = KeyNumber(0);
    // What was not finished before the end of this process goes on after the next start.
    while !*stopping.borrow() {
        let command = Command::Workspace(WorkspaceCommand::Purge { workspace: workspace.id, after });
        match store.execute(Context { now, ..system_context() }, command).await {
            Ok(committed) => {
                let Outcome::Purged(PurgeProgress::More(next)) = committed.outcome else {
                    tracing::info!(workspace = %workspace.id, "the data of a deleted workspace was removed");
                    return Ok(());
                };
                after = next;
            }
            // Another node was faster.
            Err(CommandError::Workspace(WorkspaceError::NotFound)) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(REST).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use keywright_domain::permit::Action;
    use keywright_store_sqlite::SqliteStore;
    use keywright_testkit::{Installation, Samples};

    use super::*;

    #[tokio::test]
    async fn what_is_final_goes_and_what_is_not_stays() {
        let store = Arc::new(SqliteStore::open_in_memory(keywright_testkit::vault()).unwrap());
        let installation = Installation::set_up(Arc::clone(&store)).await;
        for number in 0..3 {
            installation.create_key(&format!("key {number}")).await;
        }
        let workspace = installation.workspace.id;
        let permit = Samples::permit(Action::DeleteWorkspace, Some(workspace));
        let delete = Command::Workspace(WorkspaceCommand::Delete { workspace, grace_days: Some(1) });
        store.execute(installation.samples.context(permit), delete).await.unwrap();
        let (stop, stopping) = watch::channel(false);
        let slug = installation.workspace.slug.clone();
        let end = Samples::NOW.plus_seconds(86_400);
        purge_due(&*store, end.plus_ms(-1), &stopping).await.unwrap();
        assert!(store.workspace(slug.clone()).await.unwrap().is_some());
        stop.send_replace(true);
        purge_due(&*store, end, &stopping).await.unwrap();
        assert!(store.workspace(slug.clone()).await.unwrap().is_some(), "not while the process ends");
        stop.send_replace(false);
        purge_due(&*store, end, &stopping).await.unwrap();
        assert_eq!(store.workspace(slug).await.unwrap(), None);
        assert!(installation.load().await.1.keys.is_empty());
        purge_due(&*store, end, &stopping).await.unwrap();
    }
}
