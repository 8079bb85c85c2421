//! E-mail addresses, and the user information of URLs, which looks like one.

use memchr::{memchr_iter, memrchr};

use crate::finding::{Confidence, Finding, Kind};
use crate::surroundings::{letter_after, letter_before};

/// Most bytes of the part before the `@` that are taken. RFC 5321 allows 64; what is longer is hidden all the same.
const MAX_LOCAL: usize = 256;
/// Most bytes of a domain (RFC 1035).
const MAX_DOMAIN: usize = 255;

/// Last labels that no domain has, but units of systemd and pictures for dense screens do.
const NO_DOMAINS: &[&[u8]] = &[
    b"service", b"socket", b"timer", b"mount", b"target", b"slice", b"scope", b"path", b"device", b"swap",
    b"png", b"jpg", b"jpeg", b"gif", b"webp", b"svg",
];

pub(crate) fn find(text: &[u8], findings: &mut Vec<Finding>) {
    let mut done = 0;
    for at in memchr_iter(b'@', text) {
        add(text, done, at, at + 1, findings, &mut done);
    }
    let mut done = 0;
    for percent in memchr::memmem::find_iter(text, b"%40") {
        add(text, done, percent, percent + 3, findings, &mut done);
    }
    let mut done = 0;
    for open in memchr::memchr2_iter(b'(', b'[', text) {
        if let Some(behind) = written_out(&text[open..], b"at") {
            let before = if open > 0 && text[open - 1] == b' ' { open - 1 } else { open };
            let behind = open + behind + usize::from(text.get(open + behind) == Some(&b' '));
            add(text, done, before, behind, findings, &mut done);
        }
    }
}

/// `at`: where the part before the `@` ends; `behind`: where the domain begins; `from`: nothing before is looked at.
fn add(text: &[u8], from: usize, at: usize, behind: usize, findings: &mut Vec<Finding>, done: &mut usize) {
    if at < from {
        return;
    }
    let from = from.max(at.saturating_sub(MAX_LOCAL));
    let start = local_start(text, from, at);
    let written_at = text[at] == b'@';
    if written_at && let Some(password) = user_information(text, at) {
        if !password.is_empty() {
            findings.push(Finding::new(Kind::ApiKey, password, Confidence::Likely));
        }
        return;
    }
    let Some(end) = domain_end(text, behind) else {
        return;
    };
    if start == at || is_remote(text, start, at, end) {
        return;
    }
    let confidence = if written_at { Confidence::Certain } else { Confidence::Likely };
    findings.push(Finding::new(Kind::Email, start..end, confidence));
    *done = end;
}

/// Where the part before the `@` begins; `at` if there is none.
fn local_start(text: &[u8], from: usize, at: usize) -> usize {
    let mut start = at;
    while start > from {
        let letter = letter_before(&text[from..start]);
        let length = if letter > 0 { letter } else { usize::from(is_local(text[start - 1])) };
        if length == 0 {
            break;
        }
        start -= length;
    }
    // `\njohn@…` in a text with escapes; `%3Djohn@…` and `%22` in a URL.
    if start > 0 && text[start - 1] == b'\\' && at - start > 1 && matches!(text[start], b'n' | b'r' | b't') {
        start += 1;
    }
    while let [b'%', high, low, ..] = &text[start..at]
        && high.is_ascii_hexdigit()
        && low.is_ascii_hexdigit()
    {
        start += 3;
    }
    while start < at && matches!(text[start], b'.' | b'-' | b'+' | b'\'' | b'%' | b'&') {
        start += 1;
    }
    if at > start && text[at - 1] == b'.' {
        return at;
    }
    start
}

fn is_local(byte: u8) -> bool {
    byte.is_ascii_digit()
        || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-' | b'\'' | b'!' | b'#' | b'~' | b'&')
            && !matches!(byte, b'&' | b'#')
}

/// Where the domain that begins here ends, if it is one.
fn domain_end(text: &[u8], start: usize) -> Option<usize> {
    let limit = text.len().min(start + MAX_DOMAIN);
    let mut at = start;
    let mut dots = 0;
    let mut best = None;
    loop {
        let label_start = at;
        while at < limit {
            let letter = letter_after(&text[at..limit]);
            let length =
                if letter > 0 { letter } else { usize::from(text[at].is_ascii_digit() || text[at] == b'-') };
            if length == 0 {
                break;
            }
            at += length;
        }
        let label = &text[label_start..at];
        if label.is_empty() || label.starts_with(b"-") {
            break;
        }
        if dots > 0
            && let Some(length) = top_level(label)
        {
            best = Some(label_start + length);
        }
        if label.ends_with(b"-") {
            break;
        }
        let Some(dot) = dot(&text[at..limit]) else {
            break;
        };
        at += dot;
        dots += 1;
    }
    best
}

/// Length of a last label: letters, or the ASCII form of letters.
fn top_level(label: &[u8]) -> Option<usize> {
    let label = label.strip_suffix(b"-").unwrap_or(label);
    let mut letters = 0;
    while letters < label.len() {
        match letter_after(&label[letters..]) {
            0 => break,
            length => letters += length,
        }
    }
    let fits = letters == label.len() || label.starts_with(b"xn--");
    (fits && label.len() >= 2 && !NO_DOMAINS.iter().any(|no| label.eq_ignore_ascii_case(no)))
        .then_some(label.len())
}

/// Length of the dot that begins here, written as itself or as `[dot]`.
fn dot(text: &[u8]) -> Option<usize> {
    if text.first() == Some(&b'.') {
        return Some(1);
    }
    let space = usize::from(text.first() == Some(&b' '));
    let length =
        written_out(&text[space..], b"dot").or_else(|| written_out(&text[space..], b"punkt"))? + space;
    Some(length + usize::from(text.get(length) == Some(&b' ')))
}

/// Length of a word in brackets, as people write `@` to hide an address from machines.
fn written_out(text: &[u8], word: &[u8]) -> Option<usize> {
    let [b'(' | b'[', rest @ ..] = text else {
        return None;
    };
    let (found, rest) = rest.split_at_checked(word.len())?;
    (found.eq_ignore_ascii_case(word) && matches!(rest.first(), Some(b')' | b']'))).then_some(word.len() + 2)
}

/// In `scheme://user:password@host` where the password is; an empty range if there is none.
fn user_information(text: &[u8], at: usize) -> Option<std::ops::Range<usize>> {
    let from = at.saturating_sub(MAX_LOCAL);
    let before = &text[from..at];
    let slashes = memrchr(b'/', before)?;
    let within = &before[slashes + 1..];
    let is_url = before[..=slashes].ends_with(b"://");
    if !is_url
        || within.iter().any(|byte| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'?' | b'#' | b'<'))
    {
        return None;
    }
    let password = memchr::memchr(b':', within).map_or(at, |colon| from + slashes + 1 + colon + 1);
    Some(password..at)
}

/// `git@host:path`, the address of a repository, and `logo@2x.png`.
fn is_remote(text: &[u8], start: usize, at: usize, end: usize) -> bool {
    let git = &text[start..at] == b"git"
        && text.get(end) == Some(&b':')
        && text.get(end + 1).is_some_and(|byte| !byte.is_ascii_whitespace());
    git || start > 0 && text[start - 1] == b'@'
}
