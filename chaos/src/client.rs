//! Calls of the HTTP interface, as any client makes them.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::{Value, json};
use ureq::Agent;

/// The workspace that all keys are in.
pub const WORKSPACE: &str = "chaos";

/// What a node answered about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The key is good.
    Accepted,
    /// The key is revoked.
    Refused,
    /// The key is being revoked.
    Revoking,
    /// The node may not answer.
    Unavailable,
}

/// A client with connections of its own.
pub struct Client {
    agent: Agent,
    credential: String,
}

/// What a call to revoke came to.
pub enum Revoked {
    /// It holds everywhere.
    Everywhere,
    /// It is committed, and this operation tells when it holds everywhere.
    Later(String),
}

impl Client {
    /// A client that gives up after `patience`.
    pub fn new(credential: &str, patience: Duration) -> Self {
        let config = Agent::config_builder()
            // Not of the whole call: looking a name up within a time takes a thread each time.
            .timeout_connect(Some(patience))
            .timeout_send_request(Some(patience))
            .timeout_send_body(Some(patience))
            .timeout_recv_response(Some(patience))
            .timeout_recv_body(Some(patience))
            .http_status_as_error(false)
            .max_idle_connections_per_host(2)
            .build();
        Self { agent: config.into(), credential: format!("Bearer {credential}") }
    }

    fn send(&self, method: &str, url: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let request = || {
            ureq::http::Request::builder()
                .method(method)
                .uri(url)
                .header("authorization", &self.credential)
                .header("prefer", "wait=60")
        };
        let mut response = match body {
            Some(body) => {
                let request = request().header("content-type", "application/json");
                self.agent.run(request.body(body.to_string())?)?
            }
            None => self.agent.run(request().body(())?)?,
        };
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string()?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    fn expect(&self, expected: u16, method: &str, url: &str, body: Option<&Value>) -> Result<Value> {
        let (status, answer) = self.send(method, url, body)?;
        if status == expected {
            return Ok(answer);
        }
        bail!("{method} {url}: {status} {}", answer["code"])
    }

    /// Whether the node answers verifications.
    pub fn is_ready(&self, base: &str) -> bool {
        matches!(self.send("GET", &format!("{base}/v1/whoami"), None), Ok((200 | 403, _)))
    }

    /// Makes the workspace fit for the run: short leases, no limits.
    ///
    /// # Errors
    /// No answer, or another one than expected.
    pub fn prepare_workspace(&self, base: &str, lease_seconds: u32, is_atomic: bool) -> Result<()> {
        let body = json!({"plan": "unlimited", "policy": {"lease_seconds": lease_seconds,
            "atomic_revocation": is_atomic, "max_keys": 10_000_000}});
        self.expect(200, "PATCH", &format!("{base}/v1/workspaces/{WORKSPACE}"), Some(&body))?;
        Ok(())
    }

    /// Creates a key and returns its id and secret.
    ///
    /// # Errors
    /// No answer, or another one than expected.
    pub fn create_key(&self, base: &str, permissions: &[&str]) -> Result<(String, String)> {
        let mut body = json!({"name": "chaos", "environment": "production"});
        if !permissions.is_empty() {
            body["permissions"] = json!(permissions);
        }
        let url = format!("{base}/v1/workspaces/{WORKSPACE}/keys");
        let answer = self.expect(201, "POST", &url, Some(&body))?;
        let text = |value: &Value| value.as_str().map(str::to_owned).context("a text");
        Ok((text(&answer["key"]["id"])?, text(&answer["secret"])?))
    }

    /// Revokes a key.
    ///
    /// # Errors
    /// No answer, or another one than expected.
    pub fn revoke(&self, base: &str, key: &str) -> Result<Revoked> {
        let url = format!("{base}/v1/workspaces/{WORKSPACE}/keys/{key}/revoke");
        match self.send("POST", &url, Some(&json!({"reason": "chaos"})))? {
            (200, _) => Ok(Revoked::Everywhere),
            (202, answer) => {
                let id = answer["operation"]["id"].as_str().context("an operation")?;
                Ok(Revoked::Later(id.to_owned()))
            }
            (status, answer) => Err(anyhow!("revoke: {status} {}", answer["code"])),
        }
    }

    /// Whether an operation is complete.
    ///
    /// # Errors
    /// No answer, or another one than expected.
    pub fn is_complete(&self, base: &str, operation: &str) -> Result<bool> {
        let answer = self.expect(200, "GET", &format!("{base}/v1/operations/{operation}"), None)?;
        Ok(answer["status"] == "complete")
    }

    /// Asks one node about a key.
    ///
    /// # Errors
    /// No answer, or none that says anything about the key.
    pub fn verify(&self, base: &str, secret: &str) -> Result<Answer> {
        let (status, answer) =
            self.send("POST", &format!("{base}/v1/keys/verify"), Some(&json!({"key": secret})))?;
        match (status, answer["code"].as_str()) {
            (200, Some("valid")) => Ok(Answer::Accepted),
            // A node that has not heard of a key that was just created refuses it too, and may.
            (200, Some("revoked_key")) => Ok(Answer::Refused),
            (200, Some("revoking")) => Ok(Answer::Revoking),
            (200, Some("invalid_key")) | (503, _) => Ok(Answer::Unavailable),
            (status, code) => bail!("verify: {status} {code:?}"),
        }
    }

    /// Accepted calls of a key, as the usage report of the installation has them.
    ///
    /// # Errors
    /// No answer, or another one than expected.
    pub fn accepted(&self, base: &str, key: &str) -> Result<u64> {
        let url = format!("{base}/v1/workspaces/{WORKSPACE}/keys/{key}/usage");
        let answer = self.expect(200, "GET", &url, None)?;
        answer["accepted"].as_u64().context("a number of accepted calls")
    }
}
