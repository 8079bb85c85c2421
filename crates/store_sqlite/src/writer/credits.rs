//! Commands about credits.

use keywright_domain::{
    caps,
    command::Outcome,
    credit::{self, CreditAccount, CreditCommand, CreditSettlement, Decided, Found, Reservation, Told},
    ids::ReservationId,
};
use rusqlite::params;

use super::record::{Draft, Entry, Scope};
use crate::{
    fault::Fault,
    rows::{
        credits,
        installation::{all, first},
    },
    sql::credits as sql,
};

impl Scope<'_> {
    pub(super) fn credit(&mut self, command: &CreditCommand) -> Result<Draft, Fault> {
        let (account, reservation) = match command {
            CreditCommand::Sweep => return self.sweep_credits(),
            CreditCommand::Grant { subject, .. }
            | CreditCommand::SetRefill { subject, .. }
            | CreditCommand::Reserve { subject, .. } => {
                (credits::account_of(self.connection, self.permitted_workspace(), subject)?, None)
            }
            CreditCommand::Commit { reservation, .. } | CreditCommand::Refund { reservation } => {
                self.reserved(*reservation)?
            }
        };
        let workspace = self.permitted_workspace();
        self.workspaces.get(self.connection, workspace)?;
        let decided = credit::decide(command, Found { workspace, account, reservation }, self.context.now)?;
        self.keep_credit(decided)
    }

    fn reserved(&self, id: ReservationId) -> Result<(Option<CreditAccount>, Option<Reservation>), Fault> {
        let found = first(self.connection, sql::RESERVATION, [id.to_bytes()], credits::reservation)?;
        let Some(reservation) = found else { return Ok((None, None)) };
        Ok((credits::account_by_id(self.connection, reservation.account)?, Some(reservation)))
    }

    fn keep_credit(&mut self, decided: Decided) -> Result<Draft, Fault> {
        let Decided { account, reservation, told } = decided;
        let target = reservation.as_ref().map_or_else(|| account.id.to_string(), |made| made.id.to_string());
        let mut draft = Draft::new(Outcome::Done, target);
        if let Some(told) = told {
            credits::put_account(self.connection, &account)?;
            if let Some(reservation) = &reservation {
                credits::put_reservation(self.connection, reservation)?;
            }
            draft.entries.push(self.credit_entry(&account, told)?);
        }
        draft.outcome = Outcome::Credit(Box::new(account), reservation.map(Box::new));
        Ok(draft)
    }

    fn credit_entry(&mut self, account: &CreditAccount, told: Told) -> Result<Entry, Fault> {
        let workspace = &self.workspaces.get(self.connection, account.workspace)?.workspace;
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
    fn sweep_credits(&mut self) -> Result<Draft, Fault> {
        let (connection, now) = (self.connection, self.context.now);
        let (at, limit) = (now.unix_ms(), caps::CREDIT_SWEEP_MAX);
        let mut draft = Draft::new(Outcome::Done, String::new());
        let mut swept = 0;
        for mut account in all(connection, sql::ACCOUNTS_DUE, params![at, limit], credits::account)? {
            let told = credit::refill(&mut account, now);
            credits::put_account(connection, &account)?;
            draft.entries.push(self.credit_entry(&account, told)?);
            swept += 1;
        }
        for reservation in all(connection, sql::RESERVATIONS_DUE, params![at, limit], credits::reservation)? {
            let Some(account) = credits::account_by_id(connection, reservation.account)? else { continue };
            if let Some(expired) = credit::expire(account, reservation, now) {
                draft.entries.extend(self.keep_credit(expired)?.entries);
                swept += 1;
            }
        }
        for slice in credits::lost_slices(connection, now, limit)? {
            let settlement = CreditSettlement { slice, spent: u64::MAX };
            if let Some(account) = credits::settle(connection, &settlement)? {
                draft.entries.push(self.credit_entry(&account, credit::lost(&account))?);
                swept += 1;
            }
        }
        for id in credits::old_reservations(connection, now, limit)? {
            connection.prepare_cached(sql::DELETE_RESERVATION)?.execute([id])?;
            swept += 1;
        }
        draft.outcome = Outcome::Swept(swept);
        Ok(draft)
    }
}
