//! `keywright prompts`: everything that the API can do with prompts, and prompts as files.

mod change;
mod context;
mod draft;
mod files;
mod read;

use clap::{Args, Subcommand};

use super::{
    connection::{Connection, InWorkspace, path},
    console::Console,
    session::Session,
};
use crate::failure::Failure;

/// Write, publish, compare and move prompts.
///
/// Acts on one workspace: the one named with --workspace, else the one that the credential belongs to. The credential
/// is a workspace key with the permission prompts:write, or an operator credential. Applications get prompts with
/// prompts:read: as @workspace/prompt:v1, v2, …, :latest, or :v0 for the draft.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright prompts create qa-bot --generator qa.md      a draft, which is v0
  keywright prompts publish qa-bot                       the draft becomes v1, and latest
  keywright prompts diff qa-bot                          what the draft changes
  keywright prompts export prompts/                      all drafts as files, for git
  keywright prompts import prompts/ --dry-run            what importing them would change")]
pub(crate) struct Prompts {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    workspace: InWorkspace,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(read::List),
    Get(read::Get),
    Create(Box<change::Create>),
    Edit(Box<change::Edit>),
    Publish(change::Publish),
    Archive(change::Archive),
    Restore(change::Restore),
    Delete(change::Delete),
    Diff(read::Diff),
    Versions(read::Versions),
    Context(context::Context),
    Export(files::Export),
    Import(files::Import),
}

/// The prompts of one workspace.
struct Scope {
    session: Session,
    workspace: String,
}

impl Scope {
    /// The path below the workspace's prompts.
    fn path(&self, segments: &[&str]) -> String {
        path(&[&["v1", "workspaces", &self.workspace, "prompts"], segments].concat())
    }

    /// What clients ask for.
    fn package(&self, prompt: &str) -> String {
        format!("@{}/{prompt}", self.workspace)
    }
}

impl Prompts {
    /// Does what the arguments say.
    pub(crate) fn run(self, console: Console) -> Result<(), Failure> {
        let session = Session::open(&self.connection, console)?;
        let workspace = self.workspace.slug(&session.client)?;
        let mut scope = Scope { session, workspace };
        let outcome = self.command.run(&mut scope);
        // What was answered before a failure is the answer, too.
        scope.session.console.finish()?;
        outcome
    }
}

impl Command {
    fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        match self {
            Self::List(command) => command.run(scope),
            Self::Get(command) => command.run(scope),
            Self::Create(command) => command.run(scope),
            Self::Edit(command) => command.run(scope),
            Self::Publish(command) => command.run(scope),
            Self::Archive(command) => command.run(scope),
            Self::Restore(command) => command.run(scope),
            Self::Delete(command) => command.run(scope),
            Self::Diff(command) => command.run(scope),
            Self::Versions(command) => command.run(scope),
            Self::Context(command) => command.run(scope),
            Self::Export(command) => command.run(scope),
            Self::Import(command) => command.run(scope),
        }
    }
}

#[cfg(test)]
mod tests;
