//! Commands about personal data.

use keywright_domain::{
    caps,
    change::{Change, EntityRef, MembershipView},
    command::{CommandError, Outcome},
    ids::UserId,
    key::{Effect, KeyNumber},
    permission::Role,
    principal::Membership,
    privacy::{
        Collection, Consent, ConsentChange, PrivacyCommand, PrivacyError, PrivacyOutcome, check_owners,
        end_membership, give_consent, withdraw_consent,
    },
    retention::Cutoffs,
    time::Timestamp,
    vault::KeyOwner,
    workspace::WorkspaceNumber,
};

use super::record::{Draft, Entry, Scope};
use crate::{
    connect::Param,
    fault::Fault,
    params,
    rows::{choices, each, number, users},
    sql::{accounts::LIVING_USER, identities, members::COUNT_ROLE, privacy as choice_sql, sealing as sql},
};

impl Scope<'_> {
    pub(super) async fn privacy(&mut self, command: &PrivacyCommand) -> Result<Draft, Fault> {
        match command {
            PrivacyCommand::Rewrap { limit } => {
                let group = &mut *self.group;
                let count = group.sealer.rewrap(&mut group.transaction, *limit).await?;
                Ok(Draft::new(Outcome::Privacy(PrivacyOutcome::Rewrapped(count)), String::new()))
            }
            PrivacyCommand::ErasePrompts { user, limit } => {
                // Whoever may not go keeps everything.
                self.memberships_to_end(*user).await?;
                self.erase_prompts(*user, *limit).await
            }
            PrivacyCommand::Erase { user } => self.erase(*user).await,
            PrivacyCommand::RecordExport { user } => {
                self.must_exist(*user).await?;
                let mut draft = Draft::new(Outcome::Done, user.to_string());
                draft.entries.push(Entry::of_user("user.exported", *user, Vec::new()));
                Ok(draft)
            }
            PrivacyCommand::SetCollection { user, collection } => {
                self.set_collection(*user, *collection).await
            }
            PrivacyCommand::GiveConsent { user, consent } => {
                self.change_consents(*user, |known, now| give_consent(known, consent, now)).await
            }
            PrivacyCommand::WithdrawConsent { user, name } => {
                self.change_consents(*user, |known, now| withdraw_consent(known, name, now)).await
            }
            PrivacyCommand::Retain { cutoffs, after } => self.retain(cutoffs, *after).await,
        }
    }

    /// The memberships of somebody who is to be erased and may be.
    async fn memberships_to_end(
        &mut self,
        user: UserId,
    ) -> Result<Vec<(Membership, WorkspaceNumber)>, Fault> {
        self.must_exist(user).await?;
        let rows = self.group.transaction.query(sql::MEMBERSHIPS_OF_PERSON, params![user.to_bytes()]).await?;
        let mut found = Vec::with_capacity(rows.len());
        for (membership, workspace, slug) in each(&rows, users::membership)? {
            let owners = self.counted(COUNT_ROLE, params![workspace.0, i64::from(Role::Owner as u8)]).await?;
            check_owners(&self.context.permit, &membership, &slug, owners).map_err(CommandError::from)?;
            found.push((membership, workspace));
        }
        Ok(found)
    }

    async fn erase(&mut self, user: UserId) -> Result<Draft, Fault> {
        let memberships = self.memberships_to_end(user).await?;
        let mut draft = Draft::new(Outcome::Done, user.to_string());
        draft.outcome = Outcome::Privacy(PrivacyOutcome::Erased(memberships.len().try_into().unwrap_or(0)));
        for (membership, workspace) in memberships {
            let at = membership.workspace;
            let decided = end_membership(&membership, self.context.now);
            let values = params![decided.value.number.0, self.context.now];
            self.group.transaction.write(sql::END_MEMBERSHIP, values);
            let change = Change::Membership(MembershipView::from(&decided.value));
            let entity = EntityRef::Membership(decided.value.number);
            draft.record("member", Some((at, workspace)), &decided, entity, change);
        }
        self.forget_credentials(user);
        let group = &mut *self.group;
        group.transaction.write(identities::FORGET_IDENTITIES, params![user.to_bytes()]);
        group.transaction.write(sql::ERASE_USER, params![user.to_bytes()]);
        group.sealer.destroy_person(&mut group.transaction, user);
        group.transaction.write(choice_sql::OPT_IN, params![user.to_bytes()]);
        group.transaction.write(choice_sql::FORGET_CONSENTS, params![user.to_bytes()]);
        draft.entries.push(Entry::of_user("user.erased", user, Vec::new()));
        Ok(draft)
    }

    async fn must_exist(&mut self, user: UserId) -> Result<(), Fault> {
        let living = self.group.transaction.first(LIVING_USER, params![user.to_bytes()]).await?;
        living.map(drop).ok_or_else(|| CommandError::from(PrivacyError::NotFound).into())
    }

    /// Engines are told of it as of a change of each membership.
    async fn set_collection(&mut self, user: UserId, collection: Collection) -> Result<Draft, Fault> {
        self.must_exist(user).await?;
        let person = user.to_bytes();
        let was_out = self.group.is_opted_out(user).await?;
        let mut draft =
            Draft::new(Outcome::Privacy(PrivacyOutcome::Collection(collection)), user.to_string());
        let (effect, action) = match collection {
            Collection::OptedOut => {
                self.group.transaction.write(choice_sql::OPT_OUT, params![person, self.context.now]);
                (Effect::Restricting, "collection.opted_out")
            }
            Collection::Kept => {
                self.group.transaction.write(choice_sql::OPT_IN, params![person]);
                (Effect::Loosening, "collection.opted_in")
            }
        };
        let rows = self.group.transaction.query(sql::MEMBERSHIPS_OF_PERSON, params![person]).await?;
        for (membership, ..) in each(&rows, users::membership)? {
            let change = Change::Membership(MembershipView::from(&membership));
            draft.changes.push((EntityRef::Membership(membership.number), effect, change));
        }
        if was_out != (collection == Collection::OptedOut) {
            draft.entries.push(Entry::of_user(action, user, Vec::new()));
        }
        Ok(draft)
    }

    async fn change_consents(
        &mut self,
        user: UserId,
        decide: impl FnOnce(&[Consent], Timestamp) -> Result<ConsentChange, PrivacyError>,
    ) -> Result<Draft, Fault> {
        self.must_exist(user).await?;
        let (now, person) = (self.context.now, user.to_bytes());
        let rows = self.group.transaction.query(choice_sql::CONSENTS, params![person]).await?;
        let change = decide(&each(&rows, choices::consent)?, now).map_err(CommandError::from)?;
        let mut draft = Draft::new(Outcome::Done, user.to_string());
        if let Some(ended) = &change.ended {
            self.group.transaction.write(choice_sql::END_CONSENT, params![person, ended.number, now]);
            draft.entries.push(Entry::of_user("consent.withdrawn", user, ended.recorded()));
        }
        if let Some(begun) = &change.begun {
            let (name, version) = (begun.to.name.as_str(), begun.to.version.as_str());
            let values = params![person, begun.number, name, version, now];
            self.group.transaction.write(choice_sql::GIVE_CONSENT, values);
            draft.entries.push(Entry::of_user("consent.given", user, begun.recorded()));
        }
        draft.outcome = Outcome::Privacy(PrivacyOutcome::Consent(Box::new(change)));
        Ok(draft)
    }

    /// One step: of each kind so many rows at most, of so many keys and workspaces.
    async fn retain(&mut self, cutoffs: &Cutoffs, after: KeyNumber) -> Result<Draft, Fault> {
        let until = after.0.saturating_add(caps::PURGE_KEYS_PER_STEP);
        let limit = caps::RETENTION_ROWS_PER_STEP;
        let personal = params![Cutoffs::ms(cutoffs.audit_personal), limit];
        let day = cutoffs.audit_personal.map_or(KeyOwner::Day(0), KeyOwner::day);
        let days = params![day.columns().1, limit];
        let mut removed = vec![
            self.removed(choice_sql::OLD_PERSONAL, personal).await?,
            self.removed(choice_sql::OLD_DAYS, days).await?,
        ];
        let (minute, hour) = (Cutoffs::minute(cutoffs.usage_minute), Cutoffs::hour(cutoffs.usage_hour));
        let access_ms = Cutoffs::ms(cutoffs.access);
        for (statement, age) in [
            (choice_sql::OLD_LEDGER, Cutoffs::minute(cutoffs.access)),
            (choice_sql::OLD_ORIGINS, access_ms),
            (choice_sql::OLD_LAST_USED, access_ms),
            (choice_sql::OLD_MINUTES, minute),
            (choice_sql::OLD_HOURS, hour),
            (choice_sql::OLD_WORKSPACE_MINUTES, minute),
            (choice_sql::OLD_WORKSPACE_HOURS, hour),
        ] {
            removed.push(self.removed(statement, params![after.0, until, age, limit]).await?);
        }
        let last = self.heads.last_key().max(self.heads.last_workspace());
        let outcome = PrivacyOutcome::retained(&removed, (after, until), last);
        Ok(Draft::new(Outcome::Privacy(outcome), String::new()))
    }

    /// Rows that the statement removed.
    async fn removed(&mut self, statement: &'static str, values: Vec<Param>) -> Result<u64, Fault> {
        let row = self.group.transaction.first(statement, values).await?;
        row.map_or(Ok(0), |row| number(&row, 0))
    }
}
