mod prompts;

use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::json;

use super::*;
use crate::{
    front::Front,
    harness::{Api, Who},
    state::AppState,
};

const UNKNOWN: &str = "sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH";

fn peer() -> SocketAddr {
    ([192, 0, 2, 7], 4_711).into()
}

fn quick(state: &AppState, input: &str) -> (Quick, String) {
    let mut output = String::new();
    let quick = answer(state, input.as_bytes(), 100, peer(), &mut output);
    assert!(output.is_empty() || matches!(quick, Quick::Answered(_)), "{input}");
    (quick, output)
}

fn check(credential: &str) -> String {
    format!("GET /v1/check HTTP/1.1\r\nHost: a\r\n{credential}\r\n\r\n")
}

fn verify(credential: &str, body: &str) -> String {
    format!(
        "POST /v1/keys/verify HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/8.5.0\r\nContent-Type: application/json\r\n\
         {credential}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn secret(who: &Who) -> &str {
    let Who::Holder(secret) = who else { panic!("a credential") };
    secret
}

/// The request as the full server would hand it to the front.
fn parsed(text: &str) -> Request<Full<bytes::Bytes>> {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap().split(' ');
    let mut request = Request::builder()
        .method(Method::from_bytes(words.next().unwrap().as_bytes()).unwrap())
        .uri(words.next().unwrap());
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        request = request.header(name, value.trim());
    }
    request.body(Full::new(bytes::Bytes::copy_from_slice(body.as_bytes()))).unwrap()
}

/// Status, header lines without those that the full server adds itself, and body; request ids masked.
async fn full(api: &Api, text: &str) -> (u16, Vec<String>, String) {
    let front = Front::new(api.state.clone(), axum::Router::new());
    let response = front.call(parsed(text), peer()).await;
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    masked(status, headers, &String::from_utf8_lossy(&body))
}

fn split(answer: &str) -> (u16, Vec<String>, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    assert!(lines.pop().unwrap().starts_with("date: "), "{answer}");
    let length = lines.iter().position(|line| line.starts_with("content-length: "));
    match length.map(|position| lines.remove(position)) {
        Some(length) => assert_eq!(length, format!("content-length: {}", body.len())),
        None => assert_eq!((status, body), (204, "")),
    }
    masked(status, lines, body)
}

fn masked(status: u16, mut headers: Vec<String>, body: &str) -> (u16, Vec<String>, String) {
    let mask = |text: &str| {
        let mut text = text.to_owned();
        let mut from = 0;
        while let Some(at) = text[from..].find("req_") {
            from += at + 4;
            text.replace_range(from..from + 26, "…");
        }
        text
    };
    headers.sort();
    (status, headers.iter().map(|header| mask(header)).collect(), mask(body))
}

#[tokio::test]
async fn says_what_the_full_way_says() {
    let api = Api::start().await;
    let owner = api.owner_key().await;
    let (reader, _) = api.key_with(&["prompts:read"]).await;
    let (owner, reader) = (secret(&owner), secret(&reader));
    let bearer = |secret: &str| format!("authorization: Bearer {secret}");
    let asked = |secret: &str| json!({"key": secret, "cost": 0}).to_string();
    let both = format!("X-API-Key: {reader}\r\nAuthorization: Bearer {owner}");
    let texts = [
        check(&format!("{}\r\nuser-agent: curl/8\r\naccept: */*\r\nconnection: Keep-Alive", bearer(reader))),
        check(&format!("X-API-Key: {reader}")),
        check(&both),
        check(&bearer(UNKNOWN)),
        check(&bearer(&reader[..49])),
        check("accept: */*"),
        check(&bearer(reader)).replace("check ", "check?cost=0&permissions=prompts:read&route=GET%20/x "),
        check(&bearer(reader)).replace("check ", "check?permissions=keys:write&mode=live "),
        check(&bearer(reader)).replace("check ", "check?mode=test "),
        check(&bearer(reader)).replace("check ", "check?nonsense=1 "),
        check("accept: */*").replace("check ", &format!("check?api_key={reader} ")),
        verify(&bearer(owner), &asked(reader)),
        verify(&bearer(owner), &asked(UNKNOWN)),
        verify(&bearer(owner), &asked("sk_live_x")),
        verify(
            &bearer(owner),
            &json!({"key": reader, "permissions": ["keys:write"], "explain": true}).to_string(),
        ),
        verify(&bearer(owner), &json!({"key": reader, "permissions": ["no:such"]}).to_string()),
        verify(&bearer(owner), "{\"key\": 1}"),
        verify(&bearer(owner), "{"),
        verify(&bearer(owner), &json!([reader]).to_string()),
        verify(&bearer(owner), &json!({"key": reader, "cost": 2_000_000}).to_string()),
        verify(&bearer(reader), &asked(reader)),
        verify(&bearer(UNKNOWN), &asked(reader)),
        verify("accept: */*", &asked(reader)),
    ];
    // Costs nothing, so that both ways see the same.
    for text in texts.map(|text| text.replace("v1/check ", "v1/check?cost=0 ")) {
        let (quick, answer) = quick(&api.state, &text);
        let Quick::Answered(answered) = quick else { panic!("{quick:?} for {text}") };
        assert_eq!(answered.input_bytes, text.len());
        let said = split(&answer);
        assert_eq!(said.0, answered.status.as_u16());
        assert_eq!(said, full(&api, &text).await, "{text}");
    }
}

#[tokio::test]
async fn waits_for_what_is_missing_and_takes_no_more_than_the_first() {
    let api = Api::start().await;
    let (reader, _) = api.key_with(&["prompts:read"]).await;
    let credential = format!("authorization: Bearer {}", secret(&reader));
    let body = json!({"key": secret(&reader)}).to_string();
    for text in [check(&credential), verify(&credential, &body)] {
        let head = text.find("\r\n\r\n").unwrap() + 4;
        for end in 0..text.len() {
            let expected = if end < head { Quick::HeadMissing } else { Quick::BodyMissing };
            assert_eq!(quick(&api.state, &text[..end]).0, expected, "{end} of {text}");
        }
        let (answered, _) = quick(&api.state, &format!("{text}{text}"));
        assert!(
            matches!(answered, Quick::Answered(Answered { input_bytes, .. }) if input_bytes == text.len())
        );
    }
}

#[tokio::test]
async fn leaves_what_is_not_plain() {
    let api = Api::start().await;
    let (reader, _) = api.key_with(&["prompts:read"]).await;
    let credential = format!("authorization: Bearer {}", secret(&reader));
    let body = json!({"key": secret(&reader)}).to_string();
    let line = |line: &str| check(&format!("{credential}\r\n{line}"));
    let (check, verify) = (check(&credential), verify(&credential, &body));
    let texts = [
        line("Transfer-Encoding: chunked"),
        line("Content-Length: 0"),
        line("Content-Length: 5"),
        line("Connection: close"),
        line("Connection: keep-alive, upgrade"),
        line("Upgrade: h2c"),
        line("Expect: 100-continue"),
        line("TE: trailers"),
        line("X-API-Key: a\r\nX-API-Key: a"),
        line(&credential),
        line("bad name: x"),
        line(" folded"),
        (0..60).fold(check.clone(), |text, _| text.replacen("\r\n\r\n", "\r\nx: y\r\n\r\n", 1)),
        check.replace("HTTP/1.1", "HTTP/1.0"),
        check.replace("GET", "HEAD"),
        check.replace("/v1/check", "/v1/checks"),
        check.replace("/v1/check", "/v1/check/"),
        check.replace("/v1/check", "/v1/check#a"),
        check.replace("/v1/check", "/v1/check?a=<"),
        check.replace("/v1/check", "http://a/v1/check"),
        verify.replace("/verify", "/verify?x=1"),
        verify.replace("Content-Length: ", "Content-Length: +"),
        verify.replace("Content-Length: ", "Content-Length: 1\r\nContent-Length: "),
        verify.replace("Content-Length: ", "Content-Length: 9000\r\nX: "),
        verify.replace("Content-Length: ", "Content-Length: 0\r\nX: "),
        verify.replace("Content-Length: ", "X: "),
        verify.replace("application/json", "text/plain"),
        verify.replace("application/json", "application/json; charset=latin1"),
        verify.replace("Content-Type", "Content-Encoding: gzip\r\nContent-Type"),
        verify.replace("Content-Length", "Transfer-Encoding: chunked\r\nContent-Length"),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "\r\n".to_owned() + &check,
    ];
    for text in texts {
        assert_eq!(quick(&api.state, &text).0, Quick::Other, "{text}");
    }
    let mut output = String::new();
    let too_many = answer(&api.state, check.as_bytes(), 1, peer(), &mut output);
    assert_eq!(too_many, Quick::Other, "more header lines than the full server takes");
}

#[tokio::test]
async fn a_trusted_proxy_tells_the_address() {
    let mut api = Api::start().await;
    let body =
        json!({"name": "bound-to-one-net", "environment": "production", "allowed_ips": ["198.51.100.0/24"]});
    let created = api.post(&api.operator, "/v1/workspaces/acme/keys", &body).await;
    let created = created.json();
    let text = check(&format!(
        "{}: Bearer {}\r\nX-Forwarded-For: 203.0.113.1\r\nX-Forwarded-For: 198.51.100.9",
        header::AUTHORIZATION,
        created["secret"].as_str().unwrap()
    ));
    assert!(quick(&api.state, &text).1.starts_with("HTTP/1.1 403"), "{}", quick(&api.state, &text).1);
    let proxies = crate::client_address::TrustedProxies::new(
        ["192.0.2.0/24".parse().unwrap()],
        crate::client_address::ForwardingHeader::XForwardedFor,
    );
    let mut config = crate::ApiConfig::clone(&api.state.config);
    config.trusted_proxies = proxies;
    api.state.config = std::sync::Arc::new(config);
    assert!(quick(&api.state, &text).1.starts_with("HTTP/1.1 204"), "{}", quick(&api.state, &text).1);
}

#[tokio::test]
async fn leaves_what_memory_cannot_answer() {
    let api = Api::start().await;
    let owner = api.owner_key().await;
    let credential = format!("authorization: Bearer {}", secret(&owner));
    let texts = [check(&credential), verify(&credential, &json!({"key": secret(&owner)}).to_string())];
    let engine = api.state.plane.engine();
    engine.drop_leases();
    api.cluster.lose_the_store();
    for text in &texts {
        assert_eq!(quick(&api.state, text).0, Quick::Other, "{text}");
        assert_eq!(full(&api, text).await.0, 503, "{text}");
    }
    let unavailable = keywright_domain::verdict::Code::Unavailable;
    assert_eq!(api.state.verdicts.of(unavailable), 1, "counted by the one that answers");
}

/// A pool that grants what is needed, and no more.
struct Generous;

#[async_trait::async_trait]
impl keywright_domain::pool::LimitPool for Generous {
    async fn draw(
        &self,
        draws: Vec<keywright_domain::pool::Draw>,
    ) -> Result<keywright_domain::pool::Drawn, keywright_domain::store::StoreError> {
        let grant = |draw: &keywright_domain::pool::Draw| keywright_domain::pool::Grant {
            granted: draw.needed,
            valid_for_ms: 1_000,
            ..Default::default()
        };
        Ok(keywright_domain::pool::Drawn { grants: draws.iter().map(grant).collect(), now_ms: 0 })
    }

    async fn give_back(
        &self,
        _units: Vec<keywright_domain::pool::Return>,
    ) -> Result<(), keywright_domain::store::StoreError> {
        Ok(())
    }

    async fn prune(&self) -> Result<(), keywright_domain::store::StoreError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_call_that_needs_a_share_is_put_off_and_then_answered_the_same_way() {
    let api = Api::sharing(std::sync::Arc::new(Generous)).await;
    let owner = api.owner_key().await;
    let credential = format!("authorization: Bearer {}", secret(&owner));
    let valid = keywright_domain::verdict::Code::Valid;
    let before = api.state.verdicts.of(valid);
    for text in [check(&credential), verify(&credential, &json!({"key": secret(&owner)}).to_string())] {
        assert_eq!(quick(&api.state, &text).0, Quick::Later, "{text}");
        let mut output = String::new();
        let input = text.clone() + "GET";
        let answered = answer_patiently(&api.state, input.as_bytes(), 100, peer(), &mut output).await;
        let Quick::Answered(answered) = answered else { panic!("{answered:?}") };
        assert_eq!((answered.input_bytes, answered.status.is_success()), (text.len(), true), "{output}");
        split(&output);
    }
    assert_eq!(api.state.verdicts.of(valid), before + 2, "each call is counted once");
}
