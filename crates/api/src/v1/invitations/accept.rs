//! `POST /v1/invitations/accept`

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use keywright_domain::{
    account::{AccountOutcome, InvitationCommand, Newcomer, SignInMethod},
    caps,
    command::Command,
    ids::UserId,
    key::is_printable,
    privacy::Who,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::digest_of;
use crate::{
    actor::Origin,
    commit::unexpected,
    edge::StrictJson,
    error::{ApiError, ErrorCode},
    openapi::problems,
    password::Password,
    password_rules,
    session::SessionToken,
    sign_in::{hand_over, new_session, system_permit},
    state::AppState,
    v1::problems::of_store,
    wire::Session,
};

/// Somebody accepts.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AcceptInvitation)]
pub(crate) struct Request {
    /// What follows `#` in the link.
    #[schema(example = "kwi_…")]
    token: String,
    /// A password, if nobody signs in with the address yet.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<Password>,
    /// The name shown to others, along with a password; the address unless given.
    #[schema(min_length = 1, max_length = 64, example = "Ada")]
    name: Option<String>,
    /// Whether the session's token comes as a cookie that no script can read. For browsers.
    #[serde(default)]
    cookie: bool,
}

/// Somebody is a member.
#[derive(Serialize, ToSchema)]
pub(crate) struct AcceptedInvitation {
    /// The workspace's slug.
    #[schema(example = "acme")]
    workspace: String,
    /// The session that began, if a password was chosen. Whoever had an account signs in with it.
    session: Option<Session>,
    /// What proves the session: `Authorization: Bearer <token>`. Shown once. Absent if it was asked for as a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "kss_…")]
    token: Option<String>,
    /// What a request with the cookie must carry in `X-CSRF-Token` if it changes something.
    #[serde(skip_serializing_if = "Option::is_none")]
    csrf_token: Option<String>,
}

problems! { InvalidLink, PasswordNeeded, PasswordRefused, InviterLost, AlreadyExists, Unavailable }

/// Accept an invitation
///
/// Works once. Whoever has no account yet chooses a password and is signed in; to an account that there is, the membership is
/// added. Refused when whoever invited may not give this role any more.
#[utoipa::path(
    post, path = "/v1/invitations/accept", operation_id = "accept_invitation", tag = "Accounts",
    request_body(content = Request, example = json!({"token": "kwi_…", "password": "…", "name": "Ada"})),
    responses((status = 200, description = "The membership, and perhaps a session.", body = AcceptedInvitation), Problems),
    security(()),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    origin: Origin,
    body: StrictJson<Request>,
) -> Result<Response, ApiError> {
    let Request { token, password, name, cookie } = body.value;
    let digest = digest_of(&token)?;
    let found = state.store.invitation_by_digest(digest).await.map_err(of_store)?;
    let (invitation, workspace) = found.ok_or(ErrorCode::InvalidLink)?;
    let session = SessionToken::generate(&*state.entropy);
    let newcomer = match password {
        Some(password) => Some(newcomer(&state, &origin, invitation.user, &password, name, &session).await?),
        None => None,
    };
    let context = origin.context(&state, system_permit()?, None);
    let command = Command::Invitation(InvitationCommand::Accept { digest, newcomer: newcomer.map(Box::new) });
    let AccountOutcome::Joined(begun) = state.commit(&origin, context, command).await?.account()? else {
        return Err(unexpected());
    };
    let workspace = workspace.slug.as_str().to_owned();
    let shown = begun.map(|begun| Session::new(&begun, Some(begun.id), state.config.session_limits));
    Ok(answer(&state, workspace, shown, &session, cookie))
}

/// Whoever accepts, with a checked password.
async fn newcomer(
    state: &AppState,
    origin: &Origin,
    user: UserId,
    password: &Password,
    name: Option<String>,
    session: &SessionToken,
) -> Result<Newcomer, ApiError> {
    if name.as_ref().is_some_and(|name| !is_printable(name, 1, caps::NAME_MAX_CHARS)) {
        return Err(ApiError::invalid_field("name", "`name` has 1 to 64 printable characters."));
    }
    let person = state.store.person(Who::Id(user)).await.map_err(of_store)?.ok_or(ErrorCode::InvalidLink)?;
    password_rules::check(password, Some(&person.email), state.breach_list.as_deref()).await?;
    Ok(Newcomer {
        name,
        password_hash: state.passwords.hash(password, &*state.entropy).await?,
        session: new_session(state, origin, user, SignInMethod::Invitation, session),
        limits: state.config.session_limits,
    })
}

fn answer(
    state: &AppState,
    workspace: String,
    session: Option<Session>,
    token: &SessionToken,
    as_cookie: bool,
) -> Response {
    let has_begun = session.is_some();
    let body = AcceptedInvitation {
        workspace,
        session,
        token: (has_begun && !as_cookie).then(|| token.expose().to_owned()),
        csrf_token: has_begun.then(|| token.csrf()),
    };
    let mut response = (StatusCode::OK, Json(body)).into_response();
    hand_over(state, (has_begun && as_cookie).then_some(token), &mut response);
    response
}
