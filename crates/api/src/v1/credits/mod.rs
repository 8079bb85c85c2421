//! Credits: prepaid balances.

mod commit;
mod grant;
mod list;
mod refill;
mod refund;
mod reserve;

use keywright_domain::{command::Command, credit::CreditCommand};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    actor::{Needs, Scope},
    error::ApiError,
    state::AppState,
    wire::{CreditAccount, Reservation},
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::handler))
        .routes(routes!(grant::handler))
        .routes(routes!(refill::handler))
        .routes(routes!(reserve::handler))
        .routes(routes!(commit::handler))
        .routes(routes!(refund::handler))
}

/// A reservation as it is now, and its account.
#[derive(Serialize, ToSchema)]
pub(crate) struct Reserved {
    /// The reservation.
    reservation: Reservation,
    /// The account.
    account: CreditAccount,
}

/// Carries out `command`; `body` is the request's, for recognising repeats.
async fn change<N: Needs>(
    state: &AppState,
    scope: &Scope<N>,
    command: CreditCommand,
    body: &[u8],
) -> Result<(CreditAccount, Option<Reservation>), ApiError> {
    let origin = &scope.caller.origin;
    let context = origin.context(state, scope.permit, origin.idempotency(&scope.caller.actor, body));
    let done = state.commit(origin, context, Command::Credit(command)).await?;
    let (account, reservation) = done.credit()?;
    Ok((account.into(), reservation.map(Into::into)))
}

/// Carries out a command about a reservation.
async fn change_reservation<N: Needs>(
    state: &AppState,
    scope: &Scope<N>,
    command: CreditCommand,
    body: &[u8],
) -> Result<Reserved, ApiError> {
    let (account, reservation) = change(state, scope, command, body).await?;
    let reservation = reservation.ok_or_else(|| ApiError::internal("a reservation is missing"))?;
    Ok(Reserved { reservation, account })
}

#[cfg(test)]
mod tests;
