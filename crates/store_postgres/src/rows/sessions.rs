//! Sessions, and attempts to sign in.

use keywright_domain::{
    account::{Attempts, Session, SignInMethod, Subject, TokenDigest},
    ids::{SessionId, UserId},
    principal::Principal,
};
use tokio_postgres::Row;

use super::{bytes, number, principal_columns, text, time, variant};
use crate::{connect::Param, fault::Fault, params};

/// A session from its row.
pub(crate) fn session(row: &Row) -> Result<Session, Fault> {
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

/// The parameters of a new session.
pub(crate) fn session_params(session: &Session, digest: TokenDigest) -> Vec<Param> {
    params![
        session.id.to_bytes(),
        session.user.to_bytes(),
        digest.0,
        i64::from(session.method as u8),
        &session.agent,
        session.created_at,
        session.last_seen_at,
        session.authenticated_at,
    ]
}

/// What the memberships of a principal are found by.
pub(crate) fn principal_params(principal: Principal) -> Vec<Param> {
    let (kind, id) = principal_columns(principal);
    params![kind, id]
}

/// What is remembered of a subject, from its row.
pub(crate) fn attempts(row: &Row) -> Result<Attempts, Fault> {
    Ok(Attempts { failures: number(row, 0)?, last_at: time(row, 1)?, locked_until: time(row, 2)? })
}

/// The parameters of what is remembered of a subject.
pub(crate) fn attempts_params(subject: Subject, attempts: Attempts) -> Vec<Param> {
    params![subject.digest, attempts.failures, attempts.last_at, attempts.locked_until]
}
