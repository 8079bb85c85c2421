//! A refusal of the server, in words for a person.

use serde_json::Value;
use ureq::http::StatusCode;

use super::{console::printable, table};
use crate::failure::{Exit, Failure};

/// Whatever else a problem may hold that helps.
const SHOWN_MEMBERS: [&str; 8] =
    ["field", "missing_permissions", "retry_after", "key_id", "hint", "limit", "permissions", "expected"];

/// The failure that a response other than 2xx means.
pub(crate) fn failure(
    status: StatusCode,
    body: &[u8],
    request_id: Option<&str>,
    had_credential: bool,
) -> Failure {
    let problem: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let member = |name: &str| problem.get(name).and_then(Value::as_str).map(printable);
    let Some(code) = member("code") else {
        return not_a_problem(status);
    };
    let title = member("title").unwrap_or_else(|| status.to_string());
    let detail = member("detail").or_else(|| member("error")).unwrap_or_default();
    let mut remedy = Vec::new();
    for name in SHOWN_MEMBERS {
        if let Some(value) = problem.get(name).filter(|value| !value.is_null()) {
            remedy.push(format!("{name}: {}", table::text(value)));
        }
    }
    if let Some(advice) = advice(&code, had_credential) {
        remedy.push(advice.to_owned());
    }
    if let Some(page) = member("type") {
        remedy.push(format!("how to fix: {page}"));
    }
    if let Some(id) = member("request_id").or_else(|| request_id.map(printable)) {
        remedy.push(format!("request id: {id}"));
    }
    Failure::new(Exit::Refused, format!("{title} ({code}, HTTP {})\n  {detail}", status.as_u16()))
        .remedy(remedy.join("\n"))
}

fn advice(code: &str, had_credential: bool) -> Option<&'static str> {
    match code {
        "missing_credentials" if !had_credential => {
            Some("Set KEYWRIGHT_API_KEY, or name a file with --api-key-file.")
        }
        "insufficient_permissions" => {
            Some("Use an operator credential (ok_…), or a key that has the permissions named above.")
        }
        "already_applied" => {
            Some("The secret is shown once only. If it is lost: keywright keys rotate <key id>")
        }
        "commit_unknown" => {
            Some("Send it again with the same --idempotency-key, or look at the present state.")
        }
        _ => None,
    }
}

fn not_a_problem(status: StatusCode) -> Failure {
    let failure =
        Failure::new(Exit::Refused, format!("the server answered HTTP {status} without saying why"));
    if status.is_redirection() {
        return failure.remedy(
            "It redirects; credentials are not sent on. Use the final address (--url or KEYWRIGHT_URL).",
        );
    }
    failure
        .remedy("Something between here and Keywright may have answered: check the address and the proxies.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_helps_is_shown() {
        let body = br#"{"type": "http://h/errors/insufficient_permissions", "title": "Insufficient permissions",
            "status": 403, "detail": "It lacks keys:write.", "code": "insufficient_permissions",
            "error": "Insufficient permissions", "request_id": "req_1", "missing_permissions": ["keys:write"]}"#;
        let failure = failure(StatusCode::FORBIDDEN, body, None, true);
        assert_eq!(failure.exit(), Exit::Refused);
        insta::assert_snapshot!(failure, @r"
        error: Insufficient permissions (insufficient_permissions, HTTP 403)
          It lacks keys:write.
          missing_permissions: keys:write
          Use an operator credential (ok_…), or a key that has the permissions named above.
          how to fix: http://h/errors/insufficient_permissions
          request id: req_1
        ");
    }

    #[test]
    fn a_stranger_that_answers_is_named_as_one() {
        let text = failure(StatusCode::BAD_GATEWAY, b"<html>", None, true).to_string();
        assert!(text.contains("502") && text.contains("proxies"), "{text}");
        let text = failure(StatusCode::FOUND, b"", None, true).to_string();
        assert!(text.contains("redirects"), "{text}");
    }
}
