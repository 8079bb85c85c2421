//! Members of a workspace.

mod fields;
mod get;
mod leave;
mod list;
mod patch;
mod remove;
mod transfer_ownership;

use keywright_domain::{
    command::Command,
    ids::UserId,
    member::{KeysMoved, MemberCommand, MemberOutcome},
    principal::{Membership, Principal},
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) use self::fields::{MemberFields, account_id, permissions};
use crate::{
    actor::Scope,
    commit,
    error::{ApiError, ErrorCode},
    state::AppState,
    v1::problems::of_store,
    wire::{Member, MovedKeys, Receipt, Receipted},
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::handler))
        .routes(routes!(get::handler, patch::handler, remove::handler))
        .routes(routes!(transfer_ownership::handler))
        .routes(routes!(leave::handler))
}

/// A membership that ended.
#[derive(Serialize, ToSchema)]
pub(crate) struct EndedMembership {
    /// Whose it was.
    #[schema(example = "usr_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    id: String,
    /// What became of the member's keys.
    keys: MovedKeys,
    #[serde(flatten)]
    receipt: Receipt,
}

/// The person that the path names.
///
/// # Errors
/// `not_found`, also for a text that is no id.
fn user_id<N>(scope: &Scope<N>) -> Result<UserId, ApiError> {
    scope.id(|text| UserId::parse(text).ok())
}

/// The membership of the person that the path names.
///
/// # Errors
/// `not_found`.
async fn membership<N>(state: &AppState, scope: &Scope<N>) -> Result<Membership, ApiError> {
    let member = Principal::User(user_id(scope)?);
    let found = state.store.membership(scope.workspace.id, member).await.map_err(of_store)?;
    Ok(found.ok_or(ErrorCode::NotFound)?)
}

/// Members as they go over the wire.
///
/// # Errors
/// Those of the store.
async fn shown(state: &AppState, memberships: &[Membership]) -> Result<Vec<Member>, ApiError> {
    let ids = memberships.iter().filter_map(|membership| match membership.principal {
        Principal::User(user) => Some(user),
        Principal::ServiceAccount(_) | Principal::Operator(_) => None,
    });
    let people = state.store.people(ids.collect()).await.map_err(of_store)?;
    let catalogue = state.plane.catalogue();
    let show = |membership: &Membership| {
        let person = match membership.principal {
            Principal::User(user) => people.get(&user),
            Principal::ServiceAccount(_) | Principal::Operator(_) => None,
        };
        Member::new(membership, person, &catalogue)
    };
    Ok(memberships.iter().map(show).collect())
}

/// Carries out a command on members. `body` is the request's, for recognising repeats.
///
/// # Errors
/// The domain's refusal.
pub(super) async fn change<N>(
    state: &AppState,
    scope: &Scope<N>,
    command: MemberCommand,
    body: &[u8],
) -> Result<(MemberOutcome, commit::Receipt), ApiError> {
    let origin = &scope.caller.origin;
    let context = origin.context(state, scope.permit, origin.idempotency(&scope.caller.actor, body));
    let done = state.commit(origin, context, Command::Member(command)).await?;
    let receipt = done.receipt.clone();
    Ok((done.members()?, receipt))
}

/// The answer to the end of a membership.
///
/// # Errors
/// `internal_error` for another outcome.
fn ended(
    state: &AppState,
    (outcome, receipt): (MemberOutcome, commit::Receipt),
) -> Result<Receipted<EndedMembership>, ApiError> {
    let (membership, moved) = member_of(outcome)?;
    let keys = MovedKeys::new(&moved, &state.plane.catalogue());
    let id = membership.principal.id_text();
    Ok(Receipted::new(receipt, |receipt| EndedMembership { id, keys, receipt }))
}

fn member_of(outcome: MemberOutcome) -> Result<(Membership, KeysMoved), ApiError> {
    match outcome {
        MemberOutcome::Member(membership, moved) => Ok((*membership, moved)),
        _ => Err(commit::unexpected()),
    }
}
