//! `GET /v1/sign-in/oidc/{provider}/callback`

use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use http::{HeaderMap, header};

use super::{ProviderPath, explain, flow_mac, provider, redirect_uri, see_other};
use crate::{
    actor::Origin,
    edge::StrictPath,
    error::{ApiError, ErrorCode},
    oidc::{Flow, FlowError, Provider, clear_flow_cookie, flow_cookie},
    openapi::problems,
    provider_sign_in::{admit, of_exchange},
    session::CookieSafety,
    sign_in::{Begun, hand_over},
    state::AppState,
};

/// Where somebody who signed in goes.
const ACCOUNT_PAGE: &str = "/account";

/// What a provider says as it sends somebody back. It may say more.
#[derive(Default)]
struct Answer {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
    issuer: Option<String>,
}

problems! {
    NotFound, SignInNotBegun, IdentityProviderRefused, IdentityProviderUnavailable, IdentityNotTrusted, IdentityNotAdmitted,
}

/// Finish signing in by a provider
///
/// Where the provider sends the browser back to. Checks what the provider says, adjusts the person's memberships to their
/// groups, and begins a session, in a cookie. Whoever accepts `text/html` is sent to the sign-in page when something goes
/// wrong.
#[utoipa::path(
    get, path = "/v1/sign-in/oidc/{provider}/callback", operation_id = "finish_provider_sign_in", tag = "Accounts",
    params(ProviderPath),
    responses((status = 303, description = "Signed in; the way to the account."), Problems),
    security(()),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    origin: Origin,
    headers: HeaderMap,
    StrictPath(path): StrictPath<ProviderPath>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let safety = CookieSafety::of(&state.config.base_url);
    let finished = match provider(&state, &path.provider) {
        Ok(provider) => finish(&state, &origin, provider, &headers, query.as_deref()).await,
        Err(error) => Err(error),
    };
    let mut response = match finished {
        Ok(Begun { token, .. }) => {
            let mut response = see_other(ACCOUNT_PAGE)?;
            hand_over(&state, Some(&token), &mut response);
            response
        }
        Err(error) => explain(&headers, error)?,
    };
    response.headers_mut().append(header::SET_COOKIE, clear_flow_cookie(safety));
    Ok(response)
}

async fn finish(
    state: &AppState,
    origin: &Origin,
    provider: &Provider,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<Begun, ApiError> {
    let settings = provider.settings();
    let answer = Answer::read(query.unwrap_or_default());
    let flow = Flow::resume(
        flow_cookie(headers),
        &settings.name,
        answer.state.as_deref().unwrap_or_default(),
        origin.now,
        &flow_mac(state),
    );
    let flow = flow.and_then(|flow| state.spent_flows.spend(&flow, origin.now).map(|()| flow));
    let flow = flow.map_err(of_flow)?;
    // RFC 9207: a provider that names itself is the one that was asked.
    if answer.issuer.is_some_and(|issuer| issuer != settings.issuer) {
        return Err(ApiError::new(ErrorCode::IdentityNotTrusted).context("the answer names another issuer"));
    }
    let Some(code) = answer.code else {
        let why = answer.error.unwrap_or_else(|| "neither a code nor an error".to_owned());
        return Err(ApiError::new(ErrorCode::IdentityProviderRefused).context(word(&why)));
    };
    let claims = provider.exchange(&flow, &code, &redirect_uri(state, settings)).await;
    admit(state, origin, settings, claims.map_err(|error| of_exchange(&error))?).await
}

fn of_flow(error: FlowError) -> ApiError {
    ApiError::new(ErrorCode::SignInNotBegun).context(error.to_string())
}

/// A provider's error code for the log: a word of RFC 6749, not whatever somebody puts into the address.
fn word(text: &str) -> String {
    let is_word =
        text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b' '));
    if is_word { text.to_owned() } else { "an unreadable error code".to_owned() }
}

impl Answer {
    fn read(query: &str) -> Self {
        let mut answer = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let slot = match &*name {
                "code" => &mut answer.code,
                "state" => &mut answer.state,
                "error" => &mut answer.error,
                "iss" => &mut answer.issuer,
                _ => continue,
            };
            *slot = Some(value.into_owned());
        }
        answer
    }
}
