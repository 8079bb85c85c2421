//! The change log, the audit trail, and repeats.

use std::sync::Arc;

use keywright_domain::{
    audit::{AuditBody, ChainVerifier, StoredEntry},
    caps,
    change::Change,
    command::{Command, CommandError, Context, IdempotencyError},
    environment::Environment,
    key::{KeyChange, KeyPatch},
    limits::{Algorithm, LimitWindow, Mode, OnUnavailable},
    permission::{PermissionName, PermissionSet, Role},
    plan::Plan,
    query::{AuditQuery, KeyFilter},
    store::Store,
    workspace::WorkspacePatch,
};

use crate::{Installation, Recorder, Samples, VerificationState, installation::load};

/// Something of everything: each command at least once, effective unless noted.
async fn history<S: Store>(installation: &Installation<S>) {
    let samples = &installation.samples;
    let mut keys = Vec::new();
    for number in 0..6 {
        keys.push(installation.create_key(&format!("key {number}")).await.id);
    }
    let renamed = KeyPatch { name: Some("renamed".to_owned()), ..KeyPatch::default() };
    let rotate = |overlap_seconds| KeyChange::Rotate {
        secret: samples.new_secret(Environment::Production),
        overlap_seconds,
    };
    let compromise =
        KeyChange::Compromise { reason: None, replacement: None, incident: samples.incident_id() };
    for (position, change) in [
        (0, KeyChange::Patch(Box::new(renamed))),
        (0, KeyChange::Disable),
        (0, KeyChange::Disable),
        (0, KeyChange::Enable),
        (1, rotate(None)),
        (1, KeyChange::CompleteRotation),
        (2, rotate(Some(0))),
        (3, compromise),
        (4, KeyChange::Revoke { reason: Some("Old.".to_owned()) }),
        (4, KeyChange::Revoke { reason: None }),
        (5, KeyChange::Delete),
    ] {
        installation.change(keys[position], change).await.unwrap();
    }
    let filter = KeyFilter { name: Some("key 1".to_owned()), ..KeyFilter::default() };
    installation.on_keys(Command::RevokeKeys { filter, reason: None }).await.unwrap();
    let plan = |limit| Plan {
        name: "gold".to_owned(),
        description: String::new(),
        key_limits: vec![LimitWindow {
            name: "day".to_owned(),
            limit,
            window_seconds: 86_400,
            algorithm: Algorithm::Sliding,
            mode: Mode::Shared,
            on_unavailable: OnUnavailable::Closed,
        }],
        workspace_limits: Vec::new(),
    };
    let second = samples.new_operator("second");
    let second_id = second.id;
    for command in [
        Command::CreateWorkspace(Box::new(samples.new_workspace("beta"))),
        Command::CreateMember {
            user: samples.user(),
            workspace: installation.workspace.id,
            role: Role::Member,
        },
        Command::PutPlan(plan(1)),
        Command::PutPlan(plan(2)),
        Command::PutPlan(plan(2)),
        Command::DeletePlan("gold".to_owned()),
        Command::PutPermission {
            name: PermissionName::parse("chat:send").unwrap(),
            description: "Send.".to_owned(),
        },
        Command::CreateOperator(Box::new(second)),
        Command::RevokeOperator(second_id),
    ] {
        installation.operate(command).await.unwrap();
    }
    let mut policy = installation.workspace.policy.clone();
    policy.allowed_permissions = PermissionSet::EMPTY.with(1);
    let patch = WorkspacePatch { policy: Some(policy), ..WorkspacePatch::default() };
    installation.patch_workspace(patch).await.unwrap();
}

/// What the sink was handed, what the log gives, and what a load gives are the same state.
pub async fn the_log_adds_up_to_the_state<S: Store>(store: Arc<S>) {
    let recorder = Arc::new(Recorder::default());
    store.attach(recorder.clone());
    let (start, mut from_sink) = load(&*store).await;
    assert_eq!(start, 0);
    let mut from_log: VerificationState = from_sink.clone();
    let installation = Installation::set_up(Arc::clone(&store)).await;
    history(&installation).await;
    let (sequence, loaded) = installation.load().await;
    let handed = recorder.changes();
    assert_eq!((handed[0].sequence, handed[handed.len() - 1].sequence), (1, sequence));
    for change in handed {
        from_sink.apply(change.change);
    }
    assert_eq!(from_sink, loaded);
    for change in store.changes_after(0, 1_000).await.unwrap() {
        from_log.apply(change.change);
    }
    assert_eq!(from_log, loaded);
    assert_eq!(loaded.keys.len(), 5);
}

/// The log counts from 1 without gaps, says what restricts, and gives every entity as it is now.
pub async fn the_log_has_no_gaps_and_the_newest_states<S: Store>(store: Arc<S>) {
    let recorder = Arc::new(Recorder::default());
    store.attach(recorder.clone());
    let installation = Installation::set_up(Arc::clone(&store)).await;
    history(&installation).await;
    let all = store.changes_after(0, 1_000).await.unwrap();
    for (expected, change) in (1..).zip(&all) {
        assert_eq!(change.sequence, expected);
    }
    let restricting = |changes: &[keywright_domain::change::NumberedChange]| {
        changes.iter().map(|change| change.restricting).collect::<Vec<_>>()
    };
    assert_eq!(restricting(&all), restricting(&recorder.changes()));
    let (_, state) = installation.load().await;
    for change in &all {
        match &change.change {
            Change::Key(key) => assert_eq!(state.keys.get(&key.number.0), Some(&**key)),
            Change::KeyRemoved(number) => assert!(!state.keys.contains_key(&number.0)),
            Change::Plan(plan) => assert_eq!(state.plans.get(&plan.name), Some(plan)),
            Change::PlanRemoved(name) => assert!(!state.plans.contains_key(name)),
            Change::Workspace(workspace) => {
                assert_eq!(state.workspaces.get(&workspace.number.0), Some(workspace));
            }
            Change::WorkspaceRemoved(number) => assert!(!state.workspaces.contains_key(&number.0)),
            Change::Membership(one) => assert_eq!(state.memberships.get(&one.number.0), Some(one)),
            Change::Catalogue(entries) => assert_eq!(&state.catalogue, entries),
            Change::Operators(operators) => assert_eq!(&state.operators, operators),
            Change::Prompts(number) => assert!(state.workspaces.contains_key(&number.0)),
        }
    }
    let part = store.changes_after(3, 2).await.unwrap();
    assert_eq!(part, all[3..5]);
    let last = u64::try_from(all.len()).unwrap();
    assert!(store.changes_after(last, 10).await.unwrap().is_empty());
    assert!(store.changes_after(u64::MAX, 10).await.unwrap().is_empty());
}

/// Verifies a chain and returns its bodies.
pub(super) fn verified(entries: &[StoredEntry]) -> Vec<AuditBody> {
    let mut verifier = ChainVerifier::default();
    let mut bodies = Vec::new();
    for entry in entries {
        let body: AuditBody = serde_json::from_slice(&entry.body).unwrap();
        verifier.push(entry, &body.personal).unwrap();
        assert_eq!(entry.personal.as_ref().unwrap().commitment_hex(), body.personal);
        bodies.push(body);
    }
    bodies
}

/// The chain verifies, and has one entry for each effective change.
pub async fn every_change_has_one_audit_entry<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    history(&installation).await;
    let entries = store.audit_after(0, 1_000).await.unwrap();
    let bodies = verified(&entries);
    let head = entries.last().map(|entry| (entry.sequence, entry.hash)).unwrap();
    assert_eq!(store.audit_head().await.unwrap(), head);
    let actions: Vec<_> = bodies.iter().map(|body| body.action.as_str()).collect();
    let created = ["key.created"; 6];
    let expected = [
        &["operator.created", "workspace.created", "member.created"][..],
        &created,
        &["key.updated", "key.disabled", "key.enabled", "key.rotated", "key.rotation_completed"],
        &["key.rotated", "key.compromised", "key.revoked", "key.deleted", "key.revoked"],
        &["workspace.created", "member.created", "plan.created", "plan.updated", "plan.deleted"],
        &["permission.created", "operator.created", "operator.revoked", "workspace.updated"],
    ];
    assert_eq!(actions, expected.concat());
    let mut ids: Vec<_> = bodies.iter().map(|body| body.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), bodies.len(), "every entry has an id of its own");
    let bodies: String = entries.iter().map(|entry| String::from_utf8_lossy(&entry.body)).collect();
    assert!(!bodies.contains("192.0.2.7") && !bodies.contains("testkit"), "personal data is kept apart");
    assert_eq!(store.audit_after(3, 2).await.unwrap(), entries[3..5]);
    assert!(store.audit_after(u64::MAX, 2).await.unwrap().is_empty());
}

/// A command that changes nothing takes no number in either log and answers with the head.
pub async fn repetitions_leave_no_trace<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let key = installation.create_key("worker").await.id;
    let revoke = || KeyChange::Revoke { reason: None };
    let first = installation.change(key, revoke()).await.unwrap();
    let head = store.audit_head().await.unwrap();
    let same = KeyPatch { name: Some("other".to_owned()), ..KeyPatch::default() };
    let other = installation.create_key("other").await.id;
    let created = installation.load().await.0;
    let again = [
        installation.change(key, revoke()).await.unwrap(),
        installation.change(other, KeyChange::Enable).await.unwrap(),
        installation.change(other, KeyChange::Patch(Box::new(same))).await.unwrap(),
        installation.patch_workspace(WorkspacePatch::default()).await.unwrap(),
    ];
    for committed in again {
        assert_eq!((committed.sequence, committed.restricting), (created, false));
    }
    assert!(created > first.sequence);
    assert_eq!(store.audit_head().await.unwrap().0, head.0 + 1, "only the creation in between");
}

/// The trail can be read by workspace, by target and by action, newest first.
pub async fn audit_pages<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    history(&installation).await;
    let entries = store.audit_after(0, 1_000).await.unwrap();
    let bodies = verified(&entries);
    let target = bodies.iter().find(|body| body.action == "key.rotated").unwrap().target.id.clone();
    let workspace = Some(installation.workspace.id);
    let nowhere = Some(installation.samples.new_workspace("nowhere").id);
    let some = |text: &str| Some(text.to_owned());
    for (workspace, target, action) in [
        (None, None, None),
        (workspace, None, None),
        (nowhere, None, None),
        (None, Some(target.clone()), None),
        (workspace, Some(target.clone()), some("key.created")),
        (None, None, some("operator.created")),
        (workspace, None, some("key.revoked")),
        (workspace, None, some("operator.created")),
    ] {
        let expected: Vec<_> = entries
            .iter()
            .zip(&bodies)
            .filter(|(_, body)| workspace.is_none() || body.workspace == workspace)
            .filter(|(_, body)| target.as_ref().is_none_or(|target| body.target.id == *target))
            .filter(|(_, body)| action.as_ref().is_none_or(|action| body.action == *action))
            .map(|(entry, _)| entry.clone())
            .rev()
            .collect();
        let mut query = AuditQuery { workspace, target, action, before: None, limit: 4 };
        let mut found = Vec::new();
        loop {
            let page = store.audit(query.clone()).await.unwrap();
            found.extend(page.items);
            query.before = found.last().map(|entry: &StoredEntry| entry.sequence);
            if !page.has_more {
                break;
            }
        }
        assert_eq!(found, expected, "{query:?}");
    }
}

/// A repeat is recognised by caller and key; another request under the same key is refused.
pub async fn idempotency<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let samples = &installation.samples;
    let create = async |context: Context| {
        let new = samples.new_key("once");
        let expected = (new.id.to_string(), new.secret.hint.clone());
        (expected, installation.execute(context, Command::CreateKey(Box::new(new))).await)
    };
    let context = |key: &str, request| samples.repeatable(installation.keys_permit(), key, request);
    let (first, answer) = create(context("a", 1)).await;
    answer.unwrap();
    let before = installation.load().await;
    let (_, answer) = create(context("a", 1)).await;
    match answer.unwrap_err() {
        CommandError::Idempotency(IdempotencyError::AlreadyApplied { target, hint }) => {
            assert_eq!((target, hint), (first.0, Some(first.1)));
        }
        other => panic!("another error: {other}"),
    }
    let (_, answer) = create(context("a", 2)).await;
    let error = answer.unwrap_err();
    assert!(matches!(error, CommandError::Idempotency(IdempotencyError::Mismatch)), "{error}");
    assert_eq!(installation.load().await, before);
    create(context("b", 1)).await.1.unwrap();
    let mut of_another = context("a", 1);
    "somebody else".clone_into(&mut of_another.idempotency.as_mut().unwrap().actor);
    create(of_another).await.1.unwrap();

    // A refused command is not remembered.
    let bad = Command::CreateKey(Box::new(samples.new_key("")));
    assert!(installation.execute(context("c", 1), bad).await.is_err());
    create(context("c", 1)).await.1.unwrap();
    // One that found nothing to do is.
    let idle = Command::RevokeKeys {
        filter: KeyFilter { name: Some("nothing".to_owned()), ..KeyFilter::default() },
        reason: None,
    };
    installation.execute(context("d", 1), idle.clone()).await.unwrap();
    let error = installation.execute(context("d", 1), idle).await.unwrap_err();
    assert!(matches!(error, CommandError::Idempotency(IdempotencyError::AlreadyApplied { .. })), "{error}");
}

/// After a day the key is free again; a moment earlier it is not.
pub async fn idempotency_expires<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let create = async |after_ms: i64| {
        let permit = installation.keys_permit();
        let mut context = installation.samples.repeatable(permit, "a", 1);
        context.now = Samples::NOW.plus_ms(after_ms);
        let new = installation.samples.new_key("once");
        installation.execute(context, Command::CreateKey(Box::new(new))).await
    };
    let day_ms = caps::IDEMPOTENCY_SECONDS * 1_000;
    create(0).await.unwrap();
    assert!(create(day_ms - 1).await.is_err());
    create(day_ms).await.unwrap();
    assert!(create(day_ms + 1).await.is_err());
}
