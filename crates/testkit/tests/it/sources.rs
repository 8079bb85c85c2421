//! Files of Rust: not too long, with names that say something, and `unsafe` in one place.

use crate::tree::{sources, text};

/// Beyond this, a file is two files.
const MAX_LINES: usize = 700;

/// Longer files and how long they may be. This list may only shrink: never add to it, and lower a number when its file
/// became shorter.
const LONGER: &[(&str, usize)] = &[];

/// Names under which anything could be found, so that nothing is.
const NAMES_THAT_SAY_NOTHING: &[&str] =
    &["utils", "util", "helpers", "helper", "common", "misc", "shared", "stuff"];

/// The only file that may be unsafe (ADR 3), and the only one that may say so.
const UNSAFE: &str = "crates/engine/src/raw.rs";
const SAYS_SO: &str = "crates/engine/src/lib.rs";

#[test]
fn no_file_is_too_long() {
    for name in sources() {
        let lines = text(&name).lines().count();
        let allowed =
            LONGER.iter().find(|(longer, _)| *longer == name).map_or(MAX_LINES, |(_, lines)| *lines);
        assert!(
            lines <= allowed,
            "{name} has {lines} lines; {allowed} is the most: it is more than one thing"
        );
    }
}

#[test]
fn the_list_of_longer_files_only_shrinks() {
    for (name, allowed) in LONGER {
        let lines = text(name).lines().count();
        assert!(lines > MAX_LINES, "{name} has only {lines} lines now: take it off the list");
        assert_eq!(lines, *allowed, "{name} became shorter: lower its number in the list");
    }
}

#[test]
fn names_of_files_say_what_is_inside() {
    for name in sources() {
        for part in name.trim_end_matches(".rs").split('/') {
            assert!(
                !NAMES_THAT_SAY_NOTHING.contains(&part),
                "{name}: `{part}` says nothing about what is inside; name it after what it does"
            );
        }
    }
}

#[test]
fn only_one_file_is_unsafe() {
    for name in sources().iter().filter(|name| *name != UNSAFE) {
        for (number, line) in text(name).lines().enumerate() {
            let at = format!("{name}:{}", number + 1);
            assert!(
                !has_word(code(line), KEYWORD),
                "{at}: `{KEYWORD}` belongs into {UNSAFE} and nowhere else (ADR 3)"
            );
            assert!(
                name == SAYS_SO || !has_word(code(line), LINT),
                "{at}: only {SAYS_SO} may lift the lint, for {UNSAFE} (ADR 3)"
            );
        }
    }
    assert!(
        text(UNSAFE).lines().any(|line| has_word(code(line), KEYWORD)),
        "{UNSAFE} is safe: forbid the keyword"
    );
}

// In two pieces, so that this file does not find itself.
const KEYWORD: &str = concat!("un", "safe");
const LINT: &str = concat!("un", "safe_code");

/// A line without its comment. A `//` inside a string cuts too much, never too little before it.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        ![before, after].into_iter().flatten().any(|near| near.is_alphanumeric() || near == '_')
    })
}

#[test]
fn words_are_found_whole() {
    let keyword = KEYWORD;
    assert!(has_word(&format!("{keyword} {{"), keyword));
    assert!(has_word(&format!("#[{keyword}(no_mangle)]"), keyword));
    assert!(!has_word(&format!("{keyword}_code"), keyword));
    assert!(!has_word(&format!("is_{keyword}"), keyword));
    assert!(!has_word(code(&format!("call(); // {keyword} otherwise")), keyword));
}
