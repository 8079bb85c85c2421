//! Runs the exhaustive models; `docs/MODEL.md` says how.

#[path = "../tests/it/model/mod.rs"]
mod model;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let filter = arguments.get(1).map_or("", String::as_str);
    let cases = model::cases::all();
    let chosen = cases.iter().filter(|case| case.name.contains(filter) || filter == "all");
    ExitCode::from(u8::from(!model::report::run(
        chosen,
        2,
        std::env::args().any(|argument| argument == "--paths"),
    )))
}
