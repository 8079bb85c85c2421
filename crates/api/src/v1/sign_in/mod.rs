//! `/v1/sign-in`: the ways to sign in beside a password.

mod begin;
mod callback;
mod providers;

#[cfg(test)]
mod tests;

use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    edge::accepts,
    error::ApiError,
    oidc::{Provider, ProviderSettings},
    state::AppState,
};

/// The page that people sign in on, and that says what went wrong.
const PAGE: &str = "/sign-in";

/// The routes.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(providers::handler))
        .routes(routes!(begin::handler))
        .routes(routes!(callback::handler))
}

/// A provider in a path.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct ProviderPath {
    /// The provider's name, as `GET /v1/sign-in/oidc` lists them.
    #[param(example = "corp")]
    provider: String,
}

/// The authentication code that only nodes of this installation make.
fn flow_mac(state: &AppState) -> impl Fn(&str) -> [u8; 32] + '_ {
    |text| state.plane.digest(text).bytes
}

/// Where the provider sends people back to.
fn redirect_uri(state: &AppState, provider: &ProviderSettings) -> String {
    format!("{}/v1/sign-in/oidc/{}/callback", state.config.base_url, provider.name)
}

/// The provider with this name.
fn provider<'a>(state: &'a AppState, name: &str) -> Result<&'a Provider, ApiError> {
    state.providers.named(name).ok_or_else(|| crate::error::ErrorCode::NotFound.into())
}

/// Sends a browser elsewhere.
fn see_other(location: &str) -> Result<Response, ApiError> {
    let location = HeaderValue::from_str(location)
        .map_err(|_| ApiError::internal("an address that cannot stand in a header"))?;
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A failure as who asked can read it: people are sent to the page, which says what to do; programs get the problem.
fn explain(headers: &HeaderMap, error: ApiError) -> Result<Response, ApiError> {
    if !accepts(headers, "text/html") {
        return Err(error);
    }
    if let Some(context) = error.internal_context() {
        tracing::warn!(code = error.code().slug(), context, "somebody could not sign in by a provider");
    }
    see_other(&format!("{PAGE}?problem={}", error.code().slug()))
}
