//! Questions about personal data.

use async_trait::async_trait;
use keywright_domain::{
    principal::User,
    privacy::{PrivacyStore, Who},
    store::StoreError,
};

use crate::{rows::users, store::SqliteStore};

#[async_trait]
impl PrivacyStore for SqliteStore {
    async fn person(&self, who: Who) -> Result<Option<User>, StoreError> {
        let Some(sealing) = self.sealing().cloned() else { return Ok(None) };
        self.ask(move |connection| match who {
            Who::Id(id) => users::by_id(connection, &sealing, id),
            Who::Email(email) => users::by_email(connection, &sealing, &email),
        })
        .await
    }
}
