//! One change of an import: how it is shown, and how it is sent.

use keywright_domain::prompt::FILE_MAX_BYTES;
use serde_json::{Value, json};
use similar::TextDiff;
use ureq::http::Method;

use super::{
    super::{
        super::{
            connection::{Call, fresh_idempotency_key},
            console::printable,
        },
        Scope,
        draft::Draft,
        read::visible,
    },
    bundle::{BundleFile, Link},
    read_file,
};
use crate::failure::{Exit, Failure};

/// One change of a prompt.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Create it.
    Create {
        /// Its draft.
        draft: Box<Draft>,
    },
    /// Change the draft.
    Edit {
        /// What the server has.
        before: Box<Draft>,
        /// What the files say.
        after: Box<Draft>,
    },
    /// Add a file to the draft.
    AddFile(Box<BundleFile>),
    /// Add a link to the draft.
    AddLink(Link),
    /// Delete a file or link.
    Remove {
        /// Its id.
        id: String,
        /// Its name or address.
        name: String,
    },
    /// Publish the draft.
    Publish,
}

impl Step {
    /// In a few words.
    pub(super) fn summary(&self) -> String {
        match self {
            Self::Create { .. } => "create".to_owned(),
            Self::Edit { before, after } => {
                let names: Vec<String> = after.changes(before).into_iter().map(|(name, _)| name).collect();
                format!("change {}", names.join(", "))
            }
            Self::AddFile(file) => format!("add {} ({})", printable(&file.known.name), file.known.mime_type),
            Self::AddLink(link) => format!("add {}", printable(&link.url)),
            Self::Remove { name, .. } => format!("delete {}", printable(name)),
            Self::Publish => "publish".to_owned(),
        }
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        match self {
            Self::Create { .. } => json!({"do": "create"}),
            Self::Edit { before, after } => {
                let fields: Vec<String> = after.changes(before).into_iter().map(|(name, _)| name).collect();
                json!({"do": "edit", "fields": fields})
            }
            Self::AddFile(file) => {
                json!({"do": "add_file", "file_name": file.known.name, "sha256": file.known.sha256})
            }
            Self::AddLink(link) => json!({"do": "add_link", "url": link.url}),
            Self::Remove { id, name } => json!({"do": "delete_context", "id": id, "name": name}),
            Self::Publish => json!({"do": "publish"}),
        }
    }

    /// The lines that a change of the draft takes away and adds; none for other steps.
    pub(super) fn diff(&self, slug: &str) -> Vec<String> {
        let nothing = Draft::default();
        let (before, after) = match self {
            Self::Create { draft } => (&nothing, &**draft),
            Self::Edit { before, after } => (&**before, &**after),
            _ => return Vec::new(),
        };
        let mut lines = Vec::new();
        for ((name, now), (_, then)) in after.fields().into_iter().zip(before.fields()) {
            let is_short = !after.texts().iter().any(|(field, ..)| *field == name);
            if is_short && now != then {
                lines.push(visible(&format!("{name}: {then} → {now}")));
            }
        }
        for ((_, file, now), (_, _, then)) in after.texts().into_iter().zip(before.texts()) {
            if now != then {
                lines.extend(text_diff(&format!("{slug}/{file}"), then, now));
            }
        }
        lines
    }

    /// Sends it; `revision` is the draft's before and after.
    pub(super) fn send(&self, scope: &Scope, slug: &str, revision: &mut Option<u64>) -> Result<(), Failure> {
        let key = fresh_idempotency_key();
        let answer = match self {
            Self::Create { draft } => {
                let mut body = json!({"slug": slug});
                for (name, value) in draft.fields() {
                    body[name] = value;
                }
                call(scope, Method::POST, scope.path(&[]), Some(&body), Some(&key), None)?
            }
            Self::Edit { before, after } => {
                let body = Value::Object(after.changes(before));
                call(scope, Method::PATCH, scope.path(&[slug]), Some(&body), None, *revision)?
            }
            Self::AddFile(file) => add_file(scope, slug, file, &key)?,
            Self::AddLink(link) => {
                let mut body = json!({"url": link.url});
                if let Some(label) = &link.label {
                    body["label"] = json!(label);
                }
                let path = scope.path(&[slug, "context", "links"]);
                call(scope, Method::POST, path, Some(&body), Some(&key), None)?
            }
            Self::Remove { id, .. } => {
                call(scope, Method::DELETE, scope.path(&[slug, "context", id]), None, None, None)?;
                // The answer has no body: the item was the draft's, so the draft changed once.
                *revision = revision.map(|revision| revision + 1);
                return Ok(());
            }
            Self::Publish => {
                let path = scope.path(&[slug, "publish"]);
                call(scope, Method::POST, path, Some(&json!({})), Some(&key), *revision)?
            }
        };
        *revision = answer.pointer("/prompt/revision").and_then(Value::as_u64).or(*revision);
        Ok(())
    }
}

fn call(
    scope: &Scope,
    method: Method,
    path: String,
    body: Option<&Value>,
    idempotency_key: Option<&str>,
    revision: Option<u64>,
) -> Result<Value, Failure> {
    let client = &scope.session.client;
    let mut answer = client.send_if(&Call { method, path, body, idempotency_key }, revision)?;
    // What is going on is said by the progress bar.
    client.follow(&mut answer, |_| {})?;
    Ok(answer)
}

fn add_file(scope: &Scope, slug: &str, file: &BundleFile, key: &str) -> Result<Value, Failure> {
    let place = file.place.as_ref().expect("a file that was read from the disk has a place there");
    let bytes = read_file(place, FILE_MAX_BYTES)?;
    let mut query = vec![("file_name", file.known.name.clone())];
    query.extend(file.known.label.clone().map(|label| ("label", label)));
    let path = scope.path(&[slug, "context", "files"]);
    let answer = scope.session.client.upload(&path, &query, &file.known.mime_type, &bytes, key)?;
    let kept = answer.pointer("/item/sha256").and_then(Value::as_str);
    if kept != Some(&file.known.sha256) {
        let message = format!("{} was changed while it was imported", place.display());
        return Err(Failure::new(Exit::Negative, message).remedy("Import again."));
    }
    Ok(answer)
}

/// How a text differs, in the form of `diff -u`; a text that is not there is empty.
fn text_diff(name: &str, before: Option<&str>, after: Option<&str>) -> Vec<String> {
    let place = |side: &str, text: Option<&str>| match text {
        Some(_) => format!("{side}/{name}"),
        None => "/dev/null".to_owned(),
    };
    let diff = TextDiff::from_lines(before.unwrap_or_default(), after.unwrap_or_default());
    let text = diff.unified_diff().header(&place("a", before), &place("b", after)).to_string();
    text.lines().map(visible).collect()
}
