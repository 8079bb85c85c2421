//! `GET /v1/me`

use axum::{Json, extract::State};
use keywright_domain::privacy::Who;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    actor::Caller,
    error::{ApiError, ErrorCode},
    openapi::problems,
    state::AppState,
    v1::{
        problems::of_store,
        users::{ExportedMembership, Profile},
    },
    wire::Time,
};

/// Who is signed in, and what they chose.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    #[serde(flatten)]
    profile: Profile,
    /// Where they are a member.
    memberships: Vec<ExportedMembership>,
    /// Since when addresses and user agents of what they do are not kept; `null`: they are.
    opted_out_since: Option<Time>,
}

problems! {}

/// Who am I
///
/// The person who is signed in, their memberships, and whether they opted out of collection. Only for sessions.
#[utoipa::path(
    get, path = "/v1/me", operation_id = "get_me", tag = "Privacy",
    responses((status = 200, description = "The person.", body = Me), Problems),
)]
pub(crate) async fn handler(State(state): State<AppState>, caller: Caller) -> Result<Json<Me>, ApiError> {
    let (signed_in, _permit) = caller.own_account()?;
    let id = signed_in.session.user;
    let user = state.store.person(Who::Id(id)).await.map_err(of_store)?.ok_or(ErrorCode::InvalidSession)?;
    let memberships = state.store.memberships_of_person(id).await.map_err(of_store)?;
    let opted_out_since = state.store.opted_out_since(id).await.map_err(of_store)?.map(Time);
    let memberships = memberships.iter().map(|(membership, slug)| ExportedMembership::new(membership, slug));
    Ok(Json(Me { profile: user.into(), memberships: memberships.collect(), opted_out_since }))
}
