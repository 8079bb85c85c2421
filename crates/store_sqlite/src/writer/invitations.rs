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
    principal::{Creator, Membership, MembershipNumber, Principal},
    workspace::Workspace,
};

use super::record::{Draft, Entry, Scope};
use crate::{
    fault::Fault,
    rows::{installation, invitations, members, users},
    sql::{invitations as sql, sealing},
};

/// Invitations that ended long ago, and that each new one takes along.
const PRUNED_PER_INVITATION: u32 = 4;

impl Scope<'_> {
    pub(super) fn invitation_command(&mut self, command: InvitationCommand) -> Result<Draft, Fault> {
        match command {
            InvitationCommand::Invite(all) => self.invite(all),
            InvitationCommand::Resend { invitation, digest } => self.resend(invitation, digest),
            InvitationCommand::Withdraw(invitation) => self.withdraw(invitation),
            InvitationCommand::Accept { digest, newcomer } => {
                self.accept(digest, newcomer.map(|boxed| *boxed))
            }
        }
    }

    /// The workspace that the permit names, and who acts in it.
    fn place(&mut self) -> Result<(Workspace, Creator), Fault> {
        let id = self.context.permit.workspace().ok_or(CommandError::Permit)?;
        let creator = self.context.permit.actor().as_creator().ok_or(CommandError::Permit)?;
        Ok((self.workspaces.get(self.connection, id)?.workspace.clone(), creator))
    }

    fn invite(&mut self, all: Vec<NewInvitation>) -> Result<Draft, Fault> {
        let (workspace, creator) = self.place()?;
        self.prune_invitations()?;
        let target = all.first().map(|new| new.id.to_string()).unwrap_or_default();
        let mut draft = Draft::new(Outcome::Done, target);
        let mut invited = Vec::with_capacity(all.len());
        for mut new in all {
            let known = users::by_email(self.connection, self.sealer.sealing(), &new.user.email)?;
            match known {
                Some(user) => new.user = user,
                None => users::insert(self.connection, self.sealer, &new.user)?,
            }
            let decided = self.decide_invitation(&new, &workspace, creator)?;
            invitations::insert(self.connection, &decided.value, workspace.number, new.digest)?;
            draft.entries.push(entry(&decided, &workspace));
            invited.push((decided.value, new.user.email));
        }
        draft.outcome = Outcome::Account(AccountOutcome::Invited(invited));
        Ok(draft)
    }

    fn decide_invitation(
        &self,
        new: &NewInvitation,
        workspace: &Workspace,
        creator: Creator,
    ) -> Result<Decided<Invitation>, Fault> {
        let authority = self.authority()?;
        let principal = Principal::User(new.user.id);
        let member = members::of_principal(self.connection, workspace.id, principal)?;
        let known = invitations::of_user(self.connection, workspace.number, new.user.id)?;
        let pending = installation::count(self.connection, sql::COUNT_INVITATIONS, [workspace.number.0])?;
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
            self.delete_invitation(over.id)?;
        }
        Ok(decided)
    }

    fn resend(&mut self, id: InvitationId, digest: TokenDigest) -> Result<Draft, Fault> {
        let (workspace, creator) = self.place()?;
        let before = invitations::by_id(self.connection, workspace.id, id)?.ok_or(AccountError::NotFound)?;
        let decided = account::resend(&before, creator, &self.authority()?, self.context.now)?;
        invitations::resend(self.connection, &decided.value, digest)?;
        let user = users::by_id(self.connection, self.sealer.sealing(), before.user)?;
        let email = user.ok_or(AccountError::NotFound)?.email;
        let mut draft = Draft::new(Outcome::Done, id.to_string());
        draft.entries.push(entry(&decided, &workspace));
        draft.outcome = Outcome::Account(AccountOutcome::Invited(vec![(decided.value, email)]));
        Ok(draft)
    }

    fn withdraw(&mut self, id: InvitationId) -> Result<Draft, Fault> {
        let (workspace, _) = self.place()?;
        let before = invitations::by_id(self.connection, workspace.id, id)?.ok_or(AccountError::NotFound)?;
        let decided = account::withdraw(before, &self.authority()?)?;
        self.delete_invitation(id)?;
        self.forget_unused(decided.value.user)?;
        let mut draft = Draft::new(Outcome::Account(AccountOutcome::Done), id.to_string());
        draft.entries.push(entry(&decided, &workspace));
        Ok(draft)
    }

    fn accept(&mut self, digest: TokenDigest, newcomer: Option<Newcomer>) -> Result<Draft, Fault> {
        let now = self.context.now;
        let invitation = invitations::by_digest(self.connection, digest)?.ok_or(AccountError::LinkOver)?;
        let workspace = self.workspaces.get(self.connection, invitation.workspace)?.workspace.clone();
        if workspace.is_gone(now) {
            return Err(AccountError::LinkOver.into());
        }
        let inviter = self.inviter(&invitation)?;
        let principal = Principal::User(invitation.user);
        let member = members::of_principal(self.connection, workspace.id, principal)?;
        let mut decided = account::accept(&invitation, inviter.as_ref(), member.as_ref(), now)?;
        decided.value.number = MembershipNumber(self.heads.next_membership()?);
        let mut draft = self.welcome(&invitation, newcomer)?;
        installation::insert_membership(self.connection, &decided.value, workspace.number)?;
        self.delete_invitation(invitation.id)?;
        let change = Change::Membership(MembershipView::from(&decided.value));
        let entity = EntityRef::Membership(decided.value.number);
        draft.record("member", Some((workspace.id, workspace.number)), &decided, entity, change);
        draft.wait = Some(workspace.policy.wait);
        Ok(draft)
    }

    /// The membership that the inviter acts by, as it is now.
    fn inviter(&self, invitation: &Invitation) -> Result<Option<Membership>, Fault> {
        members::by_number(self.connection, invitation.invited_by.membership)
    }

    /// Gives the account that is invited its name and password, and signs it in; one that has a password stays as it is.
    fn welcome(&mut self, invitation: &Invitation, newcomer: Option<Newcomer>) -> Result<Draft, Fault> {
        let user = users::by_id(self.connection, self.sealer.sealing(), invitation.user)?;
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
        users::rename(self.connection, self.sealer, &user)?;
        self.set_password(user.id, &newcomer.password_hash)?;
        let mut session = newcomer.session;
        session.user = user.id;
        let mut draft = self.create_session(&session, newcomer.limits, &[], None)?;
        if let Outcome::Account(AccountOutcome::Session(session)) = draft.outcome {
            draft.outcome = Outcome::Account(AccountOutcome::Joined(Some(session)));
        }
        draft.target = target;
        Ok(draft)
    }

    fn delete_invitation(&self, id: InvitationId) -> Result<(), Fault> {
        self.connection.prepare_cached(sql::DELETE_INVITATION)?.execute([id.to_bytes()])?;
        Ok(())
    }

    fn prune_invitations(&mut self) -> Result<(), Fault> {
        let ended_before = self.context.now.plus_seconds(-caps::INVITATION_KEPT_SECONDS);
        for (id, user) in invitations::stale(self.connection, ended_before, PRUNED_PER_INVITATION)? {
            self.delete_invitation(id)?;
            self.forget_unused(user)?;
        }
        Ok(())
    }

    /// Forgets an account that nobody can sign in to and that nothing refers to: there is no reason to keep the address.
    fn forget_unused(&mut self, user: UserId) -> Result<(), Fault> {
        let is_unused =
            installation::first(self.connection, sql::IS_UNUSED, [user.to_bytes()], |_| Ok(()))?.is_some();
        if is_unused {
            self.connection.prepare_cached(sealing::ERASE_USER)?.execute([user.to_bytes()])?;
            self.sealer.destroy_person(self.connection, user)?;
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
