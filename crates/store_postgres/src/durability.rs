//! What the server promises about changes that it acknowledged.

use keywright_domain::store::StoreError;
use tokio_postgres::{Client, Row};

use crate::{
    connect::{ConnectError, Connected},
    fault::Fault,
    options::Unflushed,
    params,
    rows::{flag, number, optional_text, text},
    sql::journal as sql,
};

/// The oldest major version of `PostgreSQL` that is used.
pub(crate) const OLDEST_VERSION: i64 = 14;

/// What a connection was told when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    version_number: i64,
    is_in_recovery: bool,
    fsync: bool,
    full_page_writes: bool,
    /// The history that the server continues, as the table `head` keeps it. It does not change while a connection to a
    /// primary lasts.
    pub(crate) epoch: String,
}

impl Settings {
    pub(crate) async fn read(client: &Client) -> Result<Self, Fault> {
        let row = client.query_one(sql::SETTINGS, &[]).await?;
        let system: i64 = number(&row, 4)?;
        let timeline = optional_text(&row, 5)?.and_then(|text| u32::from_str_radix(text, 16).ok());
        Ok(Self {
            epoch: format!("{system}/{}", timeline.unwrap_or(0)),
            version_number: number(&row, 0)?,
            is_in_recovery: flag(&row, 1)?,
            fsync: text(&row, 2)? == "on",
            full_page_writes: text(&row, 3)? == "on",
        })
    }

    /// Whether the server can be used at all.
    pub(crate) fn check(&self, unflushed: Unflushed) -> Result<(), ConnectError> {
        let major = self.version_number / 10_000;
        if major < OLDEST_VERSION {
            return Err(ConnectError::TooOld { found: major });
        }
        if self.is_in_recovery {
            return Err(ConnectError::Standby);
        }
        match unflushed {
            Unflushed::Refuse if !self.fsync => Err(ConnectError::Unflushed("fsync")),
            Unflushed::Refuse if !self.full_page_writes => Err(ConnectError::Unflushed("full_page_writes")),
            _ => Ok(()),
        }
    }
}

/// How the server keeps what it acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Durability {
    /// The server's version, such as 150004.
    pub version_number: i64,
    /// Whether it flushes its disk.
    pub fsync: bool,
    /// Whether it survives pages that were written by half.
    pub full_page_writes: bool,
    /// What commits wait for by default. Keywright's own always wait.
    pub synchronous_commit: String,
    /// Which standbys commits wait for; empty: none.
    pub synchronous_standby_names: String,
    /// Number of standbys that commits wait for, now.
    pub synchronous_standbys: u64,
    /// Number of standbys and other followers that commits do not wait for, now.
    pub asynchronous_standbys: u64,
    /// The server's history: another after each failover.
    pub timeline: String,
    /// The cluster: another after an installation from nothing.
    pub system_identifier: i64,
}

/// What becomes of an acknowledged change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Promise {
    /// It stays, as long as no standby is promoted that commits did not wait for.
    Strict,
    /// It stays as long as this server does. A standby follows that may lack the newest changes when it is promoted.
    BestEffortAcrossFailover,
    /// It may be lost.
    None {
        /// Why.
        reason: String,
    },
}

impl Durability {
    pub(crate) async fn read(connected: &Connected) -> Result<Self, Fault> {
        let rows = connected.query(sql::DURABILITY, params![]).await?;
        let row =
            rows.first().ok_or_else(|| Fault::Damaged("the server tells nothing of itself".to_owned()))?;
        Self::from_row(row)
    }

    fn from_row(row: &Row) -> Result<Self, Fault> {
        Ok(Self {
            version_number: number(row, 0)?,
            fsync: text(row, 1)? == "on",
            full_page_writes: text(row, 2)? == "on",
            synchronous_commit: text(row, 3)?.to_owned(),
            synchronous_standby_names: text(row, 4)?.to_owned(),
            synchronous_standbys: number(row, 5)?,
            asynchronous_standbys: number(row, 6)?,
            timeline: optional_text(row, 7)?.unwrap_or_default().to_owned(),
            system_identifier: number(row, 8)?,
        })
    }

    /// Whether something follows the server that commits do not wait for.
    pub const fn is_asynchronous(&self) -> bool {
        self.asynchronous_standbys > 0
    }

    /// The promise in force.
    pub fn promise(&self) -> Promise {
        let off = |setting: &str| Promise::None { reason: format!("{setting} is off") };
        if !self.fsync {
            return off("fsync");
        }
        if !self.full_page_writes {
            return off("full_page_writes");
        }
        if self.is_asynchronous() { Promise::BestEffortAcrossFailover } else { Promise::Strict }
    }
}

/// What the server says of itself now.
pub(crate) async fn read(connected: &Connected) -> Result<Durability, StoreError> {
    Durability::read(connected).await.map_err(Fault::into_store_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lone() -> Durability {
        Durability {
            version_number: 150_004,
            fsync: true,
            full_page_writes: true,
            synchronous_commit: "on".to_owned(),
            synchronous_standby_names: String::new(),
            synchronous_standbys: 0,
            asynchronous_standbys: 0,
            timeline: "00000001".to_owned(),
            system_identifier: 1,
        }
    }

    #[test]
    fn promises() {
        assert_eq!(lone().promise(), Promise::Strict);
        let followed = Durability { asynchronous_standbys: 1, ..lone() };
        assert_eq!(followed.promise(), Promise::BestEffortAcrossFailover);
        let quorum = Durability { synchronous_standbys: 1, ..lone() };
        assert_eq!(quorum.promise(), Promise::Strict);
        for careless in [
            Durability { fsync: false, ..followed.clone() },
            Durability { full_page_writes: false, ..lone() },
        ] {
            assert!(matches!(careless.promise(), Promise::None { .. }));
        }
    }

    #[test]
    fn servers_that_are_refused() {
        let good = Settings {
            version_number: 140_000,
            is_in_recovery: false,
            fsync: true,
            full_page_writes: true,
            epoch: String::new(),
        };
        assert!(good.check(Unflushed::Refuse).is_ok());
        let old = Settings { version_number: 139_999, ..good.clone() };
        assert!(matches!(old.check(Unflushed::Allow), Err(ConnectError::TooOld { found: 13 })));
        let standby = Settings { is_in_recovery: true, ..good.clone() };
        assert!(matches!(standby.check(Unflushed::Allow), Err(ConnectError::Standby)));
        let unsafe_ = Settings { fsync: false, ..good };
        assert!(matches!(unsafe_.check(Unflushed::Refuse), Err(ConnectError::Unflushed("fsync"))));
        assert!(unsafe_.check(Unflushed::Allow).is_ok());
    }
}
