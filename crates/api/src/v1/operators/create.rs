//! `POST /v1/operators`

use axum::{Json, extract::State};
use http::StatusCode;
use keywright_domain::{
    command::{Command, NewOperator},
    ids::OperatorId,
};
use keywright_keyformat::KeyKind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    actor::Installation,
    edge::StrictJson,
    error::ApiError,
    issue::issue,
    openapi::problems,
    state::AppState,
    wire::{Operator, RevealedSecret},
};

/// An operator credential to be created.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateOperator)]
pub(crate) struct Request {
    /// The name, to tell credentials apart.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
}

/// An operator credential that was created.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedOperator {
    /// The credential.
    operator: Operator,
    /// The secret. Shown once; it can not be retrieved again.
    secret: RevealedSecret,
    /// The change's place in the log.
    #[schema(example = 42)]
    sequence: u64,
}

problems! { AlreadyApplied, IdempotencyMismatch }

/// Create an operator credential
///
/// Operator only. The secret is in this answer and nowhere else.
#[utoipa::path(
    post, path = "/v1/operators", operation_id = "create_operator", tag = "Operators",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat harmless.")),
    request_body(content = Request, example = json!({"name": "deploy"})),
    responses((status = 201, description = "The credential and, once, its secret.", body = CreatedOperator), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    Installation { caller, permit }: Installation,
    body: StrictJson<Request>,
) -> Result<(StatusCode, Json<CreatedOperator>), ApiError> {
    let origin = &caller.origin;
    let context = origin.context(&state, permit, origin.idempotency(&caller.actor, &body.raw));
    let (secret, kept) = issue(&state, KeyKind::Operator, origin.now);
    let id = OperatorId::generate(origin.now, &*state.entropy);
    let new = NewOperator { id, name: body.value.name, secret: kept };
    let done = state.commit(origin, context, Command::CreateOperator(Box::new(new))).await?;
    let sequence = done.sequence();
    let operator = done.operator()?.into();
    let created = CreatedOperator { operator, secret: RevealedSecret(secret), sequence };
    Ok((StatusCode::CREATED, Json(created)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::harness::{Api, holder};

    #[tokio::test]
    async fn a_second_operator_may_do_what_the_first_may() {
        let api = Api::start().await;
        let answer = api.post_once(&api.operator, "/v1/operators", "o", &json!({"name": "deploy"})).await;
        insta::assert_json_snapshot!(answer.shown(), @r#"
        {
          "operator": {
            "created_at": "2026-11-21T08:00:00.000Z",
            "hint": "ok_GMxyd0Ffjvxd…R1R6",
            "id": "opr_01m7yhx3001y00p7tpcjvhkr3j",
            "name": "deploy",
            "revoked_at": null
          },
          "secret": "[secret]",
          "sequence": 4
        }
        "#);
        let second = holder(&answer.json()["secret"]);
        let listed = api.get(&second, "/v1/operators").await.json();
        assert_eq!(
            (&listed["data"][0]["name"], &listed["data"][1]["name"]),
            (&json!("first"), &json!("deploy"))
        );
        let again = api.post_once(&api.operator, "/v1/operators", "o", &json!({"name": "deploy"})).await;
        assert_eq!(again.outcome(), "409 already_applied");
    }

    #[tokio::test]
    async fn names_have_limits() {
        let api = Api::start().await;
        for (name, expected) in [
            ("x".repeat(64), "201"),
            ("x".repeat(65), "400 invalid_field"),
            (String::new(), "400 invalid_field"),
        ] {
            assert_eq!(
                api.post(&api.operator, "/v1/operators", &json!({"name": name})).await.outcome(),
                expected
            );
        }
    }
}
