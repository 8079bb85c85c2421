//! Benchmarks of Keywright, each against a named peer measured in the same run.
//!
//! `cargo run --release -p keywright-bench -- help` lists them; `bench/README.md` explains them.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark's answer is what it prints")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod cluster;
mod creates;
mod fill;
mod floor;
mod http;
mod installation;
mod limits;
mod machine;
mod memory;
mod plain_client;
mod processes;
mod prompts;
mod random;
mod start;
mod stats;
mod verify;
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
    /// The check route and `POST /v1/keys/verify` against nginx `return 204` and, if installed, Envoy's `api_key_auth`.
    Http(http::Options),
    /// A verification in process against HMAC-SHA-256 alone and against a hand-written cache.
    Verify(verify::Options),
    /// Resident memory per key, of an engine in process and of the whole server.
    Memory(memory::Options),
    /// From nothing to ready with many keys on disk, against reading the same rows with SQLite.
    Start(start::Options),
    /// Nodes on one PostgreSQL: revocation with a receipt, verification on a node, idle nodes.
    Cluster(cluster::Options),
    /// One limit on several nodes under skewed load: overshoot and utilisation.
    Limits(limits::Options),
    /// One prompt and a page of prompts over HTTP against the same data served by `FastAPI` over SQLite.
    Prompts(prompts::Options),
    /// Durable creations over HTTP against the same rows committed one by one by SQLite.
    Creates(creates::Options),
}

fn main() -> anyhow::Result<()> {
    println!("{}", machine::describe());
    match Arguments::parse().benchmark {
        Benchmark::Http(options) => http::run(&options),
        Benchmark::Verify(options) => verify::run(&options),
        Benchmark::Memory(options) => memory::run(&options),
        Benchmark::Start(options) => start::run(&options),
        Benchmark::Cluster(options) => cluster::run(&options),
        Benchmark::Limits(options) => limits::run(&options),
        Benchmark::Prompts(options) => prompts::run(&options),
        Benchmark::Creates(options) => creates::run(&options),
    }
}
