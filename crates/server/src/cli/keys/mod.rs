//! `keywright keys`: everything that the API can do with keys.

mod bulk;
mod change;
mod create;
mod read;
mod verify;

use clap::{Args, Subcommand};

pub(crate) use self::read::{all_pages, look_up};

use super::{
    connection::{Connection, InWorkspace, path},
    console::Console,
    session::Session,
};
use crate::failure::Failure;

/// Create, list, change, rotate, revoke and verify API keys.
///
/// Acts on one workspace: the one named with --workspace, else the one that the credential belongs to. The credential
/// is a workspace key with the permissions keys:read and keys:write, or an operator credential.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright keys create web --env production    create a key; its secret goes to standard output
  keywright keys list --status active           which keys there are
  keywright keys rotate key_01… --overlap 48h   a second secret; the old one works two days more
  keywright keys revoke key_01… --reason left   ends it; when this returns, no node accepts it")]
pub(crate) struct Keys {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    workspace: InWorkspace,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Box<create::Create>),
    List(read::List),
    Get(read::Get),
    Update(Box<change::Update>),
    Rotate(change::Rotate),
    CompleteRotation(change::CompleteRotation),
    CancelRotation(change::CancelRotation),
    Disable(change::Disable),
    Enable(change::Enable),
    Revoke(change::Revoke),
    Compromise(change::Compromise),
    Delete(change::Delete),
    HandOver(change::HandOver),
    BulkRevoke(bulk::BulkRevoke),
    Verify(verify::Verify),
    Usage(read::Usage),
    Ledger(read::Ledger),
    Origins(read::Origins),
    Lookup(read::Lookup),
}

/// The keys of one workspace.
struct Scope {
    session: Session,
    workspace: String,
}

impl Scope {
    /// The path below the workspace's keys.
    fn path(&self, segments: &[&str]) -> String {
        path(&[&["v1", "workspaces", &self.workspace, "keys"], segments].concat())
    }
}

impl Keys {
    /// Does what the arguments say.
    pub(crate) fn run(self, console: Console) -> Result<(), Failure> {
        let mut session = Session::open(&self.connection, console)?;
        let (workspace, command) = match self.command {
            Command::Verify(command) => return command.run(&mut session, &self.workspace),
            Command::Lookup(command) => return command.run(&mut session),
            command => (self.workspace.slug(&session.client)?, command),
        };
        let mut scope = Scope { session, workspace };
        command.run(&mut scope)?;
        scope.session.console.finish()
    }
}

impl Command {
    fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        match self {
            Self::Create(command) => command.run(scope),
            Self::List(command) => command.run(scope),
            Self::Get(command) => command.run(scope),
            Self::Update(command) => command.run(scope),
            Self::Rotate(command) => command.run(scope),
            Self::CompleteRotation(command) => command.run(scope),
            Self::CancelRotation(command) => command.run(scope),
            Self::Disable(command) => command.run(scope),
            Self::Enable(command) => command.run(scope),
            Self::Revoke(command) => command.run(scope),
            Self::Compromise(command) => command.run(scope),
            Self::Delete(command) => command.run(scope),
            Self::HandOver(command) => command.run(scope),
            Self::BulkRevoke(command) => command.run(scope),
            Self::Usage(command) => command.run(scope),
            Self::Ledger(command) => command.run(scope),
            Self::Origins(command) => command.run(scope),
            Self::Verify(_) | Self::Lookup(_) => unreachable!("need no workspace and ran before"),
        }
    }
}

#[cfg(test)]
mod tests;
