//! Prompts and credits for tests.

use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::Api;

const PROMPTS: &str = "/v1/workspaces/acme/prompts";

impl Api {
    /// A prompt of `acme` with a published version, another draft and a file; the file's id.
    pub(crate) async fn published_prompt(&self, slug: &str) -> String {
        self.made(PROMPTS, &json!({"slug": slug, "generator": "x"})).await;
        let file = format!("{PROMPTS}/{slug}/context/files?file_name=a.json");
        let item = self.made(&file, &json!({"a": "file"})).await["item"]["id"].as_str().unwrap().to_owned();
        self.made(&format!("{PROMPTS}/{slug}/publish"), &json!({})).await;
        let draft = json!({"title": "Draft"});
        let patched = self.patch(&self.operator, &format!("{PROMPTS}/{slug}"), &draft).await;
        assert_eq!(patched.status, StatusCode::OK, "{}", patched.text);
        item
    }

    /// A reservation of one of the thousand credits that `cust_42` gets; its id.
    pub(crate) async fn reservation(&self) -> String {
        let credits = "/v1/workspaces/acme/credits";
        let grant = json!({"external_id": "cust_42", "amount": 1_000});
        self.made(&format!("{credits}/grant"), &grant).await;
        let reserve = json!({"external_id": "cust_42", "amount": 1});
        let made = self.made(&format!("{credits}/reserve"), &reserve).await;
        made["reservation"]["id"].as_str().unwrap().to_owned()
    }

    async fn made(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(&self.operator, path, body).await;
        assert!(answer.status.is_success(), "{}", answer.text);
        answer.json()
    }
}
