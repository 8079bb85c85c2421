//! Questions about personal data.

use async_trait::async_trait;
use keywright_domain::{
    principal::User,
    privacy::{PrivacyStore, Who},
    store::StoreError,
};

use crate::{params, rows::users, sql::sealing as sql, store::PostgresStore};

#[async_trait]
impl PrivacyStore for PostgresStore {
    async fn person(&self, who: Who) -> Result<Option<User>, StoreError> {
        let sealing = self.sealing();
        let (statement, values) = match who {
            Who::Id(id) => (sql::USER, params![id.to_bytes()]),
            Who::Email(email) => (sql::USER_BY_EMAIL, params![sealing.email_index(&email)]),
        };
        self.ask(|connected| async move {
            match connected.first(statement, values).await? {
                Some(row) => users::user(&row, &sealing),
                None => Ok(None),
            }
        })
        .await
    }
}
