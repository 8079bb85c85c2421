//! Questions about whom OpenID Connect providers know.

use async_trait::async_trait;
use keywright_domain::{
    identity::{ExternalIdentity, IdentityStore},
    ids::UserId,
    principal::User,
    store::StoreError,
};

use crate::{
    rows::{bytes, installation::first, users},
    sql::identities as sql,
    store::SqliteStore,
};

#[async_trait]
impl IdentityStore for SqliteStore {
    async fn user_of(&self, identity: ExternalIdentity) -> Result<Option<User>, StoreError> {
        let Some(sealing) = self.sealing().cloned() else { return Ok(None) };
        self.ask(move |connection| {
            let index = sealing.identity_index(&identity);
            let found = first(connection, sql::USER_OF_IDENTITY, [index], |row| bytes(row, 0))?;
            match found.map(UserId::from_bytes) {
                Some(user) => users::by_id(connection, &sealing, user),
                None => Ok(None),
            }
        })
        .await
    }
}
