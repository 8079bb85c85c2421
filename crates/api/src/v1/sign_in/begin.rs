//! `GET /v1/sign-in/oidc/{provider}`

use axum::{extract::State, response::Response};
use http::{HeaderMap, header};

use super::{ProviderPath, explain, flow_mac, provider, redirect_uri, see_other};
use crate::{
    edge::StrictPath,
    error::ApiError,
    oidc::{Flow, set_flow_cookie},
    openapi::problems,
    provider_sign_in::of_exchange,
    session::CookieSafety,
    state::AppState,
};

problems! { NotFound, IdentityProviderUnavailable }

/// Begin to sign in by a provider
///
/// For browsers: goes to the provider, which comes back to the callback. The browser keeps what belongs to the sign-in in a
/// cookie for ten minutes. Whoever accepts `text/html` is sent to the sign-in page when something goes wrong.
#[utoipa::path(
    get, path = "/v1/sign-in/oidc/{provider}", operation_id = "begin_provider_sign_in", tag = "Accounts",
    params(ProviderPath),
    responses((status = 303, description = "The way to the provider."), Problems),
    security(()),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    headers: HeaderMap,
    StrictPath(path): StrictPath<ProviderPath>,
) -> Result<Response, ApiError> {
    match begin(&state, &path.provider).await {
        Ok(response) => Ok(response),
        Err(error) => explain(&headers, error),
    }
}

async fn begin(state: &AppState, name: &str) -> Result<Response, ApiError> {
    let provider = provider(state, name)?;
    let flow = Flow::begin(state.clock.now(), &*state.entropy);
    let url = provider.authorization_url(&flow, &redirect_uri(state, provider.settings())).await;
    let mut response = see_other(&url.map_err(|error| of_exchange(&error))?)?;
    let value = flow.to_cookie(&provider.settings().name, &flow_mac(state));
    let cookie = set_flow_cookie(&value, CookieSafety::of(&state.config.base_url));
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}
