//! `DELETE /v1/sessions/{id}`

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use keywright_domain::{account::AccountCommand, command::Command, ids::SessionId};

use crate::{
    actor::Caller,
    edge::StrictPath,
    error::{ApiError, ErrorCode},
    openapi::problems,
    session::{CookieSafety, clear_cookie},
    sign_in::account_outcome,
    state::AppState,
};

problems! {}

/// End a session, or sign out
///
/// One of the signed-in user's own; `current` is the session of this very request. When the answer is there, no node
/// accepts it.
#[utoipa::path(
    delete, path = "/v1/sessions/{id}", operation_id = "end_session", tag = "Accounts",
    params(("id" = String, Path, description = "The session's id, or `current`.", example = "current")),
    responses((status = 204, description = "It has ended."), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    caller: Caller,
    StrictPath(id): StrictPath<String>,
) -> Result<Response, ApiError> {
    let (signed_in, permit) = caller.own_account()?;
    let current = signed_in.session.id;
    let session = match id.as_str() {
        "current" => current,
        other => SessionId::parse(other).map_err(|_| ErrorCode::NotFound)?,
    };
    let command = AccountCommand::EndSession { user: signed_in.session.user, session };
    account_outcome(&state, &caller.origin, permit, Command::Account(command)).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    if session == current {
        let cookie = clear_cookie(CookieSafety::of(&state.config.base_url));
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use http::Method;

    use crate::harness::Api;

    #[tokio::test]
    async fn a_session_that_ended_is_refused_and_only_ones_own_can_be_ended() {
        let api = Api::start().await;
        let (ada, bob) = (api.person("owner").await, api.person("admin").await);
        let sessions = api.get(&ada, "/v1/sessions").await.json();
        let id = sessions["data"][0]["id"].as_str().unwrap();
        assert_eq!(sessions["data"][0]["current"], true);
        let path = format!("/v1/sessions/{id}");
        assert_eq!(api.call(Method::DELETE, &bob, &path, None).await.outcome(), "404 not_found");
        assert_eq!(api.call(Method::DELETE, &bob, "/v1/sessions/x", None).await.outcome(), "404 not_found");
        assert_eq!(api.get(&ada, "/v1/sessions").await.outcome(), "200");
        assert_eq!(api.call(Method::DELETE, &ada, &path, None).await.outcome(), "204");
        assert_eq!(api.get(&ada, "/v1/sessions").await.outcome(), "401 invalid_session");
        let audit = api.get(&api.operator, "/v1/audit?action=session.ended").await.json();
        assert_eq!(audit["data"][0]["target"]["id"], id);
        assert_eq!(audit["data"][0]["actor"]["type"], "user");
    }
}
