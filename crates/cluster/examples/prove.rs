//! Runs the exhaustive models and the simulation; `docs/MODEL.md` says what they show.
//!
//! ```text
//! prove model all|short|<part of a name> [--paths]
//! prove simulate <design>|all --seeds FROM..TO [--history]
//! ```

#[path = "../tests/it/model/mod.rs"]
mod model;
#[path = "../tests/it/simulation/mod.rs"]
mod simulation;

use std::{ops::Range, process::ExitCode};

use simulation::Design;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let is_as_expected = match arguments[..] {
        ["model", filter, ..] => models(filter, arguments.contains(&"--paths")),
        ["simulate", design, "--seeds", seeds, ..] => match (designs(design), range(seeds)) {
            (designs, Some(seeds)) if !designs.is_empty() => {
                let has_history = arguments.contains(&"--history");
                // All of them run, whatever the first comes to.
                designs.iter().filter(|design| !simulate(**design, seeds.clone(), has_history)).count() == 0
            }
            _ => return usage(),
        },
        _ => return usage(),
    };
    ExitCode::from(u8::from(!is_as_expected))
}

#[expect(clippy::print_stderr, reason = "a command line")]
fn usage() -> ExitCode {
    eprintln!("prove model all|short|<part of a name> [--paths]");
    eprintln!("prove simulate all|{:?} --seeds FROM..TO [--history]", Design::ALL);
    ExitCode::from(2)
}

fn models(filter: &str, has_paths: bool) -> bool {
    let cases = model::cases::all();
    let chosen = cases.iter().filter(|case| match filter {
        "all" => true,
        "short" => case.is_short,
        name => case.name.contains(name),
    });
    model::report::run(chosen, has_paths)
}

fn designs(name: &str) -> Vec<Design> {
    Design::ALL.into_iter().filter(|design| name == "all" || format!("{design:?}") == name).collect()
}

fn range(text: &str) -> Option<Range<u64>> {
    let (from, to) = text.split_once("..")?;
    Some(from.parse().ok()?..to.parse().ok()?)
}

/// Says whether the design held, if it should, or was caught, if not.
#[expect(clippy::print_stdout, reason = "a command line")]
fn simulate(design: Design, seeds: Range<u64>, has_history: bool) -> bool {
    let (mut late, mut returned, mut faults, mut caught) = (0, 0, 0, 0_u64);
    for seed in seeds.clone() {
        let outcome = simulation::run(design, seed);
        (late, returned, faults) =
            (late + outcome.late, returned + outcome.returned, faults + outcome.faults);
        if has_history {
            outcome.history.iter().for_each(|record| println!("{record:?}"));
        }
        if let Some(violation) = outcome.violations.first() {
            caught += 1;
            if !has_history && caught <= 20 {
                println!(
                    "{design:?} seed {seed}: {} violations, first {violation:?}",
                    outcome.violations.len()
                );
                println!("  replay: prove simulate {design:?} --seeds {seed}..{} --history", seed + 1);
            }
        }
    }
    println!(
        "{design:?}: seeds {seeds:?}, {faults} faults, {returned} revocations returned, {late} verifications after that, \
         {caught} seeds with violations"
    );
    design.expected(seeds.end - seeds.start).contains(&caught)
}
