//! `POST /v1/prompts/get`

use axum::{extract::State, response::Response};
use keywright_template::{Options, Template, TemplateError};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{json_answer, reader};
use crate::{
    edge::StrictJson,
    error::ApiError,
    hot::{Admitted, ReadPrompts},
    openapi::problems,
    packages::{FlatPrompt, Question, prompt_body, serve},
    state::AppState,
    v1::problems::of_store,
};

/// Which prompt.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GetPrompt)]
pub(crate) struct Request {
    /// `@workspace/prompt:version`; the version is `v0` (the draft), `v1`, `v2`, … or `latest`, which it is unless given.
    #[schema(example = "@acme/support-assistant:latest", max_length = 256)]
    package_name: String,
    /// Values for the prompt's variables. With them the texts come filled, each value between boundaries that it cannot
    /// close; without them they come as they are.
    #[schema(value_type = Option<Object>)]
    variables: Option<Map<String, Value>>,
}

problems! { WrongWorkspace, NotFound, InvalidField, RateLimited, QuotaExceeded }

/// Get a prompt
///
/// Needs `prompts:read`. The draft is seen by keys whose creator may write prompts or created it; for others it does not
/// exist. A prompt of another workspace is answered like a key of another workspace: 401.
#[utoipa::path(
    post, path = "/v1/prompts/get", operation_id = "get_prompt", tag = "Prompts",
    request_body(content = Request, example = json!({"package_name": "@acme/support-assistant:v1"})),
    responses((status = 200, description = "The prompt.", body = FlatPrompt), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    admitted: Admitted<ReadPrompts>,
    body: StrictJson<Request>,
) -> Result<Response, ApiError> {
    let Request { package_name, variables } = body.value;
    let question = Question::named(package_name)?;
    let reader = reader(&state, &admitted)?;
    let Some(values) = variables else {
        return Ok(json_answer(String::from(&*serve(&state, &reader, &question).await?)));
    };
    let query = question.query(&reader)?;
    let served = state.store.serve_prompts(query).await.map_err(of_store)?;
    let prompt = served.prompts.first().ok_or_else(|| question.missing())?;
    let filled = fill(FlatPrompt::new(prompt, reader.slug), &values)?;
    Ok(json_answer(prompt_body(&filled)))
}

/// Fills the three texts with the same values; a value has to belong to one of them.
fn fill(prompt: FlatPrompt, values: &Map<String, Value>) -> Result<FlatPrompt, ApiError> {
    let mut templates = Vec::new();
    for text in prompt.texts() {
        templates
            .push((text.to_owned(), Template::self_declared(text, Options::default()).map_err(refused)?));
    }
    let is_known = |name: &str| {
        templates.iter().any(|(_, template)| template.variables().iter().any(|known| known.name() == name))
    };
    if let Some(unknown) = values.keys().find(|name| !is_known(name)) {
        let shown: String = unknown.chars().take(64).collect();
        let detail = format!("`variables`: the prompt has no variable `{shown}`.");
        return Err(ApiError::invalid_field("variables", detail).member("variable", shown));
    }
    let mut filled = Vec::new();
    for (text, template) in &templates {
        let own = template
            .variables()
            .iter()
            .filter_map(|variable| Some((variable.name().to_owned(), values.get(variable.name())?.clone())));
        filled.push((text.clone(), template.render(&own.collect()).map_err(refused)?));
    }
    let fill = |text: &str| {
        filled
            .iter()
            .find(|(template, _)| template == text)
            .map_or_else(String::new, |(_, text)| text.clone())
    };
    Ok(prompt.filled(fill))
}

fn refused(error: TemplateError) -> ApiError {
    let problem = ApiError::invalid_field("variables", format!("`variables`: {error}."));
    match error.variable {
        Some(variable) => problem.member("variable", variable),
        None => problem,
    }
}
