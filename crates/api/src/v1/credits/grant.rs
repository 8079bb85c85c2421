//! `POST /v1/workspaces/{slug}/credits/grant`

use axum::{Json, extract::State};
use keywright_domain::{credit::CreditCommand, ids::CreditAccountId};
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

/// Credits to be granted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GrantCredits)]
pub(crate) struct Request {
    /// A key of the workspace, for a balance of its own.
    #[serde(default)]
    key_id: Option<String>,
    /// Or the `external_id` whose keys share the balance.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128)]
    external_id: Option<String>,
    /// How many.
    #[schema(minimum = 1, maximum = 1_000_000_000_000_000_i64)]
    amount: u64,
    /// Why, for the audit trail.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 500)]
    reason: Option<String>,
}

problems! { AlreadyApplied, IdempotencyMismatch }

/// Grant credits
///
/// Operator only. Adds to the balance, and opens the account if there is none.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/credits/grant", operation_id = "grant_credits", tag = "Credits",
    params(WorkspacePath, ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat harmless.")),
    request_body(content = Request, example = json!({
        "external_id": "cust_42", "amount": 1_000, "reason": "Invoice 2026-118",
    })),
    responses((status = 200, description = "The account as it is now.", body = CreditAccount), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<Operate>,
    body: StrictJson<Request>,
) -> Result<Json<CreditAccount>, ApiError> {
    let Request { key_id, external_id, amount, reason } = body.value;
    let subject = credit_subject(&state, scope.workspace.id, key_id, external_id).await?;
    let account = CreditAccountId::generate(scope.now(), &*state.entropy);
    let grant = CreditCommand::Grant { account, subject, amount, reason };
    let (account, _) = change(&state, &scope, grant, &body.raw).await?;
    state.plane.engine().forget_credit_refusals();
    Ok(Json(account))
}
