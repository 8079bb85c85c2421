//! Questions about prompts.

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::{
    super::{
        console::{cannot_write, printable},
        keys::all_pages,
        session::Form,
        table::{self, Column, column},
    },
    Scope,
};
use crate::failure::{Exit, Failure};

const PROMPT_COLUMNS: [Column; 7] = [
    column("PROMPT", "/package"),
    column("TITLE", "/draft/title"),
    column("CATEGORY", "/draft/category"),
    column("LATEST", "/latest"),
    column("VERSIONS", "/versions"),
    column("CHANGED", "/updated_at"),
    column("ARCHIVED", "/archived_at"),
];
const VERSION_COLUMNS: [Column; 5] = [
    column("VERSION", "/version"),
    column("TITLE", "/content/title"),
    column("PUBLISHED", "/published_at"),
    column("BY", "/published_by/id"),
    column("ARCHIVED", "/archived_at"),
];
/// Lines of the same around a change in a comparison.
const LINES_AROUND: usize = 3;

/// Which part of a list.
#[derive(Debug, Args)]
pub(super) struct Pages {
    /// Most rows to show at once, 1 to 100
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,
    /// Go on where an earlier list ended
    #[arg(long, value_name = "TEXT")]
    cursor: Option<String>,
    /// Show all pages
    #[arg(long, conflicts_with = "cursor")]
    all: bool,
}

/// List the prompts of a workspace, newest first
///
/// Drafts and archived prompts are among them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright prompts list
  keywright prompts list --category support --archived no
  keywright prompts list --search assistant --all --json | jq -r '.data[].slug'")]
pub(crate) struct List {
    /// Of this category
    #[arg(long, value_name = "TEXT")]
    category: Option<String>,
    /// With this tag
    #[arg(long, value_name = "TEXT")]
    tag: Option<String>,
    /// With this text in slug or title
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only archived ones, or only those that are not
    #[arg(long, value_name = "WHETHER", value_parser = ["yes", "no"])]
    archived: Option<String>,
    #[command(flatten)]
    pages: Pages,
}

impl List {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let archived = self.archived.map(|whether| (whether == "yes").to_string());
        let filters =
            [("category", self.category), ("tag", self.tag), ("search", self.search), ("archived", archived)];
        let mut query: Vec<_> =
            filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        query.push(("limit", self.pages.limit.to_string()));
        let (cursor, all) = (self.pages.cursor, self.pages.all);
        let answer = all_pages(&scope.session, &scope.path(&[]), &query, cursor, all)?;
        scope.session.show_list(&answer, &PROMPT_COLUMNS, "No prompt matches.")
    }
}

/// A text of a prompt.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Text {
    Generator,
    System,
    Critique,
}

impl Text {
    const fn field(self) -> &'static str {
        match self {
            Self::Generator => "generator",
            Self::System => "system_prompt",
            Self::Critique => "critique_prompt",
        }
    }
}

/// Show a prompt with its draft, or one of its versions
///
/// With --text, one of the texts alone and byte for byte.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright prompts get qa-bot
  keywright prompts get qa-bot --version latest
  keywright prompts get qa-bot --text generator > qa.md
  keywright prompts get qa-bot --version v2 --json | jq .content.variables")]
pub(crate) struct Get {
    /// Slug of the prompt
    prompt: String,
    /// Version: v1, v2, … or latest; the draft when left out
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// Write this text alone
    #[arg(long, value_name = "TEXT")]
    text: Option<Text>,
}

impl Get {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let version = self.version.as_deref().filter(|version| *version != "v0");
        let (path, content) = match version {
            Some(version) => (scope.path(&[&self.prompt, "versions", version]), "content"),
            None => (scope.path(&[&self.prompt]), "draft"),
        };
        let answer = scope.session.client.get(&path, &[])?;
        if let Some(text) = self.text {
            return write_text(scope, &answer[content], text);
        }
        if scope.session.form == Form::Json {
            return scope.session.console.answer_json(&answer);
        }
        show_content(scope, &answer, content)
    }
}

fn write_text(scope: &mut Scope, content: &Value, wanted: Text) -> Result<(), Failure> {
    let text = content[wanted.field()].as_str().ok_or_else(|| {
        Failure::new(Exit::Negative, format!("the prompt has no {} text", wanted.field().replace('_', " ")))
    })?;
    let output = scope.session.console.output();
    output.write_all(text.as_bytes()).map_err(|error| cannot_write(&error))
}

/// The fields that fit on a line, and below them the texts as they are.
fn show_content(scope: &mut Scope, answer: &Value, content: &str) -> Result<(), Failure> {
    let mut fields = answer.as_object().cloned().unwrap_or_default();
    let held = fields.remove(content).unwrap_or_default();
    let mut short = Map::new();
    for (name, value) in held.as_object().into_iter().flatten() {
        let is_text = matches!(name.as_str(), "generator" | "system_prompt" | "critique_prompt");
        if !is_text {
            short.insert(name.clone(), value.clone());
        }
    }
    short.extend(fields);
    let first = ["package", "version", "title", "description", "category", "tags", "variables"];
    let console = &mut scope.session.console;
    console.answer(&table::fields(&Value::Object(short), &first))?;
    for field in ["system_prompt", "generator", "critique_prompt"] {
        if let Some(text) = held[field].as_str() {
            console.answer(&format!("\n--- {field}"))?;
            for line in text.lines() {
                console.answer(&visible(line))?;
            }
        }
    }
    Ok(())
}

/// A line as it may be shown: tabs stay, what could steer the terminal does not.
pub(super) fn visible(line: &str) -> String {
    line.split('\t').map(printable).collect::<Vec<_>>().join("\t")
}

/// List the versions of a prompt, newest first
///
/// A version never changes. An archived one is not served, and is not latest.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright prompts versions qa-bot
  keywright prompts versions qa-bot --all --json | jq -r '.data[].version'")]
pub(crate) struct Versions {
    /// Slug of the prompt
    prompt: String,
    #[command(flatten)]
    pages: Pages,
}

impl Versions {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let path = scope.path(&[&self.prompt, "versions"]);
        let query = [("limit", self.pages.limit.to_string())];
        let answer = all_pages(&scope.session, &path, &query, self.pages.cursor, self.pages.all)?;
        scope.session.show_list(&answer, &VERSION_COLUMNS, "No version was published yet.")
    }
}

/// Compare two versions of a prompt, line by line
///
/// Without further words: what the draft changes of the latest version.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright prompts diff qa-bot
  keywright prompts diff qa-bot --from v1 --to v2")]
pub(crate) struct Diff {
    /// Slug of the prompt
    prompt: String,
    /// What is compared with: v0, v1, … or latest
    #[arg(long, value_name = "VERSION", default_value = "latest")]
    from: String,
    /// What is compared: v0, v1, … or latest
    #[arg(long, value_name = "VERSION", default_value = "v0")]
    to: String,
}

impl Diff {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let query = [("from", self.from), ("to", self.to)];
        let answer = scope.session.client.get(&scope.path(&[&self.prompt, "diff"]), &query)?;
        if scope.session.form == Form::Json {
            return scope.session.console.answer_json(&answer);
        }
        let name = |member: &str| answer[member].as_str().map(printable).unwrap_or_default();
        let (from, to) = (name("from"), name("to"));
        let fields = answer["fields"].as_array().cloned().unwrap_or_default();
        if fields.is_empty() {
            scope.session.console.note(&format!("{from} and {to} hold the same."));
        }
        for field in fields {
            let name = field["field"].as_str().map(printable).unwrap_or_default();
            scope.session.console.answer(&format!("--- {from} {name}\n+++ {to} {name}"))?;
            for line in shortened(field["lines"].as_array().map_or(&[], Vec::as_slice)) {
                scope.session.console.answer(&line)?;
            }
        }
        Ok(())
    }
}

/// The changed lines with some around them; `…` for what is left out.
fn shortened(lines: &[Value]) -> Vec<String> {
    let is_changed = |line: &Value| line["change"] != json!("same");
    let changed: Vec<usize> = (0..lines.len()).filter(|at| is_changed(&lines[*at])).collect();
    let mut shown = Vec::new();
    let mut was_left_out = false;
    for (at, line) in lines.iter().enumerate() {
        // The changed lines are in order: the first that does not lie too far ahead is the nearest one below.
        let next = changed.partition_point(|changed| changed + LINES_AROUND < at);
        if changed.get(next).is_none_or(|changed| *changed > at + LINES_AROUND) {
            was_left_out = true;
            continue;
        }
        if std::mem::take(&mut was_left_out) {
            shown.push(" …".to_owned());
        }
        let mark = match line["change"].as_str() {
            Some("added") => '+',
            Some("removed") => '-',
            _ => ' ',
        };
        shown.push(format!("{mark}{}", visible(line["text"].as_str().unwrap_or_default())));
    }
    shown
}
