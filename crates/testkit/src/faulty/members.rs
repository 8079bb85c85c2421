use std::collections::HashMap;

use async_trait::async_trait;
use keywright_domain::{
    ids::{ServiceAccountId, UserId, WorkspaceId},
    member::{MemberQuery, MemberStore, Person, ServiceAccount},
    principal::{Membership, Principal},
    query::Page,
    store::{Store, StoreError},
};

use super::FaultyStore;

#[async_trait]
impl<S: Store> MemberStore for FaultyStore<S> {
    async fn membership(
        &self,
        workspace: WorkspaceId,
        principal: Principal,
    ) -> Result<Option<Membership>, StoreError> {
        self.question(self.inner.membership(workspace, principal)).await
    }

    async fn members(&self, query: MemberQuery) -> Result<Page<Membership>, StoreError> {
        self.question(self.inner.members(query)).await
    }

    async fn people(&self, users: Vec<UserId>) -> Result<HashMap<UserId, Person>, StoreError> {
        self.question(self.inner.people(users)).await
    }

    async fn service_account(
        &self,
        workspace: WorkspaceId,
        account: ServiceAccountId,
    ) -> Result<Option<(ServiceAccount, Membership)>, StoreError> {
        self.question(self.inner.service_account(workspace, account)).await
    }

    async fn service_accounts(
        &self,
        query: MemberQuery,
    ) -> Result<Page<(ServiceAccount, Membership)>, StoreError> {
        self.question(self.inner.service_accounts(query)).await
    }
}
