//! Commands about what people prove who they are with.

use keywright_domain::{
    account::{
        self, AccountError, AccountOutcome, CredentialCommand, FactorUse, NewPassword, NewSecret, Subject,
        TokenDigest,
    },
    command::Outcome,
    ids::{SessionId, UserId},
};
use rusqlite::params;

use super::record::{Draft, Entry, Scope};
use crate::{
    fault::Fault,
    rows::{installation::first, invitations, sessions},
    sql::{accounts, invitations as sql},
};

impl Scope<'_> {
    pub(super) fn credential_command(&mut self, command: CredentialCommand) -> Result<Draft, Fault> {
        match command {
            CredentialCommand::SetPassword { user, password, keep, forgive } => {
                self.set_password(user, &password.hash)?;
                self.forgive(&forgive)?;
                self.password_changed(user, "account.password_set", keep)
            }
            CredentialCommand::StartRecovery { user, digest } => self.start_recovery(user, digest),
            CredentialCommand::Recover { digest, password } => self.recover(digest, &password),
            CredentialCommand::BeginSecondFactor { user, secret } => self.begin_factor(user, &secret),
            CredentialCommand::ConfirmSecondFactor { user, step, codes } => {
                self.confirm_factor(user, step, &codes)
            }
            CredentialCommand::DropSecondFactor(user) => self.drop_factor(user),
            CredentialCommand::ReplaceRecoveryCodes { user, codes } => self.replace_codes(user, &codes),
            CredentialCommand::Reauthenticate { user, session, factor, forgive } => {
                self.reauthenticate(user, session, factor, &forgive)
            }
            CredentialCommand::EndSessionsOf(user) => self.end_sessions(user, None),
        }
    }

    /// Sets a password; a link that was sent is not good any more.
    pub(super) fn set_password(&self, user: UserId, hash: &str) -> Result<(), Fault> {
        let count =
            self.connection.prepare_cached(sql::SET_PASSWORD)?.execute(params![user.to_bytes(), hash])?;
        if count == 0 {
            return Err(AccountError::NotFound.into());
        }
        self.connection.prepare_cached(sql::DELETE_RECOVERY)?.execute([user.to_bytes()])?;
        Ok(())
    }

    /// Forgets the failed attempts of `subjects`.
    pub(super) fn forgive(&self, subjects: &[Subject]) -> Result<(), Fault> {
        for subject in subjects {
            self.connection.prepare_cached(accounts::FORGET_ATTEMPTS)?.execute([subject.digest])?;
        }
        Ok(())
    }

    /// Uses a second factor up. Refused if there is one and none was used.
    pub(super) fn use_factor(&self, user: UserId, factor: Option<FactorUse>) -> Result<(), Fault> {
        let enabled = invitations::factor_state(self.connection, user)?
            .and_then(|(enabled_at, last)| enabled_at.map(|at| (at, last)));
        match (enabled, factor) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(AccountError::FactorNeeded.into()),
            (Some((at, last)), Some(FactorUse::Step(step))) => {
                let step = account::use_step(last, step)?;
                let values = params![user.to_bytes(), at.unix_ms(), step];
                self.connection.prepare_cached(sql::UPDATE_FACTOR)?.execute(values)?;
                Ok(())
            }
            (Some(_), Some(FactorUse::RecoveryCode(digest))) => {
                let values = params![user.to_bytes(), digest.0];
                match self.connection.prepare_cached(sql::DELETE_CODE)?.execute(values)? {
                    0 => Err(AccountError::FactorUsed.into()),
                    _ => Ok(()),
                }
            }
        }
    }

    fn start_recovery(&self, user: UserId, digest: TokenDigest) -> Result<Draft, Fault> {
        self.living(user)?;
        let ends = account::recovery_ends(self.context.now);
        let values = params![user.to_bytes(), digest.0, ends.unix_ms()];
        self.connection.prepare_cached(sql::PUT_RECOVERY)?.execute(values)?;
        let mut draft = changed(user, "account.recovery_started");
        draft.outcome = Outcome::Account(AccountOutcome::LinkUntil(ends));
        Ok(draft)
    }

    fn recover(&mut self, digest: TokenDigest, password: &NewPassword) -> Result<Draft, Fault> {
        let found = invitations::recovery(self.connection, digest)?;
        let user = account::check_recovery(found, self.context.now)?;
        self.set_password(user, &password.hash)?;
        self.password_changed(user, "account.recovered", None)
    }

    /// Notes a new password, and ends the sessions that were there before it.
    fn password_changed(
        &self,
        user: UserId,
        action: &'static str,
        keep: Option<SessionId>,
    ) -> Result<Draft, Fault> {
        let mut draft = changed(user, action);
        let ended = self.end_sessions(user, keep)?;
        draft.entries.extend(ended.entries);
        draft.outcome = ended.outcome;
        Ok(draft)
    }

    fn begin_factor(&mut self, user: UserId, secret: &NewSecret) -> Result<Draft, Fault> {
        self.living(user)?;
        if invitations::factor_state(self.connection, user)?.is_some_and(|(enabled, _)| enabled.is_some()) {
            return Err(AccountError::FactorEnabled.into());
        }
        let sealed = self.sealer.seal_factor(self.connection, user, &secret.0)?;
        let values = params![user.to_bytes(), sealed, self.context.now.unix_ms()];
        self.connection.prepare_cached(sql::PUT_FACTOR)?.execute(values)?;
        Ok(changed(user, "account.second_factor_begun"))
    }

    fn confirm_factor(&self, user: UserId, step: u64, codes: &[TokenDigest]) -> Result<Draft, Fault> {
        let (enabled, last) =
            invitations::factor_state(self.connection, user)?.ok_or(AccountError::NoFactor)?;
        if enabled.is_some() {
            return Err(AccountError::FactorEnabled.into());
        }
        let step = account::use_step(last, step)?;
        let values = params![user.to_bytes(), self.context.now.unix_ms(), step];
        self.connection.prepare_cached(sql::UPDATE_FACTOR)?.execute(values)?;
        self.keep_codes(user, codes)?;
        Ok(changed(user, "account.second_factor_enabled"))
    }

    fn drop_factor(&self, user: UserId) -> Result<Draft, Fault> {
        invitations::factor_state(self.connection, user)?.ok_or(AccountError::NoFactor)?;
        self.connection.prepare_cached(sql::DELETE_FACTOR)?.execute([user.to_bytes()])?;
        self.keep_codes(user, &[])?;
        Ok(changed(user, "account.second_factor_disabled"))
    }

    fn replace_codes(&self, user: UserId, codes: &[TokenDigest]) -> Result<Draft, Fault> {
        let state = invitations::factor_state(self.connection, user)?;
        if state.is_none_or(|(enabled, _)| enabled.is_none()) {
            return Err(AccountError::NoFactor.into());
        }
        self.keep_codes(user, codes)?;
        Ok(changed(user, "account.recovery_codes_replaced"))
    }

    fn keep_codes(&self, user: UserId, codes: &[TokenDigest]) -> Result<(), Fault> {
        self.connection.prepare_cached(sql::DELETE_CODES)?.execute([user.to_bytes()])?;
        for code in codes {
            let values = params![user.to_bytes(), code.0];
            self.connection.prepare_cached(sql::INSERT_CODE)?.execute(values)?;
        }
        Ok(())
    }

    fn reauthenticate(
        &self,
        user: UserId,
        id: SessionId,
        factor: Option<FactorUse>,
        forgive: &[Subject],
    ) -> Result<Draft, Fault> {
        self.use_factor(user, factor)?;
        let values = params![id.to_bytes(), user.to_bytes(), self.context.now.unix_ms()];
        if self.connection.prepare_cached(sql::REAUTHENTICATED)?.execute(values)? == 0 {
            return Err(AccountError::NotFound.into());
        }
        self.forgive(forgive)?;
        let all = sessions::of_user(self.connection, user)?;
        let session = all.into_iter().find(|session| session.id == id).ok_or(AccountError::NotFound)?;
        let mut draft = changed(user, "session.reauthenticated");
        draft.outcome = Outcome::Account(AccountOutcome::Session(Box::new(session)));
        Ok(draft)
    }

    fn living(&self, user: UserId) -> Result<(), Fault> {
        let found = first(self.connection, accounts::LIVING_USER, [user.to_bytes()], |_| Ok(()))?;
        Ok(found.ok_or(AccountError::NotFound)?)
    }

    /// Everything by which an account is signed in to goes.
    pub(super) fn forget_credentials(&self, user: UserId) -> Result<(), Fault> {
        for statement in [
            accounts::DELETE_SESSIONS_OF,
            sql::DELETE_INVITATIONS_OF,
            sql::DELETE_RECOVERY,
            sql::DELETE_FACTOR,
            sql::DELETE_CODES,
        ] {
            self.connection.prepare_cached(statement)?.execute([user.to_bytes()])?;
        }
        Ok(())
    }
}

fn changed(user: UserId, action: &'static str) -> Draft {
    let entry = Entry::of_user(action, user, Vec::new());
    Draft { entries: vec![entry], ..Draft::new(Outcome::Account(AccountOutcome::Done), user.to_string()) }
}
