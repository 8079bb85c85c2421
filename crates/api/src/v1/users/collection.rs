//! `PUT /v1/users/{id}/collection`

use axum::extract::State;
use keywright_domain::ids::UserId;

use super::rights::{self, ChosenCollection, CollectionChoice};
use crate::{
    actor::Installation,
    edge::{StrictJson, StrictPath},
    error::{ApiError, ErrorCode},
    openapi::{Accepted, problems},
    state::AppState,
    wire::{Receipted, UserPath},
};

problems! {}

/// Opt a person out of collection, or in again
///
/// Operator only, for a person who asked for it. After `"collect": false`, addresses and user agents of what the person does, and of
/// calls with keys that they created, are not kept any more: when the answer is there, no node keeps them. What was kept before
/// goes when its time is over, or with an erasure.
#[utoipa::path(
    put, path = "/v1/users/{id}/collection", operation_id = "choose_collection", tag = "Privacy",
    params(UserPath),
    request_body(content = CollectionChoice, example = json!({"collect": false})),
    responses((status = 200, description = "The choice, and the receipt.", body = ChosenCollection), Accepted<ChosenCollection>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    Installation { caller, permit }: Installation,
    StrictPath(id): StrictPath<String>,
    StrictJson { value, .. }: StrictJson<CollectionChoice>,
) -> Result<Receipted<ChosenCollection>, ApiError> {
    let user = UserId::parse(&id).map_err(|_| ErrorCode::NotFound)?;
    let context = caller.origin.context(&state, permit, None);
    rights::choose(&state, &caller.origin, context, user, &value).await
}
