//! Commands about what people prove who they are with.

use keywright_domain::{
    account::{
        self, AccountError, AccountOutcome, CredentialCommand, FactorUse, NewPassword, NewSecret, Subject,
        TokenDigest,
    },
    command::Outcome,
    ids::{SessionId, UserId},
    time::Timestamp,
};

use super::record::{Draft, Entry, Scope};
use crate::{
    fault::Fault,
    params,
    rows::invitations,
    sql::{accounts, invitations as sql},
};

impl Scope<'_> {
    pub(super) async fn credential_command(&mut self, command: CredentialCommand) -> Result<Draft, Fault> {
        match command {
            CredentialCommand::SetPassword { user, password, keep, forgive } => {
                self.set_password(user, &password.hash).await?;
                self.forgive(&forgive);
                self.password_changed(user, "account.password_set", keep).await
            }
            CredentialCommand::StartRecovery { user, digest } => self.start_recovery(user, digest).await,
            CredentialCommand::Recover { digest, password } => self.recover(digest, &password).await,
            CredentialCommand::BeginSecondFactor { user, secret } => self.begin_factor(user, &secret).await,
            CredentialCommand::ConfirmSecondFactor { user, step, codes } => {
                self.confirm_factor(user, step, &codes).await
            }
            CredentialCommand::DropSecondFactor(user) => self.drop_factor(user).await,
            CredentialCommand::ReplaceRecoveryCodes { user, codes } => self.replace_codes(user, &codes).await,
            CredentialCommand::Reauthenticate { user, session, factor, forgive } => {
                self.reauthenticate(user, session, factor, &forgive).await
            }
            CredentialCommand::EndSessionsOf(user) => self.end_sessions(user, None).await,
        }
    }

    /// Sets a password; a link that was sent is not good any more.
    pub(super) async fn set_password(&mut self, user: UserId, hash: &str) -> Result<(), Fault> {
        self.living(user).await?;
        self.group.transaction.write(sql::SET_PASSWORD, params![user.to_bytes(), hash]);
        self.group.transaction.write(sql::DELETE_RECOVERY, params![user.to_bytes()]);
        Ok(())
    }

    /// Forgets the failed attempts of `subjects`.
    pub(super) fn forgive(&mut self, subjects: &[Subject]) {
        for subject in subjects {
            self.group.transaction.write(accounts::FORGET_ATTEMPTS, params![subject.digest]);
        }
    }

    /// Uses a second factor up. Refused if there is one and none was used.
    pub(super) async fn use_factor(&mut self, user: UserId, factor: Option<FactorUse>) -> Result<(), Fault> {
        let state = self.factor_state(user).await?;
        let enabled = state.and_then(|(enabled_at, last)| enabled_at.map(|at| (at, last)));
        match (enabled, factor) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(AccountError::FactorNeeded.into()),
            (Some((at, last)), Some(FactorUse::Step(step))) => {
                let step = account::use_step(last, step)?;
                self.group.transaction.write(sql::UPDATE_FACTOR, params![user.to_bytes(), at, step]);
                Ok(())
            }
            (Some(_), Some(FactorUse::RecoveryCode(digest))) => {
                let values = || params![user.to_bytes(), digest.0];
                let code = self.group.transaction.first(sql::CODE, values()).await?;
                code.ok_or(AccountError::FactorUsed)?;
                self.group.transaction.write(sql::DELETE_CODE, values());
                Ok(())
            }
        }
    }

    async fn start_recovery(&mut self, user: UserId, digest: TokenDigest) -> Result<Draft, Fault> {
        self.living(user).await?;
        let ends = account::recovery_ends(self.context.now);
        self.group.transaction.write(sql::PUT_RECOVERY, params![user.to_bytes(), digest.0, ends]);
        let mut draft = changed(user, "account.recovery_started");
        draft.outcome = Outcome::Account(AccountOutcome::LinkUntil(ends));
        Ok(draft)
    }

    async fn recover(&mut self, digest: TokenDigest, password: &NewPassword) -> Result<Draft, Fault> {
        let row = self.group.transaction.first(sql::RECOVERY_BY_DIGEST, params![digest.0]).await?;
        let found = row.as_ref().map(invitations::recovery).transpose()?;
        let user = account::check_recovery(found, self.context.now)?;
        self.set_password(user, &password.hash).await?;
        self.password_changed(user, "account.recovered", None).await
    }

    /// Notes a new password, and ends the sessions that were there before it.
    async fn password_changed(
        &mut self,
        user: UserId,
        action: &'static str,
        keep: Option<SessionId>,
    ) -> Result<Draft, Fault> {
        let mut draft = changed(user, action);
        let ended = self.end_sessions(user, keep).await?;
        draft.entries.extend(ended.entries);
        draft.outcome = ended.outcome;
        Ok(draft)
    }

    async fn begin_factor(&mut self, user: UserId, secret: &NewSecret) -> Result<Draft, Fault> {
        self.living(user).await?;
        if self.factor_state(user).await?.is_some_and(|(enabled, _)| enabled.is_some()) {
            return Err(AccountError::FactorEnabled.into());
        }
        let group = &mut *self.group;
        let sealed = group.sealer.seal_factor(&mut group.transaction, user, &secret.0).await?;
        let values = params![user.to_bytes(), sealed, self.context.now];
        group.transaction.write(sql::PUT_FACTOR, values);
        Ok(changed(user, "account.second_factor_begun"))
    }

    async fn confirm_factor(
        &mut self,
        user: UserId,
        step: u64,
        codes: &[TokenDigest],
    ) -> Result<Draft, Fault> {
        let (enabled, last) = self.factor_state(user).await?.ok_or(AccountError::NoFactor)?;
        if enabled.is_some() {
            return Err(AccountError::FactorEnabled.into());
        }
        let step = account::use_step(last, step)?;
        let values = params![user.to_bytes(), self.context.now, step];
        self.group.transaction.write(sql::UPDATE_FACTOR, values);
        self.keep_codes(user, codes);
        Ok(changed(user, "account.second_factor_enabled"))
    }

    async fn drop_factor(&mut self, user: UserId) -> Result<Draft, Fault> {
        self.factor_state(user).await?.ok_or(AccountError::NoFactor)?;
        self.group.transaction.write(sql::DELETE_FACTOR, params![user.to_bytes()]);
        self.keep_codes(user, &[]);
        Ok(changed(user, "account.second_factor_disabled"))
    }

    async fn replace_codes(&mut self, user: UserId, codes: &[TokenDigest]) -> Result<Draft, Fault> {
        if self.factor_state(user).await?.is_none_or(|(enabled, _)| enabled.is_none()) {
            return Err(AccountError::NoFactor.into());
        }
        self.keep_codes(user, codes);
        Ok(changed(user, "account.recovery_codes_replaced"))
    }

    fn keep_codes(&mut self, user: UserId, codes: &[TokenDigest]) {
        self.group.transaction.write(sql::DELETE_CODES, params![user.to_bytes()]);
        for code in codes {
            self.group.transaction.write(sql::INSERT_CODE, params![user.to_bytes(), code.0]);
        }
    }

    async fn reauthenticate(
        &mut self,
        user: UserId,
        id: SessionId,
        factor: Option<FactorUse>,
        forgive: &[Subject],
    ) -> Result<Draft, Fault> {
        let all = self.sessions_of(user).await?;
        let mut session = all.into_iter().find(|session| session.id == id).ok_or(AccountError::NotFound)?;
        self.use_factor(user, factor).await?;
        session.authenticated_at = self.context.now;
        let values = params![id.to_bytes(), user.to_bytes(), self.context.now];
        self.group.transaction.write(sql::REAUTHENTICATED, values);
        self.forgive(forgive);
        let mut draft = changed(user, "session.reauthenticated");
        draft.outcome = Outcome::Account(AccountOutcome::Session(Box::new(session)));
        Ok(draft)
    }

    async fn living(&mut self, user: UserId) -> Result<(), Fault> {
        let row = self.group.transaction.first(accounts::LIVING_USER, params![user.to_bytes()]).await?;
        row.map(|_| ()).ok_or_else(|| AccountError::NotFound.into())
    }

    async fn factor_state(&mut self, user: UserId) -> Result<Option<(Option<Timestamp>, u64)>, Fault> {
        let row = self.group.transaction.first(sql::FACTOR_STATE, params![user.to_bytes()]).await?;
        row.as_ref().map(invitations::factor_state).transpose()
    }

    /// Everything by which an account is signed in to goes.
    pub(super) fn forget_credentials(&mut self, user: UserId) {
        for statement in [
            accounts::DELETE_SESSIONS_OF,
            sql::DELETE_INVITATIONS_OF,
            sql::DELETE_RECOVERY,
            sql::DELETE_FACTOR,
            sql::DELETE_CODES,
        ] {
            self.group.transaction.write(statement, params![user.to_bytes()]);
        }
    }
}

fn changed(user: UserId, action: &'static str) -> Draft {
    let entry = Entry::of_user(action, user, Vec::new());
    Draft { entries: vec![entry], ..Draft::new(Outcome::Account(AccountOutcome::Done), user.to_string()) }
}
