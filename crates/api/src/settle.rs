//! After a workspace's lease was cut: a revocation waits as if the longer lease were still in force, until every node is
//! known to have heard of the cut. Then the store is told, in the background.

use std::time::Duration;

use keywright_domain::{
    audit::PersonalData,
    change::Change,
    command::{Command, Committed, Context, Outcome},
    entropy::random_bytes,
    ids::{AuditId, WorkspaceId},
    permit::{self, Action, Actor},
    store::StoreError,
};

use crate::{
    cluster::{Awaited, Progress},
    state::AppState,
};

/// How long one wait for the other nodes takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);
/// Changes that are looked at in one go.
const PAGE: u32 = 1_000;

impl AppState {
    /// If the workspace that `committed` changed has a shorter lease than revocations wait for, ends that once every node
    /// has heard of it. Should this process end before, revocations go on waiting longer than they need to: until the
    /// lease is changed the next time.
    pub(crate) fn settle_later(&self, committed: &Committed) {
        let Outcome::Workspace(workspace) = &committed.outcome else { return };
        if workspace.policy.wait > workspace.policy.lease {
            let change = Awaited { sequence: committed.sequence, term: committed.wait };
            tokio::spawn(self.clone().settle(workspace.id, change));
        }
    }

    async fn settle(self, workspace: WorkspaceId, change: Awaited) {
        while let Progress::Waiting { .. } = self.plane.cluster().everywhere(change, PATIENCE).await {
            tokio::time::sleep(PAUSE).await;
        }
        // Nobody cuts the lease again, on this node, between the look and the command.
        let _turn = self.workspace_writes.lock().await;
        loop {
            match self.is_untouched(workspace, change.sequence).await {
                Ok(true) => {}
                // Whoever changed the workspace since then sees to it.
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%workspace, %error, "the log cannot be read to settle a lease");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            }
            let Ok(permit) = permit::authorize(Actor::System, Action::Operate, None) else { return };
            let now = self.clock.now();
            let context = Context {
                now,
                permit,
                audit_id: AuditId::generate(now, &*self.entropy),
                request_id: None,
                personal: PersonalData {
                    salt: random_bytes(&*self.entropy),
                    address: None,
                    user_agent: None,
                },
                idempotency: None,
            };
            match self.store.execute(context, Command::SettleLease(workspace)).await {
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%workspace, %error, "a lease cannot be settled");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Whether the workspace was not changed after `sequence`.
    async fn is_untouched(&self, workspace: WorkspaceId, sequence: u64) -> Result<bool, StoreError> {
        let mut after = sequence;
        loop {
            let page = self.store.changes_after(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(true) };
            after = last.sequence;
            let is_touched = page
                .iter()
                .any(|change| matches!(&change.change, Change::Workspace(view) if view.id == workspace));
            if is_touched {
                return Ok(false);
            }
        }
    }
}
