//! Commands about members and service accounts, and about whose a key is.

use keywright_domain::{
    administration::Decided,
    caps,
    change::{Change, EntityRef, KeyView, MembershipView},
    command::{CommandError, Outcome},
    ids::{KeyId, ServiceAccountId, UserId},
    key::{Effect, KeyError, NewKey},
    member::{
        self, Authority, KeysMoved, MemberCommand, MemberError, MemberOutcome, MemberPatch,
        NewServiceAccount, ServiceAccount, ServiceAccountPatch, Switch,
    },
    permission::{PermissionSet, Role},
    principal::{Membership, MembershipNumber, Principal},
    workspace::Workspace,
};

use super::record::{Draft, Entry, Scope};
use crate::{
    fault::Fault,
    rows::{installation, keys, members},
    sql::members as sql,
};

/// One more than a call may hand over, so that too many are noticed.
const KEYS_LIMIT: u32 = 10_001;
const _: () = assert!(KEYS_LIMIT as usize == caps::HAND_OVER_MAX + 1, "one more than the cap");

impl Scope<'_> {
    pub(super) fn change_members(&mut self, command: MemberCommand) -> Result<Draft, Fault> {
        let id = self.context.permit.workspace().expect("the permit was checked to have a workspace");
        let workspace = self.workspaces.get(self.connection, id)?.workspace.clone();
        let mut draft = match command {
            MemberCommand::Patch { user, patch } => self.patch_member(&workspace, user, patch),
            MemberCommand::Remove { user, hand_over_to, reason } => {
                self.remove_member(&workspace, user, hand_over_to, reason)
            }
            MemberCommand::Leave { hand_over_to } => self.leave(&workspace, hand_over_to),
            MemberCommand::TransferOwnership { from, to } => self.transfer_ownership(&workspace, from, to),
            MemberCommand::HandOverKey { key, to } => self.hand_over_key(&workspace, key, to),
            MemberCommand::HandOverKeys { from, to } => self.hand_over_keys(&workspace, from, to),
            MemberCommand::CreateKeyFor { account, new } => self.create_key_for(&workspace, account, *new),
            MemberCommand::CreateServiceAccount(new) => self.create_account(&workspace, *new),
            MemberCommand::PatchServiceAccount { account, patch } => {
                self.patch_account(&workspace, account, *patch)
            }
            MemberCommand::SwitchServiceAccount { account, switch } => {
                self.switch_account(&workspace, account, switch)
            }
            MemberCommand::DeleteServiceAccount { account, hand_over_to } => {
                self.delete_account(&workspace, account, hand_over_to)
            }
        }?;
        draft.wait = Some(workspace.policy.wait);
        Ok(draft)
    }

    /// The authority of whoever acts, as it is in this transaction.
    pub(super) fn authority(&self) -> Result<Authority, Fault> {
        let permit = &self.context.permit;
        let membership = match permit.actor().as_creator() {
            Some(creator) if creator.membership != MembershipNumber::OPERATOR => {
                members::by_number(self.connection, creator.membership)?
            }
            _ => None,
        };
        let named = installation::catalogue(self.connection)?.all();
        Ok(Authority::of(permit, membership.as_ref(), named)?)
    }

    fn member(&self, workspace: &Workspace, member: Principal) -> Result<Membership, Fault> {
        let found = members::of_principal(self.connection, workspace.id, member)?;
        Ok(found.ok_or(MemberError::NotFound)?)
    }

    fn account(
        &self,
        workspace: &Workspace,
        id: ServiceAccountId,
    ) -> Result<(ServiceAccount, Membership), Fault> {
        let found = members::account_by_id(self.connection, workspace.id, id)?;
        Ok(found.ok_or(MemberError::NoServiceAccount)?)
    }

    fn owners(&self, workspace: &Workspace) -> Result<u64, Fault> {
        members::count_role(self.connection, workspace.number, Role::Owner)
    }

    fn patch_member(&self, workspace: &Workspace, user: UserId, patch: MemberPatch) -> Result<Draft, Fault> {
        let authority = self.authority()?;
        let before = self.member(workspace, Principal::User(user))?;
        let decided = member::patch(&before, patch, self.owners(workspace)?, &authority)?;
        let mut draft = Draft::new(Outcome::Done, user.to_string());
        self.keep_member(&mut draft, workspace, &decided, None)?;
        let outcome = MemberOutcome::Member(Box::new(decided.value), KeysMoved::default());
        draft.outcome = Outcome::Member(outcome);
        Ok(draft)
    }

    fn remove_member(
        &self,
        workspace: &Workspace,
        user: UserId,
        hand_over_to: Option<ServiceAccountId>,
        reason: Option<String>,
    ) -> Result<Draft, Fault> {
        let authority = self.authority()?;
        let before = self.member(workspace, Principal::User(user))?;
        let owners = self.owners(workspace)?;
        let decided = member::end(&before, owners, Some(&authority), self.context.now)?;
        self.end_member(workspace, &before, &decided, hand_over_to, &authority, reason)
    }

    fn leave(&self, workspace: &Workspace, hand_over_to: Option<ServiceAccountId>) -> Result<Draft, Fault> {
        let authority = self.authority()?;
        let creator = self.context.permit.actor().as_creator().ok_or(MemberError::NotFound)?;
        let before = self.member(workspace, creator.principal)?;
        let decided = member::end(&before, self.owners(workspace)?, None, self.context.now)?;
        self.end_member(workspace, &before, &decided, hand_over_to, &authority, None)
    }

    fn end_member(
        &self,
        workspace: &Workspace,
        before: &Membership,
        decided: &Decided<Membership>,
        hand_over_to: Option<ServiceAccountId>,
        authority: &Authority,
        reason: Option<String>,
    ) -> Result<Draft, Fault> {
        let mut draft = Draft::new(Outcome::Done, before.principal.id_text());
        let mut moved = match hand_over_to {
            Some(to) => self.move_keys(&mut draft, workspace, before.principal, to, authority)?,
            None => KeysMoved::default(),
        };
        moved.stopped = installation::count(self.connection, sql::COUNT_KEYS_OF, [before.number.0])?;
        self.keep_member(&mut draft, workspace, decided, reason)?;
        draft.outcome = Outcome::Member(MemberOutcome::Member(Box::new(decided.value.clone()), moved));
        Ok(draft)
    }

    fn transfer_ownership(
        &self,
        workspace: &Workspace,
        from: Option<UserId>,
        to: UserId,
    ) -> Result<Draft, Fault> {
        let authority = self.authority()?;
        let acting = self.context.permit.actor().as_creator().map(|creator| creator.principal);
        let from = from.map(Principal::User).or(acting).ok_or(MemberError::NotOwner)?;
        let before = members::of_principal(self.connection, workspace.id, from)?;
        let before = before.ok_or(MemberError::NotOwner)?;
        let next = self.member(workspace, Principal::User(to))?;
        let (back, forth) = member::transfer_ownership(&before, &next, &authority)?;
        let mut draft = Draft::new(Outcome::Done, to.to_string());
        self.keep_member(&mut draft, workspace, &forth, None)?;
        self.keep_member(&mut draft, workspace, &back, None)?;
        let outcome = MemberOutcome::Transferred { from: Box::new(back.value), to: Box::new(forth.value) };
        draft.outcome = Outcome::Member(outcome);
        Ok(draft)
    }

    fn hand_over_key(&self, workspace: &Workspace, key: KeyId, to: ServiceAccountId) -> Result<Draft, Fault> {
        let authority = self.authority()?;
        let target = self.receiver(workspace, to)?;
        let mut draft = Draft::new(Outcome::Done, key.to_string());
        let mut moved = KeysMoved::default();
        self.move_key(&mut draft, workspace, key, &target, &authority, &mut moved)?;
        draft.outcome = Outcome::Member(MemberOutcome::Keys(moved));
        Ok(draft)
    }

    fn hand_over_keys(
        &self,
        workspace: &Workspace,
        from: Principal,
        to: ServiceAccountId,
    ) -> Result<Draft, Fault> {
        let authority = self.authority()?;
        let mut draft = Draft::new(Outcome::Done, from.id_text());
        let moved = self.move_keys(&mut draft, workspace, from, to, &authority)?;
        draft.outcome = Outcome::Member(MemberOutcome::Keys(moved));
        Ok(draft)
    }

    /// The membership of the service account that gets keys.
    fn receiver(&self, workspace: &Workspace, to: ServiceAccountId) -> Result<Membership, Fault> {
        let (_, membership) = self.account(workspace, to)?;
        if membership.is_active() { Ok(membership) } else { Err(MemberError::AccountDisabled.into()) }
    }

    /// Gives all keys of a principal to a service account.
    fn move_keys(
        &self,
        draft: &mut Draft,
        workspace: &Workspace,
        from: Principal,
        to: ServiceAccountId,
        authority: &Authority,
    ) -> Result<KeysMoved, Fault> {
        member::check_may_hand_over(authority)?;
        let target = self.receiver(workspace, to)?;
        if from == target.principal {
            return Err(MemberError::SameAccount.into());
        }
        let keys = members::keys_of(self.connection, from, workspace.number, KEYS_LIMIT)?;
        member::check_key_count(keys.len())?;
        let mut moved = KeysMoved::default();
        for key in keys {
            self.move_key(draft, workspace, key, &target, authority, &mut moved)?;
        }
        Ok(moved)
    }

    fn move_key(
        &self,
        draft: &mut Draft,
        workspace: &Workspace,
        key: KeyId,
        target: &Membership,
        authority: &Authority,
        moved: &mut KeysMoved,
    ) -> Result<(), Fault> {
        let key = keys::by_id(self.connection, key, workspace.id)?
            .filter(|key| key.workspace_number == workspace.number)
            .ok_or(KeyError::NotFound)?;
        let creator_may = self.creator_may(key.created_by.membership)?;
        let policy = workspace.policy.allowed_permissions;
        let done = member::hand_over(key, creator_may, policy, target, authority)?;
        let key = &done.key;
        if key.effect == Effect::None {
            return Ok(());
        }
        members::set_creator(self.connection, &key.value)?;
        let change = Change::Key(Box::new(KeyView::from(&key.value)));
        draft.changes.push((EntityRef::Key(key.value.number), key.effect, change));
        draft.entries.push(Entry {
            action: key.action,
            kind: "key",
            target: key.value.id.to_string(),
            workspace: Some((workspace.id, workspace.number)),
            reason: None,
            fields: key.fields.clone(),
        });
        moved.add(&done);
        Ok(())
    }

    /// What the holder of a membership may do now.
    fn creator_may(&self, number: MembershipNumber) -> Result<PermissionSet, Fault> {
        if number == MembershipNumber::OPERATOR {
            return Ok(PermissionSet::ALL);
        }
        let membership = members::by_number(self.connection, number)?;
        Ok(membership.map_or(PermissionSet::EMPTY, |membership| membership.permissions()))
    }

    fn create_key_for(
        &mut self,
        workspace: &Workspace,
        account: ServiceAccountId,
        new: NewKey,
    ) -> Result<Draft, Fault> {
        let target = self.receiver(workspace, account)?;
        let grantable = self.context.permit.grantable();
        self.create_key(member::grant_to_account(new, &target, workspace, grantable)?)
    }

    fn create_account(&mut self, workspace: &Workspace, new: NewServiceAccount) -> Result<Draft, Fault> {
        let authority = self.authority()?;
        let is_taken = members::is_email_taken(self.connection, workspace.number, &new.email, new.id)?;
        let count = installation::count(self.connection, sql::COUNT_ACCOUNTS, [workspace.number.0])?;
        let now = self.context.now;
        let (mut decided, mut membership) =
            member::create_service_account(new, workspace, is_taken, count, &authority, now)?;
        membership.number = MembershipNumber(self.heads.next_membership()?);
        decided.value.membership = membership.number;
        installation::insert_membership(self.connection, &membership, workspace.number)?;
        members::insert_account(self.connection, &decided.value, workspace.number)?;
        let mut draft = Draft::new(Outcome::Done, decided.value.id.to_string());
        let change = Change::Membership(MembershipView::from(&membership));
        let entity = EntityRef::Membership(membership.number);
        let place = Some((workspace.id, workspace.number));
        draft.record("service_account", place, &decided, entity, change);
        draft.outcome = account_outcome(decided.value, membership, KeysMoved::default());
        Ok(draft)
    }

    fn patch_account(
        &self,
        workspace: &Workspace,
        id: ServiceAccountId,
        patch: ServiceAccountPatch,
    ) -> Result<Draft, Fault> {
        let authority = self.authority()?;
        let (before, membership) = self.account(workspace, id)?;
        let is_taken = match &patch.email {
            Some(email) => members::is_email_taken(self.connection, workspace.number, email, id)?,
            None => false,
        };
        let member = member::patch(&membership, patch.member, u64::MAX, &authority)?;
        let account = member::patch_service_account(&before, patch, is_taken)?;
        let mut draft = Draft::new(Outcome::Done, id.to_string());
        if account.effect != Effect::None {
            members::update_account(self.connection, &account.value)?;
            draft.entries.push(account_entry(&account, workspace));
        }
        self.keep_member(&mut draft, workspace, &member, None)?;
        draft.outcome = account_outcome(account.value, member.value, KeysMoved::default());
        Ok(draft)
    }

    fn switch_account(
        &self,
        workspace: &Workspace,
        id: ServiceAccountId,
        switch: Switch,
    ) -> Result<Draft, Fault> {
        let authority = self.authority()?;
        let (account, before) = self.account(workspace, id)?;
        if switch == Switch::On {
            authority.check_grant(before.rights().without(before.permissions()))?;
        }
        let decided = member::switch(&before, switch, self.context.now);
        let mut draft = Draft::new(Outcome::Done, id.to_string());
        self.keep_member(&mut draft, workspace, &decided, None)?;
        draft.outcome = account_outcome(account, decided.value, KeysMoved::default());
        Ok(draft)
    }

    fn delete_account(
        &self,
        workspace: &Workspace,
        id: ServiceAccountId,
        hand_over_to: Option<ServiceAccountId>,
    ) -> Result<Draft, Fault> {
        let authority = self.authority()?;
        let (mut account, before) = self.account(workspace, id)?;
        let mut decided = member::end(&before, u64::MAX, Some(&authority), self.context.now)?;
        decided.action = "service_account.deleted";
        let mut draft = self.end_member(workspace, &before, &decided, hand_over_to, &authority, None)?;
        account.deleted_at = Some(self.context.now);
        members::update_account(self.connection, &account)?;
        if let Outcome::Member(MemberOutcome::Member(membership, moved)) = draft.outcome {
            draft.outcome = account_outcome(account, *membership, moved);
        }
        Ok(draft)
    }

    /// Keeps a membership after a decision, and what it means for the logs.
    fn keep_member(
        &self,
        draft: &mut Draft,
        workspace: &Workspace,
        decided: &Decided<Membership>,
        reason: Option<String>,
    ) -> Result<(), Fault> {
        if decided.effect == Effect::None {
            return Ok(());
        }
        let membership = &decided.value;
        members::update(self.connection, membership)?;
        let change = Change::Membership(MembershipView::from(membership));
        draft.changes.push((EntityRef::Membership(membership.number), decided.effect, change));
        draft.entries.push(Entry {
            action: decided.action,
            kind: kind_of(membership.principal),
            target: membership.principal.id_text(),
            workspace: Some((workspace.id, workspace.number)),
            reason,
            fields: decided.fields.clone(),
        });
        Ok(())
    }
}

impl From<MemberError> for Fault {
    fn from(error: MemberError) -> Self {
        Self::Refused(CommandError::Member(error))
    }
}

fn kind_of(principal: Principal) -> &'static str {
    if matches!(principal, Principal::ServiceAccount(_)) { "service_account" } else { "member" }
}

fn account_entry(decided: &Decided<ServiceAccount>, workspace: &Workspace) -> Entry {
    Entry {
        action: decided.action,
        kind: "service_account",
        target: decided.value.id.to_string(),
        workspace: Some((workspace.id, workspace.number)),
        reason: None,
        fields: decided.fields.clone(),
    }
}

fn account_outcome(account: ServiceAccount, membership: Membership, moved: KeysMoved) -> Outcome {
    Outcome::Member(MemberOutcome::ServiceAccount(Box::new(account), Box::new(membership), moved))
}
