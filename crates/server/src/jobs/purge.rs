//! Removes the data of workspaces whose deletion is final, a bounded number of rows at a time.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use keywright_domain::{
    command::{Command, CommandError, Outcome, PurgeProgress, WorkspaceCommand},
    key::KeyNumber,
    workspace::{Workspace, WorkspaceError},
};
use tokio::{sync::watch, task::JoinSet};

use super::{JobName, Shared, repeat};
use crate::installation::{Opened, system_context};

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
        async move { purge_due(&opened, &stop).await }
    }));
}

async fn purge_due(opened: &Opened, stopping: &watch::Receiver<bool>) -> anyhow::Result<()> {
    let store = &opened.store;
    let due = store
        .workspaces_to_purge(opened.clock.now(), WORKSPACES_PER_RUN)
        .await
        .context("it cannot be told which workspaces are to be removed")?;
    for workspace in due {
        purge(opened, &workspace, stopping)
            .await
            .with_context(|| format!("the data of workspace {} was not removed", workspace.id))?;
    }
    Ok(())
}

async fn purge(
    opened: &Opened,
    workspace: &Workspace,
    stopping: &watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let mut after = KeyNumber(0);
    // What was not finished before the end of this process goes on after the next start.
    while !*stopping.borrow() {
        let command = Command::Workspace(WorkspaceCommand::Purge { workspace: workspace.id, after });
        match opened.store.execute(system_context(), command).await {
            Ok(committed) => match committed.outcome {
                Outcome::Purged(PurgeProgress::More(next)) => after = next,
                _ => {
                    tracing::info!(workspace = %workspace.id, "the data of a deleted workspace was removed");
                    return Ok(());
                }
            },
            // Another node was faster.
            Err(CommandError::Workspace(WorkspaceError::NotFound)) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(REST).await;
    }
    Ok(())
}
