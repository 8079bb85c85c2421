//! `[mail]`: the server that letters are handed to.

use std::{net::IpAddr, path::PathBuf};

use serde::Deserialize;

use super::value::Bounded;

/// How the connection to the mail server is kept from being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MailSecurity {
    /// Not at all: `smtp://`, for a server on the same machine.
    Plain,
    /// Encrypted from the first byte: `smtps://`.
    Tls,
    /// Encrypted before anything is told: `starttls://`. A server that does not offer it gets no letter.
    StartTls,
}

/// Where the mail server is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct MailUrl {
    /// How the connection is protected.
    pub(crate) security: MailSecurity,
    /// Name or address of the server.
    pub(crate) host: String,
    /// Its port.
    pub(crate) port: u16,
}

impl MailUrl {
    /// Whether what is sent there leaves the machine readable for others.
    fn is_open_to_readers(&self) -> bool {
        let is_local = self.host == "localhost"
            || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        self.security == MailSecurity::Plain && !is_local
    }
}

impl TryFrom<String> for MailUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        const EXAMPLE: &str = "such as \"starttls://mail.example.com:587\"";
        // Not quoted in the message: people write passwords there.
        let wrong = |what: &str| Err(format!("mail.url {what}, {EXAMPLE}"));
        let Some((scheme, rest)) = text.split_once("://") else {
            return wrong("begins with smtp://, smtps:// or starttls://");
        };
        let (security, port) = match scheme {
            "smtp" => (MailSecurity::Plain, 25),
            "smtps" => (MailSecurity::Tls, 465),
            "starttls" => (MailSecurity::StartTls, 587),
            _ => return wrong("begins with smtp://, smtps:// or starttls://"),
        };
        if rest.contains('@') {
            return wrong(
                "holds no user and no password: they are `user` and `password_file` or `password_env`",
            );
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest).parse::<http::uri::Authority>();
        let Ok(authority) = authority else { return wrong("has a host and maybe a port") };
        let host = authority.host();
        let port = match authority.as_str()[host.len()..].strip_prefix(':') {
            None => port,
            Some(text) => text.parse().unwrap_or(0),
        };
        let host = host.trim_matches(['[', ']']).to_owned();
        if host.is_empty() || port == 0 {
            return wrong("has a host and maybe a port from 1 to 65535");
        }
        Ok(Self { security, host, port })
    }
}

/// Whom letters come from: an address, or a name with one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Sender(pub(crate) lettre::message::Mailbox);

impl TryFrom<String> for Sender {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let usual = "such as \"Keywright <keys@example.com>\"";
        text.parse().map(Self).map_err(|_| format!("mail.from: {text:?} is no e-mail address, {usual}"))
    }
}

/// How letters are sent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mail {
    /// The server. Always there once the configuration was checked.
    pub(crate) url: Option<MailUrl>,
    /// Whom letters come from. Always there once the configuration was checked.
    pub(crate) from: Option<Sender>,
    /// Whom the server knows this installation as, if it asks.
    pub(crate) user: Option<String>,
    /// A file with the password.
    pub(crate) password_file: Option<PathBuf>,
    /// An environment variable with the password.
    pub(crate) password_env: Option<String>,
    /// PEM file with certificates that the server's may be signed by, beside the usual ones.
    pub(crate) root_certificate: Option<PathBuf>,
    /// For connecting, and for each answer of the server.
    #[serde(default = "default_timeout")]
    pub(crate) timeout_seconds: Bounded<1, 300>,
}

const fn default_timeout() -> Bounded<1, 300> {
    Bounded::of(30)
}

impl Mail {
    /// What is wrong with the section as a whole.
    pub(super) fn problem(&self) -> Option<&'static str> {
        let Some(url) = &self.url else { return Some("mail.url is missing: where is the mail server?") };
        if self.from.is_none() {
            return Some("mail.from is missing: whom do letters come from?");
        }
        let passwords = [self.password_file.is_some(), self.password_env.is_some()];
        let named = passwords.into_iter().filter(|named| *named).count();
        match (&self.user, named) {
            (Some(_), 1) if url.is_open_to_readers() => {
                Some("mail: the password would travel readable for others; use smtps:// or starttls://")
            }
            (Some(_), 1) | (None, 0) => None,
            (Some(_), _) => Some("mail.user needs either `password_file` or `password_env`"),
            (None, _) => Some("mail: there is a password, but no `user`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Result<(MailSecurity, String, u16), String> {
        MailUrl::try_from(text.to_owned()).map(|url| (url.security, url.host, url.port))
    }

    #[test]
    fn three_ways_to_a_server() {
        use MailSecurity::{Plain, StartTls, Tls};
        assert_eq!(url("smtp://localhost"), Ok((Plain, "localhost".to_owned(), 25)));
        assert_eq!(url("smtps://mail.example.com/"), Ok((Tls, "mail.example.com".to_owned(), 465)));
        assert_eq!(url("starttls://[::1]:2525"), Ok((StartTls, "::1".to_owned(), 2525)));
        for bad in [
            "mail.example.com",
            "http://a",
            "smtp://",
            "smtp://a:0",
            "smtp://a:99999",
            "smtp://a/b",
            "smtp://a:",
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
        let error = url("smtp://me:hunter2@a").unwrap_err();
        assert!(error.contains("password_file") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn what_belongs_together() {
        let read = |text: &str| {
            let mail: Mail = toml::from_str(text).unwrap();
            mail.problem().unwrap_or("good").to_owned()
        };
        let base = "url = \"starttls://mail.example.com\"\nfrom = \"keys@example.com\"\n";
        assert_eq!(read(base), "good");
        assert_eq!(read(&format!("{base}user = \"u\"\npassword_env = \"P\"\n")), "good");
        let local =
            "url = \"smtp://127.0.0.1\"\nfrom = \"a@b.example\"\nuser = \"u\"\npassword_env = \"P\"\n";
        assert_eq!(read(local), "good");
        for (text, expected) in [
            (String::new(), "mail.url is missing"),
            ("url = \"smtp://a\"\n".to_owned(), "mail.from is missing"),
            (format!("{base}user = \"u\"\n"), "either `password_file` or"),
            (format!("{base}user = \"u\"\npassword_env = \"P\"\npassword_file = \"f\"\n"), "either"),
            (format!("{base}password_env = \"P\"\n"), "no `user`"),
            (local.replace("127.0.0.1", "mail.example.com"), "readable for others"),
        ] {
            let found = read(&text);
            assert!(found.contains(expected), "{text}: {found}");
        }
        for bad in
            ["from = \"nobody\"\n", "timeout_seconds = 0\n", "timeout_seconds = 301\n", "sender = \"x\"\n"]
        {
            assert!(toml::from_str::<Mail>(bad).is_err(), "{bad}");
        }
    }
}
