//! `PUT /v1/permissions/{name}`

use axum::{Json, extract::State};
use keywright_domain::{command::Command, key::is_printable, permission::PermissionName};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    actor::Installation,
    caps::DESCRIPTION_MAX_CHARS,
    edge::{StrictJson, StrictPath},
    error::ApiError,
    openapi::problems,
    state::AppState,
    wire::{NamePath, Permission},
};

/// What a permission allows.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PutPermission)]
pub(crate) struct Request {
    /// What it allows, in one sentence.
    #[schema(max_length = 500)]
    description: String,
}

problems! { LimitReached }

/// Add or describe a permission
///
/// Operator only. The name is `resource:action`. A permission is never taken out of the catalogue.
#[utoipa::path(
    put, path = "/v1/permissions/{name}", operation_id = "put_permission", tag = "Permissions",
    params(NamePath),
    request_body(content = Request, example = json!({"description": "Send chat messages."})),
    responses((status = 200, description = "The permission.", body = Permission), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    Installation { caller, permit }: Installation,
    StrictPath(name): StrictPath<String>,
    body: StrictJson<Request>,
) -> Result<Json<Permission>, ApiError> {
    let name = PermissionName::parse(&name)
        .map_err(|error| ApiError::invalid_field("name", format!("The name in the path: {error}.")))?;
    let description = body.value.description;
    if !is_printable(&description, 0, DESCRIPTION_MAX_CHARS) {
        let detail = format!("`description` has at most {DESCRIPTION_MAX_CHARS} printable characters.");
        return Err(ApiError::invalid_field("description", detail));
    }
    let context = caller.origin.context(&state, permit, None);
    let entry = state.commit(context, Command::PutPermission { name, description }).await?.permission()?;
    Ok(Json(Permission::from(&entry)))
}
