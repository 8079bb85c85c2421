//! `POST /v1/introspect`: token introspection (RFC 7662).

use axum::{Json, extract::State};
use keywright_domain::{permit::Action, verdict::Code};
use keywright_engine::{Moment, VerifyRequest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::Audience;
use crate::{
    actor::Caller,
    edge::StrictForm,
    error::{ApiError, ErrorCode},
    openapi::problems,
    read_through::{Unfinished, read_through},
    state::AppState,
};

/// The question (RFC 7662, section 2.1).
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IntrospectBody {
    /// The key as the client presented it.
    token: String,
    /// Ignored: there is one kind of token.
    #[serde(default)]
    #[schema(example = "access_token")]
    #[expect(dead_code, reason = "accepted as RFC 7662 wants, and ignored")]
    token_type_hint: Option<String>,
}

/// The answer (RFC 7662, section 2.2). Everything but `active` is left out for a key that is not good.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Introspection {
    /// Whether the key is good now. Limits are not asked.
    active: bool,
    /// What it may do, separated by spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "prompts:read prompts:list")]
    scope: Option<String>,
    /// The key's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "key_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    client_id: Option<String>,
    /// Id of who created the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    /// Always `Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    /// Slug of the key's workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "acme")]
    workspace: Option<String>,
    /// The key's environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'static str>,
}

problems! { UnsupportedMediaType }

/// Introspect a token
///
/// RFC 7662. Needs `keys:verify`. Spends nothing.
#[utoipa::path(
    post, path = "/v1/introspect", operation_id = "introspect_key", tag = "Verification",
    request_body(content = IntrospectBody, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "What the token is.", body = Introspection), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    caller: Caller,
    form: StrictForm<IntrospectBody>,
) -> Result<Json<Introspection>, ApiError> {
    caller.permit(Action::VerifyKeys, None)?;
    let token = form.value.token;
    let engine = state.plane.engine();
    let audience = Audience::of_key(caller.key, engine);
    let judged = read_through(&state, |trust| {
        let request = VerifyRequest {
            cost: 0,
            workspace: audience.workspace_asked(None),
            trust,
            ..VerifyRequest::new(token.as_bytes())
        };
        let verdict = engine.verify_at(&request, Moment::read(&*state.clock));
        if verdict.is_stale() { Err(Unfinished::Stale) } else { Ok::<_, Unfinished<ApiError>>(verdict) }
    });
    let verdict = judged.await?;
    state.verdicts.count(verdict.code);
    if verdict.code == Code::Unavailable {
        return Err(ApiError::new(ErrorCode::Unavailable).retry_after_seconds(1));
    }
    let Some(hit) = verdict.key.filter(|_| verdict.is_valid()) else {
        return Ok(Json(Introspection::default()));
    };
    let mut buffer = Vec::new();
    let details = engine.details(&hit, &mut buffer);
    let catalogue = engine.catalogue();
    Ok(Json(Introspection {
        active: true,
        scope: Some(catalogue.names(hit.permissions).collect::<Vec<_>>().join(" ")),
        client_id: Some(hit.id.to_string()),
        sub: details.map(|details| details.creator.principal.id_text()),
        token_type: Some("Bearer"),
        workspace: details.map(|details| details.workspace_slug.to_owned()),
        environment: Some(hit.environment.as_str()),
    }))
}
