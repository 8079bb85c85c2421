//! Commands that talk to a server as its client, and commands that work offline.
//!
//! Answers go to standard output, everything said about them to standard error. Exit codes: see [`EXIT_CODES`].

mod administration;
mod apply;
mod audit;
mod backup;
mod completions;
mod confirm;
mod connection;
mod console;
mod credits;
mod doctor;
mod follow;
mod inspect;
mod invitations;
mod keys;
mod me;
mod members;
mod offline;
mod openapi;
mod problem;
mod prompts;
mod redact;
mod scan;
mod service_accounts;
mod session;
mod table;
mod users;
mod values;
mod workspaces;

#[cfg(test)]
pub(crate) mod fake_server;
#[cfg(test)]
mod reference;

use clap::Subcommand;

use self::console::Console;
use crate::failure::Failure;

/// What the exit codes of these commands mean.
pub(crate) const EXIT_CODES: &str = "\
Exit codes of the client and offline commands:
  0  done
  1  failed, or the answer is no
  2  the command line is wrong, or a confirmation is missing; of `prompts import --dry-run`: there is something to do
  3  found something: a key in a file, a break in the audit trail
  4  cannot reach the server
  5  the server refused";

/// The client and offline commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Keys(Box<keys::Keys>),
    Me(me::Me),
    Members(members::Members),
    Invitations(invitations::Invitations),
    Users(users::Users),
    ServiceAccounts(Box<service_accounts::ServiceAccounts>),
    Credits(credits::Credits),
    Prompts(Box<prompts::Prompts>),
    Workspaces(Box<workspaces::Workspaces>),
    Plans(administration::Plans),
    Permissions(administration::Permissions),
    Operators(administration::Operators),
    Incidents(administration::Incidents),
    Apply(apply::Apply),
    Export(apply::Export),
    Whoami(administration::Whoami),
    Key(inspect::Key),
    Scan(Box<scan::Scan>),
    Redact(redact::Redact),
    Audit(audit::Audit),
    Backup(backup::Backup),
    Restore(backup::Restore),
    Doctor(doctor::Doctor),
    Openapi(openapi::Openapi),
    Completions(completions::Completions),
}

impl Command {
    /// Does what the command line says.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let console = Console::standard();
        match self {
            Self::Keys(command) => command.run(console),
            Self::Me(command) => command.run(console),
            Self::Members(command) => command.run(console),
            Self::Invitations(command) => command.run(console),
            Self::Users(command) => command.run(console),
            Self::ServiceAccounts(command) => command.run(console),
            Self::Credits(command) => command.run(console),
            Self::Prompts(command) => command.run(console),
            Self::Workspaces(command) => command.run(console),
            Self::Plans(command) => command.run(console),
            Self::Permissions(command) => command.run(console),
            Self::Operators(command) => command.run(console),
            Self::Incidents(command) => command.run(console),
            Self::Apply(command) => command.run(console),
            Self::Export(command) => command.run(console),
            Self::Whoami(command) => command.run(console),
            Self::Key(command) => command.run(console),
            Self::Scan(command) => command.run(console),
            Self::Redact(command) => command.run(console),
            Self::Audit(command) => command.run(console),
            Self::Backup(command) => command.run(console),
            Self::Restore(command) => command.run(console),
            Self::Doctor(command) => command.run(console),
            Self::Openapi(command) => command.run(console),
            Self::Completions(command) => command.run(console),
        }
    }
}
