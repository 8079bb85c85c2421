//! `keywright members`: people in a workspace, their roles, and what becomes of their keys.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{
    confirm::Confirmation,
    connection::{Connection, InWorkspace, fresh_idempotency_key, path, with_query},
    console::Console,
    session::{Change, Session},
    table::{Column, column},
};
use crate::failure::{Exit, Failure};

const COLUMNS: [Column; 6] = [
    column("ID", "/id"),
    column("NAME", "/name"),
    column("E-MAIL", "/email"),
    column("ROLE", "/role"),
    column("PERMISSIONS", "/permissions"),
    column("JOINED", "/joined_at"),
];
const FIELDS: [&str; 4] = ["id", "name", "email", "role"];
/// The roles.
pub(super) const ROLES: [&str; 4] = ["owner", "admin", "member", "viewer"];

/// List members, change their roles, and remove them
///
/// A key has no more than its creator: whatever a member loses, the member's keys lose in the same moment. Owners and
/// Admins manage keys and members; Members and Viewers never see a key. There is always an Owner.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright members list --role admin
  keywright members set-role usr_01… viewer                    what the role loses, the keys lose
  keywright members remove usr_01… --hand-over-to sa_01…       their keys go on working
  keywright members transfer-ownership usr_01…")]
pub(crate) struct Members {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    workspace: InWorkspace,
    #[command(subcommand)]
    command: MembersCommand,
}

#[derive(Debug, Subcommand)]
enum MembersCommand {
    /// List the members
    ///
    /// Those who joined first first.
    #[command(
        after_help = "Examples:\n  keywright members list\n  keywright members list --role owner --json"
    )]
    List {
        /// With this role
        #[arg(long, value_parser = ROLES)]
        role: Option<String>,
        /// Go on where an earlier list ended
        #[arg(long, value_name = "TEXT")]
        cursor: Option<String>,
    },
    /// Show a member, and what they may do
    ///
    /// The effective permissions are those of the role, or those within it that the member was narrowed to.
    #[command(after_help = "Examples:\n  keywright members get usr_01…")]
    Get {
        /// Id of the member
        id: String,
    },
    /// Give a member another role
    ///
    /// Permissions that were narrowed stay narrowed within the new role. In force on every node when the command
    /// returns. Only an Owner makes an Owner or changes one.
    #[command(
        after_help = "Examples:\n  keywright members set-role usr_01… admin\n  keywright members set-role usr_01… viewer --yes"
    )]
    SetRole {
        /// Id of the member
        id: String,
        /// Role
        #[arg(value_parser = ROLES)]
        role: String,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Narrow a member's permissions within the role
    ///
    /// Without permissions, the member has none; with --whole-role, all that the role has.
    #[command(after_help = "\
Examples:
  keywright members narrow usr_01… --permission keys:read --permission keys:write
  keywright members narrow usr_01… --whole-role --yes")]
    Narrow {
        /// Id of the member
        id: String,
        /// Permission that is left; may be repeated
        #[arg(long = "permission", value_name = "RESOURCE:ACTION", conflicts_with = "whole_role")]
        permissions: Vec<String>,
        /// All permissions of the role again
        #[arg(long)]
        whole_role: bool,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Remove a member: their keys stop, or go to a service account
    ///
    /// When the command returns, no node accepts a key that stopped. `keywright keys list --orphaned` shows them.
    #[command(after_help = "\
Examples:
  keywright members remove usr_01… --reason 'left the company'
  keywright members remove usr_01… --hand-over-to sa_01… --yes")]
    Remove {
        /// Id of the member
        id: String,
        /// Service account that gets the member's keys, so that they go on working
        #[arg(long, value_name = "ID")]
        hand_over_to: Option<String>,
        /// Why; kept in the audit trail
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Give all keys of a member to a service account
    ///
    /// Also those of a member who has left. They go on working within the service account's permissions; rotate them
    /// afterwards, because whoever had them may still have their secrets.
    #[command(after_help = "Examples:\n  keywright members hand-over usr_01… --to sa_01…")]
    HandOver {
        /// Id of the member
        id: String,
        /// Service account that gets the keys
        #[arg(long, value_name = "ID")]
        to: String,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Make a member Owner, and the present Owner Admin
    ///
    /// In one step. With an operator credential, name the Owner who steps back with --from.
    #[command(after_help = "\
Examples:
  keywright members transfer-ownership usr_01…
  keywright members transfer-ownership usr_01… --from usr_02… --yes")]
    TransferOwnership {
        /// Id of the next Owner
        to: String,
        /// Id of the Owner who becomes Admin; whoever calls when left out
        #[arg(long, value_name = "ID")]
        from: Option<String>,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

impl Members {
    /// Does what the arguments say.
    pub(crate) fn run(self, console: Console) -> Result<(), Failure> {
        let mut session = Session::open(&self.connection, console)?;
        let workspace = self.workspace.slug(&session.client)?;
        self.command.run(&mut session, &workspace)?;
        session.console.finish()
    }
}

impl MembersCommand {
    fn run(self, session: &mut Session, workspace: &str) -> Result<(), Failure> {
        let below = |segments: &[&str]| path(&[&["v1", "workspaces", workspace], segments].concat());
        let place = |id: &str| below(&["members", id]);
        match self {
            Self::List { role, cursor } => {
                let query = page_query(role, cursor);
                let answer = session.client.get(&below(&["members"]), &query)?;
                session.show_list(&answer, &COLUMNS, "No member matches.")
            }
            Self::Get { id } => {
                let answer = session.client.get(&place(&id), &[])?;
                session.show(&answer, &FIELDS)
            }
            Self::SetRole { id, role, confirmation } => {
                let change = Change::patch(place(&id), json!({"role": role}));
                let question = format!("Makes {id} {role} of {workspace}. Keys lose what the role loses.");
                done(session, &change, &confirmation, &question, &format!("{id} is {role} of {workspace}."))
            }
            Self::Narrow { id, permissions, whole_role, confirmation } => {
                let set = if whole_role { Value::Null } else { json!(permissions) };
                let change = Change::patch(place(&id), json!({"permissions": set}));
                let question = format!("Changes what {id} may do. Keys lose what the member loses.");
                done(session, &change, &confirmation, &question, &format!("Changed {id}."))
            }
            Self::Remove { id, hand_over_to, reason, confirmation } => {
                let keys = hand_over_to.as_ref().map_or_else(
                    || "Every key of theirs stops.".to_owned(),
                    |account| format!("Their keys go to {account}."),
                );
                let query = given([("hand_over_to", hand_over_to), ("reason", reason)]);
                let change = Change::delete(with_query(&place(&id), &query));
                let question = format!("Removes {id} from {workspace}. {keys}");
                moved(session, &change, &confirmation, &question, &format!("Removed {id}."))
            }
            Self::HandOver { id, to, confirmation } => {
                let body = json!({"from": id, "to": to});
                let change = Change::post(below(&["keys", "hand-over"]), body);
                let change = change.once(fresh_idempotency_key());
                let question = format!("Gives every key of {id} to {to}.");
                moved(session, &change, &confirmation, &question, "Done.")
            }
            Self::TransferOwnership { to, from, confirmation } => {
                let mut body = Map::from_iter([("to".to_owned(), json!(to))]);
                body.extend(from.map(|from| ("from".to_owned(), json!(from))));
                let change = Change::post(below(&["transfer-ownership"]), Value::Object(body));
                let change = change.once(fresh_idempotency_key());
                let question = format!("Makes {to} Owner of {workspace}, and the present Owner Admin.");
                done(session, &change, &confirmation, &question, &format!("{to} owns {workspace}."))
            }
        }
    }
}

/// The query of a page of members or of service accounts.
pub(super) fn page_query(role: Option<String>, cursor: Option<String>) -> Vec<(&'static str, String)> {
    given([("limit", Some("100".to_owned())), ("role", role), ("cursor", cursor)])
}

/// The parameters that have a value.
pub(super) fn given<const N: usize>(
    parameters: [(&'static str, Option<String>); N],
) -> Vec<(&'static str, String)> {
    parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Sends a change and says what it did.
pub(super) fn done(
    session: &mut Session,
    change: &Change,
    confirmation: &Confirmation,
    question: &str,
    text: &str,
) -> Result<(), Failure> {
    match session.change(change, confirmation, Some(question))? {
        None => Ok(()),
        Some(answer) => session.show_done(&answer, text),
    }
}

/// Sends a change that stops keys or hands them over, and says what became of them.
pub(super) fn moved(
    session: &mut Session,
    change: &Change,
    confirmation: &Confirmation,
    question: &str,
    text: &str,
) -> Result<(), Failure> {
    let Some(answer) = session.change(change, confirmation, Some(question))? else { return Ok(()) };
    let count = |name: &str| answer.pointer(&format!("/keys/{name}")).and_then(Value::as_u64).unwrap_or(0);
    let text = format!("{text} {} key(s) stopped, {} handed over.", count("stopped"), count("handed_over"));
    for warning in answer.pointer("/keys/warnings").and_then(Value::as_array).into_iter().flatten() {
        let message = warning["message"].as_str().unwrap_or_default();
        session.console.note(&format!("warning: {message}"));
    }
    session.show_done(&answer, &text)
}

/// Nothing to change was named.
pub(super) fn nothing_named(remedy: &str) -> Failure {
    Failure::new(Exit::Arguments, "nothing to change was named").remedy(remedy)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{
        console::{Dialogue, captured::console},
        fake_server::FakeServer,
    };

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        members: Members,
    }

    fn run(
        arguments: &[&str],
        answers: Vec<(u16, String)>,
    ) -> (Result<(), Exit>, String, String, Vec<String>) {
        let server = FakeServer::start(answers);
        let front = ["members", "--url", server.url(), "--workspace", "acme"];
        let line = Line::try_parse_from([&front, arguments].concat()).unwrap();
        let (console, out, err) = console(b"", Dialogue::Impossible);
        let result = line.members.run(console).map_err(|failure| failure.exit());
        (result, out.text(), err.text(), server.requests())
    }

    #[test]
    fn what_takes_away_asks_first() {
        for arguments in [
            &["set-role", "usr_1", "viewer"][..],
            &["narrow", "usr_1", "--permission", "prompts:read"],
            &["remove", "usr_1"],
            &["hand-over", "usr_1", "--to", "sa_1"],
            &["transfer-ownership", "usr_1"],
        ] {
            let (result, _, _, requests) = run(arguments, vec![(200, "{}".to_owned())]);
            assert_eq!((result, requests.len()), (Err(Exit::Arguments), 0), "{arguments:?}");
            let (result, _, _, requests) =
                run(&[arguments, &["--yes"]].concat(), vec![(200, "{}".to_owned())]);
            assert_eq!((result, requests.len()), (Ok(()), 1), "{arguments:?}");
            let (result, out, _, requests) = run(&[arguments, &["--dry-run"]].concat(), vec![]);
            assert_eq!((result, requests.len()), (Ok(()), 0), "{arguments:?}");
            assert!(out.contains("/v1/workspaces/acme/"), "{out}");
        }
    }

    #[test]
    fn a_removal_tells_what_became_of_the_keys() {
        let warning = json!({"code": "secret_known", "message": "Rotate them."});
        let answer = json!({
            "id": "usr_1", "keys": {"stopped": 2, "handed_over": 1, "warnings": [warning]}, "sequence": 4,
            "effective": {"nodes": 3, "waited_ms": 4.1, "silent": 0},
        });
        let arguments = ["remove", "usr_1", "--hand-over-to", "sa_1", "--reason", "left us", "--yes"];
        let (result, out, err, requests) = run(&arguments, vec![(200, answer.to_string())]);
        assert_eq!(result, Ok(()));
        assert!(out.contains("2 key(s) stopped, 1 handed over.") && out.contains("3 node(s)"), "{out}");
        assert!(err.contains("Rotate them."), "{err}");
        let expected = "DELETE /v1/workspaces/acme/members/usr_1?hand_over_to=sa_1&reason=left%20us HTTP/1.1";
        assert!(requests[0].starts_with(expected), "{}", requests[0]);
    }

    #[test]
    fn the_whole_role_is_null() {
        let (_, _, _, requests) =
            run(&["narrow", "usr_1", "--whole-role", "--yes"], vec![(200, "{}".to_owned())]);
        assert!(requests[0].ends_with(r#"{"permissions":null}"#), "{}", requests[0]);
        let (_, _, _, requests) = run(&["narrow", "usr_1", "--yes"], vec![(200, "{}".to_owned())]);
        assert!(requests[0].ends_with(r#"{"permissions":[]}"#), "{}", requests[0]);
    }
}
