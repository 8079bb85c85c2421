//! Talking to a server: where it is, with which credential, and what its refusals mean.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use keywright_domain::entropy::random_bytes;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;
use ureq::{
    Agent,
    http::{self, Method},
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};
use zeroize::Zeroizing;

use super::{
    console::Console,
    follow::{Follow, WAIT_SECONDS},
    problem,
};
use crate::{
    failure::{Exit, Failure},
    system::SystemEntropy,
};

/// Most bytes of a credential file.
const CREDENTIAL_MAX_BYTES: u64 = 4_096;
/// Most bytes of an answer.
const ANSWER_MAX_BYTES: u64 = 256 << 20;
/// How long a stream may be silent.
const STREAM_SILENCE: Duration = Duration::from_secs(60);
/// Attempts of a request that changes nothing.
const READ_ATTEMPTS: u32 = 3;
/// Pause before the second attempt; doubles after that.
const RETRY_PAUSE_MS: u64 = 200;
/// What to do when something strange answers.
const CHECK_ADDRESS: &str = "Check the address (--url or KEYWRIGHT_URL): something else may listen there.";
/// What is escaped in one segment of a path.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'\\')
    .add(b'^')
    .add(b'|')
    .add(b'[')
    .add(b']')
    .add(b'&')
    .add(b'=')
    .add(b'+');

/// Where the server is, and who is asking.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// Address of the server
    #[arg(
        long,
        global = true,
        env = "KEYWRIGHT_URL",
        hide_env_values = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    url: String,
    /// File that holds the credential, or - for standard input; without it, the variable `KEYWRIGHT_API_KEY`
    #[arg(
        long,
        global = true,
        env = "KEYWRIGHT_API_KEY_FILE",
        hide_env_values = true,
        value_name = "FILE|-"
    )]
    api_key_file: Option<PathBuf>,
    /// Refused: arguments are seen by other users of the machine and kept in the shell's history
    #[arg(long, global = true, hide = true, num_args = 0..=1, default_missing_value = "", value_parser = forget)]
    api_key: Option<Forgotten>,
    /// Certificates to trust instead of the public authorities, in PEM
    #[arg(long, global = true, env = "KEYWRIGHT_CA_FILE", hide_env_values = true, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Seconds until a request is given up
    #[arg(long, global = true, env = "KEYWRIGHT_TIMEOUT", hide_env_values = true, value_name = "SECONDS", default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(1..=3_600))]
    timeout: u64,
    /// Do not wait until a change that takes something away is in force on every node: tell how far it is
    #[arg(long, global = true)]
    no_wait: bool,
    /// Print the server's answer as JSON
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,
}

/// A workspace to act on.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct InWorkspace {
    /// Slug of the workspace
    #[arg(
        long,
        short = 'w',
        global = true,
        env = "KEYWRIGHT_WORKSPACE",
        hide_env_values = true,
        value_name = "SLUG"
    )]
    pub(crate) workspace: Option<String>,
}

/// An argument whose value was not kept.
#[derive(Clone, Debug)]
pub(crate) struct Forgotten;

#[expect(clippy::unnecessary_wraps, reason = "the shape that the argument parser calls")]
fn forget(_value: &str) -> Result<Forgotten, std::convert::Infallible> {
    Ok(Forgotten)
}

/// A server and the credential for it.
pub(crate) struct Client {
    agent: Agent,
    base: String,
    credential: Option<Zeroizing<String>>,
    /// How long one request waits for other nodes, in seconds.
    wait_seconds: u64,
    follow: Follow,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// The method.
    pub(crate) method: Method,
    /// Path from the root, query included.
    pub(crate) path: String,
    /// The JSON body.
    pub(crate) body: Option<&'a Value>,
    /// The `Idempotency-Key`.
    pub(crate) idempotency_key: Option<&'a str>,
}

impl Connection {
    /// The server, with the credential read from where the arguments and the environment say.
    ///
    /// # Errors
    /// When the credential cannot be read or is none, or the address or certificate file is wrong.
    pub(crate) fn client(&self, console: &mut Console) -> Result<Client, Failure> {
        self.connect(console, environment_credential())
    }

    fn connect(
        &self,
        console: &mut Console,
        from_environment: Option<Zeroizing<String>>,
    ) -> Result<Client, Failure> {
        if self.api_key.is_some() {
            return Err(Failure::new(
                Exit::Arguments,
                "a key is not taken as an argument: other users of this machine could read it in the list of \
                 processes, and your shell keeps it in its history",
            )
            .remedy(
                "Put it into the variable KEYWRIGHT_API_KEY, or into a file that only you can read, and name that \
                 with --api-key-file.\nIf it was a real key, rotate it: keywright keys rotate <id>",
            ));
        }
        let base = check_url(&self.url)?;
        let credential = match &self.api_key_file {
            Some(file) => Some(read_credential(file, console)?),
            None => from_environment,
        };
        let credential = credential.map(check_credential).transpose()?;
        if credential.is_some() && sends_in_the_clear(&base) {
            console.note("warning: the key travels unencrypted to this address; use https");
        }
        let follow = if self.no_wait { Follow::No } else { Follow::ToTheEnd };
        // Less than the time after which the request is given up.
        let wait_seconds = if self.no_wait { 0 } else { WAIT_SECONDS.min(self.timeout / 2) };
        Ok(Client { agent: self.agent()?, base, credential, wait_seconds, follow })
    }

    fn agent(&self) -> Result<Agent, Failure> {
        let mut tls = TlsConfig::builder();
        if let Some(file) = &self.ca_file {
            tls = tls.root_certs(RootCerts::new_with_certs(&read_certificates(file)?));
        }
        Ok(Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(Duration::from_secs(self.timeout)))
            .timeout_connect(Some(Duration::from_secs(self.timeout.min(10))))
            .user_agent(concat!("keywright/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build())
            .build()
            .new_agent())
    }
}

impl InWorkspace {
    /// The workspace's slug: the one named, else the one that the credential belongs to.
    ///
    /// # Errors
    /// When none is named and the credential belongs to none, or the server cannot be asked.
    pub(crate) fn slug(&self, client: &Client) -> Result<String, Failure> {
        if let Some(slug) = self.workspace.as_deref().filter(|slug| !slug.is_empty()) {
            return Ok(slug.to_owned());
        }
        let answer = client.get("/v1/whoami", &[])?;
        let slug = answer.pointer("/key/workspace");
        slug.and_then(Value::as_str).map(str::to_owned).ok_or_else(|| {
            Failure::new(Exit::Arguments, "no workspace is named, and the credential belongs to none").remedy(
                "Add --workspace SLUG, or set KEYWRIGHT_WORKSPACE. `keywright workspaces list` shows which there are.",
            )
        })
    }
}

impl Client {
    /// Whether changes are waited for.
    pub(crate) const fn follows(&self) -> Follow {
        self.follow
    }

    /// A request that changes nothing; tried again when the server does not answer.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub(crate) fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        self.send(&Call {
            method: Method::GET,
            path: with_query(path, query),
            body: None,
            idempotency_key: None,
        })
    }

    /// Sends a request and reads the answer; `null` where it has no body.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub(crate) fn send(&self, call: &Call<'_>) -> Result<Value, Failure> {
        self.send_if(call, None)
    }

    /// The same, only if what is changed still has this `revision` (`If-Match`).
    ///
    /// # Errors
    /// As [`Client::send`].
    pub(crate) fn send_if(&self, call: &Call<'_>, revision: Option<u64>) -> Result<Value, Failure> {
        let attempts = if call.method == Method::GET { READ_ATTEMPTS } else { 1 };
        let mut attempt = 1;
        loop {
            let outcome = self.attempt(call, revision);
            let may_pass = match &outcome {
                Ok(answer) => matches!(answer.status().as_u16(), 502..=504),
                Err(_) => true,
            };
            if attempt >= attempts || !may_pass {
                return self.judge(call, outcome);
            }
            std::thread::sleep(Duration::from_millis(RETRY_PAUSE_MS << (attempt - 1)));
            attempt += 1;
        }
    }

    /// The answer to a GET as a stream, in the form that `accept` names. It may take as long as it goes on.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub(crate) fn stream(&self, path: &str, accept: &str) -> Result<Box<dyn std::io::Read>, Failure> {
        let call = Call { method: Method::GET, path: path.to_owned(), body: None, idempotency_key: None };
        let answer = self
            .request(&call, accept)
            .body(())
            .map_err(ureq::Error::from)
            .and_then(|request| {
                let request = self.agent.configure_request(request).timeout_global(None);
                self.agent.run(request.timeout_per_read(Some(STREAM_SILENCE)).build())
            })
            .map_err(|error| self.unreachable(&call, &error))?;
        if answer.status().is_success() {
            return Ok(Box::new(answer.into_body().into_with_config().limit(u64::MAX).reader()));
        }
        self.judge(&call, Ok(answer)).map(|_| Box::new(std::io::empty()) as Box<dyn std::io::Read>)
    }

    /// Posts a file as it is, and reads the answer.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub(crate) fn upload(
        &self,
        path: &str,
        query: &[(&str, String)],
        content_type: &str,
        file: &[u8],
        idempotency_key: &str,
    ) -> Result<Value, Failure> {
        let call = Call {
            method: Method::POST,
            path: with_query(path, query),
            body: None,
            idempotency_key: Some(idempotency_key),
        };
        let request = self.request(&call, "application/json").header("content-type", content_type).body(file);
        let answer = request.map_err(ureq::Error::from).and_then(|request| self.agent.run(request));
        self.judge(&call, answer)
    }

    /// The bytes behind a link that needs no credential: path and query of it, asked of this server.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses, or there are more than `limit_bytes`.
    pub(crate) fn download(&self, link: &str, limit_bytes: u64) -> Result<Vec<u8>, Failure> {
        let place =
            link.parse::<http::Uri>().ok().and_then(|uri| uri.path_and_query().map(ToString::to_string));
        let place = place.ok_or_else(|| {
            Failure::new(Exit::Unreachable, "the server's link to a file is no address").remedy(CHECK_ADDRESS)
        })?;
        let call = Call { method: Method::GET, path: place, body: None, idempotency_key: None };
        let request = http::Request::builder().method(Method::GET).uri(format!("{}{}", self.base, call.path));
        let answer = request.body(()).map_err(ureq::Error::from).and_then(|request| self.agent.run(request));
        let mut answer = match answer {
            Ok(answer) if answer.status().is_success() => answer,
            other => return self.judge(&call, other).map(|_| Vec::new()),
        };
        let body = answer.body_mut().with_config().limit(limit_bytes).read_to_vec();
        body.map_err(|error| self.unreachable(&call, &error))
    }

    fn attempt(
        &self,
        call: &Call<'_>,
        revision: Option<u64>,
    ) -> Result<http::Response<ureq::Body>, ureq::Error> {
        let mut request = self.request(call, "application/json");
        if let Some(revision) = revision {
            request = request.header("if-match", format!("\"{revision}\""));
        }
        match call.body {
            Some(body) => self
                .agent
                .run(request.header("content-type", "application/json").body(body.to_string().into_bytes())?),
            None => self.agent.run(request.body(())?),
        }
    }

    fn request(&self, call: &Call<'_>, accept: &str) -> http::request::Builder {
        let mut request = http::Request::builder()
            .method(call.method.clone())
            .uri(format!("{}{}", self.base, call.path))
            .header("accept", accept);
        if call.method != Method::GET || call.path.starts_with("/v1/operations/") {
            request = request.header("prefer", format!("wait={}", self.wait_seconds));
        }
        if let Some(credential) = &self.credential {
            let text = Zeroizing::new(format!("Bearer {}", credential.as_str()));
            let mut value = http::HeaderValue::from_str(&text)
                .expect("a checked credential is ASCII without control characters");
            value.set_sensitive(true);
            request = request.header("authorization", value);
        }
        match call.idempotency_key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        }
    }

    fn judge(
        &self,
        call: &Call<'_>,
        outcome: Result<http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, Failure> {
        let mut answer = outcome.map_err(|error| self.unreachable(call, &error))?;
        let status = answer.status();
        let request_id =
            answer.headers().get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
        let bytes = answer
            .body_mut()
            .with_config()
            .limit(ANSWER_MAX_BYTES)
            .read_to_vec()
            .map_err(|error| self.unreachable(call, &error))?;
        if !status.is_success() {
            return Err(problem::failure(status, &bytes, request_id.as_deref(), self.credential.is_some()));
        }
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|_| {
            Failure::new(
                Exit::Unreachable,
                format!("{} does not answer like a Keywright server: the body is not JSON", self.base),
            )
            .remedy(CHECK_ADDRESS)
        })
    }

    fn unreachable(&self, call: &Call<'_>, error: &ureq::Error) -> Failure {
        let base = &self.base;
        let failure = Failure::new(Exit::Unreachable, format!("cannot reach {base}: {error}"));
        if call.method == Method::GET {
            return failure.remedy(
                "Check the address (--url or KEYWRIGHT_URL) and that the server runs: `keywright dev` starts one \
                 for trying out, `keywright doctor --url …` looks closer.",
            );
        }
        let again = call.idempotency_key.map_or_else(
            || "Look at the present state before you try again.".to_owned(),
            |key| format!("To try again without doing it twice, add --idempotency-key {key}"),
        );
        failure.remedy(format!("Whether the request took effect is not known.\n{again}"))
    }
}

/// A path of segments, escaped.
pub(crate) fn path(segments: &[&str]) -> String {
    segments
        .iter()
        .fold(String::new(), |path, segment| format!("{path}/{}", utf8_percent_encode(segment, SEGMENT)))
}

/// A path with a query, escaped.
pub(crate) fn with_query(path: &str, query: &[(&str, String)]) -> String {
    let pairs: Vec<String> =
        query.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, SEGMENT))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

/// A fresh `Idempotency-Key`.
pub(crate) fn fresh_idempotency_key() -> String {
    format!("cli-{}", hex::encode(random_bytes::<16>(&SystemEntropy)))
}

fn environment_credential() -> Option<Zeroizing<String>> {
    let value = std::env::var_os("KEYWRIGHT_API_KEY")?.into_string().ok()?;
    (!value.is_empty()).then(|| Zeroizing::new(value))
}

fn read_credential(file: &Path, console: &mut Console) -> Result<Zeroizing<String>, Failure> {
    let bytes = if file == Path::new("-") {
        console.read_input(CREDENTIAL_MAX_BYTES)?
    } else {
        let mut bytes = Vec::new();
        std::fs::File::open(file)
            .and_then(|opened| opened.take(CREDENTIAL_MAX_BYTES).read_to_end(&mut bytes))
            .map_err(|error| {
                Failure::new(
                    Exit::Arguments,
                    format!("cannot read the credential from {}: {error}", file.display()),
                )
                .remedy("--api-key-file names a file that holds the key and nothing else.")
            })?;
        bytes
    };
    let bytes = Zeroizing::new(bytes);
    let text = String::from_utf8_lossy(&bytes);
    Ok(Zeroizing::new(text.trim().to_owned()))
}

/// Finds out here what the server would refuse, so that another vendor's key is not sent to it.
fn check_credential(credential: Zeroizing<String>) -> Result<Zeroizing<String>, Failure> {
    use keywright_keyformat::Malformed;
    match keywright_keyformat::parse(credential.as_bytes(), None) {
        Ok(_) | Err(Malformed::WrongIssuer { .. }) => Ok(credential),
        Err(reason) => {
            let failure =
                Failure::new(Exit::Arguments, format!("the credential is not a key. {}", reason.hint()));
            Err(failure.remedy(
                "It comes from --api-key-file or KEYWRIGHT_API_KEY. `keywright key inspect` says more.",
            ))
        }
    }
}

fn check_url(url: &str) -> Result<String, Failure> {
    let wrong = |why: &str| {
        Failure::new(Exit::Arguments, format!("the address {url:?} cannot be used: {why}")).remedy(
            "Write it like http://127.0.0.1:8080 or https://keys.example.com (--url or KEYWRIGHT_URL).",
        )
    };
    let parsed: http::Uri = url.parse().map_err(|_| wrong("it is not a URL"))?;
    if !matches!(parsed.scheme_str(), Some("http" | "https")) {
        return Err(wrong("it does not begin with http:// or https://"));
    }
    if parsed.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(wrong("it holds a user name or password"));
    }
    if !matches!(parsed.path(), "" | "/") || parsed.query().is_some() {
        return Err(wrong("Keywright lives at the root of its host"));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

fn sends_in_the_clear(base: &str) -> bool {
    let Ok(uri) = base.parse::<http::Uri>() else {
        return false;
    };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback =
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    uri.scheme_str() == Some("http") && !is_loopback
}

fn read_certificates(file: &Path) -> Result<Vec<Certificate<'static>>, Failure> {
    let unusable = |why: String| {
        Failure::new(
            Exit::Arguments,
            format!("cannot use {} as a certificate authority: {why}", file.display()),
        )
        .remedy("--ca-file names a PEM file with one or more certificates.")
    };
    let pem = std::fs::read(file).map_err(|error| unusable(error.to_string()))?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(unusable("it holds no certificate".to_owned()));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests;
