//! Real processes, a real PostgreSQL and faults: does a revoked key stay revoked, and is every verification counted?
#![expect(clippy::disallowed_methods, reason = "this program measures real time, and draws its seed")]

mod faults;
mod history;
mod load;
mod random;
mod revoke;
mod usage;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use keywright_chaos::cluster;

/// Fault injection against a cluster of Keywright nodes on one PostgreSQL, all on this machine.
#[derive(Debug, Parser)]
#[command(
    name = "keywright-chaos",
    after_help = "\
Examples:
  keywright-chaos revoke --seconds 600
  keywright-chaos revoke --seconds 120 --fail-over
  keywright-chaos revoke --seconds 120 --control no-barrier
  keywright-chaos usage --rounds 50"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The executable under test
    #[arg(long, global = true, value_name = "PATH", default_value = "target/release/keywright")]
    keywright: PathBuf,
    /// Where data, logs, and after a violation the history, are kept; empty, or not there yet
    #[arg(long, global = true, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Nodes
    #[arg(long, global = true, value_name = "N", default_value_t = 3)]
    nodes: usize,
    /// What the faults follow from; a random one unless given
    #[arg(long, global = true, value_name = "NUMBER")]
    seed: Option<u64>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Revoke keys under faults, and watch for a revoked key that is accepted
    Revoke(revoke::Options),
    /// Kill nodes and PostgreSQL under load, and compare usage with what clients were told
    Usage(usage::Options),
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let seed = match arguments.seed {
        Some(seed) => seed,
        None => getrandom::u64()?,
    };
    // Removed when the run ends well; kept, and named, otherwise.
    let kept = tempfile::Builder::new().prefix("keywright-chaos-").tempdir()?;
    let directory = match &arguments.out {
        Some(directory) => {
            std::fs::create_dir_all(directory)?;
            let is_empty = std::fs::read_dir(directory)?.next().is_none();
            ensure!(
                is_empty,
                "{}: another run is kept there; choose an empty directory",
                directory.display()
            );
            directory.canonicalize()?
        }
        None => kept.path().to_owned(),
    };
    let setup = cluster::Setup {
        keywright: arguments.keywright,
        nodes: arguments.nodes,
        environment: Vec::new(),
        directory,
        has_proxies: true,
        has_standby: false,
    };
    let outcome = match arguments.command {
        Command::Revoke(options) => revoke::run(&options, setup, seed),
        Command::Usage(options) => usage::run(&options, &setup, seed),
    };
    if matches!(outcome, Ok(true)) {
        return Ok(ExitCode::SUCCESS);
    }
    let kept = kept.keep();
    say(&format!("logs and history: {}", arguments.out.unwrap_or(kept).display()));
    outcome.map(|_| ExitCode::FAILURE)
}

#[expect(clippy::print_stdout, reason = "the output of a command")]
fn say(text: &str) {
    println!("{text}");
}
