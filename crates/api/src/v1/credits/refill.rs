//! `PUT /v1/workspaces/{slug}/credits/refill`

use axum::{Json, extract::State};
use keywright_domain::{
    credit::{CreditCommand, NewRefill},
    ids::CreditAccountId,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::change;
use crate::{
    actor::{Operate, Scope},
    edge::StrictJson,
    error::ApiError,
    openapi::problems,
    state::AppState,
    wire::{CreditAccount, WorkspacePath, credit_subject},
};

/// Whose balance is refilled, and how.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SetRefill)]
pub(crate) struct Request {
    /// A key of the workspace, for a balance of its own.
    #[serde(default)]
    key_id: Option<String>,
    /// Or the `external_id` whose keys share the balance.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128)]
    external_id: Option<String>,
    /// The grant that repeats; `null` ends it.
    refill: Option<Wanted>,
}

/// A grant that repeats.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRefill)]
pub(crate) struct Wanted {
    /// Credits per time.
    #[schema(minimum = 1)]
    amount: u64,
    /// How often, in seconds; first one period from now.
    #[schema(minimum = 60, maximum = 31_622_400)]
    every_seconds: u32,
    /// The balance is never filled beyond this.
    #[schema(minimum = 1)]
    cap: u64,
}

problems! {}

/// Set or end a refill
///
/// Operator only. Opens the account if there is none. Times that nobody was there to see are made up for, up to the cap.
#[utoipa::path(
    put, path = "/v1/workspaces/{slug}/credits/refill", operation_id = "set_credit_refill", tag = "Credits",
    params(WorkspacePath),
    request_body(content = Request, example = json!({
        "external_id": "cust_42", "refill": {"amount": 1_000, "every_seconds": 86_400, "cap": 5_000},
    })),
    responses((status = 200, description = "The account as it is now.", body = CreditAccount), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<Operate>,
    body: StrictJson<Request>,
) -> Result<Json<CreditAccount>, ApiError> {
    let Request { key_id, external_id, refill } = body.value;
    let subject = credit_subject(&state, scope.workspace.id, key_id, external_id).await?;
    let account = CreditAccountId::generate(scope.now(), &*state.entropy);
    let refill = refill.map(|Wanted { amount, every_seconds, cap }| NewRefill { amount, every_seconds, cap });
    let (account, _) =
        change(&state, &scope, CreditCommand::SetRefill { account, subject, refill }, &body.raw).await?;
    state.plane.engine().forget_credit_refusals();
    Ok(Json(account))
}
