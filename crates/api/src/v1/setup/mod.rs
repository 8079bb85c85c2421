//! `POST /v1/setup`

use axum::{Json, extract::State};
use http::StatusCode;
use keywright_domain::{
    command::{Bootstrap, Command, NewOperator, NewWorkspace},
    ids::{OperatorId, UserId, WorkspaceId},
    key::is_printable,
    permit::{self, Action, Actor},
    plan::Plan,
    principal::User,
    time::Timestamp,
    workspace::{Slug, WorkspacePolicy},
};
use keywright_keyformat::KeyKind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    actor::{Origin, denied},
    edge::StrictJson,
    error::{ApiError, ErrorCode},
    issue::issue,
    openapi::problems,
    password::Password,
    password_rules,
    state::AppState,
    v1::problems::of_workspace,
    wire::{Operator, RevealedSecret, Workspace},
};

/// The first objects of an installation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SetUp)]
pub(crate) struct Request {
    /// The one-time token that the server printed.
    token: String,
    /// Name of the first operator credential; `first` unless given.
    #[schema(min_length = 1, max_length = 64)]
    operator_name: Option<String>,
    /// The first workspace, if wanted.
    workspace: Option<FirstWorkspace>,
}

/// The first workspace and its owner.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FirstWorkspace {
    /// The name in addresses.
    #[schema(example = "acme")]
    slug: String,
    /// The name shown to people; the slug unless given.
    name: Option<String>,
    /// Address the owner signs in with.
    #[schema(example = "owner@example.com")]
    owner_email: String,
    /// The owner's name; the address unless given.
    owner_name: Option<String>,
    /// The owner's password; without one, `POST /v1/users/{id}/recovery` makes a link with which it is set.
    #[schema(value_type = Option<String>, format = Password)]
    owner_password: Option<Password>,
}

/// An installation that was set up.
#[derive(Serialize, ToSchema)]
pub(crate) struct SetUpInstallation {
    /// The first operator credential.
    operator: Operator,
    /// Its secret. Shown once; it can not be retrieved again.
    secret: RevealedSecret,
    /// The first workspace, if one was asked for.
    workspace: Option<Workspace>,
}

problems! { NotFound, Conflict, PasswordRefused, TooManyFailedAttempts, Unavailable }

/// Set up the installation
///
/// Works once, with the token that the server printed at its first start.
#[utoipa::path(
    post, path = "/v1/setup", operation_id = "set_up", tag = "Operators",
    request_body(content = Request, example = json!({
        "token": "…", "operator_name": "first", "workspace": {"slug": "acme", "owner_email": "owner@example.com"},
    })),
    responses((status = 201, description = "The first operator credential and, once, its secret.", body = SetUpInstallation), Problems),
    security(()),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    origin: Origin,
    body: StrictJson<Request>,
) -> Result<(StatusCode, Json<SetUpInstallation>), ApiError> {
    let request = body.value;
    check_token(&state, &origin, &request.token)?;
    let permit = permit::authorize(Actor::System, Action::Operate, None).map_err(denied)?;
    let (secret, kept) = issue(&state, KeyKind::Operator, origin.now);
    let operator = NewOperator {
        id: OperatorId::generate(origin.now, &*state.entropy),
        name: request.operator_name.unwrap_or_else(|| "first".to_owned()),
        secret: kept,
    };
    let workspace = match request.workspace {
        Some(first) => Some(first.check(&state, origin.now).await?),
        None => None,
    };
    let context = origin.context(&state, permit, None);
    let bootstrap = Command::Bootstrap(Box::new(Bootstrap { operator, workspace }));
    let (operator, workspace) = state.commit(&origin, context, bootstrap).await?.bootstrapped()?;
    state.setup.close();
    let catalogue = state.plane.catalogue();
    let workspace = workspace.map(|workspace| Workspace::new(workspace, &catalogue));
    let answer = SetUpInstallation { operator: operator.into(), secret: RevealedSecret(secret), workspace };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// A wrong token counts like an unknown key.
fn check_token(state: &AppState, origin: &Origin, token: &str) -> Result<(), ApiError> {
    let now_ms = state.clock.boot_ns() / 1_000_000;
    if let Some(address) = origin.address {
        state.throttle.check(address, now_ms)?;
    }
    if !state.setup.is_open() {
        return Err(ApiError::with_detail(ErrorCode::Conflict, "The installation is set up already."));
    }
    if state.setup.admits(token) {
        return Ok(());
    }
    if let Some(address) = origin.address {
        state.throttle.record_failure(address, now_ms);
    }
    Err(ApiError::with_detail(
        ErrorCode::NotFound,
        "This is not the set-up token; the server prints it when it starts.",
    ))
}

impl FirstWorkspace {
    async fn check(self, state: &AppState, now: Timestamp) -> Result<(NewWorkspace, User), ApiError> {
        let slug = Slug::parse(&self.slug).map_err(of_workspace)?;
        let name = self.name.unwrap_or(self.slug);
        let email = self.owner_email;
        let is_address =
            email.split_once('@').is_some_and(|(local, host)| !local.is_empty() && !host.is_empty());
        if !is_address || !is_printable(&email, 3, EMAIL_MAX_CHARS) {
            return Err(ApiError::invalid_field(
                "workspace.owner_email",
                "`owner_email` is not an e-mail address.",
            ));
        }
        let owner_name = self.owner_name.unwrap_or_else(|| email.clone());
        if !is_printable(&owner_name, 1, EMAIL_MAX_CHARS) {
            return Err(ApiError::invalid_field(
                "workspace.owner_name",
                "`owner_name` has 1 to 254 printable characters.",
            ));
        }
        let password_hash = match &self.owner_password {
            Some(password) => {
                password_rules::check(password, Some(&email), state.breach_list.as_deref()).await?;
                Some(state.passwords.hash(password, &*state.entropy).await?)
            }
            None => None,
        };
        let (entropy, policy) = (&*state.entropy, WorkspacePolicy::default());
        let id = WorkspaceId::generate(now, entropy);
        let workspace = NewWorkspace { id, slug, name, plan: Plan::DEFAULT.to_owned(), policy };
        let id = UserId::generate(now, entropy);
        Ok((workspace, User { id, email, name: owner_name, password_hash, created_at: now }))
    }
}

/// Longest address (RFC 5321 with its erratum 1690).
const EMAIL_MAX_CHARS: usize = 254;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::harness::{Api, Who, holder};

    const PATH: &str = "/v1/setup";

    #[tokio::test]
    async fn works_once_with_the_token() {
        let api = Api::bare().await;
        let body = json!({"token": "t", "operator_name": "me", "workspace": {"slug": "acme", "owner_email": "o@example.com"}});
        assert_eq!(api.post(&Who::Anonymous, PATH, &body).await.outcome(), "409 conflict");
        api.state.setup.open("other");
        assert_eq!(api.post(&Who::Anonymous, PATH, &body).await.outcome(), "404 not_found");
        api.state.setup.open("t");
        let answer = api.post(&Who::Anonymous, PATH, &body).await;
        assert_eq!(answer.outcome(), "201");
        insta::assert_json_snapshot!(answer.shown()["operator"], @r#"
        {
          "created_at": "2026-11-21T08:00:00.000Z",
          "hint": "ok_3hyS4D8bYhbu…pkt1",
          "id": "opr_01m7yhx300e51gr1xjqpv7qrt9",
          "name": "me",
          "revoked_at": null
        }
        "#);
        assert_eq!(answer.json()["workspace"]["slug"], "acme");
        let operator = holder(&answer.json()["secret"]);
        assert_eq!(api.get(&operator, "/v1/workspaces/acme").await.outcome(), "200");
        assert_eq!(api.post(&Who::Anonymous, PATH, &body).await.outcome(), "409 conflict");
        api.state.setup.open("t");
        assert_eq!(
            api.post(&Who::Anonymous, PATH, &body).await.outcome(),
            "409 conflict",
            "the store knows, too"
        );
    }

    #[tokio::test]
    async fn bad_input_leaves_the_door_open() {
        let api = Api::bare().await;
        api.state.setup.open("t");
        assert_eq!(
            api.post_form(&Who::Anonymous, PATH, "token=t").await.outcome(),
            "415 unsupported_media_type"
        );
        for (workspace, expected) in [
            (json!({"slug": "A", "owner_email": "o@example.com"}), "400 invalid_field"),
            (json!({"slug": "acme", "owner_email": "nobody"}), "400 invalid_field"),
            (json!({"slug": "acme", "owner_email": format!("{}@x", "x".repeat(253))}), "400 invalid_field"),
            (json!({"slug": "acme", "owner_email": "o@example.com", "owner_name": ""}), "400 invalid_field"),
            (
                json!({"slug": "acme", "owner_email": "o@example.com", "name": "x".repeat(65)}),
                "400 invalid_field",
            ),
            (json!({"slug": "acme"}), "400 missing_field"),
            (json!(null), "201"),
        ] {
            let body = json!({"token": "t", "workspace": workspace});
            assert_eq!(api.post(&Who::Anonymous, PATH, &body).await.outcome(), expected, "{workspace}");
        }
    }

    #[tokio::test]
    async fn guessing_is_throttled() {
        let api = Api::bare().await;
        api.state.setup.open("t");
        let body = json!({"token": "guess"});
        assert_eq!(api.post(&Who::Anonymous, PATH, &body).await.outcome(), "404 not_found");
        // The others come over more than one window of the limit for requests without a key.
        let now_ms = keywright_domain::time::Clock::boot_ns(&*api.clock) / 1_000_000;
        for _ in 2..crate::caps::FAILURES_PER_ADDRESS_MAX {
            api.state.throttle.record_failure([127, 0, 0, 1].into(), now_ms);
        }
        assert_eq!(api.post(&Who::Anonymous, PATH, &body).await.outcome(), "404 not_found");
        assert_eq!(api.post(&Who::Anonymous, PATH, &body).await.outcome(), "429 too_many_failed_attempts");
        assert_eq!(
            api.post(&Who::Anonymous, PATH, &json!({"token": "t"})).await.outcome(),
            "429 too_many_failed_attempts"
        );
    }
}
