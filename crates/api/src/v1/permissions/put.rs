//! `PUT /v1/permissions/{name}`

use axum::{Json, extract::State};
use keywright_domain::{command::Command, key::is_printable, permission::PermissionName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    actor::Installation,
    caps::DESCRIPTION_MAX_CHARS,
    edge::{StrictJson, StrictPath},
    error::ApiError,
    openapi::problems,
    state::AppState,
    wire::{NamePath, Permission},
};

/// What a permission allows.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PutPermission)]
pub(crate) struct Request {
    /// What it allows, in one sentence.
    #[schema(max_length = 500)]
    description: String,
}

/// A permission that was written.
#[derive(Serialize, ToSchema)]
pub(crate) struct WrittenPermission {
    #[serde(flatten)]
    permission: Permission,
    /// The change's place in the log.
    #[schema(example = 42)]
    sequence: u64,
}

problems! { LimitReached }

/// Add or describe a permission
///
/// Operator only. The name is `resource:action`. A permission is never taken out of the catalogue.
#[utoipa::path(
    put, path = "/v1/permissions/{name}", operation_id = "put_permission", tag = "Permissions",
    params(NamePath),
    request_body(content = Request, example = json!({"description": "Send chat messages."})),
    responses((status = 200, description = "The permission.", body = WrittenPermission), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    Installation { caller, permit }: Installation,
    StrictPath(name): StrictPath<String>,
    body: StrictJson<Request>,
) -> Result<Json<WrittenPermission>, ApiError> {
    let name = PermissionName::parse(&name)
        .map_err(|error| ApiError::invalid_field("name", format!("The name in the path: {error}.")))?;
    let description = body.value.description;
    if !is_printable(&description, 0, DESCRIPTION_MAX_CHARS) {
        let detail = format!("`description` has at most {DESCRIPTION_MAX_CHARS} printable characters.");
        return Err(ApiError::invalid_field("description", detail));
    }
    let context = caller.origin.context(&state, permit, None);
    let command = Command::PutPermission { name, description };
    let done = state.commit(&caller.origin, context, command).await?;
    let sequence = done.sequence();
    Ok(Json(WrittenPermission { permission: Permission::from(&done.permission()?), sequence }))
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use crate::harness::Api;

    #[tokio::test]
    async fn a_new_permission_can_be_given_at_once() {
        let api = Api::start().await;
        let body = json!({"description": "Send chat messages."});
        let answer = api.call(Method::PUT, &api.operator, "/v1/permissions/chat:send", Some(&body)).await;
        let expected = json!({"name": "chat:send", "description": "Send chat messages.", "builtin": false});
        let mut answer = answer.json();
        assert!(answer.as_object_mut().unwrap().remove("sequence").unwrap().is_u64());
        assert_eq!(answer, expected);
        let (key, _) = api.key_with(&["chat:send"]).await;
        let listed = api.get(&key, "/v1/permissions").await.json();
        assert_eq!(listed["data"].as_array().unwrap().last(), Some(&expected));
        assert_eq!(listed["data"][0]["builtin"], true);
    }

    #[tokio::test]
    async fn names_and_descriptions_have_limits() {
        let api = Api::start().await;
        for (name, length, expected) in [
            (format!("r:{}", "a".repeat(62)), 500, "200"),
            (format!("r:{}", "a".repeat(63)), 1, "400 invalid_field"),
            ("read".to_owned(), 1, "400 invalid_field"),
            ("a:b:c".to_owned(), 1, "400 invalid_field"),
            ("a:b".to_owned(), 0, "200"),
            ("a:b".to_owned(), 501, "400 invalid_field"),
        ] {
            let body = json!({"description": "x".repeat(length)});
            let path = format!("/v1/permissions/{name}");
            assert_eq!(
                api.call(Method::PUT, &api.operator, &path, Some(&body)).await.outcome(),
                expected,
                "{name}"
            );
        }
        let path = "/v1/permissions/a%ff:b";
        assert_eq!(
            api.call(Method::PUT, &api.operator, path, Some(&json!({"description": ""}))).await.outcome(),
            "400 invalid_utf8"
        );
    }

    #[tokio::test]
    async fn the_catalogue_is_full_at_some_point() {
        let api = Api::start().await;
        let builtin = keywright_domain::permission::Builtin::ALL.len();
        for number in builtin..=256 {
            let path = format!("/v1/permissions/many:n{number}");
            let answer = api.call(Method::PUT, &api.operator, &path, Some(&json!({"description": ""}))).await;
            assert_eq!(answer.outcome(), if number < 256 { "200" } else { "409 limit_reached" }, "{number}");
        }
    }
}
