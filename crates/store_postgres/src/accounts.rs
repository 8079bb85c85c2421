//! Questions about accounts.

use async_trait::async_trait;
use keywright_domain::{
    account::{AccountStore, Invitation, Recovery, SecondFactor, Session, SignedIn, TokenDigest},
    ids::{InvitationId, UserId, WorkspaceId},
    principal::{Membership, Principal},
    query::Page,
    store::StoreError,
    workspace::Workspace,
};

use crate::{
    connect::Connected,
    fault::Fault,
    params,
    read::journal::cut,
    rows::{each, installation, invitations, members::membership, sessions},
    sql,
    store::PostgresStore,
};

#[async_trait]
impl AccountStore for PostgresStore {
    async fn session(&self, digest: TokenDigest) -> Result<Option<SignedIn>, StoreError> {
        self.ask(|connected| async move {
            let row = connected.first(sql::accounts::SESSION_BY_DIGEST, params![digest.0]).await?;
            let Some(session) = row.as_ref().map(sessions::session).transpose()? else { return Ok(None) };
            // Read after the session: what was taken from the user before the session was read is missing here, too.
            let memberships = memberships_of(&connected, Principal::User(session.user)).await?;
            Ok(Some(SignedIn { session, memberships }))
        })
        .await
    }

    async fn sessions(&self, user: UserId) -> Result<Vec<Session>, StoreError> {
        self.ask(|connected| async move {
            let rows = connected.query(sql::accounts::SESSIONS_OF, params![user.to_bytes()]).await?;
            each(&rows, sessions::session)
        })
        .await
    }

    async fn invitations(
        &self,
        workspace: WorkspaceId,
        after: Option<InvitationId>,
        limit: u32,
    ) -> Result<Page<Invitation>, StoreError> {
        self.ask(move |connected| async move {
            let after = after.map_or([0; 16], InvitationId::to_bytes);
            let values = params![workspace.to_bytes(), after, limit.saturating_add(1)];
            let rows = connected.query(sql::invitations::INVITATIONS, values).await?;
            Ok(cut(each(&rows, invitations::invitation)?, limit))
        })
        .await
    }

    async fn invitation_by_digest(
        &self,
        digest: TokenDigest,
    ) -> Result<Option<(Invitation, Workspace)>, StoreError> {
        self.ask(move |connected| async move {
            let row = connected.first(sql::invitations::INVITATION_BY_DIGEST, params![digest.0]).await?;
            let Some(invitation) = row.as_ref().map(invitations::invitation).transpose()? else {
                return Ok(None);
            };
            let values = params![invitation.workspace.to_bytes()];
            let row = connected.first(sql::installation::WORKSPACE_BY_ID, values).await?;
            let found = row.as_ref().map(installation::counted_workspace).transpose()?;
            Ok(found.map(|found| (invitation, found.workspace)))
        })
        .await
    }

    async fn recovery(&self, digest: TokenDigest) -> Result<Option<Recovery>, StoreError> {
        self.ask(move |connected| async move {
            let row = connected.first(sql::invitations::RECOVERY_BY_DIGEST, params![digest.0]).await?;
            row.as_ref().map(invitations::recovery).transpose()
        })
        .await
    }

    async fn second_factor(&self, user: UserId) -> Result<Option<SecondFactor>, StoreError> {
        let sealing = self.sealing();
        self.ask(move |connected| async move {
            let row = connected.first(sql::invitations::FACTOR, params![user.to_bytes()]).await?;
            row.as_ref().map(|row| invitations::factor(row, user, &sealing)).transpose()
        })
        .await
    }

    async fn memberships_of(&self, principal: Principal) -> Result<Vec<Membership>, StoreError> {
        self.ask(|connected| async move { memberships_of(&connected, principal).await }).await
    }
}

async fn memberships_of(connected: &Connected, principal: Principal) -> Result<Vec<Membership>, Fault> {
    let values = sessions::principal_params(principal);
    each(&connected.query(sql::installation::MEMBERSHIPS_OF, values).await?, membership)
}
