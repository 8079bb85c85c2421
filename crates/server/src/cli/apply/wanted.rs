//! What the file says, in the form of the API.

use std::net::IpAddr;

use ipnet::IpNet;
use keywright_domain::{limits::LimitWindow, time::Timestamp};
use serde_json::{Map, Value, json};

use super::file::{Key, Limit, Period, Plan, Policy, Workspace};

/// A plan.
pub(super) fn plan(plan: &Plan, description: &str) -> Value {
    json!({
        "description": description,
        "key_limits": windows(&plan.key_limits),
        "workspace_limits": windows(&plan.workspace_limits),
    })
}

/// Windows as the API shows them, so that they can be compared.
fn windows(limits: &[Limit]) -> Vec<Value> {
    limits.iter().map(|limit| window(&limit.0)).collect()
}

fn window(window: &LimitWindow) -> Value {
    let mut value = json!({
        "name": window.name,
        "limit": window.limit,
        "window_seconds": window.window_seconds,
        "algorithm": window.algorithm,
    });
    if window.mode != keywright_domain::limits::Mode::default() {
        value["mode"] = json!(window.mode);
    }
    if window.on_unavailable != keywright_domain::limits::OnUnavailable::default() {
        value["on_unavailable"] = json!(window.on_unavailable);
    }
    value
}

/// A workspace without its keys: what is named of it.
pub(super) fn workspace(workspace: &Workspace) -> Map<String, Value> {
    let mut body = Map::new();
    put(&mut body, "name", workspace.name.as_ref());
    put(&mut body, "plan", workspace.plan.as_ref());
    put(&mut body, "suspended", workspace.suspended.as_ref());
    if let Some(named) = &workspace.policy {
        body.insert("policy".to_owned(), Value::Object(policy(named)));
    }
    body
}

fn put<T: serde::Serialize>(body: &mut Map<String, Value>, name: &str, value: Option<&T>) {
    if let Some(value) = value {
        body.insert(name.to_owned(), json!(value));
    }
}

fn policy(policy: &Policy) -> Map<String, Value> {
    let mut body = Map::new();
    put(&mut body, "max_key_days", policy.max_key_days.map(|days| days.0).as_ref());
    put(&mut body, "rotation_mode", policy.rotation_mode.as_ref());
    put(&mut body, "overlap_seconds", policy.overlap_seconds.as_ref());
    put(&mut body, "idle_days", policy.idle_days.map(|days| days.0).as_ref());
    put(&mut body, "idle_action", policy.idle_action.as_ref());
    put(&mut body, "allowed_ips", policy.allowed_ips.as_deref().map(networks).as_ref());
    put(&mut body, "allowed_permissions", policy.allowed_permissions.as_ref().map(|list| &list.0).as_ref());
    put(&mut body, "default_permissions", policy.default_permissions.as_ref());
    put(&mut body, "max_keys", policy.max_keys.as_ref());
    put(&mut body, "self_service", policy.self_service.as_ref());
    put(&mut body, "lease_seconds", policy.lease_seconds.as_ref());
    put(&mut body, "atomic_revocation", policy.atomic_revocation.as_ref());
    if let Some(rotation) = &policy.rotation {
        let mut periods = Map::new();
        let period = |of: &Option<Period>| of.as_ref().map(|period| period.0.clone());
        put(&mut periods, "development", period(&rotation.development).as_ref());
        put(&mut periods, "staging", period(&rotation.staging).as_ref());
        put(&mut periods, "production", period(&rotation.production).as_ref());
        put(&mut periods, "ci", period(&rotation.ci).as_ref());
        body.insert("rotation".to_owned(), Value::Object(periods));
    }
    body
}

/// Networks as the API shows them; what is none is left for the server to refuse.
fn networks(texts: &[String]) -> Vec<String> {
    let shown = |text: &String| -> String {
        if let Ok(address) = text.parse::<IpAddr>() {
            return address.to_canonical().to_string();
        }
        match text.parse::<IpNet>() {
            Ok(network) if network.prefix_len() == network.max_prefix_len() => network.addr().to_string(),
            Ok(network) => network.to_string(),
            Err(_) => text.clone(),
        }
    };
    texts.iter().map(shown).collect()
}

/// A key: what is named of it, and whether it is disabled.
///
/// # Errors
/// What is wrong with a field.
pub(super) fn key(key: &Key) -> Result<Map<String, Value>, String> {
    let mut body = Map::new();
    put(&mut body, "environment", Some(&super::super::values::environment(&key.environment)?));
    put(&mut body, "purpose", key.purpose.as_ref());
    put(&mut body, "permissions", key.permissions.as_ref());
    match key.expires_at.as_deref() {
        None => {}
        Some("none") => drop(body.insert("expires_at".to_owned(), Value::Null)),
        Some(text) => {
            let at =
                Timestamp::parse_rfc3339(text).map_err(|error| format!("expires_at: {error}, or none"))?;
            body.insert("expires_at".to_owned(), json!(at.to_rfc3339()));
        }
    }
    if let Some(limits) = &key.limits {
        body.insert(
            "limits".to_owned(),
            limits.0.as_deref().map_or(Value::Null, |list| json!(windows(list))),
        );
    }
    put(&mut body, "allowed_ips", key.allowed_ips.as_deref().map(networks).as_ref());
    put(&mut body, "external_id", key.external_id.as_ref());
    put(&mut body, "disabled", key.disabled.as_ref());
    if let Some(metadata) = metadata(key)? {
        body.insert("metadata".to_owned(), metadata);
    }
    Ok(body)
}

fn metadata(key: &Key) -> Result<Option<Value>, String> {
    match (&key.metadata, &key.metadata_json) {
        (Some(_), Some(_)) => Err("metadata and metadata_json: name one of them".to_owned()),
        (Some(table), None) => Ok(Some(Value::Object(table.clone()))),
        (None, Some(text)) => {
            super::super::values::json_object(text).map(Some).map_err(|why| format!("metadata_json: {why}"))
        }
        (None, None) => Ok(None),
    }
}
