//! After a workspace's lease was cut: a revocation waits as if the longer lease were still in force, until every node is
//! known to have heard of the cut. Then the store is told, in the background.

use std::time::Duration;

use keywright_domain::{
    audit::PersonalData,
    command::{Command, Committed, Context, Outcome},
    entropy::random_bytes,
    ids::{AuditId, WorkspaceId},
    permit::{self, Action, Actor},
};

use crate::{
    cluster::{Awaited, Progress},
    state::AppState,
};

/// How long one wait for the other nodes takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

impl AppState {
    /// If the workspace that `committed` changed has a shorter lease than revocations wait for, ends that once every node
    /// has heard of it. Should this process end before, revocations go on waiting longer than they need to: until the
    /// lease is changed the next time.
    pub(crate) fn settle_later(&self, committed: &Committed) {
        let Outcome::Workspace(workspace) = &committed.outcome else { return };
        if workspace.policy.wait > workspace.policy.lease {
            let change = Awaited { sequence: committed.sequence, term: committed.wait };
            tokio::spawn(self.clone().settle(workspace.id, workspace.policy.lease_version, change));
        }
    }

    async fn settle(self, workspace: WorkspaceId, version: u32, change: Awaited) {
        while let Progress::Waiting { .. } = self.plane.cluster().everywhere(change, PATIENCE).await {
            tokio::time::sleep(PAUSE).await;
        }
        loop {
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
            match self.store.execute(context, Command::SettleLease { workspace, version }).await {
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%workspace, %error, "a lease cannot be settled");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}
