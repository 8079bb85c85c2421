//! Commands about whom OpenID Connect providers know.

use keywright_domain::{
    command::Outcome,
    identity::{self, ExternalIdentity, IdentityCommand, IdentityError},
    ids::{UserId, WorkspaceId},
    permission::Role,
    principal::Principal,
};
use rusqlite::params;

use super::record::{Draft, Entry, Scope};
use crate::{
    fault::Fault,
    rows::{bytes, installation::first, members, users},
    sql::{accounts, identities as sql},
};

impl Scope<'_> {
    pub(super) fn identity(&mut self, command: IdentityCommand) -> Result<Draft, Fault> {
        match command {
            IdentityCommand::Link { user, identity } => self.link_identity(user, &identity),
            IdentityCommand::Create { user, identity } => {
                self.new_user(&user)?;
                let mut draft = self.link_identity(user.id, &identity)?;
                draft.entries.insert(0, Entry::of_user("user.created", user.id, Vec::new()));
                Ok(draft)
            }
            IdentityCommand::Join { user, workspace, role } => self.join_workspace(user, workspace, role),
        }
    }

    fn link_identity(&self, user: UserId, identity: &ExternalIdentity) -> Result<Draft, Fault> {
        let id = user.to_bytes();
        first(self.connection, accounts::LIVING_USER, [id], |_| Ok(()))?.ok_or(IdentityError::NoUser)?;
        let index = self.sealer.sealing().identity_index(identity);
        let mut draft = Draft::new(Outcome::Done, user.to_string());
        match first(self.connection, sql::USER_OF_IDENTITY, [index], |row| bytes(row, 0))? {
            Some(known) if known == id => return Ok(draft),
            Some(_) => return Err(IdentityError::Taken.into()),
            None => {}
        }
        let values = params![index, id, self.context.now.unix_ms()];
        self.connection.prepare_cached(sql::INSERT_IDENTITY)?.execute(values)?;
        let fields = vec![identity::linked_field(identity)];
        draft.entries.push(Entry::of_user("user.identity_linked", user, fields));
        Ok(draft)
    }

    fn join_workspace(&mut self, user: UserId, id: WorkspaceId, role: Role) -> Result<Draft, Fault> {
        let workspace = self.workspaces.get(self.connection, id)?.workspace.clone();
        if let Some(known) = members::of_principal(self.connection, id, Principal::User(user))? {
            let mut draft = Draft::new(Outcome::Membership(Box::new(known)), user.to_string());
            draft.wait = Some(workspace.policy.wait);
            return Ok(draft);
        }
        let found =
            users::by_id(self.connection, self.sealer.sealing(), user)?.ok_or(IdentityError::NoUser)?;
        let (membership, mut draft) = self.add_member(&found, &workspace, role)?;
        draft.wait = Some(workspace.policy.wait);
        draft.outcome = Outcome::Membership(Box::new(membership));
        Ok(draft)
    }
}
