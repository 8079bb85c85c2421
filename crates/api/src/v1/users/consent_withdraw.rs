//! `DELETE /v1/users/{id}/consents/{name}`

use axum::{Json, extract::State};
use keywright_domain::ids::UserId;

use super::rights::{self, Consents};
use crate::{
    actor::Installation,
    edge::StrictPath,
    error::{ApiError, ErrorCode},
    openapi::problems,
    state::AppState,
    wire::ConsentPath,
};

problems! {}

/// Record that a person withdraws consent
///
/// Operator only. The record keeps when it was given and when it was withdrawn.
#[utoipa::path(
    delete, path = "/v1/users/{id}/consents/{name}", operation_id = "withdraw_consent", tag = "Privacy",
    params(ConsentPath),
    responses((status = 200, description = "The record, oldest first.", body = Consents), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    Installation { caller, permit }: Installation,
    StrictPath((id, name)): StrictPath<(String, String)>,
) -> Result<Json<Consents>, ApiError> {
    let user = UserId::parse(&id).map_err(|_| ErrorCode::NotFound)?;
    let context = caller.origin.context(&state, permit, None);
    rights::withdraw(&state, &caller.origin, context, user, &name).await.map(Json)
}

#[cfg(test)]
mod tests {
    use http::Method;
    use keywright_domain::{command::Command, permission::Role};
    use keywright_testkit::Samples;
    use serde_json::json;

    use crate::harness::Api;

    #[tokio::test]
    async fn consents_and_the_choice_of_collection_are_on_record() {
        let api = Api::start().await;
        let samples = Samples::new(78);
        let (user, workspace) = (samples.user(), api.workspace_id().await);
        let base = format!("/v1/users/{}", user.id);
        let command = Command::CreateMember { user, workspace, role: Role::Admin };
        api.state.store.execute(samples.context(Samples::operator_permit()), command).await.unwrap();
        let put = async |path: &str, body: serde_json::Value| {
            api.call(Method::PUT, &api.operator, &format!("{base}{path}"), Some(&body)).await
        };
        for version in ["2026-10", "2026-11", "2026-11"] {
            assert_eq!(put("/consents/terms", json!({"version": version})).await.outcome(), "200");
        }
        let known = api.get(&api.operator, &format!("{base}/consents")).await.json();
        assert_eq!(known["data"].as_array().unwrap().len(), 2);
        assert_eq!(
            (&known["data"][1]["version"], &known["data"][1]["withdrawn_at"]),
            (&json!("2026-11"), &json!(null))
        );
        assert!(known["data"][0]["withdrawn_at"].is_string());
        let terms = format!("{base}/consents/terms");
        let left = api.call(Method::DELETE, &api.operator, &terms, None).await.json();
        assert!(left["data"][1]["withdrawn_at"].is_string());
        assert_eq!(api.call(Method::DELETE, &api.operator, &terms, None).await.outcome(), "404 not_found");
        for bad in [json!({"version": "A b"}), json!({"version": ""}), json!({})] {
            assert_eq!(put("/consents/terms", bad).await.status.as_u16(), 400);
        }
        let out = put("/collection", json!({"collect": false})).await.json();
        assert_eq!((&out["collect"], &out["effective"]["nodes"]), (&json!(false), &json!(1)));
        let told = api.get(&api.operator, &format!("{base}/export")).await.json();
        assert!(told["collection"]["opted_out_since"].is_string());
        assert_eq!(told["consents"][0]["name"], "terms");
        assert_eq!(put("/collection", json!({"collect": true})).await.outcome(), "200");
        let told = api.get(&api.operator, &format!("{base}/export")).await.json();
        assert_eq!(told["collection"]["opted_out_since"], json!(null));
        let actions = api.get(&api.operator, "/v1/audit?limit=100").await.text;
        for action in ["consent.given", "consent.withdrawn", "collection.opted_out", "collection.opted_in"] {
            assert!(actions.contains(action), "{action}");
        }
    }
}
