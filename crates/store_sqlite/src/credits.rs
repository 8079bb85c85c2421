//! Questions about credits, and the slices that nodes draw.

use async_trait::async_trait;
use keywright_domain::{
    credit::{CreditAccount, CreditDraw, CreditGrant, CreditSettlement, CreditStore, CreditSubject},
    ids::{CreditAccountId, WorkspaceId},
    query::Page,
    store::StoreError,
    time::Timestamp,
};
use rusqlite::{Connection, params};

use crate::{
    SqliteStore,
    fault::Fault,
    read::journal::cut,
    rows::{credits, installation::all},
    sql::credits as sql,
};

#[async_trait]
impl CreditStore for SqliteStore {
    async fn credit_accounts(
        &self,
        workspace: WorkspaceId,
        after: Option<CreditAccountId>,
        limit: u32,
    ) -> Result<Page<CreditAccount>, StoreError> {
        self.ask(move |connection| {
            let after = after.map_or([0; 16], CreditAccountId::to_bytes);
            let parameters = params![workspace.to_bytes(), after, u64::from(limit) + 1];
            Ok(cut(all(connection, sql::ACCOUNTS, parameters, credits::account)?, limit))
        })
        .await
    }

    async fn credit_account(
        &self,
        workspace: WorkspaceId,
        subject: CreditSubject,
    ) -> Result<Option<CreditAccount>, StoreError> {
        self.ask(move |connection| credits::account_of(connection, workspace, &subject)).await
    }

    async fn credits_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.ask(credits::next_due).await
    }

    async fn draw_credits(&self, draw: CreditDraw) -> Result<CreditGrant, StoreError> {
        self.ask_writer(move |connection| at_once(connection, |connection| credits::draw(connection, &draw)))
            .await
    }

    async fn settle_credits(&self, settlements: Vec<CreditSettlement>) -> Result<(), StoreError> {
        self.ask_writer(move |connection| {
            at_once(connection, |connection| {
                for settlement in &settlements {
                    credits::settle(connection, settlement)?;
                }
                Ok(())
            })
        })
        .await
    }
}

/// Writes in one transaction of its own.
fn at_once<T>(
    connection: &Connection,
    write: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let transaction = connection.unchecked_transaction()?;
    let value = write(&transaction)?;
    transaction.commit()?;
    Ok(value)
}
