//! `keywright keys verify`.

use std::{io::Read as _, path::PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::super::{
    connection::{Call, InWorkspace},
    session::{Form, Session},
};
use crate::failure::{Exit, Failure};

const KEY_MAX_BYTES: u64 = 4_096;

/// Ask the server whether a key is good, and for what
///
/// The key to check is read from standard input or a file, never from an argument. The credential that asks needs the
/// permission keys:verify. Exit code 0 when the key is valid, 1 when it is not.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright keys verify < key.txt
  printf %s \"$CUSTOMER_KEY\" | keywright keys verify --permission prompts:read --explain
  keywright keys verify --key-file key.txt --mode live --cost 0    check without spending")]
pub(crate) struct Verify {
    /// File with the key to check; standard input when left out
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Permission that the key must have; may be repeated
    #[arg(long = "permission", value_name = "RESOURCE:ACTION")]
    permissions: Vec<String>,
    /// Whether the resource is live or test
    #[arg(long, value_parser = ["live", "test"])]
    mode: Option<String>,
    /// Cost units that the call takes from the limits; 0 checks without spending
    #[arg(long, value_name = "UNITS")]
    cost: Option<u64>,
    /// Address that the key is used from
    #[arg(long, value_name = "ADDRESS")]
    client_ip: Option<std::net::IpAddr>,
    /// Route that it is used for, for the access ledger
    #[arg(long, value_name = "TEXT")]
    route: Option<String>,
    /// List every check, and which one decided
    #[arg(long)]
    explain: bool,
}

impl Verify {
    pub(super) fn run(self, session: &mut Session, workspace: &InWorkspace) -> Result<(), Failure> {
        let key = self.key(session)?;
        let body = self.body(&key, workspace.workspace.as_deref());
        let answer = session.client.send(&Call {
            method: ureq::http::Method::POST,
            path: "/v1/keys/verify".to_owned(),
            body: Some(&body),
            idempotency_key: None,
        })?;
        let code = answer.get("code").and_then(Value::as_str).unwrap_or("?").to_owned();
        session
            .show(&answer, &["valid", "code", "key_id", "workspace", "environment", "mode", "permissions"])?;
        session.console.finish()?;
        if answer.get("valid") == Some(&Value::Bool(true)) {
            return Ok(());
        }
        let failure = Failure::new(Exit::Negative, format!("the key is not good: {code}"));
        Err(if session.form == Form::People && !self.explain {
            failure.remedy("Add --explain to see every check.")
        } else {
            failure
        })
    }

    fn key(&self, session: &mut Session) -> Result<Zeroizing<String>, Failure> {
        let bytes = match &self.key_file {
            None => session.console.read_input(KEY_MAX_BYTES)?,
            Some(file) => {
                let mut bytes = Vec::new();
                std::fs::File::open(file)
                    .and_then(|opened| opened.take(KEY_MAX_BYTES).read_to_end(&mut bytes))
                    .map_err(|error| {
                        Failure::new(Exit::Negative, format!("cannot read {}: {error}", file.display()))
                    })?;
                bytes
            }
        };
        let bytes = Zeroizing::new(bytes);
        let text = String::from_utf8_lossy(&bytes);
        let text = text.strip_suffix('\n').map_or(&*text, |line| line.strip_suffix('\r').unwrap_or(line));
        Ok(Zeroizing::new(text.to_owned()))
    }

    fn body(&self, key: &str, workspace: Option<&str>) -> Value {
        let mut body = Map::from_iter([("key".to_owned(), json!(key))]);
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        put("permissions", (!self.permissions.is_empty()).then(|| json!(self.permissions)));
        put("workspace", workspace.map(|slug| json!(slug)));
        put("mode", self.mode.as_ref().map(|mode| json!(mode)));
        put("cost", self.cost.map(|cost| json!(cost)));
        put("client_ip", self.client_ip.map(|address| json!(address)));
        put("route", self.route.as_ref().map(|route| json!(route)));
        put("explain", self.explain.then_some(Value::Bool(true)));
        Value::Object(body)
    }
}
