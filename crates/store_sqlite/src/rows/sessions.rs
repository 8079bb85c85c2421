//! Sessions, and attempts to sign in.

use keywright_domain::{
    account::{Attempts, Session, SignInMethod, Subject, TokenDigest},
    ids::{SessionId, UserId},
    principal::{Membership, Principal},
};
use rusqlite::{Connection, Row, params};

use super::{
    bytes,
    installation::{all, first},
    members::membership,
    principal_columns, text, time, variant,
};
use crate::{fault::Fault, sql};

/// A session from its row.
fn session(row: &Row<'_>) -> Result<Session, Fault> {
    Ok(Session {
        id: SessionId::from_bytes(bytes(row, 0)?),
        user: UserId::from_bytes(bytes(row, 1)?),
        method: variant(row, 2, SignInMethod::from_u8)?,
        agent: text(row, 3)?.to_owned(),
        created_at: time(row, 4)?,
        last_seen_at: time(row, 5)?,
        authenticated_at: time(row, 6)?,
    })
}

/// The session that a token belongs to.
pub(crate) fn by_digest(connection: &Connection, digest: TokenDigest) -> Result<Option<Session>, Fault> {
    first(connection, sql::accounts::SESSION_BY_DIGEST, [digest.0], session)
}

/// The sessions of a user, newest first.
pub(crate) fn of_user(connection: &Connection, user: UserId) -> Result<Vec<Session>, Fault> {
    all(connection, sql::accounts::SESSIONS_OF, [user.to_bytes()], session)
}

/// Keeps a new session.
pub(crate) fn insert(connection: &Connection, session: &Session, digest: TokenDigest) -> Result<(), Fault> {
    connection.prepare_cached(sql::accounts::INSERT_SESSION)?.execute(params![
        session.id.to_bytes(),
        session.user.to_bytes(),
        digest.0,
        session.method as u8,
        session.agent,
        session.created_at.unix_ms(),
        session.last_seen_at.unix_ms(),
        session.authenticated_at.unix_ms(),
    ])?;
    Ok(())
}

/// A session ends.
pub(crate) fn delete(connection: &Connection, id: SessionId) -> Result<(), Fault> {
    connection.prepare_cached(sql::accounts::DELETE_SESSION)?.execute([id.to_bytes()])?;
    Ok(())
}

/// The memberships of a principal that have not ended.
pub(crate) fn memberships_of(
    connection: &Connection,
    principal: Principal,
) -> Result<Vec<Membership>, Fault> {
    let (kind, id) = principal_columns(principal);
    all(connection, sql::installation::MEMBERSHIPS_OF, params![kind, id], membership)
}

/// What is remembered of a subject.
pub(crate) fn attempts(connection: &Connection, subject: Subject) -> Result<Option<Attempts>, Fault> {
    first(connection, sql::accounts::ATTEMPTS, [subject.digest], |row| {
        Ok(Attempts { failures: row.get(0)?, last_at: time(row, 1)?, locked_until: time(row, 2)? })
    })
}

/// What is remembered of a subject from now on.
pub(crate) fn put_attempts(
    connection: &Connection,
    subject: Subject,
    attempts: Attempts,
) -> Result<(), Fault> {
    let Attempts { failures, last_at, locked_until } = attempts;
    let values = params![subject.digest, failures, last_at.unix_ms(), locked_until.unix_ms()];
    connection.prepare_cached(sql::accounts::PUT_ATTEMPTS)?.execute(values)?;
    Ok(())
}
