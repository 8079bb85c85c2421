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

use super::record::{Draft, Entry, Scope};
use crate::{
    fault::Fault,
    params,
    rows::{each, sessions, users},
    sql::{accounts as sql, installation},
};

/// Forgotten subjects that each attempt takes along, so that the table cannot grow for ever.
const PRUNED_PER_ATTEMPT: u32 = 4;

impl Scope<'_> {
    pub(super) async fn account_command(&mut self, command: AccountCommand) -> Result<Draft, Fault> {
        match command {
            AccountCommand::CreateSession { session, limits, forgive, factor } => {
                self.create_session(&session, limits, &forgive, factor).await
            }
            AccountCommand::EndSession { user, session } => self.end_session(user, session).await,
            AccountCommand::EndSessions { user, keep } => self.end_sessions(user, keep).await,
            AccountCommand::TouchSession { user, session } => Ok(self.touch_session(user, session)),
            AccountCommand::BeginAttempt(subjects) => self.begin_attempt(&subjects).await,
        }
    }

    /// Keeps a new user, whose address nobody else may have.
    pub(super) async fn new_user(&mut self, user: &User) -> Result<(), Fault> {
        let index = self.group.sealer.sealing().email_index(&user.email);
        if self.group.transaction.first(sql::EMAIL_TAKEN, params![index]).await?.is_some() {
            return Err(AccountError::EmailTaken.into());
        }
        let sealed = self.group.sealer.new_user(&mut self.group.transaction, user);
        let values = users::user_params(user, sealed);
        self.group.transaction.write(installation::INSERT_USER, values);
        Ok(())
    }

    pub(super) async fn sessions_of(&mut self, user: UserId) -> Result<Vec<Session>, Fault> {
        let rows = self.group.transaction.query(sql::SESSIONS_OF, params![user.to_bytes()]).await?;
        each(&rows, sessions::session)
    }

    pub(super) async fn create_session(
        &mut self,
        new: &NewSession,
        limits: SessionLimits,
        forgive: &[Subject],
        factor: Option<FactorUse>,
    ) -> Result<Draft, Fault> {
        let user = params![new.user.to_bytes()];
        self.group.transaction.first(sql::LIVING_USER, user).await?.ok_or(AccountError::NotFound)?;
        if new.method.takes_factor() {
            self.use_factor(new.user, factor).await?;
        }
        let is_out = self.group.is_opted_out(new.user).await?;
        let quiet = is_out.then(|| new.without_agent());
        let new = quiet.as_ref().unwrap_or(new);
        let others = self.sessions_of(new.user).await?;
        let (decided, gone) = account::create_session(new, &others, limits, self.context.now);
        self.delete_sessions(&gone);
        let values = sessions::session_params(&decided.value, new.digest);
        self.group.transaction.write(sql::INSERT_SESSION, values);
        self.forgive(forgive);
        let entry = session_entry(&decided.value, decided.action, decided.fields);
        Ok(draft(AccountOutcome::Session(Box::new(decided.value)), vec![entry]))
    }

    fn delete_sessions(&mut self, gone: &[SessionId]) {
        for id in gone {
            self.group.transaction.write(sql::DELETE_SESSION, params![id.to_bytes()]);
        }
    }

    async fn end_session(&mut self, user: UserId, id: SessionId) -> Result<Draft, Fault> {
        let all = self.sessions_of(user).await?;
        let session = all.iter().find(|session| session.id == id).ok_or(AccountError::NotFound)?;
        self.delete_sessions(&[id]);
        Ok(draft(AccountOutcome::Ended(1), vec![session_entry(session, "session.ended", Vec::new())]))
    }

    pub(super) async fn end_sessions(
        &mut self,
        user: UserId,
        keep: Option<SessionId>,
    ) -> Result<Draft, Fault> {
        let all = self.sessions_of(user).await?;
        let gone = account::end_sessions(&all, keep);
        self.delete_sessions(&gone);
        let entries = all
            .iter()
            .filter(|session| gone.contains(&session.id))
            .map(|session| session_entry(session, "session.ended", Vec::new()));
        Ok(draft(AccountOutcome::Ended(gone.len() as u64), entries.collect()))
    }

    fn touch_session(&mut self, user: UserId, id: SessionId) -> Draft {
        let values = params![id.to_bytes(), user.to_bytes(), self.context.now];
        self.group.transaction.write(sql::TOUCH_SESSION, values);
        draft(AccountOutcome::Done, Vec::new())
    }

    async fn begin_attempt(&mut self, subjects: &[Subject]) -> Result<Draft, Fault> {
        let now = self.context.now;
        let mut counted = Vec::with_capacity(subjects.len());
        for subject in subjects {
            let row = self.group.transaction.first(sql::ATTEMPTS, params![subject.digest]).await?;
            let before = row.as_ref().map(sessions::attempts).transpose()?;
            match account::begin_attempt(before, subject.kind, now) {
                Ok(attempts) => counted.push((*subject, attempts)),
                Err(end) => return Ok(draft(AccountOutcome::Gate(Gate::LockedUntil(end)), Vec::new())),
            }
        }
        for (subject, attempts) in counted {
            self.group.transaction.write(sql::PUT_ATTEMPTS, sessions::attempts_params(subject, attempts));
        }
        let forgotten = now.plus_seconds(-caps::ATTEMPTS_FORGOTTEN_SECONDS);
        self.group.transaction.write(sql::PRUNE_ATTEMPTS, params![forgotten, PRUNED_PER_ATTEMPT]);
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
