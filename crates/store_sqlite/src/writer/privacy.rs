//! Commands about personal data.

use keywright_domain::{
    change::{Change, EntityRef, MembershipView},
    command::Outcome,
    ids::UserId,
    privacy::{PrivacyCommand, PrivacyError, PrivacyOutcome, end_membership},
};
use rusqlite::params;

use super::record::{Draft, Entry, Scope};
use crate::{
    fault::Fault,
    rows::users,
    sql::{identities, sealing as sql},
};

impl Scope<'_> {
    pub(super) fn privacy(&mut self, command: &PrivacyCommand) -> Result<Draft, Fault> {
        match command {
            PrivacyCommand::Rewrap { limit } => {
                let count = self.sealer.rewrap(self.connection, *limit)?;
                Ok(Draft::new(Outcome::Privacy(PrivacyOutcome::Rewrapped(count)), String::new()))
            }
            PrivacyCommand::Erase { user } => self.erase(*user),
        }
    }

    fn erase(&mut self, user: UserId) -> Result<Draft, Fault> {
        if users::by_id(self.connection, self.sealer.sealing(), user)?.is_none() {
            return Err(Fault::Refused(PrivacyError::NotFound.into()));
        }
        let mut draft = Draft::new(Outcome::Done, user.to_string());
        let memberships = users::memberships(self.connection, user)?;
        draft.outcome = Outcome::Privacy(PrivacyOutcome::Erased(memberships.len().try_into().unwrap_or(0)));
        for (membership, workspace, _) in memberships {
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
        draft.entries.push(Entry {
            action: "user.erased",
            kind: "user",
            target: user.to_string(),
            workspace: None,
            reason: None,
            fields: Vec::new(),
        });
        Ok(draft)
    }
}
