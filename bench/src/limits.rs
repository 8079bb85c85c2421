//! One limit on several nodes under skewed load: how much more than the limit they admit, and how much of it.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use keywright_chaos::{
    client::{Client, WORKSPACE},
    cluster::{Cluster, Setup},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stats::{median, percentile};

/// Options of the benchmark of shared limits.
#[derive(Args)]
pub(crate) struct Options {
    /// The keywright executable.
    #[arg(long, default_value = "target/release/keywright")]
    keywright: PathBuf,
    /// Numbers of nodes.
    #[arg(long, value_delimiter = ',', default_value = "3,10")]
    nodes: Vec<usize>,
    /// Cost units per window.
    #[arg(long, default_value_t = 2_000)]
    limit: u64,
    /// Length of the window.
    #[arg(long, default_value_t = 10)]
    window_seconds: u64,
    /// Whole windows that are measured, after one that only fills them.
    #[arg(long, default_value_t = 3)]
    windows: u64,
    /// Calls per second over all nodes; half of them to the first node, a quarter to the second, and so on.
    #[arg(long, default_value_t = 500)]
    rate: u64,
    /// `shared` or `exact`.
    #[arg(long, default_value = "shared,exact", value_delimiter = ',')]
    modes: Vec<String>,
}

/// What the callers saw.
#[derive(Default)]
struct Seen {
    /// Accepted calls by fixed window; those that lie in two count in neither.
    accepted: Mutex<BTreeMap<u64, u64>>,
    /// Accepted calls of which nobody can tell the window, by the later one.
    between: Mutex<BTreeMap<u64, u64>>,
    /// How long accepted calls took, in milliseconds.
    spans_ms: Mutex<Vec<f64>>,
    refused: AtomicU64,
    failed: AtomicU64,
}

/// Runs the benchmark.
///
/// # Errors
/// When a server cannot be run, or a call fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    println!(
        "limit {} per {} s, {} calls/s offered, half of them on one node, a quarter on the next, …",
        options.limit, options.window_seconds, options.rate
    );
    for nodes in &options.nodes {
        let directory = TempDir::new()?;
        let cluster = Cluster::start(&Setup {
            keywright: options.keywright.clone(),
            nodes: *nodes,
            environment: Vec::new(),
            directory: directory.path().to_owned(),
            has_standby: false,
            has_proxies: false,
        })?;
        let operator = Client::new(&cluster.operator, Duration::from_secs(60));
        operator.prepare_workspace(&cluster.nodes[0].base, 30, false)?;
        for mode in &options.modes {
            measure(&cluster, options, mode)?;
        }
    }
    Ok(())
}

fn measure(cluster: &Cluster, options: &Options, mode: &str) -> Result<()> {
    let secret = create(cluster, options, mode)?;
    // A new key is told to other nodes within milliseconds, but nobody waits for that.
    thread::sleep(Duration::from_secs(1));
    let (seen, stop) = (Arc::new(Seen::default()), Arc::new(AtomicBool::new(false)));
    let length = Duration::from_secs(options.window_seconds);
    let mut callers = Vec::new();
    let mut left = options.rate;
    for (number, node) in cluster.nodes.iter().enumerate() {
        let is_last = number + 1 == cluster.nodes.len();
        let rate = if is_last { left } else { left.div_ceil(2) };
        left -= rate;
        let threads = rate.div_ceil(100).max(1);
        for _ in 0..threads {
            let (seen, stop) = (Arc::clone(&seen), Arc::clone(&stop));
            let url = format!("{}/v1/check", node.base);
            let authorization = format!("Bearer {secret}");
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let pause = Duration::from_secs_f64(threads as f64 / rate.max(1) as f64);
            callers.push(thread::spawn(move || call(&url, &authorization, pause, length, &seen, &stop)));
        }
    }
    let first = window_of(length) + 2;
    while window_of(length) < first + options.windows {
        thread::sleep(Duration::from_millis(20));
    }
    stop.store(true, Relaxed);
    for caller in callers {
        caller.join().map_err(|_| anyhow!("a caller panicked"))?;
    }
    report(cluster.nodes.len(), options, mode, first, &seen);
    Ok(())
}

fn report(nodes: usize, options: &Options, mode: &str, first: u64, seen: &Seen) {
    let (accepted, between, spans_ms) = (seen.accepted.lock(), seen.between.lock(), seen.spans_ms.lock());
    let limit = options.limit;
    let mut worst_use = f64::INFINITY;
    let mut overshoot = 0;
    for window in first..first + options.windows {
        let inside = accepted.get(&window).copied().unwrap_or(0);
        let around =
            between.get(&window).copied().unwrap_or(0) + between.get(&(window + 1)).copied().unwrap_or(0);
        overshoot = overshoot.max(inside.saturating_sub(limit));
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let used = (inside + around) as f64 / limit as f64;
        worst_use = worst_use.min(used);
    }
    println!(
        "{nodes:>3} nodes, {mode:6}: overshoot {overshoot}, worst utilisation {:.1} %, {} refused, {} failed; accepted calls p50 {:.2} ms, p99 {:.2} ms",
        100.0 * worst_use,
        seen.refused.load(Relaxed),
        seen.failed.load(Relaxed),
        median(&spans_ms),
        percentile(&spans_ms, 99.0),
    );
}

/// The number of the current fixed window. The database runs on this machine, and so by this clock.
fn window_of(length: Duration) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs() / length.as_secs().max(1)
}

fn call(url: &str, authorization: &str, pause: Duration, length: Duration, seen: &Seen, stop: &AtomicBool) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(5)))
        .build()
        .into();
    let mut next = Instant::now();
    while !stop.load(Relaxed) {
        if let Some(rest) = next.checked_duration_since(Instant::now()) {
            thread::sleep(rest);
        }
        next += pause;
        let (before, begun) = (window_of(length), Instant::now());
        let answer = agent.get(url).header("authorization", authorization).call();
        let (span, after) = (begun.elapsed(), window_of(length));
        match answer.map(|mut answer| {
            drop(answer.body_mut().read_to_string());
            answer.status().as_u16()
        }) {
            Ok(200..=299) => {
                let counts = if before == after { &seen.accepted } else { &seen.between };
                *counts.lock().entry(after).or_default() += 1;
                seen.spans_ms.lock().push(span.as_secs_f64() * 1_000.0);
            }
            Ok(429) => {
                seen.refused.fetch_add(1, Relaxed);
            }
            _ => {
                seen.failed.fetch_add(1, Relaxed);
            }
        }
    }
}

/// A key with the limit; its secret.
fn create(cluster: &Cluster, options: &Options, mode: &str) -> Result<String> {
    let body = json!({
        "name": format!("limited {mode}"), "environment": "production",
        "limits": [{"name": "window", "limit": options.limit, "window_seconds": options.window_seconds, "mode": mode}],
    });
    let url = format!("{}/v1/workspaces/{WORKSPACE}/keys", cluster.nodes[0].base);
    let authorization = format!("Bearer {}", cluster.operator);
    let mut answer = ureq::post(&url).header("authorization", &authorization).send_json(&body)?;
    let answer: Value = serde_json::from_str(&answer.body_mut().read_to_string()?)?;
    answer["secret"].as_str().map(str::to_owned).context("a created key has a secret")
}
