//! Usage: what was counted, and how it is summed up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::{key::KeyNumber, time::Timestamp, verdict::Code};

/// What kind of client made a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum AgentClass {
    /// Not told.
    #[default]
    Unknown = 0,
    /// A web browser: a key in a browser is a leak in the making.
    Browser = 1,
    /// An HTTP library or SDK.
    Library = 2,
    /// A command-line tool.
    CommandLine = 3,
    /// A crawler or scanner.
    Bot = 4,
    /// Anything else.
    Other = 5,
}

impl AgentClass {
    /// All classes.
    pub const ALL: [Self; 6] =
        [Self::Unknown, Self::Browser, Self::Library, Self::CommandLine, Self::Bot, Self::Other];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Browser => "browser",
            Self::Library => "library",
            Self::CommandLine => "command_line",
            Self::Bot => "bot",
            Self::Other => "other",
        }
    }

    /// The class with this number, as stores keep it.
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The class of a `User-Agent` header (RFC 9110, section 10.1.5).
    pub fn of(user_agent: &str) -> Self {
        let has = |needles: &[&str]| needles.iter().any(|needle| contains_ignore_case(user_agent, needle));
        if user_agent.is_empty() {
            Self::Unknown
        } else if has(&["bot", "crawler", "spider", "scanner", "nuclei", "sqlmap"]) {
            Self::Bot
        } else if has(&["curl/", "wget/", "httpie/", "powershell", "keywright/"]) {
            Self::CommandLine
        } else if has(&["mozilla/", "opera/"]) {
            Self::Browser
        } else if has(&[
            "python", "node", "axios", "okhttp", "java", "go-http", "ruby", "php", "guzzle", "reqwest",
            "hyper", "sdk", "client", "http",
        ]) {
            Self::Library
        } else {
            Self::Other
        }
    }
}

fn contains_ignore_case(text: &str, needle: &str) -> bool {
    text.as_bytes().windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle.as_bytes()))
}

/// A count of verifications that have everything in common but the moment within one minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// The key.
    pub key: KeyNumber,
    /// Which of its secrets.
    pub secret_ordinal: u16,
    /// Minutes since the Unix epoch.
    pub minute: i64,
    /// The caller's address, if known.
    pub address: Option<IpAddr>,
    /// The route that was asked for; empty if not told.
    pub route: String,
    /// The outcome.
    pub code: Code,
    /// The class of the caller's user agent.
    pub agent: AgentClass,
    /// Number of verifications.
    pub count: u64,
    /// Cost units they consumed.
    pub cost: u64,
    /// The last of them.
    pub last_at: Timestamp,
}

/// Rows that are added to the rollups exactly once: a batch that the store has seen before is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageBatch {
    /// The process that counted.
    pub incarnation: [u8; 16],
    /// The batch's number among those of the process.
    pub batch: u64,
    /// The counts.
    pub rows: Vec<UsageRow>,
}

/// How usage is summed up over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Granularity {
    /// By minute.
    Minute,
    /// By hour.
    Hour,
    /// By day (UTC).
    Day,
}

impl Granularity {
    /// Length of a bucket, in minutes.
    pub const fn minutes(self) -> i64 {
        match self {
            Self::Minute => 1,
            Self::Hour => 60,
            Self::Day => 1_440,
        }
    }
}

/// A question about usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageQuery {
    /// The workspace's number.
    pub workspace: crate::workspace::WorkspaceNumber,
    /// One key, or all.
    pub key: Option<KeyNumber>,
    /// The buckets' length.
    pub granularity: Granularity,
    /// From here on (rounded down to a bucket).
    pub from: Timestamp,
    /// Up to, and not including, here.
    pub until: Timestamp,
}

/// Usage in one bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageBucket {
    /// Where the bucket begins.
    pub start: Timestamp,
    /// Verifications by outcome.
    pub by_code: Vec<(Code, u64)>,
    /// Cost units consumed.
    pub cost: u64,
}

impl UsageBucket {
    /// All verifications.
    pub fn total(&self) -> u64 {
        self.by_code.iter().map(|(_, count)| count).sum()
    }

    /// Those that were refused.
    pub fn refused(&self) -> u64 {
        self.by_code.iter().filter(|(code, _)| *code != Code::Valid).map(|(_, count)| count).sum()
    }
}

/// One row of the access ledger: who used which key from where for what with which outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// Minutes since the Unix epoch.
    pub minute: i64,
    /// Which of the key's secrets.
    pub secret_ordinal: u16,
    /// From where, if known.
    pub address: Option<IpAddr>,
    /// The route.
    pub route: String,
    /// The outcome.
    pub code: Code,
    /// The class of the user agent.
    pub agent: AgentClass,
    /// Number of verifications.
    pub count: u64,
}

/// A network that a key is used from, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The network: IPv4 /24 or IPv6 /48.
    pub network: IpNet,
    /// When the key was first used from there.
    pub first_at: Timestamp,
    /// When it was last used from there.
    pub last_at: Timestamp,
    /// Verifications that were accepted.
    pub accepted: u64,
    /// Verifications that were refused.
    pub refused: u64,
}

/// The network that stands for an address: what is unusual is another network, not another address in the same one.
pub fn network_of(address: IpAddr) -> IpNet {
    match address.to_canonical() {
        IpAddr::V4(address) => IpNet::V4(Ipv4Net::new_assert(address, 24).trunc()),
        IpAddr::V6(address) => IpNet::V6(Ipv6Net::new_assert(address, 48).trunc()),
    }
}

/// A network of [`network_of`] as stores keep it: its 3 or 6 bytes.
pub fn network_to_bytes(network: &IpNet) -> Vec<u8> {
    match network {
        IpNet::V4(network) => network.addr().octets()[..3].to_vec(),
        IpNet::V6(network) => network.addr().octets()[..6].to_vec(),
    }
}

/// Reads a network as stores keep it.
pub fn network_from_bytes(bytes: &[u8]) -> Option<IpNet> {
    if let Ok([a, b, c]) = <[u8; 3]>::try_from(bytes) {
        return Some(network_of(Ipv4Addr::new(a, b, c, 0).into()));
    }
    let short = <[u8; 6]>::try_from(bytes).ok()?;
    let mut octets = [0; 16];
    octets[..6].copy_from_slice(&short);
    Some(IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from(octets), 48)))
}

/// What rows add to the networks that keys are used from, by key and network. Rows without an address add nothing.
pub fn origins_of(rows: &[UsageRow]) -> Vec<(KeyNumber, Origin)> {
    let mut origins: std::collections::BTreeMap<(KeyNumber, IpNet), Origin> =
        std::collections::BTreeMap::new();
    for row in rows {
        let Some(network) = row.address.map(network_of) else { continue };
        let new = Origin { network, first_at: row.last_at, last_at: row.last_at, accepted: 0, refused: 0 };
        let origin = origins.entry((row.key, network)).or_insert(new);
        origin.first_at = origin.first_at.min(row.last_at);
        origin.last_at = origin.last_at.max(row.last_at);
        let count = if row.code == Code::Valid { &mut origin.accepted } else { &mut origin.refused };
        *count += row.count;
    }
    origins.into_iter().map(|((key, _), origin)| (key, origin)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_stand_for_addresses_and_come_back_from_their_bytes() {
        for (address, network, length) in [
            ("203.0.113.7", "203.0.113.0/24", 3),
            ("::ffff:203.0.113.7", "203.0.113.0/24", 3),
            ("2001:db8:1:2::3", "2001:db8:1::/48", 6),
            ("::1", "::/48", 6),
        ] {
            let found = network_of(address.parse().unwrap());
            assert_eq!(found.to_string(), network);
            let bytes = network_to_bytes(&found);
            assert_eq!((bytes.len(), network_from_bytes(&bytes)), (length, Some(found)));
        }
        for bytes in [&[][..], &[1, 2], &[1, 2, 3, 4], &[0; 16]] {
            assert_eq!(network_from_bytes(bytes), None);
        }
    }

    #[test]
    fn rows_of_one_network_are_one_origin() {
        let row = |address: Option<&str>, code, at| UsageRow {
            key: KeyNumber(1),
            secret_ordinal: 1,
            minute: 0,
            address: address.map(|text| text.parse().unwrap()),
            route: String::new(),
            code,
            agent: AgentClass::Unknown,
            count: 3,
            cost: 0,
            last_at: Timestamp::from_unix_ms(at),
        };
        let rows = [
            row(Some("203.0.113.7"), Code::Valid, 9),
            row(Some("203.0.113.8"), Code::RevokedKey, 5),
            row(None, Code::Valid, 1),
        ];
        let origins = origins_of(&rows);
        assert_eq!(origins.len(), 1);
        let (key, origin) = &origins[0];
        assert_eq!((key.0, origin.accepted, origin.refused), (1, 3, 3));
        assert_eq!((origin.first_at.unix_ms(), origin.last_at.unix_ms()), (5, 9));
    }

    #[test]
    fn agent_classes() {
        for (text, class) in [
            ("", AgentClass::Unknown),
            ("Mozilla/5.0 (X11; Linux x86_64) Chrome/120", AgentClass::Browser),
            ("Mozilla/5.0 (compatible; Googlebot/2.1)", AgentClass::Bot),
            ("curl/8.0", AgentClass::CommandLine),
            ("bayt-python/1.0.0", AgentClass::Library),
            ("Go-http-client/2.0", AgentClass::Library),
            ("something", AgentClass::Other),
        ] {
            assert_eq!(AgentClass::of(text), class, "{text}");
        }
        for (number, class) in (0..).zip(AgentClass::ALL) {
            assert_eq!((class as u8, AgentClass::from_u8(number)), (number, Some(class)));
        }
    }
}
