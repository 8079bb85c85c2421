//! What a workspace's policy does to its keys: how long they live, from where they are used, what the workspace is called.

use keywright_domain::{
    change::{Change, KeyView, WorkspaceView},
    environment::Environment,
    ids::KeyId,
    time::{Period, Timestamp},
    verdict::{Check, Code},
    workspace::{ExpiredBy, KeyLife, RotationPolicy, WorkspaceNumber},
};
use keywright_engine::{CheckOutcome, ExplainedCheck, Moment, Verdict, VerifyRequest};
use keywright_keyformat::{KeyKind, Secret};

use crate::fixture::{Fixture, START_MS, request, secret, workspace};

const DAY_MS: i64 = 86_400_000;

fn start() -> Timestamp {
    Timestamp::from_unix_ms(START_MS)
}

/// A key that was created when the fixture's clock started, as its id says.
fn key_of_today(fixture: &Fixture) -> (KeyView, Secret) {
    let (mut key, secret) = fixture.key(1);
    let mut id = [7; 16];
    id[..6].copy_from_slice(&START_MS.to_be_bytes()[2..]);
    key.id = KeyId::from_bytes(id);
    (key.created_at, key.secrets[0].created_at) = (start(), start());
    (key, secret)
}

fn acme(life: KeyLife) -> Change {
    Change::Workspace(WorkspaceView { life, ..workspace(1, "acme", "standard") })
}

fn at(fixture: &Fixture, secret: &Secret, unix_ms: i64) -> Verdict {
    let now = Moment { wall: Timestamp::from_unix_ms(unix_ms), boot_ns: 1 };
    fixture.engine.verify_at(&request(secret), now)
}

fn quarterly() -> KeyLife {
    let rotation = RotationPolicy { production: Some(Period::Days(90)), ..RotationPolicy::default() };
    KeyLife { max_days: None, enforced_rotation: Some(rotation) }
}

#[test]
fn the_longest_life_ends_keys_that_have_no_end_of_their_own() {
    let fixture = Fixture::new();
    let (mut key, secret) = key_of_today(&fixture);
    fixture.put(&key);
    let end = START_MS + 30 * DAY_MS;
    assert_eq!(at(&fixture, &secret, end).code, Code::Valid);
    fixture.apply(acme(KeyLife { max_days: Some(30), enforced_rotation: None }));
    assert_eq!(at(&fixture, &secret, end - 1).code, Code::Valid);
    let over = at(&fixture, &secret, end);
    assert_eq!((over.code, over.expired_by), (Code::ExpiredKey, Some(ExpiredBy::MaximumLife)));
    key.expires_at = Some(Timestamp::from_unix_ms(START_MS + DAY_MS));
    fixture.put(&key);
    assert_eq!(at(&fixture, &secret, START_MS + DAY_MS - 1).code, Code::Valid);
    let over = at(&fixture, &secret, START_MS + DAY_MS);
    assert_eq!(
        (over.code, over.expired_by),
        (Code::ExpiredKey, Some(ExpiredBy::Key)),
        "the earlier end counts"
    );
    fixture.apply(acme(KeyLife::default()));
    key.expires_at = None;
    fixture.put(&key);
    assert_eq!(at(&fixture, &secret, end).code, Code::Valid, "a policy that is lifted gives the rest back");
}

#[test]
fn an_enforced_rotation_refuses_from_the_exact_moment_and_a_new_secret_helps() {
    let fixture = Fixture::new();
    let (mut key, old) = key_of_today(&fixture);
    fixture.put(&key);
    fixture.apply(acme(quarterly()));
    let due = START_MS + 90 * DAY_MS;
    assert_eq!(at(&fixture, &old, due - 1).code, Code::Valid);
    let over = at(&fixture, &old, due);
    assert_eq!((over.code, over.expired_by), (Code::ExpiredKey, Some(ExpiredBy::Rotation)));
    let new = secret(KeyKind::Live, 77);
    key.secrets[0].expires_at = Some(Timestamp::from_unix_ms(due + DAY_MS));
    let mut view = fixture.secret_view(&new, 2);
    view.created_at = Timestamp::from_unix_ms(due);
    key.secrets.push(view);
    fixture.put(&key);
    for secret in [&old, &new] {
        assert_eq!(at(&fixture, secret, due).code, Code::Valid, "the key is fresh, both secrets overlap");
    }
    assert_eq!(at(&fixture, &old, due + DAY_MS).code, Code::RevokedKey);
    assert_eq!(at(&fixture, &new, due + 90 * DAY_MS - 1).code, Code::Valid);
    assert_eq!(at(&fixture, &new, due + 90 * DAY_MS).expired_by, Some(ExpiredBy::Rotation));
    key.environment = Environment::Ci;
    fixture.put(&key);
    assert_eq!(
        at(&fixture, &new, due + 90 * DAY_MS).code,
        Code::Valid,
        "ci rotates every three months: 92 days"
    );
    assert_eq!(at(&fixture, &new, due + 93 * DAY_MS).code, Code::ExpiredKey);
}

#[test]
fn explain_names_the_check_and_the_key_of_another_workspace_is_left_alone() {
    let fixture = Fixture::new();
    let (key, secret) = key_of_today(&fixture);
    fixture.put(&key);
    fixture.apply(acme(quarterly()));
    let now = Moment { wall: Timestamp::from_unix_ms(START_MS + 90 * DAY_MS), boot_ns: 1 };
    let verdict = fixture.engine.verify_at(&request(&secret), now);
    let checks = fixture.engine.explain(&request(&secret), now, &verdict);
    let refused: Vec<_> =
        checks.iter().filter(|(_, outcome)| matches!(outcome, CheckOutcome::Refused(_))).collect();
    let rotation = (ExplainedCheck::Key(Check::Rotation), CheckOutcome::Refused(Code::ExpiredKey));
    assert_eq!(refused, [&rotation]);
    fixture.put(&KeyView { workspace: WorkspaceNumber(2), ..key });
    assert_eq!(fixture.engine.verify_at(&request(&secret), now).code, Code::Valid);
}

#[test]
fn the_workspaces_networks_narrow_the_keys_own() {
    let fixture = Fixture::new();
    let (mut key, secret) = key_of_today(&fixture);
    fixture.put(&key);
    let code = |address: Option<&str>| {
        let client = address.map(|text| text.parse().unwrap());
        fixture.engine.verify(&VerifyRequest { client, ..request(&secret) }).code
    };
    let networks = |text: &str| vec![text.parse().unwrap()];
    let narrowed = WorkspaceView { networks: networks("10.0.0.0/8"), ..workspace(1, "acme", "standard") };
    fixture.apply(Change::Workspace(narrowed.clone()));
    assert_eq!(code(Some("10.1.2.3")), Code::Valid);
    assert_eq!([code(Some("192.0.2.1")), code(None)], [Code::IpNotAllowed; 2]);
    key.networks = networks("10.1.0.0/16");
    fixture.put(&key);
    assert_eq!([code(Some("10.1.2.3")), code(Some("10.2.0.1"))], [Code::Valid, Code::IpNotAllowed]);
    key.networks = networks("192.0.2.0/24");
    fixture.put(&key);
    assert_eq!([code(Some("10.1.2.3")), code(Some("192.0.2.1"))], [Code::IpNotAllowed; 2]);
    fixture.apply(Change::Workspace(WorkspaceView { networks: Vec::new(), ..narrowed }));
    assert_eq!(code(Some("192.0.2.1")), Code::Valid);
}

#[test]
fn a_workspace_answers_to_the_slugs_that_it_had() {
    let fixture = Fixture::new();
    let (key, secret) = key_of_today(&fixture);
    fixture.put(&key);
    let code =
        |slug| fixture.engine.verify(&VerifyRequest { workspace: Some(slug), ..request(&secret) }).code;
    let renamed = WorkspaceView {
        former_slugs: vec!["acme".to_owned(), "acme-2".to_owned()],
        ..workspace(1, "zeta", "standard")
    };
    fixture.apply(Change::Workspace(renamed));
    for slug in ["zeta", "acme", "acme-2"] {
        assert_eq!(code(slug), Code::Valid, "{slug}");
        assert_eq!(fixture.engine.workspace_by_slug(slug).unwrap().0, WorkspaceNumber(1));
        assert!(fixture.engine.is_called(WorkspaceNumber(1), slug));
    }
    assert_eq!(code("other"), Code::WrongWorkspace);
    assert_eq!(fixture.engine.workspace_slug(WorkspaceNumber(1)), Some("zeta"));
}

#[test]
fn nothing_of_a_removed_workspace_stays() {
    let fixture = Fixture::new();
    let (key, secret) = key_of_today(&fixture);
    fixture.put(&key);
    fixture.apply(Change::KeyRemoved(key.number));
    fixture.apply(Change::WorkspaceRemoved(WorkspaceNumber(1)));
    assert_eq!(fixture.verify(&secret).code, Code::InvalidKey);
    assert_eq!(fixture.engine.workspace_by_slug("acme"), None);
    assert_eq!(fixture.engine.workspace_slug(WorkspaceNumber(1)), None);
    fixture.apply(Change::Workspace(workspace(3, "acme", "standard")));
    assert_eq!(fixture.engine.workspace_by_slug("acme").unwrap().0, WorkspaceNumber(3), "the slug is free");
}
