//! The labelled corpus, the rules that the documents publish, and precision and recall of both.

use std::ops::Range;

use keywright_redaction::{Finding, Kind, Redactor};
use regex::Regex;

/// A part of the corpus: its name and its lines.
pub(crate) const PARTS: [(&str, &str); 2] = [
    ("held out", include_str!("../../corpus/held_out.txt")),
    ("tuned", include_str!("../../corpus/tuned.txt")),
];

/// A text and what is in it.
pub(crate) struct Labelled {
    pub(crate) text: String,
    pub(crate) spans: Vec<(Kind, Range<usize>)>,
}

/// The lines of a part. Labels are `⟦E:…⟧` and so on; `\n` is written for a line break.
pub(crate) fn labelled(part: &str) -> Vec<Labelled> {
    part.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(parse).collect()
}

fn parse(line: &str) -> Labelled {
    let mut text = String::new();
    let mut spans = Vec::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('⟦') {
        text.push_str(&before.replace("⏎", "\n"));
        let (label, after) = after.split_once('⟧').expect("a label ends");
        let (kind, labelled) = label.split_once(':').expect("a label begins with its kind");
        let kind = match kind {
            "E" => Kind::Email,
            "P" => Kind::Phone,
            "C" => Kind::Card,
            "K" => Kind::ApiKey,
            _ => panic!("no kind is called {kind}: {line}"),
        };
        let start = text.len();
        text.push_str(&labelled.replace("⏎", "\n"));
        spans.push((kind, start..text.len()));
        rest = after;
    }
    assert!(!rest.contains('⟧'), "a label without a beginning: {line}");
    text.push_str(&rest.replace("⏎", "\n"));
    Labelled { text, spans }
}

/// Something that finds.
pub(crate) trait Rules {
    fn find(&self, text: &str) -> Vec<(Kind, Range<usize>)>;
}

impl Rules for Redactor {
    fn find(&self, text: &str) -> Vec<(Kind, Range<usize>)> {
        self.findings(text).into_iter().map(|Finding { kind, range, .. }| (kind, range)).collect()
    }
}

/// `redact_sensitive_data` of the documents (seed 002, L259-271; requirements 240-243), its patterns in their order. What an
/// earlier pattern replaced is gone for the later ones. There is none for API keys.
pub(crate) struct Published(Vec<(Kind, Regex)>);

impl Published {
    pub(crate) fn new() -> Self {
        let pattern = |pattern| Regex::new(pattern).expect("the documents' patterns are valid");
        Self(vec![
            (Kind::Email, pattern(r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Z|a-z]{2,}\b")),
            (Kind::Phone, pattern(r"\b\d{3}[-.]?\d{3}[-.]?\d{4}\b")),
            (Kind::Card, pattern(r"\b\d{4}[-\s]?\d{4}[-\s]?\d{4}[-\s]?\d{4}\b")),
        ])
    }
}

impl Rules for Published {
    fn find(&self, text: &str) -> Vec<(Kind, Range<usize>)> {
        let mut found: Vec<(Kind, Range<usize>)> = Vec::new();
        for (kind, pattern) in &self.0 {
            let fresh: Vec<_> = pattern
                .find_iter(text)
                .map(|found| (*kind, found.range()))
                .filter(|(_, range)| !found.iter().any(|(_, other)| overlap(range, other) > 0))
                .collect();
            found.extend(fresh);
        }
        found
    }
}

fn overlap(one: &Range<usize>, other: &Range<usize>) -> usize {
    one.end.min(other.end).saturating_sub(one.start.max(other.start))
}

/// Counts of one kind, or of all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Score {
    /// Labelled spans.
    pub(crate) labelled: usize,
    /// Labelled spans of which at least half was found as what they are.
    pub(crate) found: usize,
    /// Labelled spans that were found from their first to their last byte.
    pub(crate) whole: usize,
    /// Findings.
    pub(crate) findings: usize,
    /// Findings of which at least half is labelled as what they say.
    pub(crate) right: usize,
}

#[expect(clippy::cast_precision_loss, reason = "counts of a small corpus")]
impl Score {
    pub(crate) fn precision(self) -> f64 {
        if self.findings == 0 { 1.0 } else { self.right as f64 / self.findings as f64 }
    }

    pub(crate) fn recall(self) -> f64 {
        if self.labelled == 0 { 1.0 } else { self.found as f64 / self.labelled as f64 }
    }

    /// The share of labelled spans of which nothing is left standing.
    pub(crate) fn whole_recall(self) -> f64 {
        if self.labelled == 0 { 1.0 } else { self.whole as f64 / self.labelled as f64 }
    }

    pub(crate) fn f1(self) -> f64 {
        let (precision, recall) = (self.precision(), self.recall());
        if precision + recall == 0.0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) }
    }
}

/// Scores rules on lines, for one kind or for all.
pub(crate) fn score(rules: &dyn Rules, lines: &[Labelled], kind: Option<Kind>) -> Score {
    let mut score = Score::default();
    for line in lines {
        let found = rules.find(&line.text);
        for (wanted, span) in line.spans.iter().filter(|(of, _)| kind.is_none_or(|kind| kind == *of)) {
            let covered = found
                .iter()
                .filter(|(of, _)| of == wanted)
                .map(|(_, range)| overlap(span, range))
                .sum::<usize>();
            score.labelled += 1;
            score.found += usize::from(covered * 2 >= span.len());
            score.whole += usize::from(covered == span.len());
        }
        for (of, range) in found.iter().filter(|(of, _)| kind.is_none_or(|kind| kind == *of)) {
            let labelled = line
                .spans
                .iter()
                .filter(|(is, _)| is == of)
                .map(|(_, span)| overlap(range, span))
                .sum::<usize>();
            score.findings += 1;
            score.right += usize::from(labelled * 2 >= range.len());
        }
    }
    score
}

/// The lines on which rules err: what was missed, and what was found without being there.
pub(crate) fn errors(rules: &dyn Rules, lines: &[Labelled]) -> Vec<String> {
    let mut errors = Vec::new();
    for line in lines {
        let found = rules.find(&line.text);
        for (kind, span) in line.spans.iter().filter(|span| !found.contains(span)) {
            errors.push(format!("missed {:<7} {:?} in {}", kind.name(), &line.text[span.clone()], line.text));
        }
        for (kind, range) in found.iter().filter(|range| !line.spans.contains(range)) {
            errors.push(format!(
                "wrong  {:<7} {:?} in {}",
                kind.name(),
                &line.text[range.clone()],
                line.text
            ));
        }
    }
    errors
}
