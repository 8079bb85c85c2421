//! From a text to pieces.

use std::ops::Range;

use crate::limits::MAX_NAME_BYTES;
use crate::template::Syntax;
use crate::variable::is_name;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Stays as it is.
    Text(Range<usize>),
    /// A value comes here.
    Placeholder(Placeholder),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placeholder {
    pub(crate) range: Range<usize>,
    pub(crate) name: Range<usize>,
    pub(crate) kind: Option<Range<usize>>,
    pub(crate) description: Option<Range<usize>>,
}

/// Longest placeholder: a name, a type with its members, a description.
const MAX_PLACEHOLDER_BYTES: usize = 4 << 10;

pub(crate) fn pieces(text: &str, syntax: Syntax) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = text[at..].find('{') {
        let open = at + found;
        let braces = text[open..].bytes().take_while(|byte| *byte == b'{').count();
        let Some(placeholder) = placeholder(text, open, braces, syntax) else {
            at = open + braces;
            continue;
        };
        let start = placeholder.range.start;
        at = placeholder.range.end;
        let backslashes = text[copied..start].bytes().rev().take_while(|byte| *byte == b'\\').count();
        // Half of the backslashes stay, and an odd one makes the placeholder text.
        push_text(&mut pieces, copied..start - backslashes + backslashes / 2);
        if backslashes % 2 == 1 {
            copied = start;
        } else {
            copied = placeholder.range.end;
            pieces.push(Piece::Placeholder(placeholder));
        }
    }
    push_text(&mut pieces, copied..text.len());
    pieces
}

fn push_text(pieces: &mut Vec<Piece>, range: Range<usize>) {
    if !range.is_empty() {
        pieces.push(Piece::Text(range));
    }
}

/// The placeholder whose innermost braces are the last of these.
fn placeholder(text: &str, open: usize, braces: usize, syntax: Syntax) -> Option<Placeholder> {
    let (own, close) = match syntax {
        Syntax::Double => (2, "}}"),
        Syntax::Single => (1, "}"),
    };
    // `{{{name}}}` is a value in braces; with one brace for a placeholder, two are text.
    if braces < own || syntax == Syntax::Single && braces > 1 {
        return None;
    }
    let start = open + braces - own;
    let inner_start = start + own;
    let mut limit = text.len().min(inner_start + MAX_PLACEHOLDER_BYTES);
    while !text.is_char_boundary(limit) {
        limit -= 1;
    }
    let length = text[inner_start..limit].find(['{', '}', '\n'])?;
    let inner_end = inner_start + length;
    if !text[inner_end..].starts_with(close)
        || syntax == Syntax::Single && text[inner_end..].starts_with("}}")
    {
        return None;
    }
    let range = start..inner_end + own;
    inside(text, inner_start..inner_end, range)
}

/// `name`, `name:type`, `name:type // description`.
fn inside(text: &str, inner: Range<usize>, range: Range<usize>) -> Option<Placeholder> {
    let (declared, description) = match text[inner.clone()].find("//") {
        Some(at) => (inner.start..inner.start + at, Some(trimmed(text, inner.start + at + 2..inner.end))),
        None => (inner.clone(), None),
    };
    let (name, kind) = match text[declared.clone()].find(':') {
        Some(at) => {
            let kind = trimmed(text, declared.start + at + 1..declared.end);
            (trimmed(text, declared.start..declared.start + at), Some(kind))
        }
        None => (trimmed(text, declared), None),
    };
    // What has no name of a sensible length is text.
    (is_name(&text[name.clone()]) && name.len() <= MAX_NAME_BYTES).then_some(Placeholder {
        range,
        name,
        kind,
        description,
    })
}

fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let part = &text[range.clone()];
    let start = range.start + part.len() - part.trim_start().len();
    start..start + part.trim().len()
}
