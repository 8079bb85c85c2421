//! Commands about credits. Accounts are locked as they are read: nodes draw from them at any time.

use keywright_domain::{
    caps,
    command::Outcome,
    credit::{self, CreditAccount, CreditCommand, CreditSubject, Decided, Found, Reservation, Told},
    ids::{CreditAccountId, ReservationId, WorkspaceId},
};

use super::record::{Draft, Entry, Scope};
use crate::{
    fault::Fault,
    params,
    rows::{bytes, credits, each},
    sql::credits as sql,
};

impl Scope<'_> {
    pub(super) async fn credit(&mut self, command: &CreditCommand) -> Result<Draft, Fault> {
        let (account, reservation) = match command {
            CreditCommand::Sweep => return self.sweep_credits().await,
            CreditCommand::Grant { subject, .. }
            | CreditCommand::SetRefill { subject, .. }
            | CreditCommand::Reserve { subject, .. } => {
                (self.account_of(self.permitted_workspace(), subject).await?, None)
            }
            CreditCommand::Commit { reservation, .. } | CreditCommand::Refund { reservation } => {
                self.reserved(*reservation).await?
            }
        };
        let workspace = self.permitted_workspace();
        self.group.workspace(workspace).await?;
        let is_new = account.is_none();
        let decided = credit::decide(command, Found { workspace, account, reservation }, self.context.now)?;
        self.keep_credit(decided, is_new).await
    }

    async fn account_of(
        &mut self,
        workspace: WorkspaceId,
        subject: &CreditSubject,
    ) -> Result<Option<CreditAccount>, Fault> {
        let values = params![workspace.to_bytes(), subject.to_column()];
        let row = self.group.transaction.first(sql::LOCK_ACCOUNT_OF, values).await?;
        row.as_ref().map(credits::account).transpose()
    }

    async fn credit_account(&mut self, id: CreditAccountId) -> Result<Option<CreditAccount>, Fault> {
        let row = self.group.transaction.first(sql::ACCOUNT, params![id.to_bytes()]).await?;
        row.as_ref().map(credits::account).transpose()
    }

    async fn reserved(
        &mut self,
        id: ReservationId,
    ) -> Result<(Option<CreditAccount>, Option<Reservation>), Fault> {
        let row = self.group.transaction.first(sql::RESERVATION, params![id.to_bytes()]).await?;
        let Some(reservation) = row.as_ref().map(credits::reservation).transpose()? else {
            return Ok((None, None));
        };
        Ok((self.credit_account(reservation.account).await?, Some(reservation)))
    }

    async fn keep_credit(&mut self, decided: Decided, is_new: bool) -> Result<Draft, Fault> {
        let Decided { account, reservation, told } = decided;
        let target = reservation.as_ref().map_or_else(|| account.id.to_string(), |made| made.id.to_string());
        let mut draft = Draft::new(Outcome::Done, target);
        if let Some(told) = told {
            draft.entries.push(self.credit_entry(&account, told).await?);
            let transaction = &mut self.group.transaction;
            if is_new {
                transaction.write(sql::INSERT_ACCOUNT, credits::insert_params(&account));
            } else {
                transaction.write(sql::UPDATE_ACCOUNT, credits::update_params(&account));
            }
            if let Some(reservation) = &reservation {
                transaction.write(sql::PUT_RESERVATION, credits::reservation_params(reservation));
            }
        }
        draft.outcome = Outcome::Credit(Box::new(account), reservation.map(Box::new));
        Ok(draft)
    }

    async fn credit_entry(&mut self, account: &CreditAccount, told: Told) -> Result<Entry, Fault> {
        let workspace = &self.group.workspace(account.workspace).await?.workspace;
        Ok(Entry {
            action: told.action,
            kind: "credit_account",
            target: account.id.to_string(),
            workspace: Some((workspace.id, workspace.number)),
            reason: told.reason,
            fields: told.fields,
        })
    }

    /// Carries out what is due.
    async fn sweep_credits(&mut self) -> Result<Draft, Fault> {
        let (now, limit) = (self.context.now, caps::CREDIT_SWEEP_MAX);
        let mut draft = Draft::new(Outcome::Done, String::new());
        let rows = self.group.transaction.query(sql::ACCOUNTS_DUE, params![now, limit]).await?;
        let mut swept = 0;
        for mut account in each(&rows, credits::account)? {
            let told = credit::refill(&mut account, now);
            draft.entries.push(self.credit_entry(&account, told).await?);
            self.group.transaction.write(sql::UPDATE_ACCOUNT, credits::update_params(&account));
            swept += 1;
        }
        let rows = self.group.transaction.query(sql::RESERVATIONS_DUE, params![now, limit]).await?;
        for reservation in each(&rows, credits::reservation)? {
            let Some(account) = self.credit_account(reservation.account).await? else { continue };
            if let Some(expired) = credit::expire(account, reservation, now) {
                draft.entries.extend(self.keep_credit(expired, false).await?.entries);
                swept += 1;
            }
        }
        swept += self.sweep_slices(&mut draft).await?;
        let before = now.plus_seconds(-caps::RESERVATION_KEPT_SECONDS);
        let rows = self.group.transaction.query(sql::OLD_RESERVATIONS, params![before, limit]).await?;
        let old: Vec<[u8; 16]> = each(&rows, |row| bytes(row, 0))?;
        if !old.is_empty() {
            swept += old.len() as u64;
            self.group.transaction.write(sql::DELETE_RESERVATIONS, params![old]);
        }
        draft.outcome = Outcome::Swept(swept);
        Ok(draft)
    }

    /// Slices that no node settled count as spent.
    async fn sweep_slices(&mut self, draft: &mut Draft) -> Result<u64, Fault> {
        let before = self.context.now.plus_seconds(-caps::SLICE_LOST_SECONDS);
        let limit = caps::CREDIT_SWEEP_MAX;
        let rows = self.group.transaction.query(sql::SLICES_LOST, params![before, limit]).await?;
        let lost: Vec<([u8; 16], CreditAccountId)> =
            each(&rows, |row| Ok((bytes(row, 0)?, CreditAccountId::from_bytes(bytes(row, 1)?))))?;
        for (slice, account) in &lost {
            if let Some(account) = self.credit_account(*account).await? {
                draft.entries.push(self.credit_entry(&account, credit::lost(&account)).await?);
            }
            self.group.transaction.write(sql::SETTLE, params![*slice, u64::MAX]);
        }
        Ok(lost.len() as u64)
    }
}
