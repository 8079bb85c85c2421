use proptest::prelude::*;

use super::*;
use crate::{
    environment::Environment,
    ids::{OperatorId, SecretId},
    key::{self, ApiKey, Effect, KeyError, NewSecret, SecretDigest},
    permission::Builtin,
    permit::{Actor, Permit, authorize},
    principal::Creator,
    time::Timestamp,
    workspace::{Slug, Workspace, WorkspaceNumber, WorkspacePolicy},
};

const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);
const NAMED: PermissionSet = PermissionSet::from_words([0x3fff, 0, 0, 0]);
const READ: PermissionSet = PermissionSet::EMPTY.with(Builtin::PromptsRead.bit());

fn workspace() -> Workspace {
    Workspace {
        number: WorkspaceNumber(1),
        id: WorkspaceId::from_bytes([1; 16]),
        slug: Slug::parse("acme").unwrap(),
        name: "Acme".to_owned(),
        plan: "standard".to_owned(),
        policy: WorkspacePolicy::default(),
        suspended_at: None,
        deletion: None,
        former_slugs: Vec::new(),
        created_at: NOW,
    }
}

fn member(role: Role, narrowed_to: Option<PermissionSet>) -> Membership {
    Membership {
        number: MembershipNumber(7),
        workspace: workspace().id,
        principal: Principal::User(UserId::from_bytes([7; 16])),
        role,
        narrowed_to,
        created_at: NOW,
        disabled_at: None,
        ended_at: None,
    }
}

fn permit_of_key(permissions: PermissionSet) -> Permit {
    let member = member(Role::Admin, None);
    let actor = Actor::Key {
        key: KeyId::from_bytes([2; 16]),
        workspace: workspace().id,
        creator: Creator { principal: member.principal, membership: member.number },
        permissions,
    };
    authorize(actor, Action::WriteMembers, Some(workspace().id)).unwrap()
}

fn authority(acting: &Membership, permissions: PermissionSet) -> Authority {
    Authority::of(&permit_of_key(permissions), Some(acting), NAMED).unwrap()
}

fn new_account() -> NewServiceAccount {
    NewServiceAccount {
        id: ServiceAccountId::from_bytes([3; 16]),
        name: "api".to_owned(),
        email: "api@company.com".to_owned(),
        purpose: None,
        owning_team: None,
        role: Role::Member,
        narrowed_to: Some(READ),
        created_by: Principal::Operator(OperatorId::from_bytes([9; 16])),
    }
}

#[test]
fn a_key_acts_like_its_creator_if_it_holds_all_that_has_a_name() {
    let admin = member(Role::Admin, None);
    assert_eq!(authority(&admin, NAMED).grantable(), Role::Admin.permissions());
    let lacking = NAMED.without(READ);
    assert_eq!(authority(&admin, lacking).grantable(), lacking.intersection(Role::Admin.permissions()));
    let narrowed = member(Role::Admin, Some(READ.with(Builtin::MembersWrite.bit())));
    assert_eq!(authority(&narrowed, NAMED).grantable(), narrowed.permissions(), "as narrow as its creator");
    for gone in [
        Membership { ended_at: Some(NOW), ..admin.clone() },
        Membership { disabled_at: Some(NOW), ..admin.clone() },
    ] {
        let answer = Authority::of(&permit_of_key(NAMED), Some(&gone), NAMED);
        assert_eq!(answer, Err(MemberError::CallerLeft));
    }
    assert_eq!(Authority::of(&permit_of_key(NAMED), None, NAMED), Err(MemberError::CallerLeft));
}

#[test]
fn a_lower_role_takes_away_and_a_higher_one_does_not() {
    let owner = authority(&member(Role::Owner, None), NAMED);
    let to = |role| MemberPatch { role: Some(role), narrowed_to: None };
    for (before, after, effect) in [
        (Role::Viewer, Role::Member, Effect::Loosening),
        (Role::Member, Role::Viewer, Effect::Restricting),
        // Of permissions alone, nothing is lost. What is lost is the rank.
        (Role::Owner, Role::Admin, Effect::Restricting),
        (Role::Admin, Role::Owner, Effect::Loosening),
        (Role::Admin, Role::Admin, Effect::None),
    ] {
        let done = patch(&member(before, None), to(after), 2, &owner).unwrap();
        assert_eq!(done.effect, effect, "{before:?} to {after:?}");
    }
    assert_eq!(
        patch(&member(Role::Owner, None), to(Role::Admin), 1, &owner).unwrap_err(),
        MemberError::LastOwner
    );
    assert_eq!(end(&member(Role::Owner, None), 1, None, NOW).unwrap_err(), MemberError::LastOwner);
    assert!(end(&member(Role::Owner, None), 2, None, NOW).is_ok());
}

#[test]
fn there_are_so_many_service_accounts_and_no_more() {
    let owner = authority(&member(Role::Owner, None), NAMED);
    let create = |count| create_service_account(new_account(), &workspace(), false, count, &owner, NOW);
    assert!(create(caps::SERVICE_ACCOUNTS_MAX - 1).is_ok());
    assert_eq!(create(caps::SERVICE_ACCOUNTS_MAX).unwrap_err(), MemberError::TooMany);
    let taken = create_service_account(new_account(), &workspace(), true, 0, &owner, NOW);
    assert_eq!(taken.unwrap_err(), MemberError::EmailTaken);
}

#[test]
fn so_many_keys_are_handed_over_at_once_and_no_more() {
    assert_eq!(check_key_count(caps::HAND_OVER_MAX), Ok(()));
    assert_eq!(check_key_count(caps::HAND_OVER_MAX + 1), Err(MemberError::TooManyKeys));
    let handed = |id: usize| {
        let account = Membership {
            principal: Principal::ServiceAccount(ServiceAccountId::from_bytes([3; 16])),
            ..member(Role::Admin, Some(PermissionSet::EMPTY))
        };
        let authority = authority(&member(Role::Owner, None), NAMED);
        let mut key = key(READ);
        key.id = KeyId::from_bytes(u128::try_from(id).unwrap().to_be_bytes());
        hand_over(key, PermissionSet::ALL, PermissionSet::ALL, &account, &authority).unwrap()
    };
    let mut moved = KeysMoved::default();
    (0..=caps::SHRUNK_KEYS_SHOWN).for_each(|id| moved.add(&handed(id)));
    assert_eq!(moved.shrunk.len(), caps::SHRUNK_KEYS_SHOWN);
    assert_eq!(moved.handed_over, u64::try_from(caps::SHRUNK_KEYS_SHOWN + 1).unwrap());
}

#[test]
fn whoever_makes_no_keys_keeps_none_alive() {
    let admin = member(Role::Admin, None);
    assert_eq!(check_may_hand_over(&authority(&admin, NAMED)), Ok(()));
    let without = NAMED.without(PermissionSet::EMPTY.with(Builtin::KeysWrite.bit()));
    assert!(matches!(check_may_hand_over(&authority(&admin, without)), Err(MemberError::Escalation(_))));
}

fn key(permissions: PermissionSet) -> ApiKey {
    let operator = Actor::Operator(OperatorId::from_bytes([9; 16]));
    let permit = authorize(operator, Action::WriteKeys, Some(workspace().id)).unwrap();
    let secret = keywright_keyformat::Secret::generate(keywright_keyformat::KeyKind::Live, None, |bytes| {
        bytes.fill(5);
    });
    let member = member(Role::Admin, None);
    let new = NewKey {
        id: KeyId::from_bytes([4; 16]),
        secret: NewSecret {
            id: SecretId::from_bytes([4; 16]),
            locator: secret.locator(),
            hint: secret.hint().to_string(),
            digest: SecretDigest { pepper: 1, bytes: [0; 32] },
        },
        name: "web".to_owned(),
        purpose: None,
        environment: Environment::Production,
        permissions: Some(permissions),
        created_by: Creator { principal: member.principal, membership: member.number },
        expires_at: None,
        limits: None,
        networks: Vec::new(),
        external_id: None,
        metadata: "{}".to_owned(),
    };
    key::create(new, &workspace(), 0, &permit, NOW).unwrap().key
}

fn set(words: u64) -> PermissionSet {
    PermissionSet::from_words([words, 0, 0, 0])
}

proptest! {
    #[test]
    fn nobody_ever_gives_more_than_they_have(own: u16, before: u16, asked: u16, role in 0_u8..4, from in 0_u8..4) {
        let acting = member(Role::Admin, Some(set(own.into())));
        let authority = authority(&acting, NAMED);
        let role = Role::from_u8(role).unwrap();
        let old = member(Role::from_u8(from).unwrap(), Some(set(before.into())));
        let wanted = MemberPatch { role: Some(role), narrowed_to: Some(Some(set(asked.into()))) };
        if let Ok(done) = patch(&old, wanted, 2, &authority) {
            let gained = done.value.rights().without(old.rights());
            prop_assert!(gained.is_subset(acting.permissions()));
            prop_assert!(done.value.rights().is_subset(role.permissions()));
            prop_assert!(old.role != Role::Owner && role != Role::Owner);
        }
    }

    #[test]
    fn a_key_that_is_handed_over_has_no_more_than_both_sides(key_may: u16, creator: u16, account: u16, own: u16) {
        let authority = authority(&member(Role::Admin, Some(set(own.into()))), NAMED);
        let to = Membership {
            principal: Principal::ServiceAccount(ServiceAccountId::from_bytes([3; 16])),
            ..member(Role::Admin, Some(set(account.into())))
        };
        let key = key(set(key_may.into()));
        let (most, before) = (key.permissions, key.permissions.intersection(set(creator.into())));
        match hand_over(key, set(creator.into()), PermissionSet::ALL, &to, &authority) {
            Ok(done) => {
                let after = most.intersection(to.permissions());
                prop_assert!(after.without(before).is_subset(authority.grantable()));
                prop_assert_eq!(done.lost, before.without(after));
                prop_assert_eq!(done.key.effect == Effect::Restricting, !done.lost.is_empty());
            }
            Err(error) => {
                let gained = most.intersection(to.permissions()).without(before);
                prop_assert_eq!(error, KeyError::Escalation(gained.without(authority.grantable())));
            }
        }
    }
}
