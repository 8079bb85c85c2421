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
    connect::Param,
    fault::Fault,
    params,
    rows::{bytes, each, installation, members, number, principal_columns},
    sql::{installation as installation_sql, members as sql},
};

/// One more than a call may hand over, so that too many are noticed.
const KEYS_LIMIT: u32 = 10_001;
const _: () = assert!(KEYS_LIMIT as usize == caps::HAND_OVER_MAX + 1, "one more than the cap");

impl Scope<'_> {
    pub(super) async fn change_members(&mut self, command: MemberCommand) -> Result<Draft, Fault> {
        let id = self.context.permit.workspace().expect("the permit was checked to have a workspace");
        let workspace = self.group.workspace(id).await?.workspace.clone();
        let mut draft = match command {
            MemberCommand::Patch { user, patch } => self.patch_member(&workspace, user, patch).await,
            MemberCommand::Remove { user, hand_over_to, reason } => {
                self.remove_member(&workspace, user, hand_over_to, reason).await
            }
            MemberCommand::Leave { hand_over_to } => self.leave(&workspace, hand_over_to).await,
            MemberCommand::TransferOwnership { from, to } => {
                self.transfer_ownership(&workspace, from, to).await
            }
            MemberCommand::HandOverKey { key, to } => self.hand_over_key(&workspace, key, to).await,
            MemberCommand::HandOverKeys { from, to } => self.hand_over_keys(&workspace, from, to).await,
            MemberCommand::CreateKeyFor { account, new } => {
                self.create_key_for(&workspace, account, *new).await
            }
            MemberCommand::CreateServiceAccount(new) => self.create_account(&workspace, *new).await,
            MemberCommand::PatchServiceAccount { account, patch } => {
                self.patch_account(&workspace, account, *patch).await
            }
            MemberCommand::SwitchServiceAccount { account, switch } => {
                self.switch_account(&workspace, account, switch).await
            }
            MemberCommand::DeleteServiceAccount { account, hand_over_to } => {
                self.delete_account(&workspace, account, hand_over_to).await
            }
        }?;
        draft.wait = Some(workspace.policy.wait);
        Ok(draft)
    }

    /// The authority of whoever acts, as it is in this transaction.
    pub(super) async fn authority(&mut self) -> Result<Authority, Fault> {
        let permit = &self.context.permit;
        let membership = match permit.actor().as_creator() {
            Some(creator) if creator.membership != MembershipNumber::OPERATOR => {
                self.membership_by_number(creator.membership).await?
            }
            _ => None,
        };
        let rows = self.group.transaction.query(installation_sql::PERMISSIONS, params![]).await?;
        let named = installation::catalogue(&rows)?.all();
        Ok(Authority::of(permit, membership.as_ref(), named)?)
    }

    async fn member(&mut self, workspace: &Workspace, member: Principal) -> Result<Membership, Fault> {
        Ok(self.membership_of(workspace, member).await?.ok_or(MemberError::NotFound)?)
    }

    async fn account(
        &mut self,
        workspace: &Workspace,
        id: ServiceAccountId,
    ) -> Result<(ServiceAccount, Membership), Fault> {
        let values = params![id.to_bytes(), workspace.id.to_bytes()];
        let row = self.group.transaction.first(sql::ACCOUNT, values).await?;
        let found = row.as_ref().map(members::account).transpose()?;
        Ok(found.filter(|(account, _)| account.deleted_at.is_none()).ok_or(MemberError::NoServiceAccount)?)
    }

    async fn owners(&mut self, workspace: &Workspace) -> Result<u64, Fault> {
        self.counted(sql::COUNT_ROLE, params![workspace.number.0, i64::from(Role::Owner as u8)]).await
    }

    async fn patch_member(
        &mut self,
        workspace: &Workspace,
        user: UserId,
        patch: MemberPatch,
    ) -> Result<Draft, Fault> {
        let authority = self.authority().await?;
        let before = self.member(workspace, Principal::User(user)).await?;
        let decided = member::patch(&before, patch, self.owners(workspace).await?, &authority)?;
        let mut draft = Draft::new(Outcome::Done, user.to_string());
        self.keep_member(&mut draft, workspace, &decided, None);
        let outcome = MemberOutcome::Member(Box::new(decided.value), KeysMoved::default());
        draft.outcome = Outcome::Member(outcome);
        Ok(draft)
    }

    async fn remove_member(
        &mut self,
        workspace: &Workspace,
        user: UserId,
        hand_over_to: Option<ServiceAccountId>,
        reason: Option<String>,
    ) -> Result<Draft, Fault> {
        let authority = self.authority().await?;
        let before = self.member(workspace, Principal::User(user)).await?;
        let owners = self.owners(workspace).await?;
        let decided = member::end(&before, owners, Some(&authority), self.context.now)?;
        self.end_member(workspace, &before, &decided, hand_over_to, &authority, reason).await
    }

    async fn leave(
        &mut self,
        workspace: &Workspace,
        hand_over_to: Option<ServiceAccountId>,
    ) -> Result<Draft, Fault> {
        let authority = self.authority().await?;
        let creator = self.context.permit.actor().as_creator().ok_or(MemberError::NotFound)?;
        let before = self.member(workspace, creator.principal).await?;
        let decided = member::end(&before, self.owners(workspace).await?, None, self.context.now)?;
        self.end_member(workspace, &before, &decided, hand_over_to, &authority, None).await
    }

    async fn end_member(
        &mut self,
        workspace: &Workspace,
        before: &Membership,
        decided: &Decided<Membership>,
        hand_over_to: Option<ServiceAccountId>,
        authority: &Authority,
        reason: Option<String>,
    ) -> Result<Draft, Fault> {
        let mut draft = Draft::new(Outcome::Done, before.principal.id_text());
        let mut moved = match hand_over_to {
            Some(to) => self.move_keys(&mut draft, workspace, before.principal, to, authority).await?,
            None => KeysMoved::default(),
        };
        moved.stopped = self.counted(sql::COUNT_KEYS_OF, params![before.number.0]).await?;
        self.keep_member(&mut draft, workspace, decided, reason);
        draft.outcome = Outcome::Member(MemberOutcome::Member(Box::new(decided.value.clone()), moved));
        Ok(draft)
    }

    async fn transfer_ownership(
        &mut self,
        workspace: &Workspace,
        from: Option<UserId>,
        to: UserId,
    ) -> Result<Draft, Fault> {
        let authority = self.authority().await?;
        let acting = self.context.permit.actor().as_creator().map(|creator| creator.principal);
        let from = from.map(Principal::User).or(acting).ok_or(MemberError::NotOwner)?;
        let before = self.membership_of(workspace, from).await?.ok_or(MemberError::NotOwner)?;
        let next = self.member(workspace, Principal::User(to)).await?;
        let (back, forth) = member::transfer_ownership(&before, &next, &authority)?;
        let mut draft = Draft::new(Outcome::Done, to.to_string());
        self.keep_member(&mut draft, workspace, &forth, None);
        self.keep_member(&mut draft, workspace, &back, None);
        let outcome = MemberOutcome::Transferred { from: Box::new(back.value), to: Box::new(forth.value) };
        draft.outcome = Outcome::Member(outcome);
        Ok(draft)
    }

    async fn hand_over_key(
        &mut self,
        workspace: &Workspace,
        key: KeyId,
        to: ServiceAccountId,
    ) -> Result<Draft, Fault> {
        let authority = self.authority().await?;
        let target = self.receiver(workspace, to).await?;
        let mut draft = Draft::new(Outcome::Done, key.to_string());
        let mut moved = KeysMoved::default();
        self.move_key(&mut draft, workspace, key, &target, &authority, &mut moved).await?;
        draft.outcome = Outcome::Member(MemberOutcome::Keys(moved));
        Ok(draft)
    }

    async fn hand_over_keys(
        &mut self,
        workspace: &Workspace,
        from: Principal,
        to: ServiceAccountId,
    ) -> Result<Draft, Fault> {
        let authority = self.authority().await?;
        let mut draft = Draft::new(Outcome::Done, from.id_text());
        let moved = self.move_keys(&mut draft, workspace, from, to, &authority).await?;
        draft.outcome = Outcome::Member(MemberOutcome::Keys(moved));
        Ok(draft)
    }

    /// The membership of the service account that gets keys.
    async fn receiver(&mut self, workspace: &Workspace, to: ServiceAccountId) -> Result<Membership, Fault> {
        let (_, membership) = self.account(workspace, to).await?;
        if membership.is_active() { Ok(membership) } else { Err(MemberError::AccountDisabled.into()) }
    }

    /// Gives all keys of a principal to a service account.
    async fn move_keys(
        &mut self,
        draft: &mut Draft,
        workspace: &Workspace,
        from: Principal,
        to: ServiceAccountId,
        authority: &Authority,
    ) -> Result<KeysMoved, Fault> {
        member::check_may_hand_over(authority)?;
        let target = self.receiver(workspace, to).await?;
        if from == target.principal {
            return Err(MemberError::SameAccount.into());
        }
        let (kind, id) = principal_columns(from);
        let values = params![kind, id, workspace.number.0, KEYS_LIMIT];
        let rows = self.group.transaction.query(sql::KEYS_OF, values).await?;
        let keys = each(&rows, |row| Ok(KeyId::from_bytes(bytes(row, 0)?)))?;
        self.group.learn_keys(&keys).await?;
        member::check_key_count(keys.len())?;
        let mut moved = KeysMoved::default();
        for key in keys {
            self.move_key(draft, workspace, key, &target, authority, &mut moved).await?;
        }
        Ok(moved)
    }

    async fn move_key(
        &mut self,
        draft: &mut Draft,
        workspace: &Workspace,
        key: KeyId,
        target: &Membership,
        authority: &Authority,
        moved: &mut KeysMoved,
    ) -> Result<(), Fault> {
        let key = self.group.key(key).await?;
        let key = key.filter(|key| key.workspace_number == workspace.number).ok_or(KeyError::NotFound)?;
        let creator_may = self.creator_may(key.created_by.membership).await?;
        let policy = workspace.policy.allowed_permissions;
        let done = member::hand_over(key, creator_may, policy, target, authority)?;
        let key = &done.key;
        if key.effect == Effect::None {
            return Ok(());
        }
        self.group.transaction.write(sql::SET_CREATOR, members::creator_params(&key.value));
        self.group.keep_key(&key.value);
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
    async fn creator_may(&mut self, number: MembershipNumber) -> Result<PermissionSet, Fault> {
        if number == MembershipNumber::OPERATOR {
            return Ok(PermissionSet::ALL);
        }
        let membership = self.membership_by_number(number).await?;
        Ok(membership.map_or(PermissionSet::EMPTY, |membership| membership.permissions()))
    }

    async fn create_key_for(
        &mut self,
        workspace: &Workspace,
        account: ServiceAccountId,
        new: NewKey,
    ) -> Result<Draft, Fault> {
        let target = self.receiver(workspace, account).await?;
        let grantable = self.context.permit.grantable();
        self.create_key(member::grant_to_account(new, &target, workspace, grantable)?).await
    }

    async fn create_account(
        &mut self,
        workspace: &Workspace,
        new: NewServiceAccount,
    ) -> Result<Draft, Fault> {
        let authority = self.authority().await?;
        let is_taken = self.is_email_taken(workspace, &new.email, new.id).await?;
        let count = self.counted(sql::COUNT_ACCOUNTS, params![workspace.number.0]).await?;
        let now = self.context.now;
        let (mut decided, mut membership) =
            member::create_service_account(new, workspace, is_taken, count, &authority, now)?;
        membership.number = MembershipNumber(self.heads.next_membership()?);
        decided.value.membership = membership.number;
        let values = installation::membership_params(&membership, workspace.number);
        self.group.transaction.write(installation_sql::INSERT_MEMBERSHIP, values);
        let values = members::insert_account_params(&decided.value, workspace.number);
        self.group.transaction.write(sql::INSERT_ACCOUNT, values);
        let mut draft = Draft::new(Outcome::Done, decided.value.id.to_string());
        let change = Change::Membership(MembershipView::from(&membership));
        let entity = EntityRef::Membership(membership.number);
        let place = Some((workspace.id, workspace.number));
        draft.record("service_account", place, &decided, entity, change);
        draft.outcome = account_outcome(decided.value, membership, KeysMoved::default());
        Ok(draft)
    }

    async fn patch_account(
        &mut self,
        workspace: &Workspace,
        id: ServiceAccountId,
        patch: ServiceAccountPatch,
    ) -> Result<Draft, Fault> {
        let authority = self.authority().await?;
        let (before, membership) = self.account(workspace, id).await?;
        let is_taken = match &patch.email {
            Some(email) => self.is_email_taken(workspace, email, id).await?,
            None => false,
        };
        let member = member::patch(&membership, patch.member, u64::MAX, &authority)?;
        let account = member::patch_service_account(&before, patch, is_taken)?;
        let mut draft = Draft::new(Outcome::Done, id.to_string());
        if account.effect != Effect::None {
            self.group.transaction.write(sql::UPDATE_ACCOUNT, members::update_account_params(&account.value));
            draft.entries.push(account_entry(&account, workspace));
        }
        self.keep_member(&mut draft, workspace, &member, None);
        draft.outcome = account_outcome(account.value, member.value, KeysMoved::default());
        Ok(draft)
    }

    async fn switch_account(
        &mut self,
        workspace: &Workspace,
        id: ServiceAccountId,
        switch: Switch,
    ) -> Result<Draft, Fault> {
        let authority = self.authority().await?;
        let (account, before) = self.account(workspace, id).await?;
        if switch == Switch::On {
            authority.check_grant(before.rights().without(before.permissions()))?;
        }
        let decided = member::switch(&before, switch, self.context.now);
        let mut draft = Draft::new(Outcome::Done, id.to_string());
        self.keep_member(&mut draft, workspace, &decided, None);
        draft.outcome = account_outcome(account, decided.value, KeysMoved::default());
        Ok(draft)
    }

    async fn delete_account(
        &mut self,
        workspace: &Workspace,
        id: ServiceAccountId,
        hand_over_to: Option<ServiceAccountId>,
    ) -> Result<Draft, Fault> {
        let authority = self.authority().await?;
        let (mut account, before) = self.account(workspace, id).await?;
        let mut decided = member::end(&before, u64::MAX, Some(&authority), self.context.now)?;
        decided.action = "service_account.deleted";
        let mut draft = self.end_member(workspace, &before, &decided, hand_over_to, &authority, None).await?;
        account.deleted_at = Some(self.context.now);
        self.group.transaction.write(sql::UPDATE_ACCOUNT, members::update_account_params(&account));
        if let Outcome::Member(MemberOutcome::Member(membership, moved)) = draft.outcome {
            draft.outcome = account_outcome(account, *membership, moved);
        }
        Ok(draft)
    }

    /// Keeps a membership after a decision, and what it means for the logs.
    fn keep_member(
        &mut self,
        draft: &mut Draft,
        workspace: &Workspace,
        decided: &Decided<Membership>,
        reason: Option<String>,
    ) {
        if decided.effect == Effect::None {
            return;
        }
        let membership = &decided.value;
        self.group.transaction.write(sql::UPDATE, members::update_params(membership));
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
    }

    pub(super) async fn membership_of(
        &mut self,
        workspace: &Workspace,
        member: Principal,
    ) -> Result<Option<Membership>, Fault> {
        let (kind, id) = principal_columns(member);
        let values = params![workspace.id.to_bytes(), kind, id];
        let row = self.group.transaction.first(sql::OF_PRINCIPAL, values).await?;
        row.as_ref().map(members::membership).transpose()
    }

    pub(super) async fn membership_by_number(
        &mut self,
        number: MembershipNumber,
    ) -> Result<Option<Membership>, Fault> {
        let values = params![vec![number.0]];
        let row = self.group.transaction.first(installation_sql::MEMBERSHIPS_BY_NUMBERS, values).await?;
        row.as_ref().map(members::membership).transpose()
    }

    /// Whether a service account other than `own` has an identity.
    async fn is_email_taken(
        &mut self,
        workspace: &Workspace,
        email: &str,
        own: ServiceAccountId,
    ) -> Result<bool, Fault> {
        let values = params![workspace.number.0, email];
        let Some(row) = self.group.transaction.first(sql::ACCOUNT_BY_EMAIL, values).await? else {
            return Ok(false);
        };
        Ok(bytes(&row, 0)? != own.to_bytes())
    }

    pub(super) async fn counted(
        &mut self,
        statement: &'static str,
        values: Vec<Param>,
    ) -> Result<u64, Fault> {
        let row = self.group.transaction.first(statement, values).await?;
        row.as_ref().map_or(Ok(0), |row| number(row, 0))
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
