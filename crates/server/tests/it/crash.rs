//! `kill -9` under load, again and again: what was acknowledged is there, what was revoked stays revoked, and every
//! verification is counted.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    client::{Client, created},
    process::{Dev, directory, eventually, run, said},
};

/// Threads that change keys, and threads that verify.
const CHANGING: u64 = 4;
const VERIFYING: u64 = 3;

/// What is known of one key. `None`: a change was sent, and nobody knows whether it took place.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Known {
    Valid,
    Ended,
    Unknown,
}

/// What was acknowledged, by secret.
type Acknowledged = BTreeMap<String, Known>;

#[expect(clippy::disallowed_methods, reason = "the number of rounds is for whoever runs the tests")]
fn rounds() -> u64 {
    std::env::var("KEYWRIGHT_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

/// Creates, rotates and revokes until the server is gone.
fn change(owner: &Client, seed: u64) -> Acknowledged {
    let mut known = Acknowledged::new();
    let mut step = seed;
    loop {
        let body = json!({"name": "under load", "environment": "staging"});
        let Ok((status, answer)) = owner.try_post("/v1/workspaces/acme/keys", &body) else { return known };
        assert_eq!(status, 201, "{answer}");
        let (id, secret) = created(&answer);
        known.insert(secret.clone(), Known::Valid);
        step = step.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let key = format!("/v1/workspaces/acme/keys/{id}");
        let (path, body) = match step >> 60 {
            0..=4 => (format!("{key}/revoke"), json!({"reason": "crash test"})),
            5..=9 => (format!("{key}/rotate"), json!({"overlap_seconds": 0})),
            _ => continue,
        };
        known.insert(secret.clone(), Known::Unknown);
        let Ok((status, answer)) = owner.try_post(&path, &body) else { return known };
        assert_eq!(status, 200, "{answer}");
        known.insert(secret, Known::Ended);
        if let Some(newer) = answer.get("secret").and_then(Value::as_str) {
            known.insert(newer.to_owned(), Known::Valid);
        }
    }
}

/// Verifies until the server is gone.
fn verify(owner: &Client, secret: &str, answered: &AtomicU64) {
    while let Ok((status, answer)) = owner.try_post("/v1/keys/verify", &json!({"key": secret})) {
        assert_eq!((status, &answer["code"]), (200, &json!("valid")));
        answered.fetch_add(1, Relaxed);
    }
}

#[test]
fn kill_nine_rounds() {
    let directory = directory();
    let data = directory.path().join("data");
    let dev = Dev::start(directory.path());
    let (counted_id, counted_secret) = dev.owner().create("counted");
    dev.stop();
    let mut all = Acknowledged::new();
    let (answered, mut in_flight) = (AtomicU64::new(0), 0);
    for round in 0..rounds() {
        let dev = Dev::start(directory.path());
        check(&dev, &all, round);
        let owner = dev.owner();
        let known = std::thread::scope(|scope| {
            let changing: Vec<_> = (0..CHANGING)
                .map(|thread| {
                    scope.spawn({
                        let owner = dev.owner();
                        move || change(&owner, round * 64 + thread)
                    })
                })
                .collect();
            for _ in 0..VERIFYING {
                scope.spawn(|| verify(&owner, &counted_secret, &answered));
            }
            std::thread::sleep(Duration::from_millis(150 + round * 67 % 900));
            dev.kill();
            changing.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Acknowledged>()
        });
        assert!(!known.is_empty(), "round {round} changed something");
        all.extend(known);
        in_flight += VERIFYING;
    }
    let load = (all.len(), answered.load(Relaxed));
    assert!(
        load.0 as u64 >= rounds() * 10 && load.1 >= rounds() * 10,
        "too little load to find anything: {load:?}"
    );
    let dev = Dev::start(directory.path());
    check(&dev, &all, rounds());
    check_usage(&dev, &counted_id, answered.load(Relaxed), in_flight);
    dev.stop();
    let output = run(&["audit", "verify", "--data", data.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
}

/// Everything acknowledged is as it was acknowledged.
fn check(dev: &Dev, all: &Acknowledged, round: u64) {
    let owner = dev.owner();
    // The newest ones are the ones in danger, and the oldest are looked at now and then.
    for (number, (secret, known)) in all.iter().enumerate() {
        if all.len() > 2_000 && number % 7 != usize::try_from(round % 7).unwrap() {
            continue;
        }
        let expected = match known {
            Known::Valid => "valid",
            Known::Ended => "revoked_key",
            Known::Unknown => continue,
        };
        let body = json!({"key": secret, "cost": 0});
        let answer = owner.post("/v1/keys/verify", &body, 200);
        assert_eq!(answer["code"], expected, "round {round}: {answer}");
    }
}

/// Every answered verification is counted, and none that was not asked for.
fn check_usage(dev: &Dev, id: &str, answered: u64, in_flight: u64) {
    let owner = dev.owner();
    let counted = eventually("all usage is flushed", || {
        let (_, usage) = owner.get(&format!("/v1/workspaces/acme/keys/{id}/usage"));
        usage["total"].as_u64().filter(|total| *total >= answered)
    });
    assert!(
        counted <= answered + in_flight,
        "{counted} counted, {answered} answered, at most {in_flight} cut off"
    );
}
