//! Runs of digits with separators between them, as phone numbers and cards are written.

use std::ops::Range;

use crate::finding::Finding;
use crate::surroundings::{Said, inside_word, is_word, said_before};
use crate::{card, phone};

/// What stands between two groups of digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Separator {
    /// The beginning of the run.
    Nothing,
    Space,
    Hyphen,
    Dot,
    Slash,
    /// Before digits in parentheses.
    Open,
    /// Behind digits in parentheses.
    Close,
}

/// Digits and what stands before them.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) before: Separator,
    pub(crate) range: Range<usize>,
}

impl Group {
    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }
}

/// Groups of digits that belong to each other or not, and the text they stand in.
pub(crate) struct Run<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) groups: &'a [Group],
    /// Group behind the last finding.
    pub(crate) free_from: usize,
}

/// Most groups of one run. A run that goes on is cut; the pieces are judged apart.
const MAX_GROUPS: usize = 256;

pub(crate) fn find(text: &[u8], findings: &mut Vec<Finding>) {
    let mut groups = Vec::new();
    let mut at = 0;
    while let Some(next) = text[at..].iter().position(u8::is_ascii_digit) {
        at = read_groups(text, at + next, &mut groups);
        judge(Run { text, groups: &groups, free_from: 0 }, findings);
    }
}

/// Reads the groups that begin at `at`, and tells where they end.
fn read_groups(text: &[u8], mut at: usize, groups: &mut Vec<Group>) -> usize {
    groups.clear();
    let mut before = Separator::Nothing;
    loop {
        let length = text[at..].iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len() - at);
        groups.push(Group { before, range: at..at + length });
        at += length;
        let Some((separator, length)) = separator(&text[at..]).filter(|_| groups.len() < MAX_GROUPS) else {
            return at;
        };
        before = separator;
        at += length;
    }
}

/// The separator at the beginning of `text` and its length, if digits follow it.
fn separator(text: &[u8]) -> Option<(Separator, usize)> {
    use Separator::{Close, Dot, Hyphen, Nothing, Open, Slash, Space};
    let mut at = 0;
    let mut kinds = [Separator::Nothing; 3];
    for slot in &mut kinds {
        let Some((kind, length)) = separator_character(&text[at..]) else {
            break;
        };
        *slot = kind;
        at += length;
    }
    text.get(at).filter(|byte| byte.is_ascii_digit())?;
    let kind = match kinds {
        [one, Nothing, Nothing] | [one @ Space, Space, Nothing] => one,
        [Space | Hyphen | Slash | Dot, Open, Nothing] => Open,
        [Close, Space | Hyphen | Slash | Dot, Nothing] | [Close, Space, Space] => Close,
        [Space, Hyphen, Space] | [Close, Hyphen, _] => Hyphen,
        [Space, Slash, Space] => Slash,
        _ => return None,
    };
    (kind != Nothing).then_some((kind, at))
}

fn separator_character(text: &[u8]) -> Option<(Separator, usize)> {
    Some(match text {
        [b' ', ..] => (Separator::Space, 1),
        [b'-', ..] => (Separator::Hyphen, 1),
        [b'.', ..] => (Separator::Dot, 1),
        [b'/', ..] => (Separator::Slash, 1),
        [b'(', ..] => (Separator::Open, 1),
        [b')', ..] => (Separator::Close, 1),
        // No-break space, narrow no-break space; hyphens and dashes U+2010 to U+2013.
        [0xC2, 0xA0, ..] => (Separator::Space, 2),
        [0xE2, 0x80, 0xAF, ..] => (Separator::Space, 3),
        [0xE2, 0x80, 0x90..=0x93, ..] => (Separator::Hyphen, 3),
        _ => return None,
    })
}

fn judge(mut run: Run<'_>, findings: &mut Vec<Finding>) {
    if is_iban(&run) {
        return;
    }
    let mut at = 0;
    while at < run.groups.len() {
        let found = card::at(&run, at).or_else(|| phone::at(&run, at));
        match found {
            Some((behind, finding)) => {
                findings.push(finding);
                at = behind;
                run.free_from = behind;
            }
            None => at += 1,
        }
    }
}

/// `DE89 3704 …`: the first digits are the check digits of an IBAN, or the text before is its letters.
fn is_iban(run: &Run<'_>) -> bool {
    let first = &run.groups[0];
    let before = &run.text[..first.range.start];
    let head = |before: &[u8]| {
        matches!(before, [.., a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase())
            && !inside_word(&before[..before.len() - 2])
    };
    let inside = match before {
        // `GB82 WEST 1234 …`
        [rest @ .., b' '] => {
            let bank = rest.iter().rev().take_while(|byte| byte.is_ascii_uppercase()).count();
            bank == 4
                && matches!(&rest[..rest.len() - 4], [rest @ .., a, b, b' '] if a.is_ascii_digit() && b.is_ascii_digit() && head(rest))
        }
        _ => false,
    };
    inside || head(before) && (first.len() == 2 && run.groups.len() > 3 || first.len() >= 13)
}

impl Run<'_> {
    pub(crate) fn digits(&self, groups: Range<usize>) -> impl DoubleEndedIterator<Item = u8> {
        self.groups[groups].iter().flat_map(|group| &self.text[group.range.clone()]).map(|digit| digit - b'0')
    }

    pub(crate) fn text_before(&self, group: usize) -> &[u8] {
        &self.text[..self.groups[group].range.start]
    }

    fn text_behind(&self, group: usize) -> &[u8] {
        &self.text[self.groups[group].range.end..]
    }

    pub(crate) fn said_before(&self, group: usize) -> Said {
        said_before(self.text_before(group).trim_suffix_of(b"(+"))
    }

    /// Whether a number may begin with this group: nothing before it belongs to it.
    pub(crate) fn may_begin(&self, group: usize) -> bool {
        if group > 0 {
            return match self.groups[group].before {
                Separator::Space | Separator::Open => true,
                Separator::Slash => group == self.free_from,
                // `1) 555 …`
                Separator::Close => !matches!(self.groups[group - 1].before, Separator::Open),
                _ => false,
            };
        }
        match self.text_before(0) {
            before if before.ends_with(b"wa.me/") => true,
            [.., b'$' | b'#' | b'@' | b'*'] | [.., 0xE2, 0x82, 0xAC] => false,
            [.., near, b'.' | b',' | b':' | b'-' | b'/'] => match self.text_before(0).last() {
                Some(b':' | b',') => !near.is_ascii_digit(),
                Some(b'.') => !is_word(*near) || near.is_ascii_alphabetic(),
                _ => !is_word(*near),
            },
            before => !inside_word(before),
        }
    }

    /// Whether a number may end with this group. `joined`: separators that would join it to the next.
    pub(crate) fn may_end(&self, group: usize, joined: &[Separator]) -> bool {
        if let Some(next) = self.groups.get(group + 1) {
            return !joined.contains(&next.before);
        }
        match self.text_behind(group) {
            [] | [b'\\', ..] => true,
            [b'.', next, ..] => !next.is_ascii_alphanumeric(),
            [b',' | b':', next, ..] => !next.is_ascii_digit(),
            [b'-', next, ..] => !is_word(*next),
            [b'@', ..] | [b'%', b'4', b'0', ..] => false,
            [b'%', high, low, ..] => high.is_ascii_hexdigit() && low.is_ascii_hexdigit(),
            [next, ..] => !is_word(*next) && *next != b'%',
        }
    }
}

trait TrimSuffix {
    fn trim_suffix_of(&self, bytes: &[u8]) -> &Self;
}

impl TrimSuffix for [u8] {
    fn trim_suffix_of(&self, bytes: &[u8]) -> &Self {
        let kept = self.iter().rposition(|byte| !bytes.contains(byte)).map_or(0, |at| at + 1);
        &self[..kept]
    }
}
