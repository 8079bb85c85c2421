//! People, and their rights over what is kept of them.

mod archive;
mod collection;
mod consent_list;
mod consent_put;
mod consent_withdraw;
mod drop_totp;
mod end_sessions;
mod erase;
mod export;
mod recovery_link;
pub(super) mod rights;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::AppState;

pub(super) use erase::{ErasedUser, OwnPrompts, Request as EraseRequest};
pub(super) use export::{ExportedMembership, Profile, UserExport, export_as};

/// The routes about people.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(erase::handler))
        .routes(routes!(export::handler))
        .routes(routes!(drop_totp::handler))
        .routes(routes!(end_sessions::handler))
        .routes(routes!(recovery_link::handler))
        .routes(routes!(collection::handler))
        .routes(routes!(consent_list::handler))
        .routes(routes!(consent_put::handler, consent_withdraw::handler))
}
