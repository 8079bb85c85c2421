//! `POST /v1/workspaces/{slug}/service-accounts`

use axum::{Json, extract::State};
use http::StatusCode;
use keywright_domain::{
    ids::ServiceAccountId,
    member::{MemberCommand, NewServiceAccount},
    permission,
    principal::Principal,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::shown;
use crate::{
    actor::{Scope, WriteMembers},
    edge::StrictJson,
    error::ApiError,
    openapi::problems,
    state::AppState,
    v1::members::{change, permissions},
    wire::{Role, ServiceAccount, WorkspacePath},
};

/// A service account to be created.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateServiceAccount)]
pub(crate) struct Request {
    /// The name.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// Its identity in the form of an e-mail address, in lower case, unique in the workspace. Nothing is ever sent to it.
    #[schema(min_length = 3, max_length = 254)]
    email: String,
    /// What it is for.
    #[schema(min_length = 1, max_length = 500)]
    purpose: Option<String>,
    /// The team that answers for it.
    #[schema(min_length = 1, max_length = 64)]
    owning_team: Option<String>,
    /// The role; `member` unless given, never `owner`.
    role: Option<Role>,
    /// Permissions within the role; all of the role's unless given. Not more than the caller has.
    permissions: Option<Vec<String>>,
}

/// A service account that was created.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedServiceAccount {
    #[serde(flatten)]
    account: ServiceAccount,
    /// The change's place in the log.
    #[schema(example = 42)]
    sequence: u64,
}

problems! {
    UnknownPermission, PermissionEscalation, OwnerOnly, AlreadyExists, LimitReached, AlreadyApplied, IdempotencyMismatch
}

/// Create a service account
///
/// Needs `members:write`. An account that is not a person owns the keys of one application: its keys go on working when
/// the people who made it leave. To let it do what no Member may, such as `keys:write` or a permission of your own,
/// make it `admin` and name the `permissions`.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/service-accounts", operation_id = "create_service_account", tag = "Service accounts",
    params(WorkspacePath, ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat harmless.")),
    request_body(content = Request, example = json!({
        "name": "api-production", "email": "api-production@company.com", "purpose": "The public interface",
        "owning_team": "platform", "role": "member", "permissions": ["prompts:read"],
    })),
    responses((status = 201, description = "The service account.", body = CreatedServiceAccount), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<WriteMembers>,
    body: StrictJson<Request>,
) -> Result<(StatusCode, Json<CreatedServiceAccount>), ApiError> {
    let creator = scope.caller.actor.as_creator();
    let creator = creator.ok_or_else(|| ApiError::internal("the system called over HTTP"))?;
    let id = ServiceAccountId::generate(scope.now(), &*state.entropy);
    let new = body.value.into_new(&state, id, creator.principal)?;
    let command = MemberCommand::CreateServiceAccount(Box::new(new));
    let (outcome, receipt) = change(&state, &scope, command, &body.raw).await?;
    let (account, _) = shown(&state, outcome)?;
    let sequence = receipt.change.sequence;
    Ok((StatusCode::CREATED, Json(CreatedServiceAccount { account, sequence })))
}

impl Request {
    fn into_new(
        self,
        state: &AppState,
        id: ServiceAccountId,
        created_by: Principal,
    ) -> Result<NewServiceAccount, ApiError> {
        Ok(NewServiceAccount {
            id,
            narrowed_to: self.permissions.map(|names| permissions(state, &names)).transpose()?,
            role: self.role.map_or(permission::Role::Member, Into::into),
            name: self.name,
            email: self.email,
            purpose: self.purpose,
            owning_team: self.owning_team,
            created_by,
        })
    }
}
