//! `keywright workspaces policy`.

use clap::{ArgGroup, Args};
use serde_json::{Map, Value, json};

use super::super::{
    confirm::Confirmation,
    session::{Change, Session},
    values::{self, OrNone},
};
use crate::failure::Failure;

pub(super) const EXAMPLES: &str = "\
Examples:
  keywright workspaces policy acme                                      show it
  keywright workspaces policy acme --max-key-life 365d                  no key lives longer; older ones end now
  keywright workspaces policy acme --rotate production=90d --enforce-rotation
  keywright workspaces policy acme --idle 90d --disable-idle            keys that nobody uses are switched off
  keywright workspaces policy acme --allow-ip 203.0.113.0/24            from nowhere else
  keywright workspaces policy acme --allow-any-ip --max-key-life none   take it back";

/// Policies to change; what is not named stays.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[derive(Debug, Default, Args)]
#[command(
    group = ArgGroup::new("mode").args(["enforce_rotation", "warn_rotation"]),
    group = ArgGroup::new("idle_action").args(["disable_idle", "flag_idle"]),
    group = ArgGroup::new("issuing").args(["self_service", "operator_issued"])
)]
pub(super) struct PolicyArgs {
    /// Longest life of a key from its creation on, in days, such as 365d, or none
    #[arg(long, value_name = "DAYS|none", value_parser = values::days_or_none)]
    max_key_life: Option<OrNone<u32>>,
    /// Rotation period of an environment, such as production=90d, staging=3mo or ci=none; may be repeated
    #[arg(long = "rotate", value_name = "ENV=PERIOD", value_parser = values::rotation)]
    rotations: Vec<(String, Value)>,
    /// Refuse a key whose rotation is overdue, until it is rotated
    #[arg(long)]
    enforce_rotation: bool,
    /// Only show which keys are due
    #[arg(long)]
    warn_rotation: bool,
    /// How long both secrets work after a rotation that names no overlap, such as 48h
    #[arg(long, value_name = "DURATION", value_parser = values::overlap_seconds)]
    overlap: Option<u32>,
    /// After how many days without use a key counts as idle, such as 90d, or none
    #[arg(long, value_name = "DAYS|none", value_parser = values::days_or_none)]
    idle: Option<OrNone<u32>>,
    /// Switch idle keys off
    #[arg(long)]
    disable_idle: bool,
    /// Only show which keys are idle
    #[arg(long)]
    flag_idle: bool,
    /// Network or address that keys may be used from; may be repeated; replaces those before
    #[arg(long = "allow-ip", value_name = "CIDR", conflicts_with = "allow_any_ip")]
    allowed_ips: Vec<String>,
    /// Let keys be used from anywhere, as far as their own networks allow
    #[arg(long)]
    allow_any_ip: bool,
    /// Permission that keys may have at most; may be repeated; replaces those before
    #[arg(
        long = "allow-permission",
        value_name = "RESOURCE:ACTION",
        conflicts_with = "allow_all_permissions"
    )]
    allowed_permissions: Vec<String>,
    /// Let keys have every permission of the catalogue
    #[arg(long)]
    allow_all_permissions: bool,
    /// Permission of keys that are created without any named; may be repeated; replaces those before
    #[arg(long = "default-permission", value_name = "RESOURCE:ACTION")]
    default_permissions: Vec<String>,
    /// Let the workspace's own people create keys
    #[arg(long)]
    self_service: bool,
    /// Only the operator creates keys
    #[arg(long)]
    operator_issued: bool,
    /// Most keys that are not deleted
    #[arg(long, value_name = "NUMBER")]
    max_keys: Option<u32>,
}

impl PolicyArgs {
    fn body(&self) -> Map<String, Value> {
        let mut body = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        let number = |value: &OrNone<u32>| json!(value.0);
        let list = |values: &[String]| (!values.is_empty()).then(|| json!(values));
        let either = |yes: bool, no: bool, value: [Value; 2]| {
            let [on, off] = value;
            if yes { Some(on) } else { no.then_some(off) }
        };
        put("max_key_days", self.max_key_life.as_ref().map(number));
        let rotation: Map<String, Value> = self.rotations.iter().cloned().collect();
        put("rotation", (!rotation.is_empty()).then_some(Value::Object(rotation)));
        let modes = [json!("enforce"), json!("warn")];
        put("rotation_mode", either(self.enforce_rotation, self.warn_rotation, modes));
        put("overlap_seconds", self.overlap.map(Value::from));
        put("idle_days", self.idle.as_ref().map(number));
        put("idle_action", either(self.disable_idle, self.flag_idle, [json!("disable"), json!("flag")]));
        put("allowed_ips", list(&self.allowed_ips).or_else(|| self.allow_any_ip.then(|| json!([]))));
        let everything = || self.allow_all_permissions.then_some(Value::Null);
        put("allowed_permissions", list(&self.allowed_permissions).or_else(everything));
        put("default_permissions", list(&self.default_permissions));
        put("self_service", either(self.self_service, self.operator_issued, [json!(true), json!(false)]));
        put("max_keys", self.max_keys.map(Value::from));
        body
    }
}

/// Shows the policy, or changes what is named.
pub(super) fn run(
    session: &mut Session,
    slug: &str,
    place: &str,
    change: &PolicyArgs,
    confirmation: &Confirmation,
) -> Result<(), Failure> {
    let body = change.body();
    if body.is_empty() {
        let answer = session.client.get(place, &[])?;
        return session.show(answer.get("policy").unwrap_or(&answer), &[]);
    }
    let question =
        format!("Changes what workspace {slug} asks of its keys; keys that do not fit are refused at once.");
    let change = Change::patch(place.to_owned(), json!({"policy": body}));
    match session.change(&change, confirmation, Some(&question))? {
        None => Ok(()),
        Some(answer) => session.show_done(&answer, &format!("Changed the policy of {slug}.")),
    }
}
