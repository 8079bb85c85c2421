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
    params,
    rows::{choices, each, time, users},
    sql::{privacy as choice_sql, sealing as sql},
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

    async fn opted_out_since(&self, user: UserId) -> Result<Option<Timestamp>, StoreError> {
        self.ask(|connected| async move {
            let row = connected.first(choice_sql::OPTED_OUT, params![user.to_bytes()]).await?;
            row.map(|row| time(&row, 0)).transpose()
        })
        .await
    }

    async fn consents(&self, user: UserId) -> Result<Vec<Consent>, StoreError> {
        self.ask(|connected| async move {
            each(&connected.query(choice_sql::CONSENTS, params![user.to_bytes()]).await?, choices::consent)
        })
        .await
    }
}
