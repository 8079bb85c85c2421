//! `PUT /v1/me/collection`

use axum::extract::State;

use crate::{
    actor::Caller,
    edge::StrictJson,
    error::ApiError,
    openapi::{Accepted, problems},
    state::AppState,
    v1::users::rights::{self, ChosenCollection, CollectionChoice},
    wire::Receipted,
};

problems! {}

/// Opt out of collection, or in again
///
/// After `"collect": false`, addresses and user agents of what the person who is signed in does, and of calls with keys that they
/// created, are not kept any more: when the answer is there, no node keeps them. Nothing else changes for them.
#[utoipa::path(
    put, path = "/v1/me/collection", operation_id = "choose_my_collection", tag = "Privacy",
    request_body(content = CollectionChoice, example = json!({"collect": false})),
    responses((status = 200, description = "The choice, and the receipt.", body = ChosenCollection), Accepted<ChosenCollection>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    caller: Caller,
    StrictJson { value, .. }: StrictJson<CollectionChoice>,
) -> Result<Receipted<ChosenCollection>, ApiError> {
    let (signed_in, permit) = caller.own_account()?;
    let context = caller.origin.context(&state, permit, None);
    rights::choose(&state, &caller.origin, context, signed_in.session.user, &value).await
}
