//! Values of the configuration, each checked as it is read, so that an error names the line.

use core::fmt;
use std::net::SocketAddr;

use ipnet::IpNet;
use keywright_keyformat::IssuerTag;
use serde::Deserialize;

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub(crate) struct Bounded<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Bounded<MIN, MAX> {
    /// `value`, which the caller knows to be in range.
    pub(crate) const fn of(value: u32) -> Self {
        assert!(MIN <= value && value <= MAX, "a default value is in range");
        Self(value)
    }

    /// The number.
    pub(crate) const fn get(self) -> u32 {
        self.0
    }
}

impl<const MIN: u32, const MAX: u32> TryFrom<i64> for Bounded<MIN, MAX> {
    type Error = String;

    fn try_from(value: i64) -> Result<Self, String> {
        u32::try_from(value)
            .ok()
            .filter(|value| (MIN..=MAX).contains(value))
            .map(Self)
            .ok_or_else(|| format!("{value} is out of range: from {MIN} to {MAX}"))
    }
}

/// Where to listen: an address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Listen(pub(crate) SocketAddr);

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            format!("{text:?} is not an address and a port, such as \"127.0.0.1:8080\" or \"[::]:443\"")
        })
    }
}

/// Where to listen, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct OptionalListen(pub(crate) Option<SocketAddr>);

impl TryFrom<String> for OptionalListen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        Listen::try_from(text).map(|listen| Self(Some(listen.0)))
    }
}

/// An `http` or `https` address without a path.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct BaseUrl(String);

impl BaseUrl {
    /// The text, without a slash at the end.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for BaseUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let trimmed = text.strip_suffix('/').unwrap_or(&text);
        let uri = trimmed.parse::<http::Uri>().ok().filter(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
                && matches!(uri.path(), "" | "/")
                && uri.query().is_none()
                && !trimmed.ends_with('/')
                && !trimmed.contains('#')
        });
        match uri {
            Some(_) => Ok(Self(trimmed.to_owned())),
            None => Err(format!(
                "{text:?} is not http:// or https:// with a host and without a path, such as \"https://keys.example.com\""
            )),
        }
    }
}

/// The address of a database. It holds a password: nothing shows it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct DatabaseAddress(String);

impl DatabaseAddress {
    /// The text, for the driver only.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DatabaseAddress(…)")
    }
}

impl TryFrom<String> for DatabaseAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self(text));
        }
        Err("the database's address begins with postgres://, such as \"postgres://user:password@host/keywright\""
            .to_owned())
    }
}

/// Whether `text` may stand in addresses, in names of files and in labels of metrics: 1 to 32 of a-z, 0-9 and '-'.
pub(super) fn is_plain_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&text.len()) && text.bytes().all(is_plain)
}

/// What people know a node by.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct NodeName(pub(crate) String);

impl TryFrom<String> for NodeName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if (1..=100).contains(&text.len()) && text.bytes().all(is_plain) {
            return Ok(Self(text));
        }
        Err(format!("{text:?} is no name for a node: 1 to 100 letters, digits, '.', '-' or '_'"))
    }
}

/// A network, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Network(pub(crate) IpNet);

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let address = || text.parse::<std::net::IpAddr>().map(IpNet::from);
        text.parse()
            .or_else(|_| address())
            .map(Self)
            .map_err(|_| format!("{text:?} is neither an address nor a network, such as \"10.0.0.0/8\""))
    }
}

/// The tag in issued secrets.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Tag(pub(crate) IssuerTag);

impl fmt::Debug for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.as_str())
    }
}

impl TryFrom<String> for Tag {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        IssuerTag::parse(&text).map(Self).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_on_both_sides_of_their_limits() {
        type Small = Bounded<1, 10>;
        assert!(Small::try_from(1).is_ok() && Small::try_from(10).is_ok());
        for bad in [0, 11, -1, i64::MAX] {
            assert!(Small::try_from(bad).unwrap_err().contains("from 1 to 10"), "{bad}");
        }
    }

    #[test]
    fn databases_and_nodes() {
        let database = |text: &str| DatabaseAddress::try_from(text.to_owned());
        let address = database("postgres://user:hunter2@host/db").unwrap();
        assert_eq!(format!("{address:?}"), "DatabaseAddress(…)");
        assert!(database("postgresql://host").is_ok());
        let error = database("mysql://user:hunter2@host/db").unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
        let name = |text: &str| NodeName::try_from(text.to_owned()).is_ok();
        assert!(name("a") && name("node-1.example_x") && name(&"x".repeat(100)));
        assert!(!name("") && !name("a b") && !name("a/b") && !name(&"x".repeat(101)));
    }

    #[test]
    fn addresses() {
        let base = |text: &str| BaseUrl::try_from(text.to_owned()).map(|url| url.as_str().to_owned());
        assert_eq!(base("https://keys.example.com/"), Ok("https://keys.example.com".to_owned()));
        assert_eq!(base("http://127.0.0.1:8080"), Ok("http://127.0.0.1:8080".to_owned()));
        for bad in [
            "keys.example.com",
            "ftp://a",
            "https://a/b",
            "https://a?b",
            "https://a//",
            "https://u:p@a",
            "https://a#b",
        ] {
            assert!(base(bad).is_err(), "{bad}");
        }
        assert_eq!(OptionalListen::try_from("off".to_owned()), Ok(OptionalListen(None)));
        assert!(Listen::try_from("localhost:80".to_owned()).is_err());
        assert!(Network::try_from("10.0.0.1".to_owned()).is_ok());
        assert!(Network::try_from("10.0.0.1/33".to_owned()).is_err());
    }
}
