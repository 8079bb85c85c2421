//! Questions about accounts.

use async_trait::async_trait;
use keywright_domain::{
    account::{AccountStore, Session, SignedIn, TokenDigest},
    ids::UserId,
    principal::{Membership, Principal},
    store::StoreError,
};

use crate::{
    connect::Connected,
    fault::Fault,
    params,
    rows::{each, members::membership, sessions},
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

    async fn memberships_of(&self, principal: Principal) -> Result<Vec<Membership>, StoreError> {
        self.ask(|connected| async move { memberships_of(&connected, principal).await }).await
    }
}

async fn memberships_of(connected: &Connected, principal: Principal) -> Result<Vec<Membership>, Fault> {
    let values = sessions::principal_params(principal);
    each(&connected.query(sql::installation::MEMBERSHIPS_OF, values).await?, membership)
}
