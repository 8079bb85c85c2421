//! Invitations: how people become members.

mod accept;
mod create;
mod list;
mod lookup;
mod resend;
mod withdraw;

use keywright_domain::{
    account::{AccountOutcome, Invitation as DomainInvitation, InvitationCommand, TokenDigest},
    command::Command,
    ids::InvitationId,
    workspace::Workspace,
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    actor::{Scope, WriteMembers},
    commit::unexpected,
    error::{ApiError, ErrorCode},
    one_time::{OneTimeToken, Purpose},
    outbox::{LetterKind, send_link},
    state::AppState,
    wire::Invitation,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::handler, create::handler))
        .routes(routes!(withdraw::handler))
        .routes(routes!(resend::handler))
        .routes(routes!(lookup::handler))
        .routes(routes!(accept::handler))
}

/// An invitation whose link was made just now.
#[derive(Serialize, ToSchema)]
pub(crate) struct SentInvitation {
    #[serde(flatten)]
    invitation: Invitation,
    /// Whether the link went out by e-mail.
    delivered: bool,
    /// The one-time link, when it did not: hand it over in a way that nobody else reads. Shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://keys.example.com/invite#kwi_…")]
    link: Option<String>,
}

/// The invitation that the path names.
///
/// # Errors
/// `not_found`, also for a text that is no id.
fn invitation_id<N>(scope: &Scope<N>) -> Result<InvitationId, ApiError> {
    scope.id(|text| InvitationId::parse(text).ok())
}

/// What the token in a body is found by.
///
/// # Errors
/// `invalid_link` for a text of another form.
fn digest_of(token: &str) -> Result<TokenDigest, ApiError> {
    let token = OneTimeToken::parse(Purpose::Invitation, token).ok_or(ErrorCode::InvalidLink)?;
    Ok(token.digest())
}

/// Carries out a command about the invitations of a workspace, and returns those that it made.
///
/// # Errors
/// The domain's refusal.
async fn change(
    state: &AppState,
    scope: &Scope<WriteMembers>,
    command: InvitationCommand,
    body: &[u8],
) -> Result<Vec<(DomainInvitation, String)>, ApiError> {
    let origin = &scope.caller.origin;
    let context = origin.context(state, scope.permit, origin.idempotency(&scope.caller.actor, body));
    match state.commit(origin, context, Command::Invitation(command)).await?.account()? {
        AccountOutcome::Invited(made) => Ok(made),
        AccountOutcome::Done => Ok(Vec::new()),
        _ => Err(unexpected()),
    }
}

/// Sends the link of an invitation, or shows it to whoever asked.
async fn send(
    state: &AppState,
    workspace: &Workspace,
    invitation: &DomainInvitation,
    email: String,
    token: &OneTimeToken,
) -> SentInvitation {
    let shown = Invitation::new(invitation, Some(email.clone()), &state.plane.catalogue());
    let letter = |link| LetterKind::Invitation {
        workspace_name: workspace.name.clone(),
        link,
        expires_at: invitation.expires_at,
    };
    let link = send_link(state, email, token.link(&state.config.base_url), letter).await;
    SentInvitation { invitation: shown, delivered: link.is_none(), link }
}
