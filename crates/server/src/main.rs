//! The `keywright` binary: the composition root.

mod args;
mod breach_list;
mod cli;
mod cluster;
mod commands;
mod config;
mod failure;
mod installation;
mod jobs;
mod mail;
mod ops;
mod pages;
mod runtime;
mod security;
mod serving;
mod sign_in;
mod system;

use std::process::ExitCode;

use clap::Parser as _;

/// A request costs a dozen small allocations; this allocator makes them cheaper (ADR 11).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match args::Args::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
