//! The pure core of every change of a prompt. The store brings what it found, these rules decide, and the store keeps
//! the result.

use super::{
    CHUNK_BYTES, CONTEXT_BYTES_PER_WORKSPACE_MAX, CONTEXT_ITEMS_MAX, Content, ContextItem, ContextKind,
    FILE_MAX_BYTES, FILE_NAME_MAX_CHARS, LABEL_MAX_CHARS, MIME_TYPES, NewContext, NewPrompt, PROMPTS_MAX,
    Prompt, PromptError, PromptPatch, VERSIONS_MAX, Version, VersionMark, check_line, check_link,
};
use crate::{
    administration::Decided,
    audit::FieldChange,
    ids::{ContextId, WorkspaceId},
    key::Effect,
    principal::Principal,
    time::Timestamp,
};

/// A prompt and its new version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The prompt as it is now.
    pub prompt: Prompt,
    /// The version.
    pub version: Version,
}

/// Creates a prompt in `workspace`, which has `count` of them; `namesake`: whether one of them has the slug.
///
/// # Errors
/// [`PromptError::Field`], [`PromptError::SlugTaken`], [`PromptError::TooManyPrompts`].
pub fn create(
    new: NewPrompt,
    workspace: WorkspaceId,
    by: Principal,
    namesake: bool,
    count: u64,
    now: Timestamp,
) -> Result<Decided<Prompt>, PromptError> {
    new.draft.check()?;
    if namesake {
        return Err(PromptError::SlugTaken);
    }
    if count >= PROMPTS_MAX {
        return Err(PromptError::TooManyPrompts);
    }
    let fields = vec![after("slug", new.slug.as_str())];
    let prompt = Prompt {
        id: new.id,
        workspace,
        slug: new.slug,
        draft: new.draft,
        context: Vec::new(),
        revision: 1,
        published: 0,
        latest: None,
        created_by: by,
        created_at: now,
        updated_at: now,
        archived_at: None,
    };
    Ok(Decided { value: prompt, effect: Effect::Loosening, action: "prompt.created", fields })
}

/// Changes the draft.
///
/// # Errors
/// [`PromptError::Archived`], [`PromptError::Revision`], [`PromptError::Field`].
pub fn edit(
    before: &Prompt,
    patch: PromptPatch,
    if_revision: Option<u64>,
    now: Timestamp,
) -> Result<Decided<Prompt>, PromptError> {
    check_editable(before, if_revision)?;
    let mut draft = before.draft.clone();
    replace(&mut draft.title, patch.title);
    replace(&mut draft.description, patch.description);
    replace(&mut draft.category, patch.category);
    replace(&mut draft.tags, patch.tags);
    replace(&mut draft.generator, patch.generator);
    replace(&mut draft.system, patch.system);
    replace(&mut draft.critique, patch.critique);
    draft.check()?;
    let fields = differences(&before.draft, &draft);
    let mut prompt = before.clone();
    if fields.is_empty() {
        return Ok(unchanged(prompt, "prompt.updated"));
    }
    prompt.draft = draft;
    touch(&mut prompt, now);
    Ok(Decided { value: prompt, effect: Effect::Loosening, action: "prompt.updated", fields })
}

fn replace<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// Makes the draft the next version; `newest` is the last one, if there is any.
///
/// # Errors
/// [`PromptError::Archived`], [`PromptError::Revision`], [`PromptError::Unchanged`], [`PromptError::Field`] for a draft without
/// text, [`PromptError::TooManyVersions`].
pub fn publish(
    before: &Prompt,
    newest: Option<&Version>,
    if_revision: Option<u64>,
    by: Principal,
    now: Timestamp,
) -> Result<Decided<Published>, PromptError> {
    check_editable(before, if_revision)?;
    let is_same = |version: &&Version| {
        version.content == before.draft && version.context == before.context && version.archived_at.is_none()
    };
    if let Some(version) = newest.filter(is_same) {
        return Err(PromptError::Unchanged { version: version.number });
    }
    if before.draft.generator.trim().is_empty() {
        return Err(PromptError::field("generator", "has some text when it is published"));
    }
    if before.published >= VERSIONS_MAX {
        return Err(PromptError::TooManyVersions);
    }
    let number = before.published + 1;
    let mut prompt = before.clone();
    prompt.published = number;
    prompt.latest = Some(number);
    let version = Version {
        number,
        content: before.draft.clone(),
        context: before.context.clone(),
        published_at: now,
        published_by: by,
        archived_at: None,
    };
    let fields = vec![after("version", &format!("v{number}"))];
    let value = Published { prompt, version };
    Ok(Decided { value, effect: Effect::Loosening, action: "prompt.published", fields })
}

/// Takes a prompt out of service, or puts it back.
pub fn set_archived(before: &Prompt, archived: bool, now: Timestamp) -> Decided<Prompt> {
    let mut prompt = before.clone();
    let (action, effect) = archiving("prompt.archived", "prompt.restored", archived);
    if before.archived_at.is_some() == archived {
        return unchanged(prompt, action);
    }
    prompt.archived_at = archived.then_some(now);
    Decided { value: prompt, effect, action, fields: Vec::new() }
}

/// Takes version `number` out of service, or puts it back; `marks` are all versions.
///
/// # Errors
/// [`PromptError::NotFound`].
pub fn set_version_archived(
    before: &Prompt,
    marks: &[VersionMark],
    number: u32,
    archived: bool,
    now: Timestamp,
) -> Result<Decided<(Prompt, VersionMark)>, PromptError> {
    let mark = *marks.iter().find(|mark| mark.number == number).ok_or(PromptError::NotFound)?;
    let (action, effect) = archiving("prompt.version_archived", "prompt.version_restored", archived);
    if mark.archived_at.is_some() == archived {
        return Ok(unchanged((before.clone(), mark), action));
    }
    let mark = VersionMark { number, archived_at: archived.then_some(now) };
    let in_service = marks.iter().filter(|other| other.number != number).chain([&mark]);
    let mut prompt = before.clone();
    prompt.latest = in_service.filter(|mark| mark.archived_at.is_none()).map(|mark| mark.number).max();
    let fields = vec![after("version", &format!("v{number}"))];
    Ok(Decided { value: (prompt, mark), effect, action, fields })
}

fn archiving(archive: &'static str, restore: &'static str, archived: bool) -> (&'static str, Effect) {
    if archived { (archive, Effect::Restricting) } else { (restore, Effect::Loosening) }
}

/// Adds a context item to the draft of a prompt that has `items`; the workspace's files take `bytes`.
///
/// # Errors
/// [`PromptError::Archived`], [`PromptError::Field`], [`PromptError::TooManyItems`], [`PromptError::TooManyBytes`].
pub fn add_context(
    before: &Prompt,
    new: &NewContext,
    items: usize,
    bytes: u64,
    now: Timestamp,
) -> Result<Decided<(Prompt, ContextItem)>, PromptError> {
    check_editable(before, None)?;
    check_context(new)?;
    if items >= CONTEXT_ITEMS_MAX {
        return Err(PromptError::TooManyItems);
    }
    if bytes.saturating_add(new.kind.size()) > CONTEXT_BYTES_PER_WORKSPACE_MAX {
        return Err(PromptError::TooManyBytes);
    }
    let item = ContextItem {
        id: new.id,
        prompt: before.id,
        label: new.label.clone(),
        kind: new.kind.clone(),
        created_at: now,
    };
    let mut prompt = before.clone();
    prompt.context.push(item.id);
    touch(&mut prompt, now);
    let fields = vec![after("context", &item.id.to_string())];
    let value = (prompt, item);
    Ok(Decided { value, effect: Effect::Loosening, action: "prompt.context_added", fields })
}

fn check_context(new: &NewContext) -> Result<(), PromptError> {
    if let Some(label) = &new.label {
        check_line("label", label, 1, LABEL_MAX_CHARS)?;
    }
    match &new.kind {
        ContextKind::Link { url } => {
            check_link(url).map_err(|error| PromptError::field("url", error.to_string()))
        }
        ContextKind::File { name, mime_type, size, .. } => {
            check_line("file_name", name, 1, FILE_NAME_MAX_CHARS)?;
            if name.contains(['/', '\\']) || name.starts_with('.') {
                return Err(PromptError::field("file_name", "is a name without a path"));
            }
            if !MIME_TYPES.contains(&mime_type.as_str()) {
                let reason = format!("is one of {}", MIME_TYPES.join(", "));
                return Err(PromptError::field("mime_type", reason));
            }
            if *size > FILE_MAX_BYTES {
                return Err(PromptError::field("file", format!("is at most {FILE_MAX_BYTES} bytes long")));
            }
            assert!(is_cut_right(&new.chunks, *size), "a file comes in pieces of {CHUNK_BYTES} bytes");
            Ok(())
        }
    }
}

/// Whether all pieces but the last are full, and together they are `size` bytes.
fn is_cut_right(chunks: &[Vec<u8>], size: u64) -> bool {
    let total: usize = chunks.iter().map(Vec::len).sum();
    let all_full = chunks.iter().rev().skip(1).all(|chunk| chunk.len() == CHUNK_BYTES);
    all_full && chunks.iter().all(|chunk| !chunk.is_empty()) && u64::try_from(total) == Ok(size)
}

/// Deletes a context item, for the draft and for every version.
pub fn remove_context(before: &Prompt, item: ContextId, now: Timestamp) -> Decided<Prompt> {
    let mut prompt = before.clone();
    if prompt.context.contains(&item) {
        prompt.context.retain(|known| *known != item);
        touch(&mut prompt, now);
    }
    let fields =
        vec![FieldChange { field: "context".to_owned(), before: Some(item.to_string()), after: None }];
    Decided { value: prompt, effect: Effect::Restricting, action: "prompt.context_removed", fields }
}

/// Deletes a prompt.
pub fn delete(before: Prompt) -> Decided<Prompt> {
    let fields = vec![FieldChange {
        field: "slug".to_owned(),
        before: Some(before.slug.as_str().to_owned()),
        after: None,
    }];
    Decided { value: before, effect: Effect::Restricting, action: "prompt.deleted", fields }
}

fn check_editable(prompt: &Prompt, if_revision: Option<u64>) -> Result<(), PromptError> {
    if prompt.archived_at.is_some() {
        return Err(PromptError::Archived);
    }
    match if_revision {
        Some(asked) if asked != prompt.revision => Err(PromptError::Revision { current: prompt.revision }),
        _ => Ok(()),
    }
}

const fn touch(prompt: &mut Prompt, now: Timestamp) {
    prompt.revision += 1;
    prompt.updated_at = now;
}

const fn unchanged<T>(value: T, action: &'static str) -> Decided<T> {
    Decided { value, effect: Effect::None, action, fields: Vec::new() }
}

/// Which fields differ. The texts themselves are in the versions, not in the audit trail: people may write anything into
/// them, and the trail is for ever.
fn differences(before: &Content, after: &Content) -> Vec<FieldChange> {
    let text_length = |text: Option<&String>| text.map(|text| format!("{} bytes", text.len()));
    let mut fields = Vec::new();
    for (field, old, new) in [
        ("title", Some(&before.title), Some(&after.title)),
        ("description", before.description.as_ref(), after.description.as_ref()),
        ("category", before.category.as_ref(), after.category.as_ref()),
        ("generator", Some(&before.generator), Some(&after.generator)),
        ("system_prompt", before.system.as_ref(), after.system.as_ref()),
        ("critique_prompt", before.critique.as_ref(), after.critique.as_ref()),
    ] {
        if old != new {
            let (before, after) = (text_length(old), text_length(new));
            fields.push(FieldChange { field: field.to_owned(), before, after });
        }
    }
    if before.tags != after.tags {
        let count = |tags: &[String]| Some(format!("{} tags", tags.len()));
        let (before, after) = (count(&before.tags), count(&after.tags));
        fields.push(FieldChange { field: "tags".to_owned(), before, after });
    }
    fields
}

fn after(field: &str, value: &str) -> FieldChange {
    FieldChange { field: field.to_owned(), before: None, after: Some(value.to_owned()) }
}
