//! Commands about invitations.

use keywright_domain::{
    account::{
        self, AccountError, AccountOutcome, Invitation, InvitationCommand, InvitationError, NewInvitation,
        Newcomer, TokenDigest,
    },
    administration::Decided,
    caps,
    change::{Change, EntityRef, MembershipView},
    command::{CommandError, Outcome},
    ids::{InvitationId, UserId},
    principal::{Creator, MembershipNumber, Principal, User},
    workspace::Workspace,
};

use super::record::{Draft, Entry, Scope};
use crate::{
    connect::Param,
    fault::Fault,
    params,
    rows::{each, installation, invitations, users},
    sql::{installation as installation_sql, invitations as sql, sealing},
};

/// Invitations that ended long ago, and that each new one takes along.
const PRUNED_PER_INVITATION: u32 = 4;

impl Scope<'_> {
    pub(super) async fn invitation_command(&mut self, command: InvitationCommand) -> Result<Draft, Fault> {
        match command {
            InvitationCommand::Invite(all) => self.invite(all).await,
            InvitationCommand::Resend { invitation, digest } => self.resend(invitation, digest).await,
            InvitationCommand::Withdraw(invitation) => self.withdraw(invitation).await,
            InvitationCommand::Accept { digest, newcomer } => {
                self.accept(digest, newcomer.map(|boxed| *boxed)).await
            }
        }
    }

    /// The workspace that the permit names, and who acts in it.
    async fn place(&mut self) -> Result<(Workspace, Creator), Fault> {
        let id = self.context.permit.workspace().ok_or(CommandError::Permit)?;
        let creator = self.context.permit.actor().as_creator().ok_or(CommandError::Permit)?;
        Ok((self.group.workspace(id).await?.workspace.clone(), creator))
    }

    async fn invite(&mut self, all: Vec<NewInvitation>) -> Result<Draft, Fault> {
        let (workspace, creator) = self.place().await?;
        self.prune_invitations().await?;
        let target = all.first().map(|new| new.id.to_string()).unwrap_or_default();
        let mut draft = Draft::new(Outcome::Done, target);
        let mut invited = Vec::with_capacity(all.len());
        for mut new in all {
            let index = self.group.sealer.sealing().email_index(&new.user.email);
            match self.user_by(sealing::USER_BY_EMAIL, params![index]).await? {
                Some(user) => new.user = user,
                None => self.new_user(&new.user).await?,
            }
            let decided = self.decide_invitation(&new, &workspace, creator).await?;
            let values = invitations::invitation_params(&decided.value, workspace.number, new.digest);
            self.group.transaction.write(sql::INSERT_INVITATION, values);
            draft.entries.push(entry(&decided, &workspace));
            invited.push((decided.value, new.user.email));
        }
        draft.outcome = Outcome::Account(AccountOutcome::Invited(invited));
        Ok(draft)
    }

    async fn decide_invitation(
        &mut self,
        new: &NewInvitation,
        workspace: &Workspace,
        creator: Creator,
    ) -> Result<Decided<Invitation>, Fault> {
        let authority = self.authority().await?;
        let member = self.membership_of(workspace, Principal::User(new.user.id)).await?;
        let values = params![workspace.number.0, new.user.id.to_bytes()];
        let known = self.invitation_by(sql::INVITATION_OF, values).await?;
        let pending = self.counted(sql::COUNT_INVITATIONS, params![workspace.number.0]).await?;
        let decided = account::invite(
            new,
            workspace.id,
            creator,
            member.as_ref(),
            known.as_ref(),
            pending,
            &authority,
            self.context.now,
        )?;
        if let Some(over) = known {
            self.delete_invitation(over.id);
        }
        Ok(decided)
    }

    async fn resend(&mut self, id: InvitationId, digest: TokenDigest) -> Result<Draft, Fault> {
        let (workspace, creator) = self.place().await?;
        let before = self.invitation(&workspace, id).await?;
        let authority = self.authority().await?;
        let decided = account::resend(&before, creator, &authority, self.context.now)?;
        let user = self.user_by(sealing::USER, params![before.user.to_bytes()]).await?;
        let email = user.ok_or(AccountError::NotFound)?.email;
        self.group.transaction.write(sql::RESEND, invitations::resend_params(&decided.value, digest));
        let mut draft = Draft::new(Outcome::Done, id.to_string());
        draft.entries.push(entry(&decided, &workspace));
        draft.outcome = Outcome::Account(AccountOutcome::Invited(vec![(decided.value, email)]));
        Ok(draft)
    }

    async fn withdraw(&mut self, id: InvitationId) -> Result<Draft, Fault> {
        let (workspace, _) = self.place().await?;
        let before = self.invitation(&workspace, id).await?;
        let authority = self.authority().await?;
        let decided = account::withdraw(before, &authority)?;
        self.delete_invitation(id);
        self.forget_unused(decided.value.user).await?;
        let mut draft = Draft::new(Outcome::Account(AccountOutcome::Done), id.to_string());
        draft.entries.push(entry(&decided, &workspace));
        Ok(draft)
    }

    async fn accept(&mut self, digest: TokenDigest, newcomer: Option<Newcomer>) -> Result<Draft, Fault> {
        let now = self.context.now;
        let found = self.invitation_by(sql::INVITATION_BY_DIGEST, params![digest.0]).await?;
        let invitation = found.ok_or(AccountError::LinkOver)?;
        let workspace = self.group.workspace(invitation.workspace).await?.workspace.clone();
        if workspace.is_gone(now) {
            return Err(AccountError::LinkOver.into());
        }
        // The membership that the inviter acts by, as it is now.
        let inviter = self.membership_by_number(invitation.invited_by.membership).await?;
        let member = self.membership_of(&workspace, Principal::User(invitation.user)).await?;
        let mut decided = account::accept(&invitation, inviter.as_ref(), member.as_ref(), now)?;
        decided.value.number = MembershipNumber(self.heads.next_membership()?);
        let mut draft = self.welcome(&invitation, newcomer).await?;
        let values = installation::membership_params(&decided.value, workspace.number);
        self.group.transaction.write(installation_sql::INSERT_MEMBERSHIP, values);
        self.delete_invitation(invitation.id);
        let change = Change::Membership(MembershipView::from(&decided.value));
        let entity = EntityRef::Membership(decided.value.number);
        draft.record("member", Some((workspace.id, workspace.number)), &decided, entity, change);
        draft.wait = Some(workspace.policy.wait);
        Ok(draft)
    }

    /// Gives the account that is invited its name and password, and signs it in; one that has a password stays as it is.
    async fn welcome(&mut self, invitation: &Invitation, newcomer: Option<Newcomer>) -> Result<Draft, Fault> {
        let user = self.user_by(sealing::USER, params![invitation.user.to_bytes()]).await?;
        let mut user = user.ok_or(AccountError::LinkOver)?;
        let target = user.id.to_string();
        let Some(newcomer) = newcomer.filter(|_| user.password_hash.is_none()) else {
            return if user.password_hash.is_some() {
                Ok(Draft::new(Outcome::Account(AccountOutcome::Joined(None)), target))
            } else {
                Err(AccountError::PasswordNeeded.into())
            };
        };
        user.name = newcomer.name.unwrap_or_else(|| user.email.clone());
        self.rename_user(&user).await?;
        self.set_password(user.id, &newcomer.password_hash).await?;
        let mut session = newcomer.session;
        session.user = user.id;
        let mut draft = self.create_session(&session, newcomer.limits, &[], None).await?;
        if let Outcome::Account(AccountOutcome::Session(session)) = draft.outcome {
            draft.outcome = Outcome::Account(AccountOutcome::Joined(Some(session)));
        }
        draft.target = target;
        Ok(draft)
    }

    async fn rename_user(&mut self, user: &User) -> Result<(), Fault> {
        let group = &mut *self.group;
        let sealed = group.sealer.seal_again(&mut group.transaction, user).await?;
        let values = params![user.id.to_bytes(), sealed.email_index, sealed.sealed];
        group.transaction.write(sealing::SEAL_USER, values);
        Ok(())
    }

    async fn user_by(&mut self, statement: &'static str, values: Vec<Param>) -> Result<Option<User>, Fault> {
        let row = self.group.transaction.first(statement, values).await?;
        let sealing = self.group.sealer.sealing();
        Ok(row.as_ref().map(|row| users::user(row, sealing)).transpose()?.flatten())
    }

    async fn invitation(&mut self, workspace: &Workspace, id: InvitationId) -> Result<Invitation, Fault> {
        let values = params![id.to_bytes(), workspace.id.to_bytes()];
        Ok(self.invitation_by(sql::INVITATION, values).await?.ok_or(AccountError::NotFound)?)
    }

    async fn invitation_by(
        &mut self,
        statement: &'static str,
        values: Vec<Param>,
    ) -> Result<Option<Invitation>, Fault> {
        let row = self.group.transaction.first(statement, values).await?;
        row.as_ref().map(invitations::invitation).transpose()
    }

    fn delete_invitation(&mut self, id: InvitationId) {
        self.group.transaction.write(sql::DELETE_INVITATION, params![id.to_bytes()]);
    }

    async fn prune_invitations(&mut self) -> Result<(), Fault> {
        let ended_before = self.context.now.plus_seconds(-caps::INVITATION_KEPT_SECONDS);
        let values = params![ended_before, PRUNED_PER_INVITATION];
        let rows = self.group.transaction.query(sql::STALE_INVITATIONS, values).await?;
        for (id, user) in each(&rows, invitations::stale)? {
            self.delete_invitation(id);
            self.forget_unused(user).await?;
        }
        Ok(())
    }

    /// Forgets an account that nobody can sign in to and that nothing refers to: there is no reason to keep the address.
    async fn forget_unused(&mut self, user: UserId) -> Result<(), Fault> {
        let row = self.group.transaction.first(sql::IS_UNUSED, params![user.to_bytes()]).await?;
        if row.is_some() {
            let group = &mut *self.group;
            group.transaction.write(sealing::ERASE_USER, params![user.to_bytes()]);
            group.sealer.destroy_person(&mut group.transaction, user);
        }
        Ok(())
    }
}

fn entry(decided: &Decided<Invitation>, workspace: &Workspace) -> Entry {
    Entry {
        action: decided.action,
        kind: "invitation",
        target: decided.value.id.to_string(),
        workspace: Some((workspace.id, workspace.number)),
        reason: None,
        fields: decided.fields.clone(),
    }
}

impl From<InvitationError> for Fault {
    fn from(error: InvitationError) -> Self {
        match error {
            InvitationError::Account(error) => error.into(),
            InvitationError::Member(error) => error.into(),
        }
    }
}
