//! `keywright-chaos revoke`: does a revoked key stay revoked?

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};

use keywright_chaos::{
    client::Client,
    cluster::{Cluster, Setup},
};

use crate::{
    faults::{self, Fault, Plan},
    history::History,
    load::{Load, Watched},
    random::Random,
    say,
};

/// Designs and environments that must be caught: a harness that finds nothing wrong with them finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Control {
    /// A revocation returns after the commit and an announcement; nodes have no leases. What the industry does.
    NoBarrier,
    /// A revocation waits for acknowledgements of the nodes heard of within one second; nodes have no leases.
    NoLease,
    /// The first node's clock runs at three tenths of the speed.
    SlowClock,
}

impl Control {
    /// How the server is told, if it was built with the feature `negative-controls`.
    const fn as_str(self) -> &'static str {
        match self {
            Self::NoBarrier => "no-barrier",
            Self::NoLease => "no-lease",
            Self::SlowClock => "slow-clock",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How long
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// Lease of the workspace, in seconds: 0, 3, 30 or 300
    #[arg(long, value_name = "N", default_value_t = 3)]
    lease_seconds: u32,
    /// Use atomic mode, and demand that no key is accepted after it was refused
    #[arg(long)]
    atomic: bool,
    /// Also kill the primary and promote a synchronous standby
    #[arg(long)]
    fail_over: bool,
    /// Faults to make; all by default
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND")]
    faults: Vec<Fault>,
    /// Run a design that must be caught; needs a server built with the feature `negative-controls`
    #[arg(long, value_enum, value_name = "DESIGN")]
    control: Option<Control>,
    /// Fail unless at least so many faults were made
    #[arg(long, value_name = "N", default_value_t = 0)]
    min_faults: u64,
    /// Fail unless at least so many verifications began after a revocation had returned
    #[arg(long, value_name = "N", default_value_t = 1)]
    min_verifications: u64,
    /// Clients that verify, for each node
    #[arg(long, value_name = "N", default_value_t = 2)]
    verifiers: usize,
    /// Clients that create and revoke
    #[arg(long, value_name = "N", default_value_t = 4)]
    revokers: usize,
}

/// Runs it; says whether everything was as it must be.
pub(crate) fn run(options: &Options, mut setup: Setup, seed: u64) -> Result<bool> {
    setup.has_standby = options.fail_over;
    if let Some(control) = options.control {
        let nodes = if control == Control::SlowClock { 0..1 } else { 0..setup.nodes };
        let name = "KEYWRIGHT_NEGATIVE_CONTROL".to_owned();
        setup.environment.extend(nodes.map(|node| (node, name.clone(), control.as_str().to_owned())));
    }
    say(&format!(
        "{} nodes, lease {} s, {} s, seed {seed}{}",
        setup.nodes,
        options.lease_seconds,
        options.seconds,
        options
            .control
            .map_or_else(String::new, |control| format!(", negative control {}", control.as_str())),
    ));
    let cluster = Arc::new(Cluster::start(&setup)?);
    let history = Arc::new(History::new(options.atomic));
    let load = prepare(&cluster, &history, options, seed)?;
    let clients = load.start(options.verifiers, options.revokers);
    let faults = start_faults(&cluster, &history, options, seed);
    let caught = watch(&history, &cluster, Duration::from_secs(options.seconds), options.control.is_some());
    history.end();
    faults.join().map_err(|_| anyhow::anyhow!("the faults panicked"))??;
    // A process that was stopped goes on, so that it can be ended.
    cluster.nodes.iter().for_each(keywright_chaos::cluster::Node::go_on);
    for client in clients {
        client.join().map_err(|_| anyhow::anyhow!("a client panicked"))?;
    }
    report(&history);
    let is_well = judge(options, &history, caught);
    if !is_well || history.is_violated() {
        let path = setup.directory.join("history.jsonl");
        history.write_to(&path).context("the history cannot be written")?;
    }
    Ok(is_well)
}

fn prepare(cluster: &Arc<Cluster>, history: &Arc<History>, options: &Options, seed: u64) -> Result<Load> {
    let operator = Client::new(&cluster.operator, Duration::from_secs(60));
    let base = &cluster.nodes[0].base;
    operator.prepare_workspace(base, options.lease_seconds, options.atomic)?;
    let (_, verifier) = operator.create_key(base, &["keys:verify"])?;
    Ok(Load {
        cluster: Arc::clone(cluster),
        history: Arc::clone(history),
        watched: Arc::new(Watched::default()),
        verifier,
        seed,
    })
}

fn start_faults(
    cluster: &Arc<Cluster>,
    history: &Arc<History>,
    options: &Options,
    seed: u64,
) -> thread::JoinHandle<Result<()>> {
    let (cluster, history) = (Arc::clone(cluster), Arc::clone(history));
    let plan = plan(options, cluster.nodes.len());
    thread::spawn(move || {
        let made = faults::run(&cluster, &history, &plan, &mut Random::new(seed, 0));
        if made.is_err() {
            history.end();
        }
        made
    })
}

fn plan(options: &Options, nodes: usize) -> Plan {
    if !options.faults.is_empty() {
        return Plan { kinds: options.faults.clone(), nodes: 0..nodes, long_percent: 25 };
    }
    if options.control == Some(Control::SlowClock) {
        // What brings it to light: the node with that clock is cut off for longer than a revocation waits. Among all other
        // faults that comes about once in two minutes only.
        return Plan { kinds: vec![Fault::Partition], nodes: 0..1, long_percent: 50 };
    }
    let mut kinds = Fault::WITHOUT_STANDBY.to_vec();
    if options.fail_over {
        kinds.push(Fault::FailOver);
    }
    Plan { kinds, nodes: 0..nodes, long_percent: 25 }
}

/// Waits for the end; of a negative control, for the first violation. Says when that came.
fn watch(history: &History, cluster: &Cluster, span: Duration, is_control: bool) -> Option<Duration> {
    let begun = Instant::now();
    let mut next_line = Duration::from_secs(10);
    while begun.elapsed() < span && !history.is_over() {
        thread::sleep(Duration::from_millis(50));
        if history.is_violated() && is_control {
            return Some(begun.elapsed());
        }
        if begun.elapsed() > next_line {
            next_line += Duration::from_secs(10);
            let counts = &history.counts;
            say(&format!(
                "{:>4} s: {} faults, {} revocations, {} verifications after one, {} accepted",
                begun.elapsed().as_secs(),
                counts.faults.load(Relaxed),
                counts.revocations.load(Relaxed),
                counts.after_revoke.load(Relaxed),
                counts.stale_accepts.load(Relaxed)
            ));
        }
        for node in cluster.nodes.iter().filter(|node| node.has_ended()) {
            say(&format!("{} ended by itself", node.base));
            drop(node.start());
        }
    }
    history.is_violated().then(|| begun.elapsed())
}

fn report(history: &History) {
    let counts = &history.counts;
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Relaxed);
    say(&format!(
        "faults {}; revocations with a receipt {}, of which by operation {}; verifications {}, \
         begun after a receipt {}, unavailable {}, revoking {}, unanswered {}",
        count(&counts.faults),
        count(&counts.revocations),
        count(&counts.waited),
        count(&counts.verifications),
        count(&counts.after_revoke),
        count(&counts.unavailable),
        count(&counts.revoking),
        count(&counts.unanswered),
    ));
    say(&format!(
        "accepted after a receipt {} (latest {:.1} ms after it); accepted after a refusal, during a revocation {}",
        count(&counts.stale_accepts),
        std::time::Duration::from_micros(count(&counts.worst_stale_us)).as_secs_f64() * 1e3,
        count(&counts.flip_backs),
    ));
    for violation in history.violations() {
        say(&violation);
    }
}

fn judge(options: &Options, history: &History, caught: Option<Duration>) -> bool {
    if let Some(control) = options.control {
        let name = control.as_str();
        say(&caught.map_or_else(
            || format!("{name}: NOT caught: this harness proves nothing"),
            |after| format!("{name}: caught after {:.1} s, as it must be", after.as_secs_f64()),
        ));
        return caught.is_some();
    }
    let counts = &history.counts;
    let enough = [
        ("faults", counts.faults.load(Relaxed), options.min_faults),
        ("verifications after a receipt", counts.after_revoke.load(Relaxed), options.min_verifications),
        ("revocations", counts.revocations.load(Relaxed), 1),
    ];
    let missing: Vec<_> = enough.iter().filter(|(_, found, wanted)| found < wanted).collect();
    for (what, found, wanted) in &missing {
        say(&format!("too few {what}: {found}, not {wanted}"));
    }
    let is_well = missing.is_empty() && !history.is_violated();
    say(if is_well { "every revoked key stayed revoked" } else { "FAILED" });
    is_well
}
