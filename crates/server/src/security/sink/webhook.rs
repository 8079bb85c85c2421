//! Events by HTTP POST, signed as Standard Webhooks describes: `webhook-id`, `webhook-timestamp`, and in `webhook-signature` the
//! HMAC-SHA-256 of `id.timestamp.body`.
//!
//! An address that names a public host is only reached at public addresses, whatever its name leads to, and is never followed
//! elsewhere. An address that names an inner host was written by the operator, who may.

use std::{io, net::IpAddr, path::Path, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use keywright_domain::{
    prompt::{InvalidLink, check_link, is_public},
    time::Clock as _,
};
use sha2::Sha256;
use ureq::{
    Agent,
    config::Config,
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::{DefaultConnector, NextTimeout},
    },
};
use zeroize::Zeroizing;

use super::{Sink, Written};
use crate::{
    failure::{Exit, Failure},
    installation::read_secret,
    system::SystemClock,
};

/// Shortest secret, in bytes.
const SECRET_MIN_BYTES: usize = 16;
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Webhook {
    url: String,
    secret: Secret,
    agent: Agent,
}

struct Secret(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// Which hosts may be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Public ones, whatever their names lead to.
    Public,
    /// The one that the operator named, wherever it is.
    Named,
}

impl Webhook {
    pub(super) fn new(url: &str, file: Option<&Path>, variable: Option<&str>) -> Result<Self, Failure> {
        let reach = reach(url)?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(TIMEOUT))
            .build();
        let agent =
            Agent::with_parts(config, DefaultConnector::default(), Guard(reach, DefaultResolver::default()));
        Ok(Self { url: url.to_owned(), secret: Secret::read(file, variable)?, agent })
    }

    fn body(events: &[Written<'_>]) -> String {
        let lines: Vec<&str> = events.iter().map(|written| &*written.line).collect();
        format!("[{}]", lines.join(","))
    }
}

/// Checks the address.
fn reach(url: &str) -> Result<Reach, Failure> {
    let wrong = |text: String| Failure::new(Exit::Config, format!("security_events: {url}: {text}"));
    match check_link(url) {
        Ok(()) if url.to_ascii_lowercase().starts_with("https://") => Ok(Reach::Public),
        Ok(()) => Err(wrong("the address of a public host begins with https://".to_owned())),
        Err(InvalidLink::Host) => Ok(Reach::Named),
        Err(error) => Err(wrong(format!("an address {error}"))),
    }
}

impl Secret {
    fn read(file: Option<&Path>, variable: Option<&str>) -> Result<Self, Failure> {
        let wrong = |text: &str| Failure::new(Exit::Config, format!("security_events: {text}"));
        if file.is_some() == variable.is_some() {
            return Err(wrong("a webhook needs either `secret_file` or `secret_env`"));
        }
        let text = read_secret(file, variable, "the secret of a webhook")?
            .ok_or_else(|| wrong("a webhook needs a secret"))?;
        let text = text.trim();
        let bytes = match text.strip_prefix("whsec_") {
            Some(encoded) => {
                STANDARD.decode(encoded).map_err(|_| wrong("after whsec_ base64 is expected"))?
            }
            None => text.as_bytes().to_vec(),
        };
        if bytes.len() < SECRET_MIN_BYTES {
            return Err(wrong("the secret of a webhook has at least 16 bytes: openssl rand -hex 32"));
        }
        Ok(Self(Zeroizing::new(bytes)))
    }

    /// `v1,` and the code in base64.
    fn sign(&self, id: &str, unix_seconds: i64, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(format!("{id}.{unix_seconds}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// Resolves names, and leaves out what may not be reached.
#[derive(Debug)]
struct Guard(Reach, DefaultResolver);

impl Resolver for Guard {
    fn resolve(
        &self,
        uri: &http::Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let resolved = self.1.resolve(uri, config, timeout)?;
        let mut kept = self.empty();
        for address in resolved.iter().filter(|address| self.0.admits(address.ip())) {
            kept.push(*address);
        }
        if kept.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(kept) }
    }
}

impl Reach {
    fn admits(self, address: IpAddr) -> bool {
        self == Self::Named || is_public(address)
    }
}

impl Sink for Webhook {
    fn deliver(&mut self, events: &[Written<'_>]) -> io::Result<()> {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(()) };
        let body = Self::body(events);
        // The same events have the same id when they are delivered again.
        let id = format!("{}-{}", first.event.id, last.event.id);
        let now = SystemClock.now().unix_seconds();
        let answer = self
            .agent
            .post(&self.url)
            .header("content-type", "application/json")
            .header("webhook-id", &id)
            .header("webhook-timestamp", now.to_string())
            .header("webhook-signature", self.secret.sign(&id, now, &body))
            .send(body.as_bytes())
            .map_err(|error| io::Error::other(error.to_string()))?;
        if answer.status().is_success() {
            return Ok(());
        }
        Err(io::Error::other(format!("the webhook answered {}", answer.status().as_u16())))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::{super::samples::deliver, *};
    use crate::cli::fake_server::FakeServer;

    fn secret(directory: &Path, text: &str) -> std::path::PathBuf {
        let file = directory.join("secret");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        file
    }

    #[test]
    fn signed_delivered_and_not_when_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = secret(directory.path(), "0123456789abcdef\n");
        let answers = vec![(204, String::new()), (503, "later".to_owned()), (302, String::new())];
        let server = FakeServer::start(answers);
        let mut sink = Webhook::new(&format!("{}/hook", server.url()), Some(&file), None).unwrap();
        deliver(&mut sink, &["key.created", "key.revoked"]).unwrap();
        assert!(deliver(&mut sink, &["key.created"]).unwrap_err().to_string().contains("503"));
        assert!(deliver(&mut sink, &["key.created"]).is_err(), "a redirect is not followed");
        let request = &server.requests()[0];
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let header = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
            line.unwrap_or_else(|| panic!("{name} in {head}")).to_owned()
        };
        let events: Vec<serde_json::Value> = serde_json::from_str(body).unwrap();
        assert_eq!((events.len(), &events[1]["action"]), (2, &serde_json::json!("key.revoked")));
        let signed = format!("{}.{}.{body}", header("webhook-id"), header("webhook-timestamp"));
        let mut mac = Hmac::<Sha256>::new_from_slice(b"0123456789abcdef").unwrap();
        mac.update(signed.as_bytes());
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        assert_eq!(header("webhook-signature"), expected);
        assert!(!format!("{sink:?}").contains("0123456789abcdef"));
    }

    /// The example of the Standard Webhooks specification.
    #[test]
    fn the_signature_of_the_specification() {
        let directory = tempfile::tempdir().unwrap();
        let file = secret(directory.path(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let secret = Secret::read(Some(&file), None).unwrap();
        let body = r#"{"test": 2432232314}"#;
        assert_eq!(
            secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn where_a_webhook_may_lead() {
        assert_eq!(reach("https://siem.example.com/in").unwrap(), Reach::Public);
        for named in
            ["http://127.0.0.1:9/x", "http://siem.internal/x", "https://10.1.2.3/", "http://localhost:1/"]
        {
            assert_eq!(reach(named).unwrap(), Reach::Named, "{named}");
        }
        for bad in
            ["http://siem.example.com/in", "ftp://siem.example.com", "https://u:p@siem.example.com/", "x"]
        {
            assert!(reach(bad).is_err(), "{bad}");
        }
        assert!(!Reach::Public.admits([10, 0, 0, 1].into()) && !Reach::Public.admits([127, 0, 0, 1].into()));
        assert!(Reach::Public.admits([93, 184, 216, 34].into()) && Reach::Named.admits([10, 0, 0, 1].into()));
    }

    #[test]
    fn secrets_that_are_none() {
        let directory = tempfile::tempdir().unwrap();
        let short = secret(directory.path(), "0123456789abcde");
        assert!(Secret::read(Some(&short), None).is_err());
        assert!(Secret::read(None, None).is_err());
        assert!(Secret::read(None, Some("KEYWRIGHT_TEST_NO_SUCH_VARIABLE")).is_err());
        assert!(Secret::read(Some(&directory.path().join("none")), None).is_err());
        fs::set_permissions(&short, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Secret::read(Some(&short), None).is_err(), "others may read it");
    }
}
