//! Members, service accounts, and what becomes of keys.

use std::sync::Arc;

use keywright_domain::{
    command::{Command, CommandError, Committed, Outcome},
    ids::{KeyId, OperatorId, ServiceAccountId, UserId},
    key::{ApiKey, KeyChange, KeyError, NewKey},
    member::{
        KeysMoved, MemberCommand, MemberError, MemberOutcome, MemberPatch, MemberQuery, NewServiceAccount,
        ServiceAccount, ServiceAccountPatch, Switch,
    },
    permission::{Builtin, PermissionSet, Role},
    permit::{Actor, authorize},
    principal::{Creator, Membership, MembershipNumber, Principal},
    query::KeyFilter,
    store::Store,
};

use crate::{Installation, Samples, installation::key_of};

const READ: PermissionSet = PermissionSet::EMPTY.with(Builtin::PromptsRead.bit());
const LIST: PermissionSet = PermissionSet::EMPTY.with(Builtin::PromptsList.bit());

impl<S: Store + ?Sized> Installation<S> {
    /// Changes the members of the first workspace as the operator.
    async fn on_members(&self, command: MemberCommand) -> Result<Committed, CommandError> {
        let permit = Samples::permit(command.needs(), Some(self.workspace.id));
        self.store.execute(self.samples.context(permit), Command::Member(command)).await
    }

    /// The same as a key of this member that holds `permissions`.
    async fn as_member(
        &self,
        member: &Membership,
        permissions: PermissionSet,
        command: MemberCommand,
    ) -> Result<Committed, CommandError> {
        let actor = Actor::Key {
            key: KeyId::from_bytes([1; 16]),
            workspace: self.workspace.id,
            creator: creator(member),
            permissions,
        };
        let permit = authorize(actor, command.needs(), Some(self.workspace.id)).unwrap();
        self.store.execute(self.samples.context(permit), Command::Member(command)).await
    }

    async fn join(&self, role: Role) -> Membership {
        let command = Command::CreateMember { user: self.samples.user(), workspace: self.workspace.id, role };
        match self.operate(command).await.unwrap().outcome {
            Outcome::Membership(membership) => *membership,
            other => panic!("another outcome: {other:?}"),
        }
    }

    async fn key_of_member(&self, member: &Membership, permissions: PermissionSet) -> ApiKey {
        let new = self.samples.new_key("worker");
        self.create(NewKey { created_by: creator(member), permissions: Some(permissions), ..new }).await
    }

    async fn account(&self, email: &str, permissions: PermissionSet) -> (ServiceAccount, Membership) {
        let new = self.new_account(email, permissions);
        let created = self.on_members(MemberCommand::CreateServiceAccount(Box::new(new))).await.unwrap();
        account_of(created).0
    }

    fn new_account(&self, email: &str, permissions: PermissionSet) -> NewServiceAccount {
        NewServiceAccount {
            id: ServiceAccountId::generate(Samples::NOW, self.samples.entropy()),
            name: "api-production".to_owned(),
            email: email.to_owned(),
            purpose: Some("The public interface".to_owned()),
            owning_team: Some("platform".to_owned()),
            role: Role::Admin,
            narrowed_to: Some(permissions),
            created_by: Principal::Operator(OperatorId::from_bytes([7; 16])),
        }
    }

    fn members_query(&self, role: Option<Role>, after: Option<MembershipNumber>, limit: u32) -> MemberQuery {
        MemberQuery { workspace: self.workspace.id, role, after, limit }
    }
}

pub(crate) fn creator(member: &Membership) -> Creator {
    Creator { principal: member.principal, membership: member.number }
}

fn user_of(member: &Membership) -> UserId {
    match member.principal {
        Principal::User(user) => user,
        other => panic!("not a person: {other:?}"),
    }
}

fn member_of(committed: Committed) -> (Membership, KeysMoved) {
    match committed.outcome {
        Outcome::Member(MemberOutcome::Member(membership, moved)) => (*membership, moved),
        other => panic!("another outcome: {other:?}"),
    }
}

fn account_of(committed: Committed) -> ((ServiceAccount, Membership), KeysMoved) {
    match committed.outcome {
        Outcome::Member(MemberOutcome::ServiceAccount(account, membership, moved)) => {
            ((*account, *membership), moved)
        }
        other => panic!("another outcome: {other:?}"),
    }
}

fn refused(answer: Result<Committed, CommandError>) -> MemberError {
    match answer.unwrap_err() {
        CommandError::Member(error) => error,
        other => panic!("another refusal: {other}"),
    }
}

fn to_role(member: &Membership, role: Role) -> MemberCommand {
    let patch = MemberPatch { role: Some(role), narrowed_to: None };
    MemberCommand::Patch { user: user_of(member), patch }
}

fn removal(member: &Membership, hand_over_to: Option<ServiceAccountId>) -> MemberCommand {
    MemberCommand::Remove { user: user_of(member), hand_over_to, reason: Some("left".to_owned()) }
}

/// Roles and permissions change, in lists and in the verification state; what takes away says so.
pub async fn roles_and_permissions<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let member = installation.join(Role::Viewer).await;
    let raised = installation.on_members(to_role(&member, Role::Admin)).await.unwrap();
    assert!(!raised.restricting);
    let patch = MemberPatch { role: None, narrowed_to: Some(Some(READ)) };
    let narrow = MemberCommand::Patch { user: user_of(&member), patch };
    let narrowed = installation.on_members(narrow.clone()).await.unwrap();
    assert!(narrowed.restricting);
    let sequence = narrowed.sequence;
    let (narrowed, _) = member_of(narrowed);
    assert_eq!(
        (narrowed.role, narrowed.narrowed_to, narrowed.permissions()),
        (Role::Admin, Some(READ), READ)
    );
    let again = installation.on_members(narrow).await.unwrap();
    assert_eq!((again.restricting, again.sequence), (false, sequence));
    let workspace = installation.workspace.id;
    assert_eq!(store.membership(workspace, member.principal).await.unwrap(), Some(narrowed.clone()));
    let (_, state) = installation.load().await;
    assert_eq!(state.memberships[&member.number.0].permissions, READ);

    let page = store.members(installation.members_query(None, None, 1)).await.unwrap();
    assert_eq!((page.items, page.has_more), (vec![installation.owner.clone()], true));
    let after = Some(installation.owner.number);
    let page = store.members(installation.members_query(None, after, 1)).await.unwrap();
    assert_eq!((page.items, page.has_more), (vec![narrowed.clone()], false));
    let page = store.members(installation.members_query(Some(Role::Admin), None, 10)).await.unwrap();
    assert_eq!(page.items, [narrowed]);
    let people = store.people(vec![user_of(&member), UserId::from_bytes([9; 16])]).await.unwrap();
    assert_eq!(people.len(), 1);
    assert_eq!(people[&user_of(&member)].email, format!("{}@example.com", user_of(&member)));

    let beyond = MemberPatch { role: Some(Role::Viewer), narrowed_to: Some(Some(PermissionSet::ALL)) };
    let beyond = MemberCommand::Patch { user: user_of(&member), patch: beyond };
    assert!(matches!(refused(installation.on_members(beyond).await), MemberError::NotInRole(_)));
    let nobody = to_role(
        &Membership { principal: Principal::User(UserId::from_bytes([9; 16])), ..member },
        Role::Admin,
    );
    assert_eq!(refused(installation.on_members(nobody).await), MemberError::NotFound);
}

/// There is always an Owner, and ownership passes on in one step.
pub async fn ownership<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let owner = installation.owner.clone();
    let admin = installation.join(Role::Admin).await;
    let before = installation.load().await;
    for command in [to_role(&owner, Role::Admin), removal(&owner, None)] {
        assert_eq!(refused(installation.on_members(command).await), MemberError::LastOwner);
    }
    let by_admin = |command| installation.as_member(&admin, PermissionSet::ALL, command);
    for command in [to_role(&admin, Role::Owner), to_role(&owner, Role::Viewer), removal(&owner, None)] {
        assert_eq!(refused(by_admin(command).await), MemberError::OwnerOnly);
    }
    let transfer = |from, to| MemberCommand::TransferOwnership { from, to };
    assert_eq!(refused(by_admin(transfer(None, user_of(&admin))).await), MemberError::OwnerOnly);
    let as_owner = |command| installation.as_member(&owner, PermissionSet::ALL, command);
    assert_eq!(refused(as_owner(transfer(None, user_of(&owner))).await), MemberError::AlreadyOwner);
    assert_eq!(before, installation.load().await, "refusals change nothing");

    let committed = as_owner(transfer(None, user_of(&admin))).await.unwrap();
    let Outcome::Member(MemberOutcome::Transferred { from, to }) = committed.outcome else {
        panic!("another outcome")
    };
    assert_eq!((from.principal, from.role), (owner.principal, Role::Admin));
    assert_eq!((to.principal, to.role), (admin.principal, Role::Owner));
    let all = store.memberships(installation.workspace.id).await.unwrap();
    assert_eq!(all, [*from, *to]);
    assert_eq!(refused(as_owner(to_role(&admin, Role::Viewer)).await), MemberError::OwnerOnly);
    let named = transfer(Some(user_of(&admin)), user_of(&owner));
    assert!(installation.on_members(named).await.is_ok(), "the operator names who steps back");
}

/// What whoever acts may give is looked up in the transaction.
pub async fn nobody_gives_more_than_they_have<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(store).await;
    let (admin, other) = (installation.join(Role::Admin).await, installation.join(Role::Viewer).await);
    let write = PermissionSet::EMPTY.with(Builtin::MembersWrite.bit());
    let weak = write.union(READ);
    let by_weak_key = |command| installation.as_member(&admin, weak, command);
    let refusal = refused(by_weak_key(to_role(&other, Role::Admin)).await);
    assert!(matches!(refusal, MemberError::Escalation(_)), "{refusal}");
    let account = |permissions| {
        MemberCommand::CreateServiceAccount(Box::new(installation.new_account("a@b", permissions)))
    };
    assert_eq!(refused(by_weak_key(account(READ.union(LIST))).await), MemberError::Escalation(LIST));
    assert!(by_weak_key(account(READ)).await.is_ok());
    // A permit that was right when the call came in.
    installation.on_members(to_role(&admin, Role::Viewer)).await.unwrap();
    let refusal =
        refused(installation.as_member(&admin, PermissionSet::ALL, to_role(&other, Role::Admin)).await);
    assert!(matches!(refusal, MemberError::Escalation(_)), "{refusal}");
    installation.on_members(removal(&admin, None)).await.unwrap();
    let refusal = refused(by_weak_key(to_role(&other, Role::Viewer)).await);
    assert_eq!(refusal, MemberError::CallerLeft);
}

/// A membership that ends takes its keys with it, unless they are handed over in the same step.
pub async fn when_a_member_leaves<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let (first, second) = (installation.join(Role::Admin).await, installation.join(Role::Admin).await);
    let lone = installation.key_of_member(&first, READ).await;
    let (kept, narrowed) = (
        installation.key_of_member(&second, READ).await,
        installation.key_of_member(&second, READ.union(LIST)).await,
    );
    let (account, membership) = installation.account("api@company.com", READ).await;

    let ended = installation.on_members(removal(&first, None)).await.unwrap();
    assert!(ended.restricting);
    let (ended, moved) = member_of(ended);
    assert_eq!((ended.ended_at, moved.stopped, moved.handed_over), (Some(Samples::NOW), 1, 0));
    let (_, state) = installation.load().await;
    let view = &state.memberships[&first.number.0];
    assert!(view.off && view.permissions.is_empty());
    assert_eq!(refused(installation.on_members(removal(&first, None)).await), MemberError::NotFound);

    let (_, moved) = member_of(installation.on_members(removal(&second, Some(account.id))).await.unwrap());
    assert_eq!((moved.stopped, moved.handed_over), (0, 2));
    assert_eq!(moved.shrunk, [(narrowed.id, LIST)]);
    let workspace = installation.workspace.id;
    for key in [&kept, &narrowed] {
        let now = store.key(workspace, key.id).await.unwrap().unwrap();
        assert_eq!(now, ApiKey { created_by: creator(&membership), ..key.clone() });
    }

    let orphaned = |orphaned| KeyFilter { orphaned: Some(orphaned), ..KeyFilter::default() };
    let page = store.keys(installation.query(orphaned(true), 10)).await.unwrap();
    assert_eq!(page.items.iter().map(|key| key.id).collect::<Vec<_>>(), [lone.id]);
    let page = store.keys(installation.query(orphaned(false), 10)).await.unwrap();
    assert_eq!(page.items.len(), 2);
    assert_eq!(store.membership(workspace, first.principal).await.unwrap(), None);
}

/// Keys go to a service account one by one, or all of a principal, also after it left.
pub async fn keys_are_handed_over<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let member = installation.join(Role::Admin).await;
    let key = installation.key_of_member(&member, READ).await;
    let revoked = installation.key_of_member(&member, READ).await;
    installation.change(revoked.id, KeyChange::Revoke { reason: None }).await.unwrap();
    let (account, membership) = installation.account("api@company.com", READ).await;
    let (other, _) = installation.account("batch@company.com", LIST).await;
    let one = |key, to| MemberCommand::HandOverKey { key, to };
    let error = installation.on_members(one(revoked.id, account.id)).await.unwrap_err();
    assert!(matches!(error, CommandError::Key(KeyError::Revoked)), "{error}");
    let error = installation.on_members(one(KeyId::from_bytes([9; 16]), account.id)).await.unwrap_err();
    assert!(matches!(error, CommandError::Key(KeyError::NotFound)), "{error}");

    let given = installation.on_members(one(key.id, account.id)).await.unwrap();
    assert!(!given.restricting, "it may do all that it could");
    let workspace = installation.workspace.id;
    let read = async || store.key(workspace, key.id).await.unwrap().unwrap();
    assert_eq!(read().await.created_by, creator(&membership));
    let sequence = installation.on_members(one(key.id, account.id)).await.unwrap().sequence;
    assert_eq!(sequence, given.sequence, "a repetition changes nothing");
    let to_less = installation.on_members(one(key.id, other.id)).await.unwrap();
    assert!(to_less.restricting);
    let renamed = KeyChange::Patch(Box::new(keywright_domain::key::KeyPatch {
        name: Some("renamed".to_owned()),
        ..Default::default()
    }));
    let renamed = key_of(installation.change(key.id, renamed).await.unwrap());
    assert_eq!(renamed.created_by, read().await.created_by, "the cache of the writer follows");

    let former = installation.key_of_member(&member, READ).await;
    installation.on_members(removal(&member, None)).await.unwrap();
    let all = MemberCommand::HandOverKeys { from: member.principal, to: account.id };
    let Outcome::Member(MemberOutcome::Keys(moved)) =
        installation.on_members(all.clone()).await.unwrap().outcome
    else {
        panic!("another outcome")
    };
    assert_eq!((moved.handed_over, moved.shrunk.len()), (1, 0));
    let former = store.key(workspace, former.id).await.unwrap().unwrap();
    assert_eq!(former.created_by, creator(&membership));
    installation
        .on_members(MemberCommand::SwitchServiceAccount { account: account.id, switch: Switch::Off })
        .await
        .unwrap();
    assert_eq!(refused(installation.on_members(all).await), MemberError::AccountDisabled);
}

/// Service accounts live as the rules say.
pub async fn service_accounts<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let workspace = installation.workspace.id;
    let (account, membership) = installation.account("api-production@company.com", READ).await;
    assert_eq!(
        store.service_account(workspace, account.id).await.unwrap(),
        Some((account.clone(), membership.clone()))
    );
    let again = installation.new_account("api-production@company.com", READ);
    let again = MemberCommand::CreateServiceAccount(Box::new(again));
    assert_eq!(refused(installation.on_members(again.clone()).await), MemberError::EmailTaken);
    let (second, _) = installation.account("batch@company.com", READ).await;
    let page = store.service_accounts(installation.members_query(None, None, 1)).await.unwrap();
    assert_eq!((page.items[0].0.id, page.has_more), (account.id, true));

    let key = MemberCommand::CreateKeyFor {
        account: account.id,
        new: Box::new(installation.samples.new_key("web")),
    };
    let key = key_of(installation.on_members(key).await.unwrap());
    assert_eq!((key.created_by, key.permissions), (creator(&membership), READ), "defaults are cut");
    let mut greedy = installation.samples.new_key("web");
    greedy.permissions = Some(READ.union(LIST));
    let greedy = MemberCommand::CreateKeyFor { account: account.id, new: Box::new(greedy) };
    let error = installation.on_members(greedy).await.unwrap_err();
    assert!(matches!(error, CommandError::Key(KeyError::Escalation(LIST))), "{error}");

    let patch = |patch| MemberCommand::PatchServiceAccount { account: account.id, patch: Box::new(patch) };
    let describe = ServiceAccountPatch { owning_team: Some(None), ..ServiceAccountPatch::default() };
    let described = installation.on_members(patch(describe)).await.unwrap();
    assert!(!described.restricting);
    assert_eq!(account_of(described).0.0.owning_team, None);
    let taken = ServiceAccountPatch { email: Some(second.email), ..ServiceAccountPatch::default() };
    assert_eq!(refused(installation.on_members(patch(taken)).await), MemberError::EmailTaken);
    let owner = MemberPatch { role: Some(Role::Owner), narrowed_to: None };
    let owner = ServiceAccountPatch { member: owner, ..ServiceAccountPatch::default() };
    assert_eq!(refused(installation.on_members(patch(owner)).await), MemberError::OwnerIsAPerson);

    let switch = |switch| MemberCommand::SwitchServiceAccount { account: account.id, switch };
    assert!(installation.on_members(switch(Switch::Off)).await.unwrap().restricting);
    assert!(installation.load().await.1.memberships[&membership.number.0].off);
    assert!(!installation.on_members(switch(Switch::Off)).await.unwrap().restricting);
    assert!(!installation.on_members(switch(Switch::On)).await.unwrap().restricting);
    assert!(!installation.load().await.1.memberships[&membership.number.0].off);

    let delete = MemberCommand::DeleteServiceAccount { account: account.id, hand_over_to: Some(second.id) };
    let (_, moved) = account_of(installation.on_members(delete.clone()).await.unwrap());
    assert_eq!((moved.handed_over, moved.stopped), (1, 0));
    assert_eq!(store.service_account(workspace, account.id).await.unwrap(), None);
    assert_eq!(refused(installation.on_members(delete).await), MemberError::NoServiceAccount);
    assert!(installation.on_members(again).await.is_ok(), "the identity is free again");
    assert_eq!(store.members(installation.members_query(None, None, 10)).await.unwrap().items.len(), 1);
}
