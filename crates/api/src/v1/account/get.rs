//! `GET /v1/account`

use axum::{Json, extract::State};
use keywright_domain::privacy::Who;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    actor::Caller,
    error::{ApiError, ErrorCode},
    openapi::problems,
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
    /// Where the user is a member.
    memberships: Vec<OwnMembership>,
}

/// A membership of the signed-in user.
#[derive(Serialize, ToSchema)]
pub(crate) struct OwnMembership {
    /// The workspace's id.
    #[schema(example = "ws_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    workspace: String,
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
    caller: Caller,
) -> Result<Json<Account>, ApiError> {
    let (signed_in, _permit) = caller.own_account()?;
    let user = state.store.person(Who::Id(signed_in.session.user)).await.map_err(of_store)?;
    let user = user.ok_or(ErrorCode::InvalidSession)?;
    let catalogue = state.plane.catalogue();
    let memberships = signed_in.memberships.iter().map(|membership| OwnMembership {
        workspace: membership.workspace.to_string(),
        role: membership.role.as_str(),
        permissions: catalogue.names(membership.permissions()).map(str::to_owned).collect(),
    });
    Ok(Json(Account {
        id: user.id.to_string(),
        email: user.email,
        name: user.name,
        created_at: user.created_at.into(),
        memberships: memberships.collect(),
    }))
}

#[cfg(test)]
mod tests {
    use crate::harness::Api;

    #[tokio::test]
    async fn who_is_signed_in_and_what_they_may_do() {
        let api = Api::start().await;
        let answer = api.get(&api.person("viewer").await, "/v1/account").await.json();
        assert_eq!(answer["memberships"][0]["role"], "viewer");
        let permissions = answer["memberships"][0]["permissions"].as_array().unwrap();
        assert!(permissions.contains(&"prompts:read".into()) && !permissions.contains(&"keys:read".into()));
        let refused = api.get(&api.operator, "/v1/account").await.outcome();
        assert_eq!(refused, "403 insufficient_permissions");
        let key = api.owner_key().await;
        assert_eq!(api.get(&key, "/v1/account").await.outcome(), "403 insufficient_permissions");
    }
}
