//! Events as objects of the Open Cybersecurity Schema Framework (OCSF) 1.3.0, <https://schema.ocsf.io/1.3.0>. The mapping is
//! documented in `docs/guides/security-events.md`.

use serde_json::{Map, Value, json};

use super::{
    event::{Event, Success},
    kind::Class,
};

/// The version of the schema.
const VERSION: &str = "1.3.0";

/// The event as an OCSF object.
pub(crate) fn object(event: &Event) -> Value {
    let kind = event.kind();
    let (class, uid) = (kind.class, kind.class.uid());
    let (category_uid, category_name) = class.category();
    let (status_id, status) = match event.success {
        Success::Yes => (1, "Success"),
        Success::No => (2, "Failure"),
    };
    let activity_name = class.activity(kind.activity);
    let mut object = json!({
        "class_uid": uid,
        "class_name": class.name(),
        "category_uid": category_uid,
        "category_name": category_name,
        "activity_id": kind.activity,
        "activity_name": activity_name,
        "type_uid": uid * 100 + kind.activity,
        "type_name": format!("{}: {activity_name}", class.name()),
        "time": event.at.unix_ms(),
        "severity_id": kind.severity as u8,
        "severity": kind.severity.as_str(),
        "status_id": status_id,
        "status": status,
        "metadata": metadata(event),
        "actor": actor(event),
        "src_endpoint": source(event),
    });
    let fields = object.as_object_mut().expect("an object was made");
    add_class_fields(fields, class, event);
    if let Some(reason) = &event.reason {
        fields.insert("message".to_owned(), json!(reason));
    }
    if event.count() > 0 {
        fields.insert("count".to_owned(), json!(event.count()));
    }
    fields.insert("unmapped".to_owned(), unmapped(event));
    object
}

fn metadata(event: &Event) -> Value {
    json!({
        "version": VERSION,
        "uid": event.id,
        "event_code": event.action,
        "log_name": "security",
        "sequence": event.sequence,
        "correlation_uid": event.request_id,
        "product": {
            "name": "Keywright",
            "vendor_name": "Keywright",
            "version": env!("CARGO_PKG_VERSION"),
        },
    })
    .without_nulls()
}

fn add_class_fields(fields: &mut Map<String, Value>, class: Class, event: &Event) {
    match class {
        Class::Authentication => {
            fields.insert("user".to_owned(), subject(event));
            fields.insert("service".to_owned(), json!({"name": "keywright"}));
        }
        Class::AccountChange => {
            fields.insert("user".to_owned(), subject(event));
        }
        Class::UserAccess => {
            fields.insert("user".to_owned(), subject(event));
            fields.insert("privileges".to_owned(), json!(privileges(event)));
            fields.insert(
                "resource".to_owned(),
                json!({"uid": event.workspace, "type": "workspace"}).without_nulls(),
            );
        }
        Class::ApiActivity => {
            fields.insert("api".to_owned(), api(event));
            let resource = json!({"uid": event.target.id, "type": event.target.kind});
            fields.insert("resources".to_owned(), json!([resource]));
        }
    }
}

/// The operation, in the words of the audit trail.
fn api(event: &Event) -> Value {
    let request = event.request_id.as_ref().map(|uid| json!({"uid": uid}));
    json!({"operation": event.action, "service": {"name": "keywright"}, "request": request}).without_nulls()
}

/// Who did it. Whoever cannot be named is the application.
fn actor(event: &Event) -> Value {
    match event.user_id() {
        Some(id) => {
            let credential = event.actor.id.as_ref().filter(|_| event.actor.kind == "key");
            let (type_id, type_name) = user_type(&id);
            json!({"user": {"uid": id, "type_id": type_id, "type": type_name, "credential_uid": credential}})
                .without_nulls()
        }
        None => json!({"app_name": "keywright"}),
    }
}

/// Whom it is about: the person or account that was changed or signed in.
fn subject(event: &Event) -> Value {
    let uid = match &*event.target.kind {
        "user" | "service_account" | "member" => event.target.id.clone(),
        "key" => {
            return json!({"uid": event.user_id().unwrap_or_else(|| event.target.id.clone()), "credential_uid": event.target.id});
        }
        _ => event.user_id().unwrap_or_else(|| "unknown".to_owned()),
    };
    let (type_id, type_name) = user_type(&uid);
    json!({"uid": uid, "type_id": type_id, "type": type_name})
}

/// People are users, operators administrators, service accounts belong to systems.
fn user_type(id: &str) -> (u32, &'static str) {
    match id.split_once('_').map_or("", |(prefix, _)| prefix) {
        "usr" => (1, "User"),
        "opr" => (2, "Admin"),
        "sa" => (3, "System"),
        _ => (0, "Unknown"),
    }
}

/// The role given, or the one that was taken away.
fn privileges(event: &Event) -> Vec<String> {
    let of = |change: &keywright_domain::audit::FieldChange| {
        change.after.clone().or_else(|| change.before.clone())
    };
    let roles = event
        .changes
        .iter()
        .filter(|change| matches!(&*change.field, "role" | "permissions" | "narrowed_to"));
    let all: Vec<String> = roles.filter_map(of).collect();
    if all.is_empty() { vec!["membership".to_owned()] } else { all }
}

/// An address, or a name that says that there is none.
fn source(event: &Event) -> Value {
    event.address.map_or_else(|| json!({"name": "unknown"}), |address| json!({"ip": address.to_string()}))
}

fn unmapped(event: &Event) -> Value {
    json!({
        "workspace": event.workspace,
        "target": {"type": event.target.kind, "id": event.target.id},
        "actor": {"type": event.actor.kind, "id": event.actor.id},
        "changes": event.changes,
        "counts": event.counts,
    })
    .without_nulls()
}

trait WithoutNulls {
    /// The value without members that are null or empty lists, at each level of objects.
    fn without_nulls(self) -> Value;
}

impl WithoutNulls for Value {
    fn without_nulls(self) -> Value {
        let Value::Object(fields) = self else { return self };
        let is_empty = |value: &Value| {
            value.is_null()
                || value.as_array().is_some_and(Vec::is_empty)
                || value.as_object().is_some_and(Map::is_empty)
        };
        let kept = fields.into_iter().map(|(name, value)| (name, value.without_nulls()));
        Value::Object(kept.filter(|(_, value)| !is_empty(value)).collect())
    }
}

#[cfg(test)]
mod tests {
    use keywright_domain::{audit::AuditTarget, time::Timestamp};
    use keywright_testkit::SeededEntropy;

    use super::{super::event::samples, *};

    /// Every action that the program records, and those of refused calls.
    const ACTIONS: [&str; 60] = [
        "session.created",
        "session.ended",
        "sign_in.failed",
        "user.created",
        "user.erased",
        "user.exported",
        "user.updated",
        "user.locked",
        "user.password_changed",
        "user.password_reset",
        "user.totp_enabled",
        "user.totp_disabled",
        "member.created",
        "member.updated",
        "member.removed",
        "member.left",
        "member.ownership_received",
        "member.ownership_given",
        "service_account.created",
        "service_account.updated",
        "service_account.enabled",
        "service_account.disabled",
        "service_account.deleted",
        "key.created",
        "key.updated",
        "key.rotated",
        "key.rotation_completed",
        "key.rotation_cancelled",
        "key.disabled",
        "key.enabled",
        "key.revoked",
        "key.deleted",
        "key.compromised",
        "key.handed_over",
        "operator.created",
        "operator.revoked",
        "workspace.created",
        "workspace.updated",
        "workspace.deleted",
        "workspace.restored",
        "workspace.purged",
        "workspace.lease_settled",
        "plan.created",
        "plan.updated",
        "plan.deleted",
        "permission.created",
        "permission.updated",
        "prompt.created",
        "prompt.updated",
        "prompt.published",
        "prompt.archived",
        "prompt.restored",
        "prompt.deleted",
        "prompt.context_added",
        "prompt.context_removed",
        "collection.opted_out",
        "consent.given",
        "credentials.refused",
        "credentials.address_blocked",
        "limits.exceeded",
    ];

    /// What the schema asks of every event and of each class: required attributes, `at_least_one` constraints, and the
    /// numbers that its enumerations have.
    fn check(object: &Value) {
        let number = |name: &str| object[name].as_u64().unwrap_or_else(|| panic!("{name} in {object}"));
        let (class, activity) = (number("class_uid"), number("activity_id"));
        assert_eq!(number("type_uid"), class * 100 + activity);
        assert_eq!(number("category_uid"), class / 1_000);
        assert!((1..=4).contains(&number("severity_id")) && (1..=2).contains(&number("status_id")));
        assert!(number("time") > 1_700_000_000_000);
        assert_eq!(object["metadata"]["version"], VERSION);
        assert!(object["metadata"]["product"]["vendor_name"].is_string());
        let actor = &object["actor"];
        assert!(actor["user"]["uid"].is_string() || actor["app_name"].is_string(), "{object}");
        let source = &object["src_endpoint"];
        assert!(source["ip"].is_string() || source["name"].is_string());
        let activities: &[u64] = match class {
            3_001 => &[1, 2, 3, 4, 5, 6, 9, 10, 11, 99],
            3_002 => &[1, 2, 99],
            3_005 => &[1, 2],
            6_003 => &[1, 2, 3, 4, 99],
            other => panic!("no class {other}"),
        };
        assert!(activities.contains(&activity), "{object}");
        match class {
            6_003 => {
                assert!(object["api"]["operation"].is_string());
                assert!(object["resources"][0]["uid"].is_string());
            }
            3_002 => assert!(object["service"]["name"].is_string() && object["user"]["uid"].is_string()),
            3_005 => {
                assert!(!object["privileges"].as_array().unwrap().is_empty());
                assert!(object["user"]["uid"].is_string());
            }
            _ => assert!(object["user"]["uid"].is_string()),
        }
    }

    #[test]
    fn every_kind_of_event_is_what_the_schema_asks_for() {
        for action in ACTIONS {
            let mut event = samples::event(action);
            check(&object(&event));
            event.address = None;
            event.actor.principal = None;
            event.workspace = None;
            event.target = AuditTarget { kind: "installation".to_owned(), id: "installation".to_owned() };
            check(&object(&event));
        }
    }

    #[test]
    fn what_was_refused() {
        let at = Timestamp::from_unix_ms(1_795_000_000_123);
        let target = AuditTarget { kind: "address".to_owned(), id: "192.0.2.1".to_owned() };
        let mut event = Event::refused(at, "credentials.address_blocked", target, &SeededEntropy::new(1));
        event.address = Some([192, 0, 2, 1].into());
        event.counts.insert("invalid_key".to_owned(), 20);
        let object = object(&event);
        check(&object);
        assert_eq!((&object["status_id"], &object["count"]), (&json!(2), &json!(20)));
        assert_eq!(object["src_endpoint"]["ip"], "192.0.2.1");
        assert_eq!(object["actor"]["app_name"], "keywright");
    }

    #[test]
    fn a_change_of_a_role() {
        let mut event = samples::event("member.updated");
        event.changes[0].field = "role".to_owned();
        event.changes[0].after = Some("viewer".to_owned());
        event.target = AuditTarget { kind: "member".to_owned(), id: "usr_0".to_owned() };
        let object = object(&event);
        assert_eq!(object["privileges"], json!(["viewer"]));
        assert_eq!(object["user"], json!({"uid": "usr_0", "type_id": 1, "type": "User"}));
        assert!(object["actor"]["user"]["credential_uid"].as_str().unwrap().starts_with("key_"));
        assert_eq!(object["unmapped"]["changes"][0]["before"], "active");
    }
}
