//! Runs cases and prints what came of them.

use std::time::Duration;

use super::{
    cases::{Case, Promise},
    explore::Progress,
};

/// Runs the cases whose name contains `filter`, prints a table, and says whether all came out as expected.
#[expect(clippy::print_stdout, reason = "the table is what this is for")]
pub(crate) fn run<'cases>(cases: impl Iterator<Item = &'cases Case>, has_paths: bool) -> bool {
    println!("| configuration | states | seconds | P1 | P2 | as expected |");
    println!("|---|---:|---:|---|---|---|");
    let mut all_agree = true;
    for case in cases {
        let found = case.run(|progress, elapsed| tell(case.name, progress, elapsed));
        let agrees = case.agrees(&found);
        all_agree &= agrees;
        println!(
            "| {} | {} | {:.1} | {} | {} | {} |",
            case.name,
            found.states,
            found.elapsed.as_secs_f64(),
            text(if case.p1 == Promise::Unasked { Promise::Unasked } else { found.p1 }),
            text(if case.p2 == Promise::Unasked { Promise::Unasked } else { found.p2 }),
            if agrees { "yes" } else { "**NO**" },
        );
        if !agrees && !found.missing.is_empty() {
            println!("  never happened: {}", found.missing.join(", "));
        }
        if has_paths || !agrees {
            println!("  {}", found.counterexample.join(", "));
        }
    }
    all_agree
}

/// How far a long run is, every few million states.
#[expect(clippy::print_stderr, reason = "the table goes to standard output")]
fn tell(name: &str, progress: Progress, elapsed: Duration) {
    let Progress { states, depth, breadth } = progress;
    let seconds = elapsed.as_secs_f64();
    eprintln!("{name}: {states} states, {depth} steps deep, {breadth} there, {seconds:.0} s");
}

fn text(promise: Promise) -> &'static str {
    match promise {
        Promise::Holds => "holds",
        Promise::Refuted => "refuted",
        Promise::Unasked => "",
    }
}
