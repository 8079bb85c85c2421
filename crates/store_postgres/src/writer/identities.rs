//! Commands about whom OpenID Connect providers know.

use keywright_domain::{
    command::Outcome,
    identity::{self, ExternalIdentity, IdentityCommand, IdentityError},
    ids::{UserId, WorkspaceId},
    permission::Role,
    principal::{Principal, User},
};

use super::record::{Draft, Entry, Scope};
use crate::{
    fault::Fault,
    params,
    rows::{bytes, users},
    sql::{accounts, identities as sql, sealing},
};

impl Scope<'_> {
    pub(super) async fn identity(&mut self, command: IdentityCommand) -> Result<Draft, Fault> {
        match command {
            IdentityCommand::Link { user, identity } => {
                let living =
                    self.group.transaction.first(accounts::LIVING_USER, params![user.to_bytes()]).await?;
                living.ok_or(IdentityError::NoUser)?;
                self.link_identity(user, &identity).await
            }
            IdentityCommand::Create { user, identity } => self.create_known_user(&user, &identity).await,
            IdentityCommand::Join { user, workspace, role } => {
                self.join_workspace(user, workspace, role).await
            }
        }
    }

    async fn create_known_user(&mut self, user: &User, identity: &ExternalIdentity) -> Result<Draft, Fault> {
        self.new_user(user).await?;
        let mut draft = self.link_identity(user.id, identity).await?;
        draft.entries.insert(0, Entry::of_user("user.created", user.id, Vec::new()));
        Ok(draft)
    }

    async fn link_identity(&mut self, user: UserId, identity: &ExternalIdentity) -> Result<Draft, Fault> {
        let index = self.group.sealer.sealing().identity_index(identity);
        let mut draft = Draft::new(Outcome::Done, user.to_string());
        if let Some(row) = self.group.transaction.first(sql::USER_OF_IDENTITY, params![index]).await? {
            let known: [u8; 16] = bytes(&row, 0)?;
            return if known == user.to_bytes() { Ok(draft) } else { Err(IdentityError::Taken.into()) };
        }
        let values = params![index, user.to_bytes(), self.context.now];
        self.group.transaction.write(sql::INSERT_IDENTITY, values);
        let fields = vec![identity::linked_field(identity)];
        draft.entries.push(Entry::of_user("user.identity_linked", user, fields));
        Ok(draft)
    }

    async fn join_workspace(&mut self, user: UserId, id: WorkspaceId, role: Role) -> Result<Draft, Fault> {
        let workspace = self.group.workspace(id).await?.workspace.clone();
        if let Some(known) = self.membership_of(&workspace, Principal::User(user)).await? {
            let mut draft = Draft::new(Outcome::Membership(Box::new(known)), user.to_string());
            draft.wait = Some(workspace.policy.wait);
            return Ok(draft);
        }
        let row = self.group.transaction.first(sealing::USER, params![user.to_bytes()]).await?;
        let found = row.as_ref().map(|row| users::user(row, self.group.sealer.sealing())).transpose()?;
        let found = found.flatten().ok_or(IdentityError::NoUser)?;
        let (membership, mut draft) = self.add_member(&found, &workspace, role)?;
        draft.wait = Some(workspace.policy.wait);
        draft.outcome = Outcome::Membership(Box::new(membership));
        Ok(draft)
    }
}
