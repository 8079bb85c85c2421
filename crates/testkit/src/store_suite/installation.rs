//! Set-up, workspaces, members, plans, the catalogue, operator credentials.

use std::sync::Arc;

use keywright_domain::{
    audit::Checkpoint,
    caps,
    command::{Bootstrap, Command, CommandError, Outcome},
    limits::{Algorithm, LimitWindow, Mode, OnUnavailable},
    operator::OperatorError,
    permission::{Catalogue, PermissionName, Role},
    plan::{Plan, PlanError},
    principal::Principal,
    store::{Store, StoreError},
    workspace::{Slug, WorkspaceError, WorkspacePatch},
};

use crate::{Installation, Samples};

/// An installation is set up once; before, it has plans and a catalogue and nothing else.
pub async fn set_up_once<S: Store>(store: Arc<S>) {
    assert!(!store.is_set_up().await.unwrap());
    assert_eq!(store.catalogue().await.unwrap(), Catalogue::builtin());
    let mut builtin = Plan::builtin().to_vec();
    builtin.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(store.plans().await.unwrap(), builtin);
    assert_eq!(store.audit_head().await.unwrap(), (0, [0; 32]));
    let installation = Installation::set_up(Arc::clone(&store)).await;
    assert!(store.is_set_up().await.unwrap());
    assert_eq!(store.operators().await.unwrap(), std::slice::from_ref(&installation.operator));
    let workspace = store.workspace(Slug::parse("acme").unwrap()).await.unwrap();
    assert_eq!(workspace.as_ref(), Some(&installation.workspace));
    assert_eq!(
        store.memberships(installation.workspace.id).await.unwrap(),
        std::slice::from_ref(&installation.owner)
    );
    assert_eq!((installation.owner.role, installation.owner.number.0), (Role::Owner, 1));
    let again = Command::Bootstrap(Box::new(installation.samples.bootstrap("other")));
    let error = installation.operate(again).await.unwrap_err();
    assert!(matches!(error, CommandError::AlreadySetUp), "{error}");
}

/// Set-up needs no workspace.
pub async fn set_up_without_a_workspace<S: Store>(store: Arc<S>) {
    let samples = Samples::new(1);
    let bootstrap = Bootstrap { operator: samples.new_operator("first"), workspace: None };
    let command = Command::Bootstrap(Box::new(bootstrap));
    let committed = store.execute(samples.context(Samples::operator_permit()), command).await.unwrap();
    assert!(matches!(committed.outcome, Outcome::Bootstrapped { workspace: None, .. }));
    assert!(store.is_set_up().await.unwrap());
    assert!(store.workspaces(None, 10).await.unwrap().items.is_empty());
}

/// Workspaces are created and changed as the rules say.
pub async fn workspaces<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let samples = &installation.samples;
    let create = async |new| installation.operate(Command::CreateWorkspace(Box::new(new))).await;
    let committed = create(samples.new_workspace("beta")).await.unwrap();
    let Outcome::Workspace(beta) = committed.outcome else { panic!("another outcome") };
    assert_eq!(store.workspace(beta.slug.clone()).await.unwrap().as_ref(), Some(&*beta));
    assert_eq!(beta.number.0, 2);
    let error = create(samples.new_workspace("beta")).await.unwrap_err();
    assert!(matches!(error, CommandError::Workspace(WorkspaceError::SlugTaken)), "{error}");
    let mut unknown = samples.new_workspace("gamma");
    "golden".clone_into(&mut unknown.plan);
    let error = create(unknown).await.unwrap_err();
    assert!(matches!(error, CommandError::Workspace(WorkspaceError::UnknownPlan(_))), "{error}");

    let suspend = WorkspacePatch { suspended: Some(true), ..WorkspacePatch::default() };
    let committed = installation.patch_workspace(suspend.clone()).await.unwrap();
    assert!(committed.restricting);
    let Outcome::Workspace(after) = committed.outcome else { panic!("another outcome") };
    assert_eq!(after.suspended_at, Some(Samples::NOW));
    assert_eq!(store.workspace(after.slug.clone()).await.unwrap().as_ref(), Some(&*after));
    let again = installation.patch_workspace(suspend).await.unwrap();
    assert_eq!((again.restricting, again.sequence), (false, committed.sequence));
    let to_unknown = WorkspacePatch { plan: Some("golden".to_owned()), ..WorkspacePatch::default() };
    let error = installation.patch_workspace(to_unknown).await.unwrap_err();
    assert!(matches!(error, CommandError::Workspace(WorkspaceError::UnknownPlan(_))), "{error}");
    assert_eq!(store.workspace(Slug::parse("nobody").unwrap()).await.unwrap(), None);
}

/// Members belong to their workspace.
pub async fn members<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let user = installation.samples.user();
    let workspace = installation.workspace.id;
    let command = Command::CreateMember { user: user.clone(), workspace, role: Role::Viewer };
    let committed = installation.operate(command).await.unwrap();
    let Outcome::Membership(membership) = committed.outcome else { panic!("another outcome") };
    assert_eq!((membership.principal, membership.role), (Principal::User(user.id), Role::Viewer));
    let all = store.memberships(workspace).await.unwrap();
    assert_eq!(all, [installation.owner.clone(), *membership]);
    let elsewhere = installation.samples.new_workspace("elsewhere").id;
    assert!(store.memberships(elsewhere).await.unwrap().is_empty());
    let user = installation.samples.user();
    let command = Command::CreateMember { user, workspace: elsewhere, role: Role::Viewer };
    let error = installation.operate(command).await.unwrap_err();
    assert!(matches!(error, CommandError::Workspace(WorkspaceError::NotFound)), "{error}");
}

/// Plans come and go, but not while they are used, and only so many.
pub async fn plans<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let window = |limit| LimitWindow {
        name: "hour".to_owned(),
        limit,
        window_seconds: 3_600,
        algorithm: Algorithm::Sliding,
        mode: Mode::Shared,
        on_unavailable: OnUnavailable::Closed,
    };
    let gold = |limit| Plan {
        name: "gold".to_owned(),
        description: "More.".to_owned(),
        key_limits: vec![window(limit)],
        workspace_limits: vec![window(limit * 2)],
    };
    assert!(!installation.operate(Command::PutPlan(gold(5))).await.unwrap().restricting);
    assert!(installation.operate(Command::PutPlan(gold(4))).await.unwrap().restricting);
    assert!(store.plans().await.unwrap().contains(&gold(4)));
    let on_gold = WorkspacePatch { plan: Some("gold".to_owned()), ..WorkspacePatch::default() };
    installation.patch_workspace(on_gold).await.unwrap();
    let delete = async |name: &str| installation.operate(Command::DeletePlan(name.to_owned())).await;
    let error = delete("gold").await.unwrap_err();
    assert!(matches!(error, CommandError::Plan(PlanError::InUse(_))), "{error}");
    let error = delete("unlimited").await.unwrap_err();
    assert!(matches!(error, CommandError::Plan(PlanError::Builtin(_))), "{error}");
    let error = delete("golden").await.unwrap_err();
    assert!(matches!(error, CommandError::Plan(PlanError::Unknown(_))), "{error}");
    let off_gold = WorkspacePatch { plan: Some("standard".to_owned()), ..WorkspacePatch::default() };
    installation.patch_workspace(off_gold).await.unwrap();
    delete("gold").await.unwrap();
    assert_eq!(store.plans().await.unwrap().len(), 3);
    for number in 3..caps::PLANS_MAX {
        let plan = Plan { name: format!("plan-{number}"), ..gold(1) };
        installation.operate(Command::PutPlan(plan)).await.unwrap();
    }
    let error = installation.operate(Command::PutPlan(gold(1))).await.unwrap_err();
    assert!(matches!(error, CommandError::Plan(PlanError::TooMany)), "{error}");
}

/// The catalogue grows up to its size, and never renumbers.
pub async fn catalogue<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let put = async |number: usize, description: &str| {
        let name = PermissionName::parse(&format!("extra:p{number}")).unwrap();
        installation.operate(Command::PutPermission { name, description: description.to_owned() }).await
    };
    let builtin = Catalogue::builtin().entries().count();
    for number in builtin..caps::PERMISSIONS_MAX {
        let committed = put(number, "First.").await.unwrap();
        let Outcome::Permission(entry) = committed.outcome else { panic!("another outcome") };
        assert_eq!(usize::from(entry.bit), number);
    }
    let error = put(256, "First.").await.unwrap_err();
    assert!(matches!(error, CommandError::CatalogueFull), "{error}");
    put(255, "Second.").await.unwrap();
    let catalogue = store.catalogue().await.unwrap();
    assert_eq!(catalogue.entries().count(), caps::PERMISSIONS_MAX);
    assert_eq!(catalogue.bit("extra:p255"), Some(255));
    assert_eq!(catalogue.entries().last().unwrap().description, "Second.");
}

/// Operator credentials can all be revoked but the last.
pub async fn operators<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let first = installation.operator.id;
    let revoke = async |id| installation.operate(Command::RevokeOperator(id)).await;
    let error = revoke(first).await.unwrap_err();
    assert!(matches!(error, CommandError::Operator(OperatorError::Last)), "{error}");
    let new = installation.samples.new_operator("second");
    let second = new.id;
    let error = revoke(second).await.unwrap_err();
    assert!(matches!(error, CommandError::Operator(OperatorError::NotFound)), "{error}");
    let committed = installation.operate(Command::CreateOperator(Box::new(new))).await.unwrap();
    assert!(matches!(committed.outcome, Outcome::Operator(_)));
    let committed = revoke(first).await.unwrap();
    assert!(committed.restricting);
    let again = revoke(first).await.unwrap();
    assert_eq!((again.sequence, again.restricting), (committed.sequence, false));
    let error = revoke(second).await.unwrap_err();
    assert!(matches!(error, CommandError::Operator(OperatorError::Last)), "{error}");
    let all = store.operators().await.unwrap();
    let revoked: Vec<_> = all.iter().map(|operator| (operator.id, operator.revoked_at)).collect();
    assert_eq!(revoked, [(first, Some(Samples::NOW)), (second, None)]);
    let (_, state) = installation.load().await;
    assert_eq!(state.operators, all[1..], "revoked credentials are left out");
    assert!(store.is_set_up().await.unwrap());
}

/// Checkpoints are kept in order.
pub async fn checkpoints<S: Store>(store: Arc<S>) {
    let checkpoint = |sequence: u64| Checkpoint {
        sequence,
        hash: [u8::try_from(sequence).unwrap(); 32],
        at: Samples::NOW,
        public_key: [3; 32],
        signature: [4; 64],
    };
    for sequence in [2, 1, 7] {
        store.put_checkpoint(checkpoint(sequence)).await.unwrap();
    }
    assert_eq!(store.checkpoints().await.unwrap(), [1, 2, 7].map(checkpoint));
}

/// A store can be written until it is closed, and says so after.
pub async fn writable_until_closed<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    store.check_writable().await.unwrap();
    store.close().await.unwrap();
    let error = store.check_writable().await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    let new = installation.samples.new_key("late");
    let error = installation.on_keys(Command::CreateKey(Box::new(new))).await.unwrap_err();
    assert!(matches!(error, CommandError::Store(StoreError::Unavailable(_))), "{error}");
    let error = store.plans().await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
}
