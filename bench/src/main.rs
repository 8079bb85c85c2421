//! Benchmarks of Keywright, each against a named peer measured in the same run.
//!
//! `cargo run --release -p keywright-bench -- help` lists them; `bench/README.md` explains them.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark's answer is what it prints")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod http;
mod machine;
mod processes;
mod stats;
mod wrk;

use clap::{Parser, Subcommand};

/// Benchmarks of Keywright. Figures are ratios to a peer measured in the same run.
#[derive(Parser)]
#[command(name = "keywright-bench", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Subcommand)]
enum Benchmark {
    /// The check route and `POST /v1/keys/verify` against nginx `return 204` and, if installed, Envoy.s `api_key_auth`.
    Http(http::Options),
}

fn main() -> anyhow::Result<()> {
    println!("{}", machine::describe());
    match Arguments::parse().benchmark {
        Benchmark::Http(options) => http::run(&options),
    }
}
