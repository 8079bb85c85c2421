//! The hot routes as the router and the OpenAPI document see them.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, Request, State},
    response::Response,
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{check, check::CheckQuery, introspect, verify, verify::VerifyBody, whoami};
use crate::{
    front::FrontBody,
    openapi::problems,
    state::AppState,
    wire::{Environment, Mode, Principal},
};

/// The routes about presented keys.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(verify_key))
        .routes(routes!(check_key))
        .routes(routes!(introspect::handler))
        .routes(routes!(whoami::handler))
}

fn to_axum(response: http::Response<FrontBody>) -> Response {
    response.map(axum::body::Body::new)
}

/// A limit window as a verification left it.
#[derive(Serialize, ToSchema)]
pub(crate) struct WindowLeft {
    /// Its name.
    #[schema(example = "minute")]
    name: String,
    /// Whose limit it is: `key` or `workspace`.
    #[schema(example = "key")]
    scope: String,
    /// Cost units per window.
    #[schema(example = 1000)]
    limit: u32,
    /// Cost units left.
    #[schema(example = 999)]
    remaining: u32,
    /// Seconds until the window ends or has refilled.
    #[schema(example = 60)]
    reset_seconds: u32,
}

/// One check of `explain`.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExplainedCheck {
    /// The check.
    #[schema(example = "permissions")]
    check: String,
    /// `passed`, `refused` or `not_made`.
    #[schema(example = "passed")]
    outcome: String,
    /// The code of a refusal.
    code: Option<String>,
    /// Whether it is the one that decided.
    decided: bool,
}

/// The credits of a call.
#[derive(Serialize, ToSchema)]
pub(crate) struct CallCredits {
    /// What the call spent; 0 if it was refused.
    #[schema(example = 5)]
    spent: u32,
    /// What is left, as far as this node knows: others may have spent since.
    #[schema(example = 945)]
    remaining: u64,
}

/// The verdict on a presented key.
#[derive(Serialize, ToSchema)]
pub(crate) struct VerifyAnswer {
    /// Whether the key is good, for this.
    valid: bool,
    /// `valid`, or why not.
    #[schema(example = "valid")]
    code: String,
    /// For `malformed_key`: what is wrong with the text.
    reason: Option<String>,
    /// For `malformed_key`: how to mend it.
    hint: Option<String>,
    /// The key, where the secret itself was right.
    #[schema(example = "key_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    key_id: Option<String>,
    /// Slug of the key's workspace.
    #[schema(example = "acme")]
    workspace: Option<String>,
    /// The key's environment.
    environment: Option<Environment>,
    /// Which resources it opens.
    mode: Option<Mode>,
    /// Who created it.
    principal: Option<Principal>,
    /// What it may do now.
    #[schema(example = json!(["prompts:read"]))]
    permissions: Option<Vec<String>>,
    /// For `insufficient_permissions`: what it lacks.
    missing_permissions: Option<Vec<String>>,
    /// The operator's own name for the customer.
    #[schema(example = "cust_42")]
    external_id: Option<String>,
    /// Whatever its owner keeps with it.
    #[schema(value_type = Option<Object>)]
    metadata: Option<()>,
    /// Its limit windows, where limits were asked.
    limits: Vec<WindowLeft>,
    /// Where the call asked for credits and nothing else refused it before.
    credits: Option<CallCredits>,
    /// For `rate_limited` and `quota_exceeded`: when the same call may succeed. Absent where waiting does not help.
    retry_after_seconds: Option<u32>,
    /// With `explain`: every check, in order.
    checks: Option<Vec<ExplainedCheck>>,
    /// Every change up to this place in the log is reflected.
    #[schema(example = 42)]
    as_of_seq: u64,
    /// For how many milliseconds this node may go on answering from memory without hearing from the database; `null`:
    /// for ever. Whoever keeps the answer must not keep it longer.
    #[schema(example = 29_000)]
    lease_left_ms: Option<u64>,
    /// The request's id.
    #[schema(example = "req_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    request_id: String,
}

mod verify_problems {
    crate::openapi::problems! { UnknownPermission }
    pub(super) type VerifyProblems = Problems;
}
use verify_problems::VerifyProblems;

/// Verify a key
///
/// Needs `keys:verify`. Always 200 for an authenticated caller; `valid` and `code` tell about the key. A refused call
/// consumes no limit. A workspace's key is told about keys of its own workspace only. A node that can not be sure to know
/// the latest changes asks the database first; where that is out of reach it answers 503 `stale_verifier`, never
/// `"valid": false`.
#[utoipa::path(
    post, path = "/v1/keys/verify", operation_id = "verify_key", tag = "Verification",
    request_body = VerifyBody,
    responses((status = 200, description = "The verdict.", body = VerifyAnswer), VerifyProblems),
)]
async fn verify_key(
    State(state): State<AppState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    to_axum(verify::verify(&state, request, peer).await)
}

problems! { UnknownPermission, WrongEnvironment, WrongWorkspace, RateLimited, QuotaExceeded, InvalidField }

/// Check the key of a request
///
/// For proxies (nginx `auth_request`, Traefik `forwardAuth`, Caddy `forward_auth`): the credential is the key in question
/// itself. A good key is answered with 204 and no body; `X-Keywright-…` headers tell about it. Accepts any method but TRACE.
#[utoipa::path(
    get, path = "/v1/check", operation_id = "check_key", tag = "Verification", params(CheckQuery),
    responses((status = 204, description = "The key is good, for this."), Problems),
)]
async fn check_key(
    State(state): State<AppState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    to_axum(check::check(&state, &parts, peer).await)
}
