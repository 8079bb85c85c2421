//! `keywright invitations`: how people become members.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{
    confirm::Confirmation,
    connection::{Connection, InWorkspace, fresh_idempotency_key, path},
    console::Console,
    members::{ROLES, done, page_query},
    session::{Change, Form, Session},
    table::{Column, column},
};
use crate::failure::Failure;

const COLUMNS: [Column; 5] = [
    column("ID", "/id"),
    column("E-MAIL", "/email"),
    column("ROLE", "/role"),
    column("SENT", "/sent_at"),
    column("EXPIRES", "/expires_at"),
];

/// Invite people to a workspace
///
/// Each gets a link that is good once, for 7 days: by e-mail or, when the installation sends none, on your screen. Whoever has
/// no account yet chooses a password behind it. Nobody can give more than they have.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright invitations create ada@company.com --role admin
  keywright invitations create ada@company.com bob@company.com      both are Members
  keywright invitations list
  keywright invitations withdraw inv_01…")]
pub(crate) struct Invitations {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    workspace: InWorkspace,
    #[command(subcommand)]
    command: InvitationsCommand,
}

#[derive(Debug, Subcommand)]
enum InvitationsCommand {
    /// Invite people
    ///
    /// All of them, or, if one cannot be invited, none. Links that do not go out by e-mail are on standard output, one a line,
    /// and shown once: hand each over in a way that nobody else reads.
    #[command(after_help = "\
Examples:
  keywright invitations create ada@company.com --role admin
  keywright invitations create ada@company.com --role admin --permission keys:read --permission audit:read")]
    Create {
        /// Addresses of the people
        #[arg(value_name = "E-MAIL", required = true, num_args = 1..=100)]
        emails: Vec<String>,
        /// Role
        #[arg(long, default_value = "member", value_parser = ROLES)]
        role: String,
        /// Permission within the role; may be repeated; all of the role's when left out
        #[arg(long = "permission", value_name = "RESOURCE:ACTION")]
        permissions: Vec<String>,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// List invitations
    ///
    /// Those that wait, and those whose link has ended, oldest first.
    #[command(after_help = "Examples:\n  keywright invitations list --json")]
    List {
        /// Go on where an earlier list ended
        #[arg(long, value_name = "TEXT")]
        cursor: Option<String>,
    },
    /// Send an invitation again
    ///
    /// With a new link, good for another 7 days; the one before is not good any more.
    #[command(after_help = "Examples:\n  keywright invitations resend inv_01…")]
    Resend {
        /// Id of the invitation
        id: String,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Withdraw an invitation
    ///
    /// Its link is not good any more, and the address is forgotten, unless somebody signs in with it.
    #[command(after_help = "Examples:\n  keywright invitations withdraw inv_01… --yes")]
    Withdraw {
        /// Id of the invitation
        id: String,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

impl Invitations {
    /// Does what the arguments say.
    pub(crate) fn run(self, console: Console) -> Result<(), Failure> {
        let mut session = Session::open(&self.connection, console)?;
        let workspace = self.workspace.slug(&session.client)?;
        self.command.run(&mut session, &workspace)?;
        session.console.finish()
    }
}

impl InvitationsCommand {
    fn run(self, session: &mut Session, workspace: &str) -> Result<(), Failure> {
        let below =
            |segments: &[&str]| path(&[&["v1", "workspaces", workspace, "invitations"], segments].concat());
        match self {
            Self::Create { emails, role, permissions, confirmation } => {
                let all: Vec<Value> =
                    emails.iter().map(|email| invitee(email, &role, &permissions)).collect();
                let change = Change::post(below(&[]), json!({"invitations": all}));
                let change = change.once(fresh_idempotency_key());
                match session.change(&change, &confirmation, None)? {
                    None => Ok(()),
                    Some(answer) => show_links(
                        session,
                        &answer,
                        answer["data"].as_array().map(Vec::as_slice).unwrap_or_default(),
                    ),
                }
            }
            Self::List { cursor } => {
                let answer = session.client.get(&below(&[]), &page_query(None, cursor))?;
                session.show_list(&answer, &COLUMNS, "Nobody is invited.")
            }
            Self::Resend { id, confirmation } => {
                let change = Change::post(below(&[&id, "resend"]), json!({}));
                match session.change(&change, &confirmation, None)? {
                    None => Ok(()),
                    Some(answer) => show_links(session, &answer, std::slice::from_ref(&answer)),
                }
            }
            Self::Withdraw { id, confirmation } => {
                let change = Change::delete(below(&[&id]));
                let question = format!("Withdraws {id}: its link is not good any more.");
                done(session, &change, &confirmation, &question, &format!("Withdrew {id}."))
            }
        }
    }
}

fn invitee(email: &str, role: &str, permissions: &[String]) -> Value {
    let mut invitee = Map::from_iter([("email".to_owned(), json!(email)), ("role".to_owned(), json!(role))]);
    if !permissions.is_empty() {
        invitee.insert("permissions".to_owned(), json!(permissions));
    }
    Value::Object(invitee)
}

/// Shows where links went: those that did not go out by e-mail, on standard output.
pub(super) fn show_links(session: &mut Session, answer: &Value, made: &[Value]) -> Result<(), Failure> {
    if session.form == Form::Json {
        return session.console.answer_json(answer);
    }
    for one in made {
        let whom = one["email"].as_str().or(one["user"].as_str()).unwrap_or("the person");
        let until = one["expires_at"].as_str().unwrap_or("it is used");
        match one["link"].as_str() {
            Some(link) => {
                session
                    .console
                    .note(&format!("{whom}: hand this link over; it is good once, until {until}:"));
                session.console.answer(link)?;
            }
            None => {
                session
                    .console
                    .note(&format!("{whom}: a link went out by e-mail; it is good until {until}."));
            }
        }
    }
    Ok(())
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
        invitations: Invitations,
    }

    fn run(
        arguments: &[&str],
        answers: Vec<(u16, String)>,
    ) -> (Result<(), Exit>, String, String, Vec<String>) {
        let server = FakeServer::start(answers);
        let front = ["invitations", "--url", server.url(), "--workspace", "acme"];
        let line = Line::try_parse_from([&front, arguments].concat()).unwrap();
        let (console, out, err) = console(b"", Dialogue::Impossible);
        let result = line.invitations.run(console).map_err(|failure| failure.exit());
        (result, out.text(), err.text(), server.requests())
    }

    #[test]
    fn links_are_on_standard_output_alone() {
        let answer = json!({"data": [
            {"id": "inv_1", "email": "a@x", "delivered": false, "link": "https://keys/invite#kwi_1", "expires_at": "T"},
            {"id": "inv_2", "email": "b@x", "delivered": true, "expires_at": "T"},
        ]});
        let arguments = ["create", "a@x", "b@x", "--role", "admin", "--permission", "keys:read"];
        let (result, out, err, requests) = run(&arguments, vec![(201, answer.to_string())]);
        assert_eq!((result, out.trim()), (Ok(()), "https://keys/invite#kwi_1"));
        assert!(err.contains("b@x: a link went out by e-mail"), "{err}");
        assert!(requests[0].starts_with("POST /v1/workspaces/acme/invitations HTTP/1.1"), "{}", requests[0]);
        assert!(
            requests[0].contains(r#"{"email":"b@x","permissions":["keys:read"],"role":"admin"}"#),
            "{}",
            requests[0]
        );
    }

    #[test]
    fn a_withdrawal_asks_first() {
        let (result, _, _, requests) = run(&["withdraw", "inv_1"], vec![(204, String::new())]);
        assert_eq!((result, requests.len()), (Err(Exit::Arguments), 0));
        let (result, out, _, requests) = run(&["withdraw", "inv_1", "--yes"], vec![(204, String::new())]);
        assert_eq!((result, requests.len()), (Ok(()), 1));
        assert!(out.contains("Withdrew inv_1."), "{out}");
        assert!(requests[0].starts_with("DELETE /v1/workspaces/acme/invitations/inv_1 "), "{}", requests[0]);
    }
}
