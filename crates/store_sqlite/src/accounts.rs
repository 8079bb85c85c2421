//! Questions about accounts.

use async_trait::async_trait;
use keywright_domain::{
    account::{AccountStore, Session, SignedIn, TokenDigest},
    ids::UserId,
    principal::{Membership, Principal},
    store::StoreError,
};

use crate::{rows::sessions, store::SqliteStore};

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

    async fn memberships_of(&self, principal: Principal) -> Result<Vec<Membership>, StoreError> {
        self.ask(move |connection| sessions::memberships_of(connection, principal)).await
    }
}
