//! `[security_events]`: the security event log.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::value::{Bounded, is_plain_name};
use crate::security::Format;

/// The security event log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SecuritySettings {
    /// Whether addresses are told, where they are kept.
    pub(crate) addresses: bool,
    /// Refused credentials per minute, of one key or all unknown ones, that make an event; 0 for none.
    pub(crate) refused_per_minute: Bounded<0, 1_000_000>,
    /// Calls beyond the limits of one key per minute that make an event; 0 for none.
    pub(crate) limited_per_minute: Bounded<0, 10_000_000>,
    /// Where events go.
    pub(crate) sinks: Vec<SinkSettings>,
}

impl Default for SecuritySettings {
    fn default() -> Self {
        Self {
            addresses: true,
            refused_per_minute: Bounded::of(100),
            limited_per_minute: Bounded::of(1_000),
            sinks: Vec::new(),
        }
    }
}

/// One sink.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "SinkTable")]
pub(crate) struct SinkSettings {
    /// What its cursor and its metrics are called.
    pub(crate) name: SinkName,
    /// How events are written.
    pub(crate) format: Format,
    /// Where a new sink begins.
    pub(crate) start: Start,
    /// Where events go.
    pub(crate) destination: Destination,
}

/// Where a new sink begins in the audit trail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Start {
    /// With the first entry.
    #[default]
    Beginning,
    /// With what happens from now on.
    Now,
}

/// Where events go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Standard output.
    Stdout,
    /// A file.
    File {
        /// Which.
        path: PathBuf,
    },
    /// A syslog server.
    Syslog {
        /// Which.
        address: SyslogAddress,
    },
    /// HTTP POST, signed.
    Webhook {
        /// Where to.
        url: String,
        /// A file that holds the secret.
        secret_file: Option<PathBuf>,
        /// A variable that holds it.
        secret_env: Option<String>,
    },
}

/// A syslog server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SyslogAddress {
    /// Host and port.
    Udp(String),
    /// Host and port.
    Tcp(String),
    /// A datagram socket, such as `/dev/log`.
    Unix(PathBuf),
}

/// The name of a sink: a file's and a metric label's.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct SinkName(pub(crate) String);

impl TryFrom<String> for SinkName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if is_plain_name(&text) {
            return Ok(Self(text));
        }
        Err(format!("{text:?} is no name for a sink: 1 to 32 of a-z, 0-9 and '-'"))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum SinkType {
    Stdout,
    File,
    Syslog,
    Webhook,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SinkTable {
    name: SinkName,
    r#type: SinkType,
    #[serde(default)]
    format: Format,
    #[serde(default)]
    start: Start,
    path: Option<PathBuf>,
    address: Option<String>,
    url: Option<String>,
    secret_file: Option<PathBuf>,
    secret_env: Option<String>,
}

impl TryFrom<SinkTable> for SinkSettings {
    type Error = String;

    fn try_from(table: SinkTable) -> Result<Self, String> {
        let SinkTable { name, r#type, format, start, path, address, url, secret_file, secret_env } = table;
        let has_secret = secret_file.is_some() || secret_env.is_some();
        let of = format!("sink {}", name.0);
        let missing = |what: &str| format!("{of}: `{what}` is missing");
        let given = [path.is_some(), address.is_some(), url.is_some() || has_secret];
        let (destination, expected) = match r#type {
            SinkType::Stdout => (Destination::Stdout, [false, false, false]),
            SinkType::File => {
                (Destination::File { path: path.ok_or_else(|| missing("path"))? }, [true, false, false])
            }
            SinkType::Syslog => {
                let address = syslog_address(&address.ok_or_else(|| missing("address"))?)?;
                (Destination::Syslog { address }, [false, true, false])
            }
            SinkType::Webhook => {
                let url = url.ok_or_else(|| missing("url"))?;
                if secret_file.is_some() == secret_env.is_some() {
                    return Err(format!("{of}: a webhook needs either `secret_file` or `secret_env`"));
                }
                (Destination::Webhook { url, secret_file, secret_env }, [false, false, true])
            }
        };
        if given != expected {
            return Err(format!(
                "{of}: only `path` of a file, `address` of syslog, `url` and a secret of a webhook"
            ));
        }
        Ok(Self { name, format, start, destination })
    }
}

fn syslog_address(text: &str) -> Result<SyslogAddress, String> {
    let server = |rest: &str| {
        let (host, port) = rest.rsplit_once(':')?;
        let is_port = port.parse::<u16>().is_ok_and(|port| port != 0);
        (!host.is_empty() && is_port).then(|| rest.to_owned())
    };
    let address = match text.split_once("://") {
        Some(("udp", rest)) => server(rest).map(SyslogAddress::Udp),
        Some(("tcp", rest)) => server(rest).map(SyslogAddress::Tcp),
        Some(("unix", rest)) if rest.starts_with('/') => Some(SyslogAddress::Unix(rest.into())),
        _ => None,
    };
    address.ok_or_else(|| {
        format!("{text:?} is no address of a syslog server, such as \"tcp://logs.example.com:601\", \"udp://127.0.0.1:514\" or \"unix:///dev/log\"")
    })
}

impl SecuritySettings {
    /// Paths start at `directory`.
    pub(super) fn rebase(&mut self, directory: &Path) {
        for sink in &mut self.sinks {
            match &mut sink.destination {
                Destination::File { path } | Destination::Webhook { secret_file: Some(path), .. } => {
                    *path = directory.join(&*path);
                }
                _ => {}
            }
        }
    }

    /// A name that two sinks have.
    pub(super) fn repeated_name(&self) -> Option<&str> {
        let mut names = std::collections::BTreeSet::new();
        self.sinks.iter().map(|sink| &*sink.name.0).find(|name| !names.insert(*name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink(text: &str) -> Result<SinkSettings, String> {
        toml::from_str::<SecuritySettings>(&format!("[[sinks]]\nname = \"a\"\n{text}"))
            .map(|mut settings| settings.sinks.remove(0))
            .map_err(|error| error.message().to_owned())
    }

    #[test]
    fn sinks_of_each_type() {
        assert_eq!(sink("type = \"stdout\"").unwrap().destination, Destination::Stdout);
        let file =
            sink("type = \"file\"\npath = \"security.log\"\nformat = \"ocsf\"\nstart = \"now\"").unwrap();
        assert_eq!((file.format, file.start), (Format::Ocsf, Start::Now));
        for (text, address) in [
            ("udp://127.0.0.1:514", SyslogAddress::Udp("127.0.0.1:514".to_owned())),
            ("tcp://[::1]:601", SyslogAddress::Tcp("[::1]:601".to_owned())),
            ("unix:///dev/log", SyslogAddress::Unix("/dev/log".into())),
        ] {
            let sink = sink(&format!("type = \"syslog\"\naddress = \"{text}\"")).unwrap();
            assert_eq!(sink.destination, Destination::Syslog { address });
        }
        let webhook = sink("type = \"webhook\"\nurl = \"https://a.example/\"\nsecret_env = \"S\"").unwrap();
        assert!(matches!(webhook.destination, Destination::Webhook { secret_env: Some(_), .. }));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, expected) in [
            ("type = \"file\"", "`path` is missing"),
            ("type = \"syslog\"", "`address` is missing"),
            ("type = \"syslog\"\naddress = \"127.0.0.1:514\"", "no address of a syslog server"),
            ("type = \"syslog\"\naddress = \"udp://127.0.0.1\"", "no address of a syslog server"),
            ("type = \"webhook\"\nurl = \"https://a.example/\"", "either `secret_file` or `secret_env`"),
            ("type = \"stdout\"\npath = \"x\"", "only `path` of a file"),
            ("type = \"file\"\npath = \"x\"\nsecret_env = \"S\"", "only `path` of a file"),
            ("type = \"pigeon\"", "unknown variant"),
            ("type = \"stdout\"\nfoo = 1", "unknown field"),
        ] {
            let error = sink(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(SinkName::try_from("x".repeat(32)).is_ok() && SinkName::try_from("x".repeat(33)).is_err());
        assert!(SinkName::try_from("../x".to_owned()).is_err());
        let both = "[[sinks]]\nname = \"a\"\ntype = \"stdout\"\n".repeat(2);
        let settings: SecuritySettings = toml::from_str(&both).unwrap();
        assert_eq!(settings.repeated_name(), Some("a"));
    }
}
