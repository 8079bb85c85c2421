//! Prompts as the server has them.

use std::collections::BTreeSet;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    super::{super::keys::all_pages, Scope, draft::Draft},
    bundle::{Bundle, KnownFile, Link, arranged, sort_links},
};
use crate::failure::{Exit, Failure};

/// Prompts in one answer.
const PAGE: u32 = 100;

/// A prompt with its draft.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct RemotePrompt {
    pub(super) slug: String,
    pub(super) draft: Draft,
    pub(super) revision: u64,
    /// How many versions were published.
    pub(super) versions: u32,
    /// Ids of the draft's context items.
    pub(super) context: Vec<String>,
    pub(super) archived_at: Option<String>,
}

/// A published version.
#[derive(Debug, Deserialize)]
pub(super) struct RemoteVersion {
    pub(super) content: Draft,
    pub(super) context: Vec<String>,
}

/// A context item.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct RemoteItem {
    pub(super) id: String,
    label: Option<String>,
    #[serde(flatten)]
    kind: Kind,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Kind {
    File { file_name: String, mime_type: String, sha256: String },
    Link { url: String },
}

/// What a context item is, whatever its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    File(KnownFile),
    Link(Link),
}

impl RemoteItem {
    pub(super) fn item(&self) -> Item {
        let label = self.label.clone();
        match self.kind.clone() {
            Kind::File { file_name, mime_type, sha256 } => {
                Item::File(KnownFile { name: file_name, label, mime_type, sha256 })
            }
            Kind::Link { url } => Item::Link(Link { label, url }),
        }
    }
}

/// All prompts of the workspace.
pub(super) fn prompts(scope: &Scope) -> Result<Vec<RemotePrompt>, Failure> {
    let query = [("limit", PAGE.to_string())];
    data(all_pages(&scope.session, &scope.path(&[]), &query, None, true)?)
}

/// The context items of a prompt's draft, in its order.
pub(super) fn items(scope: &Scope, prompt: &RemotePrompt) -> Result<Vec<RemoteItem>, Failure> {
    if prompt.context.is_empty() {
        return Ok(Vec::new());
    }
    let answer = scope.session.client.get(&scope.path(&[&prompt.slug, "context"]), &[])?;
    let all: Vec<RemoteItem> = data(answer)?;
    let of_draft = |id: &String| all.iter().find(|item| item.id == *id).cloned();
    Ok(prompt.context.iter().filter_map(of_draft).collect())
}

/// The newest version of a prompt, if it has any.
pub(super) fn newest(scope: &Scope, prompt: &RemotePrompt) -> Result<Option<RemoteVersion>, Failure> {
    if prompt.versions == 0 {
        return Ok(None);
    }
    let version = format!("v{}", prompt.versions);
    read(scope.session.client.get(&scope.path(&[&prompt.slug, "versions", &version]), &[])?).map(Some)
}

/// The ids of all context items that versions of a prompt hold.
pub(super) fn published_items(scope: &Scope, prompt: &RemotePrompt) -> Result<BTreeSet<String>, Failure> {
    if prompt.versions == 0 {
        return Ok(BTreeSet::new());
    }
    let (path, query) = (scope.path(&[&prompt.slug, "versions"]), [("limit", PAGE.to_string())]);
    let versions: Vec<RemoteVersion> = data(all_pages(&scope.session, &path, &query, None, true)?)?;
    Ok(versions.into_iter().flat_map(|version| version.context).collect())
}

/// The prompt as it is to be written, and the id of each of its files, in the same order.
pub(super) fn bundle(prompt: RemotePrompt, items: &[RemoteItem]) -> Result<(Bundle, Vec<String>), Failure> {
    let (mut files, mut links) = (Vec::new(), Vec::new());
    for item in items {
        match item.item() {
            Item::File(file) => files.push(checked(file)?),
            Item::Link(link) => links.push(link),
        }
    }
    let files = arranged(files);
    sort_links(&mut links);
    let id_of = |file: &KnownFile| {
        let found = items.iter().find(|item| item.item() == Item::File(file.clone()));
        found.map(|item| item.id.clone()).unwrap_or_default()
    };
    let ids = files.iter().map(|file| id_of(&file.known)).collect();
    Ok((Bundle { slug: prompt.slug, draft: prompt.draft, files, links }, ids))
}

/// A file's name becomes one on this disk: nothing that leads elsewhere is taken from a server.
fn checked(file: KnownFile) -> Result<KnownFile, Failure> {
    let name = &file.name;
    let leads_elsewhere = name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']);
    if leads_elsewhere {
        Err(strange("a context file has a name that no file here may have"))
    } else {
        Ok(file)
    }
}

fn data<T: DeserializeOwned>(mut answer: Value) -> Result<T, Failure> {
    read(answer["data"].take())
}

fn read<T: DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    serde_json::from_value(answer).map_err(|error| strange(&error.to_string()))
}

fn strange(what: &str) -> Failure {
    Failure::new(Exit::Unreachable, format!("the server's answer is not what this program knows: {what}"))
        .remedy(
            "Is the server of another version? `keywright --version`, and GET /v1/health tells the server's.",
        )
}
