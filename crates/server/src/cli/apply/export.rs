//! `keywright export`.

use std::collections::BTreeMap;

use clap::Args;
use keywright_domain::{
    limits::LimitWindow,
    time::{Clock as _, Timestamp},
};
use serde_json::Value;

use super::{
    super::{connection::Connection, console::Console, session::Session},
    file::{
        self, Key, Limit, LimitsOrPlan, ListOrAll, NumberOrNone, Period, Plan, Policy, Rotation, Wanted,
        Workspace,
    },
    people,
    present::{self, Present, text},
};
use crate::{
    failure::{Exit, Failure},
    system::SystemClock,
};

/// Write the installation as a file for `keywright apply`
///
/// Permissions, plans, workspaces and policies as TOML, on standard output; with --people also members and
/// service accounts, with --keys the keys that are not revoked or expired, without their secrets, which nobody can retrieve. Applied to the same installation it changes
/// nothing; applied to an empty one it rebuilds it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright export > installation.toml
  keywright export --workspace acme --keys > acme.toml
  keywright export --people --keys > all.toml")]
pub(crate) struct Export {
    #[command(flatten)]
    connection: Connection,
    /// Only these workspaces, and no plans or permissions; may be repeated
    #[arg(long = "workspace", short = 'w', value_name = "SLUG")]
    workspaces: Vec<String>,
    /// Keys, too
    #[arg(long)]
    keys: bool,
    /// Members, by the addresses that they sign in with, and service accounts, too
    #[arg(long)]
    people: bool,
}

impl Export {
    /// Does what the arguments say.
    pub(crate) fn run(self, console: Console) -> Result<(), Failure> {
        let mut session = Session::open(&self.connection, console)?;
        let present = Present::read(&session.client)?;
        let mut wanted = Wanted { version: Some(1), ..Wanted::default() };
        if self.workspaces.is_empty() {
            wanted.permissions = present
                .permissions
                .iter()
                .map(|(name, one)| (name.clone(), text(one, "description")))
                .collect();
            for (name, plan) in &present.plans {
                wanted.plans.insert(name.clone(), plan_of(plan)?);
            }
        }
        for slug in &self.workspaces {
            if present.workspace(slug).is_none() {
                return Err(Failure::new(Exit::Negative, format!("there is no workspace {slug}")));
            }
        }
        for (slug, workspace) in &present.workspaces {
            let is_asked = self.workspaces.is_empty()
                || self.workspaces.iter().any(|name| present.workspace(name) == Some(workspace));
            if !is_asked {
                continue;
            }
            if workspace["deleted"] == true {
                session.console.note(&format!("warning: workspace {slug} is deleted and left out"));
                continue;
            }
            let mut one = workspace_of(workspace);
            let mut people = Present::default();
            if self.people {
                people.read_people(&session.client, slug, slug)?;
                let named = |all: &BTreeMap<String, BTreeMap<String, Value>>| {
                    all.get(slug).cloned().unwrap_or_default().into_iter()
                };
                // Whoever is invited is named as well: the file says who is to be there.
                let members = named(&people.invitations).chain(named(&people.members));
                let members = members.map(|(email, one)| (email, people::member_of(&one)));
                one.members = Some(members.collect());
                let accounts = named(&people.service_accounts);
                one.service_accounts =
                    Some(accounts.map(|(identity, one)| (identity, people::account_of(&one))).collect());
            }
            if self.keys {
                one.keys = Some(self.keys_of(&mut session, slug, &people)?);
            }
            wanted.workspaces.insert(slug.clone(), one);
        }
        session.console.answer(file::text(&wanted)?.trim_end())?;
        session.console.finish()
    }

    fn keys_of(
        &self,
        session: &mut Session,
        slug: &str,
        people: &Present,
    ) -> Result<BTreeMap<String, Key>, Failure> {
        debug_assert!(self.keys, "asked for only then");
        let now = SystemClock.now();
        let mut keys = BTreeMap::new();
        for (name, key) in present::keys(&session.client, slug, |_| true)? {
            let ends = text(&key, "expires_at");
            if Timestamp::parse_rfc3339(&ends).is_ok_and(|end| end <= now) {
                session.console.note(&format!("warning: key {slug}/{name} is expired and left out"));
                continue;
            }
            keys.insert(name, Key { service_account: owner_of(&key, slug, people), ..key_of(&key)? });
        }
        Ok(keys)
    }
}

/// The identity of the service account that a key belongs to, where service accounts are exported.
fn owner_of(key: &Value, slug: &str, people: &Present) -> Option<String> {
    let owner = text(&key["created_by"], "id");
    let accounts = people.service_accounts.get(slug)?;
    accounts.iter().find(|(_, account)| text(account, "id") == owner).map(|(identity, _)| identity.clone())
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

fn limits(value: &Value) -> Result<Vec<Limit>, Failure> {
    let windows: Vec<LimitWindow> = serde_json::from_value(value.clone()).map_err(|error| {
        Failure::new(
            Exit::Unreachable,
            format!("the server shows limits that this program does not know: {error}"),
        )
    })?;
    Ok(windows.into_iter().map(Limit).collect())
}

fn plan_of(plan: &Value) -> Result<Plan, Failure> {
    Ok(Plan {
        description: Some(text(plan, "description")),
        key_limits: limits(&plan["key_limits"])?,
        workspace_limits: limits(&plan["workspace_limits"])?,
    })
}

fn workspace_of(workspace: &Value) -> Workspace {
    Workspace {
        name: Some(text(workspace, "name")),
        plan: Some(text(workspace, "plan")),
        suspended: workspace["suspended"].as_bool(),
        policy: Some(policy_of(&workspace["policy"])),
        keys: None,
        members: None,
        service_accounts: None,
    }
}

fn policy_of(policy: &Value) -> Policy {
    let some_text = |name: &str| policy[name].as_str().map(str::to_owned);
    let period = |name: &str| Some(Period(policy["rotation"][name].clone()));
    Policy {
        max_key_days: Some(NumberOrNone(number(&policy["max_key_days"]))),
        rotation_mode: some_text("rotation_mode"),
        overlap_seconds: number(&policy["overlap_seconds"]),
        idle_days: Some(NumberOrNone(number(&policy["idle_days"]))),
        idle_action: some_text("idle_action"),
        allowed_ips: Some(texts(&policy["allowed_ips"])),
        allowed_permissions: Some(ListOrAll(
            (!policy["allowed_permissions"].is_null()).then(|| texts(&policy["allowed_permissions"])),
        )),
        default_permissions: Some(texts(&policy["default_permissions"])),
        max_keys: number(&policy["max_keys"]),
        self_service: policy["self_service"].as_bool(),
        lease_seconds: number(&policy["lease_seconds"]),
        atomic_revocation: policy["atomic_revocation"].as_bool(),
        rotation: Some(Rotation {
            development: period("development"),
            staging: period("staging"),
            production: period("production"),
            ci: period("ci"),
        }),
    }
}

fn key_of(key: &Value) -> Result<Key, Failure> {
    let some_text = |name: &str| key[name].as_str().map(str::to_owned);
    let metadata = key["metadata"].as_object().filter(|metadata| !metadata.is_empty());
    Ok(Key {
        environment: text(key, "environment"),
        purpose: some_text("purpose"),
        permissions: Some(texts(&key["permissions"])),
        expires_at: Some(some_text("expires_at").unwrap_or_else(|| "none".to_owned())),
        limits: Some(LimitsOrPlan(match &key["limits"] {
            Value::Null => None,
            windows => Some(limits(windows)?),
        })),
        allowed_ips: Some(texts(&key["allowed_ips"])),
        external_id: some_text("external_id"),
        disabled: Some(key["status"] == "disabled"),
        service_account: None,
        metadata: None,
        // JSON, because TOML has no null and other numbers.
        metadata_json: metadata.map(|metadata| Value::Object(metadata.clone()).to_string()),
    })
}
