//! Questions about whom OpenID Connect providers know.

use async_trait::async_trait;
use keywright_domain::{
    identity::{ExternalIdentity, IdentityStore},
    principal::User,
    store::StoreError,
};

use crate::{
    params,
    rows::{bytes, users},
    sql,
    store::PostgresStore,
};

#[async_trait]
impl IdentityStore for PostgresStore {
    async fn user_of(&self, identity: ExternalIdentity) -> Result<Option<User>, StoreError> {
        let sealing = self.sealing();
        self.ask(|connected| async move {
            let index = params![sealing.identity_index(&identity)];
            let Some(row) = connected.first(sql::identities::USER_OF_IDENTITY, index).await? else {
                return Ok(None);
            };
            let user = params![bytes::<16>(&row, 0)?];
            match connected.first(sql::sealing::USER, user).await? {
                Some(row) => users::user(&row, &sealing),
                None => Ok(None),
            }
        })
        .await
    }
}
