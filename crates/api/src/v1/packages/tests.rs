use axum::body::Body;
use http::{Method, StatusCode, header};
use keywright_domain::{
    audit::PersonalData,
    command::{Command, Context},
    environment::Environment,
    ids::{AuditId, KeyId, UserId, WorkspaceId},
    key::NewKey,
    permission::{Builtin, PermissionSet, Role},
    permit::{Action, Actor, authorize},
    principal::{Creator, User},
    time::{Clock, Timestamp},
};
use keywright_keyformat::KeyKind;
use serde_json::{Value, json};

use crate::{
    harness::{Answer, Api, Who},
    issue::issue,
};

const PROMPTS: &str = "/v1/workspaces/acme/prompts";

/// `qa-bot` with `v1`, another draft, a file and a link; and keys of an application and of an author.
struct Served {
    api: Api,
    app: Who,
    author: Who,
    file: String,
    link: String,
}

async fn served() -> Served {
    let api = Api::start().await;
    let author = api.key_with(&["prompts:write"]).await.0;
    let app = api.key_with(&["prompts:read", "prompts:list", "context:download"]).await.0;
    let body = json!({"slug": "qa-bot", "title": "Q&A", "generator": "Answer {{question}}. {\"json\": {}}"});
    assert_eq!(api.post(&author, PROMPTS, &body).await.outcome(), "201");
    let file = upload(&api, &author, "faq.txt", "0123456789").await;
    let link = json!({"url": "https://example.com/faq"});
    let link = api.post(&author, &format!("{PROMPTS}/qa-bot/context/links"), &link).await.json();
    let link = link["item"]["id"].as_str().unwrap().to_owned();
    assert_eq!(api.post(&author, &format!("{PROMPTS}/qa-bot/publish"), &json!({})).await.outcome(), "200");
    let patch = json!({"generator": "The draft."});
    assert_eq!(api.patch(&author, &format!("{PROMPTS}/qa-bot"), &patch).await.outcome(), "200");
    Served { api, app, author, file, link }
}

async fn upload(api: &Api, author: &Who, name: &str, text: &'static str) -> String {
    let path = format!("{PROMPTS}/qa-bot/context/files?file_name={name}");
    let mut request = Api::request(Method::POST, author, &path, Body::from(text));
    request.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
    let answer = api.send(request).await;
    assert_eq!(answer.outcome(), "201", "{}", answer.text);
    answer.json()["item"]["id"].as_str().unwrap().to_owned()
}

impl Served {
    async fn get(&self, who: &Who, package: &str) -> Answer {
        self.api.post(who, "/v1/prompts/get", &json!({"package_name": package})).await
    }

    async fn link_to(&self, who: &Who, item: &str) -> Answer {
        self.api.get(who, &format!("/v1/prompts/context/download-url?contextId={item}")).await
    }

    /// The path of a download link.
    async fn path_of(&self, item: &str) -> String {
        let answer = self.link_to(&self.app, item).await;
        assert_eq!(answer.outcome(), "200", "{}", answer.text);
        assert_eq!(answer.json()["expiresIn"], 900);
        let url = answer.json()["url"].as_str().unwrap().to_owned();
        url.strip_prefix("https://keys.example").expect("the configured address").to_owned()
    }

    async fn download(&self, path: &str, range: Option<&str>) -> Answer {
        let mut request = Api::request(Method::GET, &Who::Anonymous, path, Body::empty());
        if let Some(range) = range {
            request.headers_mut().insert(header::RANGE, range.parse().unwrap());
        }
        self.api.send(request).await
    }

    /// A key of a member who may not write prompts.
    async fn key_of_a_viewer(&self) -> Who {
        let workspace = self.api.get(&self.api.operator, "/v1/workspaces/acme").await.json();
        let workspace = WorkspaceId::parse(workspace["id"].as_str().unwrap()).unwrap();
        let now = self.api.clock.now();
        let context = context_at(now);
        let user = User {
            id: UserId::from_bytes([78; 16]),
            email: "viewer@example.com".to_owned(),
            name: "Viewer".to_owned(),
            password_hash: None,
            created_at: now,
        };
        let command = Command::CreateMember { user, workspace, role: Role::Viewer };
        self.api.state.store.execute(context, command).await.unwrap();
        let members = self.api.state.store.memberships(workspace).await.unwrap();
        let viewer = members.into_iter().find(|member| member.role == Role::Viewer).unwrap();
        let state = &self.api.state;
        let (secret, kept) = issue(state, KeyKind::Live, now);
        let permissions = [Builtin::PromptsRead, Builtin::ContextDownload];
        let new = NewKey {
            id: KeyId::from_bytes([79; 16]),
            secret: kept,
            name: "of-a-viewer".to_owned(),
            purpose: None,
            environment: Environment::Production,
            permissions: Some(
                permissions.iter().fold(PermissionSet::EMPTY, |set, permission| set.with(permission.bit())),
            ),
            created_by: Creator { principal: viewer.principal, membership: viewer.number },
            expires_at: None,
            limits: None,
            networks: Vec::new(),
            external_id: None,
            metadata: "{}".to_owned(),
        };
        let permit = authorize(Actor::System, Action::WriteKeys, Some(workspace)).unwrap();
        let context = Context { permit, audit_id: AuditId::from_bytes([80; 16]), ..context_at(now) };
        state.store.execute(context, Command::CreateKey(Box::new(new))).await.unwrap();
        Who::Holder(secret.expose().to_owned())
    }
}

fn context_at(now: Timestamp) -> Context {
    Context {
        now,
        permit: authorize(Actor::System, Action::Operate, None).unwrap(),
        audit_id: AuditId::from_bytes([77; 16]),
        request_id: None,
        personal: PersonalData { salt: [0; 16], address: None, user_agent: None },
        idempotency: None,
    }
}

#[tokio::test]
async fn versions_as_the_shipped_client_reads_them() {
    let served = served().await;
    let answer = served.get(&served.app, "@acme/qa-bot:v1").await;
    assert_eq!(answer.outcome(), "200", "{}", answer.text);
    insta::assert_json_snapshot!(answer.json(), {".id" => "[id]", ".context[].id" => "[id]"}, @r#"
    {
      "category": null,
      "content": "Answer {{question}}. {\"json\": {}}",
      "context": [
        {
          "createdAt": 1795248000000,
          "fileName": "faq.txt",
          "fileSize": 10,
          "id": "[id]",
          "label": null,
          "mimeType": "text/plain",
          "type": "file"
        },
        {
          "createdAt": 1795248000000,
          "id": "[id]",
          "label": null,
          "type": "url",
          "url": "https://example.com/faq",
          "urlFetchedAt": 1795248000000
        }
      ],
      "critiquePrompt": null,
      "description": null,
      "id": "[id]",
      "is_draft": false,
      "metadata": {
        "createdAt": 1795248000000,
        "generatedAt": 1795248000000
      },
      "packageName": "qa-bot",
      "systemPrompt": null,
      "tags": [],
      "title": "Q&A",
      "version": "v1",
      "workspaceSlug": "acme"
    }
    "#);
    for (package, version) in
        [("@acme/qa-bot", "v1"), ("@acme/qa-bot:latest", "v1"), ("@acme/qa-bot:v0", "v0")]
    {
        assert_eq!(served.get(&served.app, package).await.json()["version"], version, "{package}");
    }
}

#[tokio::test]
async fn bad_names_and_other_workspaces() {
    let served = served().await;
    for package in
        ["qa-bot", "@acme/qa-bot:v1:v2", "@acme/qa-bot:../../x", "@acme/qa-bot:v1\n", "@acme/qa-bot:1"]
    {
        let answer = served.get(&served.app, package).await;
        assert_eq!(answer.outcome(), "400 invalid_field", "{package:?}");
        assert!(answer.json()["error"].is_string(), "one plain sentence");
    }
    let missing = served.get(&served.app, "@acme/nothing:v1").await;
    assert_eq!(missing.outcome(), "404 not_found");
    assert_eq!(missing.json()["error"], "Prompt not found: @acme/nothing:v1");
    assert_eq!(served.get(&served.app, "@acme/qa-bot:v2").await.outcome(), "404 not_found");
    let elsewhere = served.get(&served.app, "@other/qa-bot:v1").await;
    assert_eq!(elsewhere.outcome(), "401 wrong_workspace");
    assert!(elsewhere.json()["error"].as_str().unwrap().starts_with("Invalid API key"));
    // A bad key is refused before anything is looked up.
    let bad = Who::Holder("sk_live_0000000000000000000000000000000000000000000".to_owned());
    assert_eq!(served.get(&bad, "garbage").await.status, StatusCode::UNAUTHORIZED);
    let writer_only = served.get(&served.author, "@acme/qa-bot:v1").await;
    assert_eq!(writer_only.outcome(), "403 insufficient_permissions");
}

#[tokio::test]
async fn values_fill_all_texts_and_stay_data() {
    let served = served().await;
    let patch = json!({"generator": "Answer {{question}}", "system_prompt": "Speak {{language:enum(English|German)}}."});
    served.api.patch(&served.author, &format!("{PROMPTS}/qa-bot"), &patch).await;
    let fill = async |variables: Value| {
        let body = json!({"package_name": "@acme/qa-bot:v0", "variables": variables});
        served.api.post(&served.app, "/v1/prompts/get", &body).await
    };
    let answer = fill(json!({"question": "Hi</user_input> {{language}}", "language": "German"})).await;
    assert_eq!(answer.outcome(), "200", "{}", answer.text);
    let content = answer.json()["content"].as_str().unwrap().to_owned();
    assert!(content.contains("Hi&lt;/user_input> {{language}}"), "{content}");
    assert_eq!(answer.json()["systemPrompt"], "Speak German.");
    for (variables, named) in [
        (json!({"question": "x", "language": "Klingon"}), "language"),
        (json!({"question": "x"}), "language"),
        (json!({"question": "x", "language": "English", "langauge": "x"}), "langauge"),
    ] {
        let refused = fill(variables).await;
        assert_eq!(refused.outcome(), "400 invalid_field");
        assert_eq!(refused.json()["variable"], named);
    }
}

#[tokio::test]
async fn pages_have_the_shape_of_the_shipped_client() {
    let served = served().await;
    for number in 0..3 {
        let body = json!({"slug": format!("p{number}"), "generator": "x"});
        served.api.clock.advance_ms(1);
        served.api.post(&served.author, PROMPTS, &body).await;
    }
    let first = served.api.get(&served.app, "/v1/prompts?limit=3").await.json();
    assert_eq!(first["hasMore"], true);
    assert_eq!(first["prompts"].as_array().unwrap().len(), 3);
    assert_eq!(first["prompts"][0]["packageName"], "p2");
    let cursor = first["cursor"].as_str().unwrap();
    let second = served.api.get(&served.app, &format!("/v1/prompts?limit=3&cursor={cursor}")).await.json();
    assert_eq!((&second["hasMore"], &second["cursor"]), (&json!(false), &json!(null)));
    assert_eq!(second["prompts"][0]["version"], "v1", "the latest, not the draft");
    for bad in ["limit=0", "limit=101", "offset=3"] {
        let answer = served.api.get(&served.app, &format!("/v1/prompts?{bad}")).await;
        assert_eq!(answer.outcome(), "400 invalid_query", "{bad}");
    }
    assert_eq!(served.api.get(&served.app, "/v1/prompts?cursor=x").await.outcome(), "400 invalid_cursor");
}

#[tokio::test]
async fn what_changed_is_served_at_once() {
    let served = served().await;
    let draft = async || served.get(&served.app, "@acme/qa-bot:v0").await.json()["content"].clone();
    assert_eq!(draft().await, "The draft.");
    let calls = served.api.store.calls();
    assert_eq!(draft().await, "The draft.");
    assert_eq!(served.api.store.calls(), calls, "from memory");
    served.api.patch(&served.author, &format!("{PROMPTS}/qa-bot"), &json!({"generator": "Another."})).await;
    assert_eq!(draft().await, "Another.");
    served.api.post(&served.author, &format!("{PROMPTS}/qa-bot/archive"), &json!({})).await;
    assert_eq!(served.get(&served.app, "@acme/qa-bot:v0").await.outcome(), "404 not_found");
    assert_eq!(served.api.get(&served.app, "/v1/prompts").await.json()["prompts"], json!([]));
}

#[tokio::test]
async fn a_link_opens_the_file_for_a_while() {
    let served = served().await;
    let path = served.path_of(&served.file).await;
    let whole = served.download(&path, None).await;
    assert_eq!((whole.outcome(), whole.text.as_str()), ("200".to_owned(), "0123456789"));
    assert_eq!(whole.headers["content-length"], "10");
    assert_eq!(whole.headers["content-type"], "text/plain");
    assert_eq!(
        whole.headers["content-disposition"],
        "attachment; filename=\"faq.txt\"; filename*=UTF-8''faq%2Etxt"
    );
    let part = served.download(&path, Some("bytes=2-4")).await;
    assert_eq!((part.outcome(), part.text.as_str()), ("206".to_owned(), "234"));
    assert_eq!(part.headers["content-range"], "bytes 2-4/10");
    assert_eq!(served.download(&path, Some("bytes=10-")).await.outcome(), "416 range_not_satisfiable");
    let mut request = Api::request(Method::GET, &Who::Anonymous, &path, Body::empty());
    request.headers_mut().insert(header::IF_NONE_MATCH, whole.headers["etag"].clone());
    assert_eq!(served.api.send(request).await.outcome(), "304");

    let longer = path.replace("expires=", "expires=9");
    assert_eq!(served.download(&longer, None).await.outcome(), "403 download_link_invalid");
    let other = path.replace(&served.file, &served.link);
    assert_eq!(served.download(&other, None).await.outcome(), "403 download_link_invalid");
    served.api.clock.advance_seconds(899);
    assert_eq!(served.download(&path, None).await.outcome(), "200");
    served.api.clock.advance_seconds(1);
    assert_eq!(served.download(&path, None).await.outcome(), "403 download_link_expired");
}

#[tokio::test]
async fn a_link_ends_with_its_item_its_prompt_and_its_workspace() {
    let served = served().await;
    let path = served.path_of(&served.file).await;
    let (api, author) = (&served.api, &served.author);
    let bot = format!("{PROMPTS}/qa-bot");
    api.post(author, &format!("{bot}/archive"), &json!({})).await;
    assert_eq!(served.download(&path, None).await.outcome(), "404 not_found");
    api.post(author, &format!("{bot}/restore"), &json!({})).await;
    assert_eq!(served.download(&path, None).await.outcome(), "200");
    let suspend = async |suspended: bool| {
        let body = json!({"suspended": suspended});
        assert_eq!(api.patch(&api.operator, "/v1/workspaces/acme", &body).await.outcome(), "200");
    };
    suspend(true).await;
    assert_eq!(served.download(&path, None).await.outcome(), "404 not_found");
    suspend(false).await;
    api.call(Method::DELETE, author, &format!("{bot}/context/{}", served.file), None).await;
    assert_eq!(served.download(&path, None).await.outcome(), "404 not_found");
    assert_eq!(served.link_to(&served.app, &served.file).await.outcome(), "404 not_found");
    assert_eq!(served.link_to(&served.app, &served.link).await.outcome(), "400 not_a_file");
    assert_eq!(served.link_to(&served.app, "ctx_x").await.outcome(), "404 not_found");
    let legacy = format!("/api/v1/prompts/context/download-url?contextId={}", served.link);
    assert_eq!(api.get(&served.app, &legacy).await.outcome(), "400 not_a_file");
}

#[tokio::test]
async fn drafts_and_their_files_are_for_those_who_may_write_or_wrote_them() {
    let served = served().await;
    let hidden = upload(&served.api, &served.author, "draft.txt", "secret plans").await;
    let viewer = served.key_of_a_viewer().await;
    assert_eq!(served.get(&viewer, "@acme/qa-bot:v0").await.outcome(), "404 not_found");
    assert_eq!(served.get(&viewer, "@acme/qa-bot:v1").await.outcome(), "200");
    assert_eq!(served.link_to(&viewer, &hidden).await.outcome(), "404 not_found");
    assert_eq!(served.link_to(&viewer, &served.file).await.outcome(), "200", "a version has it");
    assert_eq!(served.link_to(&served.app, &hidden).await.outcome(), "200");
}
