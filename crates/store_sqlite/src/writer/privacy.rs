//! Commands about personal data.

use keywright_domain::{
    caps,
    change::{Change, EntityRef, MembershipView},
    command::Outcome,
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
    workspace::{Slug, WorkspaceNumber},
};
use rusqlite::{ToSql, params};

use super::record::{Draft, Entry, Scope};
use crate::{
    fault::Fault,
    rows::{choices, installation::first, members, users},
    sql::{
        accounts::LIVING_USER, identities, installation::LAST_WORKSPACE, keys::LAST_NUMBER,
        privacy as choice_sql, sealing as sql,
    },
};

impl Scope<'_> {
    pub(super) fn privacy(&mut self, command: &PrivacyCommand) -> Result<Draft, Fault> {
        match command {
            PrivacyCommand::Rewrap { limit } => {
                let count = self.sealer.rewrap(self.connection, *limit)?;
                Ok(Draft::new(Outcome::Privacy(PrivacyOutcome::Rewrapped(count)), String::new()))
            }
            PrivacyCommand::ErasePrompts { user, limit } => {
                // Whoever may not go keeps everything.
                self.memberships_to_end(*user)?;
                self.erase_prompts(*user, *limit)
            }
            PrivacyCommand::Erase { user } => self.erase(*user),
            PrivacyCommand::RecordExport { user } => {
                self.must_exist(*user)?;
                let mut draft = Draft::new(Outcome::Done, user.to_string());
                draft.entries.push(Entry::of_user("user.exported", *user, Vec::new()));
                Ok(draft)
            }
            PrivacyCommand::SetCollection { user, collection } => self.set_collection(*user, *collection),
            PrivacyCommand::GiveConsent { user, consent } => {
                self.change_consents(*user, |known, now| give_consent(known, consent, now))
            }
            PrivacyCommand::WithdrawConsent { user, name } => {
                self.change_consents(*user, |known, now| withdraw_consent(known, name, now))
            }
            PrivacyCommand::Retain { cutoffs, after } => self.retain(cutoffs, *after),
        }
    }

    /// The memberships of somebody who is to be erased and may be.
    fn memberships_to_end(&self, user: UserId) -> Result<Vec<(Membership, WorkspaceNumber)>, Fault> {
        self.must_exist(user)?;
        let check = |(membership, workspace, slug): (Membership, WorkspaceNumber, Slug)| {
            let owners = members::count_role(self.connection, workspace, Role::Owner)?;
            check_owners(&self.context.permit, &membership, &slug, owners)
                .map_err(|error| Fault::Refused(error.into()))?;
            Ok((membership, workspace))
        };
        users::memberships(self.connection, user)?.into_iter().map(check).collect()
    }

    fn erase(&mut self, user: UserId) -> Result<Draft, Fault> {
        let memberships = self.memberships_to_end(user)?;
        let mut draft = Draft::new(Outcome::Done, user.to_string());
        draft.outcome = Outcome::Privacy(PrivacyOutcome::Erased(memberships.len().try_into().unwrap_or(0)));
        for (membership, workspace) in memberships {
            let at = membership.workspace;
            let decided = end_membership(&membership, self.context.now);
            let parameters = params![decided.value.number.0, self.context.now.unix_ms()];
            self.connection.prepare_cached(sql::END_MEMBERSHIP)?.execute(parameters)?;
            let change = Change::Membership(MembershipView::from(&decided.value));
            let entity = EntityRef::Membership(decided.value.number);
            draft.record("member", Some((at, workspace)), &decided, entity, change);
        }
        self.forget_credentials(user)?;
        self.connection.prepare_cached(sql::ERASE_USER)?.execute([user.to_bytes()])?;
        self.connection.prepare_cached(identities::FORGET_IDENTITIES)?.execute([user.to_bytes()])?;
        self.sealer.destroy_person(self.connection, user)?;
        for statement in [choice_sql::OPT_IN, choice_sql::FORGET_CONSENTS] {
            self.connection.prepare_cached(statement)?.execute([user.to_bytes()])?;
        }
        draft.entries.push(Entry::of_user("user.erased", user, Vec::new()));
        Ok(draft)
    }

    fn must_exist(&self, user: UserId) -> Result<(), Fault> {
        let living = first(self.connection, LIVING_USER, [user.to_bytes()], |_| Ok(()))?;
        living.ok_or_else(|| Fault::Refused(PrivacyError::NotFound.into()))
    }

    /// Engines are told of it as of a change of each membership.
    fn set_collection(&mut self, user: UserId, collection: Collection) -> Result<Draft, Fault> {
        self.must_exist(user)?;
        let known = choices::opted_out_since(self.connection, user)?;
        let mut draft =
            Draft::new(Outcome::Privacy(PrivacyOutcome::Collection(collection)), user.to_string());
        let (effect, action) = match collection {
            Collection::OptedOut => {
                let parameters = params![user.to_bytes(), self.context.now.unix_ms()];
                self.connection.prepare_cached(choice_sql::OPT_OUT)?.execute(parameters)?;
                (Effect::Restricting, "collection.opted_out")
            }
            Collection::Kept => {
                self.connection.prepare_cached(choice_sql::OPT_IN)?.execute([user.to_bytes()])?;
                (Effect::Loosening, "collection.opted_in")
            }
        };
        for (membership, ..) in users::memberships(self.connection, user)? {
            let change = Change::Membership(MembershipView::from(&membership));
            draft.changes.push((EntityRef::Membership(membership.number), effect, change));
        }
        if known.is_some() != (collection == Collection::OptedOut) {
            draft.entries.push(Entry::of_user(action, user, Vec::new()));
        }
        Ok(draft)
    }

    fn change_consents(
        &mut self,
        user: UserId,
        decide: impl FnOnce(&[Consent], Timestamp) -> Result<ConsentChange, PrivacyError>,
    ) -> Result<Draft, Fault> {
        self.must_exist(user)?;
        let now = self.context.now;
        let known = choices::consents(self.connection, user)?;
        let change = decide(&known, now).map_err(|error| Fault::Refused(error.into()))?;
        let (person, target) = (user.to_bytes(), user.to_string());
        let mut draft = Draft::new(Outcome::Done, target);
        if let Some(ended) = &change.ended {
            let parameters = params![person, ended.number, now.unix_ms()];
            self.connection.prepare_cached(choice_sql::END_CONSENT)?.execute(parameters)?;
            draft.entries.push(Entry::of_user("consent.withdrawn", user, ended.recorded()));
        }
        if let Some(begun) = &change.begun {
            let (name, version) = (begun.to.name.as_str(), begun.to.version.as_str());
            let parameters = params![person, begun.number, name, version, now.unix_ms()];
            self.connection.prepare_cached(choice_sql::GIVE_CONSENT)?.execute(parameters)?;
            draft.entries.push(Entry::of_user("consent.given", user, begun.recorded()));
        }
        draft.outcome = Outcome::Privacy(PrivacyOutcome::Consent(Box::new(change)));
        Ok(draft)
    }

    /// One step: of each kind so many rows at most, of so many keys and workspaces.
    fn retain(&mut self, cutoffs: &Cutoffs, after: KeyNumber) -> Result<Draft, Fault> {
        let until = after.0.saturating_add(caps::PURGE_KEYS_PER_STEP);
        let limit = caps::RETENTION_ROWS_PER_STEP;
        let mut removed = Vec::new();
        let mut run = |statement: &str, parameters: &[&dyn ToSql]| -> Result<(), Fault> {
            removed.push(self.connection.prepare_cached(statement)?.execute(parameters)? as u64);
            Ok(())
        };
        run(choice_sql::OLD_PERSONAL, &[&Cutoffs::ms(cutoffs.audit_personal), &limit])?;
        let day = cutoffs.audit_personal.map_or(KeyOwner::Day(0), KeyOwner::day);
        run(choice_sql::OLD_DAYS, &[&day.columns().1, &limit])?;
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
            run(statement, &[&after.0, &until, &age, &limit])?;
        }
        let last: Option<u32> =
            self.connection.prepare_cached(LAST_NUMBER)?.query_row([], |row| row.get(0))?;
        let workspaces: Option<u32> =
            self.connection.prepare_cached(LAST_WORKSPACE)?.query_row([], |row| row.get(0))?;
        let last = last.max(workspaces).unwrap_or(0);
        let outcome = PrivacyOutcome::retained(&removed, (after, until), last);
        Ok(Draft::new(Outcome::Privacy(outcome), String::new()))
    }
}
