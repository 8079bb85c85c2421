//! `keywright keys bulk-revoke`.

use clap::Args;
use serde_json::{Map, Value, json};

use super::{
    super::{confirm::Confirmation, session::Change, values},
    Scope,
};
use crate::failure::{Exit, Failure};

/// Revoke every key that a filter finds
///
/// At least one filter is needed. With --dry-run the server only tells which keys it would revoke. Without it, the
/// number of keys is shown and a confirmation is asked for. When the command returns, no node accepts any of them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright keys bulk-revoke --unused-days 180 --dry-run
  keywright keys bulk-revoke --external-id cust_42 --reason 'contract ended'
  keywright keys bulk-revoke --env ci --created-by usr_01… --reason 'left the company' --yes")]
pub(crate) struct BulkRevoke {
    #[command(flatten)]
    filter: Filter,
    /// Why; kept with the keys and in the audit trail
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// Which keys.
#[derive(Debug, Default, Args)]
pub(crate) struct Filter {
    /// Of this environment
    #[arg(long, visible_alias = "environment", value_name = "ENV", value_parser = values::environment)]
    pub(super) env: Option<String>,
    /// With this status
    #[arg(long, value_parser = ["active", "disabled", "expired", "revoked"])]
    pub(super) status: Option<String>,
    /// Created by this user, service account or operator
    #[arg(long, value_name = "ID")]
    pub(super) created_by: Option<String>,
    /// With this external id
    #[arg(long, value_name = "ID")]
    pub(super) external_id: Option<String>,
    /// Not used for so many days
    #[arg(long, value_name = "DAYS")]
    pub(super) unused_days: Option<u32>,
    /// Whose rotation is due
    #[arg(long)]
    pub(super) rotation_due: bool,
    /// That work and count as idle by the workspace's policy
    #[arg(long)]
    pub(super) idle: bool,
    /// With this text in the name
    #[arg(long, value_name = "TEXT")]
    pub(super) name: Option<String>,
    /// With a secret of this locator
    #[arg(long, value_name = "LOCATOR")]
    pub(super) locator: Option<String>,
    /// Whose creator is not a member any more
    #[arg(long)]
    pub(super) orphaned: bool,
}

impl Filter {
    /// The members that were given.
    pub(super) fn members(&self) -> Vec<(&'static str, Value)> {
        let text = |value: &Option<String>| value.as_ref().map(|value| json!(value));
        [
            ("environment", text(&self.env)),
            ("status", text(&self.status)),
            ("created_by", text(&self.created_by)),
            ("external_id", text(&self.external_id)),
            ("unused_days", self.unused_days.map(|days| json!(days))),
            ("rotation_due", self.rotation_due.then_some(Value::Bool(true))),
            ("idle", self.idle.then_some(Value::Bool(true))),
            ("name", text(&self.name)),
            ("locator", text(&self.locator)),
            ("orphaned", self.orphaned.then_some(Value::Bool(true))),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

impl BulkRevoke {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let filter: Map<String, Value> =
            self.filter.members().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        if filter.is_empty() {
            return Err(Failure::new(Exit::Arguments, "no filter was named, which would mean every key")
                .remedy(
                    "Name at least one, such as --unused-days 180 or --env ci; try it with --dry-run first.",
                ));
        }
        let mut body = json!({"filter": filter, "dry_run": true});
        if let Some(reason) = &self.reason {
            body["reason"] = json!(reason);
        }
        let at_once = Confirmation { yes: true, dry_run: false };
        let path = scope.path(&["revoke"]);
        let preview = scope.session.change(&Change::post(path.clone(), body.clone()), &at_once, None)?;
        let preview = preview.unwrap_or_default();
        if self.confirmation.dry_run {
            return scope.session.show(&preview, &[]);
        }
        let count = matched(&preview);
        if count == Some(0) {
            return scope.session.show_done(&preview, "No key matches: nothing was revoked.");
        }
        let count = count.map_or_else(|| "all matching".to_owned(), |count| count.to_string());
        body["dry_run"] = json!(false);
        let question = format!("Revokes {count} key(s) in {} for good.", scope.workspace);
        let answer = scope.session.change(&Change::post(path, body), &self.confirmation, Some(&question))?;
        let answer = answer.unwrap_or_default();
        let revoked = matched(&answer).map_or(count, |count| count.to_string());
        scope.session.show_done(&answer, &format!("Revoked {revoked} key(s)."))
    }
}

/// How many keys an answer speaks of.
fn matched(answer: &Value) -> Option<u64> {
    answer.get("count")?.as_u64()
}
