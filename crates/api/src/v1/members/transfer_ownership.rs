//! `POST /v1/workspaces/{slug}/transfer-ownership`

use axum::extract::State;
use keywright_domain::{
    ids::UserId,
    member::{MemberCommand, MemberOutcome},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{change, shown};
use crate::{
    actor::{Scope, WriteMembers},
    commit::unexpected,
    edge::StrictJson,
    error::ApiError,
    openapi::{Accepted, problems},
    state::AppState,
    wire::{Member, Receipt, Receipted, WorkspacePath},
};

/// Who owns the workspace from now on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TransferOwnership)]
pub(crate) struct Request {
    /// The member who becomes Owner.
    #[schema(pattern = "^usr_[0-7][0-9a-hjkmnp-tv-z]{25}$", example = "usr_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    to: String,
    /// The Owner who becomes Admin; whoever calls unless given. An operator has to name one.
    from: Option<String>,
}

/// Ownership that passed on.
#[derive(Serialize, ToSchema)]
pub(crate) struct TransferredOwnership {
    /// Owner now.
    owner: Member,
    /// Admin now.
    previous_owner: Member,
    #[serde(flatten)]
    receipt: Receipt,
}

problems! { PermissionEscalation, OwnerOnly, Conflict, ReauthenticationRequired, AlreadyApplied, IdempotencyMismatch }

/// Transfer ownership
///
/// In one step the member named becomes Owner, and the Owner who calls becomes Admin. Only an Owner can, or the
/// operator. A signed-in user has proved who they are within 10 minutes.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/transfer-ownership", operation_id = "transfer_ownership", tag = "Members",
    params(WorkspacePath, ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat harmless.")),
    request_body(content = Request, example = json!({"to": "usr_01k9zq3v4w5x6y7z8a9b0c1d2e"})),
    responses((status = 200, description = "Both members now.", body = TransferredOwnership), Accepted<TransferredOwnership>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<WriteMembers>,
    body: StrictJson<Request>,
) -> Result<Receipted<TransferredOwnership>, ApiError> {
    scope.caller.require_fresh()?;
    let to = person("to", &body.value.to)?;
    let from = body.value.from.as_deref().map(|id| person("from", id)).transpose()?;
    let command = MemberCommand::TransferOwnership { from, to };
    let (outcome, receipt) = change(&state, &scope, command, &body.raw).await?;
    let MemberOutcome::Transferred { from, to } = outcome else { return Err(unexpected()) };
    let mut both = shown(&state, &[*to, *from]).await?.into_iter();
    let (Some(owner), Some(previous_owner)) = (both.next(), both.next()) else { return Err(unexpected()) };
    Ok(Receipted::new(receipt, |receipt| TransferredOwnership { owner, previous_owner, receipt }))
}

fn person(field: &str, text: &str) -> Result<UserId, ApiError> {
    UserId::parse(text)
        .map_err(|_| ApiError::invalid_field(field, format!("`{field}` is the id of a person (`usr_…`).")))
}
