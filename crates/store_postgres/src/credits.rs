//! Questions about credits, and the slices that nodes draw: single statements beside the writer.

use async_trait::async_trait;
use keywright_domain::{
    caps,
    credit::{CreditAccount, CreditDraw, CreditGrant, CreditSettlement, CreditStore, CreditSubject},
    ids::{CreditAccountId, WorkspaceId},
    query::Page,
    store::StoreError,
    time::Timestamp,
};

use crate::{
    PostgresStore, params,
    read::journal::cut,
    rows::{bytes, credits, each, number, optional_time},
    sql::credits as sql,
};

#[async_trait]
impl CreditStore for PostgresStore {
    async fn credit_accounts(
        &self,
        workspace: WorkspaceId,
        after: Option<CreditAccountId>,
        limit: u32,
    ) -> Result<Page<CreditAccount>, StoreError> {
        self.ask(|connected| async move {
            let after = after.map_or([0; 16], CreditAccountId::to_bytes);
            let values = params![workspace.to_bytes(), after, u64::from(limit) + 1];
            Ok(cut(each(&connected.query(sql::ACCOUNTS, values).await?, credits::account)?, limit))
        })
        .await
    }

    async fn credit_account(
        &self,
        workspace: WorkspaceId,
        subject: CreditSubject,
    ) -> Result<Option<CreditAccount>, StoreError> {
        self.ask(|connected| async move {
            let values = params![workspace.to_bytes(), subject.to_column()];
            connected.first(sql::ACCOUNT_OF, values).await?.as_ref().map(credits::account).transpose()
        })
        .await
    }

    async fn credits_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.ask(|connected| async move {
            let spans = [caps::SLICE_LOST_SECONDS, caps::RESERVATION_KEPT_SECONDS];
            let [lost_ms, kept_ms] = spans.map(|seconds| seconds * 1_000);
            let row = connected.first(sql::NEXT_DUE, params![lost_ms, kept_ms]).await?;
            row.map_or(Ok(None), |row| optional_time(&row, 0))
        })
        .await
    }

    async fn draw_credits(&self, draw: CreditDraw) -> Result<CreditGrant, StoreError> {
        self.ask(|connected| async move {
            let warnings = connected.warnings();
            let subjects: Vec<String> = draw.subjects.iter().map(CreditSubject::to_column).collect();
            let values = params![
                draw.slice,
                draw.workspace.to_bytes(),
                subjects,
                draw.needed,
                draw.want,
                draw.nodes.max(1),
                draw.now
            ];
            let row = connected.first(sql::DRAW, values).await?;
            if connected.warnings() != warnings {
                return Err(StoreError::CommitUnknown(connected.last_warning()).into());
            }
            let Some(row) = row else { return Ok(CreditGrant::default()) };
            let account = Some(CreditAccountId::from_bytes(bytes(&row, 0)?));
            Ok(CreditGrant { account, units: number(&row, 1)?, left: number(&row, 2)? })
        })
        .await
    }

    async fn settle_credits(&self, settlements: Vec<CreditSettlement>) -> Result<(), StoreError> {
        self.ask(|connected| async move {
            for CreditSettlement { slice, spent } in settlements {
                connected.execute(sql::SETTLE, params![slice, spent]).await?;
            }
            Ok(())
        })
        .await
    }
}
