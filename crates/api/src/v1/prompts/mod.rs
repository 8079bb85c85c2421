//! Prompts as their authors change them.

mod archive;
mod context_delete;
mod context_file;
mod context_link;
mod context_list;
mod create;
mod delete;
mod diff;
mod get;
mod list;
mod patch;
mod publish;
mod restore;
mod version_archive;
mod version_get;
mod version_list;
mod version_restore;

use std::collections::HashMap;

use axum::extract::FromRequestParts;
use http::{HeaderMap, header, request::Parts};
use keywright_domain::{
    command::Command,
    prompt::{Content, Prompt, PromptCommand, PromptOutcome, PromptSlug, VersionRef},
};
use keywright_template::{Kind, Options, Template};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    actor::{Scope, WritePrompts},
    commit,
    edge::StrictPath,
    error::{ApiError, ErrorCode},
    state::AppState,
    v1::problems::of_store,
    wire,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::handler, create::handler))
        .routes(routes!(get::handler, patch::handler, delete::handler))
        .routes(routes!(publish::handler))
        .routes(routes!(archive::handler))
        .routes(routes!(restore::handler))
        .routes(routes!(diff::handler))
        .routes(routes!(version_list::handler))
        .routes(routes!(version_get::handler))
        .routes(routes!(version_archive::handler))
        .routes(routes!(version_restore::handler))
        .routes(routes!(context_list::handler))
        .routes(routes!(context_delete::handler))
        .routes(routes!(context_file::handler))
        .routes(routes!(context_link::handler))
}

/// A prompt after a change, with the receipt.
#[derive(Serialize, ToSchema)]
struct ChangedPrompt {
    /// The prompt as it is now.
    prompt: wire::Prompt,
    #[serde(flatten)]
    receipt: wire::Receipt,
}

/// A prompt and one of its versions after a change, with the receipt.
#[derive(Serialize, ToSchema)]
struct ChangedVersion {
    /// The prompt as it is now.
    prompt: wire::Prompt,
    /// The version as it is now.
    version: wire::PromptVersion,
    #[serde(flatten)]
    receipt: wire::Receipt,
}

/// A context item that was added, with the receipt.
#[derive(Serialize, ToSchema)]
struct AddedContext {
    /// The item.
    item: wire::ContextItem,
    /// The prompt as it is now.
    prompt: wire::Prompt,
    #[serde(flatten)]
    receipt: wire::Receipt,
}

/// The names in the path of a prompt.
#[derive(Deserialize)]
struct Names {
    prompt: String,
    version: Option<String>,
    item: Option<String>,
}

/// The workspace in the path, the permit to write its prompts, and the prompt in the path.
struct Author {
    scope: Scope<WritePrompts>,
    prompt: Prompt,
    names: Names,
}

impl FromRequestParts<AppState> for Author {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let scope = Scope::from_request_parts(parts, state).await?;
        let StrictPath(names) = StrictPath::<Names>::from_request_parts(parts, state).await?;
        let slug = PromptSlug::parse(&names.prompt).map_err(|_| ErrorCode::NotFound)?;
        let found = state.store.prompt(scope.workspace.id, slug).await.map_err(of_store)?;
        Ok(Self { prompt: found.ok_or(ErrorCode::NotFound)?, scope, names })
    }
}

impl Author {
    /// The number of the version in the path.
    fn version(&self) -> Result<u32, ApiError> {
        match VersionRef::parse(self.names.version.as_deref().unwrap_or_default()) {
            Ok(VersionRef::Number(number)) => Ok(number),
            Ok(VersionRef::Latest) => Ok(self.prompt.latest.ok_or(ErrorCode::NotFound)?),
            _ => Err(ErrorCode::NotFound.into()),
        }
    }
}

/// Carries out a command. `body` is the request's, for recognising repeats.
async fn carry_out(
    state: &AppState,
    scope: &Scope<WritePrompts>,
    command: PromptCommand,
    body: &[u8],
) -> Result<(PromptOutcome, commit::Receipt), ApiError> {
    let origin = &scope.caller.origin;
    let context = origin.context(state, scope.permit, origin.idempotency(&scope.caller.actor, body));
    let done = state.commit(origin, context, Command::Prompt(command)).await?;
    let receipt = done.receipt.clone();
    Ok((done.prompt()?, receipt))
}

/// Carries out a command whose outcome is a prompt.
async fn change_prompt(
    state: &AppState,
    scope: &Scope<WritePrompts>,
    command: PromptCommand,
    body: &[u8],
) -> Result<wire::Receipted<ChangedPrompt>, ApiError> {
    match carry_out(state, scope, command, body).await? {
        (PromptOutcome::Prompt(prompt), receipt) => {
            let prompt = wire::Prompt::new(prompt, &scope.workspace);
            Ok(wire::Receipted::new(receipt, |receipt| ChangedPrompt { prompt, receipt }))
        }
        _ => Err(unexpected()),
    }
}

/// Carries out a command whose outcome is a version.
async fn change_version(
    state: &AppState,
    scope: &Scope<WritePrompts>,
    command: PromptCommand,
    body: &[u8],
) -> Result<wire::Receipted<ChangedVersion>, ApiError> {
    match carry_out(state, scope, command, body).await? {
        (PromptOutcome::Version(prompt, version), receipt) => {
            let (prompt, version) = (wire::Prompt::new(prompt, &scope.workspace), version.into());
            Ok(wire::Receipted::new(receipt, |receipt| ChangedVersion { prompt, version, receipt }))
        }
        _ => Err(unexpected()),
    }
}

/// Carries out a command that adds a context item.
async fn add_context(
    state: &AppState,
    scope: &Scope<WritePrompts>,
    command: PromptCommand,
    body: &[u8],
) -> Result<wire::Receipted<AddedContext>, ApiError> {
    match carry_out(state, scope, command, body).await? {
        (PromptOutcome::Context(prompt, item), receipt) => {
            let (prompt, item) = (wire::Prompt::new(prompt, &scope.workspace), item.into());
            Ok(wire::Receipted::new(receipt, |receipt| AddedContext { item, prompt, receipt }))
        }
        _ => Err(unexpected()),
    }
}

fn unexpected() -> ApiError {
    ApiError::internal("the store answered a command about prompts with the outcome of another one")
}

/// The revision that `If-Match` asks for: `"3"`, or any for `*`.
///
/// # Errors
/// `invalid_field` for another form.
fn if_revision(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let number = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    number.and_then(|number| number.parse().ok()).map(Some).ok_or_else(|| {
        ApiError::invalid_field(
            "If-Match",
            "`If-Match` is the revision of the draft in quotes, as `ETag` has it.",
        )
    })
}

/// Refuses texts whose variables cannot be read, or that have one variable with two types: no value would fit both.
///
/// # Errors
/// `invalid_field`.
fn check_templates(content: &Content) -> Result<(), ApiError> {
    let mut kinds: HashMap<String, Kind> = HashMap::new();
    for (field, text) in [
        ("generator", Some(&content.generator)),
        ("system_prompt", content.system.as_ref()),
        ("critique_prompt", content.critique.as_ref()),
    ] {
        let Some(text) = text else { continue };
        let template = Template::self_declared(text, Options::default())
            .map_err(|error| ApiError::invalid_field(field, format!("`{field}`: {error}.")))?;
        for variable in template.variables() {
            let known = kinds.entry(variable.name().to_owned()).or_insert_with(|| variable.kind().clone());
            if known != variable.kind() {
                let detail = format!("`{field}`: `{}` has another type in another text.", variable.name());
                return Err(ApiError::invalid_field(field, detail));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
