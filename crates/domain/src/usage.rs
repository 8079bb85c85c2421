//! Usage: what was counted, and how it is summed up.

use std::net::IpAddr;

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

#[cfg(test)]
mod tests {
    use super::*;

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
