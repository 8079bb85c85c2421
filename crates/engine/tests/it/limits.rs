//! Limits as callers meet them.

use keywright_domain::{change::Change, limits::Algorithm, plan::Plan, time::Timestamp, verdict::Code};
use keywright_engine::{LimitScope, Moment, VerifyRequest};

use crate::fixture::{Fixture, START_MS, request, window, workspace};

fn plan(
    key_limits: Vec<keywright_domain::limits::LimitWindow>,
    workspace_limits: Vec<keywright_domain::limits::LimitWindow>,
) -> Change {
    Change::Plan(Plan {
        name: "standard".to_owned(),
        description: String::new(),
        key_limits,
        workspace_limits,
    })
}

#[test]
fn the_plan_limits_a_key_and_its_own_limits_replace_them() {
    let fixture = Fixture::new();
    let (mut key, secret) = fixture.key(1);
    fixture.put(&key);
    let verdict = fixture.engine.verify(&VerifyRequest { cost: 999, ..request(&secret) });
    assert_eq!(verdict.code, Code::Valid);
    let readings: Vec<_> = fixture.engine.limit_readings(&verdict).collect();
    assert_eq!((readings[0].name, readings[0].limit, readings[0].remaining), ("minute", 1_000, 1));
    assert_eq!((readings[0].scope, readings.len()), (LimitScope::Key, 1));
    let refused = fixture.engine.verify(&VerifyRequest { cost: 2, ..request(&secret) });
    assert_eq!(refused.code, Code::RateLimited);
    assert!(refused.retry_after_seconds.unwrap() >= 1);
    assert_eq!(
        fixture.engine.limit_readings(&refused).next().unwrap().remaining,
        1,
        "a refused call spends nothing"
    );
    assert_eq!(fixture.verify(&secret).code, Code::Valid);

    key.limits = Some(vec![window("day", 2, 86_400)]);
    fixture.put(&key);
    fixture.verify(&secret);
    fixture.verify(&secret);
    let refused = fixture.verify(&secret);
    assert_eq!(refused.code, Code::QuotaExceeded);
    let never = fixture.engine.verify(&VerifyRequest { cost: 3, ..request(&secret) });
    assert_eq!((never.code, never.retry_after_seconds), (Code::QuotaExceeded, None), "waiting does not help");
    assert_eq!(fixture.engine.verify(&VerifyRequest { cost: 0, ..request(&secret) }).code, Code::Valid);
}

#[test]
fn several_windows_of_key_and_workspace_are_all_or_nothing() {
    let fixture = Fixture::new();
    fixture
        .apply(plan(vec![window("second", 5, 1), window("minute", 8, 60)], vec![window("hour", 10, 3_600)]));
    let (first, one) = fixture.key(1);
    let (second, two) = fixture.key(2);
    fixture.put(&first);
    fixture.put(&second);
    let remaining = |verdict| {
        fixture.engine.limit_readings(&verdict).map(|reading| reading.remaining).collect::<Vec<_>>()
    };
    for left in (0..5).rev() {
        let verdict = fixture.verify(&one);
        assert_eq!((verdict.code, remaining(verdict)), (Code::Valid, vec![left, left + 3, left + 5]));
    }
    let refused = fixture.verify(&one);
    assert_eq!((refused.code, remaining(refused)), (Code::RateLimited, vec![0, 3, 5]));
    for _ in 0..5 {
        assert_eq!(fixture.verify(&two).code, Code::Valid);
    }
    fixture.clock.advance_ms(2_000);
    let refused = fixture.verify(&two);
    assert_eq!(
        (refused.code, remaining(refused)),
        (Code::RateLimited, vec![5, 3, 0]),
        "the workspace is used up"
    );
    let left = fixture.engine.limits_left(first.number, Moment::read(&*fixture.clock)).unwrap();
    assert_eq!(remaining(left), [5, 3, 0]);
}

#[test]
fn counters_survive_changes_of_the_key_and_rotation() {
    let fixture = Fixture::new();
    let (mut key, old) = fixture.key(1);
    key.limits = Some(vec![window("minute", 3, 60), window("hour", 100, 3_600)]);
    fixture.put(&key);
    fixture.verify(&old);
    fixture.verify(&old);
    key.metadata = "{\"a\":1}".to_owned();
    key.limits = Some(vec![window("minute", 4, 60), window("hour", 100, 3_600)]);
    let new = crate::fixture::secret(keywright_keyformat::KeyKind::Live, 5);
    key.secrets[0].expires_at = Some(Timestamp::from_unix_ms(START_MS + 1_000));
    key.secrets.push(fixture.secret_view(&new, 2));
    fixture.put(&key);
    assert_eq!(fixture.verify(&new).code, Code::Valid);
    let verdict = fixture.verify(&old);
    assert_eq!(verdict.code, Code::Valid);
    assert_eq!(
        fixture.engine.limit_readings(&verdict).map(|reading| reading.remaining).collect::<Vec<_>>(),
        [0, 96]
    );
    assert_eq!(fixture.verify(&new).code, Code::RateLimited);
}

#[test]
fn windows_open_again() {
    for algorithm in [Algorithm::Sliding, Algorithm::Smooth] {
        let fixture = Fixture::new();
        let (mut key, secret) = fixture.key(1);
        let mut minute = window("minute", 2, 60);
        minute.algorithm = algorithm;
        key.limits = Some(vec![minute]);
        fixture.put(&key);
        fixture.verify(&secret);
        fixture.verify(&secret);
        let refused = fixture.verify(&secret);
        assert_eq!(refused.code, Code::RateLimited);
        let wait_seconds = refused.retry_after_seconds.unwrap();
        fixture.clock.advance_ms(wait_seconds * 1_000);
        assert_eq!(fixture.verify(&secret).code, Code::Valid, "{algorithm:?} after {wait_seconds} s");
    }
}

#[test]
fn what_was_spent_before_a_restart_counts() {
    let fixture = Fixture::new();
    let (mut key, secret) = fixture.key(1);
    key.limits = Some(vec![window("minute", 100, 60), window("day", 10, 86_400)]);
    fixture.put(&key);
    let now = Moment::read(&*fixture.clock);
    let minute = START_MS / 60_000;
    fixture.engine.restore_cost(key.number, minute - 1, 4, now);
    fixture.engine.restore_cost(key.number, minute, 5, now);
    let verdict = fixture.verify(&secret);
    assert_eq!(verdict.code, Code::Valid);
    assert_eq!(fixture.engine.limit_readings(&verdict).nth(1).unwrap().remaining, 0);
    assert_eq!(fixture.verify(&secret).code, Code::QuotaExceeded);
}

#[test]
fn a_workspace_that_changes_its_plan() {
    let fixture = Fixture::new();
    let (key, secret) = fixture.key(1);
    fixture.put(&key);
    fixture.engine.verify(&VerifyRequest { cost: 1_000, ..request(&secret) });
    assert_eq!(fixture.verify(&secret).code, Code::RateLimited);
    fixture.apply(Change::Workspace(workspace(1, "acme", "enterprise")));
    let verdict = fixture.verify(&secret);
    assert_eq!(verdict.code, Code::Valid);
    assert_eq!(fixture.engine.limit_readings(&verdict).next().unwrap().remaining, 8_999);
    fixture.apply(Change::Workspace(workspace(1, "acme", "unlimited")));
    let verdict = fixture.verify(&secret);
    assert_eq!((verdict.code, fixture.engine.limit_readings(&verdict).count()), (Code::Valid, 0));
}
