//! Overrides of the configuration by `KEYWRIGHT_…` variables.

use toml::{Table, Value};

use super::problem::nearest;
use crate::failure::{Exit, Failure};

/// What the names of our variables begin with.
pub(crate) const PREFIX: &str = "KEYWRIGHT_";

/// How the text of a variable is read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Text,
    Number,
    List,
    Flag,
}

/// A key that a variable can override.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// Tables and name.
    pub(crate) path: &'static [&'static str],
    kind: Kind,
}

impl Key {
    /// The variable's name.
    pub(crate) fn variable(&self) -> String {
        format!("{PREFIX}{}", self.path.join("_").to_uppercase())
    }
}

const fn key(path: &'static [&'static str], kind: Kind) -> Key {
    Key { path, kind }
}

/// Every key but the peppers and the key-encryption keys, which name variables of their own, and the sinks of security events.
pub(crate) const KEYS: &[Key] = &[
    key(&["listen"], Kind::Text),
    key(&["admin_listen"], Kind::Text),
    key(&["base_url"], Kind::Text),
    key(&["data_dir"], Kind::Text),
    key(&["workers"], Kind::Number),
    key(&["issuer_tag"], Kind::Text),
    key(&["trusted_proxies"], Kind::List),
    key(&["tls", "certificate"], Kind::Text),
    key(&["tls", "key"], Kind::Text),
    key(&["database", "url"], Kind::Text),
    key(&["database", "root_certificate"], Kind::Text),
    key(&["database", "schema"], Kind::Text),
    key(&["database", "listen"], Kind::Flag),
    key(&["node", "name"], Kind::Text),
    key(&["node", "advertise"], Kind::Text),
    key(&["limits", "connections"], Kind::Number),
    key(&["limits", "connections_per_address"], Kind::Number),
    key(&["limits", "header_bytes"], Kind::Number),
    key(&["limits", "headers"], Kind::Number),
    key(&["limits", "handshake_timeout_seconds"], Kind::Number),
    key(&["limits", "header_timeout_seconds"], Kind::Number),
    key(&["limits", "idle_timeout_seconds"], Kind::Number),
    key(&["limits", "stall_timeout_seconds"], Kind::Number),
    key(&["limits", "http2_streams"], Kind::Number),
    key(&["limits", "drain_seconds"], Kind::Number),
    key(&["limits", "unauthenticated_per_minute"], Kind::Number),
    key(&["limits", "unauthenticated_per_hour"], Kind::Number),
    key(&["accounts", "session_idle_minutes"], Kind::Number),
    key(&["accounts", "session_hours"], Kind::Number),
    key(&["accounts", "breached_passwords_file"], Kind::Text),
    key(&["accounts", "breached_passwords_command"], Kind::List),
    key(&["usage", "spool_bytes"], Kind::Number),
    key(&["log", "format"], Kind::Text),
    key(&["log", "level"], Kind::Text),
    key(&["telemetry", "otlp_endpoint"], Kind::Text),
    key(&["telemetry", "service_name"], Kind::Text),
    key(&["telemetry", "sample_percent"], Kind::Number),
    key(&["mail", "url"], Kind::Text),
    key(&["mail", "from"], Kind::Text),
    key(&["mail", "user"], Kind::Text),
    key(&["mail", "password_file"], Kind::Text),
    key(&["mail", "password_env"], Kind::Text),
    key(&["mail", "root_certificate"], Kind::Text),
    key(&["mail", "timeout_seconds"], Kind::Number),
    key(&["retention", "audit_personal_days"], Kind::Number),
    key(&["retention", "access_days"], Kind::Number),
    key(&["retention", "usage_minute_days"], Kind::Number),
    key(&["retention", "usage_hour_days"], Kind::Number),
    key(&["security_events", "addresses"], Kind::Flag),
    key(&["security_events", "refused_per_minute"], Kind::Number),
    key(&["security_events", "limited_per_minute"], Kind::Number),
];

/// Puts the values of `variables` into `table`. A variable that looks like a mistyped one of ours is refused; others
/// with our prefix belong to the command line client or to the operator's peppers.
pub(crate) fn apply(table: &mut Table, variables: &[(String, String)]) -> Result<(), Failure> {
    let names: Vec<String> = KEYS.iter().map(Key::variable).collect();
    for (variable, text) in variables {
        if let Some(position) = names.iter().position(|name| name == variable) {
            let key = &KEYS[position];
            insert(table, key.path, read(key.kind, text, variable)?);
        } else if let Some(meant) = nearest(variable, names.iter().map(String::as_str)) {
            return Err(Failure::new(
                Exit::Config,
                format!("unknown variable {variable} in the environment"),
            )
            .remedy(format!("did you mean {meant}?")));
        }
    }
    Ok(())
}

fn read(kind: Kind, text: &str, variable: &str) -> Result<Value, Failure> {
    match kind {
        Kind::Text => Ok(Value::String(text.to_owned())),
        Kind::Number => text.trim().parse().map(Value::Integer).map_err(|_| {
            Failure::new(Exit::Config, format!("{variable} in the environment is not a whole number"))
        }),
        Kind::Flag => text.trim().parse().map(Value::Boolean).map_err(|_| {
            Failure::new(Exit::Config, format!("{variable} in the environment is neither true nor false"))
        }),
        Kind::List => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Ok(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
    }
}

fn insert(table: &mut Table, path: &[&str], value: Value) {
    match path {
        [] => {}
        [name] => {
            table.insert((*name).to_owned(), value);
        }
        [name, rest @ ..] => {
            let inner = table.entry(*name).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}
