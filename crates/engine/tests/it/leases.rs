//! Leases by term, answers without one, and starting anew.

use keywright_domain::{
    change::{Change, KeyEnd, NumberedChange},
    lease::LeaseTerm,
    verdict::Code,
    workspace::WorkspaceNumber,
};
use keywright_engine::{ApplyError, LeaseEnd, Moment, Trust, Unavailable, Verdict, VerifyRequest};
use keywright_keyformat::Secret;

use crate::fixture::{self, Fixture};

fn verify(fixture: &Fixture, secret: &Secret, trust: Trust) -> Verdict {
    let request = VerifyRequest { trust, ..fixture::request(secret) };
    fixture.engine.verify(&request)
}

fn in_ms(fixture: &Fixture, ms: u64) -> LeaseEnd {
    LeaseEnd(Moment::read(&*fixture.clock).boot_ns + ms * 1_000_000)
}

#[test]
fn a_key_is_answered_under_the_lease_of_its_workspace() {
    for (position, term) in LeaseTerm::ALL.into_iter().enumerate() {
        let fixture = Fixture::new();
        let workspace = fixture::workspace(1, "acme", "standard");
        fixture
            .apply(Change::Workspace(keywright_domain::change::WorkspaceView { lease: term, ..workspace }));
        let (key, secret) = fixture.key(1);
        fixture.put(&key);
        let mut ends = [LeaseEnd::NONE; 4];
        ends[position] = in_ms(&fixture, 10);
        fixture.engine.set_leases(ends);
        let verdict = fixture.verify(&secret);
        assert_eq!((verdict.code, verdict.lease), (Code::Valid, ends[position]), "{term:?}");
        let mut others = [in_ms(&fixture, 10); 4];
        others[position] = LeaseEnd::NONE;
        fixture.engine.set_leases(others);
        let verdict = fixture.verify(&secret);
        assert_eq!(
            (verdict.code, verdict.unavailable),
            (Code::Unavailable, Some(Unavailable::Stale)),
            "{term:?}"
        );
        assert!(verdict.is_stale() && verdict.key.is_none());
    }
}

#[test]
fn a_key_that_is_not_known_is_answered_under_the_standard_lease() {
    let fixture = Fixture::new();
    let (_, secret) = fixture.key(1);
    let mut ends = [LeaseEnd::NONE; 4];
    ends[LeaseTerm::Standard as usize] = in_ms(&fixture, 10);
    fixture.engine.set_leases(ends);
    assert_eq!(fixture.verify(&secret).code, Code::InvalidKey);
    fixture.engine.set_leases([in_ms(&fixture, 10); 4].map(|end| end));
    let mut others = [in_ms(&fixture, 10); 4];
    others[LeaseTerm::Standard as usize] = LeaseEnd::NONE;
    fixture.engine.set_leases(others);
    assert!(fixture.verify(&secret).is_stale());
    assert_eq!(verify(&fixture, &secret, Trust::Fresh).code, Code::InvalidKey);
}

#[test]
fn what_was_seen_to_be_current_needs_no_lease_and_spends_once() {
    let fixture = Fixture::new();
    let (mut key, secret) = fixture.key(1);
    key.limits = Some(vec![fixture::window("minute", 2, 60)]);
    fixture.put(&key);
    fixture.engine.drop_leases();
    for _ in 0..5 {
        assert!(fixture.verify(&secret).is_stale());
    }
    let codes = [1, 2, 3].map(|_| verify(&fixture, &secret, Trust::Fresh).code);
    assert_eq!(codes, [Code::Valid, Code::Valid, Code::RateLimited]);
    assert_eq!(verify(&fixture, &secret, Trust::Fresh).as_of, 1);
}

#[test]
fn changes_that_were_applied_are_skipped_and_a_gap_breaks_nothing() {
    let fixture = Fixture::new();
    let (mut key, secret) = fixture.key(1);
    let numbered = |sequence, change| NumberedChange { sequence, restricting: false, change };
    let put = |key: &keywright_domain::change::KeyView| Change::Key(Box::new(key.clone()));
    assert_eq!(fixture.engine.apply_from(&[]), Ok(0));
    assert_eq!(fixture.engine.apply_from(&[numbered(1, put(&key)), numbered(2, put(&key))]), Ok(2));
    key.disabled = true;
    let late = [numbered(1, Change::KeyRemoved(key.number)), numbered(2, Change::KeyRemoved(key.number))];
    assert_eq!(fixture.engine.apply_from(&late), Ok(2));
    assert_eq!(fixture.verify(&secret).code, Code::Valid);
    let gap = [numbered(3, put(&key)), numbered(5, Change::KeyRemoved(key.number))];
    assert_eq!(fixture.engine.apply_from(&gap), Err(ApplyError::Gap { expected: 4, found: 5 }));
    assert_eq!((fixture.engine.applied(), fixture.verify(&secret).code), (3, Code::DisabledKey));
    assert!(fixture.engine.is_following());
    assert_eq!(fixture.engine.apply_from(&[numbered(4, put(&key))]), Ok(4));
    assert_eq!(Fixture::empty().engine.apply_from(&[numbered(1, put(&key))]), Err(ApplyError::NotFollowing));
}

#[test]
fn a_reload_forgets_everything_and_another_history_may_follow() {
    let fixture = Fixture::new();
    let (key, secret) = fixture.key(1);
    fixture.put(&key);
    let (mut old, old_secret) = fixture.key(7);
    old.limits = Some(vec![fixture::window("a", 9, 1), fixture::window("b", 9, 60)]);
    fixture.put(&old);
    assert_eq!(fixture.verify(&old_secret).code, Code::Valid);

    fixture.engine.begin_reload();
    assert!(!fixture.engine.is_ready() && !fixture.engine.is_following());
    for trust in [Trust::Lease, Trust::Fresh] {
        assert!(verify(&fixture, &secret, trust).is_stale(), "not `invalid_key`: nobody knows yet");
    }
    fixture.engine.set_leases([LeaseEnd::NEVER; 4]);
    assert!(fixture.verify(&secret).is_stale(), "a lease needs a loaded state");
    assert_eq!(fixture.engine.gauges().keys, 0);
    assert_eq!(fixture.engine.workspace_slug(WorkspaceNumber(1)), None);

    // Number 1 is another workspace now, and number 7 another key.
    for change in [
        Change::Plan(keywright_domain::plan::Plan::builtin()[0].clone()),
        Change::Workspace(fixture::workspace(1, "fresh", "standard")),
        Change::Membership(fixture::membership(1)),
        Change::Key(Box::new(keywright_domain::change::KeyView { number: old.number, ..key.clone() })),
    ] {
        fixture.engine.load(&change).unwrap();
    }
    fixture.engine.finish_load(40).unwrap();
    assert_eq!(fixture.engine.applied(), 40);
    fixture.engine.set_leases([LeaseEnd::NEVER; 4]);
    assert_eq!(
        (fixture.verify(&secret).code, fixture.verify(&old_secret).code),
        (Code::Valid, Code::InvalidKey)
    );
    assert_eq!(fixture.engine.workspace_slug(WorkspaceNumber(1)), Some("fresh"));
    assert_eq!(fixture.engine.workspace_by_slug("acme"), None);
    assert_eq!(
        fixture.engine.membership_permissions(keywright_domain::principal::MembershipNumber(2)).words(),
        [0; 4]
    );
    assert_eq!(fixture.engine.gauges().keys, 1);
}

#[test]
fn a_verification_across_a_reload_says_nothing() {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    };
    let fixture = Arc::new(Fixture::new());
    let (key, secret) = fixture.key(1);
    fixture.put(&key);
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = [Trust::Lease, Trust::Fresh]
        .into_iter()
        .map(|trust| {
            let (fixture, stop) = (Arc::clone(&fixture), Arc::clone(&stop));
            let (_, secret) = fixture.key(1);
            std::thread::spawn(move || {
                let (mut valid, mut stale) = (0_u64, 0_u64);
                while !stop.load(Relaxed) || valid == 0 || stale == 0 {
                    let request = VerifyRequest { trust, cost: 0, ..fixture::request(&secret) };
                    match fixture.engine.verify(&request).code {
                        Code::Valid => valid += 1,
                        Code::Unavailable => stale += 1,
                        other => panic!("{other:?}: the key was always good"),
                    }
                }
            })
        })
        .collect();
    for round in 0..60 {
        fixture.engine.begin_reload();
        if round % 8 == 0 {
            std::thread::yield_now();
        }
        fixture.load_defaults();
        fixture.engine.load(&Change::Key(Box::new(key.clone()))).unwrap();
        fixture.engine.finish_load(1).unwrap();
        fixture.engine.set_leases([LeaseEnd::NEVER; 4]);
    }
    // Readers that saw only one of both states see the other now.
    fixture.engine.begin_reload();
    std::thread::sleep(std::time::Duration::from_millis(50));
    fixture.load_defaults();
    fixture.engine.load(&Change::Key(Box::new(key))).unwrap();
    fixture.engine.finish_load(1).unwrap();
    fixture.engine.set_leases([LeaseEnd::NEVER; 4]);
    stop.store(true, Relaxed);
    for reader in readers {
        reader.join().unwrap();
    }
    assert_eq!(fixture.verify(&secret).code, Code::Valid);
}

#[test]
fn what_ended_for_good_is_remembered() {
    let fixture = Fixture::new();
    let restrict = |sequence, change| {
        fixture.engine.apply(&NumberedChange { sequence, restricting: true, change }).unwrap();
    };
    let put = |key: &keywright_domain::change::KeyView| Change::Key(Box::new(key.clone()));
    let [mut revoked, mut rotated, removed, mut disabled] = [1, 2, 3, 4].map(|number| fixture.key(number).0);
    for key in [&revoked, &rotated, &removed, &disabled] {
        fixture.put(key);
    }
    revoked.revoked = true;
    restrict(5, put(&revoked));
    rotated.secrets[0].retired = true;
    restrict(6, put(&rotated));
    restrict(7, Change::KeyRemoved(removed.number));
    disabled.disabled = true;
    restrict(8, put(&disabled));
    let tombstones = fixture.engine.tombstones();
    let ends: Vec<_> = tombstones.iter().map(|end| (end.sequence, end.key, end.number, end.end)).collect();
    assert_eq!(
        ends,
        [
            (5, revoked.id, revoked.number, KeyEnd::Revoked),
            (6, rotated.id, rotated.number, KeyEnd::SecretsOnly),
            (7, removed.id, removed.number, KeyEnd::Removed),
        ],
        "a disabling is reversible"
    );
    assert_eq!(tombstones[0].workspace, fixture::workspace_id(1));
    let retired: Vec<_> =
        tombstones[1].retired.iter().map(|secret| (secret.ordinal, secret.locator)).collect();
    assert_eq!(retired, [(1, rotated.secrets[0].locator)]);
    fixture.engine.begin_reload();
    assert_eq!(fixture.engine.tombstones(), tombstones, "a reload keeps them");
}

#[test]
fn a_revocation_that_is_told_is_one_that_is_applied() {
    let [told, fetched] = [Fixture::new(), Fixture::new()];
    let (mut key, secret) = told.key(1);
    key.secrets[0].retired = true;
    let newer = fixture::secret(keywright_keyformat::KeyKind::Live, 77);
    key.secrets.push(told.secret_view(&newer, 2));
    for fixture in [&told, &fetched] {
        fixture.put(&key);
        assert_eq!(fixture.verify(&newer).code, Code::Valid);
    }
    let begun = told.engine.applied();
    let number = key.number;
    let unknown = keywright_domain::key::KeyNumber(900);
    assert_eq!(
        told.engine.revoke_from(begun + 2, &[number]),
        Err(ApplyError::Gap { expected: begun + 1, found: begun + 2 })
    );
    assert_eq!((told.engine.applied(), told.verify(&newer).code), (begun, Code::Valid), "nothing is lost");
    // What was applied before is skipped, and a key that is gone again already is none.
    assert_eq!(told.engine.revoke_from(begun, &[unknown, number, unknown]), Ok(begun + 2));
    key.revoked = true;
    let change = Change::Key(Box::new(key.clone()));
    fetched.engine.apply(&NumberedChange { sequence: begun + 1, restricting: true, change }).unwrap();
    assert_eq!(told.engine.applied(), begun + 2);
    for secret in [&secret, &newer] {
        assert_eq!(told.verify(secret).code, fetched.verify(secret).code);
    }
    assert_eq!(told.verify(&newer).code, Code::RevokedKey);
    assert_eq!(told.engine.tombstones(), fetched.engine.tombstones());
    told.engine.begin_reload();
    assert_eq!(told.engine.revoke_from(begun + 3, &[number]), Err(ApplyError::NotFollowing));
}

#[test]
fn the_oldest_ends_are_forgotten_first() {
    let fixture = Fixture::new();
    let (mut key, _) = fixture.key(1);
    fixture.put(&key);
    key.revoked = true;
    for sequence in 2..=10_002 {
        let change = Change::Key(Box::new(key.clone()));
        fixture.engine.apply(&NumberedChange { sequence, restricting: true, change }).unwrap();
    }
    let tombstones = fixture.engine.tombstones();
    assert_eq!((tombstones.len(), tombstones[0].sequence), (10_000, 3));
}
