//! What a scan finds in a piece of text, and what may be shown of it.

use keywright_keyformat::{Confidence, Found, KeyKind, Malformed, ScanOptions, scan};
use memchr::memmem;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// A line with this text in it is not reported.
pub(super) const ALLOW_MARK: &str = "keywright:allow";
/// Characters after the prefix from which on a cut-off key may hold part of a secret.
const FRAGMENT_MIN: usize = 20;
/// Longest word that is looked at as a whole.
const WORD_MAX: usize = 256;

/// What kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Rule {
    /// A whole key, its checksum right.
    Key,
    /// Has the shape of a key, but a wrong checksum; or is cut off.
    Suspect,
    /// Another vendor's credential that begins like a key.
    OtherVendor,
    /// An example such as `sk_live_abc123` where a key belongs.
    Placeholder,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(super) enum Severity {
    /// A placeholder: harmless, but it invites people to put a key there.
    Low,
    /// Perhaps a key.
    Medium,
    /// A key.
    High,
    /// A key that works: the installation said so.
    Critical,
}

impl Rule {
    pub(super) const ALL: [Self; 4] = [Self::Key, Self::Suspect, Self::OtherVendor, Self::Placeholder];

    /// The stable name.
    pub(super) const fn id(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Suspect => "suspect",
            Self::OtherVendor => "other-vendor",
            Self::Placeholder => "placeholder",
        }
    }

    /// How bad it is, as long as nobody asked an installation.
    pub(super) const fn severity(self) -> Severity {
        match self {
            Self::Key => Severity::High,
            Self::Suspect | Self::OtherVendor => Severity::Medium,
            Self::Placeholder => Severity::Low,
        }
    }

    /// What it is, for people.
    pub(super) const fn describe(self) -> &'static str {
        match self {
            Self::Key => "API key (checksum confirmed)",
            Self::Suspect => "text with the shape of an API key (mistyped, cut off or invented)",
            Self::OtherVendor => "text with the shape of another vendor's credential",
            Self::Placeholder => "placeholder where a key belongs; never put a real key there",
        }
    }
}

/// A key, or what may be one, in one piece of text. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    /// What it is.
    pub(super) rule: Rule,
    /// Live, test or operator.
    pub(super) kind: KeyKind,
    /// The public part; of confirmed keys only.
    pub(super) locator: Option<String>,
    /// What may be shown.
    pub(super) hint: String,
    /// Identifies the text without telling it.
    pub(super) identity: [u8; 16],
    /// Bytes before it.
    pub(super) offset: usize,
    /// Bytes of it.
    pub(super) length: usize,
}

/// Everything in `text`, in order.
pub(super) fn hits(text: &[u8]) -> Vec<Hit> {
    let mut hits: Vec<Hit> =
        scan(text, ScanOptions::default()).map(|found| hit_of_found(text, &found)).collect();
    let known: Vec<_> = hits.iter().map(|hit| hit.offset..hit.offset + hit.length).collect();
    let rest = words(text).filter(|(start, _)| !known.iter().any(|span| span.contains(start)));
    hits.extend(rest.filter_map(|(start, end)| hit_of_word(text, start, end)));
    hits.sort_by_key(|hit| hit.offset);
    hits
}

fn hit_of_found(text: &[u8], found: &Found) -> Hit {
    let bytes = &text[found.span()];
    let confirmed = found.confidence == Confidence::Confirmed;
    let rule = if confirmed { Rule::Key } else { rule_of(bytes).unwrap_or(Rule::Suspect) };
    Hit {
        rule,
        kind: found.kind,
        locator: confirmed.then(|| found.locator.to_string()),
        hint: if confirmed { found.hint(text).to_string() } else { format!("{}…", found.kind.prefix()) },
        identity: identity(bytes),
        offset: found.offset,
        length: found.length,
    }
}

/// Words that begin like a workspace key, for what the strict scan passes over.
fn words(text: &[u8]) -> impl Iterator<Item = (usize, usize)> + '_ {
    memmem::find_iter(text, b"sk_").filter_map(|start| {
        let rest = &text[start..];
        let begins = rest.starts_with(b"sk_live_") || rest.starts_with(b"sk_test_");
        let stands_alone = start == 0 || !is_word(text[start - 1]) || ends_escape(&text[..start]);
        let length = rest.iter().take(WORD_MAX).position(|byte| !is_word(*byte) && *byte != b'-');
        (begins && stands_alone).then(|| (start, start + length.unwrap_or(rest.len().min(WORD_MAX))))
    })
}

fn hit_of_word(text: &[u8], start: usize, end: usize) -> Option<Hit> {
    let word = text[start..end].trim_ascii_end();
    let rule = rule_of(word)?;
    let kind = if word.starts_with(b"sk_live_") { KeyKind::Live } else { KeyKind::Test };
    Some(Hit {
        rule,
        kind,
        locator: None,
        hint: format!("{}…", kind.prefix()),
        identity: identity(word),
        offset: start,
        length: word.len(),
    })
}

/// What a word is that begins like a key and is none. `None`: nothing worth reporting.
fn rule_of(word: &[u8]) -> Option<Rule> {
    let rest_length = word.len().saturating_sub(KeyKind::Live.prefix().len());
    match keywright_keyformat::parse(word, None).err()? {
        Malformed::Placeholder => Some(Rule::Placeholder),
        Malformed::OtherVendor(_) => Some(Rule::OtherVendor),
        Malformed::WrongChecksum => Some(Rule::Suspect),
        Malformed::Truncated { .. } | Malformed::TooLong { .. } if rest_length >= FRAGMENT_MIN => {
            Some(Rule::Suspect)
        }
        _ => None,
    }
}

/// 128 bits of a hash: enough to tell findings apart, no use for finding a random secret.
fn identity(text: &[u8]) -> [u8; 16] {
    let mut hasher = Sha256::new();
    hasher.update(b"keywright scan identity v1\0");
    hasher.update(text);
    let hash: [u8; 32] = hasher.finalize().into();
    *hash.first_chunk().expect("a hash has 32 bytes")
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The letter of `\n` in a source text is no part of the word behind it.
fn ends_escape(before: &[u8]) -> bool {
    matches!(before, [.., b'\\', b'n' | b'r' | b't'])
}

/// A finding at its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What it is.
    pub(super) rule: Rule,
    /// How bad it is.
    pub(super) severity: Severity,
    /// `live`, `test` or `operator`.
    pub(super) kind: &'static str,
    /// Whether the checksum is right.
    pub(super) confirmed: bool,
    /// What may be shown of it.
    pub(super) hint: String,
    /// The public part; of confirmed keys only.
    pub(super) locator: Option<String>,
    /// The file.
    pub(super) path: String,
    /// Line, from 1.
    pub(super) line: u64,
    /// Column in characters, from 1.
    pub(super) column: u64,
    /// Column after its end.
    pub(super) end_column: u64,
    /// The commit that brought it in, where it is in the history.
    pub(super) commit: Option<String>,
    /// Whether the file holds it now.
    pub(super) present: bool,
    /// The same for the same key in the same file, whatever the line.
    pub(super) fingerprint: String,
    /// What an installation says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) installation: Option<serde_json::Value>,
}

/// Where a piece of text stands.
pub(super) struct Place<'a> {
    /// The file.
    pub(super) path: &'a str,
    /// Line of the text's first byte, from 1.
    pub(super) first_line: u64,
    /// The commit, in the history.
    pub(super) commit: Option<&'a str>,
}

/// Everything in `text`, with lines and columns. Lines that carry [`ALLOW_MARK`] are left out.
pub(super) fn findings(text: &[u8], place: &Place<'_>) -> Vec<Finding> {
    let (mut line, mut line_start, mut counted) = (place.first_line, 0, 0);
    let mut findings = Vec::new();
    for hit in hits(text) {
        for newline in memchr::memchr_iter(b'\n', &text[counted..hit.offset]) {
            line += 1;
            line_start = counted + newline + 1;
        }
        counted = hit.offset;
        let line_end = memchr::memchr(b'\n', &text[hit.offset..]).map_or(text.len(), |end| hit.offset + end);
        if memmem::find(&text[line_start..line_end], ALLOW_MARK.as_bytes()).is_some() {
            continue;
        }
        let column = characters(&text[line_start..hit.offset]) + 1;
        findings.push(Finding {
            rule: hit.rule,
            severity: hit.rule.severity(),
            kind: hit.kind.as_str(),
            confirmed: hit.rule == Rule::Key,
            fingerprint: fingerprint(hit.rule, &hit.identity, place.path),
            hint: hit.hint,
            locator: hit.locator,
            path: place.path.to_owned(),
            line,
            column,
            end_column: column + u64::try_from(hit.length).expect("a length fits 64 bits"),
            commit: place.commit.map(str::to_owned),
            present: place.commit.is_none(),
            installation: None,
        });
    }
    findings
}

fn characters(text: &[u8]) -> u64 {
    let count = text.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
    u64::try_from(count).expect("a length fits 64 bits")
}

fn fingerprint(rule: Rule, identity: &[u8; 16], path: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(b"keywright scan fingerprint v1\0");
    for part in [rule.id().as_bytes(), identity, path.as_bytes()] {
        hasher.update(u64::try_from(part.len()).expect("a length fits 64 bits").to_be_bytes());
        hasher.update(part);
    }
    hex::encode(&hasher.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) const KEY: &str = "sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH";

    fn found(text: &str) -> Vec<(Rule, u64, u64)> {
        findings(text.as_bytes(), &Place { path: "f", first_line: 1, commit: None })
            .into_iter()
            .map(|finding| (finding.rule, finding.line, finding.column))
            .collect()
    }

    #[test]
    fn each_rule_has_its_cause() {
        assert_eq!(found(&format!("a\nkü = \"{KEY}\"\n")), [(Rule::Key, 2, 7)]);
        assert_eq!(found(&format!("{}X", &KEY[..49])), [(Rule::Suspect, 1, 1)]);
        assert_eq!(found(&format!("x={};", &KEY[..40])), [(Rule::Suspect, 1, 3)]);
        assert_eq!(found("FROM x\nENV BAYT_API_KEY=sk_live_abc123\n"), [(Rule::Placeholder, 2, 18)]);
        assert_eq!(found("api:\n  key : sk_live_abc123 # Never do this!"), [(Rule::Placeholder, 2, 9)]);
        assert_eq!(found("KEY=sk_test_your_api_key_here"), [(Rule::Placeholder, 1, 5)]);
        assert_eq!(found(&format!("sk_live_{}", "0a".repeat(20))), [(Rule::OtherVendor, 1, 1)]);
    }

    #[test]
    fn what_is_no_key_is_passed_over() {
        for text in [
            "",
            "sk_live_",
            "the prefix `sk_live_` and sk_test_",
            "hint sk_live_07ELSZgnu18F…0MxH",
            "task_live_abc123",
            "ok_to_send_a_notification_email",
            "starts_with(b\"sk_live_\")",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
        assert_eq!(found(&format!("a = \"{KEY}\" # {ALLOW_MARK}\nb")), []);
        assert_eq!(found(&format!("# {ALLOW_MARK}\n{KEY}")).len(), 1);
    }

    #[test]
    fn several_in_one_text_keep_their_places() {
        let text = format!("{KEY} sk_live_abc123\r\n\n  {KEY}");
        assert_eq!(found(&text), [(Rule::Key, 1, 1), (Rule::Placeholder, 1, 52), (Rule::Key, 3, 3)]);
    }

    #[test]
    fn nothing_that_is_shown_holds_a_secret() {
        let stripe = "sk_live_4eC39HqLyjWDarjtT1zdp7dc";
        let text = format!("{KEY} {} {stripe}", &KEY[..45]);
        let findings = findings(text.as_bytes(), &Place { path: "f", first_line: 1, commit: None });
        assert_eq!(findings.len(), 3);
        let shown = format!("{findings:?}{}", serde_json::to_string(&findings).unwrap());
        assert!(!shown.contains("MTahov") && !shown.contains("4eC39"), "{shown}");
    }

    #[test]
    fn the_fingerprint_follows_key_and_file_not_the_line() {
        let at = |text: &str, path| {
            findings(text.as_bytes(), &Place { path, first_line: 1, commit: None }).remove(0).fingerprint
        };
        assert_eq!(at(KEY, "f"), at(&format!("\n\n {KEY}"), "f"));
        assert_ne!(at(KEY, "f"), at(KEY, "g"));
        assert_ne!(at(KEY, "f"), at("sk_live_abc123", "f"));
    }
}
