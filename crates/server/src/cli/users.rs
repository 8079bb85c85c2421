//! `keywright users`: accounts of people, for the operator.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    confirm::Confirmation,
    connection::{Connection, path},
    console::Console,
    invitations::show_links,
    members::done,
    session::{Change, Session},
};
use crate::failure::Failure;

/// Help people into their accounts, and out of them
///
/// With an operator credential. Ids are in `keywright members list`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright users reset-link usr_01…        for a first password, or a forgotten one
  keywright users end-sessions usr_01…      signed out everywhere
  keywright users drop-totp usr_01…         for somebody who lost their authenticator")]
pub(crate) struct Users {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: UsersCommand,
}

#[derive(Debug, Subcommand)]
enum UsersCommand {
    /// Make a link with which somebody sets a password
    ///
    /// Good once, for an hour; one made before is not good any more. When the installation sends no e-mail, the link is on
    /// standard output, and shown once: hand it over in a way that nobody else reads.
    #[command(after_help = "Examples:\n  keywright users reset-link usr_01…")]
    ResetLink {
        /// Id of the person
        id: String,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Sign somebody out everywhere
    ///
    /// When the command returns, no node accepts any of their sessions. Their keys go on working: `keywright members remove`
    /// stops those.
    #[command(after_help = "Examples:\n  keywright users end-sessions usr_01… --yes")]
    EndSessions {
        /// Id of the person
        id: String,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Take somebody's second factor off
    ///
    /// For those who lost both their authenticator and their recovery codes. Make sure by another way that it is them.
    #[command(after_help = "Examples:\n  keywright users drop-totp usr_01… --yes")]
    DropTotp {
        /// Id of the person
        id: String,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

impl Users {
    /// Does what the arguments say.
    pub(crate) fn run(self, console: Console) -> Result<(), Failure> {
        let mut session = Session::open(&self.connection, console)?;
        self.command.run(&mut session)?;
        session.console.finish()
    }
}

impl UsersCommand {
    fn run(self, session: &mut Session) -> Result<(), Failure> {
        let place = |id: &str, what: &str| path(&["v1", "users", id, what]);
        match self {
            Self::ResetLink { id, confirmation } => {
                let change = Change::post(place(&id, "recovery"), json!({}));
                match session.change(&change, &confirmation, None)? {
                    None => Ok(()),
                    Some(answer) => show_links(session, &answer, std::slice::from_ref(&answer)),
                }
            }
            Self::EndSessions { id, confirmation } => {
                let change = Change::post(place(&id, "end-sessions"), json!({}));
                let question = format!("Signs {id} out everywhere.");
                let Some(answer) = session.change(&change, &confirmation, Some(&question))? else {
                    return Ok(());
                };
                let ended = answer.get("ended").and_then(Value::as_u64).unwrap_or(0);
                session.show_done(&answer, &format!("{ended} session(s) of {id} ended."))
            }
            Self::DropTotp { id, confirmation } => {
                let change = Change::delete(place(&id, "totp"));
                let question = format!("Lets {id} sign in without a second factor.");
                done(
                    session,
                    &change,
                    &confirmation,
                    &question,
                    &format!("{id} has no second factor any more."),
                )
            }
        }
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
        users: Users,
    }

    fn run(arguments: &[&str], answers: Vec<(u16, String)>) -> (Result<(), Exit>, String, Vec<String>) {
        let server = FakeServer::start(answers);
        let front = ["users", "--url", server.url()];
        let line = Line::try_parse_from([&front, arguments].concat()).unwrap();
        let (console, out, _) = console(b"", Dialogue::Impossible);
        let result = line.users.run(console).map_err(|failure| failure.exit());
        (result, out.text(), server.requests())
    }

    #[test]
    fn a_link_is_on_standard_output_alone() {
        let answer = json!({"user": "usr_1", "delivered": false, "link": "https://keys/recover#kwr_1", "expires_at": "T"});
        let (result, out, requests) = run(&["reset-link", "usr_1"], vec![(201, answer.to_string())]);
        assert_eq!((result, out.trim()), (Ok(()), "https://keys/recover#kwr_1"));
        assert!(requests[0].starts_with("POST /v1/users/usr_1/recovery "), "{}", requests[0]);
    }

    #[test]
    fn what_takes_away_asks_first() {
        for (command, path) in [
            ("end-sessions", "POST /v1/users/usr_1/end-sessions "),
            ("drop-totp", "DELETE /v1/users/usr_1/totp "),
        ] {
            let (result, _, requests) = run(&[command, "usr_1"], vec![(200, "{}".to_owned())]);
            assert_eq!((result, requests.len()), (Err(Exit::Arguments), 0), "{command}");
            let (result, _, requests) = run(&[command, "usr_1", "--yes"], vec![(200, "{}".to_owned())]);
            assert_eq!(result, Ok(()), "{command}");
            assert!(requests[0].starts_with(path), "{}", requests[0]);
        }
    }
}
