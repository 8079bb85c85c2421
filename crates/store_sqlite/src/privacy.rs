//! Questions about personal data.

use async_trait::async_trait;
use keywright_domain::{
    ids::UserId,
    principal::{Membership, User},
    privacy::{Consent, PrivacyStore, Who},
    store::StoreError,
    time::Timestamp,
    workspace::Slug,
};

use crate::{
    rows::{choices, users},
    store::SqliteStore,
};

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

    async fn memberships_of_person(&self, user: UserId) -> Result<Vec<(Membership, Slug)>, StoreError> {
        self.ask(move |connection| {
            let found = users::memberships(connection, user)?;
            Ok(found.into_iter().map(|(membership, _, slug)| (membership, slug)).collect())
        })
        .await
    }

    async fn opted_out_since(&self, user: UserId) -> Result<Option<Timestamp>, StoreError> {
        self.ask(move |connection| choices::opted_out_since(connection, user)).await
    }

    async fn consents(&self, user: UserId) -> Result<Vec<Consent>, StoreError> {
        self.ask(move |connection| choices::consents(connection, user)).await
    }
}
