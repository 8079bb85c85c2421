//! Prints precision and recall of our rules and of the published patterns on the labelled corpus:
//! `cargo run -p keywright-redaction --example figures`. With `errors` behind it, the lines on which ours are not exact.
#![expect(clippy::print_stdout, reason = "it prints")]

mod measure;

use keywright_redaction::{Kind, Redactor};
use measure::{Labelled, PARTS, Published, Rules, errors, labelled, score};

fn main() {
    let ours = Redactor::new();
    if std::env::args().any(|argument| argument == "errors") {
        for (name, part) in PARTS {
            println!("\n{name}");
            for error in errors(&ours, &labelled(part)) {
                println!("  {error}");
            }
        }
        return;
    }
    let mut all = Vec::new();
    for (name, part) in PARTS {
        let lines = labelled(part);
        table(name, &lines, &ours);
        all.extend(lines);
    }
    table("whole corpus", &all, &ours);
    println!(
        "\nA span counts as found if at least half of it is; `whole`: the share of which nothing is left standing."
    );
}

fn table(name: &str, lines: &[Labelled], ours: &Redactor) {
    let published = Published::new();
    let spans = lines.iter().map(|line| line.spans.len()).sum::<usize>();
    let without = lines.iter().filter(|line| line.spans.is_empty()).count();
    println!("\n{name}: {} lines, {spans} labelled spans, {without} lines with nothing to find", lines.len());
    println!("                 ours                              published patterns");
    println!("kind     spans   precision recall  whole   F1      precision recall  whole   F1");
    let kinds = Kind::ALL.into_iter().map(Some).chain([None]);
    for kind in kinds {
        let columns = [ours as &dyn Rules, &published].map(|rules| {
            let score = score(rules, lines, kind);
            let figures = [score.precision(), score.recall(), score.whole_recall(), score.f1()];
            (score.labelled, figures.map(|figure| format!("{figure:<8.3}")).join(""))
        });
        let name = kind.map_or("all", Kind::name);
        println!(
            "{name:<9}{:<8}{}  {}",
            columns[0].0,
            columns[0].1.replacen("   ", "     ", 1),
            columns[1].1.replacen("   ", "     ", 1)
        );
    }
}
