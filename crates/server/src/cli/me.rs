//! `keywright me`: what is kept of a person, and what they choose about it.

use std::{io, path::PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    confirm::Confirmation,
    connection::{Connection, path},
    console::Console,
    session::{Change, Session},
    table::{Column, column},
};
use crate::{
    failure::{Exit, Failure},
    installation::create_private,
};

const CONSENTS: [Column; 4] = [
    column("NAME", "/name"),
    column("VERSION", "/version"),
    column("GIVEN", "/given_at"),
    column("WITHDRAWN", "/withdrawn_at"),
];

/// See, take along and erase what is kept of you; opt out, consent
///
/// With the token of your session (`kss_…`) as the credential. With --user and an operator credential the same for somebody
/// who asked for it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright me show
  keywright me export --archive my-data.zip
  keywright me opt-out
  keywright me erase --user usr_01… --yes")]
pub(crate) struct Me {
    #[command(flatten)]
    connection: Connection,
    /// Somebody else, by id; needs an operator credential
    #[arg(long, global = true, value_name = "USER")]
    user: Option<String>,
    #[command(subcommand)]
    command: MeCommand,
}

#[derive(Debug, Subcommand)]
enum MeCommand {
    /// Who you are, and where you are a member
    ///
    /// Not for somebody else: `keywright me export --user …` says everything.
    #[command(after_help = "Examples:\n  keywright me show")]
    Show,
    /// Everything that is kept of you
    ///
    /// As JSON on standard output, or as an archive with CSV files.
    #[command(
        after_help = "Examples:\n  keywright me export > me.json\n  keywright me export --archive my-data.zip"
    )]
    Export {
        /// New file for an archive of the JSON document and a CSV file for each list
        #[arg(long, value_name = "FILE")]
        archive: Option<PathBuf>,
    },
    /// Keep no addresses and user agents of what you and your keys do
    ///
    /// From the next request on, on every node. What was kept before goes when its time is over.
    #[command(after_help = "Examples:\n  keywright me opt-out")]
    OptOut,
    /// Take an opt-out back
    #[command(after_help = "Examples:\n  keywright me opt-in")]
    OptIn,
    /// List what you consented to
    #[command(after_help = "Examples:\n  keywright me consents")]
    Consents,
    /// Consent to a version of something
    #[command(after_help = "Examples:\n  keywright me consent terms 2026-11")]
    Consent {
        /// To what
        name: String,
        /// Which version of its text
        version: String,
    },
    /// Withdraw consent
    #[command(after_help = "Examples:\n  keywright me withdraw newsletter")]
    Withdraw {
        /// To what
        name: String,
    },
    /// Erase you for good
    ///
    /// Your memberships and sessions end, your keys stop, prompts that are yours alone go, and everything personal becomes
    /// unreadable. There is no way back: export first. The last Owner of a workspace hands it over before.
    #[command(after_help = "Examples:\n  keywright me export > me.json && keywright me erase --yes")]
    Erase {
        /// Keep the prompts that you created and of which nobody else published a version
        #[arg(long)]
        keep_prompts: bool,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

impl Me {
    /// Does what the arguments say.
    pub(crate) fn run(self, console: Console) -> Result<(), Failure> {
        let mut session = Session::open(&self.connection, console)?;
        let base: Vec<&str> = match &self.user {
            Some(user) => vec!["v1", "users", user],
            None => vec!["v1", "me"],
        };
        self.command.run(&mut session, &base)?;
        session.console.finish()
    }
}

impl MeCommand {
    fn run(self, session: &mut Session, base: &[&str]) -> Result<(), Failure> {
        let place = |rest: &[&str]| path(&[base, rest].concat());
        match self {
            Self::Show if base.len() > 2 => Err(Failure::new(Exit::Arguments, "show is about yourself")
                .remedy("Leave --user out, or use export.")),
            Self::Show => {
                let me = session.client.get(&place(&[]), &[])?;
                session.show(&me, &["id", "email", "name"])
            }
            Self::Export { archive: Some(file) } => save(session, &place(&["export"]), &file),
            Self::Export { archive: None } => {
                let export = session.client.get(&place(&["export"]), &[])?;
                session.console.answer_json(&export)
            }
            Self::OptOut => collect(session, &place(&["collection"]), false),
            Self::OptIn => collect(session, &place(&["collection"]), true),
            Self::Consents => {
                let consents = session.client.get(&place(&["consents"]), &[])?;
                session.show_list(&consents, &CONSENTS, "There are no consents on record.")
            }
            Self::Consent { name, version } => {
                let change = Change::put(place(&["consents", &name]), json!({"version": version}));
                consents(session, &change)
            }
            Self::Withdraw { name } => consents(session, &Change::delete(place(&["consents", &name]))),
            Self::Erase { keep_prompts, confirmation } => {
                let rest = if keep_prompts { "?prompts=keep" } else { "" };
                let change = Change::delete(format!("{}{rest}", place(&[])));
                let question =
                    "Everything personal becomes unreadable, and the keys stop. There is no way back.";
                match session.change(&change, &confirmation, Some(question))? {
                    None => Ok(()),
                    Some(answer) => session.show_done(&answer, "Erased."),
                }
            }
        }
    }
}

fn collect(session: &mut Session, place: &str, collect: bool) -> Result<(), Failure> {
    let change = Change::put(place.to_owned(), json!({"collect": collect}));
    let said = if collect { "Addresses and user agents are kept." } else { "Opted out." };
    match session.change(&change, &Confirmation { yes: true, dry_run: false }, None)? {
        None => Ok(()),
        Some(answer) => session.show_done(&answer, said),
    }
}

fn consents(session: &mut Session, change: &Change) -> Result<(), Failure> {
    let answer = session.change(change, &Confirmation { yes: true, dry_run: false }, None)?;
    session.show_list(&answer.unwrap_or(Value::Null), &CONSENTS, "There are no consents on record.")
}

/// Writes the archive to a new file that only its owner can read.
fn save(session: &mut Session, place: &str, file: &std::path::Path) -> Result<(), Failure> {
    let mut archive = session.client.stream(place, "application/zip")?;
    let cannot = |error: io::Error| {
        Failure::new(Exit::CannotCreate, format!("cannot write {}: {error}", file.display()))
    };
    let mut out = create_private(file).map_err(cannot)?;
    io::copy(&mut archive, &mut out).map_err(cannot)?;
    session.console.note(&format!("Written to {}.", file.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{
        super::{
            console::{Dialogue, captured::console},
            fake_server::FakeServer,
        },
        *,
    };

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        me: Me,
    }

    fn run(answers: Vec<(u16, String)>, line: &[&str]) -> (Result<(), Failure>, String, Vec<String>) {
        let server = FakeServer::start(answers);
        let (console, out, _) = console(b"", Dialogue::Impossible);
        let front = ["me", "--url", server.url()];
        let parsed = Line::parse_from([&front[..], line].concat());
        let result = parsed.me.run(console);
        (result, out.text(), server.requests())
    }

    #[test]
    fn ones_own_and_somebody_elses() {
        let list =
            json!({"data": [{"name": "terms", "version": "1", "given_at": "x", "withdrawn_at": null}]});
        let (result, out, requests) = run(vec![(200, list.to_string())], &["consent", "terms", "1"]);
        result.unwrap();
        assert!(
            out.contains("terms") && requests[0].starts_with("PUT /v1/me/consents/terms "),
            "{requests:?}"
        );
        let answer = json!({"collect": false, "sequence": 1, "effective": {"nodes": 2, "waited_ms": 1.0}});
        let (result, out, requests) = run(vec![(200, answer.to_string())], &["--user", "usr_1", "opt-out"]);
        result.unwrap();
        assert!(out.contains("Opted out. In force on 2 node(s)"), "{out}");
        assert!(requests[0].starts_with("PUT /v1/users/usr_1/collection "));
        assert!(requests[0].ends_with("{\"collect\":false}"));
    }

    #[test]
    fn erasing_is_confirmed_and_archives_are_private() {
        let (result, _, requests) = run(Vec::new(), &["erase"]);
        assert!(result.is_err() && requests.is_empty());
        let (result, out, requests) =
            run(vec![(200, json!({"id": "usr_1", "memberships_ended": 1}).to_string())], &["erase", "--yes"]);
        result.unwrap();
        assert!(out.contains("Erased.") && requests[0].starts_with("DELETE /v1/me "));
        let (_, _, requests) = run(vec![(200, "{}".to_owned())], &["erase", "--yes", "--keep-prompts"]);
        assert!(requests[0].starts_with("DELETE /v1/me?prompts=keep "), "{requests:?}");
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("me.zip");
        let (result, _, requests) =
            run(vec![(200, "PK".to_owned())], &["export", "--archive", file.to_str().unwrap()]);
        result.unwrap();
        assert!(requests[0].contains("application/zip"));
        assert_eq!(std::fs::read(&file).unwrap(), b"PK");
    }
}
