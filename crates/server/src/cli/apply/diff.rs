//! What has to change so that the installation is what the file says: steps in an order that holds together.
//!
//! First what others build on (permissions, plans, workspaces), then what gives, then keys, and last what takes something
//! away, each with the server's receipt. Nothing here talks to a server.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    super::{connection::path, session::Change},
    file::{Key, Plan, Wanted, Workspace},
    people,
    present::{Present, text},
    wanted,
};
use crate::failure::{Exit, Failure};

/// What a step does to a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Add,
    Change,
    Remove,
}

impl Action {
    pub(super) const fn sign(self) -> char {
        match self {
            Self::Add => '+',
            Self::Change => '~',
            Self::Remove => '-',
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Change => "change",
            Self::Remove => "remove",
        }
    }
}

/// When a step is carried out: in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Permissions,
    NewPlans,
    NewWorkspaces,
    NewAccounts,
    Withdrawn,
    Invitations,
    Giving,
    NewKeys,
    Taking,
    RemovedKeys,
    RemovedPeople,
    RemovedWorkspaces,
    RemovedPlans,
}

/// A member of a thing, before and after.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) before: Value,
    pub(super) after: Value,
}

/// One call.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) phase: Phase,
    pub(super) action: Action,
    /// `plan gold`, `key acme/web`.
    pub(super) what: String,
    pub(super) fields: Vec<Field>,
    pub(super) change: Change,
    /// For a key that is created, or somebody who is invited: workspace and name, under which the secret or the link is
    /// handed over.
    pub(super) issues: Option<(String, String)>,
    /// The service account that the body names, which may be created by an earlier step: the member of the body, the
    /// workspace, and its identity.
    pub(super) account: Option<(&'static str, String, String)>,
    /// Whether what is created is switched off right away.
    pub(super) turns_off: bool,
}

impl Step {
    pub(super) fn new(phase: Phase, action: Action, what: String, change: Change) -> Self {
        let (fields, issues, account) = (Vec::new(), None, None);
        Self { phase, action, what, fields, change, issues, account, turns_off: false }
    }

    pub(super) fn with(self, fields: Vec<Field>) -> Self {
        Self { fields, ..self }
    }
}

/// Whether what the file does not name is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prune {
    No,
    Yes,
}

/// The keys of each workspace of the file that says anything about keys, by its slug in the file and by their names.
pub(super) type PresentKeys = BTreeMap<String, BTreeMap<String, Value>>;

/// The steps, in order.
///
/// # Errors
/// When the file asks for what can not be done, such as another environment of a key.
pub(super) fn steps(
    wanted: &Wanted,
    present: &Present,
    keys: &PresentKeys,
    prune: Prune,
) -> Result<Vec<Step>, Failure> {
    let mut steps = Vec::new();
    for (name, description) in &wanted.permissions {
        steps.extend(permission(name, description, present));
    }
    for (name, plan) in &wanted.plans {
        steps.extend(plan_step(name, plan, present));
    }
    let none = BTreeMap::new();
    for (slug, workspace) in &wanted.workspaces {
        let of_keys = keys.get(slug).unwrap_or(&none);
        workspace_steps(slug, workspace, present, &mut steps)?;
        people::steps(slug, workspace, present, prune, &mut steps);
        key_steps(slug, workspace, present, of_keys, &mut steps)?;
        if prune == Prune::Yes {
            removed_keys(slug, workspace, of_keys, &mut steps);
        }
    }
    if prune == Prune::Yes {
        removed(wanted, present, &mut steps);
    }
    steps.sort_by_key(|step| step.phase);
    Ok(steps)
}

fn permission(name: &str, description: &str, present: &Present) -> Option<Step> {
    let before = present.permissions.get(name);
    let body = json!({"description": description});
    let change = Change::put(path(&["v1", "permissions", name]), body.clone());
    let what = format!("permission {name}");
    let Some(before) = before else {
        return Some(Step::new(Phase::Permissions, Action::Add, what, change));
    };
    let fields = differences(&body, before, "");
    (!fields.is_empty()).then(|| Step::new(Phase::Permissions, Action::Change, what, change).with(fields))
}

fn plan_step(name: &str, plan: &Plan, present: &Present) -> Option<Step> {
    let before = present.plans.get(name);
    // The call replaces the plan as a whole.
    let description = plan.description.clone().or_else(|| before.map(|before| text(before, "description")));
    let body = wanted::plan(plan, description.as_deref().unwrap_or_default());
    let change = Change::put(path(&["v1", "plans", name]), body.clone());
    let what = format!("plan {name}");
    let Some(before) = before else {
        return Some(Step::new(Phase::NewPlans, Action::Add, what, change));
    };
    let fields = differences(&body, before, "");
    let takes = fields.iter().any(|field| field.name != "description");
    let phase = if takes { Phase::Taking } else { Phase::Giving };
    (!fields.is_empty()).then(|| Step::new(phase, Action::Change, what, change).with(fields))
}

fn workspace_steps(
    slug: &str,
    workspace: &Workspace,
    present: &Present,
    steps: &mut Vec<Step>,
) -> Result<(), Failure> {
    let what = format!("workspace {slug}");
    let body = wanted::workspace(workspace);
    let place = path(&["v1", "workspaces", slug]);
    let Some(before) = present.workspace(slug) else {
        let mut new = body;
        let suspended = new.remove("suspended");
        new.insert("slug".to_owned(), json!(slug));
        let change = Change::post("/v1/workspaces".to_owned(), Value::Object(new));
        steps.push(Step::new(Phase::NewWorkspaces, Action::Add, what.clone(), change));
        if suspended == Some(json!(true)) {
            let change = Change::patch(place, json!({"suspended": true}));
            let fields = vec![field("suspended", json!(false), json!(true))];
            steps.push(Step::new(Phase::Taking, Action::Change, what, change).with(fields));
        }
        return Ok(());
    };
    if before["deleted"] == true {
        return Err(Failure::new(
            Exit::Negative,
            format!("workspace {slug} is deleted, and the file wants it"),
        )
        .remedy(format!("Restore it first: keywright workspaces restore {slug}")));
    }
    let fields = differences(&Value::Object(body), before, "");
    let (giving, taking): (Vec<_>, Vec<_>) = fields.into_iter().partition(gives);
    for (phase, fields) in [(Phase::Giving, giving), (Phase::Taking, taking)] {
        if !fields.is_empty() {
            let change = Change::patch(place.clone(), body_of(&fields));
            steps.push(Step::new(phase, Action::Change, what.clone(), change).with(fields));
        }
    }
    Ok(())
}

/// Whether it is certain that the change takes nothing away from any key.
fn gives(field: &Field) -> bool {
    let (before, after) = (&field.before, &field.after);
    match field.name.as_str() {
        "name"
        | "policy.overlap_seconds"
        | "policy.default_permissions"
        | "policy.max_keys"
        | "policy.self_service"
        | "policy.idle_days"
        | "policy.idle_action"
        | "policy.atomic_revocation" => true,
        "suspended" => after == &json!(false),
        "policy.rotation_mode" => after == "warn",
        "policy.allowed_permissions" => after.is_null(),
        "policy.allowed_ips" => after == &json!([]),
        "policy.max_key_days" => match (before.as_u64(), after.as_u64()) {
            (_, None) => true,
            (Some(before), Some(after)) => after > before,
            (None, Some(_)) => false,
        },
        "policy.lease_seconds" => after.as_u64() > before.as_u64(),
        _ => false,
    }
}

fn key_steps(
    slug: &str,
    workspace: &Workspace,
    around: &Present,
    present: &BTreeMap<String, Value>,
    steps: &mut Vec<Step>,
) -> Result<(), Failure> {
    for (name, key) in workspace.keys.iter().flatten() {
        let what = format!("key {slug}/{name}");
        let mut body = wanted::key(key).map_err(|reason| {
            Failure::new(Exit::Arguments, format!("workspaces.{slug}.keys.{name}: {reason}"))
        })?;
        let disabled = body.remove("disabled");
        let Some(before) = present.get(name) else {
            body.insert("name".to_owned(), json!(name));
            body.retain(|_, value| !value.is_null());
            let change = Change::post(path(&["v1", "workspaces", slug, "keys"]), Value::Object(body));
            let mut step = Step::new(Phase::NewKeys, Action::Add, what, change);
            step.issues = Some((slug.to_owned(), name.clone()));
            step.account = owner(slug, key, "service_account");
            if disabled == Some(json!(true)) {
                step.fields.push(field("disabled", json!(false), json!(true)));
                step.turns_off = true;
            }
            steps.push(step);
            continue;
        };
        if body.get("environment") != before.get("environment") {
            let text = format!("{what} is a key for {}, which never changes", text(before, "environment"));
            return Err(Failure::new(Exit::Negative, text)
                .remedy("Name the key differently in the file: a new one is created then."));
        }
        body.remove("environment");
        steps.extend(handed_over(slug, &what, key, around, before));
        change_key(slug, &what, &body, disabled.as_ref(), before, steps);
    }
    Ok(())
}

/// The service account that the file names as the owner of a key.
fn owner(slug: &str, key: &Key, member: &'static str) -> Option<(&'static str, String, String)> {
    key.service_account.as_ref().map(|identity| (member, slug.to_owned(), identity.to_lowercase()))
}

/// A key that is there and belongs to somebody else.
fn handed_over(slug: &str, what: &str, key: &Key, around: &Present, before: &Value) -> Option<Step> {
    let account = owner(slug, key, "to")?;
    let identity = account.2.clone();
    let id = around.service_account(slug, &identity).map(|account| text(account, "id"));
    let owner_now = text(&before["created_by"], "id");
    if id.is_some_and(|id| id == owner_now) {
        return None;
    }
    let place = path(&["v1", "workspaces", slug, "keys", &text(before, "id"), "hand-over"]);
    let change = Change::post(place, json!({}));
    let fields = vec![field("service_account", json!(owner_now), json!(identity))];
    let mut step = Step::new(Phase::Taking, Action::Change, what.to_owned(), change).with(fields);
    step.account = Some(account);
    Some(step)
}

fn change_key(
    slug: &str,
    what: &str,
    body: &Map<String, Value>,
    disabled: Option<&Value>,
    before: &Value,
    steps: &mut Vec<Step>,
) {
    let id = text(before, "id");
    let place = |end: &[&str]| path(&[&["v1", "workspaces", slug, "keys", &id], end].concat());
    let fields = differences(&Value::Object(body.clone()), before, "");
    if !fields.is_empty() {
        let harmless = ["purpose", "external_id", "metadata"];
        let takes = fields.iter().any(|field| !harmless.contains(&field.name.as_str()));
        let phase = if takes { Phase::Taking } else { Phase::Giving };
        let change = Change::patch(place(&[]), body_of(&fields));
        steps.push(Step::new(phase, Action::Change, what.to_owned(), change).with(fields));
    }
    let is_disabled = before["status"] == "disabled";
    if let Some(wanted) = disabled.and_then(Value::as_bool).filter(|wanted| *wanted != is_disabled) {
        let (phase, end) = if wanted { (Phase::Taking, "disable") } else { (Phase::Giving, "enable") };
        let change = Change::post(place(&[end]), json!({}));
        let fields = vec![field("disabled", json!(is_disabled), json!(wanted))];
        steps.push(Step::new(phase, Action::Change, what.to_owned(), change).with(fields));
    }
}

fn removed_keys(slug: &str, workspace: &Workspace, present: &BTreeMap<String, Value>, steps: &mut Vec<Step>) {
    let Some(wanted) = &workspace.keys else { return };
    for (name, key) in present.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
        let place = path(&["v1", "workspaces", slug, "keys", &text(key, "id"), "revoke"]);
        let change = Change::post(place, json!({"reason": "not in the declarative file"}));
        let what = format!("key {slug}/{name}");
        steps.push(Step::new(Phase::RemovedKeys, Action::Remove, what, change));
    }
}

/// Workspaces and plans that the file does not name. Of built-in plans and of permissions nothing is ever removed.
fn removed(wanted: &Wanted, present: &Present, steps: &mut Vec<Step>) {
    let builtin = keywright_domain::plan::Plan::builtin();
    for (slug, workspace) in &present.workspaces {
        let is_wanted = wanted
            .workspaces
            .keys()
            .any(|name| present.workspace(name).is_some_and(|found| found["id"] == workspace["id"]));
        if !is_wanted && workspace["deleted"] != true {
            let place = format!("{}?confirm={slug}", path(&["v1", "workspaces", slug]));
            let what = format!("workspace {slug}");
            let step = Step::new(Phase::RemovedWorkspaces, Action::Remove, what, Change::delete(place));
            steps.push(step);
        }
    }
    for name in present.plans.keys() {
        let stays = wanted.plans.contains_key(name) || builtin.iter().any(|plan| plan.name == *name);
        if !stays {
            let change = Change::delete(path(&["v1", "plans", name]));
            steps.push(Step::new(Phase::RemovedPlans, Action::Remove, format!("plan {name}"), change));
        }
    }
}

pub(super) fn field(name: &str, before: Value, after: Value) -> Field {
    Field { name: name.to_owned(), before, after }
}

/// The members of `wanted` that `present` has otherwise. Members of `policy` and `rotation` one by one; lists of names
/// whatever their order.
pub(super) fn differences(wanted: &Value, present: &Value, prefix: &str) -> Vec<Field> {
    let mut fields = Vec::new();
    for (name, after) in wanted.as_object().into_iter().flatten() {
        let before = present.get(name).unwrap_or(&Value::Null);
        let full = format!("{prefix}{name}");
        if ["policy", "policy.rotation"].contains(&full.as_str()) {
            fields.extend(differences(after, before, &format!("{full}.")));
        } else if !is_same(name, before, after) {
            fields.push(Field { name: full, before: before.clone(), after: after.clone() });
        }
    }
    fields
}

fn is_same(name: &str, before: &Value, after: &Value) -> bool {
    const SETS: [&str; 4] = ["permissions", "allowed_permissions", "default_permissions", "allowed_ips"];
    match (before, after) {
        (Value::Array(before), Value::Array(after)) if SETS.contains(&name) => {
            let sorted = |list: &[Value]| {
                let mut texts: Vec<String> = list.iter().map(Value::to_string).collect();
                texts.sort();
                texts.dedup();
                texts
            };
            sorted(before) == sorted(after)
        }
        (before, after) => before == after,
    }
}

/// A body that sets these fields; a name with points is a member of members.
pub(super) fn body_of(fields: &[Field]) -> Value {
    let mut body = json!({});
    for field in fields {
        let mut place = &mut body;
        for part in field.name.split('.') {
            place = &mut place[part];
        }
        *place = field.after.clone();
    }
    body
}
