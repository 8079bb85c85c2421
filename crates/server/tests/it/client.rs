//! A client of the HTTP interface.

use serde_json::{Value, json};
use ureq::Agent;

/// Speaks JSON with one credential.
#[derive(Clone)]
pub(crate) struct Client {
    agent: Agent,
    url: String,
    credential: String,
    header: Option<(&'static str, &'static str)>,
}

impl Client {
    pub(crate) fn new(url: String, credential: String) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Longer than a call waits for other nodes by default.
            .timeout_global(Some(2 * crate::process::SOON))
            .build();
        Self { agent: config.into(), url, credential, header: None }
    }

    /// The same with one more header line in each request.
    pub(crate) fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }

    /// The answer's status and text, or why there is none.
    pub(crate) fn try_get(&self, path: &str) -> Result<(u16, String), ureq::Error> {
        let request = self.agent.get(format!("{}{path}", self.url));
        let mut answer = self.authorize(request).call()?;
        Ok((answer.status().as_u16(), answer.body_mut().read_to_string()?))
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        let (status, text) = self.try_get(path).unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub(crate) fn get_text(&self, path: &str) -> String {
        let (status, text) = self.try_get(path).unwrap();
        assert_eq!(status, 200, "{path}: {text}");
        text
    }

    pub(crate) fn try_post(&self, path: &str, body: &Value) -> Result<(u16, Value), ureq::Error> {
        let request = self.agent.post(format!("{}{path}", self.url)).content_type("application/json");
        let mut answer = self.authorize(request).send(body.to_string())?;
        let text = answer.body_mut().read_to_string()?;
        Ok((answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    pub(crate) fn try_patch(&self, path: &str, body: &Value) -> Result<(u16, Value), ureq::Error> {
        let request = self.agent.patch(format!("{}{path}", self.url)).content_type("application/json");
        let mut answer = self.authorize(request).send(body.to_string())?;
        let text = answer.body_mut().read_to_string()?;
        Ok((answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    /// Posts and expects `status`.
    pub(crate) fn post(&self, path: &str, body: &Value, status: u16) -> Value {
        let (found, answer) = self.try_post(path, body).unwrap();
        assert_eq!(found, status, "POST {path}: {answer}");
        answer
    }

    /// The verdict's code for a secret.
    pub(crate) fn verify(&self, secret: &str) -> String {
        let answer = self.post("/v1/keys/verify", &json!({"key": secret}), 200);
        answer["code"].as_str().unwrap().to_owned()
    }

    pub(crate) fn delete(&self, path: &str) -> u16 {
        let request = self.agent.delete(format!("{}{path}", self.url));
        let request = request.header("Authorization", format!("Bearer {}", self.credential));
        request.call().unwrap().status().as_u16()
    }

    /// Creates a key in `acme`; its id and secret.
    pub(crate) fn create(&self, name: &str) -> (String, String) {
        let body = json!({"name": name, "environment": "production"});
        created(&self.post("/v1/workspaces/acme/keys", &body, 201))
    }

    fn authorize<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        let request = match self.header {
            Some((name, value)) => request.header(name, value),
            None => request,
        };
        if self.credential.is_empty() {
            return request;
        }
        request.header("Authorization", format!("Bearer {}", self.credential))
    }
}

/// Id and secret of a creation's answer.
pub(crate) fn created(answer: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&answer["key"]["id"]), text(&answer["secret"]))
}
