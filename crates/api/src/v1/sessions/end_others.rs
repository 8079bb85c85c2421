//! `POST /v1/sessions/end-others`

use axum::{Json, extract::State};
use keywright_domain::{
    account::{AccountCommand, AccountOutcome},
    command::Command,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    actor::Caller, commit::unexpected, error::ApiError, openapi::problems, sign_in::account_outcome,
    state::AppState,
};

/// Sessions that ended.
#[derive(Serialize, ToSchema)]
pub(crate) struct EndedSessions {
    /// How many.
    #[schema(example = 2)]
    ended: u64,
}

problems! {}

/// End all other sessions
///
/// All of the signed-in user's but the one of this request. When the answer is there, no node accepts them.
#[utoipa::path(
    post, path = "/v1/sessions/end-others", operation_id = "end_other_sessions", tag = "Accounts",
    responses((status = 200, description = "How many ended.", body = EndedSessions), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<EndedSessions>, ApiError> {
    let (signed_in, permit) = caller.own_account()?;
    let keep = Some(signed_in.session.id);
    let command = AccountCommand::EndSessions { user: signed_in.session.user, keep };
    match account_outcome(&state, &caller.origin, permit, Command::Account(command)).await? {
        AccountOutcome::Ended(ended) => Ok(Json(EndedSessions { ended })),
        _ => Err(unexpected()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::harness::{Api, Who, holder};

    #[tokio::test]
    async fn all_but_this_one() {
        let api = Api::start().await;
        let (email, password) = ("ada@example.com", "correct horse battery staple");
        api.person_with_password(email, password, "member").await;
        let sign_in = async || {
            let body = json!({"email": email, "password": password});
            holder(&api.post(&Who::Anonymous, "/v1/sessions", &body).await.json()["token"])
        };
        let (first, second) = (sign_in().await, sign_in().await);
        let answer = api.post(&second, "/v1/sessions/end-others", &json!({})).await;
        assert_eq!(answer.json(), json!({"ended": 1}));
        assert_eq!(api.get(&first, "/v1/sessions").await.outcome(), "401 invalid_session");
        assert_eq!(api.get(&second, "/v1/sessions").await.json()["data"].as_array().unwrap().len(), 1);
    }
}
