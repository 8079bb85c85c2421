//! Changes of one prompt.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::Args;
use keywright_domain::prompt::TEXT_MAX_BYTES;
use serde_json::{Map, Value, json};

use super::{
    super::{confirm::Confirmation, connection::fresh_idempotency_key, console::Console, session::Change},
    Scope,
};
use crate::failure::{Exit, Failure};

/// What people say about a prompt.
#[derive(Debug, Args)]
struct About {
    /// Title for people
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// One word that sorts it
    #[arg(long, value_name = "TEXT")]
    category: Option<String>,
    /// Word that finds it; may be repeated, and names all of them
    #[arg(long = "tag", value_name = "TEXT")]
    tags: Vec<String>,
    /// File with the text itself, or - for standard input
    #[arg(long, value_name = "FILE|-")]
    generator: Option<PathBuf>,
    /// File with the system prompt, or - for standard input
    #[arg(long, value_name = "FILE|-")]
    system: Option<PathBuf>,
    /// File with the text that has an answer criticised, or - for standard input
    #[arg(long, value_name = "FILE|-")]
    critique: Option<PathBuf>,
}

impl About {
    /// The members that were given, texts read from their files.
    fn body(&self, console: &mut Console) -> Result<Map<String, Value>, Failure> {
        let mut body = Map::new();
        for (name, value) in
            [("title", &self.title), ("description", &self.description), ("category", &self.category)]
        {
            body.extend(value.as_ref().map(|value| (name.to_owned(), json!(value))));
        }
        if !self.tags.is_empty() {
            body.insert("tags".to_owned(), json!(self.tags));
        }
        let files = [
            ("generator", &self.generator),
            ("system_prompt", &self.system),
            ("critique_prompt", &self.critique),
        ];
        let named = files.into_iter().filter_map(|(name, file)| Some((name, file.as_deref()?)));
        let mut is_input_read = false;
        for (name, file) in named {
            if file == Path::new("-") && std::mem::replace(&mut is_input_read, true) {
                return Err(Failure::new(Exit::Arguments, "standard input was named for two texts")
                    .remedy("Name a file for all but one of them."));
            }
            body.insert(name.to_owned(), json!(read_text(file, console)?));
        }
        Ok(body)
    }
}

/// A text, byte for byte.
fn read_text(file: &Path, console: &mut Console) -> Result<String, Failure> {
    let limit = TEXT_MAX_BYTES as u64;
    let bytes = if file == Path::new("-") {
        console.read_input(limit)?
    } else {
        let mut bytes = Vec::new();
        let read = std::fs::File::open(file).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
        read.map_err(|error| {
            Failure::new(Exit::Negative, format!("cannot read {}: {error}", file.display()))
        })?;
        if bytes.len() as u64 > limit {
            let message =
                format!("{} has more than {limit} bytes, as much as a text may have", file.display());
            return Err(Failure::new(Exit::Negative, message));
        }
        bytes
    };
    String::from_utf8(bytes)
        .map_err(|_| Failure::new(Exit::Negative, format!("{} is not UTF-8 text", file.display())))
}

/// Create a prompt
///
/// It begins as a draft, v0, which those who may write prompts see; publish it to put it into service. Variables stand in
/// the texts as {{name}} or {{name:string // what it is}}.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright prompts create qa-bot --generator qa.md
  keywright prompts create qa-bot --title 'Questions and answers' --category support --tag faq --system system.md
  echo 'Answer {{question}} in one sentence.' | keywright prompts create qa-bot --generator -")]
pub(crate) struct Create {
    /// Slug: letters, digits, - and _; it never changes
    prompt: String,
    #[command(flatten)]
    about: About,
    /// Makes a repeated call have no second effect; a fresh one is used when none is given
    #[arg(long, value_name = "TEXT")]
    idempotency_key: Option<String>,
    /// Show the request that would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
}

impl Create {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let mut body = self.about.body(&mut scope.session.console)?;
        body.insert("slug".to_owned(), json!(self.prompt));
        let key = self.idempotency_key.unwrap_or_else(fresh_idempotency_key);
        let change = Change::post(scope.path(&[]), Value::Object(body)).once(key);
        let done = format!("Created {}, a draft.", scope.package(&self.prompt));
        perform(scope, &change, &Confirmation { yes: true, dry_run: self.dry_run }, None, &done)
    }
}

/// Change the draft of a prompt
///
/// Changes what is named and leaves the rest. Published versions stay as they are.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright prompts edit qa-bot --generator qa.md
  keywright prompts edit qa-bot --title 'Answers' --tag faq --tag support --no-critique
  keywright prompts edit qa-bot --system system.md --revision 7     only if nobody changed it meanwhile")]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag of the command line")]
pub(crate) struct Edit {
    /// Slug of the prompt
    prompt: String,
    #[command(flatten)]
    about: About,
    /// Clear the description
    #[arg(long, conflicts_with = "description")]
    no_description: bool,
    /// Clear the category
    #[arg(long, conflicts_with = "category")]
    no_category: bool,
    /// Clear the tags
    #[arg(long, conflicts_with = "tags")]
    no_tags: bool,
    /// Take the system prompt away
    #[arg(long, conflicts_with = "system")]
    no_system: bool,
    /// Take the critique away
    #[arg(long, conflicts_with = "critique")]
    no_critique: bool,
    /// Only if the draft has this revision
    #[arg(long, value_name = "NUMBER")]
    revision: Option<u64>,
    /// Show the request that would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
}

impl Edit {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let mut body = self.about.body(&mut scope.session.console)?;
        for (name, is_cleared) in [
            ("description", self.no_description),
            ("category", self.no_category),
            ("tags", self.no_tags),
            ("system_prompt", self.no_system),
            ("critique_prompt", self.no_critique),
        ] {
            if is_cleared {
                body.insert(name.to_owned(), Value::Null);
            }
        }
        if body.is_empty() {
            return Err(Failure::new(Exit::Arguments, "nothing to change was named").remedy(
                "Name at least one field, such as --generator or --title; see `keywright prompts edit --help`.",
            ));
        }
        let change = Change::patch(scope.path(&[&self.prompt]), Value::Object(body)).only_if(self.revision);
        let done = format!("Changed the draft of {}.", scope.package(&self.prompt));
        perform(scope, &change, &Confirmation { yes: true, dry_run: self.dry_run }, None, &done)
    }
}

/// Publish the draft of a prompt
///
/// The draft becomes the next version, which never changes, and latest: applications that ask for :latest get it from now
/// on, those that ask for a number keep what they have.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright prompts diff qa-bot && keywright prompts publish qa-bot
  keywright prompts publish qa-bot --revision 7     only what you have read")]
pub(crate) struct Publish {
    /// Slug of the prompt
    prompt: String,
    /// Only if the draft has this revision
    #[arg(long, value_name = "NUMBER")]
    revision: Option<u64>,
    /// Makes a repeated call have no second effect; a fresh one is used when none is given
    #[arg(long, value_name = "TEXT")]
    idempotency_key: Option<String>,
    /// Show the request that would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
}

impl Publish {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let key = self.idempotency_key.unwrap_or_else(fresh_idempotency_key);
        let change = Change::post(scope.path(&[&self.prompt, "publish"]), json!({})).once(key);
        let change = change.only_if(self.revision);
        let confirmation = Confirmation { yes: true, dry_run: self.dry_run };
        let Some(answer) = scope.session.change(&change, &confirmation, None)? else { return Ok(()) };
        let version = answer.pointer("/version/version").and_then(Value::as_str).unwrap_or("?");
        let done = format!("Published {}:{version}; it is latest.", scope.package(&self.prompt));
        scope.session.show_done(&answer, &done)
    }
}

/// Take a prompt, or one of its versions, out of service
///
/// When the command returns, no node serves it. Nothing is lost: `keywright prompts restore` brings it back.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright prompts archive qa-bot
  keywright prompts archive qa-bot --version v3     latest is the newest that is left")]
pub(crate) struct Archive {
    /// Slug of the prompt
    prompt: String,
    /// Only this version: v1, v2, … or latest
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// Show the request that would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
}

impl Archive {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let what = named(scope, &self.prompt, self.version.as_deref());
        let change = service_change(scope, &self.prompt, self.version.as_deref(), "archive");
        let confirmation = Confirmation { yes: true, dry_run: self.dry_run };
        perform(scope, &change, &confirmation, None, &format!("Archived {what}."))
    }
}

/// Put an archived prompt, or an archived version, back into service
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright prompts restore qa-bot
  keywright prompts restore qa-bot --version v3")]
pub(crate) struct Restore {
    /// Slug of the prompt
    prompt: String,
    /// Only this version: v1, v2, …
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// Show the request that would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
}

impl Restore {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let what = named(scope, &self.prompt, self.version.as_deref());
        let change = service_change(scope, &self.prompt, self.version.as_deref(), "restore");
        let confirmation = Confirmation { yes: true, dry_run: self.dry_run };
        perform(scope, &change, &confirmation, None, &format!("Restored {what}."))
    }
}

/// Delete a prompt with all its versions, files and links
///
/// When the command returns, no node serves any of them. To take it out of service for a while, archive it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright prompts export backup/ && keywright prompts delete qa-bot --yes")]
pub(crate) struct Delete {
    /// Slug of the prompt
    prompt: String,
    #[command(flatten)]
    confirmation: Confirmation,
}

impl Delete {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let package = scope.package(&self.prompt);
        let question = format!("Deletes {package} with all versions, files and links for good.");
        let change = Change::delete(scope.path(&[&self.prompt]));
        perform(scope, &change, &self.confirmation, Some(&question), &format!("Deleted {package}."))
    }
}

fn named(scope: &Scope, prompt: &str, version: Option<&str>) -> String {
    let package = scope.package(prompt);
    version.map_or_else(|| package.clone(), |version| format!("{package}:{version}"))
}

/// `archive` or `restore` of a prompt, or of a version.
fn service_change(scope: &Scope, prompt: &str, version: Option<&str>, action: &str) -> Change {
    let path = match version {
        Some(version) => scope.path(&[prompt, "versions", version, action]),
        None => scope.path(&[prompt, action]),
    };
    Change::post(path, json!({}))
}

/// Sends the change and says what was done.
pub(super) fn perform(
    scope: &mut Scope,
    change: &Change,
    confirmation: &Confirmation,
    question: Option<&str>,
    done: &str,
) -> Result<(), Failure> {
    match scope.session.change(change, confirmation, question)? {
        None => Ok(()),
        Some(answer) => scope.session.show_done(&answer, done),
    }
}
