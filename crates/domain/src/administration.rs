//! The pure core of every change of something that is not a key: workspaces, members, plans, the permission catalogue
//! and operator credentials.
//!
//! As with [`crate::key::transition`], the store brings what it found, the rules decide, and the store keeps the result.

use ipnet::IpNet;

use crate::{
    audit::FieldChange,
    caps,
    command::{NewOperator, NewWorkspace},
    key::{Effect, KeySecret, is_printable},
    limits::LimitWindow,
    operator::{OperatorCredential, OperatorError},
    permission::{Catalogue, CatalogueEntry, PermissionName, Role},
    plan::{Plan, PlanError},
    principal::{Membership, MembershipNumber, Principal, User},
    time::Timestamp,
    workspace::{KeyLife, Slug, Workspace, WorkspaceError, WorkspaceNumber, WorkspacePatch, WorkspacePolicy},
};

/// A thing after a change, and what there is to tell about it.
#[derive(Clone, Debug)]
pub struct Decided<T> {
    /// The thing as it is now.
    pub value: T,
    /// What it means for verification.
    pub effect: Effect,
    /// The audit event's name.
    pub action: &'static str,
    /// Before and after, without secrets.
    pub fields: Vec<FieldChange>,
}

/// Creates a workspace on `plan`, which is the plan found under the name asked for; `namesake` is the workspace found
/// under the slug.
///
/// # Errors
/// [`WorkspaceError::Name`], [`WorkspaceError::Policy`], [`WorkspaceError::UnknownPlan`], [`WorkspaceError::SlugTaken`].
pub fn create_workspace(
    new: NewWorkspace,
    plan: Option<&Plan>,
    namesake: Option<&Workspace>,
    now: Timestamp,
) -> Result<Decided<Workspace>, WorkspaceError> {
    check_workspace_name(&new.name)?;
    new.policy.check()?;
    if namesake.is_some() {
        return Err(WorkspaceError::SlugTaken);
    }
    if plan.is_none() {
        return Err(WorkspaceError::UnknownPlan(new.plan));
    }
    let workspace = Workspace {
        number: WorkspaceNumber::default(),
        id: new.id,
        slug: new.slug,
        name: new.name,
        plan: new.plan,
        policy: new.policy,
        suspended_at: None,
        created_at: now,
        deletion: None,
        former_slugs: Vec::new(),
    };
    let fields = vec![
        created("slug", workspace.slug.as_str()),
        created("name", &workspace.name),
        created("plan", &workspace.plan),
    ];
    Ok(Decided { value: workspace, effect: Effect::Loosening, action: "workspace.created", fields })
}

/// Applies `patch` to a workspace; `plan` is the plan found under the name that the patch asks for, if it does, and
/// `namesake` the workspace found under the slug.
///
/// # Errors
/// [`WorkspaceError::Name`], [`WorkspaceError::Policy`], [`WorkspaceError::UnknownPlan`], [`WorkspaceError::SlugTaken`],
/// [`WorkspaceError::FormerSlugs`].
pub fn patch_workspace(
    before: &Workspace,
    patch: WorkspacePatch,
    plan: Option<&Plan>,
    namesake: Option<&Workspace>,
    now: Timestamp,
) -> Result<Decided<Workspace>, WorkspaceError> {
    let mut after = before.clone();
    if let Some(slug) = patch.slug {
        rename(&mut after, slug, namesake)?;
    }
    if let Some(name) = patch.name {
        check_workspace_name(&name)?;
        after.name = name;
    }
    if let Some(name) = patch.plan {
        if plan.is_none() && name != before.plan {
            return Err(WorkspaceError::UnknownPlan(name));
        }
        after.plan = name;
    }
    if let Some(policy) = patch.policy {
        policy.check()?;
        let is_changed = before.policy.lease != policy.lease;
        after.policy = policy;
        // A raise holds at once: whoever uses the longer lease has applied everything before it. A cut is waited for
        // with the term from before; see `settle_lease`.
        after.policy.wait = before.policy.wait.max(after.policy.lease);
        after.policy.lease_version = before.policy.lease_version.wrapping_add(u32::from(is_changed));
    }
    match patch.suspended {
        Some(true) if before.suspended_at.is_none() => after.suspended_at = Some(now),
        Some(false) => after.suspended_at = None,
        Some(true) | None => {}
    }
    let fields = workspace_differences(before, &after);
    let effect = if fields.is_empty() { Effect::None } else { workspace_effect(before, &after) };
    Ok(Decided { value: after, effect, action: "workspace.updated", fields })
}

/// Ends the longer wait after the change of the lease that `version` counts, of which every node has heard. Nothing
/// changes if there was a later one: it is waited for on its own.
pub fn settle_lease(before: &Workspace, version: u32) -> Decided<Workspace> {
    let mut after = before.clone();
    if before.policy.lease_version == version {
        after.policy.wait = after.policy.lease;
    }
    let fields = workspace_differences(before, &after);
    let effect = if fields.is_empty() { Effect::None } else { Effect::Loosening };
    Decided { value: after, effect, action: "workspace.lease_settled", fields }
}

/// Gives a workspace another slug; the old one stays with it.
fn rename(workspace: &mut Workspace, slug: Slug, namesake: Option<&Workspace>) -> Result<(), WorkspaceError> {
    if namesake.is_some_and(|other| other.id != workspace.id) {
        return Err(WorkspaceError::SlugTaken);
    }
    if slug == workspace.slug {
        return Ok(());
    }
    workspace.former_slugs.retain(|former| *former != slug);
    if workspace.former_slugs.len() >= caps::FORMER_SLUGS_MAX {
        return Err(WorkspaceError::FormerSlugs);
    }
    workspace.former_slugs.push(std::mem::replace(&mut workspace.slug, slug));
    workspace.former_slugs.sort();
    Ok(())
}

fn check_workspace_name(name: &str) -> Result<(), WorkspaceError> {
    if is_printable(name, 1, caps::NAME_MAX_CHARS) && !name.trim().is_empty() {
        Ok(())
    } else {
        Err(WorkspaceError::Name)
    }
}

/// Restricting unless it is certain that nothing is taken away: another plan may have lower limits.
fn workspace_effect(before: &Workspace, after: &Workspace) -> Effect {
    let suspended = before.suspended_at.is_none() && after.suspended_at.is_some();
    let permissions_shrink = !before.policy.allowed_permissions.is_subset(after.policy.allowed_permissions);
    if suspended
        || permissions_shrink
        || before.plan != after.plan
        || before.policy.lease > after.policy.lease
        || lives_shrink(&before.policy, &after.policy)
        || (before.policy.networks != after.policy.networks && !after.policy.networks.is_empty())
    {
        Effect::Restricting
    } else {
        Effect::Loosening
    }
}

/// Whether some key may end earlier.
fn lives_shrink(before: &WorkspacePolicy, after: &WorkspacePolicy) -> bool {
    let (old, new) = (KeyLife::from(before), KeyLife::from(after));
    let is_shorter = new.max_days.is_some_and(|days| old.max_days.is_none_or(|before| days < before));
    // Which of two periods is the longer one depends on the month.
    let rotation_changes = new.enforced_rotation.is_some() && old.enforced_rotation != new.enforced_rotation;
    is_shorter || rotation_changes
}

fn workspace_differences(before: &Workspace, after: &Workspace) -> Vec<FieldChange> {
    let suspended = |workspace: &Workspace| Some(workspace.suspended_at.is_some().to_string());
    let slug = |workspace: &Workspace| Some(workspace.slug.as_str().to_owned());
    let mut fields = vec![
        change("slug", slug(before), slug(after)),
        change("name", Some(before.name.clone()), Some(after.name.clone())),
        change("plan", Some(before.plan.clone()), Some(after.plan.clone())),
        change("suspended", suspended(before), suspended(after)),
    ];
    fields.extend(policy_fields(&before.policy, &after.policy));
    fields.retain(|field| field.before != field.after);
    fields
}

fn policy_fields(before: &WorkspacePolicy, after: &WorkspacePolicy) -> [FieldChange; 14] {
    let pair = |field: &str, text: &dyn Fn(&WorkspacePolicy) -> Option<String>| {
        change(field, text(before), text(after))
    };
    [
        pair("policy.rotation", &|policy| Some(format!("{:?}", policy.rotation))),
        pair("policy.overlap_seconds", &|policy| Some(policy.overlap_seconds.to_string())),
        pair("policy.max_key_days", &|policy| policy.max_key_days.map(|days| days.to_string())),
        pair("policy.allowed_permissions", &|policy| Some(policy.allowed_permissions.describe())),
        pair("policy.default_permissions", &|policy| Some(policy.default_permissions.describe())),
        pair("policy.max_keys", &|policy| Some(policy.max_keys.to_string())),
        pair("policy.self_service", &|policy| Some(policy.self_service.to_string())),
        pair("policy.lease_seconds", &|policy| Some(policy.lease.seconds().to_string())),
        pair("policy.wait_seconds", &|policy| Some(policy.wait.seconds().to_string())),
        pair("policy.atomic_revocation", &|policy| Some(policy.atomic.to_string())),
        pair("policy.rotation_mode", &|policy| Some(format!("{:?}", policy.rotation_mode).to_lowercase())),
        pair("policy.idle_days", &|policy| policy.idle_days.map(|days| days.to_string())),
        pair("policy.idle_action", &|policy| Some(format!("{:?}", policy.idle_action).to_lowercase())),
        pair("policy.allowed_ips", &|policy| Some(describe_networks(&policy.networks))),
    ]
}

fn describe_networks(networks: &[IpNet]) -> String {
    networks.iter().map(IpNet::to_string).collect::<Vec<_>>().join(", ")
}

/// Makes `user` a member of `workspace`.
pub fn create_membership(
    user: &User,
    workspace: &Workspace,
    role: Role,
    now: Timestamp,
) -> Decided<Membership> {
    Decided {
        value: Membership {
            number: MembershipNumber::default(),
            workspace: workspace.id,
            principal: Principal::User(user.id),
            role,
            narrowed_to: None,
            created_at: now,
            disabled_at: None,
            ended_at: None,
        },
        effect: Effect::Loosening,
        action: "member.created",
        // No name, no address: personal data stays out of the chain.
        fields: vec![created("role", role.as_str())],
    }
}

/// Creates the plan, or replaces `before`; the installation has `count` plans.
///
/// # Errors
/// [`PlanError::Name`], [`PlanError::Limits`], [`PlanError::TooMany`].
pub fn put_plan(plan: Plan, before: Option<&Plan>, count: usize) -> Result<Decided<Plan>, PlanError> {
    plan.check()?;
    let Some(before) = before else {
        if count >= caps::PLANS_MAX {
            return Err(PlanError::TooMany);
        }
        let fields = vec![
            created("description", &plan.description),
            created("key_limits", &describe_windows(&plan.key_limits)),
            created("workspace_limits", &describe_windows(&plan.workspace_limits)),
        ];
        return Ok(Decided { value: plan, effect: Effect::Loosening, action: "plan.created", fields });
    };
    let windows = |windows: &[LimitWindow]| Some(describe_windows(windows));
    let mut fields = vec![
        change("description", Some(before.description.clone()), Some(plan.description.clone())),
        change("key_limits", windows(&before.key_limits), windows(&plan.key_limits)),
        change("workspace_limits", windows(&before.workspace_limits), windows(&plan.workspace_limits)),
    ];
    fields.retain(|field| field.before != field.after);
    let limits_change =
        before.key_limits != plan.key_limits || before.workspace_limits != plan.workspace_limits;
    let effect = match (fields.is_empty(), limits_change) {
        (true, _) => Effect::None,
        (false, true) => Effect::Restricting,
        (false, false) => Effect::Loosening,
    };
    Ok(Decided { value: plan, effect, action: "plan.updated", fields })
}

/// Deletes the plan found under `name`; `workspaces` are on it.
///
/// # Errors
/// [`PlanError::Unknown`], [`PlanError::Builtin`], [`PlanError::InUse`].
pub fn delete_plan(name: &str, found: Option<Plan>, workspaces: u64) -> Result<Decided<Plan>, PlanError> {
    let plan = found.ok_or_else(|| PlanError::Unknown(name.to_owned()))?;
    if Plan::builtin().iter().any(|builtin| builtin.name == plan.name) {
        return Err(PlanError::Builtin(plan.name));
    }
    if workspaces > 0 {
        return Err(PlanError::InUse(plan.name));
    }
    Ok(Decided { value: plan, effect: Effect::Loosening, action: "plan.deleted", fields: Vec::new() })
}

fn describe_windows(windows: &[LimitWindow]) -> String {
    windows.iter().map(LimitWindow::describe).collect::<Vec<_>>().join(", ")
}

/// Adds a permission to `catalogue`, or changes its description. `None`: the catalogue is full.
pub fn put_permission(
    name: PermissionName,
    description: String,
    catalogue: &Catalogue,
) -> Option<Decided<CatalogueEntry>> {
    let before = catalogue.entries().find(|entry| entry.name == name);
    let Some(before) = before else {
        let bit = catalogue.free_bit()?;
        let fields = vec![created("bit", &bit.to_string()), created("description", &description)];
        return Some(Decided {
            value: CatalogueEntry { bit, name, description },
            effect: Effect::Loosening,
            action: "permission.created",
            fields,
        });
    };
    let changed = before.description != description;
    let field = change("description", Some(before.description.clone()), Some(description.clone()));
    Some(Decided {
        value: CatalogueEntry { description, ..before.clone() },
        effect: if changed { Effect::Loosening } else { Effect::None },
        action: "permission.updated",
        fields: Vec::from_iter(changed.then_some(field)),
    })
}

/// Creates an operator credential.
///
/// # Errors
/// [`OperatorError::Name`].
pub fn create_operator(
    new: NewOperator,
    now: Timestamp,
) -> Result<Decided<OperatorCredential>, OperatorError> {
    if !is_printable(&new.name, 1, caps::NAME_MAX_CHARS) || new.name.trim().is_empty() {
        return Err(OperatorError::Name);
    }
    let fields = vec![created("name", &new.name), created("hint", &new.secret.hint)];
    let secret = KeySecret {
        id: new.secret.id,
        ordinal: 1,
        locator: new.secret.locator,
        hint: new.secret.hint,
        digest: new.secret.digest,
        created_at: now,
        expires_at: None,
        retired_at: None,
    };
    Ok(Decided {
        value: OperatorCredential { id: new.id, name: new.name, secret, created_at: now, revoked_at: None },
        effect: Effect::Loosening,
        action: "operator.created",
        fields,
    })
}

/// Revokes the credential that was found; `active` credentials are not revoked.
///
/// # Errors
/// [`OperatorError::NotFound`], [`OperatorError::Last`].
pub fn revoke_operator(
    found: Option<OperatorCredential>,
    active: u64,
    now: Timestamp,
) -> Result<Decided<OperatorCredential>, OperatorError> {
    let mut operator = found.ok_or(OperatorError::NotFound)?;
    let effect = if operator.revoked_at.is_some() {
        Effect::None
    } else if active <= 1 {
        return Err(OperatorError::Last);
    } else {
        operator.revoked_at = Some(now);
        Effect::Restricting
    };
    Ok(Decided { value: operator, effect, action: "operator.revoked", fields: Vec::new() })
}

pub(crate) fn change(field: &str, before: Option<String>, after: Option<String>) -> FieldChange {
    FieldChange { field: field.to_owned(), before, after }
}

fn created(field: &str, after: &str) -> FieldChange {
    change(field, None, Some(after.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::WorkspaceId,
        lease::LeaseTerm,
        limits::Algorithm,
        permission::PermissionSet,
        time::Period,
        workspace::{IdleAction, RotationMode, RotationPolicy},
    };

    const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

    fn workspace() -> Workspace {
        let new = NewWorkspace {
            id: WorkspaceId::from_bytes([1; 16]),
            slug: Slug::parse("acme").unwrap(),
            name: "Acme".to_owned(),
            plan: "standard".to_owned(),
            policy: WorkspacePolicy::default(),
        };
        create_workspace(new, Some(&Plan::builtin()[0]), None, NOW).unwrap().value
    }

    fn with_lease(before: &Workspace, lease: LeaseTerm) -> Decided<Workspace> {
        let policy = Some(WorkspacePolicy { lease, ..before.policy.clone() });
        patch_workspace(before, WorkspacePatch { policy, ..WorkspacePatch::default() }, None, None, NOW)
            .unwrap()
    }

    #[test]
    fn a_raise_of_the_lease_is_waited_for_at_once() {
        for lease in [LeaseTerm::Standard, LeaseTerm::Long] {
            let raised = with_lease(&workspace(), lease);
            assert_eq!((raised.value.policy.lease, raised.value.policy.wait), (lease, lease));
            assert_ne!(raised.effect, Effect::Restricting);
        }
    }

    #[test]
    fn a_cut_of_the_lease_is_waited_for_as_before_until_it_is_settled() {
        let before = with_lease(&workspace(), LeaseTerm::Long).value;
        let cut = with_lease(&before, LeaseTerm::Short);
        assert_eq!((cut.value.policy.lease, cut.value.policy.wait), (LeaseTerm::Short, LeaseTerm::Long));
        assert_eq!(cut.effect, Effect::Restricting);
        let lower = with_lease(&cut.value, LeaseTerm::ReadThrough).value;
        assert_eq!((lower.policy.lease, lower.policy.wait), (LeaseTerm::ReadThrough, LeaseTerm::Long));
        let back = with_lease(&lower, LeaseTerm::Standard).value;
        assert_eq!((back.policy.lease, back.policy.wait), (LeaseTerm::Standard, LeaseTerm::Long));
        let settled = settle_lease(&lower, lower.policy.lease_version);
        assert_eq!(settled.value.policy.wait, LeaseTerm::ReadThrough);
        assert_eq!((settled.effect, settled.action), (Effect::Loosening, "workspace.lease_settled"));
        assert_eq!(settle_lease(&settled.value, lower.policy.lease_version).effect, Effect::None);
        // Whoever heard of the first cut only can say nothing about the second.
        assert_eq!(settle_lease(&lower, cut.value.policy.lease_version).effect, Effect::None);
        let renamed = WorkspacePatch { name: Some("Acme Inc.".to_owned()), ..WorkspacePatch::default() };
        let renamed = patch_workspace(&lower, renamed, None, None, NOW).unwrap().value;
        assert_eq!(renamed.policy.wait, LeaseTerm::Long, "no other change settles it");
    }

    #[test]
    fn nobody_sets_what_is_waited_for() {
        let before = with_lease(&with_lease(&workspace(), LeaseTerm::Long).value, LeaseTerm::Short).value;
        let policy = Some(WorkspacePolicy { wait: LeaseTerm::ReadThrough, ..before.policy.clone() });
        let patch = WorkspacePatch { policy, ..WorkspacePatch::default() };
        let after = patch_workspace(&before, patch, None, None, NOW).unwrap().value;
        assert_eq!(after.policy.wait, LeaseTerm::Long);
    }

    #[test]
    fn what_takes_something_away_from_a_workspace_restricts() {
        let narrowed = WorkspacePolicy {
            allowed_permissions: PermissionSet::EMPTY.with(1),
            ..WorkspacePolicy::default()
        };
        let roomier = WorkspacePolicy { max_keys: 7, ..WorkspacePolicy::default() };
        let patch = WorkspacePatch::default;
        let plan = Some("unlimited".to_owned());
        let cases = [
            (patch(), Effect::None),
            (WorkspacePatch { suspended: Some(false), ..patch() }, Effect::None),
            (WorkspacePatch { suspended: Some(true), ..patch() }, Effect::Restricting),
            (WorkspacePatch { plan, ..patch() }, Effect::Restricting),
            (WorkspacePatch { policy: Some(narrowed), ..patch() }, Effect::Restricting),
            (WorkspacePatch { policy: Some(roomier), ..patch() }, Effect::Loosening),
        ];
        for (patch, effect) in cases {
            let text = format!("{patch:?}");
            let decided = patch_workspace(&workspace(), patch, Some(&Plan::builtin()[2]), None, NOW).unwrap();
            assert_eq!(decided.effect, effect, "{text}");
            assert_eq!(decided.fields.is_empty(), effect == Effect::None, "{text}");
        }
    }

    #[test]
    fn what_a_policy_takes_away_restricts() {
        let base = || WorkspacePolicy { max_key_days: Some(90), ..WorkspacePolicy::default() };
        let enforced = || WorkspacePolicy { rotation_mode: RotationMode::Enforce, ..base() };
        let networks = |text: &str| vec![text.parse().unwrap()];
        let monthly = RotationPolicy { ci: Some(Period::Months(1)), ..RotationPolicy::default() };
        for (before, after, effect) in [
            (base(), WorkspacePolicy { max_key_days: Some(89), ..base() }, Effect::Restricting),
            (base(), WorkspacePolicy { max_key_days: Some(91), ..base() }, Effect::Loosening),
            (base(), WorkspacePolicy { max_key_days: None, ..base() }, Effect::Loosening),
            (WorkspacePolicy { max_key_days: None, ..base() }, base(), Effect::Restricting),
            (base(), WorkspacePolicy { rotation: monthly, ..base() }, Effect::Loosening),
            (base(), enforced(), Effect::Restricting),
            (enforced(), WorkspacePolicy { rotation: monthly, ..enforced() }, Effect::Restricting),
            (enforced(), base(), Effect::Loosening),
            (base(), WorkspacePolicy { networks: networks("10.0.0.0/8"), ..base() }, Effect::Restricting),
            (WorkspacePolicy { networks: networks("10.0.0.0/8"), ..base() }, base(), Effect::Loosening),
            (
                base(),
                WorkspacePolicy { idle_days: Some(30), idle_action: IdleAction::Disable, ..base() },
                Effect::Loosening,
            ),
        ] {
            let workspace = Workspace { policy: before, ..workspace() };
            let text = format!("{after:?}");
            let patch = WorkspacePatch { policy: Some(after), ..WorkspacePatch::default() };
            let decided = patch_workspace(&workspace, patch, None, None, NOW).unwrap();
            assert_eq!(decided.effect, effect, "{text}");
            assert_eq!(decided.fields.len(), if text.contains("Disable") { 2 } else { 1 }, "{text}");
        }
    }

    #[test]
    fn a_slug_that_was_given_up_stays_with_the_workspace() {
        let slug = |text: &str| Slug::parse(text).unwrap();
        let rename = |before: &Workspace, to: &str, namesake: Option<&Workspace>| {
            let patch = WorkspacePatch { slug: Some(slug(to)), ..WorkspacePatch::default() };
            patch_workspace(before, patch, None, namesake, NOW)
        };
        let acme = workspace();
        let renamed = rename(&acme, "zeta", None).unwrap();
        assert_eq!(renamed.effect, Effect::Loosening, "the old slug goes on working");
        assert_eq!((&renamed.value.slug, &renamed.value.former_slugs), (&slug("zeta"), &vec![slug("acme")]));
        assert!(renamed.value.answers_to(&slug("acme")) && renamed.value.answers_to(&slug("zeta")));
        let back = rename(&renamed.value, "acme", Some(&renamed.value)).unwrap().value;
        assert_eq!((back.slug.as_str(), back.former_slugs.as_slice()), ("acme", &[slug("zeta")][..]));
        assert_eq!(rename(&back, "acme", Some(&back)).unwrap().effect, Effect::None);
        let other = Workspace { id: WorkspaceId::from_bytes([2; 16]), ..workspace() };
        assert_eq!(rename(&other, "zeta", Some(&back)).unwrap_err(), WorkspaceError::SlugTaken);
        let mut many = acme;
        for number in 0..caps::FORMER_SLUGS_MAX {
            many = rename(&many, &format!("s{number}"), None).unwrap().value;
        }
        assert_eq!(rename(&many, "one-more", None).unwrap_err(), WorkspaceError::FormerSlugs);
        assert!(rename(&many, "s0", Some(&many)).is_ok(), "one that it had is not one more");
    }

    #[test]
    fn names_have_both_limits() {
        let named = |name: String| WorkspacePatch { name: Some(name), ..WorkspacePatch::default() };
        for (name, good) in [
            (String::new(), false),
            ("x".to_owned(), true),
            ("x".repeat(64), true),
            ("x".repeat(65), false),
            (" ".to_owned(), false),
        ] {
            let answer = patch_workspace(&workspace(), named(name.clone()), None, None, NOW);
            assert_eq!(answer.is_ok(), good, "{name:?}");
        }
    }

    #[test]
    fn plans() {
        let mut plan = Plan::builtin()[0].clone();
        plan.name = "gold".to_owned();
        assert_eq!(put_plan(plan.clone(), None, 99).unwrap().effect, Effect::Loosening);
        assert_eq!(put_plan(plan.clone(), None, 100).unwrap_err(), PlanError::TooMany);
        assert_eq!(put_plan(plan.clone(), Some(&plan), 100).unwrap().effect, Effect::None);
        let mut other = plan.clone();
        other.description = "Better.".to_owned();
        assert_eq!(put_plan(other, Some(&plan), 3).unwrap().effect, Effect::Loosening);
        let mut other = plan.clone();
        other.key_limits[0].algorithm = Algorithm::Smooth;
        assert_eq!(put_plan(other, Some(&plan), 3).unwrap().effect, Effect::Restricting);

        assert_eq!(delete_plan("gold", None, 0).unwrap_err(), PlanError::Unknown("gold".to_owned()));
        assert!(matches!(delete_plan("gold", Some(plan.clone()), 1), Err(PlanError::InUse(_))));
        assert!(delete_plan("gold", Some(plan), 0).is_ok());
        let builtin = Plan::builtin()[1].clone();
        assert!(matches!(delete_plan("enterprise", Some(builtin), 0), Err(PlanError::Builtin(_))));
    }

    #[test]
    fn a_full_catalogue_takes_descriptions_only() {
        let mut catalogue = Catalogue::default();
        let name = |bit: u8| PermissionName::parse(&format!("r:a{bit}")).unwrap();
        for bit in 0..=254 {
            let decided = put_permission(name(bit), String::new(), &catalogue).unwrap();
            assert_eq!(decided.value.bit, bit);
            catalogue.insert(decided.value);
        }
        catalogue.insert(put_permission(name(255), String::new(), &catalogue).unwrap().value);
        let extra = PermissionName::parse("x:y").unwrap();
        assert!(put_permission(extra, String::new(), &catalogue).is_none());
        let again = put_permission(name(9), "New.".to_owned(), &catalogue).unwrap();
        assert_eq!((again.value.bit, again.effect), (9, Effect::Loosening));
        assert_eq!(put_permission(name(9), String::new(), &catalogue).unwrap().effect, Effect::None);
    }
}
