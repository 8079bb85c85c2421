//! `POST /v1/sessions`

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    actor::Origin,
    edge::StrictJson,
    error::ApiError,
    openapi::problems,
    password::Password,
    sign_in::{self, Begun},
    state::AppState,
    wire::Session,
};

/// Who signs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SignIn)]
pub(crate) struct Request {
    /// The address of the account, in any case.
    #[schema(example = "ada@example.com")]
    email: String,
    /// The password.
    #[schema(value_type = String, format = Password)]
    password: Password,
    /// What the authenticator shows, or a recovery code, if the account has a second factor.
    #[schema(example = "005924")]
    code: Option<String>,
    /// Whether the token comes as a cookie that no script can read, instead of in the answer. For browsers.
    #[serde(default)]
    cookie: bool,
}

/// A session that began.
#[derive(Serialize, ToSchema)]
pub(crate) struct BegunSession {
    /// The session.
    session: Session,
    /// What proves it: `Authorization: Bearer <token>`. Shown once. Absent if it was asked for as a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "kss_…")]
    token: Option<String>,
    /// What a request with the cookie must carry in `X-CSRF-Token` if it changes something.
    csrf_token: String,
}

problems! { InvalidSignIn, InvalidCode, SecondFactorRequired, TooManyFailedAttempts, Unavailable }

/// Sign in
///
/// With an e-mail address and a password. The answer never tells whether there is such an account. After some failures in a
/// row, for the account or from the address, each one locks out for twice as long as the one before. An account with a second
/// factor is told so ([`second_factor_required`](/errors/second_factor_required)) once the password is right: send both again
/// with the `code`.
#[utoipa::path(
    post, path = "/v1/sessions", operation_id = "sign_in", tag = "Accounts",
    request_body(content = Request, example = json!({"email": "ada@example.com", "password": "…"})),
    responses((status = 201, description = "The session and, once, its token.", body = BegunSession), Problems),
    security(()),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    origin: Origin,
    body: StrictJson<Request>,
) -> Result<Response, ApiError> {
    let Request { email, password, code, cookie } = body.value;
    let begun = sign_in::with_password(&state, &origin, &email, &password, code.as_deref()).await?;
    Ok(answer(&state, begun, cookie))
}

fn answer(state: &AppState, begun: Begun, as_cookie: bool) -> Response {
    let Begun { session, token } = begun;
    let csrf_token = token.csrf();
    let shown = Session::new(&session, Some(session.id), state.config.session_limits);
    let in_body = (!as_cookie).then(|| token.expose().to_owned());
    let body = Json(BegunSession { session: shown, token: in_body, csrf_token });
    let mut response = (StatusCode::CREATED, body).into_response();
    sign_in::hand_over(state, as_cookie.then_some(&token), &mut response);
    response
}

#[cfg(test)]
mod tests {
    use http::{Method, header};
    use keywright_domain::caps;
    use serde_json::json;

    use crate::harness::{Api, Who, holder};

    const PATH: &str = "/v1/sessions";
    const PASSWORD: &str = "correct horse battery staple";

    fn advance(api: &Api, seconds: i64) {
        api.clock.advance_seconds(u64::try_from(seconds).unwrap());
    }

    async fn with_password() -> Api {
        let api = Api::start().await;
        api.person_with_password("ada@example.com", PASSWORD, "admin").await;
        api
    }

    #[tokio::test]
    async fn the_right_password_begins_a_session() {
        let api = with_password().await;
        let body = json!({"email": " Ada@Example.com", "password": PASSWORD});
        let answer = api.post(&Who::Anonymous, PATH, &body).await;
        assert_eq!(answer.outcome(), "201");
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
        let answer = answer.json();
        assert_eq!(answer["session"]["method"], "password");
        assert_eq!(answer["session"]["expires_at"], "2026-11-21T20:00:00.000Z");
        let ada = holder(&answer["token"]);
        assert_eq!(api.get(&ada, "/v1/workspaces/acme/keys").await.outcome(), "200");
        assert_eq!(api.get(&ada, "/v1/whoami").await.json()["type"], "user");
    }

    #[tokio::test]
    async fn a_wrong_password_and_no_account_are_answered_alike() {
        let api = with_password().await;
        let mut answers = Vec::new();
        for email in ["ada@example.com", "bob@example.com", "nonsense"] {
            let body = json!({"email": email, "password": "wrong wrong wrong"});
            let mut answer = api.post(&Who::Anonymous, PATH, &body).await.json();
            answer.as_object_mut().unwrap().remove("request_id");
            answers.push(answer);
        }
        assert_eq!(answers[0]["code"], "invalid_sign_in");
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    }

    #[tokio::test]
    async fn failures_lock_the_account_out_whether_it_exists_or_not() {
        let api = with_password().await;
        for email in ["ada@example.com", "bob@example.com"] {
            let wrong = json!({"email": email, "password": "wrong wrong wrong"});
            for _ in 0..caps::FREE_ATTEMPTS_PER_ACCOUNT {
                assert_eq!(api.post(&Who::Anonymous, PATH, &wrong).await.outcome(), "401 invalid_sign_in");
            }
            let right = json!({"email": email.to_uppercase(), "password": PASSWORD});
            let answer = api.post(&Who::Anonymous, PATH, &right).await;
            assert_eq!(answer.outcome(), "429 too_many_failed_attempts");
            assert_eq!(answer.headers["retry-after"], caps::LOCK_SECONDS_FIRST.to_string());
        }
        advance(&api, caps::LOCK_SECONDS_FIRST);
        let right = json!({"email": "ada@example.com", "password": PASSWORD});
        assert_eq!(api.post(&Who::Anonymous, PATH, &right).await.outcome(), "201");
        let wrong = json!({"email": "ada@example.com", "password": "wrong wrong wrong"});
        let answer = api.post(&Who::Anonymous, PATH, &wrong).await;
        assert_eq!(answer.outcome(), "401 invalid_sign_in", "success forgave the failures");
    }

    #[tokio::test]
    async fn a_cookie_needs_the_csrf_token_to_change_anything() {
        let api = with_password().await;
        let body = json!({"email": "ada@example.com", "password": PASSWORD, "cookie": true});
        let answer = api.post(&Who::Anonymous, PATH, &body).await;
        assert_eq!(answer.outcome(), "201");
        let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap().to_owned();
        assert!(cookie.contains("HttpOnly; SameSite=Lax; Secure"), "{}", cookie.len());
        let answer = answer.json();
        assert!(answer.get("token").is_none());
        let pair = cookie.split(';').next().unwrap();
        let send = async |method: Method, path: &str, csrf: Option<&str>| {
            let mut request = Api::request(method, &Who::Anonymous, path, axum::body::Body::empty());
            request.headers_mut().insert(header::COOKIE, pair.parse().unwrap());
            if let Some(csrf) = csrf {
                request.headers_mut().insert("x-csrf-token", csrf.parse().unwrap());
            }
            api.send(request).await.outcome()
        };
        assert_eq!(send(Method::GET, PATH, None).await, "200");
        let end = format!("{PATH}/current");
        assert_eq!(send(Method::DELETE, &end, None).await, "403 csrf_token_required");
        assert_eq!(send(Method::DELETE, &end, Some("0")).await, "403 csrf_token_required");
        assert_eq!(send(Method::DELETE, &end, answer["csrf_token"].as_str()).await, "204");
        assert_eq!(send(Method::GET, PATH, None).await, "401 invalid_session");
    }

    #[tokio::test]
    async fn sessions_end_by_the_clock() {
        let api = with_password().await;
        let ada = api.person("admin").await;
        advance(&api, caps::SESSION_IDLE_SECONDS_DEFAULT - 1);
        assert_eq!(api.get(&ada, PATH).await.outcome(), "200");
        advance(&api, caps::SESSION_IDLE_SECONDS_DEFAULT);
        assert_eq!(api.get(&ada, PATH).await.outcome(), "401 invalid_session");
        let ada = api.person("admin").await;
        let step = caps::SESSION_IDLE_SECONDS_DEFAULT / 2;
        for _ in 1..caps::SESSION_ABSOLUTE_SECONDS_DEFAULT / step {
            advance(&api, step);
            assert_eq!(api.get(&ada, PATH).await.outcome(), "200", "use keeps it alive");
        }
        advance(&api, step);
        assert_eq!(api.get(&ada, PATH).await.outcome(), "401 invalid_session", "but not for ever");
    }
}
