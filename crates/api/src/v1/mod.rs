//! The endpoints, one per file.

mod account;
mod audit;
mod credits;
mod health;
mod incidents;
mod invitations;
mod keys;
mod me;
mod members;
mod operations;
mod operators;
pub(crate) mod packages;
mod permissions;
mod plans;
mod privacy;
pub(crate) mod problems;
mod prompts;
mod redact;
mod service_accounts;
mod sessions;
mod setup;
mod sign_in;
mod usage;
mod users;
mod workspaces;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::AppState;

/// The routes of all endpoints.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(keys::routes())
        .merge(crate::hot::routes())
        .merge(workspaces::routes())
        .merge(members::routes())
        .merge(service_accounts::routes())
        .merge(packages::routes())
        .merge(prompts::routes())
        .merge(sign_in::routes())
        .routes(routes!(usage::own::handler))
        .routes(routes!(redact::handler))
        .merge(credits::routes())
        .merge(sessions::routes())
        .merge(account::routes())
        .merge(invitations::routes())
        .routes(routes!(usage::workspace::handler))
        .routes(routes!(usage::key::handler))
        .routes(routes!(usage::ledger::handler))
        .routes(routes!(usage::origins::handler))
        .routes(routes!(incidents::list::handler))
        .routes(routes!(audit::list::handler))
        .routes(routes!(audit::installation::handler))
        .routes(routes!(audit::checkpoints::handler))
        .routes(routes!(permissions::list::handler))
        .routes(routes!(permissions::put::handler))
        .routes(routes!(plans::list::handler))
        .routes(routes!(plans::put::handler, plans::delete::handler))
        .routes(routes!(operators::list::handler, operators::create::handler))
        .routes(routes!(operators::revoke::handler))
        .routes(routes!(operations::get::handler))
        .merge(users::routes())
        .merge(me::routes())
        .routes(routes!(privacy::collected::handler))
        .routes(routes!(health::handler))
        .routes(routes!(setup::handler))
}
