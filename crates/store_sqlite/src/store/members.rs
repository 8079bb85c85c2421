//! Questions about members and service accounts.

use std::collections::HashMap;

use async_trait::async_trait;
use keywright_domain::{
    ids::{ServiceAccountId, UserId, WorkspaceId},
    member::{MemberQuery, MemberStore, Person, ServiceAccount},
    principal::{Membership, Principal},
    query::Page,
    store::StoreError,
};

use super::SqliteStore;
use crate::rows::{members, users};

#[async_trait]
impl MemberStore for SqliteStore {
    async fn membership(
        &self,
        workspace: WorkspaceId,
        principal: Principal,
    ) -> Result<Option<Membership>, StoreError> {
        self.ask(move |connection| members::of_principal(connection, workspace, principal)).await
    }

    async fn members(&self, query: MemberQuery) -> Result<Page<Membership>, StoreError> {
        self.ask(move |connection| members::people_page(connection, &query)).await
    }

    async fn people(&self, ids: Vec<UserId>) -> Result<HashMap<UserId, Person>, StoreError> {
        let Some(sealing) = self.sealing().cloned() else { return Ok(HashMap::new()) };
        self.ask(move |connection| {
            let mut people = HashMap::new();
            for id in ids {
                let user = users::by_id(connection, &sealing, id)?;
                people.extend(user.map(|user| (id, Person { email: user.email, name: user.name })));
            }
            Ok(people)
        })
        .await
    }

    async fn service_account(
        &self,
        workspace: WorkspaceId,
        account: ServiceAccountId,
    ) -> Result<Option<(ServiceAccount, Membership)>, StoreError> {
        self.ask(move |connection| members::account_by_id(connection, workspace, account)).await
    }

    async fn service_accounts(
        &self,
        query: MemberQuery,
    ) -> Result<Page<(ServiceAccount, Membership)>, StoreError> {
        self.ask(move |connection| members::accounts_page(connection, &query)).await
    }
}
