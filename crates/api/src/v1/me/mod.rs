//! What people do about what is kept of them, themselves: signed in, without an operator.

mod collection;
mod consent_list;
mod consent_put;
mod consent_withdraw;
mod erase;
mod export;
mod get;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::AppState;

/// The routes of the person who is signed in.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(get::handler, erase::handler))
        .routes(routes!(export::handler))
        .routes(routes!(collection::handler))
        .routes(routes!(consent_list::handler))
        .routes(routes!(consent_put::handler, consent_withdraw::handler))
}
