//! The life of a workspace after its creation: renamed, deleted, restored, purged; and what its keys' use leaves behind.

use std::sync::Arc;

use keywright_domain::{
    audit::ChainVerifier,
    caps,
    command::{Command, CommandError, Committed, Outcome, PurgeProgress, WorkspaceCommand},
    key::{KeyChange, KeyNumber, KeyStatus},
    permit::{Action, Permit},
    store::Store,
    time::Timestamp,
    usage::{AgentClass, Granularity, UsageBatch, UsageQuery, UsageRow},
    verdict::Code,
    workspace::{IdleAction, Slug, Workspace, WorkspaceError, WorkspacePatch, WorkspacePolicy},
};

use crate::{Installation, Recorder, Samples, VerificationState};

const DAY_SECONDS: i64 = 86_400;

fn slug(text: &str) -> Slug {
    Slug::parse(text).unwrap()
}

fn workspace_of(committed: Committed) -> Workspace {
    match committed.outcome {
        Outcome::Workspace(workspace) => *workspace,
        other => panic!("another outcome: {other:?}"),
    }
}

async fn carry_out<S: Store>(
    installation: &Installation<S>,
    now: Timestamp,
    permit: Permit,
    command: WorkspaceCommand,
) -> Result<Committed, CommandError> {
    let context = installation.samples.context_at(now, permit);
    installation.execute(context, Command::Workspace(command)).await
}

async fn delete<S: Store>(
    installation: &Installation<S>,
    grace_days: Option<u16>,
    now: Timestamp,
) -> Result<Committed, CommandError> {
    let workspace = installation.workspace.id;
    let permit = Samples::permit(Action::DeleteWorkspace, Some(workspace));
    carry_out(installation, now, permit, WorkspaceCommand::Delete { workspace, grace_days }).await
}

async fn restore<S: Store>(
    installation: &Installation<S>,
    now: Timestamp,
) -> Result<Committed, CommandError> {
    let workspace = installation.workspace.id;
    let permit = Samples::permit(Action::DeleteWorkspace, Some(workspace));
    carry_out(installation, now, permit, WorkspaceCommand::Restore { workspace }).await
}

async fn purge_step<S: Store>(
    installation: &Installation<S>,
    after: KeyNumber,
    now: Timestamp,
) -> Result<PurgeProgress, CommandError> {
    let workspace = installation.workspace.id;
    let command = WorkspaceCommand::Purge { workspace, after };
    let committed = carry_out(installation, now, Samples::operator_permit(), command).await?;
    match committed.outcome {
        Outcome::Purged(progress) => Ok(progress),
        other => panic!("another outcome: {other:?}"),
    }
}

/// Purges to the end; returns the number of steps.
async fn purge<S: Store>(installation: &Installation<S>, now: Timestamp) -> usize {
    let mut after = KeyNumber(0);
    for steps in 1..10_000 {
        match purge_step(installation, after, now).await.unwrap() {
            PurgeProgress::More(next) => after = next,
            PurgeProgress::Done => return steps,
        }
    }
    panic!("a purge without end");
}

/// A renamed workspace is found under both names, and nobody else gets either.
pub async fn renamed<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let rename = |to: &str| WorkspacePatch { slug: Some(slug(to)), ..WorkspacePatch::default() };
    let committed = installation.patch_workspace(rename("zeta")).await.unwrap();
    assert!(!committed.restricting, "the old name goes on working");
    let zeta = workspace_of(committed);
    assert_eq!((zeta.slug.as_str(), zeta.former_slugs.as_slice()), ("zeta", &[slug("acme")][..]));
    for name in ["acme", "zeta"] {
        assert_eq!(store.workspace(slug(name)).await.unwrap().as_ref(), Some(&zeta), "{name}");
    }
    let again = installation.patch_workspace(rename("alpha")).await.unwrap();
    let alpha = workspace_of(again);
    assert_eq!(alpha.former_slugs, [slug("acme"), slug("zeta")]);
    let listed = store.workspaces(None, 10).await.unwrap().items;
    assert_eq!(listed, std::slice::from_ref(&alpha));
    for taken in ["acme", "zeta", "alpha"] {
        let new = installation.samples.new_workspace(taken);
        let error = installation.operate(Command::CreateWorkspace(Box::new(new))).await.unwrap_err();
        assert!(matches!(error, CommandError::Workspace(WorkspaceError::SlugTaken)), "{taken}: {error}");
    }
    let new = installation.samples.new_workspace("other");
    let other = workspace_of(installation.operate(Command::CreateWorkspace(Box::new(new))).await.unwrap());
    let permit = Samples::permit(Action::WriteWorkspace, Some(other.id));
    let command = Command::PatchWorkspace { workspace: other.id, patch: rename("zeta") };
    let error = store.execute(installation.samples.context(permit), command).await.unwrap_err();
    assert!(matches!(error, CommandError::Workspace(WorkspaceError::SlugTaken)), "{error}");
    let back = workspace_of(installation.patch_workspace(rename("acme")).await.unwrap());
    assert_eq!(back.former_slugs, [slug("alpha"), slug("zeta")]);
    let (_, state) = installation.load().await;
    assert_eq!(state.workspaces[&1].former_slugs, ["alpha", "zeta"]);
}

/// A deleted workspace is off at once, and comes back as it was, up to the moment.
pub async fn deleted_and_restored<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    installation.create_key("web").await;
    let committed = delete(&installation, None, Samples::NOW).await.unwrap();
    assert!(committed.restricting);
    let end = Samples::NOW.plus_seconds(30 * DAY_SECONDS);
    let deleted = workspace_of(committed);
    assert_eq!(deleted.deletion.unwrap().purge_at, end);
    assert_eq!(store.workspace(slug("acme")).await.unwrap().as_ref(), Some(&deleted));
    let (_, state) = installation.load().await;
    assert!(state.workspaces[&1].suspended);
    let new = installation.samples.new_key("late");
    let error = installation.on_keys(Command::CreateKey(Box::new(new))).await.unwrap_err();
    assert!(matches!(error, CommandError::Key(keywright_domain::key::KeyError::WorkspaceDeleted)), "{error}");
    let again = delete(&installation, None, Samples::NOW.plus_seconds(5)).await.unwrap();
    assert!(!again.restricting && workspace_of(again).deletion == deleted.deletion);
    assert!(store.workspaces_to_purge(end.plus_ms(-1), 10).await.unwrap().is_empty());
    assert_eq!(store.workspaces_to_purge(end, 10).await.unwrap(), std::slice::from_ref(&deleted));
    let late = restore(&installation, end).await.unwrap_err();
    assert!(matches!(late, CommandError::Workspace(WorkspaceError::NotFound)), "{late}");
    let restored = workspace_of(restore(&installation, end.plus_ms(-1)).await.unwrap());
    assert_eq!(restored, installation.workspace);
    let (_, state) = installation.load().await;
    assert!(!state.workspaces[&1].suspended && state.keys.len() == 1);
    let error = restore(&installation, end.plus_ms(-1)).await.unwrap_err();
    assert!(matches!(error, CommandError::Workspace(WorkspaceError::NotDeleted)), "{error}");
    let error = purge_step(&installation, KeyNumber(0), end).await.unwrap_err();
    assert!(matches!(error, CommandError::Workspace(WorkspaceError::NotFinal)), "{error}");
}

fn use_of(key: KeyNumber, address: [u8; 4], at: Timestamp, code: Code) -> UsageRow {
    UsageRow {
        key,
        secret_ordinal: 1,
        minute: at.unix_ms() / 60_000,
        address: Some(address.into()),
        route: "GET /v1/x".to_owned(),
        code,
        agent: AgentClass::Library,
        count: 2,
        cost: 2,
        last_at: at,
    }
}

async fn flush<S: Store>(store: &Arc<S>, batch: u64, rows: Vec<UsageRow>) {
    store.flush_usage(UsageBatch { incarnation: [9; 16], batch, rows }).await.unwrap();
}

/// Of a purged workspace nothing is left but numbers and the audit trail, which verifies; other workspaces are whole.
pub async fn purged<S: Store>(store: Arc<S>) {
    let recorder = Arc::new(Recorder::default());
    store.attach(recorder.clone());
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let rename = WorkspacePatch { slug: Some(slug("zeta")), ..WorkspacePatch::default() };
    installation.patch_workspace(rename).await.unwrap();
    let one = installation.create_key("one").await;
    let gone = installation.create_key("gone").await;
    installation.change(gone.id, KeyChange::Delete).await.unwrap();
    let new = installation.samples.new_workspace("other");
    let other = workspace_of(installation.operate(Command::CreateWorkspace(Box::new(new))).await.unwrap());
    let permit = Samples::keys_permit(other.id);
    let new = Command::CreateKey(Box::new(installation.samples.new_key("theirs")));
    let theirs = store.execute(installation.samples.context(permit), new).await.unwrap();
    let theirs = crate::installation::key_of(theirs);
    let rows = [one.number, gone.number, theirs.number]
        .map(|key| use_of(key, [192, 0, 2, 1], Samples::NOW, Code::Valid));
    flush(&store, 1, rows.into()).await;

    delete(&installation, Some(0), Samples::NOW).await.unwrap();
    purge(&installation, Samples::NOW).await;
    for name in ["acme", "zeta"] {
        assert_eq!(store.workspace(slug(name)).await.unwrap(), None, "{name}");
    }
    assert!(store.workspaces_to_purge(Samples::NOW, 10).await.unwrap().is_empty());
    assert_eq!(store.workspaces(None, 10).await.unwrap().items, std::slice::from_ref(&other));
    for key in [&one, &gone] {
        assert_eq!(store.key(installation.workspace.id, key.id).await.unwrap(), None);
        assert!(store.last_used(vec![key.number]).await.unwrap().is_empty());
        assert!(store.ledger(key.number, None, 10).await.unwrap().is_empty());
        assert!(store.origins(key.number).await.unwrap().is_empty());
    }
    assert!(store.memberships(installation.workspace.id).await.unwrap().is_empty());
    let usage = UsageQuery {
        workspace: installation.workspace.number,
        key: None,
        granularity: Granularity::Day,
        from: Samples::NOW.plus_seconds(-2 * DAY_SECONDS),
        until: Samples::NOW.plus_seconds(2 * DAY_SECONDS),
    };
    assert!(store.usage(usage.clone()).await.unwrap().is_empty());
    let theirs_too = UsageQuery { workspace: other.number, ..usage };
    assert_eq!(store.usage(theirs_too).await.unwrap().len(), 1);
    assert_eq!(store.ledger(theirs.number, None, 10).await.unwrap().len(), 1);

    let mut verifier = ChainVerifier::default();
    let entries = store.audit_after(0, 1_000).await.unwrap();
    for entry in &entries {
        let body: keywright_domain::audit::AuditBody = serde_json::from_slice(&entry.body).unwrap();
        verifier.push(entry, &body.personal).unwrap();
    }
    let last = serde_json::from_slice::<keywright_domain::audit::AuditBody>(&entries.last().unwrap().body);
    assert_eq!(last.unwrap().action, "workspace.purged");
    // What the sink was handed, what the log gives and what a load gives are the same state.
    let (_, loaded) = installation.load().await;
    let (mut handed, mut logged) = (VerificationState::default(), VerificationState::default());
    recorder.changes().into_iter().for_each(|change| handed.apply(change.change));
    for change in store.changes_after(0, 1_000).await.unwrap() {
        logged.apply(change.change);
    }
    for state in [&mut handed, &mut logged] {
        // The log does not tell what an empty installation has.
        (state.plans, state.catalogue) = (loaded.plans.clone(), loaded.catalogue.clone());
    }
    assert_eq!((&handed, &logged), (&loaded, &loaded));
    assert!(!loaded.workspaces.contains_key(&1) && !loaded.keys.contains_key(&one.number.0));
    // The slug is free, and no number is used again.
    let new = installation.samples.new_workspace("acme");
    let acme = workspace_of(installation.operate(Command::CreateWorkspace(Box::new(new))).await.unwrap());
    assert_eq!(acme.number.0, 3);
    let permit = Samples::keys_permit(acme.id);
    let new = Command::CreateKey(Box::new(installation.samples.new_key("new")));
    let new = store.execute(installation.samples.context(permit), new).await.unwrap();
    assert_eq!(crate::installation::key_of(new).number.0, theirs.number.0 + 1);
}

/// A step removes a bounded number of rows, and a purge that is interrupted anywhere goes on.
pub async fn purged_in_steps<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let key = installation.create_key("busy").await;
    let rows = 2 * u64::from(caps::PURGE_ROWS_PER_STEP) + 7;
    let uses = (0..rows).map(|minute| {
        let at = Samples::NOW.plus_seconds(i64::try_from(minute).unwrap() * 60);
        UsageRow { address: None, ..use_of(key.number, [0; 4], at, Code::Valid) }
    });
    let uses: Vec<_> = uses.collect();
    for (number, piece) in (1..).zip(uses.chunks(5_000)) {
        flush(&store, number, piece.to_vec()).await;
    }
    delete(&installation, Some(0), Samples::NOW).await.unwrap();
    assert_eq!(
        purge_step(&installation, KeyNumber(0), Samples::NOW).await.unwrap(),
        PurgeProgress::More(KeyNumber(0)),
        "not everything of the first keys in one step"
    );
    let steps = purge(&installation, Samples::NOW).await;
    // Minutes and the ledger have a row for each; hours and days are few.
    let least = usize::try_from(2 * rows / u64::from(caps::PURGE_ROWS_PER_STEP)).unwrap();
    assert!((least..least + 6).contains(&steps), "{steps} steps for {rows} rows twice");
    assert!(store.ledger(key.number, None, 10).await.unwrap().is_empty());
}

/// Networks that a key is used from are told from each other, added up, and bounded.
pub async fn origins<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let key = installation.create_key("web").await;
    let at = |seconds| Samples::NOW.plus_seconds(seconds);
    flush(
        &store,
        1,
        vec![
            use_of(key.number, [192, 0, 2, 1], at(5), Code::Valid),
            use_of(key.number, [192, 0, 2, 9], at(9), Code::RevokedKey),
            use_of(key.number, [198, 51, 100, 1], at(7), Code::Valid),
            UsageRow { address: None, ..use_of(key.number, [0; 4], at(1), Code::Valid) },
        ],
    )
    .await;
    flush(&store, 2, vec![use_of(key.number, [192, 0, 2, 3], at(100), Code::Valid)]).await;
    let found = store.origins(key.number).await.unwrap();
    let texts: Vec<_> = found
        .iter()
        .map(|one| (one.network.to_string(), one.first_at, one.last_at, one.accepted, one.refused))
        .collect();
    assert_eq!(
        texts,
        [
            ("198.51.100.0/24".to_owned(), at(7), at(7), 2, 0),
            ("192.0.2.0/24".to_owned(), at(5), at(100), 4, 2),
        ]
    );
    let many = (0..=255_u8).flat_map(|third| {
        [10, 11].map(|first| use_of(key.number, [first, 0, third, 1], at(200), Code::Valid))
    });
    flush(&store, 3, many.collect()).await;
    let found = store.origins(key.number).await.unwrap();
    assert_eq!(u32::try_from(found.len()).unwrap(), caps::ORIGINS_PER_KEY);
    assert!(found.iter().any(|one| one.network.to_string() == "192.0.2.0/24"), "the known ones stay");
    flush(&store, 4, vec![use_of(key.number, [192, 0, 2, 3], at(300), Code::Valid)]).await;
    let found = store.origins(key.number).await.unwrap();
    assert!(
        found.iter().any(|one| one.last_at == at(300)),
        "known networks are counted on when there is no room"
    );
    assert!(store.origins(KeyNumber(99)).await.unwrap().is_empty());
}

/// A key that was used is not switched off as idle, whatever whoever asks knew.
pub async fn idle_keys<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let policy = WorkspacePolicy {
        idle_days: Some(30),
        idle_action: IdleAction::Disable,
        ..WorkspacePolicy::default()
    };
    let patch = WorkspacePatch { policy: Some(policy), ..WorkspacePatch::default() };
    installation.patch_workspace(patch).await.unwrap();
    let idle = installation.create_key("idle").await;
    let used = installation.create_key("used").await;
    let now = Samples::NOW.plus_seconds(30 * DAY_SECONDS);
    flush(&store, 1, vec![use_of(used.number, [192, 0, 2, 1], now, Code::Valid)]).await;
    let disable = async |key| {
        let change = KeyChange::DisableIdle { unused_since: Samples::NOW, last_used: None };
        let context = installation.samples.context_at(now, installation.keys_permit());
        installation.execute(context, Command::ChangeKey { key, change }).await.unwrap()
    };
    assert!(!disable(used.id).await.restricting, "used at this moment");
    assert!(disable(idle.id).await.restricting);
    let status =
        async |id| store.key(installation.workspace.id, id).await.unwrap().map(|key| key.status(now));
    assert_eq!(status(used.id).await, Some(KeyStatus::Active));
    assert_eq!(status(idle.id).await, Some(KeyStatus::Disabled));
    let context = installation.samples.context_at(now, installation.keys_permit());
    let enable = Command::ChangeKey { key: idle.id, change: KeyChange::Enable };
    installation.execute(context, enable).await.unwrap();
    let enabled = store.key(installation.workspace.id, idle.id).await.unwrap().unwrap();
    assert_eq!(enabled.enabled_at, Some(now), "kept by the store");
    assert!(!disable(idle.id).await.restricting, "switched on a moment ago");
}
