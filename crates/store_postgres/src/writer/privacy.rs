//! Commands about personal data.

use keywright_domain::{
    change::{Change, EntityRef, MembershipView},
    command::{CommandError, Outcome},
    ids::UserId,
    privacy::{PrivacyCommand, PrivacyError, PrivacyOutcome, end_membership},
};

use super::record::{Draft, Entry, Scope};
use crate::{
    fault::Fault,
    params,
    rows::{each, users},
    sql::{identities, sealing as sql},
};

impl Scope<'_> {
    pub(super) async fn privacy(&mut self, command: &PrivacyCommand) -> Result<Draft, Fault> {
        match command {
            PrivacyCommand::Rewrap { limit } => {
                let group = &mut *self.group;
                let count = group.sealer.rewrap(&mut group.transaction, *limit).await?;
                Ok(Draft::new(Outcome::Privacy(PrivacyOutcome::Rewrapped(count)), String::new()))
            }
            PrivacyCommand::Erase { user } => self.erase(*user).await,
        }
    }

    async fn erase(&mut self, user: UserId) -> Result<Draft, Fault> {
        let row = self.group.transaction.first(sql::USER, params![user.to_bytes()]).await?;
        let known = match &row {
            Some(row) => users::user(row, self.group.sealer.sealing())?,
            None => None,
        };
        if known.is_none() {
            return Err(CommandError::from(PrivacyError::NotFound).into());
        }
        let rows = self.group.transaction.query(sql::MEMBERSHIPS_OF_PERSON, params![user.to_bytes()]).await?;
        let memberships = each(&rows, users::membership)?;
        let mut draft = Draft::new(Outcome::Done, user.to_string());
        draft.outcome = Outcome::Privacy(PrivacyOutcome::Erased(memberships.len().try_into().unwrap_or(0)));
        for (membership, workspace, _) in memberships {
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
