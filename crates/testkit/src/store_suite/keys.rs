//! Keys and everything that can happen to them.

use std::sync::Arc;

use keywright_domain::{
    caps,
    command::{Command, CommandError, Outcome, Redigest},
    environment::Environment,
    ids::KeyId,
    key::{ApiKey, KeyChange, KeyError, KeyPatch, KeyStatus, NewKey},
    limits::{Algorithm, LimitWindow, Mode, OnUnavailable},
    permission::{Builtin, PermissionSet},
    query::KeyFilter,
    store::Store,
    time::Timestamp,
    workspace::{WorkspacePatch, WorkspacePolicy},
};

use crate::{Installation, Samples, installation::key_of};

fn full_key(samples: &Samples) -> NewKey {
    NewKey {
        purpose: Some("Checks „everything“.".to_owned()),
        environment: Environment::Ci,
        secret: samples.new_secret(Environment::Ci),
        permissions: Some(PermissionSet::EMPTY.with(Builtin::PromptsRead.bit()).with(200)),
        expires_at: Some(Samples::NOW.plus_seconds(86_400)),
        limits: Some(vec![LimitWindow {
            name: "minute".to_owned(),
            limit: 7,
            window_seconds: 60,
            algorithm: Algorithm::Smooth,
            mode: Mode::Exact,
            on_unavailable: OnUnavailable::Open,
        }]),
        networks: vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
        external_id: Some("customer 17".to_owned()),
        metadata: r#"{"team":"größe"}"#.to_owned(),
        ..samples.new_key("full")
    }
}

async fn stored<S: Store>(installation: &Installation<S>, key: KeyId) -> Option<ApiKey> {
    installation.store.key(installation.workspace.id, key).await.unwrap()
}

/// What was asked for is what is stored, found and listed.
pub async fn created_as_asked<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(store).await;
    let new = full_key(&installation.samples);
    let key = installation.create(new.clone()).await;
    assert_eq!(
        (key.id, &key.name, &key.purpose, key.environment, Some(key.permissions)),
        (new.id, &new.name, &new.purpose, new.environment, new.permissions)
    );
    assert_eq!(
        (key.expires_at, &key.limits, &key.networks, &key.external_id, &key.metadata),
        (new.expires_at, &new.limits, &new.networks, &new.external_id, &new.metadata)
    );
    assert_eq!((key.workspace, key.created_at), (installation.workspace.id, Samples::NOW));
    assert_eq!(key.secrets[0].digest, new.secret.digest);
    let plain = installation.create_key("plain").await;
    assert_eq!(plain.permissions, Builtin::DEFAULT);
    assert_eq!((key.number.0, plain.number.0), (1, 2));
    assert_eq!(stored(&installation, key.id).await.as_ref(), Some(&key));
    assert_eq!(stored(&installation, plain.id).await.as_ref(), Some(&plain));
    let page = installation.store.keys(installation.query(KeyFilter::default(), 10)).await.unwrap();
    assert_eq!((page.items, page.has_more), (vec![plain, key.clone()], false));
    let elsewhere = installation.samples.new_workspace("elsewhere").id;
    assert_eq!(installation.store.key(elsewhere, key.id).await.unwrap(), None);
}

/// Each change is answered with the state that is stored, up to deletion.
pub async fn every_change_is_kept<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(store).await;
    let samples = &installation.samples;
    let key = installation.create_key("worker").await;
    let patch = KeyPatch {
        name: Some("renamed".to_owned()),
        purpose: Some(Some("Another.".to_owned())),
        permissions: Some(PermissionSet::ALL),
        expires_at: Some(Some(Samples::NOW.plus_seconds(100))),
        limits: Some(Some(Vec::new())),
        networks: Some(vec!["10.0.0.0/8".parse().unwrap()]),
        external_id: Some(Some("x".to_owned())),
        metadata: Some(r#"{"a":1}"#.to_owned()),
    };
    let clear = KeyPatch {
        purpose: Some(None),
        expires_at: Some(None),
        limits: Some(None),
        networks: Some(Vec::new()),
        external_id: Some(None),
        metadata: Some("{}".to_owned()),
        ..KeyPatch::default()
    };
    let rotate = || KeyChange::Rotate {
        secret: samples.new_secret(Environment::Production),
        overlap_seconds: Some(60),
    };
    let compromise = KeyChange::Compromise {
        reason: Some("Found in a log.".to_owned()),
        replacement: Some(samples.new_secret(Environment::Production)),
        incident: samples.incident_id(),
    };
    let changes = [
        (KeyChange::Patch(Box::new(patch)), true),
        (KeyChange::Patch(Box::new(clear)), true),
        (rotate(), false),
        (KeyChange::CompleteRotation, true),
        (rotate(), false),
        (KeyChange::CancelRotation, true),
        (KeyChange::Disable, true),
        (KeyChange::Enable, false),
        (compromise, true),
        (KeyChange::Revoke { reason: Some("Done.".to_owned()) }, true),
    ];
    let mut sequence = 0;
    for (change, restricting) in changes {
        let text = format!("{change:?}");
        let committed = installation.change(key.id, change).await.unwrap();
        assert!(committed.sequence > sequence, "{text}");
        assert_eq!(committed.restricting, restricting, "{text}");
        sequence = committed.sequence;
        assert_eq!(stored(&installation, key.id).await, Some(key_of(committed)), "{text}");
    }
    let revoked = stored(&installation, key.id).await.unwrap();
    assert_eq!(revoked.status(Samples::NOW), KeyStatus::Revoked);
    assert_eq!(revoked.secrets.len(), 4);
    assert!(installation.change(key.id, KeyChange::Delete).await.unwrap().restricting);
    assert_eq!(stored(&installation, key.id).await, None);
    let page = installation.store.keys(installation.query(KeyFilter::default(), 10)).await.unwrap();
    assert!(page.items.is_empty());
}

/// A key that is rotated again and again keeps as many retired secrets as the rules say.
pub async fn secrets_beyond_the_kept_ones_are_forgotten<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(store).await;
    let key = installation.create_key("busy").await;
    for _ in 0..15 {
        let secret = installation.samples.new_secret(Environment::Production);
        let change = KeyChange::Rotate { secret, overlap_seconds: Some(0) };
        let after = key_of(installation.change(key.id, change).await.unwrap());
        assert_eq!(stored(&installation, key.id).await, Some(after));
    }
    let key = stored(&installation, key.id).await.unwrap();
    assert_eq!(key.secrets.len(), caps::RETIRED_SECRETS_KEPT + 1);
    assert_eq!(key.secrets.last().unwrap().ordinal, 16);
}

/// A refused command leaves key, log and audit trail as they were.
pub async fn refusals_change_nothing<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(store).await;
    let samples = &installation.samples;
    let key = installation.create_key("worker").await;
    let before = (installation.load().await, installation.store.audit_head().await.unwrap());
    let unknown = samples.new_key("unknown").id;
    let rotate = |overlap_seconds| KeyChange::Rotate {
        secret: samples.new_secret(Environment::Production),
        overlap_seconds: Some(overlap_seconds),
    };
    let renamed = |name: &str| {
        KeyChange::Patch(Box::new(KeyPatch { name: Some(name.to_owned()), ..KeyPatch::default() }))
    };
    let cases = [
        (unknown, KeyChange::Disable, KeyError::NotFound),
        (key.id, KeyChange::CompleteRotation, KeyError::NoRotation),
        (key.id, KeyChange::CancelRotation, KeyError::NoRotation),
    ];
    for (id, change, expected) in cases {
        let error = installation.change(id, change).await.unwrap_err();
        assert!(matches!(&error, CommandError::Key(error) if *error == expected), "{error}");
    }
    for change in [renamed(""), rotate(caps::OVERLAP_SECONDS_MAX + 1)] {
        let error = installation.change(key.id, change).await.unwrap_err();
        assert!(matches!(&error, CommandError::Key(KeyError::Field { .. })), "{error}");
    }
    let mut taken = samples.new_key("taken");
    taken.secret.locator = key.secrets[0].locator;
    let error = installation.on_keys(Command::CreateKey(Box::new(taken))).await.unwrap_err();
    assert!(matches!(&error, CommandError::Store(_)), "{error}");
    let elsewhere = Samples::keys_permit(samples.new_workspace("elsewhere").id);
    let change = Command::ChangeKey { key: key.id, change: KeyChange::Disable };
    let error = installation.execute(samples.context(elsewhere), change).await.unwrap_err();
    assert!(matches!(&error, CommandError::Workspace(_)), "{error}");
    let after = (installation.load().await, installation.store.audit_head().await.unwrap());
    assert_eq!(before, after);
}

/// A number stands for one key for ever, also when the key is deleted, and refused creations take none.
pub async fn numbers_are_never_used_again<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(store).await;
    for number in 1..=3 {
        let bad = installation.samples.new_key("");
        assert!(installation.on_keys(Command::CreateKey(Box::new(bad))).await.is_err());
        let key = installation.create_key("one").await;
        assert_eq!(key.number.0, number);
        installation.change(key.id, KeyChange::Delete).await.unwrap();
        let again = installation.change(key.id, KeyChange::Delete).await.unwrap_err();
        assert!(matches!(again, CommandError::Key(KeyError::NotFound)), "{again}");
    }
}

/// `max_keys` is counted in keys that are not deleted.
pub async fn the_key_count_follows<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(store).await;
    let policy = WorkspacePolicy { max_keys: 2, ..installation.workspace.policy.clone() };
    let patch = WorkspacePatch { policy: Some(policy), ..WorkspacePatch::default() };
    installation.patch_workspace(patch).await.unwrap();
    let create = async || {
        let new = installation.samples.new_key("one");
        installation.on_keys(Command::CreateKey(Box::new(new))).await
    };
    let first = key_of(create().await.unwrap());
    create().await.unwrap();
    let error = create().await.unwrap_err();
    assert!(matches!(error, CommandError::Key(KeyError::TooMany(2))), "{error}");
    installation.change(first.id, KeyChange::Revoke { reason: None }).await.unwrap();
    assert!(create().await.is_err(), "a revoked key counts");
    installation.change(first.id, KeyChange::Delete).await.unwrap();
    create().await.unwrap();
    assert!(create().await.is_err());
}

/// A bulk revocation takes what matches, once.
pub async fn bulk_revocation<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(store).await;
    for name in ["app-1", "app-2", "App-3", "other"] {
        installation.create_key(name).await;
    }
    let revoke = async |name: &str| {
        let filter = KeyFilter { name: Some(name.to_owned()), ..KeyFilter::default() };
        let reason = Some("Offboarding.".to_owned());
        let committed = installation.on_keys(Command::RevokeKeys { filter, reason }).await.unwrap();
        match committed.outcome {
            Outcome::Revoked(count) => (count, committed.restricting),
            other => panic!("another outcome: {other:?}"),
        }
    };
    let (before, _) = installation.store.audit_head().await.unwrap();
    assert_eq!(revoke("app-").await, (3, true));
    assert_eq!(revoke("app-").await, (0, false));
    assert_eq!(revoke("nothing").await, (0, false));
    let (after, _) = installation.store.audit_head().await.unwrap();
    assert_eq!(after - before, 3);
    let page = installation.store.keys(installation.query(KeyFilter::default(), 10)).await.unwrap();
    for key in page.items {
        let reason = key.revoked.map(|revocation| revocation.reason.unwrap());
        assert_eq!(reason.as_deref(), (key.name != "other").then_some("Offboarding."), "{}", key.name);
    }
}

/// One key more than a bulk revocation may take, and nothing is revoked.
pub async fn bulk_revocation_has_a_cap<S: Store>(store: Arc<S>) {
    let installation = Arc::new(Installation::set_up(store).await);
    let mut tasks = Vec::new();
    for number in 0..=caps::BULK_REVOKE_MAX {
        let new = installation.samples.new_key(if number == 0 { "extra" } else { "bulk" });
        let installation = Arc::clone(&installation);
        tasks.push(tokio::spawn(async move { installation.create(new).await }));
        if tasks.len() == 512 {
            for task in tasks.drain(..) {
                task.await.unwrap();
            }
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    let revoke = async |name: Option<&str>| {
        let filter = KeyFilter { name: name.map(str::to_owned), ..KeyFilter::default() };
        installation.on_keys(Command::RevokeKeys { filter, reason: None }).await
    };
    let error = revoke(None).await.unwrap_err();
    assert!(matches!(error, CommandError::TooManyMatches), "{error}");
    let (_, state) = installation.load().await;
    assert!(state.keys.values().all(|key| !key.revoked));
    let committed = revoke(Some("bulk")).await.unwrap();
    assert!(matches!(committed.outcome, Outcome::Revoked(10_000)), "{:?}", committed.outcome);
    let (_, state) = installation.load().await;
    assert_eq!(state.keys.values().filter(|key| !key.revoked).count(), 1);
}

/// A digest is replaced only while it is the one that was read.
pub async fn redigest<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(store).await;
    let samples = &installation.samples;
    let (one, two) = (installation.create_key("one").await, installation.create_key("two").await);
    let gone = installation.create_key("gone").await;
    installation.change(gone.id, KeyChange::Delete).await.unwrap();
    let item = |key: &ApiKey| Redigest {
        key: key.id,
        ordinal: 1,
        old: key.secrets[0].digest,
        new: samples.digest(2),
    };
    let outdated = Redigest { old: samples.digest(1), ..item(&two) };
    let elsewhere = Redigest { ordinal: 2, ..item(&two) };
    let unknown = Redigest { key: samples.new_key("unknown").id, ..item(&two) };
    let good = item(&one);
    let (audit_before, _) = installation.store.audit_head().await.unwrap();
    let items = vec![good.clone(), outdated, elsewhere, unknown, item(&gone)];
    let committed = installation.operate(Command::Redigest(items)).await.unwrap();
    assert!(matches!(committed.outcome, Outcome::Redigested(1)), "{:?}", committed.outcome);
    assert!(!committed.restricting);
    assert_eq!(stored(&installation, one.id).await.unwrap().secrets[0].digest, good.new);
    assert_eq!(stored(&installation, two.id).await, Some(two));
    assert_eq!(installation.store.audit_head().await.unwrap().0, audit_before, "nothing changes for anyone");
    let (sequence, state) = installation.load().await;
    assert_eq!(sequence, committed.sequence);
    assert_eq!(state.keys[&one.number.0].secrets[0].digest, good.new);
}

/// Incidents are kept with their reason, newest first.
pub async fn incidents<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(store).await;
    let mut expected = Vec::new();
    for (position, reason) in [Some("Leaked.".to_owned()), None].into_iter().enumerate() {
        let key = installation.create_key("leaky").await;
        let incident = installation.samples.incident_id();
        let change = KeyChange::Compromise { reason: reason.clone(), replacement: None, incident };
        let now = Samples::NOW.plus_seconds(i64::try_from(position).unwrap());
        let context = installation.samples.context_at(now, installation.keys_permit());
        let committed =
            installation.execute(context, Command::ChangeKey { key: key.id, change }).await.unwrap();
        let Outcome::ChangedKey(changed) = committed.outcome else { panic!("another outcome") };
        let (key, opened) = (changed.key, changed.incident.expect("an incident was opened"));
        assert_eq!(key.status(Timestamp::from_unix_ms(0)), KeyStatus::Revoked);
        assert_eq!(
            (opened.id, opened.key, &opened.reason, opened.opened_at),
            (incident, key.id, &reason, now)
        );
        expected.insert(0, opened);
    }
    let workspace = installation.workspace.id;
    assert_eq!(installation.store.incidents(workspace, 10).await.unwrap(), expected);
    assert_eq!(installation.store.incidents(workspace, 1).await.unwrap(), expected[..1]);
}
