//! Signing in and out, and the sessions of the signed-in user.

pub(crate) mod create;
pub(super) mod end;
pub(super) mod end_others;
pub(super) mod list;
pub(super) mod reauthenticate;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::AppState;

/// The routes of sessions.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::handler, create::handler))
        .routes(routes!(end::handler))
        .routes(routes!(end_others::handler))
        .routes(routes!(reauthenticate::handler))
}
