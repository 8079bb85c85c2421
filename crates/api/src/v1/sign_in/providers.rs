//! `GET /v1/sign-in/oidc`

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{openapi::problems, state::AppState};

/// A provider that people can sign in by.
#[derive(Serialize, ToSchema)]
pub(crate) struct SignInProvider {
    /// Its name in addresses.
    #[schema(example = "corp")]
    name: String,
    /// Its name for people.
    #[schema(example = "Corp SSO")]
    title: String,
    /// Where to send the browser.
    #[schema(example = "/v1/sign-in/oidc/corp")]
    url: String,
}

/// The providers that people can sign in by.
#[derive(Serialize, ToSchema)]
pub(crate) struct SignInProviders {
    /// All of them, in the order of the configuration.
    data: Vec<SignInProvider>,
}

problems! {}

/// List the ways to sign in by a provider
///
/// The OpenID Connect providers of the installation, for a button each.
#[utoipa::path(
    get, path = "/v1/sign-in/oidc", operation_id = "list_sign_in_providers", tag = "Accounts",
    responses((status = 200, description = "The providers.", body = SignInProviders), Problems),
    security(()),
)]
pub(crate) async fn handler(State(state): State<AppState>) -> Json<SignInProviders> {
    let shown = |provider: &crate::oidc::ProviderSettings| SignInProvider {
        name: provider.name.clone(),
        title: provider.title.clone(),
        url: format!("/v1/sign-in/oidc/{}", provider.name),
    };
    Json(SignInProviders { data: state.providers.all().map(shown).collect() })
}
