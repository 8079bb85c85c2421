//! Commands about accounts.

use keywright_domain::{
    account::{
        self, AccountCommand, AccountError, AccountOutcome, FactorUse, Gate, NewSession, Session,
        SessionLimits, Subject,
    },
    audit::FieldChange,
    caps,
    command::Outcome,
    ids::{SessionId, UserId},
    principal::User,
};
use rusqlite::params;

use super::record::{Draft, Entry, Scope};
use crate::{
    fault::Fault,
    rows::{choices, installation::first, sessions, users},
    sql::accounts as sql,
};

/// Forgotten subjects that each attempt takes along, so that the table cannot grow for ever.
const PRUNED_PER_ATTEMPT: u32 = 4;

impl Scope<'_> {
    pub(super) fn account_command(&mut self, command: AccountCommand) -> Result<Draft, Fault> {
        match command {
            AccountCommand::CreateSession { session, limits, forgive, factor } => {
                self.create_session(&session, limits, &forgive, factor)
            }
            AccountCommand::EndSession { user, session } => self.end_session(user, session),
            AccountCommand::EndSessions { user, keep } => self.end_sessions(user, keep),
            AccountCommand::TouchSession { user, session } => self.touch_session(user, session),
            AccountCommand::BeginAttempt(subjects) => self.begin_attempt(&subjects),
        }
    }

    /// Keeps a new user, whose address nobody else may have.
    pub(super) fn new_user(&mut self, user: &User) -> Result<(), Fault> {
        let index = self.sealer.sealing().email_index(&user.email);
        if first(self.connection, sql::EMAIL_TAKEN, [index], |_| Ok(()))?.is_some() {
            return Err(AccountError::EmailTaken.into());
        }
        users::insert(self.connection, self.sealer, user)
    }

    pub(super) fn create_session(
        &self,
        new: &NewSession,
        limits: SessionLimits,
        forgive: &[Subject],
        factor: Option<FactorUse>,
    ) -> Result<Draft, Fault> {
        let user = [new.user.to_bytes()];
        first(self.connection, sql::LIVING_USER, user, |_| Ok(()))?.ok_or(AccountError::NotFound)?;
        if new.method.takes_factor() {
            self.use_factor(new.user, factor)?;
        }
        let is_out = choices::opted_out_since(self.connection, new.user)?.is_some();
        let quiet = is_out.then(|| new.without_agent());
        let new = quiet.as_ref().unwrap_or(new);
        let others = sessions::of_user(self.connection, new.user)?;
        let (decided, gone) = account::create_session(new, &others, limits, self.context.now);
        for id in gone {
            sessions::delete(self.connection, id)?;
        }
        sessions::insert(self.connection, &decided.value, new.digest)?;
        self.forgive(forgive)?;
        let entry = session_entry(&decided.value, decided.action, decided.fields);
        Ok(draft(AccountOutcome::Session(Box::new(decided.value)), vec![entry]))
    }

    fn end_session(&self, user: UserId, id: SessionId) -> Result<Draft, Fault> {
        let all = sessions::of_user(self.connection, user)?;
        let session = all.iter().find(|session| session.id == id).ok_or(AccountError::NotFound)?;
        sessions::delete(self.connection, id)?;
        Ok(draft(AccountOutcome::Ended(1), vec![session_entry(session, "session.ended", Vec::new())]))
    }

    pub(super) fn end_sessions(&self, user: UserId, keep: Option<SessionId>) -> Result<Draft, Fault> {
        let all = sessions::of_user(self.connection, user)?;
        let gone = account::end_sessions(&all, keep);
        for id in &gone {
            sessions::delete(self.connection, *id)?;
        }
        let entries = all
            .iter()
            .filter(|session| gone.contains(&session.id))
            .map(|session| session_entry(session, "session.ended", Vec::new()));
        Ok(draft(AccountOutcome::Ended(gone.len() as u64), entries.collect()))
    }

    fn touch_session(&self, user: UserId, id: SessionId) -> Result<Draft, Fault> {
        let values = params![id.to_bytes(), user.to_bytes(), self.context.now.unix_ms()];
        self.connection.prepare_cached(sql::TOUCH_SESSION)?.execute(values)?;
        Ok(draft(AccountOutcome::Done, Vec::new()))
    }

    fn begin_attempt(&self, subjects: &[Subject]) -> Result<Draft, Fault> {
        let now = self.context.now;
        let mut counted = Vec::with_capacity(subjects.len());
        for subject in subjects {
            let before = sessions::attempts(self.connection, *subject)?;
            match account::begin_attempt(before, subject.kind, now) {
                Ok(attempts) => counted.push((*subject, attempts)),
                Err(end) => return Ok(draft(AccountOutcome::Gate(Gate::LockedUntil(end)), Vec::new())),
            }
        }
        for (subject, attempts) in counted {
            sessions::put_attempts(self.connection, subject, attempts)?;
        }
        let forgotten = now.plus_seconds(-caps::ATTEMPTS_FORGOTTEN_SECONDS).unix_ms();
        self.connection
            .prepare_cached(sql::PRUNE_ATTEMPTS)?
            .execute(params![forgotten, PRUNED_PER_ATTEMPT])?;
        Ok(draft(AccountOutcome::Gate(Gate::Open), Vec::new()))
    }
}

/// Accounts are not part of the verification state: the change log has nothing of them.
fn draft(outcome: AccountOutcome, entries: Vec<Entry>) -> Draft {
    let target = entries.first().map(|entry| entry.target.clone()).unwrap_or_default();
    Draft { entries, ..Draft::new(Outcome::Account(outcome), target) }
}

fn session_entry(session: &Session, action: &'static str, fields: Vec<FieldChange>) -> Entry {
    let target = session.id.to_string();
    Entry { action, kind: "session", target, workspace: None, reason: None, fields }
}
