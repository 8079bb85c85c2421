//! `PATCH /v1/workspaces/{slug}/service-accounts/{id}`

use axum::extract::State;
use keywright_domain::member::{MemberCommand, ServiceAccountPatch};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{ChangedServiceAccount, account_id, shown};
use crate::{
    actor::{Scope, WriteMembers},
    edge::StrictJson,
    error::ApiError,
    openapi::{Accepted, problems},
    state::AppState,
    v1::members::{MemberFields, change},
    wire::{Patch, Receipted, Role, ServiceAccountPath},
};

/// Changes of a service account. Absent: stays; `null`: is cleared; a value: is set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PatchServiceAccount)]
pub(crate) struct Request {
    /// The name.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    name: Patch<String>,
    /// Its identity.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 3, max_length = 254)]
    email: Patch<String>,
    /// What it is for.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500)]
    purpose: Patch<String>,
    /// The team that answers for it.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    owning_team: Patch<String>,
    /// The role; never `owner`.
    #[serde(default)]
    #[schema(value_type = Option<Role>)]
    role: Patch<Role>,
    /// Permissions within the role; `null`: all of the role's.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    permissions: Patch<Vec<String>>,
}

problems! {
    UnknownPermission, PermissionEscalation, OwnerOnly, AlreadyExists, AlreadyApplied, IdempotencyMismatch
}

/// Change a service account
///
/// Needs `members:write`. Whatever it loses, its keys lose: when the answer is there, no node gives it any more.
#[utoipa::path(
    patch, path = "/v1/workspaces/{slug}/service-accounts/{id}", operation_id = "patch_service_account", tag = "Service accounts",
    params(ServiceAccountPath),
    request_body(content = Request, example = json!({"owning_team": "platform", "permissions": ["prompts:read"]})),
    responses((status = 200, description = "The service account now.", body = ChangedServiceAccount), Accepted<ChangedServiceAccount>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<WriteMembers>,
    body: StrictJson<Request>,
) -> Result<Receipted<ChangedServiceAccount>, ApiError> {
    let account = account_id(&scope)?;
    let patch = Box::new(body.value.into_patch(&state)?);
    let command = MemberCommand::PatchServiceAccount { account, patch };
    let (outcome, receipt) = change(&state, &scope, command, &body.raw).await?;
    let (account, _) = shown(&state, outcome)?;
    Ok(Receipted::new(receipt, |receipt| ChangedServiceAccount { account, receipt }))
}

impl Request {
    fn into_patch(self, state: &AppState) -> Result<ServiceAccountPatch, ApiError> {
        let member = MemberFields { role: self.role, permissions: self.permissions };
        Ok(ServiceAccountPatch {
            name: self.name.required("name")?,
            email: self.email.required("email")?,
            purpose: self.purpose.clearable(),
            owning_team: self.owning_team.clearable(),
            member: member.into_patch(state)?,
        })
    }
}
