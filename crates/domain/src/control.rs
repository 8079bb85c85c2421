//! The control log: what the nodes of an installation agree on through their shared store.
//!
//! A store that several nodes share implements this port beside [`crate::store::Store`]. The protocol that uses it is a
//! crate of its own; here is only what it asks of the store, and what each answer must guarantee.

use std::fmt;

use async_trait::async_trait;

use crate::{change::NumberedChange, key::KeyNumber, store::StoreError};

/// One run of one process. A process that registers anew takes a new one, so that the old one is never mistaken for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub [u8; 16]);

impl fmt::Display for Incarnation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The text is not 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an incarnation has 32 hexadecimal digits")]
pub struct InvalidIncarnation;

impl std::str::FromStr for Incarnation {
    type Err = InvalidIncarnation;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_valid = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bits = u128::from_str_radix(text, 16).ok().filter(|_| is_valid).ok_or(InvalidIncarnation)?;
        Ok(Self(bits.to_be_bytes()))
    }
}

/// What identifies the history that a database server continues: after a fail-over or a restoration it is another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch {
    /// The database cluster's own identifier.
    pub system: u64,
    /// The timeline, counted up by each promotion.
    pub timeline: u32,
}

/// A place in the audit chain, which tells one history from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Anchor {
    /// Sequence number of the audit entry.
    pub audit_sequence: u64,
    /// Its hash.
    pub audit_hash: [u8; 32],
}

/// Where the numbers of the history begin that `sequence` belongs to; see [`ControlLog::begin_generation`].
pub const fn history_began(sequence: u64) -> u64 {
    (sequence >> 32) << 32
}

/// A node about to register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNode {
    /// The name that people know it by; several incarnations may have it.
    pub name: String,
    /// This run of it.
    pub incarnation: Incarnation,
    /// Where its public port is reached by the other nodes, for the self-audit. May be empty.
    pub address: String,
    /// The program's version.
    pub version: String,
    /// What it has applied already, if it registers again.
    pub applied: u64,
    /// The generation for which it has re-asserted what it knew; `None`: it knows of nothing, so the current one.
    pub reasserted: Option<u64>,
}

/// What a node asks in one statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollRequest {
    /// Who asks.
    pub incarnation: Incarnation,
    /// What it has applied. The poll acknowledges it too.
    pub applied: u64,
    /// A place in the chain that it has seen.
    pub anchor: Option<Anchor>,
}

/// The answer: one statement, one snapshot. A poll that was *sent* after the commit of a change was acknowledged to
/// anyone reflects that change.
#[expect(clippy::struct_excessive_bools, reason = "four facts that are independent of each other")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PollReply {
    /// Whether the incarnation is registered and not fenced. If so, its renewal was counted, durably.
    pub is_alive: bool,
    /// The last sequence number of the change log.
    pub head: u64,
    /// Up to here every node is known to have applied the log.
    pub stable: u64,
    /// Counts the histories of this installation.
    pub generation: u64,
    /// Whether every node that was left behind by the last change of history has re-asserted what it knew.
    pub is_generation_settled: bool,
    /// The generation for which this node has re-asserted what it knew.
    pub reasserted: u64,
    /// The node's own `challenge`, read after the renewal was counted (not in the snapshot): if it is above `head`,
    /// somebody took the node for silent meanwhile, and this answer must not extend its lease.
    pub challenge: u64,
    /// Whether the anchor of the request is in the chain (`true` without one).
    pub is_anchored: bool,
    /// A newer place in the chain.
    pub anchor: Anchor,
    /// The history that this server continues.
    pub epoch: Epoch,
    /// The history that the current generation was begun in.
    pub generation_epoch: Epoch,
    /// How many nodes are registered and not fenced.
    pub nodes: u32,
    /// Whether the server is a standby.
    pub is_standby: bool,
    /// The server's wall clock in Unix milliseconds; for expiry only, never for leases.
    pub wall_ms: i64,
}

/// A registered node as the registry shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeRow {
    /// The name.
    pub name: String,
    /// The run.
    pub incarnation: Incarnation,
    /// Where its public port is reached; may be empty.
    pub address: String,
    /// The program's version.
    pub version: String,
    /// What it has acknowledged.
    pub applied: u64,
    /// How many polls it has made.
    pub renewals: u64,
    /// The highest sequence number at which it was taken for silent.
    pub challenge: u64,
    /// The generation for which it has re-asserted what it knew.
    pub reasserted: u64,
    /// Whether it was shut out: it can never get a lease again.
    pub is_fenced: bool,
}

/// Changes that were announced. A hint: announcements may be late, repeated or lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announcement {
    /// The last of them.
    pub sequence: u64,
    /// What they are, as far as that is told: each of the changes up to `sequence` revoked one of these keys, in this order,
    /// and changed nothing else. Empty if nothing is told.
    pub revoked: Vec<KeyNumber>,
}

impl Announcement {
    /// An announcement that tells no more than a number.
    pub const fn of(sequence: u64) -> Self {
        Self { sequence, revoked: Vec::new() }
    }

    /// The sequence number of the first change that is told.
    pub const fn first(&self) -> u64 {
        (self.sequence + 1).saturating_sub(self.revoked.len() as u64)
    }
}

/// What nodes agree on through a shared store.
///
/// Every answer must come from the primary. Methods that change something return after the commit.
#[async_trait]
pub trait ControlLog: Send + Sync + 'static {
    /// Adds a row, committed durably when this returns.
    ///
    /// # Errors
    /// [`StoreError`], as with all methods.
    async fn register(&self, node: NewNode) -> Result<(), StoreError>;

    /// Renews and asks, in one statement; see [`PollReply`] for what it guarantees.
    async fn poll(&self, request: PollRequest) -> Result<PollReply, StoreError>;

    /// The changes after `sequence`, in order, without a gap, and at most `limit`: as
    /// [`Store::changes_after`](crate::store::Store::changes_after), on the way by which polls and acknowledgements go,
    /// since one follows the other.
    async fn changes_after(&self, sequence: u64, limit: u32) -> Result<Vec<NumberedChange>, StoreError>;

    /// Notes that the node has applied the log up to `applied`. May be lost in a crash of the server.
    async fn acknowledge(&self, incarnation: Incarnation, applied: u64) -> Result<(), StoreError>;

    /// The registry, fenced nodes included.
    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError>;

    /// Raises the node's `challenge` to at least `sequence` if it has made exactly `renewals` polls; says whether it
    /// had. Waits for a poll of the node that is under way.
    async fn challenge(&self, node: Incarnation, renewals: u64, sequence: u64) -> Result<bool, StoreError>;

    /// Fences the node if it has made exactly `renewals` polls; says whether it had.
    async fn fence(&self, node: Incarnation, renewals: u64) -> Result<bool, StoreError>;

    /// Removes the row of a node that is known to have ended: by itself, or by whoever saw it end. Says whether there
    /// was one. A crash of the database right afterwards may bring it back: it is waited for once more then.
    async fn forget(&self, node: Incarnation) -> Result<bool, StoreError>;

    /// Begins the generation after `generation` in the history `epoch`; says whether this call did.
    ///
    /// Two things must hold for acknowledgements from the history before to count for nothing in this one, however late
    /// they arrive. The sequence numbers of a new generation (except the first) begin far above all that the history
    /// before may have given out: at the next multiple of 2^32. And while the server's epoch is not the generation's,
    /// nothing is committed to the change log. A fetch across the jump is a gap ([`StoreError`] or nothing), never
    /// changes of the new generation alone.
    async fn begin_generation(&self, generation: u64, epoch: Epoch) -> Result<bool, StoreError>;

    /// Notes that the node has re-asserted what it knew, for `generation`.
    async fn reasserted(&self, node: Incarnation, generation: u64) -> Result<(), StoreError>;

    /// Notes that every node that is not fenced has applied the log up to `sequence`.
    async fn settle(&self, sequence: u64) -> Result<(), StoreError>;

    /// The last sequence number of the change log, at a moment after the call: what a verification that asks the store
    /// waits for.
    async fn head(&self) -> Result<u64, StoreError>;

    /// Returns when a change was announced. Never returns where the store cannot announce.
    async fn announced(&self) -> Result<Announcement, StoreError>;
}
