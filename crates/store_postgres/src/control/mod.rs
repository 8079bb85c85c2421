//! The control log: the registry of nodes and the head of the change log, on connections of its own.
//!
//! Renewals and acknowledgements never wait behind commands, and a server that does not answer is given up after two
//! seconds: the protocol tries again. Nothing is ever cancelled: a commit whose wait for a standby is cancelled counts as
//! done.

mod checks;
pub(crate) mod line;
mod sql;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use keywright_domain::{
    change::NumberedChange,
    control::{
        Anchor, Announcement, ControlLog, Epoch, Incarnation, NewNode, NodeRow, PollReply, PollRequest,
    },
    store::StoreError,
};
use tokio::{
    sync::{Mutex, watch},
    time::sleep,
};
use tokio_postgres::Row;

pub use self::checks::SecretChecks;
use self::line::{Line, Need};
use crate::{
    connect::{ConnectError, Plan, connect},
    durability::{self, Durability},
    fault::Fault,
    options::PostgresOptions,
    params, read,
    rows::{bytes, each, flag, number, optional_number, optional_text, text},
    sql::keys::CHANGES_AFTER,
};

const POLL_STATEMENTS: &[&str] = &[sql::POLL, sql::ACKNOWLEDGE, CHANGES_AFTER];
const REGISTRY_STATEMENTS: &[&str] = &[sql::NODES, sql::CHALLENGE, sql::HEAD, sql::GLANCE];

/// How long connecting may take; several addresses may be tried in it.
const CONNECT: Duration = Duration::from_secs(3);
/// How long a statement may wait for a row that another one writes.
const LOCK: Duration = Duration::from_millis(1_500);
/// How often the head is looked at where nothing is announced.
const GLANCE_EVERY: Duration = Duration::from_millis(100);

/// How a node hears of changes before its next poll.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Announcements {
    /// The server announces them (`LISTEN`), which needs a session of its own: not through a pool that hands sessions
    /// around, such as pgbouncer's transaction mode.
    #[default]
    Listen,
    /// The node looks at the head of the log ten times a second.
    Glance,
}

/// The control log in `PostgreSQL`. Used from one runtime: its connections live in the one that asked first.
pub struct PostgresControl {
    /// For polls and acknowledgements.
    own: Line,
    /// For the registry and for announcements.
    registry: Line,
    announcements: Announcements,
    announced: Mutex<Heard>,
}

/// The log as people look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Overview {
    /// The last sequence number of the change log.
    pub head: u64,
    /// Up to here every node is known to have applied the log.
    pub stable: u64,
    /// Counts the histories of this installation; 0 before the first node.
    pub generation: u64,
    /// The history that the current generation was begun in.
    pub generation_epoch: Epoch,
    /// The history that the server continues.
    pub epoch: Epoch,
}

/// What was heard of already.
#[derive(Default)]
struct Heard {
    receiver: Option<watch::Receiver<Announcement>>,
    head: u64,
}

impl PostgresControl {
    /// A control log whose store is at the same place. Nothing is connected yet.
    ///
    /// # Errors
    /// [`ConnectError::Options`].
    pub fn new(mut options: PostgresOptions, announcements: Announcements) -> Result<Self, ConnectError> {
        options.application_name.push_str(" control");
        options.connect_timeout = options.connect_timeout.min(CONNECT);
        options.lock_timeout = LOCK;
        let plan = Arc::new(Plan::new(options)?);
        let listen = match announcements {
            Announcements::Listen => Some(format!("LISTEN {}", plan.announcer.channel())),
            Announcements::Glance => None,
        };
        Ok(Self {
            own: Line::new(Arc::clone(&plan), POLL_STATEMENTS, None),
            registry: Line::new(plan, REGISTRY_STATEMENTS, listen),
            announcements,
            announced: Mutex::default(),
        })
    }

    /// What the server says of how it keeps acknowledged changes, over a connection of its own.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn durability(options: PostgresOptions) -> Result<Durability, ConnectError> {
        let (connected, _driver) = connect(&Plan::new(options)?).await?;
        durability::read(&connected).await.map_err(ConnectError::Store)
    }

    /// The log as people look at it. Renews nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn overview(&self) -> Result<Overview, StoreError> {
        let rows = self.registry.query(sql::OVERVIEW, params![], Need::Answer).await?;
        overview(rows.first().ok_or_else(no_head)?).map_err(Fault::into_store_error)
    }

    async fn changed(
        &self,
        sql: &'static str,
        params: Vec<crate::connect::Param>,
    ) -> Result<bool, StoreError> {
        Ok(!self.registry.query(sql, params, Need::Durable).await?.is_empty())
    }

    async fn glance(&self, heard: &mut Heard) -> Result<u64, StoreError> {
        loop {
            sleep(GLANCE_EVERY).await;
            let last = sequence(&self.registry.query(sql::GLANCE, params![], Need::Answer).await?)?;
            if last != heard.head {
                heard.head = last;
                return Ok(last);
            }
        }
    }
}

#[async_trait]
impl ControlLog for PostgresControl {
    async fn register(&self, node: NewNode) -> Result<(), StoreError> {
        self.own.query(sql::SWEEP, params![], Need::Answer).await?;
        let values =
            params![node.name, node.incarnation.0, node.address, node.version, node.applied, node.reasserted];
        self.own.query(sql::REGISTER, values, Need::Durable).await?;
        Ok(())
    }

    async fn poll(&self, request: PollRequest) -> Result<PollReply, StoreError> {
        let anchor = request.anchor;
        let values = params![
            request.incarnation.0,
            request.applied,
            anchor.map(|anchor| anchor.audit_sequence),
            anchor.map(|anchor| anchor.audit_hash)
        ];
        let rows = self.own.query(sql::POLL, values, Need::Durable).await?;
        let row = rows.first().ok_or_else(no_head)?;
        reply(row).map_err(Fault::into_store_error)
    }

    async fn changes_after(&self, sequence: u64, limit: u32) -> Result<Vec<NumberedChange>, StoreError> {
        self.own
            .read(|connected| async move { read::changes::after(&connected, sequence, limit).await })
            .await
    }

    async fn acknowledge(&self, incarnation: Incarnation, applied: u64) -> Result<(), StoreError> {
        self.own.query(sql::ACKNOWLEDGE, params![incarnation.0, applied], Need::Answer).await?;
        Ok(())
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        let rows = self.registry.query(sql::NODES, params![], Need::Answer).await?;
        each(&rows, node).map_err(Fault::into_store_error)
    }

    async fn challenge(&self, node: Incarnation, renewals: u64, sequence: u64) -> Result<bool, StoreError> {
        self.changed(sql::CHALLENGE, params![node.0, renewals, sequence]).await
    }

    async fn fence(&self, node: Incarnation, renewals: u64) -> Result<bool, StoreError> {
        self.changed(sql::FENCE, params![node.0, renewals]).await
    }

    async fn forget(&self, node: Incarnation) -> Result<bool, StoreError> {
        Ok(!self.registry.query(sql::FORGET, params![node.0], Need::Answer).await?.is_empty())
    }

    async fn begin_generation(&self, generation: u64, epoch: Epoch) -> Result<bool, StoreError> {
        self.changed(sql::BEGIN_GENERATION, params![generation, epoch_text(epoch)]).await
    }

    async fn reasserted(&self, node: Incarnation, generation: u64) -> Result<(), StoreError> {
        self.own.query(sql::REASSERTED, params![node.0, generation], Need::Durable).await?;
        Ok(())
    }

    async fn settle(&self, sequence: u64) -> Result<(), StoreError> {
        self.registry.query(sql::SETTLE, params![sequence], Need::Answer).await?;
        Ok(())
    }

    async fn head(&self) -> Result<u64, StoreError> {
        sequence(&self.registry.query(sql::HEAD, params![], Need::Durable).await?)
    }

    async fn announced(&self) -> Result<Announcement, StoreError> {
        let mut heard = self.announced.lock().await;
        match self.announcements {
            Announcements::Listen if !self.registry.is_greeting_refused() => {
                self.registry.announced(&mut heard.receiver).await
            }
            // Also on engines that speak PostgreSQL's language without `LISTEN`.
            Announcements::Listen | Announcements::Glance => {
                self.glance(&mut heard).await.map(Announcement::of)
            }
        }
    }
}

/// The number in the only row.
fn sequence(rows: &[Row]) -> Result<u64, StoreError> {
    number(rows.first().ok_or_else(no_head)?, 0).map_err(Fault::into_store_error)
}

fn no_head() -> StoreError {
    StoreError::Damaged("the head of the log is gone".to_owned())
}

fn overview(row: &Row) -> Result<Overview, Fault> {
    Ok(Overview {
        head: number(row, 0)?,
        stable: number(row, 1)?,
        generation: number(row, 2)?,
        generation_epoch: parse_epoch(text(row, 3)?),
        epoch: epoch(row, 4)?,
    })
}

/// The timeline, and the system in the column behind it.
fn epoch(row: &Row, column: usize) -> Result<Epoch, Fault> {
    let timeline = optional_text(row, column)?.and_then(|text| u32::from_str_radix(text, 16).ok());
    // The database keeps the identifier as a signed number.
    let system: i64 = number(row, column + 1)?;
    Ok(Epoch { system: system.cast_unsigned(), timeline: timeline.unwrap_or(0) })
}

fn reply(row: &Row) -> Result<PollReply, Fault> {
    let challenge = optional_number(row, 0)?;
    Ok(PollReply {
        is_alive: challenge.is_some(),
        challenge: challenge.unwrap_or(0),
        reasserted: optional_number(row, 1)?.unwrap_or(0),
        head: number(row, 2)?,
        stable: number(row, 3)?,
        generation: number(row, 4)?,
        generation_epoch: parse_epoch(text(row, 5)?),
        anchor: Anchor { audit_sequence: number(row, 6)?, audit_hash: bytes(row, 7)? },
        is_anchored: flag(row, 8)?,
        is_generation_settled: flag(row, 9)?,
        nodes: number(row, 10)?,
        is_standby: flag(row, 11)?,
        epoch: epoch(row, 12)?,
        wall_ms: number(row, 14)?,
    })
}

fn node(row: &Row) -> Result<NodeRow, Fault> {
    Ok(NodeRow {
        name: text(row, 0)?.to_owned(),
        incarnation: Incarnation(bytes(row, 1)?),
        address: text(row, 2)?.to_owned(),
        version: text(row, 3)?.to_owned(),
        applied: number(row, 4)?,
        renewals: number(row, 5)?,
        challenge: number(row, 6)?,
        reasserted: number(row, 7)?,
        is_fenced: flag(row, 8)?,
    })
}

/// As the database itself would write it: its identifier is a signed number there.
fn epoch_text(epoch: Epoch) -> String {
    format!("{}/{}", epoch.system.cast_signed(), epoch.timeline)
}

/// What is kept before the first generation, or cannot be read, is no history that a server has.
fn parse_epoch(text: &str) -> Epoch {
    let parsed = text
        .split_once('/')
        .and_then(|(system, timeline)| Some((system.parse::<i64>().ok()?, timeline.parse().ok()?)));
    parsed
        .map_or_else(Epoch::default, |(system, timeline)| Epoch { system: system.cast_unsigned(), timeline })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_as_text() {
        let epoch = Epoch { system: u64::MAX, timeline: 7 };
        assert_eq!(parse_epoch(&epoch_text(epoch)), epoch);
        for text in ["", "/", "1", "1/", "1/-2", "1/x"] {
            assert_eq!(parse_epoch(text), Epoch::default(), "{text}");
        }
    }
}
