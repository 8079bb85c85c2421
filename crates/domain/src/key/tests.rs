//! Every change of a key, its refusals, and laws that hold over random sequences of changes.

use keywright_keyformat::Locator;
use proptest::prelude::*;

use super::*;
use crate::{
    ids::{OperatorId, UserId},
    permission::Builtin,
    permit::{Action, Actor, Permit, authorize},
    principal::{MembershipNumber, Principal},
    workspace::{IdleAction, RotationMode, RotationPolicy, Slug, WorkspacePolicy},
};

const NOW: Timestamp = Timestamp::from_unix_ms(1_700_000_000_000);

fn workspace() -> Workspace {
    Workspace {
        number: WorkspaceNumber(1),
        id: WorkspaceId::from_bytes([1; 16]),
        slug: Slug::parse("acme").unwrap(),
        name: "Acme".to_owned(),
        plan: "standard".to_owned(),
        policy: WorkspacePolicy::default(),
        suspended_at: None,
        created_at: NOW,
        deletion: None,
        former_slugs: Vec::new(),
    }
}

fn creator() -> Creator {
    Creator { principal: Principal::User(UserId::from_bytes([5; 16])), membership: MembershipNumber(1) }
}

fn operator() -> Permit {
    let actor = Actor::Operator(OperatorId::from_bytes([9; 16]));
    authorize(actor, Action::WriteKeys, Some(workspace().id)).unwrap()
}

fn holding(permissions: PermissionSet) -> Permit {
    let key = KeyId::from_bytes([8; 16]);
    let permissions = permissions.with(Builtin::KeysWrite.bit());
    let actor = Actor::Key { key, workspace: workspace().id, creator: creator(), permissions };
    authorize(actor, Action::WriteKeys, Some(workspace().id)).unwrap()
}

fn secret(number: u8) -> NewSecret {
    let mut locator = *b"Locator00000";
    locator[11] = b'a' + number % 26;
    locator[10] = b'a' + number / 26;
    NewSecret {
        id: SecretId::from_bytes([number; 16]),
        locator: Locator::parse(std::str::from_utf8(&locator).unwrap()).unwrap(),
        hint: format!("hint {number}"),
        digest: SecretDigest { pepper: 1, bytes: [number; 32] },
    }
}

fn new_key() -> NewKey {
    NewKey {
        id: KeyId::from_bytes([2; 16]),
        secret: secret(0),
        name: "production-web-app".to_owned(),
        purpose: None,
        environment: Environment::Production,
        permissions: None,
        created_by: creator(),
        expires_at: None,
        limits: None,
        networks: Vec::new(),
        external_id: None,
        metadata: "{}".to_owned(),
    }
}

fn create_with(new: NewKey) -> Result<ApiKey, KeyError> {
    create(new, &workspace(), 0, &operator(), NOW).map(|transition| transition.key)
}

fn key() -> ApiKey {
    create_with(new_key()).unwrap()
}

fn apply(key: ApiKey, change: KeyChange, now: Timestamp) -> Result<Transition, KeyError> {
    transition(key, change, &workspace(), &operator(), now)
}

fn live(key: &ApiKey, now: Timestamp) -> Vec<u16> {
    key.live_secrets(now).map(|secret| secret.ordinal).collect()
}

fn rotate(number: u8, overlap_seconds: u32) -> KeyChange {
    KeyChange::Rotate { secret: secret(number), overlap_seconds: Some(overlap_seconds) }
}

fn refused_field(result: Result<ApiKey, KeyError>) -> &'static str {
    match result {
        Err(KeyError::Field { field, .. }) => field,
        other => panic!("expected a refused field, got {other:?}"),
    }
}

#[test]
fn a_new_key_has_the_default_permissions_and_one_secret() {
    let key = key();
    assert_eq!(key.permissions, Builtin::DEFAULT);
    assert_eq!(live(&key, NOW), [1]);
    assert_eq!(key.status(NOW), KeyStatus::Active);
    assert_eq!(key.rotation_due_at(&workspace()), Some(NOW.plus_seconds(90 * 86_400)));
}

#[test]
fn both_sides_of_the_limits_on_texts() {
    let text = |count: usize| "ü".repeat(count);
    assert!(create_with(NewKey { name: text(64), ..new_key() }).is_ok());
    for name in [String::new(), text(65), " ".to_owned(), "a\nb".to_owned()] {
        assert_eq!(refused_field(create_with(NewKey { name, ..new_key() })), "name");
    }
    assert!(create_with(NewKey { purpose: Some(text(500)), ..new_key() }).is_ok());
    assert_eq!(refused_field(create_with(NewKey { purpose: Some(text(501)), ..new_key() })), "purpose");
    assert!(create_with(NewKey { external_id: Some(text(128)), ..new_key() }).is_ok());
    assert_eq!(
        refused_field(create_with(NewKey { external_id: Some(text(129)), ..new_key() })),
        "external_id"
    );
    let metadata = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    assert!(create_with(NewKey { metadata: metadata(4_096), ..new_key() }).is_ok());
    assert_eq!(refused_field(create_with(NewKey { metadata: metadata(4_097), ..new_key() })), "metadata");
    let networks = |count: usize| vec!["203.0.113.0/24".parse().unwrap(); count];
    assert!(create_with(NewKey { networks: networks(64), ..new_key() }).is_ok());
    assert_eq!(refused_field(create_with(NewKey { networks: networks(65), ..new_key() })), "allowed_ips");
}

#[test]
fn both_sides_of_the_limits_on_expiry() {
    let with =
        |seconds: i64| create_with(NewKey { expires_at: Some(NOW.plus_seconds(seconds)), ..new_key() });
    assert!(with(1).is_ok());
    assert!(with(caps::EXPIRY_SECONDS_MAX).is_ok());
    assert_eq!(refused_field(with(0)), "expires_at");
    assert_eq!(refused_field(with(caps::EXPIRY_SECONDS_MAX + 1)), "expires_at");
    let mut strict = workspace();
    strict.policy.max_key_days = Some(90);
    let with = |expires_at| {
        create(NewKey { expires_at, ..new_key() }, &strict, 0, &operator(), NOW).map(|made| made.key)
    };
    assert!(with(Some(NOW.plus_seconds(90 * 86_400))).is_ok());
    assert_eq!(refused_field(with(Some(NOW.plus_seconds(90 * 86_400 + 1)))), "expires_at");
    assert_eq!(refused_field(with(None)), "expires_at");
}

#[test]
fn both_sides_of_the_limit_on_the_number_of_keys() {
    let mut small = workspace();
    small.policy.max_keys = 2;
    assert!(create(new_key(), &small, 1, &operator(), NOW).is_ok());
    assert_eq!(create(new_key(), &small, 2, &operator(), NOW).unwrap_err(), KeyError::TooMany(2));
}

#[test]
fn operator_issued_workspaces_refuse_their_own_people() {
    let mut issued = workspace();
    issued.policy.self_service = false;
    let refused = create(new_key(), &issued, 0, &holding(PermissionSet::ALL), NOW);
    assert_eq!(refused.unwrap_err(), KeyError::OperatorIssued);
    assert!(create(new_key(), &issued, 0, &operator(), NOW).is_ok());
}

#[test]
fn nobody_gives_what_it_does_not_have() {
    let asked = PermissionSet::EMPTY.with(0).with(7);
    let with = |permit: &Permit| {
        create(NewKey { permissions: Some(asked), ..new_key() }, &workspace(), 0, permit, NOW)
            .map(|made| made.key)
    };
    assert_eq!(
        with(&holding(PermissionSet::EMPTY.with(0))),
        Err(KeyError::Escalation(PermissionSet::EMPTY.with(7)))
    );
    assert_eq!(with(&holding(asked)).unwrap().permissions, asked);
    let strong = with(&operator()).unwrap();
    let weak = holding(PermissionSet::EMPTY.with(0));
    let patch = KeyPatch { permissions: Some(asked.with(9)), ..KeyPatch::default() };
    let refused = transition(strong.clone(), KeyChange::Patch(Box::new(patch)), &workspace(), &weak, NOW);
    assert_eq!(refused.unwrap_err(), KeyError::Escalation(PermissionSet::EMPTY.with(9)));
    // Whoever rotates a key holds a secret of it afterwards.
    let refused = transition(strong, rotate(1, 0), &workspace(), &weak, NOW);
    assert_eq!(refused.unwrap_err(), KeyError::Escalation(PermissionSet::EMPTY.with(7)));
}

#[test]
fn the_policy_bounds_what_can_be_given() {
    let mut narrow = workspace();
    narrow.policy.allowed_permissions = PermissionSet::EMPTY.with(0);
    let asked = NewKey { permissions: Some(PermissionSet::EMPTY.with(0).with(1)), ..new_key() };
    let refused = create(asked, &narrow, 0, &operator(), NOW);
    assert_eq!(refused.unwrap_err(), KeyError::PolicyPermissions(PermissionSet::EMPTY.with(1)));
    let made = create(new_key(), &narrow, 0, &operator(), NOW).unwrap();
    assert_eq!(made.key.permissions, PermissionSet::EMPTY.with(0));
}

#[test]
fn a_rotation_overlaps_and_ends_exactly() {
    let rotated = apply(key(), rotate(1, 60), NOW).unwrap();
    assert_eq!(rotated.effect, Effect::Loosening);
    let key = rotated.key;
    let end = NOW.plus_seconds(60);
    assert_eq!(live(&key, end.plus_ms(-1)), [1, 2]);
    assert_eq!(live(&key, end), [2]);
    assert_eq!(apply(key.clone(), rotate(2, 60), end.plus_ms(-1)).unwrap_err(), KeyError::RotationInProgress);
    assert_eq!(live(&apply(key.clone(), rotate(2, 60), end).unwrap().key, end), [2, 3]);
    assert_eq!(key.primary_secret().unwrap().ordinal, 2);
}

#[test]
fn a_rotation_is_completed_or_cancelled() {
    let rotated = apply(key(), rotate(1, 60), NOW).unwrap().key;
    let completed = apply(rotated.clone(), KeyChange::CompleteRotation, NOW).unwrap();
    assert_eq!((live(&completed.key, NOW), completed.effect), (vec![2], Effect::Restricting));
    let cancelled = apply(rotated, KeyChange::CancelRotation, NOW).unwrap();
    assert_eq!((live(&cancelled.key, NOW), cancelled.effect), (vec![1], Effect::Restricting));
    assert_eq!(live(&cancelled.key, NOW.plus_seconds(1_000_000)), [1]);
    for change in [KeyChange::CompleteRotation, KeyChange::CancelRotation] {
        assert_eq!(apply(cancelled.key.clone(), change, NOW).unwrap_err(), KeyError::NoRotation);
    }
}

#[test]
fn both_sides_of_the_limit_on_the_overlap() {
    let none = apply(key(), rotate(1, 0), NOW).unwrap();
    assert_eq!((live(&none.key, NOW), none.effect), (vec![2], Effect::Restricting));
    assert!(apply(key(), rotate(1, caps::OVERLAP_SECONDS_MAX), NOW).is_ok());
    let refused = apply(key(), rotate(1, caps::OVERLAP_SECONDS_MAX + 1), NOW);
    assert!(matches!(refused, Err(KeyError::Field { field: "overlap_seconds", .. })));
    let by_policy =
        apply(key(), KeyChange::Rotate { secret: secret(1), overlap_seconds: None }, NOW).unwrap().key;
    assert_eq!(live(&by_policy, NOW.plus_seconds(48 * 3_600).plus_ms(-1)), [1, 2]);
    assert_eq!(live(&by_policy, NOW.plus_seconds(48 * 3_600)), [2]);
}

#[test]
fn disable_and_enable_are_reversible_and_repeatable() {
    let disabled = apply(key(), KeyChange::Disable, NOW).unwrap();
    assert_eq!((disabled.key.status(NOW), disabled.effect), (KeyStatus::Disabled, Effect::Restricting));
    assert_eq!(apply(disabled.key.clone(), KeyChange::Disable, NOW).unwrap().effect, Effect::None);
    let enabled = apply(disabled.key, KeyChange::Enable, NOW).unwrap();
    assert_eq!((enabled.key.status(NOW), enabled.effect), (KeyStatus::Active, Effect::Loosening));
}

#[test]
fn revocation_is_final_and_repeatable() {
    let revoked = apply(key(), KeyChange::Revoke { reason: Some("leaked".to_owned()) }, NOW).unwrap();
    assert_eq!((revoked.key.status(NOW), revoked.effect), (KeyStatus::Revoked, Effect::Restricting));
    let again = apply(
        revoked.key.clone(),
        KeyChange::Revoke { reason: Some("again".to_owned()) },
        NOW.plus_seconds(9),
    );
    let again = again.unwrap();
    assert_eq!((again.effect, &again.key.revoked), (Effect::None, &revoked.key.revoked));
    for change in [KeyChange::Enable, KeyChange::Disable, rotate(1, 60), KeyChange::Patch(Box::default())] {
        assert_eq!(apply(revoked.key.clone(), change, NOW).unwrap_err(), KeyError::Revoked);
    }
    let reason = |count| KeyChange::Revoke { reason: Some("r".repeat(count)) };
    assert!(apply(key(), reason(500), NOW).is_ok());
    assert!(matches!(apply(key(), reason(501), NOW), Err(KeyError::Field { field: "reason", .. })));
}

#[test]
fn deletion_revokes_and_hides() {
    let deleted = apply(key(), KeyChange::Delete, NOW).unwrap();
    assert_eq!((deleted.key.status(NOW), deleted.effect), (KeyStatus::Revoked, Effect::Restricting));
    assert_eq!(apply(deleted.key, KeyChange::Delete, NOW).unwrap_err(), KeyError::NotFound);
}

#[test]
fn a_compromise_ends_every_secret() {
    let rotated = apply(key(), rotate(1, 60), NOW).unwrap().key;
    let compromise = |replacement| KeyChange::Compromise {
        reason: None,
        replacement,
        incident: IncidentId::from_bytes([7; 16]),
    };
    let replaced = apply(rotated.clone(), compromise(Some(secret(2))), NOW).unwrap();
    assert_eq!((live(&replaced.key, NOW), replaced.key.status(NOW)), (vec![3], KeyStatus::Active));
    assert_eq!(replaced.incident.unwrap().key, replaced.key.id);
    let ended = apply(rotated, compromise(None), NOW).unwrap();
    assert_eq!((live(&ended.key, NOW), ended.key.status(NOW)), (vec![], KeyStatus::Revoked));
}

#[test]
fn a_patch_tells_what_it_takes_away() {
    let with = |patch: KeyPatch| apply(key(), KeyChange::Patch(Box::new(patch)), NOW).unwrap().effect;
    let restricting = [
        KeyPatch { permissions: Some(PermissionSet::EMPTY.with(0)), ..KeyPatch::default() },
        KeyPatch { networks: Some(vec!["203.0.113.0/24".parse().unwrap()]), ..KeyPatch::default() },
        KeyPatch { expires_at: Some(Some(NOW.plus_seconds(60))), ..KeyPatch::default() },
        KeyPatch { limits: Some(Some(Vec::new())), ..KeyPatch::default() },
    ];
    for patch in restricting {
        assert_eq!(with(patch.clone()), Effect::Restricting, "{patch:?}");
    }
    let loosening = KeyPatch { permissions: Some(Builtin::DEFAULT.with(9)), ..KeyPatch::default() };
    assert_eq!(with(loosening), Effect::Loosening);
    assert_eq!(
        with(KeyPatch { name: Some("production-web-app".to_owned()), ..KeyPatch::default() }),
        Effect::None
    );
}

#[test]
fn retired_secrets_are_kept_up_to_the_limit() {
    let mut key = key();
    for number in 1..=20 {
        key = apply(key, rotate(number, 0), NOW).unwrap().key;
        let retired = key.secrets.len() - 1;
        assert_eq!(retired, usize::from(number).min(caps::RETIRED_SECRETS_KEPT));
    }
    assert_eq!(live(&key, NOW), [21]);
}

#[test]
fn names_that_say_nothing_draw_a_suggestion() {
    for name in ["key1", "test", "mykey", "Key 2", "test-3"] {
        let suggestion = suggest_name(name, Environment::Staging, Some("API tests for billing service"));
        assert_eq!(suggestion.as_deref(), Some("staging-api-tests-for"), "{name}");
    }
    for name in
        ["production-web-app", "staging-api-tests", "development-jane", "Development", "Production", "CI/CD"]
    {
        assert_eq!(suggest_name(name, Environment::Ci, None), None, "{name}");
    }
}

#[test]
fn names_people_give_are_taken_as_they_are() {
    for name in ["Development", "Production", "CI/CD", "development-local", "key1", "Größe & Farbe 🎨"] {
        assert_eq!(create_with(NewKey { name: name.to_owned(), ..new_key() }).unwrap().name, name);
    }
    assert_eq!(suggest_name("development-local", Environment::Development, None), None);
}

#[test]
fn a_key_without_an_expiry_date_has_none() {
    let in_a_thousand_years = NOW.plus_seconds(1_000 * 365 * 86_400);
    assert_eq!(key().status(in_a_thousand_years), KeyStatus::Active);
    assert_eq!(live(&key(), in_a_thousand_years), [1]);
}

fn any_change() -> impl Strategy<Value = KeyChange> {
    let number = 1..200_u8;
    prop_oneof![
        3 => (number.clone(), prop_oneof![Just(0_u32), 1..100_u32]).prop_map(|(number, overlap)| rotate(number, overlap)),
        1 => Just(KeyChange::CompleteRotation),
        1 => Just(KeyChange::CancelRotation),
        1 => Just(KeyChange::Disable),
        1 => Just(KeyChange::Enable),
        1 => Just(KeyChange::Delete),
        1 => Just(KeyChange::Revoke { reason: None }),
        1 => (number, any::<bool>()).prop_map(|(number, replace)| KeyChange::Compromise {
            reason: None,
            replacement: replace.then(|| secret(number)),
            incident: IncidentId::from_bytes([7; 16]),
        }),
    ]
}

proptest! {
    #[test]
    fn laws_over_random_histories(steps in prop::collection::vec((any_change(), 0..50_i64), 1..40)) {
        let mut key = key();
        let mut now = NOW;
        let mut dead: Vec<u16> = Vec::new();
        for (change, seconds) in steps {
            now = now.plus_seconds(seconds);
            dead.extend(key.secrets.iter().filter(|secret| !secret.is_live(now)).map(|secret| secret.ordinal));
            let was_revoked = key.revoked.is_some();
            let Ok(next) = apply(key.clone(), change, now) else { continue };
            key = next.key;
            // A secret that once ended never works again, a revoked key never comes back, and there are never more
            // than two live secrets; an unrevoked key always keeps one.
            prop_assert!(key.live_secrets(now).all(|secret| !dead.contains(&secret.ordinal)));
            prop_assert!(!was_revoked || key.revoked.is_some());
            let live = key.live_secrets(now).count();
            prop_assert!(live <= 2 && (live >= 1 || key.revoked.is_some()));
            prop_assert!(key.secrets.is_sorted_by(|a, b| a.ordinal < b.ordinal));
            prop_assert_eq!(key.id, KeyId::from_bytes([2; 16]));
        }
    }
}

fn in_policy(policy: WorkspacePolicy) -> Workspace {
    Workspace { policy, ..workspace() }
}

#[test]
fn a_policy_ends_keys_that_were_made_without_an_end() {
    let day = |days: i64| NOW.plus_seconds(days * 86_400);
    let shortened = in_policy(WorkspacePolicy { max_key_days: Some(30), ..WorkspacePolicy::default() });
    let key = key();
    assert_eq!(key.ends_at(&workspace()), None);
    assert_eq!(key.ends_at(&shortened), Some(day(30)));
    assert_eq!(key.status_in(&shortened, day(30).plus_ms(-1)), KeyStatus::Active);
    assert_eq!(key.status_in(&shortened, day(30)), KeyStatus::Expired);
    assert_eq!(key.expired_by(&shortened, day(30)), Some(ExpiredBy::MaximumLife));
    let sooner = ApiKey { expires_at: Some(day(7)), ..key.clone() };
    assert_eq!(sooner.ends_at(&shortened), Some(day(7)), "the earlier end counts");
    let refused = transition(key, rotate(1, 60), &shortened, &operator(), day(30));
    assert_eq!(refused.unwrap_err(), KeyError::Expired, "a new secret would not work either");
}

#[test]
fn the_longest_life_counts_from_the_creation() {
    let day = |days: i64| NOW.plus_seconds(days * 86_400);
    let shortened = in_policy(WorkspacePolicy { max_key_days: Some(30), ..WorkspacePolicy::default() });
    let extend = |expires_at| {
        let patch = KeyPatch { expires_at: Some(expires_at), ..KeyPatch::default() };
        transition(key(), KeyChange::Patch(Box::new(patch)), &shortened, &operator(), day(20))
            .map(|done| done.key.expires_at)
    };
    assert_eq!(extend(Some(day(30))), Ok(Some(day(30))));
    for beyond in [Some(day(30).plus_ms(1)), None] {
        assert!(matches!(extend(beyond), Err(KeyError::Field { field: "expires_at", .. })), "{beyond:?}");
    }
}

#[test]
fn an_overdue_key_is_over_until_it_is_rotated() {
    let due = NOW.plus_seconds(90 * 86_400);
    let policy = |rotation_mode| WorkspacePolicy { rotation_mode, ..WorkspacePolicy::default() };
    let (warns, enforces) = (in_policy(policy(RotationMode::Warn)), in_policy(policy(RotationMode::Enforce)));
    assert_eq!(key().status_in(&warns, due), KeyStatus::Active);
    assert_eq!(key().status_in(&enforces, due.plus_ms(-1)), KeyStatus::Active);
    assert_eq!(key().expired_by(&enforces, due), Some(ExpiredBy::Rotation));
    let rotated = transition(key(), rotate(1, 60), &enforces, &operator(), due).unwrap().key;
    assert_eq!(rotated.status_in(&enforces, due), KeyStatus::Active);
    assert_eq!(rotated.ends_at(&enforces), Some(due.plus_seconds(90 * 86_400)));
    let none = RotationPolicy { production: None, ..RotationPolicy::default() };
    let without = in_policy(WorkspacePolicy { rotation: none, ..policy(RotationMode::Enforce) });
    assert_eq!(key().ends_at(&without), None);
}

#[test]
fn only_what_nobody_has_used_is_idle() {
    let day = |days: i64| NOW.plus_seconds(days * 86_400);
    let policy = WorkspacePolicy {
        idle_days: Some(30),
        idle_action: IdleAction::Disable,
        ..WorkspacePolicy::default()
    };
    let workspace = in_policy(policy);
    let disable = |key: &ApiKey, last_used, now: Timestamp| {
        let change = KeyChange::DisableIdle { unused_since: now.plus_seconds(-30 * 86_400), last_used };
        transition(key.clone(), change, &workspace, &operator(), now).unwrap()
    };
    assert!(
        key().is_idle(&workspace, None, day(30)) && !key().is_idle(&workspace, None, day(30).plus_ms(-1))
    );
    assert!(!key().is_idle(&workspace, Some(NOW.plus_ms(1)), day(30)));
    assert_eq!(disable(&key(), Some(day(30)), day(30)).effect, Effect::None, "used a moment ago");
    assert_eq!(disable(&key(), Some(NOW.plus_ms(1)), day(30)).effect, Effect::None);
    let done = disable(&key(), Some(NOW), day(30));
    assert_eq!((done.effect, done.key.disabled_at), (Effect::Restricting, Some(day(30))));
    assert!(done.reason.unwrap().starts_with("not used since 2023-11-14"), "the reason says since when");
    assert!(!done.key.is_idle(&workspace, None, day(90)), "it is off already");
    let on_again = transition(done.key, KeyChange::Enable, &workspace, &operator(), day(40)).unwrap().key;
    assert_eq!(disable(&on_again, None, day(69)).effect, Effect::None, "switched on not long ago");
    assert_eq!(disable(&on_again, None, day(70)).effect, Effect::Restricting);
    let rotated = transition(key(), rotate(1, 0), &workspace, &operator(), day(20)).unwrap().key;
    assert_eq!(disable(&rotated, None, day(49)).effect, Effect::None, "rotated not long ago");
    let flags = in_policy(WorkspacePolicy { idle_action: IdleAction::Flag, ..workspace.policy.clone() });
    let change = KeyChange::DisableIdle { unused_since: NOW, last_used: None };
    assert_eq!(transition(key(), change, &flags, &operator(), day(30)).unwrap().effect, Effect::None);
}

#[test]
fn no_key_is_created_in_a_deleted_workspace() {
    let deleted = crate::workspace::delete_workspace(&workspace(), None, NOW).unwrap().value;
    assert_eq!(create(new_key(), &deleted, 0, &operator(), NOW).unwrap_err(), KeyError::WorkspaceDeleted);
}
