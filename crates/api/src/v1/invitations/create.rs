//! `POST /v1/workspaces/{slug}/invitations`

use axum::{Json, extract::State};
use http::StatusCode;
use keywright_domain::{
    account::{EmailAddress, InvitationCommand, NewInvitation},
    caps,
    ids::{InvitationId, UserId},
    permission,
    principal::User,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{SentInvitation, change, send};
use crate::{
    actor::{Scope, WriteMembers},
    edge::StrictJson,
    error::ApiError,
    one_time::{OneTimeToken, Purpose},
    openapi::problems,
    state::AppState,
    v1::members::permissions,
    wire::{Role, WorkspacePath},
};

/// People to be invited.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = InvitePeople)]
pub(crate) struct Request {
    /// One for each person, up to 100.
    #[schema(min_items = 1, max_items = 100)]
    invitations: Vec<Invitee>,
}

/// Somebody to be invited.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Invitee {
    /// The address. It is kept sealed, and forgotten when the invitation is withdrawn.
    #[schema(example = "ada@company.com", min_length = 3, max_length = 254)]
    email: String,
    /// The role; `member` unless given. Not above the caller's.
    role: Option<Role>,
    /// Permissions within the role; all of the role's unless given. Not more than the caller has.
    permissions: Option<Vec<String>>,
}

/// People who are invited.
#[derive(Serialize, ToSchema)]
pub(crate) struct Invited {
    /// The invitations, in the order of the request.
    data: Vec<SentInvitation>,
}

problems! {
    UnknownPermission, PermissionEscalation, OwnerOnly, AlreadyExists, LimitReached, AlreadyApplied, IdempotencyMismatch
}

/// Invite people
///
/// Needs `members:write`. Each gets a link that is good once, for 7 days: by e-mail or, when the installation sends none, in
/// this answer. Nobody can give more than they have, now or when the invitation is accepted. All are invited, or none.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/invitations", operation_id = "invite_people", tag = "Members",
    params(WorkspacePath, ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat harmless.")),
    request_body(content = Request, example = json!({"invitations": [{"email": "ada@company.com", "role": "admin"}]})),
    responses((status = 201, description = "The invitations.", body = Invited), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<WriteMembers>,
    body: StrictJson<Request>,
) -> Result<(StatusCode, Json<Invited>), ApiError> {
    let (tokens, new) = body.value.into_new(&state, scope.now())?;
    let made = change(&state, &scope, InvitationCommand::Invite(new), &body.raw).await?;
    let mut data = Vec::with_capacity(made.len());
    for ((invitation, email), token) in made.into_iter().zip(&tokens) {
        data.push(send(&state, &scope.workspace, &invitation, email, token).await);
    }
    Ok((StatusCode::CREATED, Json(Invited { data })))
}

impl Request {
    fn into_new(
        self,
        state: &AppState,
        now: Timestamp,
    ) -> Result<(Vec<OneTimeToken>, Vec<NewInvitation>), ApiError> {
        if self.invitations.is_empty() || self.invitations.len() > caps::INVITATIONS_AT_ONCE_MAX {
            let detail = format!("`invitations` has 1 to {} entries.", caps::INVITATIONS_AT_ONCE_MAX);
            return Err(ApiError::invalid_field("invitations", detail));
        }
        let pairs: Result<Vec<_>, _> =
            (0..).zip(self.invitations).map(|(position, one)| one.into_new(state, position, now)).collect();
        Ok(pairs?.into_iter().unzip())
    }
}

impl Invitee {
    fn into_new(
        self,
        state: &AppState,
        position: usize,
        now: Timestamp,
    ) -> Result<(OneTimeToken, NewInvitation), ApiError> {
        let email = EmailAddress::parse(&self.email).map_err(|error| {
            ApiError::invalid_field(&format!("invitations[{position}].email"), format!("`email` is {error}."))
        })?;
        let entropy = &*state.entropy;
        let token = OneTimeToken::generate(Purpose::Invitation, entropy);
        let email = email.as_str().to_owned();
        let id = UserId::generate(now, entropy);
        let user = User { id, name: email.clone(), email, password_hash: None, created_at: now };
        let new = NewInvitation {
            id: InvitationId::generate(now, entropy),
            user,
            digest: token.digest(),
            role: self.role.map_or(permission::Role::Member, Into::into),
            narrowed_to: self.permissions.map(|names| permissions(state, &names)).transpose()?,
        };
        Ok((token, new))
    }
}
