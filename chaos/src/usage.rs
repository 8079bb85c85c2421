//! `keywright-chaos usage`: is every verification counted, exactly once, whatever is killed?

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::Args;

use keywright_chaos::{
    client::{Answer, Client},
    cluster::{Cluster, Setup},
};

use crate::{random::Random, say};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Rounds; in each, a node or PostgreSQL is killed under load
    #[arg(long, value_name = "N", default_value_t = 50)]
    rounds: usize,
    /// Clients for each node
    #[arg(long, value_name = "N", default_value_t = 2)]
    clients: usize,
}

/// How long the last counts may take to be in the database.
const FLUSH_MAX: Duration = Duration::from_secs(60);

/// What one client was told about its own key.
struct Told {
    key: String,
    secret: String,
    accepted: AtomicU64,
    /// Calls that got no answer: counted or not, nobody told the client.
    unanswered: AtomicU64,
}

/// Runs it; says whether every total is as it must be.
pub(crate) fn run(options: &Options, setup: &Setup, seed: u64) -> Result<bool> {
    say(&format!("{} nodes, {} rounds, seed {seed}", setup.nodes, options.rounds));
    let cluster = Arc::new(Cluster::start(setup)?);
    let operator = Client::new(&cluster.operator, Duration::from_secs(60));
    operator.prepare_workspace(&cluster.nodes[0].base, 30, false)?;
    let (_, verifier) = operator.create_key(&cluster.nodes[0].base, &["keys:verify"])?;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for node in 0..cluster.nodes.len() {
        for _ in 0..options.clients {
            let (key, secret) = operator.create_key(&cluster.nodes[0].base, &[])?;
            let (accepted, unanswered) = (AtomicU64::new(0), AtomicU64::new(0));
            let told = Arc::new(Told { key, secret, accepted, unanswered });
            let (cluster, is_over, verifier) = (Arc::clone(&cluster), Arc::clone(&is_over), verifier.clone());
            let of_client = Arc::clone(&told);
            let client =
                thread::spawn(move || verify(&cluster.nodes[node].base, &verifier, &of_client, &is_over));
            clients.push((told, client));
        }
    }
    let killed = kill_rounds(options.rounds, &cluster, &operator, &mut Random::new(seed, 0));
    is_over.store(true, Relaxed);
    let mut told = Vec::new();
    for (of_client, client) in clients {
        client.join().map_err(|_| anyhow::anyhow!("a client panicked"))?;
        told.push(of_client);
    }
    // Only now: as long as a client runs, the nodes do.
    killed?;
    compare(&told, &cluster, &operator)
}

fn verify(base: &str, verifier: &str, told: &Told, is_over: &AtomicBool) {
    let client = Client::new(verifier, Duration::from_secs(5));
    while !is_over.load(Relaxed) {
        match client.verify(base, &told.secret) {
            Ok(Answer::Accepted) => drop(told.accepted.fetch_add(1, Relaxed)),
            Ok(_) => thread::sleep(Duration::from_millis(5)),
            Err(_) => {
                told.unanswered.fetch_add(1, Relaxed);
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

fn kill_rounds(rounds: usize, cluster: &Cluster, operator: &Client, random: &mut Random) -> Result<()> {
    for round in 1..=rounds {
        thread::sleep(random.milliseconds(200, 1_500));
        // PostgreSQL in every fourth round, and both in some.
        let is_postgres = random.percent(25);
        if is_postgres {
            let database = cluster.database.lock();
            database.primary.kill();
            thread::sleep(random.milliseconds(0, 300));
            database.primary.start_again();
        }
        if !is_postgres || random.percent(30) {
            let node = &cluster.nodes[random.below(cluster.nodes.len())];
            node.kill();
            thread::sleep(random.milliseconds(0, 300));
            node.start()?;
            node.wait_ready(operator)?;
        }
        if round % 10 == 0 {
            say(&format!("round {round}"));
        }
    }
    Ok(())
}

/// Totals in the database against what clients were told.
fn compare(told: &[Arc<Told>], cluster: &Cluster, operator: &Client) -> Result<bool> {
    for node in &cluster.nodes {
        node.wait_ready(operator)?;
    }
    let base = &cluster.nodes[0].base;
    // The last round may have killed PostgreSQL just now: a node that ended before it is back would keep its counts in its own
    // directory until it is started again.
    let deadline = Instant::now() + FLUSH_MAX;
    for told in told {
        while !operator.accepted(base, &told.key).is_ok_and(|counted| counted >= told.accepted.load(Relaxed))
            && Instant::now() < deadline
        {
            thread::sleep(Duration::from_millis(200));
        }
    }
    // What nodes flush when they end comes on top.
    for node in &cluster.nodes[1..] {
        node.stop()?;
    }
    let (mut answered, mut unanswered, mut counted) = (0, 0, 0);
    let mut is_well = true;
    for told in told {
        let (accepted, unknown) = (told.accepted.load(Relaxed), told.unanswered.load(Relaxed));
        let of_key = operator.accepted(base, &told.key).context("usage cannot be read")?;
        answered += accepted;
        unanswered += unknown;
        counted += of_key;
        if of_key < accepted || of_key > accepted + unknown {
            is_well = false;
            say(&format!("{}: told {accepted}, without an answer {unknown}, counted {of_key}", told.key));
        }
    }
    say(&format!("told {answered}, without an answer {unanswered}; counted {counted}"));
    say(if is_well { "nothing was lost, and nothing counted twice" } else { "FAILED" });
    Ok(is_well)
}
