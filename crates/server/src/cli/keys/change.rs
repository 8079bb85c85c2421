//! Changes of one key.

use clap::Args;
use keywright_domain::{limits::LimitWindow, time::Clock as _};
use serde_json::{Map, Value, json};

use super::{
    super::{
        confirm::Confirmation,
        connection::fresh_idempotency_key,
        members::moved,
        session::Change,
        values::{self, When},
    },
    Scope,
};
use crate::{
    failure::{Exit, Failure},
    system::SystemClock,
};

/// Change a key's name, permissions, limits, networks, expiry or metadata
///
/// Changes what is named and leaves the rest. Lists (permissions, limits, networks) and metadata are replaced as a
/// whole. Taking something away is in force on every node when the command returns.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright keys update key_01… --name production-web-app --purpose 'Customer support'
  keywright keys update key_01… --permission prompts:read --permission prompts:list
  keywright keys update key_01… --limit minute=500/60s --allow-ip 203.0.113.7
  keywright keys update key_01… --no-expiry --any-ip --no-limits")]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag of the command line")]
pub(crate) struct Update {
    /// Id of the key
    #[arg(value_name = "KEY")]
    id: String,
    /// New name
    #[arg(long)]
    name: Option<String>,
    /// New purpose
    #[arg(long, value_name = "TEXT")]
    purpose: Option<String>,
    /// Clear the purpose
    #[arg(long, conflicts_with = "purpose")]
    no_purpose: bool,
    /// Permission that the key shall have; names all of them
    #[arg(long = "permission", value_name = "RESOURCE:ACTION")]
    permissions: Vec<String>,
    /// When it ends: a duration such as 90d, a date, or a date-time
    #[arg(long, value_name = "WHEN", value_parser = values::when)]
    expires: Option<When>,
    /// Let it live without an end
    #[arg(long, conflicts_with = "expires")]
    no_expiry: bool,
    /// Limit of its own; names all of them
    #[arg(long = "limit", value_name = "NAME=LIMIT/WINDOW", value_parser = values::limit)]
    limits: Vec<LimitWindow>,
    /// Go back to the limits of the plan
    #[arg(long, conflicts_with = "limits")]
    no_limits: bool,
    /// Network or address that it may be used from; names all of them
    #[arg(long = "allow-ip", value_name = "CIDR")]
    allowed_ips: Vec<String>,
    /// Let it be used from anywhere
    #[arg(long, conflicts_with = "allowed_ips")]
    any_ip: bool,
    /// Your own name for the customer
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// Clear the external id
    #[arg(long, conflicts_with = "external_id")]
    no_external_id: bool,
    /// Metadata; names all of it
    #[arg(long = "metadata", value_name = "KEY=VALUE", value_parser = values::metadata_pair)]
    metadata: Vec<(String, String)>,
    /// Metadata as a JSON object
    #[arg(long, value_name = "JSON", value_parser = values::json_object, conflicts_with = "metadata")]
    metadata_json: Option<Value>,
    /// Show the request that would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
}

impl Update {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let body = self.body();
        if body.as_object().is_some_and(Map::is_empty) {
            return Err(Failure::new(Exit::Arguments, "nothing to change was named")
                .remedy("Name at least one field, such as --name or --permission; see `keywright keys update --help`."));
        }
        let change = Change::patch(scope.path(&[&self.id]), body);
        let confirmation = Confirmation { yes: true, dry_run: self.dry_run };
        let Some(answer) = scope.session.change(&change, &confirmation, None)? else {
            return Ok(());
        };
        scope.session.show_done(&answer, &format!("Changed {}.", self.id))
    }

    fn body(&self) -> Value {
        let mut body = Map::new();
        let mut put = |name: &str, value: Option<Value>, clear: Option<Value>| {
            if let Some(value) = value.or(clear) {
                body.insert(name.to_owned(), value);
            }
        };
        let null = |clear: bool| clear.then_some(Value::Null);
        put("name", self.name.as_ref().map(|name| json!(name)), None);
        put("purpose", self.purpose.as_ref().map(|text| json!(text)), null(self.no_purpose));
        put("permissions", (!self.permissions.is_empty()).then(|| json!(self.permissions)), None);
        let expires = self.expires.map(|when| json!(when.resolve(SystemClock.now()).to_rfc3339()));
        put("expires_at", expires, null(self.no_expiry));
        put("limits", (!self.limits.is_empty()).then(|| json!(self.limits)), null(self.no_limits));
        let anywhere = self.any_ip.then(|| json!([]));
        put("allowed_ips", (!self.allowed_ips.is_empty()).then(|| json!(self.allowed_ips)), anywhere);
        put("external_id", self.external_id.as_ref().map(|id| json!(id)), null(self.no_external_id));
        let pairs = (!self.metadata.is_empty()).then(|| values::metadata_object(&self.metadata));
        put("metadata", self.metadata_json.clone().or(pairs), None);
        Value::Object(body)
    }
}

/// Issue a second secret; the old one goes on working for a while
///
/// The key keeps its id, limits, counters and history. Without --overlap the workspace's policy says how long both
/// secrets work (48 hours unless set otherwise); with --overlap 0 the old one stops at once.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright keys rotate key_01…                 overlap by the workspace's policy
  keywright keys rotate key_01… --overlap 48h   then: deploy, check last use, keys complete-rotation
  keywright keys rotate key_01… --overlap 0 --yes   the old secret stops at once")]
pub(crate) struct Rotate {
    /// Id of the key
    #[arg(value_name = "KEY")]
    id: String,
    /// How long the old secret goes on working
    #[arg(long, value_name = "DURATION", value_parser = values::overlap_seconds)]
    overlap: Option<u32>,
    /// Makes a repeated call have no second effect; a fresh one is used when none is given
    #[arg(long, value_name = "TEXT")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    confirmation: Confirmation,
}

impl Rotate {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let body = self.overlap.map_or_else(|| json!({}), |seconds| json!({"overlap_seconds": seconds}));
        let key = self.idempotency_key.clone().unwrap_or_else(fresh_idempotency_key);
        let change = Change::post(scope.path(&[&self.id, "rotate"]), body).once(key);
        let question = (self.overlap == Some(0))
            .then(|| format!("The old secret of {} stops working at once.", self.id));
        let Some(answer) = scope.session.change(&change, &self.confirmation, question.as_deref())? else {
            return Ok(());
        };
        scope.session.show_secret(&answer, &format!("Rotated {}; this is its new secret.", self.id))
    }
}

/// Defines a command that is one POST to a key's path.
macro_rules! key_action {
    ($(#[$docs:meta])* $name:ident, $path:expr, $done:literal, $question:expr) => {
        #[derive(Debug, Args)]
        $(#[$docs])*
        pub(crate) struct $name {
            /// Id of the key
            #[arg(value_name = "KEY")]
            id: String,
            #[command(flatten)]
            confirmation: Confirmation,
        }

        impl $name {
            pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
                let segments: &[&str] = $path;
                let change = Change::post(scope.path(&[&[self.id.as_str()], segments].concat()), json!({}));
                let question: Option<&str> = $question;
                let question = question.map(|question| format!("{question} ({})", self.id));
                match scope.session.change(&change, &self.confirmation, question.as_deref())? {
                    None => Ok(()),
                    Some(answer) => scope.session.show_done(&answer, &format!($done, self.id)),
                }
            }
        }
    };
}

key_action!(
    /// End the overlap of a rotation now: the old secret stops
    ///
    /// Look at the last use of each secret first (`keywright keys get`): what still uses the old one will fail.
    #[command(after_help = "\
Examples:
  keywright keys get key_01…                     which secret was used when
  keywright keys complete-rotation key_01… --yes")]
    CompleteRotation,
    &["rotate", "complete"],
    "Completed the rotation of {}: only the new secret works.",
    Some("The old secret stops working now.")
);

key_action!(
    /// Drop the new secret of a rotation; the old one goes on as before
    ///
    /// For a rotation that went wrong before the new secret was deployed.
    #[command(after_help = "\
Examples:
  keywright keys cancel-rotation key_01… --yes")]
    CancelRotation,
    &["rotate", "cancel"],
    "Cancelled the rotation of {}: only the old secret works.",
    Some("The new secret stops working now.")
);

key_action!(
    /// Switch a key off for now
    ///
    /// In force on every node when the command returns. `keywright keys enable` switches it on again.
    #[command(after_help = "\
Examples:
  keywright keys disable key_01…")]
    Disable,
    &["disable"],
    "Disabled {}.",
    None
);

key_action!(
    /// Switch a disabled key on again
    ///
    /// Its limits, counters and history are as they were.
    #[command(after_help = "\
Examples:
  keywright keys enable key_01…")]
    Enable,
    &["enable"],
    "Enabled {}.",
    None
);

/// End a key for good
///
/// When the command returns, no node accepts the key again. It stays listed with its history and the reason.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright keys revoke key_01… --reason 'customer left'
  keywright keys revoke key_01… --reason 'found in a log' --yes    in a script")]
pub(crate) struct Revoke {
    /// Id of the key
    #[arg(value_name = "KEY")]
    id: String,
    /// Why; kept with the key and in the audit trail
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    confirmation: Confirmation,
}

impl Revoke {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let change = Change::post(scope.path(&[&self.id, "revoke"]), reason_body(self.reason.as_deref()));
        let question = format!("Revokes {} for good. Whatever uses it stops working.", self.id);
        match scope.session.change(&change, &self.confirmation, Some(&question))? {
            None => Ok(()),
            Some(answer) => scope.session.show_done(&answer, &format!("Revoked {}.", self.id)),
        }
    }
}

/// Report a key as compromised: every secret dies now, a new one is issued, an incident is opened
///
/// The key keeps its id, permissions and limits under the new secret. With --no-replace it is revoked instead. Look at
/// its access ledger afterwards: `keywright keys ledger` tells who used it from where.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright keys compromise key_01… --reason 'pushed to a public repository'
  keywright keys compromise key_01… --no-replace --yes
  keywright keys ledger key_01…")]
pub(crate) struct Compromise {
    /// Id of the key
    #[arg(value_name = "KEY")]
    id: String,
    /// What happened; kept with the incident
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Issue no new secret: revoke the key
    #[arg(long)]
    no_replace: bool,
    /// Makes a repeated call have no second effect; a fresh one is used when none is given
    #[arg(long, value_name = "TEXT")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    confirmation: Confirmation,
}

impl Compromise {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let mut body = reason_body(self.reason.as_deref());
        body["replace"] = json!(!self.no_replace);
        let key = self.idempotency_key.clone().unwrap_or_else(fresh_idempotency_key);
        let change = Change::post(scope.path(&[&self.id, "compromise"]), body).once(key);
        let question = format!("Every secret of {} stops working now.", self.id);
        let Some(answer) = scope.session.change(&change, &self.confirmation, Some(&question))? else {
            return Ok(());
        };
        if answer.get("secret").is_some_and(|secret| !secret.is_null()) {
            let what = format!("Every old secret of {} is dead; this is its new one.", self.id);
            return scope.session.show_secret(&answer, &what);
        }
        scope.session.show_done(&answer, &format!("Revoked {} and opened an incident.", self.id))
    }
}

/// Revoke a key and take it out of the lists
///
/// It stays in the audit trail and the access ledger.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright keys delete key_01…
  keywright keys delete key_01… --yes")]
pub(crate) struct Delete {
    /// Id of the key
    #[arg(value_name = "KEY")]
    id: String,
    #[command(flatten)]
    confirmation: Confirmation,
}

impl Delete {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let change = Change::delete(scope.path(&[&self.id]));
        let question = format!("Revokes {} for good and takes it out of the lists.", self.id);
        match scope.session.change(&change, &self.confirmation, Some(&question))? {
            None => Ok(()),
            Some(answer) => scope.session.show_done(&answer, &format!("Deleted {}.", self.id)),
        }
    }
}

/// The body of a call that takes a reason.
pub(super) fn reason_body(reason: Option<&str>) -> Value {
    reason.map_or_else(|| json!({}), |reason| json!({"reason": reason}))
}

/// Give a key to a service account
///
/// It goes on working within the service account's permissions, also when its creator has left. Rotate it afterwards:
/// whoever had it may still have its secret. `keywright members hand-over` gives all keys of a member.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  keywright keys hand-over key_01… --to sa_01…")]
pub(crate) struct HandOver {
    /// Id of the key
    #[arg(value_name = "KEY")]
    id: String,
    /// Service account that gets it
    #[arg(long, value_name = "ID")]
    to: String,
    #[command(flatten)]
    confirmation: Confirmation,
}

impl HandOver {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let change = Change::post(scope.path(&[&self.id, "hand-over"]), json!({"to": self.to}));
        let change = change.once(fresh_idempotency_key());
        let question = format!("Gives {} to {}: it may do what that may.", self.id, self.to);
        moved(&mut scope.session, &change, &self.confirmation, &question, &format!("Gave {}.", self.id))
    }
}
