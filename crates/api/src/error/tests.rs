use super::*;

fn rendered(error: &ApiError) -> (http::Response<Bytes>, Value) {
    let response = error.render("https://keys.example", Some("req_1"));
    let body = serde_json::from_slice(response.body()).unwrap();
    (response, body)
}

fn challenge(error: &ApiError) -> Option<String> {
    error.render("", None).headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned())
}

#[test]
fn no_credentials_is_unauthorized_without_an_error_attribute() {
    let (response, body) = rendered(&ApiError::new(ErrorCode::MissingCredentials));
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["www-authenticate"], "Bearer realm=\"keywright\"");
    assert_eq!(response.headers()["x-request-id"], "req_1");
    assert_eq!(
        body,
        serde_json::json!({
            "type": "https://keys.example/errors/missing_credentials",
            "title": "Unauthorized",
            "status": 401,
            "detail": "No API key was sent. Send it as `Authorization: Bearer <key>`.",
            "code": "missing_credentials",
            "error": "Unauthorized",
            "request_id": "req_1",
        })
    );
}

#[test]
fn a_bad_key_begins_with_invalid_api_key() {
    let error = ApiError::with_detail(ErrorCode::MalformedKey, "it is wrapped in quotes.");
    let (response, body) = rendered(&error);
    assert_eq!(body["error"], "Invalid API key: it is wrapped in quotes.");
    assert_eq!(body["detail"], body["error"]);
    assert_eq!(response.headers()["www-authenticate"], "Bearer realm=\"keywright\", error=\"invalid_token\"");
}

#[test]
fn missing_permissions_are_listed_and_challenged() {
    let error = ApiError::insufficient_permissions(vec!["keys:read".into(), "keys:write".into()]);
    let (response, body) = rendered(&error);
    assert_eq!(response.status(), 403);
    assert_eq!(body["error"], "Insufficient permissions");
    assert_eq!(body["missing_permissions"], serde_json::json!(["keys:read", "keys:write"]));
    assert_eq!(
        challenge(&error).unwrap(),
        "Bearer realm=\"keywright\", error=\"insufficient_scope\", scope=\"keys:read keys:write\""
    );
    let hostile = ApiError::insufficient_permissions(vec!["a\", realm=\"evil".into()]);
    assert_eq!(challenge(&hostile).unwrap(), "Bearer realm=\"keywright\", error=\"insufficient_scope\"");
}

#[test]
fn only_credentials_errors_carry_a_challenge() {
    for &code in ErrorCode::ALL {
        let expected = code.status() == 401 || code == ErrorCode::InsufficientPermissions;
        assert_eq!(challenge(&ApiError::new(code)).is_some(), expected, "{code:?}");
    }
}

#[test]
fn retry_after_and_allow_are_sent() {
    let (response, body) = rendered(&ApiError::new(ErrorCode::RateLimited).retry_after_seconds(7));
    assert_eq!(response.headers()["retry-after"], "7");
    assert_eq!(body["retry_after"], 7);
    let (response, _) = rendered(&ApiError::new(ErrorCode::RateLimited).retry_after_seconds(0));
    assert_eq!(response.headers()["retry-after"], "1");
    let error = ApiError::new(ErrorCode::MethodNotAllowed).allow(HeaderValue::from_static("GET"));
    assert_eq!(rendered(&error).0.headers()["allow"], "GET");
}

#[test]
fn extra_members_never_replace_the_contract() {
    let error = ApiError::invalid_field("name", "too long.").member("code", "valid").member("status", 200);
    let (_, body) = rendered(&error);
    assert_eq!(
        (&body["code"], &body["status"], &body["field"]),
        (&"invalid_field".into(), &400.into(), &"name".into())
    );
}

#[test]
fn internal_context_is_neither_sent_nor_printed() {
    let error = ApiError::internal("disk sda1 failed");
    let response = error.render("", Some("req_1"));
    assert!(!String::from_utf8_lossy(response.body()).contains("sda1"));
    assert!(!format!("{error:?} {error}").contains("sda1"));
    assert_eq!(error.internal_context(), Some("disk sda1 failed"));
}
