//! `keywright prompts context`: the files and links of a prompt.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use keywright_domain::prompt::FILE_MAX_BYTES;
use serde_json::{Value, json};

use super::{
    super::{confirm::Confirmation, connection::fresh_idempotency_key, session::Change, table::column},
    Scope,
    change::perform,
    files::{media_type, read_file},
};
use crate::failure::{Exit, Failure};

/// Add, list and delete the files and links of a prompt
#[derive(Debug, Args)]
#[command(
    about = "Add, list and delete the files and links of a prompt",
    after_help = "Examples:\n  keywright prompts context add-file qa-bot faq.md\n  keywright prompts context list qa-bot"
)]
pub(crate) struct Context {
    #[command(subcommand)]
    command: ContextCommand,
}

#[derive(Debug, Subcommand)]
enum ContextCommand {
    AddFile(AddFile),
    AddLink(AddLink),
    List(List),
    Delete(Delete),
}

impl Context {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        match self.command {
            ContextCommand::AddFile(command) => command.run(scope),
            ContextCommand::AddLink(command) => command.run(scope),
            ContextCommand::List(command) => command.run(scope),
            ContextCommand::Delete(command) => command.run(scope),
        }
    }
}

/// Add a file to the draft of a prompt
///
/// At most 8 MiB. The media type follows from the ending of the name unless it is given.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright prompts context add-file qa-bot faq.md --label 'Frequent questions'
  keywright prompts context add-file qa-bot export.dat --name prices.csv --mime-type text/csv")]
pub(crate) struct AddFile {
    /// Slug of the prompt
    prompt: String,
    /// The file
    file: PathBuf,
    /// Name that it gets; its own unless given
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Label for people
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Media type, such as text/markdown
    #[arg(long, value_name = "TYPE")]
    mime_type: Option<String>,
    /// Makes a repeated call have no second effect; a fresh one is used when none is given
    #[arg(long, value_name = "TEXT")]
    idempotency_key: Option<String>,
}

impl AddFile {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let own_name = self.file.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        let name = self.name.or(own_name).ok_or_else(|| {
            Failure::new(Exit::Arguments, format!("{} has no name to give it", self.file.display()))
                .remedy("Add --name.")
        })?;
        let mime_type = self.mime_type.or_else(|| media_type(&name).map(str::to_owned)).ok_or_else(|| {
            Failure::new(Exit::Arguments, format!("what {name} is does not follow from its ending"))
                .remedy("Say it with --mime-type, such as text/plain.")
        })?;
        let bytes = read_file(&self.file, FILE_MAX_BYTES)?;
        let mut query = vec![("file_name", name.clone())];
        query.extend(self.label.map(|label| ("label", label)));
        let key = self.idempotency_key.unwrap_or_else(fresh_idempotency_key);
        let path = scope.path(&[&self.prompt, "context", "files"]);
        let answer = scope.session.client.upload(&path, &query, &mime_type, &bytes, &key)?;
        let id = answer.pointer("/item/id").and_then(Value::as_str).unwrap_or("?");
        let done = format!("Added {name} to {} as {id}.", scope.package(&self.prompt));
        scope.session.show_done(&answer, &done)
    }
}

/// Add a link to the draft of a prompt
///
/// Keywright never fetches it. It leads to a public host, with http or https.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright prompts context add-link qa-bot https://example.com/faq --label 'The public FAQ'")]
pub(crate) struct AddLink {
    /// Slug of the prompt
    prompt: String,
    /// Where it leads
    // Not named `url`: that is the server's address, in each command.
    #[arg(value_name = "URL")]
    link: String,
    /// Label for people
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Makes a repeated call have no second effect; a fresh one is used when none is given
    #[arg(long, value_name = "TEXT")]
    idempotency_key: Option<String>,
    /// Show the request that would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
}

impl AddLink {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let mut body = json!({"url": self.link});
        if let Some(label) = self.label {
            body["label"] = json!(label);
        }
        let key = self.idempotency_key.unwrap_or_else(fresh_idempotency_key);
        let change = Change::post(scope.path(&[&self.prompt, "context", "links"]), body).once(key);
        let done = format!("Added {} to {}.", self.link, scope.package(&self.prompt));
        perform(scope, &change, &Confirmation { yes: true, dry_run: self.dry_run }, None, &done)
    }
}

/// List the files and links of a prompt, oldest first
///
/// Those of older versions are among them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright prompts context list qa-bot
  keywright prompts context list qa-bot --json | jq -r '.data[] | select(.type == \"file\") | .sha256'")]
pub(crate) struct List {
    /// Slug of the prompt
    prompt: String,
}

impl List {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let answer = scope.session.client.get(&scope.path(&[&self.prompt, "context"]), &[])?;
        let columns = [
            column("ID", "/id"),
            column("TYPE", "/type"),
            column("NAME", "/file_name"),
            column("MEDIA TYPE", "/mime_type"),
            column("BYTES", "/size"),
            column("LINK", "/url"),
            column("LABEL", "/label"),
            column("ADDED", "/created_at"),
        ];
        scope.session.show_list(&answer, &columns, "The prompt has no files and no links.")
    }
}

/// Delete a file or link of a prompt
///
/// It goes for the draft and for every version, and download links to it end. When the command returns, no node serves
/// it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright prompts context delete qa-bot ctx_01… --yes")]
pub(crate) struct Delete {
    /// Slug of the prompt
    prompt: String,
    /// Id of the file or link
    #[arg(value_name = "ITEM")]
    item: String,
    #[command(flatten)]
    confirmation: Confirmation,
}

impl Delete {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let package = scope.package(&self.prompt);
        let question = format!("Deletes {} of {package}, for the draft and for every version.", self.item);
        let change = Change::delete(scope.path(&[&self.prompt, "context", &self.item]));
        let done = format!("Deleted {} of {package}.", self.item);
        perform(scope, &change, &self.confirmation, Some(&question), &done)
    }
}
