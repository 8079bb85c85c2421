//! Choices of whoever connects.

use std::{fmt, path::PathBuf, time::Duration};

use crate::announcement::AnnouncementKey;

/// The address of a database. It holds a password: nothing prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// As `postgres://user:password@host:port/database`, or in libpq's `key=value` form.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The text, for the driver only.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DatabaseUrl(…)")
    }
}

/// Whether a server may be used that does not flush its disk. It loses what was acknowledged when its machine crashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unflushed {
    /// Such a server is refused.
    #[default]
    Refuse,
    /// It is used, and [`Durability::promise`](crate::Durability::promise) says so. For tests.
    Allow,
}

/// Choices of whoever connects.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PostgresOptions {
    /// Where the database is.
    pub url: DatabaseUrl,
    /// PEM file with the certificates that the server's must be signed by. If given, the connection is encrypted and the
    /// server's name is verified; if not, it is not encrypted.
    pub tls_root_certificates: Option<PathBuf>,
    /// The schema that holds all tables. Created if missing.
    pub schema: String,
    /// Number of connections that answer questions. Each serves many questions at once.
    pub readers: usize,
    /// Most commands in one transaction.
    pub group_max: usize,
    /// Most writes, and most questions, that may wait; more are refused with
    /// [`StoreError::Unavailable`](keywright_domain::store::StoreError::Unavailable).
    pub queue_max: usize,
    /// What `pg_stat_activity` calls the connections.
    pub application_name: String,
    /// How long connecting to one address may take.
    pub connect_timeout: Duration,
    /// How long the server may work on one statement. A commit is never interrupted.
    pub statement_timeout: Duration,
    /// How long a transaction may wait for another one's.
    pub lock_timeout: Duration,
    /// How long the server keeps a transaction, and with it the lock of all writers, when nothing more is said in it,
    /// for example because this process is cut off.
    pub idle_in_transaction_timeout: Duration,
    /// How long an answer may take before the connection counts as lost. More than the statement's timeout.
    pub answer_timeout: Duration,
    /// How long the outcome of a commit is looked for after its connection was lost.
    pub resolve_timeout: Duration,
    /// After so long without traffic, TCP asks whether the other side is there, three times.
    pub tcp_keepalive: Duration,
    /// So long may bytes that were sent stay unacknowledged before TCP gives the connection up.
    pub tcp_user_timeout: Duration,
    /// What all nodes authenticate announcements with. Without it, they tell no more than that something changed.
    pub announcement_key: Option<AnnouncementKey>,
    /// Whether a server with `fsync` or `full_page_writes` switched off may be used.
    pub unflushed: Unflushed,
}

impl PostgresOptions {
    /// The usual choices for the database at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: DatabaseUrl::new(url),
            tls_root_certificates: None,
            schema: "keywright".to_owned(),
            readers: 3,
            group_max: 512,
            queue_max: 8_192,
            application_name: "keywright".to_owned(),
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(8),
            lock_timeout: Duration::from_secs(5),
            idle_in_transaction_timeout: Duration::from_secs(3),
            answer_timeout: Duration::from_secs(10),
            resolve_timeout: Duration::from_secs(8),
            tcp_keepalive: Duration::from_secs(5),
            tcp_user_timeout: Duration::from_secs(10),
            announcement_key: None,
            unflushed: Unflushed::Refuse,
        }
    }
}

/// Whether `name` can be a schema's name without being quoted: lower-case letters, digits and `_`, at most 48.
pub(crate) fn is_schema_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=48).contains(&name.len())
        && name.bytes().all(is_plain)
        && !name.as_bytes()[0].is_ascii_digit()
        && !name.starts_with("pg_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_schemas() {
        for good in ["keywright", "k", "a_1", &"x".repeat(48)] {
            assert!(is_schema_name(good), "{good}");
        }
        for bad in ["", "1a", "Keywright", "a-b", "a b", "a\"b", "pg_x", &"x".repeat(49)] {
            assert!(!is_schema_name(bad), "{bad}");
        }
    }

    #[test]
    fn the_password_is_not_printed() {
        let options = PostgresOptions::new("postgres://user:hunter2@localhost/db");
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}
