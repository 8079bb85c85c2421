use axum::body::Body;
use http::{Method, header};
use serde_json::{Value, json};

use crate::{
    caps::UPLOADS_MAX,
    harness::{Answer, Api, Who},
};

const PROMPTS: &str = "/v1/workspaces/acme/prompts";
const BOT: &str = "/v1/workspaces/acme/prompts/qa-bot";

async fn with_bot() -> (Api, Who) {
    let api = Api::start().await;
    let author = api.key_with(&["prompts:write"]).await.0;
    let body = json!({
        "slug": "qa-bot", "title": "Q&A", "category": "support", "tags": ["faq"],
        "generator": "Answer {{question:string // what the user asks}}.\n{\"json\": {}}",
    });
    let answer = api.post(&author, PROMPTS, &body).await;
    assert_eq!(answer.outcome(), "201", "{}", answer.text);
    (api, author)
}

async fn upload(api: &Api, who: &Who, query: &str, mime_type: &str, bytes: Vec<u8>) -> Answer {
    let path = format!("{BOT}/context/files?{query}");
    let mut request = Api::request(Method::POST, who, &path, Body::from(bytes));
    request.headers_mut().insert(header::CONTENT_TYPE, mime_type.parse().unwrap());
    api.send(request).await
}

async fn with_header(
    api: &Api,
    method: Method,
    who: &Who,
    path: &str,
    name: &'static str,
    value: &str,
) -> Answer {
    let mut request = Api::request(method, who, path, Body::from(r#"{"title": "New"}"#));
    request.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    request.headers_mut().insert(name, value.parse().unwrap());
    api.send(request).await
}

#[tokio::test]
async fn a_draft_shows_its_variables() {
    let (api, author) = with_bot().await;
    let answer = api.get(&author, BOT).await;
    assert_eq!(answer.headers["etag"], "\"1\"");
    insta::assert_json_snapshot!(answer.json(), {".id" => "[id]", ".created_by.id" => "[id]"}, @r#"
    {
      "archived_at": null,
      "context": [],
      "created_at": "2026-11-21T08:00:00.000Z",
      "created_by": {
        "id": "[id]",
        "type": "operator"
      },
      "draft": {
        "category": "support",
        "critique_prompt": null,
        "description": null,
        "generator": "Answer {{question:string // what the user asks}}.\n{\"json\": {}}",
        "system_prompt": null,
        "tags": [
          "faq"
        ],
        "title": "Q&A",
        "variables": [
          {
            "description": "what the user asks",
            "name": "question",
            "type": "string"
          }
        ]
      },
      "id": "[id]",
      "latest": null,
      "package": "@acme/qa-bot",
      "revision": 1,
      "slug": "qa-bot",
      "updated_at": "2026-11-21T08:00:00.000Z",
      "versions": 0,
      "workspace": "acme"
    }
    "#);
}

#[tokio::test]
async fn only_what_was_read_is_changed() {
    let (api, author) = with_bot().await;
    let changed = with_header(&api, Method::PATCH, &author, BOT, "if-match", "\"1\"").await;
    assert_eq!(changed.outcome(), "200", "{}", changed.text);
    assert_eq!(changed.json()["prompt"]["revision"], 2);
    let stale = with_header(&api, Method::PATCH, &author, BOT, "if-match", "\"1\"").await;
    assert_eq!((stale.outcome(), &stale.json()["revision"]), ("412 revision_mismatch".to_owned(), &json!(2)));
    let garbage = with_header(&api, Method::PATCH, &author, BOT, "if-match", "2").await;
    assert_eq!(garbage.outcome(), "400 invalid_field");
    let any = with_header(&api, Method::PATCH, &author, BOT, "if-match", "*").await;
    assert_eq!(any.outcome(), "200");
}

#[tokio::test]
async fn absent_leaves_null_clears_a_value_sets() {
    let (api, author) = with_bot().await;
    let patch = json!({"category": null, "system_prompt": "Be short.", "tags": null});
    let draft = api.patch(&author, BOT, &patch).await.json()["prompt"]["draft"].clone();
    assert_eq!(
        [&draft["title"], &draft["category"], &draft["system_prompt"], &draft["tags"]],
        [&json!("Q&A"), &json!(null), &json!("Be short."), &json!([])]
    );
    for bad in [json!({"title": null}), json!({"slug": "other"}), json!({"tags": "x"}), json!({"title": ""})]
    {
        let answer = api.patch(&author, BOT, &bad).await;
        assert!(answer.status.is_client_error(), "{bad}: {}", answer.text);
    }
    assert_eq!(api.get(&author, BOT).await.json()["revision"], 2);
}

#[tokio::test]
async fn variables_that_no_value_fits_are_refused() {
    let (api, author) = with_bot().await;
    for generator in ["{{x:colour}}", "{{x:number}} {{x:string}}"] {
        let answer = api.patch(&author, BOT, &json!({"generator": generator})).await;
        assert_eq!(
            (answer.outcome(), &answer.json()["field"]),
            ("400 invalid_field".to_owned(), &json!("generator"))
        );
    }
    let two_texts = api.patch(&author, BOT, &json!({"system_prompt": "{{question:number}}"})).await;
    assert_eq!(two_texts.json()["field"], "system_prompt", "the generator has it as a string");
}

#[tokio::test]
async fn publish_archive_restore_and_compare() {
    let (api, author) = with_bot().await;
    let publish = format!("{BOT}/publish");
    let first = api.post(&author, &publish, &json!({})).await;
    assert_eq!((first.outcome(), &first.json()["version"]["version"]), ("200".to_owned(), &json!("v1")));
    assert_eq!(api.post(&author, &publish, &json!({})).await.outcome(), "409 nothing_to_publish");
    api.patch(&author, BOT, &json!({"generator": "Answer {{question}}.\nShortly."})).await;
    let second = api.post(&author, &publish, &json!({})).await.json();
    assert_eq!(second["prompt"]["latest"], "v2");

    let diff = api.get(&author, &format!("{BOT}/diff?from=v1&to=v2")).await;
    assert_eq!(
        diff.json()["fields"],
        json!([{"field": "generator", "lines": [
            {"change": "removed", "text": "Answer {{question:string // what the user asks}}."},
            {"change": "removed", "text": "{\"json\": {}}"},
            {"change": "added", "text": "Answer {{question}}."},
            {"change": "added", "text": "Shortly."},
        ]}])
    );
    assert_eq!(api.get(&author, &format!("{BOT}/diff?from=draft")).await.outcome(), "400 invalid_query");
    assert_eq!(api.get(&author, &format!("{BOT}/diff?from=v3")).await.outcome(), "404 not_found");

    let archived = api.post(&author, &format!("{BOT}/versions/v2/archive"), &json!({})).await;
    assert_eq!((archived.outcome(), &archived.json()["prompt"]["latest"]), ("200".to_owned(), &json!("v1")));
    assert!(archived.json()["effective"]["nodes"] == 1, "with a receipt");
    let versions = api.get(&author, &format!("{BOT}/versions?limit=1")).await.json();
    assert_eq!((&versions["data"][0]["version"], &versions["has_more"]), (&json!("v2"), &json!(true)));
    let cursor = versions["cursor"].as_str().unwrap();
    let rest = api.get(&author, &format!("{BOT}/versions?limit=1&cursor={cursor}")).await.json();
    assert_eq!((&rest["data"][0]["version"], &rest["has_more"]), (&json!("v1"), &json!(false)));
    let latest = api.get(&author, &format!("{BOT}/versions/latest")).await.json();
    assert_eq!(latest["version"], "v1");
    assert_eq!(api.get(&author, &format!("{BOT}/versions/v0")).await.outcome(), "404 not_found");
    let restored = api.post(&author, &format!("{BOT}/versions/v2/restore"), &json!({})).await.json();
    assert_eq!(restored["prompt"]["latest"], "v2");

    assert_eq!(api.post(&author, &format!("{BOT}/archive"), &json!({})).await.outcome(), "200");
    assert_eq!(api.patch(&author, BOT, &json!({"title": "x"})).await.outcome(), "409 prompt_archived");
    let list =
        async |query: &str| api.get(&author, &format!("{PROMPTS}?{query}")).await.json()["data"].clone();
    assert_eq!(list("archived=false").await, json!([]));
    assert_eq!(list("archived=true&category=support&tag=faq&search=QA").await[0]["slug"], "qa-bot");
    assert_eq!(api.post(&author, &format!("{BOT}/restore"), &json!({})).await.outcome(), "200");
    let deleted = api.call(Method::DELETE, &author, BOT, None).await;
    assert_eq!(
        (deleted.outcome(), api.get(&author, BOT).await.outcome()),
        ("204".to_owned(), "404 not_found".to_owned())
    );
}

#[tokio::test]
async fn a_prompt_without_text_is_not_published() {
    let api = Api::start().await;
    let author = api.key_with(&["prompts:write"]).await.0;
    assert_eq!(api.post(&author, PROMPTS, &json!({"slug": "empty"})).await.outcome(), "201");
    let answer = api.post(&author, &format!("{PROMPTS}/empty/publish"), &json!({})).await;
    assert_eq!(
        (answer.outcome(), &answer.json()["field"]),
        ("400 invalid_field".to_owned(), &json!("generator"))
    );
}

#[tokio::test]
async fn bodies_and_slugs_have_limits_on_both_sides() {
    let api = Api::start().await;
    let author = api.key_with(&["prompts:write"]).await.0;
    let create = async |slug: &str, generator: usize| {
        let body = json!({"slug": slug, "generator": "\"".repeat(generator), "system_prompt": "\"".repeat(generator)});
        api.post(&author, PROMPTS, &body).await.outcome()
    };
    // Quotes take two bytes in JSON: the body is larger than others may be.
    assert_eq!(create("largest", 65_536).await, "201");
    assert_eq!(create("too-large", 65_537).await, "400 invalid_field");
    assert_eq!(create("huge", 200_000).await, "413 body_too_large");
    assert_eq!(create(&"x".repeat(64), 1).await, "201");
    assert_eq!(create(&"x".repeat(65), 1).await, "400 invalid_field");
    assert_eq!(create("", 1).await, "400 invalid_field");
    assert_eq!(create("largest", 1).await, "409 already_exists");
}

#[tokio::test]
async fn repeats_have_no_second_effect() {
    let (api, author) = with_bot().await;
    let body = json!({"slug": "once"});
    assert_eq!(api.post_once(&author, PROMPTS, "k1", &body).await.outcome(), "201");
    assert_eq!(api.post_once(&author, PROMPTS, "k1", &body).await.outcome(), "409 already_applied");
    assert_eq!(
        api.post_once(&author, PROMPTS, "k1", &json!({"slug": "x"})).await.outcome(),
        "422 idempotency_mismatch"
    );
    let file = async |query: &str| {
        let path = format!("{BOT}/context/files?{query}");
        let mut request = Api::request(Method::POST, &author, &path, Body::from("text"));
        request.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
        request.headers_mut().insert("idempotency-key", "k2".parse().unwrap());
        api.send(request).await.outcome()
    };
    assert_eq!(file("file_name=a.txt").await, "201");
    assert_eq!(file("file_name=a.txt").await, "409 already_applied");
    assert_eq!(file("file_name=b.txt").await, "422 idempotency_mismatch", "another name is another file");
}

#[tokio::test]
async fn files_and_links() {
    let (api, author) = with_bot().await;
    let added =
        upload(&api, &author, "file_name=faq.md&label=FAQ", "text/markdown; charset=utf-8", b"# FAQ".into())
            .await;
    assert_eq!(added.outcome(), "201", "{}", added.text);
    let item = added.json()["item"].clone();
    assert_eq!(
        [&item["type"], &item["file_name"], &item["mime_type"], &item["size"], &item["label"]],
        [&json!("file"), &json!("faq.md"), &json!("text/markdown"), &json!(5), &json!("FAQ")]
    );
    assert_eq!(item["sha256"], "3a80b1c867cf3794e677302468fa61b4fc77d3730927bbe97d66caaee7c61f98");
    let link = json!({"url": "https://example.com/faq"});
    assert_eq!(api.post(&author, &format!("{BOT}/context/links"), &link).await.outcome(), "201");
    for url in
        ["http://169.254.169.254/", "http://localhost/", "ftp://example.com/", "https://a:b@example.com/"]
    {
        let refused = api.post(&author, &format!("{BOT}/context/links"), &json!({"url": url})).await;
        assert_eq!(
            (refused.outcome(), &refused.json()["field"]),
            ("400 invalid_field".to_owned(), &json!("url")),
            "{url}"
        );
    }
    let items = api.get(&author, &format!("{BOT}/context")).await.json();
    assert_eq!(items["data"].as_array().unwrap().len(), 2);
    let id = item["id"].as_str().unwrap();
    let gone = api.call(Method::DELETE, &author, &format!("{BOT}/context/{id}"), None).await;
    assert_eq!(gone.outcome(), "204");
    let again = api.call(Method::DELETE, &author, &format!("{BOT}/context/{id}"), None).await;
    assert_eq!(again.outcome(), "404 not_found");
}

#[tokio::test]
async fn files_have_limits_on_both_sides() {
    let (api, author) = with_bot().await;
    let largest = 8 * 1_024 * 1_024;
    let send = async |query: &str, kind: &str, bytes: usize| {
        upload(&api, &author, query, kind, vec![b'x'; bytes]).await.outcome()
    };
    assert_eq!(send("file_name=a.txt", "text/plain", largest).await, "201");
    assert_eq!(send("file_name=a.txt", "text/plain", largest + 1).await, "413 body_too_large");
    assert_eq!(send("file_name=a.txt", "text/plain", 0).await, "201");
    assert_eq!(send("file_name=a.exe", "application/x-msdownload", 1).await, "415 unsupported_media_type");
    assert_eq!(send("file_name=..%2Fa.txt", "text/plain", 1).await, "400 invalid_field");
    assert_eq!(send("label=x", "text/plain", 1).await, "400 invalid_query");
    let places =
        api.state.uploads.clone().acquire_many_owned(u32::try_from(UPLOADS_MAX).unwrap()).await.unwrap();
    assert_eq!(send("file_name=a.txt", "text/plain", 1).await, "503 unavailable");
    drop(places);
    assert_eq!(send("file_name=a.txt", "text/plain", 1).await, "201");
}

#[tokio::test]
async fn nobody_writes_prompts_of_another_workspace() {
    let (api, author) = with_bot().await;
    api.post(&api.operator, "/v1/workspaces", &json!({"slug": "other"})).await;
    let elsewhere = "/v1/workspaces/other/prompts";
    assert_eq!(api.post(&author, elsewhere, &json!({"slug": "x"})).await.outcome(), "404 not_found");
    let reader = api.key_with(&["prompts:read", "prompts:list"]).await.0;
    let refused = api.get(&reader, PROMPTS).await;
    assert_eq!(refused.outcome(), "403 insufficient_permissions");
    let missing: Value = refused.json()["missing_permissions"].clone();
    assert_eq!(missing, json!(["prompts:write"]));
}
