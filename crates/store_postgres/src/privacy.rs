//! Questions about personal data.

use async_trait::async_trait;
use keywright_domain::{
    ids::UserId,
    principal::{Membership, User},
    privacy::{PrivacyStore, Who},
    store::StoreError,
    workspace::Slug,
};

use crate::{
    params,
    rows::{each, users},
    sql::sealing as sql,
    store::PostgresStore,
};

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

    async fn memberships_of_person(&self, user: UserId) -> Result<Vec<(Membership, Slug)>, StoreError> {
        self.ask(|connected| async move {
            let rows = connected.query(sql::MEMBERSHIPS_OF_PERSON, params![user.to_bytes()]).await?;
            let found = each(&rows, users::membership)?;
            Ok(found.into_iter().map(|(membership, _, slug)| (membership, slug)).collect())
        })
        .await
    }
}
