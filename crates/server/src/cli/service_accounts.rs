//! `keywright service-accounts`: accounts that own keys without being a person.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{
    confirm::Confirmation,
    connection::{Connection, InWorkspace, fresh_idempotency_key, path, with_query},
    console::Console,
    members::{ROLES, done, given, moved, nothing_named, page_query},
    session::{Change, Session},
    table::{Column, column},
};
use crate::failure::Failure;

const COLUMNS: [Column; 7] = [
    column("ID", "/id"),
    column("NAME", "/name"),
    column("E-MAIL", "/email"),
    column("STATUS", "/status"),
    column("ROLE", "/role"),
    column("PERMISSIONS", "/permissions"),
    column("TEAM", "/owning_team"),
];
const FIELDS: [&str; 7] = ["id", "name", "email", "status", "role", "purpose", "owning_team"];

/// Create, list, change and delete service accounts
///
/// A service account is not a person: it stands for one application, with a team that answers for it, and its keys go
/// on working when the people who made them leave. `keywright keys create --service-account` creates keys for it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright service-accounts create api-production --email api-production@company.com --team platform
  keywright keys create web --env production --service-account sa_01…
  keywright service-accounts disable sa_01… --yes")]
pub(crate) struct ServiceAccounts {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    workspace: InWorkspace,
    #[command(subcommand)]
    command: AccountsCommand,
}

/// What a service account is described by.
#[derive(Debug, Default, Args)]
struct Description {
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    purpose: Option<String>,
    /// Team that answers for it
    #[arg(long, value_name = "NAME")]
    team: Option<String>,
    /// Role; a Member unless given. What no Member may do needs an Admin with named permissions
    #[arg(long, value_parser = ROLES)]
    role: Option<String>,
    /// Permission within the role; may be repeated. All of the role's when left out
    #[arg(long = "permission", value_name = "RESOURCE:ACTION")]
    permissions: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum AccountsCommand {
    /// List the service accounts
    ///
    /// Oldest first.
    #[command(
        after_help = "Examples:\n  keywright service-accounts list\n  keywright service-accounts list --json"
    )]
    List {
        /// With this role
        #[arg(long, value_parser = ROLES)]
        role: Option<String>,
        /// Go on where an earlier list ended
        #[arg(long, value_name = "TEXT")]
        cursor: Option<String>,
    },
    /// Show a service account, and what it may do
    ///
    /// The effective permissions bound those of its keys.
    #[command(after_help = "Examples:\n  keywright service-accounts get sa_01…")]
    Get {
        /// Id of the service account
        id: String,
    },
    /// Create a service account
    ///
    /// The e-mail is an identity of that form, unique in the workspace; nothing is ever sent to it.
    #[command(after_help = "\
Examples:
  keywright service-accounts create api-production --email api-production@company.com --permission prompts:read
  keywright service-accounts create key-issuer --email issuer@company.com --role admin --permission keys:write")]
    Create {
        /// Name
        name: String,
        /// Identity in the form of an e-mail address, in lower case
        #[arg(long, value_name = "NAME@DOMAIN")]
        email: String,
        #[command(flatten)]
        description: Description,
        /// Show the request that would be sent, and send nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Change a service account
    ///
    /// Changes what is named and leaves the rest. Whatever the account loses, its keys lose when the command returns.
    #[command(after_help = "\
Examples:
  keywright service-accounts update sa_01… --team data
  keywright service-accounts update sa_01… --permission prompts:read --yes")]
    Update {
        /// Id of the service account
        id: String,
        /// New name
        #[arg(long)]
        name: Option<String>,
        /// New identity
        #[arg(long, value_name = "NAME@DOMAIN")]
        email: Option<String>,
        #[command(flatten)]
        description: Description,
        /// All permissions of the role again
        #[arg(long, conflicts_with = "permissions")]
        whole_role: bool,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Disable a service account: all its keys stop for now
    ///
    /// When the command returns, no node accepts one of them. `keywright service-accounts enable` undoes it.
    #[command(after_help = "Examples:\n  keywright service-accounts disable sa_01… --yes")]
    Disable {
        /// Id of the service account
        id: String,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Let the keys of a disabled service account work again
    ///
    /// Keys that were revoked, disabled or have expired stay so.
    #[command(after_help = "Examples:\n  keywright service-accounts enable sa_01…")]
    Enable {
        /// Id of the service account
        id: String,
        /// Show the request that would be sent, and send nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Delete a service account: its keys stop, or go to another one
    ///
    /// When the command returns, no node accepts a key that stopped.
    #[command(after_help = "\
Examples:
  keywright service-accounts delete sa_01… --yes
  keywright service-accounts delete sa_01… --hand-over-to sa_02… --yes")]
    Delete {
        /// Id of the service account
        id: String,
        /// Service account that gets the keys, so that they go on working
        #[arg(long, value_name = "ID")]
        hand_over_to: Option<String>,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

impl ServiceAccounts {
    /// Does what the arguments say.
    pub(crate) fn run(self, console: Console) -> Result<(), Failure> {
        let mut session = Session::open(&self.connection, console)?;
        let workspace = self.workspace.slug(&session.client)?;
        self.command.run(&mut session, &workspace)?;
        session.console.finish()
    }
}

impl AccountsCommand {
    fn run(self, session: &mut Session, workspace: &str) -> Result<(), Failure> {
        let place = |segments: &[&str]| {
            path(&[&["v1", "workspaces", workspace, "service-accounts"], segments].concat())
        };
        let at_once = |dry_run| Confirmation { yes: true, dry_run };
        match self {
            Self::List { role, cursor } => {
                let answer = session.client.get(&place(&[]), &page_query(role, cursor))?;
                session.show_list(&answer, &COLUMNS, "There are no service accounts.")
            }
            Self::Get { id } => {
                let answer = session.client.get(&place(&[&id]), &[])?;
                session.show(&answer, &FIELDS)
            }
            Self::Create { name, email, description, dry_run } => {
                let mut body = description.members();
                body.insert("name".to_owned(), json!(name));
                body.insert("email".to_owned(), json!(email));
                let change = Change::post(place(&[]), Value::Object(body)).once(fresh_idempotency_key());
                let Some(answer) = session.change(&change, &at_once(dry_run), None)? else { return Ok(()) };
                let id = answer["id"].as_str().unwrap_or("?").to_owned();
                session.show_done(&answer, &format!("Created {id} ({email}) in {workspace}."))
            }
            Self::Update { id, name, email, description, whole_role, confirmation } => {
                let mut body = description.members();
                body.extend(name.map(|name| ("name".to_owned(), json!(name))));
                body.extend(email.map(|email| ("email".to_owned(), json!(email))));
                if whole_role {
                    body.insert("permissions".to_owned(), Value::Null);
                }
                if body.is_empty() {
                    return Err(nothing_named(
                        "Name at least one of --name, --email, --purpose, --team, --role, --permission and --whole-role.",
                    ));
                }
                let change = Change::patch(place(&[&id]), Value::Object(body));
                let question = format!("Changes {id}. Its keys lose what it loses.");
                done(session, &change, &confirmation, &question, &format!("Changed {id}."))
            }
            Self::Disable { id, confirmation } => {
                let change = Change::post(place(&[&id, "disable"]), json!({}));
                let question = format!("Every key of {id} stops working until it is enabled.");
                done(session, &change, &confirmation, &question, &format!("Disabled {id}."))
            }
            Self::Enable { id, dry_run } => {
                let change = Change::post(place(&[&id, "enable"]), json!({}));
                let Some(answer) = session.change(&change, &at_once(dry_run), None)? else { return Ok(()) };
                session.show_done(&answer, &format!("Enabled {id}."))
            }
            Self::Delete { id, hand_over_to, confirmation } => {
                let keys = hand_over_to.as_ref().map_or_else(
                    || "Every key of it stops.".to_owned(),
                    |account| format!("Its keys go to {account}."),
                );
                let query = given([("hand_over_to", hand_over_to)]);
                let change = Change::delete(with_query(&place(&[&id]), &query));
                let question = format!("Deletes {id} from {workspace}. {keys}");
                moved(session, &change, &confirmation, &question, &format!("Deleted {id}."))
            }
        }
    }
}

impl Description {
    fn members(self) -> Map<String, Value> {
        let permissions = (!self.permissions.is_empty()).then(|| json!(self.permissions));
        [
            ("purpose", self.purpose.map(Value::from)),
            ("owning_team", self.team.map(Value::from)),
            ("role", self.role.map(Value::from)),
            ("permissions", permissions),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::{
        cli::{
            console::{Dialogue, captured::console},
            fake_server::FakeServer,
        },
        failure::Exit,
    };

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        accounts: ServiceAccounts,
    }

    fn run(arguments: &[&str], answers: Vec<(u16, String)>) -> (Result<(), Exit>, String, Vec<String>) {
        let server = FakeServer::start(answers);
        let front = ["service-accounts", "--url", server.url(), "--workspace", "acme"];
        let line = Line::try_parse_from([&front, arguments].concat()).unwrap();
        let (console, out, _) = console(b"", Dialogue::Impossible);
        let result = line.accounts.run(console).map_err(|failure| failure.exit());
        (result, out.text(), server.requests())
    }

    #[test]
    fn create_sends_what_was_given() {
        let arguments = [
            "create",
            "api",
            "--email",
            "api@company.com",
            "--team",
            "platform",
            "--permission",
            "prompts:read",
        ];
        let (result, out, requests) = run(&arguments, vec![(201, json!({"id": "sa_1"}).to_string())]);
        assert_eq!(result, Ok(()));
        assert!(out.contains("Created sa_1 (api@company.com) in acme."), "{out}");
        let body: Value = serde_json::from_str(requests[0].split_once("\r\n\r\n").unwrap().1).unwrap();
        let expected = json!({
            "name": "api", "email": "api@company.com", "owning_team": "platform", "permissions": ["prompts:read"],
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn what_takes_away_asks_first() {
        for arguments in [
            &["update", "sa_1", "--permission", "prompts:read"][..],
            &["disable", "sa_1"],
            &["delete", "sa_1", "--hand-over-to", "sa_2"],
        ] {
            let (result, _, requests) = run(arguments, vec![(200, "{}".to_owned())]);
            assert_eq!((result, requests.len()), (Err(Exit::Arguments), 0), "{arguments:?}");
            let (result, _, requests) = run(&[arguments, &["--yes"]].concat(), vec![(200, "{}".to_owned())]);
            assert_eq!((result, requests.len()), (Ok(()), 1), "{arguments:?}");
        }
        let (result, _, requests) = run(&["update", "sa_1", "--yes"], vec![]);
        assert_eq!((result, requests.len()), (Err(Exit::Arguments), 0), "nothing was named");
    }
}
