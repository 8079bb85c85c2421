//! Several nodes on one PostgreSQL: what a revocation with a receipt costs, what a node of a cluster loses against an
//! embedded one, and what idle nodes cost.

use std::{
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::Args;
use keywright_chaos::{
    client::{Client, Revoked, WORKSPACE},
    cluster::{Cluster, Node, Setup},
};
use tempfile::TempDir;

use crate::{
    plain_client::PlainClient,
    processes::{self, cpu_seconds_of},
    stats::{median, median_ratio, percentile},
    wrk::Load,
};

/// Options of the cluster benchmark.
#[derive(Args)]
pub(crate) struct Options {
    /// The keywright executable.
    #[arg(long, default_value = "target/release/keywright")]
    keywright: PathBuf,
    /// Revocations one after the other.
    #[arg(long, default_value_t = 1_000)]
    revocations: usize,
    /// Revocations at once, for the throughput.
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Revocations in all for the throughput.
    #[arg(long, default_value_t = 10_000)]
    storm: usize,
    /// Rounds of verification.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Seconds of verification per server and round.
    #[arg(long, default_value_t = 4)]
    seconds: u32,
    /// Idle nodes.
    #[arg(long, default_value_t = 20)]
    idle_nodes: usize,
    /// Seconds that they idle.
    #[arg(long, default_value_t = 30)]
    idle_seconds: u64,
}

/// Runs the benchmark.
///
/// # Errors
/// When a server cannot be run, or a call fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    let directory = TempDir::new()?;
    let cluster = start(options, 3, directory.path())?;
    let url = cluster.database.lock().primary.url();
    let commit_ms = bare_commits(&url, options.revocations)?;
    let revoke_ms = one_after_the_other(&cluster, options.revocations)?;
    println!("revocation with a receipt, 3 nodes, one after the other ({} each):", options.revocations);
    println!("{:44} {:>8} {:>8} {:>8}", "", "p50 ms", "p99 ms", "max ms");
    for (label, values) in
        [("PostgreSQL: one durable UPDATE", &commit_ms), ("keywright: POST …/revoke", &revoke_ms)]
    {
        println!(
            "{label:44} {:>8.2} {:>8.2} {:>8.2}",
            median(values),
            percentile(values, 99.0),
            percentile(values, 100.0)
        );
    }
    println!("a receipt costs {:.2} durable commits (medians)", median(&revoke_ms) / median(&commit_ms));
    let per_second = storm(&cluster, options)?;
    let commits_per_second = 1_000.0 / median(&commit_ms);
    println!(
        "{} clients: {per_second:.0} revocations with a receipt per second, {:.2}x of one client's bare commits ({commits_per_second:.0}/s)",
        options.clients,
        per_second / commits_per_second
    );
    verify_on_a_node(&cluster, options, &directory)?;
    drop(cluster);
    idle(options)
}

fn start(options: &Options, nodes: usize, directory: &std::path::Path) -> Result<Cluster> {
    let cluster = Cluster::start(&Setup {
        keywright: options.keywright.clone(),
        nodes,
        environment: Vec::new(),
        directory: directory.to_owned(),
        has_standby: false,
        has_proxies: false,
    })?;
    Client::new(&cluster.operator, Duration::from_secs(60)).prepare_workspace(
        &cluster.nodes[0].base,
        30,
        false,
    )?;
    Ok(cluster)
}

fn milliseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}

/// What a durable commit costs without anything around it, in milliseconds.
fn bare_commits(url: &str, count: usize) -> Result<Vec<f64>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
        let connection = tokio::spawn(connection);
        client.batch_execute("CREATE TABLE bare (n bigint); INSERT INTO bare VALUES (0)").await?;
        let update = client.prepare("UPDATE bare SET n = n + 1").await?;
        let mut spans = Vec::with_capacity(count);
        for _ in 0..count {
            let begun = Instant::now();
            client.execute(&update, &[]).await?;
            spans.push(milliseconds(begun.elapsed()));
        }
        client.batch_execute("DROP TABLE bare").await?;
        drop(client);
        connection.await??;
        Ok(spans)
    })
}

/// Revokes keys on alternating nodes, in milliseconds from the first byte of the call to the last of the answer.
fn one_after_the_other(cluster: &Cluster, count: usize) -> Result<Vec<f64>> {
    let keys = create(cluster, count)?;
    let connect = |node: &Node| PlainClient::connect(&node.base, &cluster.operator);
    let mut clients = cluster.nodes.iter().map(connect).collect::<Result<Vec<_>>>()?;
    let mut spans = Vec::with_capacity(count);
    for (number, key) in keys.iter().enumerate() {
        let turn = number % clients.len();
        let client = &mut clients[turn];
        let path = format!("/v1/workspaces/{WORKSPACE}/keys/{key}/revoke");
        let request = client.post(&path, r#"{"reason":"measured"}"#);
        let begun = Instant::now();
        let status = client.send(&request)?;
        spans.push(milliseconds(begun.elapsed()));
        ensure!(status == 200, "a healthy node was waited for: {status}");
    }
    Ok(spans)
}

/// Creates keys with many clients, and returns their ids.
fn create(cluster: &Cluster, count: usize) -> Result<Vec<String>> {
    at_once(cluster, 32, count, |client, base, _| Ok(client.create_key(base, &[])?.0))
}

/// Calls `work` for the numbers below `count`, with `clients` at once.
fn at_once<T: Send>(
    cluster: &Cluster,
    clients: usize,
    count: usize,
    work: impl Fn(&Client, &str, usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let running: Vec<_> = (0..clients)
            .map(|number| {
                let (next, work) = (&next, &work);
                scope.spawn(move || {
                    let client = Client::new(&cluster.operator, Duration::from_secs(60));
                    let base = &cluster.nodes[number % cluster.nodes.len()].base;
                    let mut done = Vec::new();
                    loop {
                        let index = next.fetch_add(1, Relaxed);
                        if index >= count {
                            return Ok(done);
                        }
                        done.push(work(&client, base, index)?);
                    }
                })
            })
            .collect();
        let mut all = Vec::with_capacity(count);
        for client in running {
            let done: Result<Vec<T>> = client.join().map_err(|_| anyhow!("a client panicked"))?;
            all.extend(done?);
        }
        Ok(all)
    })
}

/// Revocations with a receipt per second.
fn storm(cluster: &Cluster, options: &Options) -> Result<f64> {
    let keys = create(cluster, options.storm)?;
    let begun = Instant::now();
    at_once(cluster, options.clients, keys.len(), |client, base, index| {
        ensure!(
            matches!(client.revoke(base, &keys[index])?, Revoked::Everywhere),
            "a healthy node was waited for"
        );
        Ok(())
    })?;
    let count = u32::try_from(keys.len()).context("too many")?;
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}

/// Verification on a node of the cluster against an embedded installation, in turns, each pinned to the same core.
fn verify_on_a_node(cluster: &Cluster, options: &Options, directory: &TempDir) -> Result<()> {
    let executable = options.keywright.display().to_string();
    let embedded = processes::keywright(&executable, &directory.path().join("embedded"), 1, Some(0))?;
    let node = &cluster.nodes[0];
    let pinned = Command::new("taskset")
        .args(["-a", "-p", "-c", "0", &node.pid().context("the node runs")?.to_string()])
        .output()
        .context("cannot run taskset")?;
    ensure!(pinned.status.success(), "taskset failed");
    let client = Client::new(&cluster.operator, Duration::from_secs(60));
    let (_, management) = client.create_key(&node.base, &["keys:verify"])?;
    let mut secrets = Vec::new();
    for _ in 0..1_000 {
        secrets.push(client.create_key(&node.base, &[])?.1);
    }
    let clustered = load_of(directory, "clustered", &secrets, management)?;
    let secrets = processes::create_keys(&embedded, 1_000)?;
    let management = embedded.ready["management_key"].as_str().context("no management_key")?.to_owned();
    let alone = load_of(directory, "embedded", &secrets, management)?;
    let (mut of_cluster, mut of_embedded) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        of_embedded.push(verify(&embedded.url, &alone, options)?);
        of_cluster.push(verify(&node.base, &clustered, options)?);
    }
    println!(
        "POST /v1/keys/verify, one core, 64 connections: embedded {:.0}/s, node of a cluster {:.0}/s, ratio {:.3}",
        median(&of_embedded),
        median(&of_cluster),
        median_ratio(&of_cluster, &of_embedded)
    );
    Ok(())
}

fn load_of(directory: &TempDir, name: &str, secrets: &[String], management: String) -> Result<Vec<String>> {
    let list = directory.path().join(format!("{name}.txt"));
    std::fs::write(&list, secrets.join("\n"))?;
    Ok(vec![list.display().to_string(), management])
}

fn verify(base: &str, arguments: &[String], options: &Options) -> Result<f64> {
    let measured = Load {
        url: &format!("{base}/v1/keys/verify"),
        script: "bench/wrk/verify.lua",
        arguments,
        connections: 64,
        seconds: options.seconds,
        core: Some(1),
    }
    .run()?;
    ensure!(measured.refused == 0.0, "{} answers were refusals", measured.refused);
    Ok(measured.per_second)
}

/// What nodes cost that have nothing to do.
fn idle(options: &Options) -> Result<()> {
    let directory = TempDir::new()?;
    let cluster = start(options, options.idle_nodes, directory.path())?;
    // Until the start is over: threads that only the start had work for end after ten seconds.
    thread::sleep(Duration::from_secs(15));
    let nodes: Vec<u32> = cluster.nodes.iter().filter_map(Node::pid).collect();
    let postgres = cluster.database.lock().primary.pid().context("PostgreSQL runs")?;
    let used = || -> (f64, f64) {
        (nodes.iter().copied().map(cpu_seconds_of).sum(), processes::cpu_seconds_of_family(postgres))
    };
    let (nodes_before, postgres_before) = used();
    let begun = Instant::now();
    thread::sleep(Duration::from_secs(options.idle_seconds));
    let span = begun.elapsed().as_secs_f64();
    let (nodes_after, postgres_after) = used();
    println!(
        "{} idle nodes, {span:.0} s: the nodes use {:.2} % of a core together, their PostgreSQL {:.2} %",
        options.idle_nodes,
        (nodes_after - nodes_before) / span * 100.0,
        (postgres_after - postgres_before) / span * 100.0
    );
    Ok(())
}
