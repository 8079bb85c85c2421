//! What goes wrong, in an order that follows from the seed.

use std::{ops::Range, thread, time::Duration};

use anyhow::Result;
use clap::ValueEnum;

use keywright_chaos::cluster::Cluster;

use crate::{history::History, random::Random};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// A node's process is stopped (SIGSTOP) and goes on later.
    Pause,
    /// A node is killed (SIGKILL) and started again.
    Kill,
    /// A node is cut off from PostgreSQL; its clients still reach it.
    Partition,
    /// A node's packets to and from PostgreSQL are late.
    Delay,
    /// The connections of a node are closed.
    Cut,
    /// All nodes are cut off.
    PartitionAll,
    /// PostgreSQL crashes and starts again.
    CrashPostgres,
    /// PostgreSQL's primary is killed and the standby promoted.
    FailOver,
}

impl Fault {
    /// All but the promotion of a standby, which needs one.
    pub(crate) const WITHOUT_STANDBY: [Self; 7] = [
        Self::Pause,
        Self::Kill,
        Self::Partition,
        Self::Delay,
        Self::Cut,
        Self::PartitionAll,
        Self::CrashPostgres,
    ];

    /// How often it comes, relative to the others.
    const fn weight(self) -> usize {
        match self {
            Self::Pause | Self::Partition => 5,
            Self::Kill => 4,
            Self::Delay => 3,
            Self::Cut => 2,
            Self::PartitionAll | Self::CrashPostgres | Self::FailOver => 1,
        }
    }
}

/// Which faults are made.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Kinds of them.
    pub(crate) kinds: Vec<Fault>,
    /// The places of the nodes that they hit.
    pub(crate) nodes: Range<usize>,
    /// How many of a hundred last longer than a lease of three seconds.
    pub(crate) long_percent: u64,
}

/// Makes faults until the history ends.
pub(crate) fn run(cluster: &Cluster, history: &History, plan: &Plan, random: &mut Random) -> Result<()> {
    let deck: Vec<Fault> =
        plan.kinds.iter().flat_map(|kind| std::iter::repeat_n(*kind, kind.weight())).collect();
    while !history.is_over() && !deck.is_empty() {
        thread::sleep(random.milliseconds(100, 500));
        make(cluster, history, plan, deck[random.below(deck.len())], random)?;
    }
    Ok(())
}

fn make(cluster: &Cluster, history: &History, plan: &Plan, fault: Fault, random: &mut Random) -> Result<()> {
    let number = plan.nodes.start + random.below(plan.nodes.len());
    let node = &cluster.nodes[number];
    let is_long = random.percent(plan.long_percent);
    let span = if is_long { random.milliseconds(3_000, 6_000) } else { random.milliseconds(100, 1_800) };
    let on_node = format!("{fault:?} node {} for {span:?}", number + 1);
    match fault {
        Fault::Pause => {
            history.fault(on_node);
            node.pause();
            thread::sleep(span);
            node.go_on();
        }
        Fault::Kill => {
            let down = random.milliseconds(0, 1_000);
            history.fault(format!("Kill node {}, start again after {down:?}", number + 1));
            node.kill();
            thread::sleep(down);
            node.start()?;
            thread::sleep(random.milliseconds(0, 500));
        }
        Fault::Partition => {
            history.fault(on_node);
            node.proxy.set_black_hole(true);
            thread::sleep(span);
            node.proxy.set_black_hole(false);
        }
        Fault::Delay => {
            history.fault(on_node);
            node.proxy.set_delay(Duration::from_millis(60));
            thread::sleep(span);
            node.proxy.set_delay(Duration::ZERO);
        }
        Fault::Cut => {
            history.fault(format!("Cut node {}", number + 1));
            node.proxy.cut();
        }
        Fault::PartitionAll => {
            history.fault(format!("PartitionAll for {span:?}"));
            cluster.nodes.iter().for_each(|node| node.proxy.set_black_hole(true));
            thread::sleep(span);
            cluster.nodes.iter().for_each(|node| node.proxy.set_black_hole(false));
        }
        Fault::CrashPostgres => {
            history.fault("CrashPostgres".to_owned());
            cluster.database.lock().primary.restart_immediate();
        }
        Fault::FailOver => {
            history.fault("FailOver".to_owned());
            cluster.fail_over()?;
        }
    }
    Ok(())
}
