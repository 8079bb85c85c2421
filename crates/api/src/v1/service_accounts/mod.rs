//! Service accounts of a workspace.

mod create;
mod delete;
mod disable;
mod enable;
mod get;
mod list;
mod patch;

use keywright_domain::{
    ids::ServiceAccountId,
    member::{KeysMoved, MemberCommand, MemberOutcome, Switch},
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    actor::{Scope, WriteMembers},
    commit,
    error::ApiError,
    state::AppState,
    v1::members::change,
    wire::{Receipt, Receipted, ServiceAccount},
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::handler, create::handler))
        .routes(routes!(get::handler, patch::handler, delete::handler))
        .routes(routes!(disable::handler))
        .routes(routes!(enable::handler))
}

/// A service account after a change, with the receipt.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangedServiceAccount {
    #[serde(flatten)]
    account: ServiceAccount,
    #[serde(flatten)]
    receipt: Receipt,
}

/// The service account that the path names.
///
/// # Errors
/// `not_found`, also for a text that is no id.
fn account_id<N>(scope: &Scope<N>) -> Result<ServiceAccountId, ApiError> {
    scope.id(|text| ServiceAccountId::parse(text).ok())
}

/// The service account of an outcome, as it goes over the wire.
///
/// # Errors
/// `internal_error` for another outcome.
fn shown(state: &AppState, outcome: MemberOutcome) -> Result<(ServiceAccount, KeysMoved), ApiError> {
    match outcome {
        MemberOutcome::ServiceAccount(account, membership, moved) => {
            Ok((ServiceAccount::new(*account, &membership, &state.plane.catalogue()), moved))
        }
        _ => Err(commit::unexpected()),
    }
}

/// Switches the service account that the path names.
///
/// # Errors
/// The domain's refusal.
async fn switch(
    state: &AppState,
    scope: &Scope<WriteMembers>,
    switch: Switch,
) -> Result<Receipted<ChangedServiceAccount>, ApiError> {
    let command = MemberCommand::SwitchServiceAccount { account: account_id(scope)?, switch };
    let (outcome, receipt) = change(state, scope, command, &[]).await?;
    let (account, _) = shown(state, outcome)?;
    Ok(Receipted::new(receipt, |receipt| ChangedServiceAccount { account, receipt }))
}
