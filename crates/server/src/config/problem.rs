//! Errors of the configuration in words: the line, the column, and what was probably meant.

use crate::failure::{Exit, Failure};

/// Says where in `text` the error is and what is wrong.
pub(crate) fn describe(text: &str, source: &str, error: &toml::de::Error) -> Failure {
    let place = error.span().map_or(String::new(), |span| {
        let (line, column) = line_and_column(text, span.start);
        format!("{line}:{column}: ")
    });
    let message = error.message().replace("expected i64", "expected a whole number");
    let Some((unknown, known)) = unknown_field(&message) else {
        return Failure::new(Exit::Config, format!("{source}:{place}{}", message.trim_end()));
    };
    let failure = Failure::new(Exit::Config, format!("{source}:{place}unknown key `{unknown}`"));
    match nearest(unknown, known.iter().copied()) {
        Some(meant) => failure.remedy(format!("did you mean `{meant}`?")),
        None => failure.remedy(format!("known here: {}", known.join(", "))),
    }
}

/// The candidate that `text` was probably meant to be: at most a third of its letters differ.
pub(crate) fn nearest<'text>(
    text: &str,
    candidates: impl IntoIterator<Item = &'text str>,
) -> Option<&'text str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(text, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= significant_length(candidate).div_ceil(4).min(3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Names of variables share a prefix that says nothing.
fn significant_length(candidate: &str) -> usize {
    candidate.strip_prefix(super::environment::PREFIX).unwrap_or(candidate).len()
}

/// The two parts of serde's message about an unknown field.
fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (unknown, rest) = rest.split_once('`')?;
    let known = rest.split('`').skip(1).step_by(2).collect();
    Some((unknown, known))
}

/// Line and column, from 1, of the byte at `offset`.
fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |position| position + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Insertions, deletions, replacements and swaps of neighbours between two texts (optimal string alignment).
fn distance(left: &str, right: &str) -> usize {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut rows = vec![vec![0; right.len() + 1]; left.len() + 1];
    for (position, row) in rows.iter_mut().enumerate() {
        row[0] = position;
    }
    for (position, cell) in rows[0].iter_mut().enumerate() {
        *cell = position;
    }
    for i in 1..=left.len() {
        for j in 1..=right.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (left, right, expected) in
            [("", "", 0), ("a", "", 1), ("listen", "listn", 1), ("lsiten", "listen", 1), ("abc", "xyz", 3)]
        {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
        assert_eq!(nearest("workrs", ["listen", "workers"]), Some("workers"));
        assert_eq!(nearest("banana", ["listen", "workers"]), None);
        assert_eq!(nearest("KEYWRIGHT_URL", ["KEYWRIGHT_TLS_KEY", "KEYWRIGHT_LISTEN"]), None);
    }

    #[test]
    fn places() {
        assert_eq!(line_and_column("ab\ncd", 0), (1, 1));
        assert_eq!(line_and_column("ab\ncd", 4), (2, 2));
        assert_eq!(line_and_column("ab", 99), (1, 3));
    }
}
