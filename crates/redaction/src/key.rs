//! API keys: our own, known vendors', and what stands where keys stand.

use keywright_keyformat::{self as keyformat, ScanOptions, vendor_prefixes};
use memchr::memmem;

use crate::finding::{Confidence, Finding, Kind};
use crate::surroundings::{inside_word, is_word};

/// Most bytes of one key that are taken; what follows is judged as text of its own.
pub(crate) const MAX_KEY: usize = 8 << 10;
/// Most bytes of a private key in PEM that are taken.
pub(crate) const MAX_PEM: usize = 16 << 10;
/// Bytes of a body whose characters are looked at.
const SAMPLE: usize = 64;

/// What follows a prefix in a key.
#[derive(Clone, Copy)]
struct Body {
    least: usize,
    most: usize,
    /// Characters besides letters, digits, `_` and `-`.
    besides: &'static [u8],
    letters: Letters,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Letters {
    /// A digit among them, so that names of variables are not taken.
    Mixed,
    /// Capitals and digits alone, to the end of the word.
    Capitals,
    /// Three or five parts with dots between them.
    Dotted,
}

const fn body(least: usize) -> Body {
    Body { least, most: MAX_KEY, besides: b"", letters: Letters::Mixed }
}

const fn with(least: usize, besides: &'static [u8]) -> Body {
    Body { besides, ..body(least) }
}

/// Prefixes that `keyformat` knows as its own; whole keys are found by its scanner, this is for damaged ones and for the
/// vendors that share them.
const OWN: &[(&str, Body)] = &[("sk_live_", body(6)), ("sk_test_", body(6)), ("ok_", body(20))];

/// The body behind a prefix of [`vendor_prefixes`].
fn body_of(prefix: &str) -> Option<Body> {
    Some(match prefix {
        "-----BEGIN" => return None,
        "eyJ" => Body { least: 24, most: MAX_KEY, besides: b".", letters: Letters::Dotted },
        "AKIA" | "ASIA" => Body { least: 16, most: 16, besides: b"", letters: Letters::Capitals },
        "SG." => with(40, b"."),
        "ya29." | "hvs." => with(20, b"."),
        "glc_" | "sntrys_" => with(30, b"+/="),
        "github_pat_" | "pypi-" => body(40),
        "gsk_" | "xai-" => body(36),
        "AIza" => Body { most: 35, ..body(35) },
        "ghp_" | "gho_" | "ghu_" | "ghs_" | "ghr_" | "npm_" | "hf_" | "lin_api_" | "figd_" | "phc_"
        | "phx_" | "pplx-" | "r8_" | "ntn_" | "shpat_" | "shpss_" | "dop_v1_" | "rubygems_" => body(30),
        "glpat-" | "gldt-" => body(16),
        "pk_live_" | "pk_test_" | "rk_live_" | "rk_test_" | "sk_org_" => body(10),
        _ => body(20),
    })
}

pub(crate) fn find(text: &[u8], findings: &mut Vec<Finding>) {
    own(text, findings);
    private_keys(text, findings);
    let mut run = Run { text, end: 0 };
    let mut at = 0;
    while at < text.len() {
        if !is_word(text[at]) {
            at += 1;
            continue;
        }
        if inside_word(&text[..at]) {
            at = word_end(text, at);
            continue;
        }
        if let Some(finding) = by_prefix(text, at, &mut run).or_else(|| by_name(text, at)) {
            // What is found may be glued to what comes before it in the same word: go on behind it.
            at = finding.range.end.max(at + 1);
            findings.push(finding);
        } else {
            at = behind_escape(text, at).unwrap_or_else(|| word_end(text, at));
        }
    }
}

fn own(text: &[u8], findings: &mut Vec<Finding>) {
    for found in keyformat::scan(text, ScanOptions::default()) {
        let confidence = match found.confidence {
            keyformat::Confidence::Confirmed => Confidence::Certain,
            keyformat::Confidence::Suspect => Confidence::Likely,
        };
        findings.push(Finding::new(Kind::ApiKey, found.span(), confidence));
    }
}

/// Where a word begins behind an escape (`\n`, `%3D`) whose letters look like the beginning of that word.
fn behind_escape(text: &[u8], at: usize) -> Option<usize> {
    let escaped = at.checked_sub(1).map(|before| text[before])?;
    let length = match escaped {
        b'\\' => 1,
        b'%' => 2,
        _ => return None,
    };
    (at + length < text.len() && !inside_word(&text[..at + length])).then_some(at + length)
}

fn word_end(text: &[u8], at: usize) -> usize {
    text[at..].iter().position(|byte| !is_word(*byte)).map_or(text.len(), |length| at + length)
}

/// Where the letters, digits, `_` and `-` that begin somewhere end. Each byte is looked at once.
struct Run<'a> {
    text: &'a [u8],
    end: usize,
}

impl Run<'_> {
    fn end(&mut self, start: usize) -> usize {
        if start >= self.end {
            let length = self.text[start..].iter().position(|byte| !is_key(*byte));
            self.end = length.map_or(self.text.len(), |length| start + length);
        }
        self.end
    }
}

fn is_key(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}

fn by_prefix(text: &[u8], at: usize, run: &mut Run<'_>) -> Option<Finding> {
    let rest = &text[at..];
    if !matches!(
        rest[0],
        b's' | b'p'
            | b'r'
            | b'w'
            | b'g'
            | b'A'
            | b'x'
            | b'y'
            | b'G'
            | b'h'
            | b'n'
            | b'd'
            | b'S'
            | b'l'
            | b'f'
            | b'e'
            | b'o'
    ) {
        return None;
    }
    if let Some(length) = eleven_labs(rest) {
        return Some(Finding::new(Kind::ApiKey, at..at + length, Confidence::Likely));
    }
    let known = OWN.iter().map(|(prefix, body)| (*prefix, Some(*body)));
    let vendors = vendor_prefixes().iter().map(|(prefix, _)| (*prefix, body_of(prefix)));
    let (prefix, body) = known.chain(vendors).find(|(prefix, _)| rest.starts_with(prefix.as_bytes()))?;
    let body = body?;
    let start = at + prefix.len();
    let end = body_end(text, start, run.end(start), body)?;
    let confidence = if body.least >= 16 { Confidence::Certain } else { Confidence::Likely };
    Some(Finding::new(Kind::ApiKey, at..end, confidence))
}

/// `sk_` and 48 hexadecimal digits.
fn eleven_labs(rest: &[u8]) -> Option<usize> {
    let (digits, behind) = rest.strip_prefix(b"sk_")?.split_at_checked(48)?;
    let fits = digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (fits && !behind.first().is_some_and(|byte| is_word(*byte))).then_some(51)
}

/// Where a key ends whose body begins at `start`, if it is one. `run_end`: where its ordinary characters end.
///
/// A bounded beginning is judged first, and the end is looked for only in what is a key: so each byte is looked at a bounded
/// number of times.
fn body_end(text: &[u8], start: usize, run_end: usize, body: Body) -> Option<usize> {
    let belongs = |byte: u8| is_key(byte) || body.besides.contains(&byte);
    let sample = &text[start..text.len().min(start + SAMPLE)];
    let sample = trimmed(&sample[..sample.iter().position(|byte| !belongs(*byte)).unwrap_or(sample.len())]);
    let fits = match body.letters {
        Letters::Mixed => sample.iter().any(u8::is_ascii_digit) && looks_random(sample),
        Letters::Capitals => sample.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()),
        Letters::Dotted => return dotted_end(text, start, run_end),
    };
    if !fits || sample.len() < body.least || body.most < SAMPLE && sample.len() > body.most {
        return None;
    }
    let limit = text.len().min(start + MAX_KEY);
    let mut end = run_end.min(limit);
    while end < limit && belongs(text[end]) {
        end += 1;
    }
    Some(start + trimmed(&text[start..end]).len())
}

/// Without the full stop or the dash of a sentence.
fn trimmed(body: &[u8]) -> &[u8] {
    &body[..body.iter().rposition(|byte| !matches!(byte, b'.' | b'-')).map_or(0, |last| last + 1)]
}

/// Where a JSON Web Token ends: three parts with dots between them, or five if it is encrypted.
fn dotted_end(text: &[u8], start: usize, first_end: usize) -> Option<usize> {
    let mut ends = vec![first_end];
    while ends.len() < 5 && first_end - start <= MAX_KEY {
        let end = *ends.last().expect("begins with one");
        if text.get(end) != Some(&b'.') {
            break;
        }
        let rest = &text[end + 1..text.len().min(end + 1 + MAX_KEY)];
        ends.push(end + 1 + rest.iter().position(|byte| !is_key(*byte)).unwrap_or(rest.len()));
    }
    let parts = if ends.len() == 5 { 5 } else { 3 };
    let end = *ends.get(parts - 1)?;
    (ends[1] > ends[0] + 1 && first_end - start >= 8).then_some(end)
}

/// Not words with hyphens or underscores between them and a number at the end.
fn looks_random(body: &[u8]) -> bool {
    let words = body.split(|byte| matches!(byte, b'-' | b'_')).filter(|word| !word.is_empty());
    let mut mixed = 0;
    for word in words {
        let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
        let capitals = word.iter().filter(|byte| byte.is_ascii_uppercase()).count();
        let lower = word.len() - digits - capitals;
        mixed += usize::from(word.len() >= 5 && digits > 0 && lower + capitals > 0);
        mixed += usize::from(word.len() >= 16 && lower > 1 && capitals > 1);
    }
    mixed > 0
}

/// Names of things whose value is a secret, without `_` and `-` and in lower case: how they end.
const SECRET_NAMES: &[&str] = &[
    "apikey",
    "secretkey",
    "secretaccesskey",
    "accesskey",
    "clientsecret",
    "accesstoken",
    "authtoken",
    "refreshtoken",
    "apitoken",
    "apisecret",
    "authkey",
    "bearertoken",
    "sessiontoken",
    "idtoken",
    "signingsecret",
    "webhooksecret",
    "appsecret",
    "sharedsecret",
    "servicekey",
    "subscriptionkey",
];
/// The same: the whole name.
const WHOLE_SECRET_NAMES: &[&str] = &["secret", "token", "bearer", "basic"];
/// Most bytes of a name.
const MAX_NAME: usize = 48;
/// Fewest bytes of a value that is taken for a secret because of the name before it.
const LEAST_VALUE: usize = 16;

/// `api_key = "…"`, `Authorization: Bearer …`: the value that a name says is secret.
fn by_name(text: &[u8], at: usize) -> Option<Finding> {
    let name_ends = text[at..].iter().take(MAX_NAME + 1).position(|byte| !is_key(*byte))?;
    if name_ends < 5 {
        return None;
    }
    let name = normal(&text[at..at + name_ends]);
    let whole = WHOLE_SECRET_NAMES.contains(&name.as_str()) && !joined(&text[..at]);
    if !whole && !SECRET_NAMES.iter().any(|secret| name.ends_with(secret)) {
        return None;
    }
    let scheme = matches!(name.as_str(), "bearer" | "basic");
    let start = value_start(text, at + name_ends, scheme)?;
    let length = |most: usize| {
        let value = &text[start..text.len().min(start + most)];
        trimmed(&value[..value.iter().position(|byte| !is_value(*byte)).unwrap_or(value.len())]).len()
    };
    is_secret(&text[start..start + length(SAMPLE)])
        .then(|| Finding::new(Kind::ApiKey, start..start + length(MAX_KEY), Confidence::Likely))
}

/// Whether the word that begins here is joined to one before it by a hyphen.
fn joined(before: &[u8]) -> bool {
    matches!(before, [.., word, b'-'] if is_word(*word))
}

fn normal(name: &[u8]) -> String {
    let kept = name.iter().filter(|byte| byte.is_ascii_alphanumeric());
    kept.map(|byte| char::from(byte.to_ascii_lowercase())).collect()
}

/// Where the value behind a name begins: behind quotes, spaces and `=` or `:`; behind a scheme only spaces.
fn value_start(text: &[u8], name_end: usize, scheme: bool) -> Option<usize> {
    let mut at = name_end;
    let mut assigned = 0;
    while at < text.len() && at - name_end < 12 {
        match text[at] {
            b'=' | b':' | b'>' if !scheme => assigned += 1,
            b' ' | b'\t' => assigned += usize::from(scheme),
            b'"' | b'\'' | b'`' | b'\\' => {}
            _ => break,
        }
        at += 1;
    }
    // `--api-key value` has a space alone.
    let spaced = text[name_end..at] == *b" ";
    (assigned > 0 || spaced).then_some(at)
}

fn is_value(byte: u8) -> bool {
    is_key(byte) || matches!(byte, b'.' | b'/' | b'+' | b'=' | b'~')
}

fn is_secret(value: &[u8]) -> bool {
    let count = |is: fn(&u8) -> bool| value.iter().filter(|byte| is(byte)).count();
    let digits = count(u8::is_ascii_digit);
    let letters = count(u8::is_ascii_alphabetic);
    let both_cases = count(u8::is_ascii_uppercase) > 1 && count(u8::is_ascii_lowercase) > 1;
    value.len() >= LEAST_VALUE
        && value[0] != b'/'
        && letters > 0
        && (digits >= 2 && (both_cases || value.len() >= 24 || digits >= 5)
            || both_cases && value.len() >= 32)
}

const PEM_BEGIN: &[u8] = b"-----BEGIN ";
const PEM_END: &[u8] = b"-----END ";

fn private_keys(text: &[u8], findings: &mut Vec<Finding>) {
    let mut done = 0;
    for start in memmem::find_iter(text, PEM_BEGIN) {
        if start >= done && opens_private_key(&text[start..]) {
            let end = start + private_key_length(&text[start..text.len().min(start + MAX_PEM)]);
            findings.push(Finding::new(Kind::ApiKey, start..end, Confidence::Certain));
            done = end;
        }
    }
}

/// Whether a text contains the beginning of a private key and not its end.
pub(crate) fn private_key_open(text: &[u8]) -> bool {
    memmem::rfind(text, PEM_BEGIN).is_some_and(|start| {
        opens_private_key(&text[start..]) && memmem::find(&text[start..], PEM_END).is_none()
    })
}

/// Whether a line may stand inside a private key.
pub(crate) fn within_private_key(line: &[u8]) -> bool {
    memmem::find(line, PEM_END).is_none()
        && line.iter().all(|byte| is_pem(*byte) || matches!(byte, b':' | b',' | b'-'))
}

fn opens_private_key(text: &[u8]) -> bool {
    let label = &text[PEM_BEGIN.len()..text.len().min(PEM_BEGIN.len() + 48)];
    let label = memmem::find(label, b"-----").map(|end| &label[..end]);
    label.is_some_and(|label| label.ends_with(b"PRIVATE KEY") || label.ends_with(b"PRIVATE KEY BLOCK"))
}

fn private_key_length(text: &[u8]) -> usize {
    let head = PEM_BEGIN.len() + memmem::find(&text[PEM_BEGIN.len()..], b"-----").map_or(0, |at| at + 5);
    let body = &text[head..];
    // Up to the next dashes only: looking for the end behind them, for each of many beginnings, would take long.
    if let Some(end) = memmem::find(body, b"-----").filter(|end| body[*end..].starts_with(PEM_END)) {
        let behind = &body[end + PEM_END.len()..];
        let dashes = memmem::find(&behind[..behind.len().min(48)], b"-----");
        return head + end + PEM_END.len() + dashes.map_or(0, |dashes| dashes + 5);
    }
    let length = body.iter().position(|byte| !is_pem(*byte)).unwrap_or(body.len());
    head + body[..length].trim_ascii_end().len()
}

fn is_pem(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte.is_ascii_whitespace() || matches!(byte, b'+' | b'/' | b'=' | b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        let mut findings = Vec::new();
        find(text.as_bytes(), &mut findings);
        crate::finding::settle(findings).into_iter().map(|finding| &text[finding.range]).collect()
    }

    #[test]
    fn every_vendor_that_keyformat_knows_is_found() {
        for (prefix, vendor) in vendor_prefixes() {
            let key = match *prefix {
                "-----BEGIN" => "-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY-----".to_owned(),
                "eyJ" => "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl".to_owned(),
                "AKIA" | "ASIA" => format!("{prefix}ABCDEFGH23456789"),
                "AIza" => format!("{prefix}0123456789abcdefghijABCDEFGHIJ01234"),
                _ => format!("{prefix}0123456789abcdefghijABCDEFGHIJ0123456789abcdefghij"),
            };
            assert_eq!(found(&format!("x {key}, y")), [key.as_str()], "{vendor} {prefix}");
        }
    }

    #[test]
    fn names_of_variables_are_no_keys() {
        for text in [
            "sk_live_key",
            "sk-learn-for-everybody-and-more",
            "hf_hub_download_with_progress_bar",
            "npm_config_registry_url",
            "task_ok_handler_for_2_things_at_once",
            "AKIA",
            "eyJvZmZzZXQiOjIwfQ",
            "api_key = os.environ[\"X\"]",
            "token: your_api_key_here",
            "secret = \"/run/secrets/database_password_2024\"",
            "-----BEGIN CERTIFICATE-----",
            "next_page_token=abcdefghij0123456789",
            "sk-or-whatever-2024-report-final-v2-of-the-team",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn values_of_secret_names_are_found_without_the_name() {
        for text in [
            "api_key=\"|\"",
            "X-Api-Key: |",
            "--api-key |",
            "\"clientSecret\": \"|\"",
            "Authorization: Bearer |",
            "authorization: Basic |",
            "AWS_SECRET_ACCESS_KEY=|",
            "{\\\"apiKey\\\":\\\"|\\\"}",
        ] {
            let value = "Zx81Qp0aLm93Nb27Vc65Ty48";
            assert_eq!(found(&text.replace('|', value)), [value], "{text}");
        }
    }

    #[test]
    fn a_private_key_without_its_end_is_found() {
        let text = "-----BEGIN RSA PRIVATE KEY-----\nMIIabc\nabc=\n; and so on";
        assert_eq!(found(text), ["-----BEGIN RSA PRIVATE KEY-----\nMIIabc\nabc="]);
        assert!(private_key_open(text.as_bytes()));
    }
}
