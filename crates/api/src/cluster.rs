//! What the endpoints ask of the other nodes.

use std::time::Duration;

use async_trait::async_trait;
use keywright_domain::lease::LeaseTerm;

/// A change that a caller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// Its last sequence number in the change log.
    pub sequence: u64,
    /// The longest lease that may still vouch for the state before it.
    pub term: LeaseTerm,
}

/// How far a change is.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// No node goes by the state before it.
    Holds {
        /// Nodes that have applied it.
        nodes: u32,
        /// Nodes that were not heard of, and whose leases have run out.
        silent: u32,
    },
    /// Some nodes may still go by the state before it.
    Waiting {
        /// Which, as far as they are known.
        on: Vec<WaitingOn>,
        /// In this time it holds at the latest.
        complete_in: Duration,
    },
}

/// A node that a change waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingOn {
    /// The node's name.
    pub node: String,
    /// In this time its lease has run out at the latest.
    pub lease_left: Duration,
}

/// The store cannot be asked, or not in time, so this node cannot know whether what it has in memory is current.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this node cannot reach the database, so it can not tell what changed")]
pub struct Stale;

/// The other nodes of the installation.
///
/// Implementations never lose a change that they were asked about: a caller that stops waiting may ask again, of any
/// node, and the time that has passed counts where it is known.
#[async_trait]
pub trait Cluster: Send + Sync + 'static {
    /// Waits until every node goes by the change, at most for `patience`.
    async fn everywhere(&self, change: Awaited, patience: Duration) -> Progress;

    /// Waits until this node has applied the log up to `sequence`, at most for `patience`.
    ///
    /// # Errors
    /// [`Stale`] if it has not.
    async fn here(&self, sequence: u64, patience: Duration) -> Result<(), Stale>;

    /// Returns when this node has applied everything that was committed before the call: a verification that follows
    /// needs no lease.
    ///
    /// # Errors
    /// [`Stale`] if the store cannot be asked.
    async fn fresh(&self) -> Result<(), Stale>;
}

/// The only node there is: whatever is committed is applied before the commit is answered.
#[derive(Clone, Copy, Debug, Default)]
pub struct SingleNode;

#[async_trait]
impl Cluster for SingleNode {
    async fn everywhere(&self, _change: Awaited, _patience: Duration) -> Progress {
        Progress::Holds { nodes: 1, silent: 0 }
    }

    async fn here(&self, _sequence: u64, _patience: Duration) -> Result<(), Stale> {
        Ok(())
    }

    async fn fresh(&self) -> Result<(), Stale> {
        Ok(())
    }
}
