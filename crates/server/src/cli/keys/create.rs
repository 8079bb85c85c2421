//! `keywright keys create`.

use clap::Args;
use keywright_domain::{limits::LimitWindow, time::Clock as _};
use serde_json::{Map, Value, json};

use super::{
    super::{
        confirm::Confirmation,
        connection::fresh_idempotency_key,
        session::Change,
        values::{self, When},
    },
    Scope,
};
use crate::{failure::Failure, system::SystemClock};

/// Create a key
///
/// The secret goes to standard output, alone, so that it can be piped into a secret store; everything else goes to
/// standard error. It is shown once and can never be retrieved. Only a name and an environment are required: without
/// permissions the key gets the workspace's default set, without limits those of the workspace's plan.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright keys create production-web-app --env production --purpose 'Customer support on the site'
  keywright keys create ci-tests --env ci --expires 90d --limit minute=100/60s --allow-ip 203.0.113.0/24
  keywright keys create importer --env production --permission prompts:read --metadata team=data \\
    | vault kv put secret/importer api_key=-
  keywright keys create web --env production --service-account sa_01…
  keywright keys create web --env production --json | jq -r .secret")]
pub(crate) struct Create {
    /// Name, 1 to 64 characters; say what uses the key and where
    name: String,
    /// Environment: production makes a live key, development, staging and ci a test key
    #[arg(long, visible_alias = "environment", value_name = "ENV", value_parser = values::environment)]
    env: String,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    purpose: Option<String>,
    /// Permission, such as prompts:read; may be repeated
    #[arg(long = "permission", value_name = "RESOURCE:ACTION")]
    permissions: Vec<String>,
    /// Service account that it is created for; whoever calls when left out
    #[arg(long, value_name = "ID")]
    service_account: Option<String>,
    /// When it ends: a duration such as 90d, a date, or a date-time
    #[arg(long, value_name = "WHEN", value_parser = values::when)]
    expires: Option<When>,
    /// Limit, such as minute=1000/60s or burst=50/1s:smooth; may be repeated
    #[arg(long = "limit", value_name = "NAME=LIMIT/WINDOW", value_parser = values::limit)]
    limits: Vec<LimitWindow>,
    /// Network or address that it may be used from; may be repeated
    #[arg(long = "allow-ip", value_name = "CIDR")]
    allowed_ips: Vec<String>,
    /// Your own name for the customer that it belongs to
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// Metadata; may be repeated
    #[arg(long = "metadata", value_name = "KEY=VALUE", value_parser = values::metadata_pair)]
    metadata: Vec<(String, String)>,
    /// Metadata as a JSON object
    #[arg(long, value_name = "JSON", value_parser = values::json_object, conflicts_with = "metadata")]
    metadata_json: Option<Value>,
    /// Makes a repeated call have no second effect; a fresh one is used when none is given
    #[arg(long, value_name = "TEXT")]
    idempotency_key: Option<String>,
    /// Show the request that would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
}

impl Create {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let key = self.idempotency_key.clone().unwrap_or_else(fresh_idempotency_key);
        let change = Change::post(scope.path(&[]), self.body()).once(key);
        let confirmation = Confirmation { yes: true, dry_run: self.dry_run };
        let Some(answer) = scope.session.change(&change, &confirmation, None)? else {
            return Ok(());
        };
        let id = answer.pointer("/key/id").and_then(Value::as_str).unwrap_or("?");
        let what = format!("Created {id} ({}, {}) in {}.", self.name, self.env, scope.workspace);
        scope.session.show_secret(&answer, &what)
    }

    fn body(&self) -> Value {
        let mut body = Map::from_iter([
            ("name".to_owned(), json!(self.name)),
            ("environment".to_owned(), json!(self.env)),
        ]);
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        put("purpose", self.purpose.as_ref().map(|purpose| json!(purpose)));
        put("permissions", (!self.permissions.is_empty()).then(|| json!(self.permissions)));
        put("expires_at", self.expires.map(|when| json!(when.resolve(SystemClock.now()).to_rfc3339())));
        put("limits", (!self.limits.is_empty()).then(|| json!(self.limits)));
        put("allowed_ips", (!self.allowed_ips.is_empty()).then(|| json!(self.allowed_ips)));
        put("service_account", self.service_account.as_ref().map(|id| json!(id)));
        put("external_id", self.external_id.as_ref().map(|id| json!(id)));
        let pairs = (!self.metadata.is_empty()).then(|| values::metadata_object(&self.metadata));
        put("metadata", self.metadata_json.clone().or(pairs));
        Value::Object(body)
    }
}
