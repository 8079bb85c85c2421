//! The figures on the corpus: better than the published patterns, and above floors that only rise.

use keywright_redaction::{Kind, Redactor};

use crate::measure::{Labelled, PARTS, Published, labelled, score};

/// Least F1 and least share of spans of which nothing is left, by kind.
const FLOORS: [(Kind, f64, f64); 4] = [
    (Kind::Email, 0.98, 0.99),
    (Kind::Phone, 0.96, 0.96),
    (Kind::Card, 0.98, 0.98),
    (Kind::ApiKey, 0.97, 0.95),
];
const LEAST_LINES: usize = 600;

fn parts() -> Vec<(&'static str, Vec<Labelled>)> {
    PARTS.iter().map(|(name, part)| (*name, labelled(part))).collect()
}

#[test]
fn the_corpus_is_large_and_half_of_it_is_hard_negatives() {
    let lines: Vec<Labelled> = parts().into_iter().flat_map(|(_, lines)| lines).collect();
    let without = lines.iter().filter(|line| line.spans.is_empty()).count();
    assert!(lines.len() >= LEAST_LINES, "{} lines", lines.len());
    assert!(without * 5 >= lines.len() * 2, "{without} of {} lines have nothing to find", lines.len());
    for kind in Kind::ALL {
        let spans = lines.iter().flat_map(|line| &line.spans).filter(|(of, _)| *of == kind).count();
        assert!(spans >= 70, "{spans} spans of {}", kind.name());
    }
}

#[test]
fn we_are_better_than_the_published_patterns_in_every_part_and_kind() {
    for (part, lines) in parts() {
        for kind in Kind::ALL.into_iter().map(Some).chain([None]) {
            let (ours, theirs) =
                (score(&Redactor::new(), &lines, kind), score(&Published::new(), &lines, kind));
            let name = kind.map_or("all", Kind::name);
            assert!(ours.f1() > theirs.f1(), "{part}, {name}: {ours:?} against {theirs:?}");
            assert!(ours.recall() > theirs.recall(), "{part}, {name}: {ours:?} against {theirs:?}");
        }
    }
}

#[test]
fn figures_do_not_fall_under_their_floors() {
    for (part, lines) in parts() {
        for (kind, f1, whole) in FLOORS {
            let score = score(&Redactor::new(), &lines, Some(kind));
            assert!(score.f1() >= f1, "{part}, {}: F1 {:.3} < {f1}", kind.name(), score.f1());
            assert!(
                score.whole_recall() >= whole,
                "{part}, {}: {:.3} < {whole}",
                kind.name(),
                score.whole_recall()
            );
        }
    }
}
