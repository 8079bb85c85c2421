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
    rows::{installation, invitations, sessions},
    store::SqliteStore,
};

#[async_trait]
impl AccountStore for SqliteStore {
    async fn session(&self, digest: TokenDigest) -> Result<Option<SignedIn>, StoreError> {
        self.ask(move |connection| {
            let Some(session) = sessions::by_digest(connection, digest)? else { return Ok(None) };
            let memberships = sessions::memberships_of(connection, Principal::User(session.user))?;
            Ok(Some(SignedIn { session, memberships }))
        })
        .await
    }

    async fn sessions(&self, user: UserId) -> Result<Vec<Session>, StoreError> {
        self.ask(move |connection| sessions::of_user(connection, user)).await
    }

    async fn invitations(
        &self,
        workspace: WorkspaceId,
        after: Option<InvitationId>,
        limit: u32,
    ) -> Result<Page<Invitation>, StoreError> {
        self.ask(move |connection| invitations::page(connection, workspace, after, limit)).await
    }

    async fn invitation_by_digest(
        &self,
        digest: TokenDigest,
    ) -> Result<Option<(Invitation, Workspace)>, StoreError> {
        self.ask(move |connection| {
            let Some(invitation) = invitations::by_digest(connection, digest)? else { return Ok(None) };
            let found = installation::workspace_by_id(connection, invitation.workspace)?;
            Ok(found.map(|found| (invitation, found.workspace)))
        })
        .await
    }

    async fn recovery(&self, digest: TokenDigest) -> Result<Option<Recovery>, StoreError> {
        self.ask(move |connection| invitations::recovery(connection, digest)).await
    }

    async fn second_factor(&self, user: UserId) -> Result<Option<SecondFactor>, StoreError> {
        let Some(sealing) = self.sealing().cloned() else { return Ok(None) };
        self.ask(move |connection| invitations::factor(connection, &sealing, user)).await
    }

    async fn memberships_of(&self, principal: Principal) -> Result<Vec<Membership>, StoreError> {
        self.ask(move |connection| sessions::memberships_of(connection, principal)).await
    }
}
