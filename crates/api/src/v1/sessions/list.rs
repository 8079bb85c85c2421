//! `GET /v1/sessions`

use axum::{Json, extract::State};
use keywright_domain::account::SessionState;

use crate::{
    actor::Caller,
    error::ApiError,
    openapi::problems,
    state::AppState,
    v1::problems::of_store,
    wire::{Page, Session},
};

problems! {}

/// List my sessions
///
/// Where the signed-in user is signed in, newest first. Only for sessions.
#[utoipa::path(
    get, path = "/v1/sessions", operation_id = "list_sessions", tag = "Accounts",
    responses((status = 200, description = "The sessions.", body = Page<Session>), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<Page<Session>>, ApiError> {
    let (signed_in, _permit) = caller.own_account()?;
    let limits = state.config.session_limits;
    let current = signed_in.session.id;
    let sessions = state.store.sessions(signed_in.session.user).await.map_err(of_store)?;
    let live =
        sessions.iter().filter(|session| session.state(caller.origin.now, limits) == SessionState::Live);
    Ok(Json(Page::whole(live.map(|session| Session::new(session, Some(current), limits)).collect())))
}
