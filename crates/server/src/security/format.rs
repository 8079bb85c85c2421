//! How an event is written: the documents' fields as JSON, the documents' log line, or OCSF.

use keywright_domain::audit::FieldChange;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    event::{Event, Success},
    ocsf,
};

/// How events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// One JSON object: `timestamp`, `user_id`, `action`, `success`, `ip` and more.
    #[default]
    Json,
    /// `time - security - level - {…}`, as Python's `logging` writes it.
    Text,
    /// One object of the Open Cybersecurity Schema Framework 1.3.
    Ocsf,
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    logger: &'static str,
    level: &'static str,
    user_id: Option<String>,
    action: &'a str,
    success: bool,
    ip: Option<String>,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    severity: &'static str,
    actor: serde_json::Value,
    target: serde_json::Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    changes: &'a [FieldChange],
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    counts: &'a std::collections::BTreeMap<String, u64>,
}

impl Format {
    /// The event as one line, without its end.
    pub(crate) fn line(self, event: &Event) -> String {
        match self {
            Self::Json => json_line(event),
            Self::Text => {
                let level = event.kind().severity.level();
                // `asctime` of Python: a space and a comma where RFC 3339 has `T` and a point.
                let time = event.at.to_rfc3339().replace('T', " ").replace('.', ",").replace('Z', "");
                format!("{time} - security - {level} - {}", json_line(event))
            }
            Self::Ocsf => ocsf::object(event).to_string(),
        }
    }
}

fn json_line(event: &Event) -> String {
    let severity = event.kind().severity;
    let line = Line {
        timestamp: event.at.to_rfc3339(),
        logger: "security",
        level: severity.level(),
        user_id: event.user_id(),
        action: &event.action,
        success: event.success == Success::Yes,
        ip: event.address.map(|address| address.to_string()),
        id: &event.id,
        sequence: event.sequence,
        severity: severity.as_str(),
        actor: json!({"type": event.actor.kind, "id": event.actor.id}),
        target: json!({"type": event.target.kind, "id": event.target.id}),
        workspace: event.workspace.as_deref(),
        request_id: event.request_id.as_deref(),
        reason: event.reason.as_deref(),
        changes: &event.changes,
        counts: &event.counts,
    };
    serde_json::to_string(&line).expect("texts and numbers are JSON")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{super::event::samples, *};

    #[test]
    fn the_documents_fields_come_first() {
        let line = Format::Json.line(&samples::event("key.revoked"));
        assert!(!line.contains('\n'), "one line, whatever the reason says");
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["timestamp"], "2026-11-18T11:06:40.123Z");
        assert_eq!(value["logger"], "security");
        assert_eq!(value["level"], "INFO");
        assert!(value["user_id"].as_str().unwrap().starts_with("usr_"));
        assert_eq!(value["action"], "key.revoked");
        assert_eq!(value["success"], true);
        assert_eq!(value["ip"], "203.0.113.7");
        assert_eq!(value["sequence"], 1);
        assert_eq!(value["actor"]["type"], "key");
        assert_eq!(value["changes"][0]["before"], "active");
    }

    #[test]
    fn the_documents_line() {
        let line = Format::Text.line(&samples::event("key.compromised"));
        let mut parts = line.splitn(4, " - ");
        assert_eq!(parts.next(), Some("2026-11-18 11:06:40,123"));
        assert_eq!(parts.next(), Some("security"));
        assert_eq!(parts.next(), Some("ERROR"));
        let value: Value = serde_json::from_str(parts.next().unwrap()).unwrap();
        assert_eq!(value["action"], "key.compromised");
    }
}
