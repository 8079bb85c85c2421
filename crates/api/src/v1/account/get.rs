//! `GET /v1/account`

use axum::{Json, extract::State};
use http::HeaderMap;
use keywright_domain::privacy::Who;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    actor::Caller,
    error::{ApiError, ErrorCode},
    openapi::problems,
    session::{Carrier, presented_session},
    state::AppState,
    v1::problems::of_store,
    wire::Time,
};

/// The signed-in user's own account.
#[derive(Serialize, ToSchema)]
pub(crate) struct Account {
    /// The user's id.
    #[schema(example = "usr_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    id: String,
    /// The address that the user signs in with.
    #[schema(example = "ada@example.com")]
    email: String,
    /// The name shown to others.
    #[schema(example = "Ada")]
    name: String,
    /// When the account was made.
    created_at: Time,
    /// Whether a password opens it.
    has_password: bool,
    /// Whether a second factor is asked for with the password.
    second_factor: bool,
    /// For a session in a cookie: what a request that changes something must carry in `X-CSRF-Token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    csrf_token: Option<String>,
    /// Where the user is a member.
    memberships: Vec<OwnMembership>,
}

/// A membership of the signed-in user.
#[derive(Serialize, ToSchema)]
pub(crate) struct OwnMembership {
    /// The workspace's id.
    #[schema(example = "ws_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    workspace: String,
    /// The workspace's name in addresses.
    #[schema(example = "acme")]
    slug: String,
    /// `owner`, `admin`, `member` or `viewer`.
    #[schema(example = "admin")]
    role: &'static str,
    /// What it allows now.
    permissions: Vec<String>,
}

problems! {}

/// My account
///
/// Who is signed in, and where they may do what. Only for sessions.
#[utoipa::path(
    get, path = "/v1/account", operation_id = "get_account", tag = "Accounts",
    responses((status = 200, description = "The account.", body = Account), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    headers: HeaderMap,
    caller: Caller,
) -> Result<Json<Account>, ApiError> {
    let (signed_in, _permit) = caller.own_account()?;
    let user = state.store.person(Who::Id(signed_in.session.user)).await.map_err(of_store)?;
    let user = user.ok_or(ErrorCode::InvalidSession)?;
    let catalogue = state.plane.catalogue();
    let factor = state.store.second_factor(user.id).await.map_err(of_store)?;
    let found = state.store.memberships_of_person(user.id).await.map_err(of_store)?;
    let memberships = found.iter().map(|(membership, slug)| OwnMembership {
        workspace: membership.workspace.to_string(),
        slug: slug.as_str().to_owned(),
        role: membership.role.as_str(),
        permissions: catalogue.names(membership.permissions()).map(str::to_owned).collect(),
    });
    Ok(Json(Account {
        id: user.id.to_string(),
        email: user.email,
        name: user.name,
        created_at: user.created_at.into(),
        has_password: user.password_hash.is_some(),
        second_factor: factor.is_some_and(|factor| factor.enabled_at.is_some()),
        csrf_token: cookie_csrf(&headers)?,
        memberships: memberships.collect(),
    }))
}

/// The CSRF token of the session, if its token came in a cookie.
fn cookie_csrf(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let presented = presented_session(headers)?;
    Ok(presented.filter(|(_, carrier)| *carrier == Carrier::Cookie).map(|(token, _)| token.csrf()))
}

#[cfg(test)]
mod tests {
    use crate::harness::Api;

    #[tokio::test]
    async fn who_is_signed_in_and_what_they_may_do() {
        let api = Api::start().await;
        let answer = api.get(&api.person("viewer").await, "/v1/account").await.json();
        assert_eq!(answer["memberships"][0]["role"], "viewer");
        assert_eq!(answer["memberships"][0]["slug"], "acme");
        assert_eq!((&answer["has_password"], &answer["second_factor"]), (&false.into(), &false.into()));
        assert!(answer.get("csrf_token").is_none(), "only for cookies");
        let permissions = answer["memberships"][0]["permissions"].as_array().unwrap();
        assert!(permissions.contains(&"prompts:read".into()) && !permissions.contains(&"keys:read".into()));
        let refused = api.get(&api.operator, "/v1/account").await.outcome();
        assert_eq!(refused, "403 insufficient_permissions");
        let key = api.owner_key().await;
        assert_eq!(api.get(&key, "/v1/account").await.outcome(), "403 insufficient_permissions");
    }
}
