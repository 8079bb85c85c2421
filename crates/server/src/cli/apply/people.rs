//! Members and service accounts of the declarative file.
//!
//! Members are found by the address that they sign in with, service accounts by their identity. Nobody becomes a member by a
//! file: whoever is named and not there yet is invited, and counts as named while the invitation waits.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{
    super::{connection::path, session::Change},
    diff::{Action, Phase, Prune, Step, body_of, differences, field},
    file::{ListOrAll, Member, ServiceAccount, Workspace},
    present::{Present, text},
};

/// The steps about people and service accounts of a workspace.
pub(super) fn steps(
    slug: &str,
    workspace: &Workspace,
    present: &Present,
    prune: Prune,
    steps: &mut Vec<Step>,
) {
    for (identity, account) in workspace.service_accounts.iter().flatten() {
        service_account(slug, identity, account, present, steps);
    }
    for (email, member) in workspace.members.iter().flatten() {
        member_steps(slug, email, member, present, steps);
    }
    if prune == Prune::Yes {
        removed(slug, workspace, present, steps);
    }
}

/// A member who has another role or other permissions than the file says, or who is not there yet.
fn member_steps(slug: &str, email: &str, member: &Member, present: &Present, steps: &mut Vec<Step>) {
    let address = email.to_lowercase();
    let mut body = Map::from_iter([("role".to_owned(), json!(member.role))]);
    put_permissions(&mut body, member.permissions.as_ref());
    let find = |all: &BTreeMap<String, BTreeMap<String, Value>>| {
        all.get(slug).and_then(|of_workspace| of_workspace.get(&address)).cloned()
    };
    let Some(before) = find(&present.members) else {
        return invitation_steps(slug, email, body, find(&present.invitations).as_ref(), steps);
    };
    let fields = differences(&Value::Object(body), &before, "");
    if !fields.is_empty() {
        let place = path(&["v1", "workspaces", slug, "members", &text(&before, "id")]);
        let change = Change::patch(place, body_of(&fields));
        let what = format!("member {slug}/{email}");
        steps.push(Step::new(Phase::Taking, Action::Change, what, change).with(fields));
    }
}

/// Somebody to be invited; an invitation to something else is withdrawn before, and one whose link has ended is sent again.
fn invitation_steps(
    slug: &str,
    email: &str,
    mut body: Map<String, Value>,
    waiting: Option<&Value>,
    steps: &mut Vec<Step>,
) {
    let place = |end: &[&str]| path(&[&["v1", "workspaces", slug, "invitations"], end].concat());
    let sent = |action, change| {
        let step = Step::new(Phase::Invitations, action, format!("invitation {slug}/{email}"), change);
        Step { issues: Some((slug.to_owned(), email.to_owned())), ..step }
    };
    if let Some(waiting) = waiting {
        let id = text(waiting, "id");
        if differences(&Value::Object(body.clone()), waiting, "").is_empty() {
            if waiting["is_over"] == true {
                steps.push(sent(Action::Change, Change::post(place(&[&id, "resend"]), json!({}))));
            }
            return;
        }
        let what = format!("invitation {slug}/{email}");
        steps.push(Step::new(Phase::Withdrawn, Action::Remove, what, Change::delete(place(&[&id]))));
    }
    body.retain(|_, value| !value.is_null());
    body.insert("email".to_owned(), json!(email));
    steps.push(sent(Action::Add, Change::post(place(&[]), json!({"invitations": [body]}))));
}

fn put_permissions(body: &mut Map<String, Value>, permissions: Option<&ListOrAll>) {
    if let Some(ListOrAll(list)) = permissions {
        body.insert("permissions".to_owned(), json!(list));
    }
}

fn service_account(
    slug: &str,
    identity: &str,
    account: &ServiceAccount,
    present: &Present,
    steps: &mut Vec<Step>,
) {
    let what = format!("service account {slug}/{identity}");
    let mut body = Map::from_iter([("name".to_owned(), json!(account.name))]);
    for (name, value) in
        [("purpose", &account.purpose), ("owning_team", &account.owning_team), ("role", &account.role)]
    {
        if let Some(value) = value {
            body.insert(name.to_owned(), json!(value));
        }
    }
    put_permissions(&mut body, account.permissions.as_ref());
    let place = |end: &[&str]| path(&[&["v1", "workspaces", slug, "service-accounts"], end].concat());
    let identity = identity.to_lowercase();
    let Some(before) = present.service_account(slug, &identity) else {
        body.insert("email".to_owned(), json!(identity));
        body.retain(|_, value| !value.is_null());
        let mut step =
            Step::new(Phase::NewAccounts, Action::Add, what, Change::post(place(&[]), Value::Object(body)));
        step.turns_off = account.disabled == Some(true);
        steps.push(step);
        return;
    };
    let id = text(before, "id");
    let fields = differences(&Value::Object(body), before, "");
    if !fields.is_empty() {
        let harmless = ["name", "purpose", "owning_team"];
        let takes = fields.iter().any(|field| !harmless.contains(&field.name.as_str()));
        let phase = if takes { Phase::Taking } else { Phase::Giving };
        let change = Change::patch(place(&[&id]), body_of(&fields));
        steps.push(Step::new(phase, Action::Change, what.clone(), change).with(fields));
    }
    let is_disabled = before["status"] == "disabled";
    if let Some(wanted) = account.disabled.filter(|wanted| *wanted != is_disabled) {
        let (phase, end) = if wanted { (Phase::Taking, "disable") } else { (Phase::Giving, "enable") };
        let change = Change::post(place(&[&id, end]), json!({}));
        let fields = vec![field("disabled", json!(is_disabled), json!(wanted))];
        steps.push(Step::new(phase, Action::Change, what, change).with(fields));
    }
}

/// Who is there and is not named, where the file names anybody.
fn removed(slug: &str, workspace: &Workspace, present: &Present, steps: &mut Vec<Step>) {
    let members = workspace.members.as_ref().map(in_lower_case);
    let accounts = workspace.service_accounts.as_ref().map(in_lower_case);
    for (named, kind, list, all) in [
        (&members, "member", "members", &present.members),
        (&members, "invitation", "invitations", &present.invitations),
        (&accounts, "service account", "service-accounts", &present.service_accounts),
    ] {
        let Some(named) = named else { continue };
        let there = all.get(slug).into_iter().flatten();
        for (identity, one) in there.filter(|(identity, _)| !named.contains(*identity)) {
            let change = Change::delete(path(&["v1", "workspaces", slug, list, &text(one, "id")]));
            let what = format!("{kind} {slug}/{identity}");
            steps.push(Step::new(Phase::RemovedPeople, Action::Remove, what, change));
        }
    }
}

fn in_lower_case<T>(all: &BTreeMap<String, T>) -> BTreeSet<String> {
    all.keys().map(|name| name.to_lowercase()).collect()
}

/// What the file says of a member who is there, or is invited.
pub(super) fn member_of(member: &Value) -> Member {
    Member { role: text(member, "role"), permissions: Some(permissions_of(member)) }
}

/// What the file says of a service account that is there.
pub(super) fn account_of(account: &Value) -> ServiceAccount {
    let some_text = |name: &str| account[name].as_str().map(str::to_owned);
    ServiceAccount {
        name: text(account, "name"),
        purpose: some_text("purpose"),
        owning_team: some_text("owning_team"),
        role: some_text("role"),
        permissions: Some(permissions_of(account)),
        disabled: Some(account["status"] == "disabled"),
    }
}

fn permissions_of(one: &Value) -> ListOrAll {
    let list = one["permissions"].as_array();
    ListOrAll(list.map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect()))
}
