//! Questions about members and service accounts.

use std::collections::HashMap;

use async_trait::async_trait;
use keywright_domain::{
    ids::{ServiceAccountId, UserId, WorkspaceId},
    member::{MemberQuery, MemberStore, Person, ServiceAccount},
    principal::{Membership, Principal, User},
    query::Page,
    store::StoreError,
};

use super::PostgresStore;
use crate::{
    params,
    read::journal::cut,
    rows::{each, members, principal_columns, users},
    sql::{members as sql, sealing as sealing_sql},
};

#[async_trait]
impl MemberStore for PostgresStore {
    async fn membership(
        &self,
        workspace: WorkspaceId,
        principal: Principal,
    ) -> Result<Option<Membership>, StoreError> {
        self.ask(move |connected| async move {
            let (kind, id) = principal_columns(principal);
            let row = connected.first(sql::OF_PRINCIPAL, params![workspace.to_bytes(), kind, id]).await?;
            row.as_ref().map(members::membership).transpose()
        })
        .await
    }

    async fn members(&self, query: MemberQuery) -> Result<Page<Membership>, StoreError> {
        self.ask(move |connected| async move {
            let rows = connected.query(sql::PEOPLE, members::page_params(&query)).await?;
            Ok(cut(each(&rows, members::membership)?, query.limit))
        })
        .await
    }

    async fn people(&self, ids: Vec<UserId>) -> Result<HashMap<UserId, Person>, StoreError> {
        let sealing = self.sealing();
        self.ask(move |connected| async move {
            let ids: Vec<_> = ids.into_iter().map(UserId::to_bytes).collect();
            let rows = connected.query(sealing_sql::USERS, params![ids]).await?;
            let users = each(&rows, |row| users::user(row, &sealing))?;
            let person = |user: User| (user.id, Person { email: user.email, name: user.name });
            Ok(users.into_iter().flatten().map(person).collect())
        })
        .await
    }

    async fn service_account(
        &self,
        workspace: WorkspaceId,
        account: ServiceAccountId,
    ) -> Result<Option<(ServiceAccount, Membership)>, StoreError> {
        self.ask(move |connected| async move {
            let values = params![account.to_bytes(), workspace.to_bytes()];
            let row = connected.first(sql::ACCOUNT, values).await?;
            let found = row.as_ref().map(members::account).transpose()?;
            Ok(found.filter(|(account, _)| account.deleted_at.is_none()))
        })
        .await
    }

    async fn service_accounts(
        &self,
        query: MemberQuery,
    ) -> Result<Page<(ServiceAccount, Membership)>, StoreError> {
        self.ask(move |connected| async move {
            let rows = connected.query(sql::ACCOUNTS, members::page_params(&query)).await?;
            Ok(cut(each(&rows, members::account)?, query.limit))
        })
        .await
    }
}
