//! Each code by its cause, and what comes with it.

use keywright_domain::key::KeySecret;
use keywright_domain::{
    change::{Change, MembershipView},
    environment::{Environment, Mode},
    ids::OperatorId,
    operator::OperatorCredential,
    permission::{Builtin, PermissionSet},
    permit::Actor,
    principal::{Creator, MembershipNumber, Principal},
    privacy::Collection,
    time::Timestamp,
    usage::AgentClass,
    verdict::{Check, Code},
};
use keywright_engine::{CheckOutcome, ExplainedCheck, Moment, PepperSet, VerifyRequest};
use keywright_keyformat::{KeyKind, Malformed, parse};

use crate::fixture::{
    Fixture, START_MS, key_id, membership, pepper, request, secret, user, workspace, workspace_id,
};

const AT: fn(i64) -> Option<Timestamp> = |offset_ms| Some(Timestamp::from_unix_ms(START_MS + offset_ms));

#[test]
fn a_good_key_and_what_is_known_of_it() {
    let fixture = Fixture::new();
    let (mut key, secret) = fixture.key(1);
    key.external_id = Some("cust_42".to_owned());
    key.metadata = "{\"team\":\"web\"}".to_owned();
    fixture.put(&key);
    let verdict = fixture.verify(&secret);
    assert_eq!(verdict.code, Code::Valid);
    let hit = verdict.key.unwrap();
    assert_eq!((hit.id, hit.secret_ordinal, hit.permissions), (key.id, 1, Builtin::DEFAULT));
    let mut buffer = Vec::new();
    let details = fixture.engine.details(&hit, &mut buffer).unwrap();
    assert_eq!((details.workspace, details.workspace_slug), (workspace_id(1), "acme"));
    assert_eq!((details.external_id, details.metadata), (Some("cust_42"), "{\"team\":\"web\"}"));
    assert_eq!(details.creator, key.creator);
}

#[test]
fn whoever_opted_out_is_verified_like_everybody_else() {
    let fixture = Fixture::new();
    let (key, secret) = fixture.key(1);
    fixture.put(&key);
    let asked =
        VerifyRequest { client: Some([192, 0, 2, 1].into()), agent: AgentClass::Library, ..request(&secret) };
    let before = fixture.engine.verify(&asked);
    fixture.apply(Change::Membership(MembershipView { collection: Collection::OptedOut, ..membership(1) }));
    let after = fixture.engine.verify(&asked);
    let seen = |verdict: &keywright_engine::Verdict| {
        let hit = verdict.key.unwrap();
        (verdict.code, hit.id, hit.permissions)
    };
    assert_eq!(seen(&before), seen(&after));
    assert_eq!(after.code, Code::Valid);
    let spool = fixture.engine.spool();
    spool.seal().unwrap();
    let sealed = spool.oldest_sealed().unwrap();
    let rows: Vec<_> = spool.batches(&sealed).flat_map(|batch| batch.rows).collect();
    let mut origins: Vec<_> = rows.iter().map(|row| (row.address, row.agent, row.count)).collect();
    origins.sort_by_key(|(address, ..)| *address);
    let address = Some([192, 0, 2, 1].into());
    assert_eq!(
        origins,
        [(None, AgentClass::Unknown, 1), (address, AgentClass::Library, 1)],
        "counted all the same"
    );
}

#[test]
fn texts_that_are_no_key_of_ours() {
    let fixture = Fixture::new();
    let (key, good) = fixture.key(1);
    fixture.put(&key);
    for (text, malformed) in [(&b""[..], Malformed::Empty), (b"hello", Malformed::UnknownPrefix)] {
        let verdict = fixture.engine.verify(&VerifyRequest::new(text));
        assert_eq!((verdict.code, verdict.malformed), (Code::MalformedKey, Some(malformed)));
    }
    let unknown = secret(KeyKind::Live, 99);
    assert_eq!(fixture.verify(&unknown).code, Code::InvalidKey);
    assert_eq!(fixture.verify(&secret(KeyKind::Operator, 99)).code, Code::InvalidKey);
    assert_eq!(fixture.verify(&good).code, Code::Valid);
}

#[test]
fn a_right_locator_with_a_wrong_secret_is_invalid() {
    let fixture = Fixture::new();
    let (mut key, good) = fixture.key(1);
    key.secrets[0].digest = fixture.engine.digest(b"another text");
    fixture.put(&key);
    let verdict = fixture.verify(&good);
    assert_eq!((verdict.code, verdict.key), (Code::InvalidKey, None));
}

#[test]
fn each_refusal_by_its_cause() {
    let fixture = Fixture::new();
    let (key, secret) = fixture.key(1);
    let network = "203.0.113.0/24".parse().unwrap();
    let mut cases = vec![(key.clone(), Code::Valid)];
    for (change, code) in [
        ((|key| key.revoked = true) as fn(&mut keywright_domain::change::KeyView), Code::RevokedKey),
        (|key| key.disabled = true, Code::DisabledKey),
        (|key| key.expires_at = AT(0), Code::ExpiredKey),
        (|key| key.expires_at = AT(1), Code::Valid),
        (|key| key.secrets[0].retired = true, Code::RevokedKey),
        (|key| key.secrets[0].expires_at = AT(0), Code::RevokedKey),
        (|key| key.secrets[0].expires_at = AT(1), Code::Valid),
    ] {
        let mut changed = key.clone();
        change(&mut changed);
        cases.push((changed, code));
    }
    let mut fenced = key.clone();
    fenced.networks = vec![network];
    cases.push((fenced, Code::IpNotAllowed));
    for (key, code) in cases {
        fixture.put(&key);
        let verdict = fixture.verify(&secret);
        assert_eq!(verdict.code, code);
        assert_eq!(verdict.key.unwrap().id, key.id, "the secret was right");
    }
}

#[test]
fn what_the_caller_asks_for() {
    let fixture = Fixture::new();
    let (mut key, secret) = fixture.key(1);
    key.networks = vec!["203.0.113.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    fixture.put(&key);
    let ask = VerifyRequest { client: Some("203.0.113.7".parse().unwrap()), ..request(&secret) };
    let code = |request: VerifyRequest<'_>| fixture.engine.verify(&request).code;
    assert_eq!(code(ask), Code::Valid);
    assert_eq!(code(VerifyRequest { client: Some("2001:db8::9".parse().unwrap()), ..ask }), Code::Valid);
    assert_eq!(
        code(VerifyRequest { client: Some("203.0.114.7".parse().unwrap()), ..ask }),
        Code::IpNotAllowed
    );
    assert_eq!(code(VerifyRequest { client: None, ..ask }), Code::IpNotAllowed);
    assert_eq!(code(VerifyRequest { mode: Some(Mode::Live), ..ask }), Code::Valid);
    assert_eq!(code(VerifyRequest { mode: Some(Mode::Test), ..ask }), Code::WrongEnvironment);
    assert_eq!(code(VerifyRequest { workspace: Some("acme"), ..ask }), Code::Valid);
    assert_eq!(code(VerifyRequest { workspace: Some("other"), ..ask }), Code::WrongWorkspace);
    assert_eq!(code(VerifyRequest { workspace: Some("nowhere"), ..ask }), Code::WrongWorkspace);
    let permissions = fixture.engine.resolve(["prompts:read", "prompts:list"]).unwrap();
    assert_eq!(code(VerifyRequest { permissions, ..ask }), Code::Valid);
    let permissions = fixture.engine.resolve(["keys:write"]).unwrap();
    assert_eq!(code(VerifyRequest { permissions, ..ask }), Code::InsufficientPermissions);
    assert!(fixture.engine.resolve(["no:such"]).is_err());
}

#[test]
fn the_surroundings_of_a_key() {
    let fixture = Fixture::new();
    let (key, secret) = fixture.key(1);
    fixture.put(&key);
    let read = PermissionSet::EMPTY.with(Builtin::PromptsRead.bit());
    let ask = VerifyRequest { permissions: read, ..request(&secret) };
    let code = || fixture.engine.verify(&ask).code;
    let mut member = membership(1);
    member.permissions = PermissionSet::ALL.without(read);
    fixture.apply(Change::Membership(member.clone()));
    assert_eq!(code(), Code::InsufficientPermissions, "a creator who loses a right takes it from the key");
    (member.permissions, member.off) = (PermissionSet::EMPTY, true);
    fixture.apply(Change::Membership(member));
    assert_eq!(code(), Code::DisabledKey);
    fixture.apply(Change::Membership(membership(1)));
    assert_eq!(code(), Code::Valid);
    let mut acme = workspace(1, "acme", "standard");
    acme.allowed_permissions = PermissionSet::ALL.without(read);
    fixture.apply(Change::Workspace(acme.clone()));
    assert_eq!(code(), Code::InsufficientPermissions);
    acme.suspended = true;
    fixture.apply(Change::Workspace(acme));
    assert_eq!(code(), Code::WorkspaceSuspended);
    fixture.apply(Change::Workspace(workspace(1, "acme", "no such plan")));
    assert_eq!(code(), Code::Unavailable, "limits that are not known are not ignored");
}

#[test]
fn keys_of_the_operator_have_no_member_behind_them() {
    let fixture = Fixture::new();
    let (mut key, secret) = fixture.key(1);
    let principal = Principal::Operator(OperatorId::from_bytes([5; 16]));
    key.creator = Creator { principal, membership: MembershipNumber::OPERATOR };
    key.environment = Environment::Ci;
    fixture.put(&key);
    let verdict = fixture.verify(&secret);
    assert_eq!(verdict.code, Code::Valid);
    let mut buffer = Vec::new();
    assert_eq!(fixture.engine.details(&verdict.key.unwrap(), &mut buffer).unwrap().creator, key.creator);
}

#[test]
fn both_secrets_work_during_an_overlap_and_the_old_one_ends_exactly() {
    let fixture = Fixture::new();
    let (mut key, old) = fixture.key(1);
    fixture.put(&key);
    assert_eq!(fixture.verify(&old).code, Code::Valid);
    fixture.clock.advance_ms(5);
    let new = secret(KeyKind::Live, 77);
    key.secrets[0].expires_at = AT(1_000);
    key.secrets.push(fixture.secret_view(&new, 2));
    fixture.put(&key);
    let uses = |fixture: &Fixture| {
        let uses = fixture.engine.last_used(key.number);
        uses.iter().map(|last| (last.secret_ordinal, last.at.unix_ms() - START_MS)).collect::<Vec<_>>()
    };
    assert_eq!(uses(&fixture), [(1, 0)], "the old secret's last use goes with it");
    for (secret, ordinal) in [(&old, 1), (&new, 2)] {
        let verdict = fixture.verify(secret);
        assert_eq!((verdict.code, verdict.key.unwrap().secret_ordinal), (Code::Valid, ordinal));
        assert_eq!(
            fixture
                .engine
                .locate(&parse(secret.expose().as_bytes(), None).unwrap().locator())
                .unwrap()
                .secret_ordinal,
            ordinal
        );
    }
    assert_eq!(uses(&fixture), [(2, 5), (1, 5)]);
    fixture.clock.advance_ms(994);
    assert_eq!(fixture.verify(&old).code, Code::Valid);
    fixture.clock.advance_ms(1);
    assert_eq!(fixture.verify(&old).code, Code::RevokedKey);
    assert_eq!(fixture.verify(&new).code, Code::Valid);
    assert_eq!(uses(&fixture), [(2, 1_000), (1, 999)]);
    fixture.apply(Change::KeyRemoved(key.number));
    for secret in [&old, &new] {
        assert_eq!(fixture.verify(secret).code, Code::InvalidKey);
    }
}

#[test]
fn digests_under_an_older_pepper_are_good_and_offered_for_renewal() {
    let fixture = Fixture::new();
    let (mut key, secret) = fixture.key(1);
    fixture.put(&key);
    let old = key.secrets[0].digest;
    fixture.engine.set_peppers(PepperSet::new(2, [pepper(1), pepper(2)]).unwrap());
    for _ in 0..2 {
        assert_eq!(fixture.verify(&secret).code, Code::Valid);
    }
    let redigests = fixture.engine.take_redigests();
    assert_eq!(redigests.len(), 1);
    assert_eq!((redigests[0].key, redigests[0].ordinal, redigests[0].old), (key.id, 1, old));
    key.secrets[0].digest = redigests[0].new;
    fixture.put(&key);
    assert_eq!(fixture.verify(&secret).code, Code::Valid);
    assert!(fixture.engine.take_redigests().is_empty());
    fixture.engine.set_peppers(PepperSet::new(3, [pepper(3)]).unwrap());
    assert_eq!(fixture.verify(&secret).code, Code::Unavailable, "a lost pepper locks nobody out for good");
    assert_eq!(fixture.engine.gauges().missing_peppers, 1);
}

#[test]
fn who_calls() {
    let fixture = Fixture::new();
    let (key, secret_of_key) = fixture.key(1);
    fixture.put(&key);
    let now = Moment::read(&*fixture.clock);
    let caller = fixture.engine.authenticate(&request(&secret_of_key), now).unwrap();
    let expected = Actor::Key {
        key: key_id(1),
        workspace: workspace_id(1),
        creator: key.creator,
        permissions: Builtin::DEFAULT,
    };
    assert_eq!(caller.actor, expected);
    assert_eq!(key.creator.principal, user(1));

    let operator = secret(KeyKind::Operator, 3);
    let view = fixture.secret_view(&operator, 1);
    let mut credential = OperatorCredential {
        id: OperatorId::from_bytes([6; 16]),
        name: "ci".to_owned(),
        secret: KeySecret {
            id: view.id,
            ordinal: 1,
            locator: view.locator,
            hint: String::new(),
            digest: view.digest,
            created_at: now.wall,
            expires_at: None,
            retired_at: None,
        },
        created_at: now.wall,
        revoked_at: None,
    };
    let authenticate = || fixture.engine.authenticate(&request(&operator), now);
    assert_eq!(authenticate().unwrap_err().code, Code::InvalidKey);
    fixture.apply(Change::Operators(vec![credential.clone()]));
    assert_eq!(authenticate().unwrap().actor, Actor::Operator(credential.id));
    credential.secret.digest = fixture.engine.digest(b"another");
    fixture.apply(Change::Operators(vec![credential.clone()]));
    assert_eq!(authenticate().unwrap_err().code, Code::InvalidKey);
    fixture.apply(Change::Operators(Vec::new()));
    assert_eq!(authenticate().unwrap_err().code, Code::InvalidKey);
}

#[test]
fn an_explanation_lists_every_check() {
    let fixture = Fixture::new();
    let (mut key, secret) = fixture.key(1);
    key.disabled = true;
    key.expires_at = AT(0);
    fixture.put(&key);
    let now = Moment::read(&*fixture.clock);
    let ask = request(&secret);
    let verdict = fixture.engine.verify_at(&ask, now);
    let checks = fixture.engine.explain(&ask, now, &verdict);
    assert_eq!(checks.len(), 12);
    let refusals: Vec<_> = checks.iter().filter(|(_, outcome)| *outcome != CheckOutcome::Passed).collect();
    assert_eq!(
        refusals,
        [
            &(ExplainedCheck::Key(Check::Disabled), CheckOutcome::Refused(Code::DisabledKey)),
            &(ExplainedCheck::Key(Check::Expiry), CheckOutcome::Refused(Code::ExpiredKey)),
            &(ExplainedCheck::Limits, CheckOutcome::NotMade),
        ]
    );
    let ask = VerifyRequest::new(b"nothing");
    let checks = fixture.engine.explain(&ask, now, &fixture.engine.verify_at(&ask, now));
    assert_eq!(checks[0], (ExplainedCheck::Format, CheckOutcome::Refused(Code::MalformedKey)));
    assert!(checks[1..].iter().all(|(_, outcome)| *outcome == CheckOutcome::NotMade));
}
