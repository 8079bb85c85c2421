//! Commands on the installation: plans, the permission catalogue, operator credentials, incidents.

use clap::{Args, Subcommand};
use keywright_domain::limits::LimitWindow;
use serde_json::json;

use super::{
    confirm::Confirmation,
    connection::{Connection, InWorkspace, fresh_idempotency_key, path},
    console::Console,
    session::{Change, Form, Session},
    table::column,
    values,
};
use crate::failure::Failure;

/// List, write and delete plans
///
/// A plan is a named set of rate limits for keys and for whole workspaces.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright plans list
  keywright plans put gold --key-limit minute=5000/60s --workspace-limit day=2000000/1d")]
pub(crate) struct Plans {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: PlansCommand,
}

#[derive(Debug, Subcommand)]
enum PlansCommand {
    /// List the plans
    ///
    /// With the limits of each.
    #[command(after_help = "Examples:\n  keywright plans list")]
    List,
    /// Create a plan, or replace it
    ///
    /// The new limits hold for every workspace on the plan when the command returns.
    #[command(after_help = "\
Examples:
  keywright plans put gold --key-limit minute=5000/60s --key-limit burst=200/1s:smooth
  keywright plans put free --key-limit minute=60/60s --workspace-limit month=10000/30d")]
    Put {
        /// Name of the plan
        name: String,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// Limit of each key; may be repeated
        #[arg(long = "key-limit", value_name = "NAME=LIMIT/WINDOW", value_parser = values::limit)]
        key_limits: Vec<LimitWindow>,
        /// Limit of the workspace as a whole; may be repeated
        #[arg(long = "workspace-limit", value_name = "NAME=LIMIT/WINDOW", value_parser = values::limit)]
        workspace_limits: Vec<LimitWindow>,
        /// Show the request that would be sent, and send nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Delete a plan that no workspace is on
    ///
    /// Move its workspaces to another plan first: `keywright workspaces update <slug> --plan …`.
    #[command(after_help = "Examples:\n  keywright plans delete gold --yes")]
    Delete {
        /// Name of the plan
        name: String,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

impl Plans {
    /// Does what the arguments say.
    pub(crate) fn run(self, console: Console) -> Result<(), Failure> {
        let mut session = Session::open(&self.connection, console)?;
        match self.command {
            PlansCommand::List => {
                let answer = session.client.get("/v1/plans", &[])?;
                let columns = [
                    column("NAME", "/name"),
                    column("DESCRIPTION", "/description"),
                    column("PER KEY", "/key_limits"),
                    column("PER WORKSPACE", "/workspace_limits"),
                ];
                session.show_list(&answer, &columns, "There are no plans.")?;
            }
            PlansCommand::Put { name, description, key_limits, workspace_limits, dry_run } => {
                let mut body = json!({"key_limits": key_limits, "workspace_limits": workspace_limits});
                if let Some(description) = description {
                    body["description"] = json!(description);
                }
                let change = Change::put(path(&["v1", "plans", &name]), body);
                done(&mut session, &change, dry_run, &format!("Wrote plan {name}."))?;
            }
            PlansCommand::Delete { name, confirmation } => {
                let change = Change::delete(path(&["v1", "plans", &name]));
                let question = format!("Deletes plan {name}.");
                if let Some(answer) = session.change(&change, &confirmation, Some(&question))? {
                    session.show_done(&answer, &format!("Deleted plan {name}."))?;
                }
            }
        }
        session.console.finish()
    }
}

/// Show and extend the permission catalogue
///
/// A permission is resource:action, such as prompts:read. A key can only be given what is in the catalogue.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright permissions list
  keywright permissions put reports:export --description 'Download reports'")]
pub(crate) struct Permissions {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: PermissionsCommand,
}

#[derive(Debug, Subcommand)]
enum PermissionsCommand {
    /// List the permissions
    ///
    /// Those that come with Keywright and those of this installation.
    #[command(after_help = "Examples:\n  keywright permissions list")]
    List,
    /// Add a permission, or change its description
    ///
    /// Permissions are never removed: keys may hold them.
    #[command(
        after_help = "Examples:\n  keywright permissions put reports:export --description 'Download reports'"
    )]
    Put {
        /// Permission, as resource:action
        #[arg(value_name = "RESOURCE:ACTION")]
        name: String,
        /// What it allows
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
        /// Show the request that would be sent, and send nothing
        #[arg(long)]
        dry_run: bool,
    },
}

impl Permissions {
    /// Does what the arguments say.
    pub(crate) fn run(self, console: Console) -> Result<(), Failure> {
        let mut session = Session::open(&self.connection, console)?;
        match self.command {
            PermissionsCommand::List => {
                let answer = session.client.get("/v1/permissions", &[])?;
                let columns = [
                    column("NAME", "/name"),
                    column("DESCRIPTION", "/description"),
                    column("BUILT IN", "/builtin"),
                ];
                session.show_list(&answer, &columns, "There are no permissions.")?;
            }
            PermissionsCommand::Put { name, description, dry_run } => {
                let change =
                    Change::put(path(&["v1", "permissions", &name]), json!({"description": description}));
                done(&mut session, &change, dry_run, &format!("Wrote permission {name}."))?;
            }
        }
        session.console.finish()
    }
}

/// List, create and revoke operator credentials
///
/// An operator credential (ok_…) acts on the whole installation. Give each person and each machine its own.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright operators create deploy-pipeline > operator.key
  keywright operators list
  keywright operators revoke opr_01… --yes")]
pub(crate) struct Operators {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: OperatorsCommand,
}

#[derive(Debug, Subcommand)]
enum OperatorsCommand {
    /// List the operator credentials
    ///
    /// Revoked ones included, oldest first.
    #[command(after_help = "Examples:\n  keywright operators list")]
    List,
    /// Create an operator credential
    ///
    /// The secret goes to standard output, alone. It is shown once and can never be retrieved.
    #[command(after_help = "Examples:\n  keywright operators create alice-laptop > ~/.keywright-operator")]
    Create {
        /// Name, to tell credentials apart
        name: String,
        /// Makes a repeated call have no second effect; a fresh one is used when none is given
        #[arg(long, value_name = "TEXT")]
        idempotency_key: Option<String>,
        /// Show the request that would be sent, and send nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Revoke an operator credential
    ///
    /// The last one that is active cannot be revoked: nobody could act on the installation any more.
    #[command(after_help = "Examples:\n  keywright operators revoke opr_01… --yes")]
    Revoke {
        /// Id of the credential
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

impl Operators {
    /// Does what the arguments say.
    pub(crate) fn run(self, console: Console) -> Result<(), Failure> {
        let mut session = Session::open(&self.connection, console)?;
        match self.command {
            OperatorsCommand::List => {
                let answer = session.client.get("/v1/operators", &[])?;
                let columns = [
                    column("ID", "/id"),
                    column("NAME", "/name"),
                    column("SECRET", "/hint"),
                    column("CREATED", "/created_at"),
                    column("REVOKED", "/revoked_at"),
                ];
                session.show_list(&answer, &columns, "There are no operator credentials.")?;
            }
            OperatorsCommand::Create { name, idempotency_key, dry_run } => {
                let key = idempotency_key.unwrap_or_else(fresh_idempotency_key);
                let change = Change::post("/v1/operators".to_owned(), json!({"name": name})).once(key);
                let confirmation = Confirmation { yes: true, dry_run };
                if let Some(answer) = session.change(&change, &confirmation, None)? {
                    session.show_secret(&answer, &format!("Created operator credential {name}."))?;
                }
            }
            OperatorsCommand::Revoke { id, confirmation } => {
                let change = Change::post(path(&["v1", "operators", &id, "revoke"]), json!({}));
                let question = format!("Revokes operator credential {id} for good.");
                if let Some(answer) = session.change(&change, &confirmation, Some(&question))? {
                    session.show_done(&answer, &format!("Revoked {id}."))?;
                }
            }
        }
        session.console.finish()
    }
}

/// Show incidents: keys that were reported as compromised
///
/// `keywright keys compromise` opens one; `keywright keys ledger` tells who used the key from where.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright incidents list
  keywright incidents list --workspace acme --json")]
pub(crate) struct Incidents {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    workspace: InWorkspace,
    #[command(subcommand)]
    command: IncidentsCommand,
}

#[derive(Debug, Subcommand)]
enum IncidentsCommand {
    /// List the incidents of a workspace, newest first
    ///
    /// With the key, the reason given and when it was reported.
    #[command(after_help = "Examples:\n  keywright incidents list --workspace acme")]
    List,
}

impl Incidents {
    /// Does what the arguments say.
    pub(crate) fn run(self, console: Console) -> Result<(), Failure> {
        let mut session = Session::open(&self.connection, console)?;
        let IncidentsCommand::List = self.command;
        let slug = self.workspace.slug(&session.client)?;
        let answer = session.client.get(&path(&["v1", "workspaces", &slug, "incidents"]), &[])?;
        let columns = [
            column("ID", "/id"),
            column("KEY", "/key_id"),
            column("OPENED", "/opened_at"),
            column("REASON", "/reason"),
        ];
        session.show_list(&answer, &columns, "There are no incidents.")?;
        session.console.finish()
    }
}

/// Show whose credential this is, and what it may do
///
/// The credential's own view of itself: the quickest way to test a key.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright whoami
  keywright whoami --api-key-file key.txt --json")]
pub(crate) struct Whoami {
    #[command(flatten)]
    connection: Connection,
}

impl Whoami {
    /// Does what the arguments say.
    pub(crate) fn run(self, console: Console) -> Result<(), Failure> {
        let mut session = Session::open(&self.connection, console)?;
        let answer = session.client.get("/v1/whoami", &[])?;
        let shown = match (session.form, answer.get("key")) {
            (Form::People, Some(key)) => key,
            _ => &answer,
        };
        session.show(
            shown,
            &["type", "id", "workspace", "name", "environment", "mode", "status", "permissions"],
        )?;
        session.console.finish()
    }
}

pub(super) fn done(session: &mut Session, change: &Change, dry_run: bool, text: &str) -> Result<(), Failure> {
    match session.change(change, &Confirmation { yes: true, dry_run }, None)? {
        None => Ok(()),
        Some(answer) => session.show_done(&answer, text),
    }
}
