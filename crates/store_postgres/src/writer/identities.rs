//! Commands about whom OpenID Connect providers know.

use keywright_domain::{
    administration,
    change::{Change, EntityRef, MembershipView},
    command::Outcome,
    identity::{self, ExternalIdentity, IdentityCommand, IdentityError},
    ids::{UserId, WorkspaceId},
    permission::Role,
    principal::{MembershipNumber, Principal, User},
};

use super::record::{Draft, Entry, Scope};
use crate::{
    fault::Fault,
    params,
    rows::{bytes, installation, users},
    sql::{accounts, identities as sql, installation as installation_sql, sealing},
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
        draft.entries.insert(0, user_entry("user.created", user));
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
        draft.entries.push(Entry {
            action: "user.identity_linked",
            kind: "user",
            target: user.to_string(),
            workspace: None,
            reason: None,
            fields: vec![identity::linked_field(identity)],
        });
        Ok(draft)
    }

    async fn join_workspace(&mut self, user: UserId, id: WorkspaceId, role: Role) -> Result<Draft, Fault> {
        let workspace = self.group.workspace(id).await?.workspace.clone();
        let mut draft = Draft::new(Outcome::Done, user.to_string());
        draft.wait = Some(workspace.policy.wait);
        if let Some(known) = self.membership_of(&workspace, Principal::User(user)).await? {
            draft.outcome = Outcome::Membership(Box::new(known));
            return Ok(draft);
        }
        let row = self.group.transaction.first(sealing::USER, params![user.to_bytes()]).await?;
        let found = row.as_ref().map(|row| users::user(row, self.group.sealer.sealing())).transpose()?;
        let found = found.flatten().ok_or(IdentityError::NoUser)?;
        let mut decided = administration::create_membership(&found, &workspace, role, self.context.now);
        decided.value.number = MembershipNumber(self.heads.next_membership()?);
        let values = installation::membership_params(&decided.value, workspace.number);
        self.group.transaction.write(installation_sql::INSERT_MEMBERSHIP, values);
        let change = Change::Membership(MembershipView::from(&decided.value));
        let entity = EntityRef::Membership(decided.value.number);
        draft.record("member", Some((workspace.id, workspace.number)), &decided, entity, change);
        draft.outcome = Outcome::Membership(Box::new(decided.value));
        Ok(draft)
    }
}

fn user_entry(action: &'static str, user: &User) -> Entry {
    let target = user.id.to_string();
    Entry { action, kind: "user", target, workspace: None, reason: None, fields: Vec::new() }
}
