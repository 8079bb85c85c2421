//! The exported trail: lines of JSON, described in `docs/audit-trail.md`.

use std::io::{self, BufRead};

use keywright_domain::{
    audit::{Checkpoint, PersonalData, StoredEntry},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// Longest line.
const LINE_MAX_BYTES: u64 = 1 << 20;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The trail begins behind this entry; without it, at the first.
    Start {
        /// The entry before the first one here.
        after: u64,
        /// The chain's hash there.
        hash: [u8; 32],
    },
    /// An entry.
    Entry(StoredEntry),
    /// A checkpoint.
    Checkpoint(Checkpoint),
    /// The end: so many entries.
    End(u64),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Wire {
    Start { after: u64, hash: String },
    Entry { sequence: u64, hash: String, body: String, personal: Option<WirePersonal> },
    Checkpoint { sequence: u64, hash: String, at: String, public_key: String, signature: String },
    End { entries: u64 },
}

#[derive(Serialize, Deserialize)]
struct WirePersonal {
    salt: String,
    address: Option<String>,
    user_agent: Option<String>,
}

/// A line that is none of the format.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    /// It cannot be read at all.
    #[error("the trail cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is something else.
    #[error("line {number} is no line of an audit trail: {why}")]
    Form {
        /// Which line, from 1.
        number: u64,
        /// What is wrong. Holds no part of the line.
        why: &'static str,
    },
}

impl Line {
    /// The line, without its line break.
    pub(super) fn to_json(&self) -> String {
        let wire = match self {
            Self::Start { after, hash } => Wire::Start { after: *after, hash: hex::encode(hash) },
            Self::Entry(entry) => Wire::Entry {
                sequence: entry.sequence,
                hash: hex::encode(entry.hash),
                body: String::from_utf8_lossy(&entry.body).into_owned(),
                personal: entry.personal.as_ref().map(|personal| WirePersonal {
                    salt: hex::encode(personal.salt),
                    address: personal.address.map(|address| address.to_string()),
                    user_agent: personal.user_agent.clone(),
                }),
            },
            Self::Checkpoint(checkpoint) => Wire::Checkpoint {
                sequence: checkpoint.sequence,
                hash: hex::encode(checkpoint.hash),
                at: checkpoint.at.to_rfc3339(),
                public_key: hex::encode(checkpoint.public_key),
                signature: hex::encode(checkpoint.signature),
            },
            Self::End(entries) => Wire::End { entries: *entries },
        };
        serde_json::to_string(&wire).expect("a line is made of strings and numbers")
    }

    fn parse(text: &[u8]) -> Result<Self, &'static str> {
        let wire: Wire =
            serde_json::from_slice(text).map_err(|_| "it is not one of the JSON objects expected")?;
        Ok(match wire {
            Wire::Start { after, hash } => Self::Start { after, hash: digits(&hash)? },
            Wire::Entry { sequence, hash, body, personal } => Self::Entry(StoredEntry {
                sequence,
                body: body.into_bytes(),
                hash: digits(&hash)?,
                personal: personal.map(WirePersonal::read).transpose()?,
            }),
            Wire::Checkpoint { sequence, hash, at, public_key, signature } => Self::Checkpoint(Checkpoint {
                sequence,
                hash: digits(&hash)?,
                at: Timestamp::parse_rfc3339(&at).map_err(|_| "its time is not RFC 3339")?,
                public_key: digits(&public_key)?,
                signature: digits(&signature)?,
            }),
            Wire::End { entries } => Self::End(entries),
        })
    }
}

impl WirePersonal {
    fn read(self) -> Result<PersonalData, &'static str> {
        let address = self.address.map(|address| address.parse()).transpose();
        Ok(PersonalData {
            salt: digits(&self.salt)?,
            address: address.map_err(|_| "its address is none")?,
            user_agent: self.user_agent,
        })
    }
}

fn digits<const N: usize>(text: &str) -> Result<[u8; N], &'static str> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| "it has a wrong number of hexadecimal digits")?;
    Ok(bytes)
}

/// Reads lines, one by one.
pub(super) struct Lines<R> {
    input: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// Reads from `input`.
    pub(super) const fn new(input: R) -> Self {
        Self { input, number: 0 }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Line, LineError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut text = Vec::new();
        loop {
            text.clear();
            self.number += 1;
            match io::Read::take(&mut self.input, LINE_MAX_BYTES).read_until(b'\n', &mut text) {
                Err(error) => return Some(Err(error.into())),
                Ok(0) => return None,
                Ok(_) if text.trim_ascii().is_empty() => {}
                Ok(_) => break,
            }
        }
        let number = self.number;
        Some(Line::parse(text.trim_ascii()).map_err(|why| LineError::Form { number, why }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_were_written() {
        let personal = PersonalData {
            salt: [7; 16],
            address: Some([127, 0, 0, 1].into()),
            user_agent: Some("curl \"x\"\n".to_owned()),
        };
        let lines = [
            Line::Start { after: 3, hash: [1; 32] },
            Line::Entry(StoredEntry {
                sequence: 4,
                body: b"{\"a\": \"\\u00e4 \"}".to_vec(),
                hash: [2; 32],
                personal: Some(personal),
            }),
            Line::Entry(StoredEntry { sequence: 5, body: "ä".into(), hash: [3; 32], personal: None }),
            Line::Checkpoint(Checkpoint {
                sequence: 5,
                hash: [3; 32],
                at: Timestamp::from_unix_ms(1_800_000_000_123),
                public_key: [4; 32],
                signature: [5; 64],
            }),
            Line::End(2),
        ];
        let text = lines.iter().map(Line::to_json).collect::<Vec<_>>().join("\n\n");
        let read: Vec<Line> = Lines::new(text.as_bytes()).map(Result::unwrap).collect();
        assert_eq!(read, lines);
    }

    #[test]
    fn strange_lines_are_named() {
        for text in [
            "x",
            "{}",
            "[]",
            "{\"type\": \"other\"}",
            "{\"type\": \"end\", \"entries\": -1}",
            "{\"type\": \"start\", \"after\": 1, \"hash\": \"00\"}",
        ] {
            let error = Lines::new(format!("\n{text}").as_bytes()).next().unwrap().unwrap_err();
            assert!(error.to_string().starts_with("line 2 "), "{error}");
        }
        let long = "x".repeat(usize::try_from(LINE_MAX_BYTES).unwrap() + 5);
        assert!(Lines::new(long.as_bytes()).next().unwrap().is_err());
    }
}
