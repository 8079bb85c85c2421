//! `PATCH /v1/workspaces/{slug}/members/{id}`

use axum::extract::State;
use keywright_domain::member::MemberCommand;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MemberFields, change, member_of, shown, user_id};
use crate::{
    actor::{Scope, WriteMembers},
    commit::unexpected,
    edge::StrictJson,
    error::ApiError,
    openapi::{Accepted, problems},
    state::AppState,
    wire::{Member, MemberPath, Patch, Receipt, Receipted, Role},
};

/// Changes of a member. Absent: stays; `null`: is cleared; a value: is set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PatchMember)]
pub(crate) struct Request {
    /// The role. Permissions that were narrowed stay narrowed within it, unless they are given, too.
    #[serde(default)]
    #[schema(value_type = Option<Role>)]
    role: Patch<Role>,
    /// Permissions within the role; `null`: all of the role's. An Owner's can not be narrowed.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    permissions: Patch<Vec<String>>,
}

/// A member that was changed.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangedMember {
    #[serde(flatten)]
    member: Member,
    #[serde(flatten)]
    receipt: Receipt,
}

problems! { UnknownPermission, PermissionEscalation, OwnerOnly, LastOwner, ReauthenticationRequired, AlreadyApplied, IdempotencyMismatch }

/// Change a member
///
/// Needs `members:write`. Whatever the member loses, the member's keys lose: when the answer is there, no node gives it
/// any more. Nobody can give more than they have; only an Owner makes an Owner or changes one, and the last Owner stays
/// Owner. Whoever makes an Owner while signed in has proved who they are within 10 minutes.
#[utoipa::path(
    patch, path = "/v1/workspaces/{slug}/members/{id}", operation_id = "patch_member", tag = "Members",
    params(MemberPath),
    request_body(content = Request, example = json!({"role": "admin", "permissions": ["keys:read", "keys:write"]})),
    responses((status = 200, description = "The member now.", body = ChangedMember), Accepted<ChangedMember>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<WriteMembers>,
    body: StrictJson<Request>,
) -> Result<Receipted<ChangedMember>, ApiError> {
    let user = user_id(&scope)?;
    if matches!(body.value.role, Patch::Set(Role::Owner)) {
        scope.caller.require_fresh()?;
    }
    let fields = MemberFields { role: body.value.role, permissions: body.value.permissions };
    let command = MemberCommand::Patch { user, patch: fields.into_patch(&state)? };
    let (outcome, receipt) = change(&state, &scope, command, &body.raw).await?;
    let (membership, _) = member_of(outcome)?;
    let member = shown(&state, &[membership]).await?.pop().ok_or_else(unexpected)?;
    Ok(Receipted::new(receipt, |receipt| ChangedMember { member, receipt }))
}
