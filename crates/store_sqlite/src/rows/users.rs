//! Users: the only place that reads or writes what is known of a person.

use keywright_domain::{
    ids::UserId,
    principal::{Membership, User},
    vault::SealedUser,
    workspace::{Slug, WorkspaceNumber},
};
use rusqlite::{Connection, Row, params};

use super::{
    bytes,
    installation::{all, first},
    members::membership,
    optional_text, text, time, unreadable,
};
use crate::{
    fault::Fault,
    sealing::{Sealer, Sealing},
    sql,
};

/// A user by id; `None` also when they were erased.
pub(crate) fn by_id(connection: &Connection, sealing: &Sealing, id: UserId) -> Result<Option<User>, Fault> {
    Ok(first(connection, sql::sealing::USER, [id.to_bytes()], |row| user(row, sealing))?.flatten())
}

/// The user who signs in with this address.
pub(crate) fn by_email(
    connection: &Connection,
    sealing: &Sealing,
    email: &str,
) -> Result<Option<User>, Fault> {
    let index = sealing.email_index(email);
    Ok(first(connection, sql::sealing::USER_BY_EMAIL, [index], |row| user(row, sealing))?.flatten())
}

/// The memberships of a person that have not ended, each with its workspace's number and slug.
pub(crate) fn memberships(
    connection: &Connection,
    user: UserId,
) -> Result<Vec<(Membership, WorkspaceNumber, Slug)>, Fault> {
    all(connection, sql::sealing::MEMBERSHIPS_OF_PERSON, [user.to_bytes()], |row| {
        let slug = Slug::parse(text(row, 10)?).map_err(|_| unreadable(row, 10))?;
        Ok((membership(row)?, WorkspaceNumber(row.get(9)?), slug))
    })
}

fn user(row: &Row<'_>, sealing: &Sealing) -> Result<Option<User>, Fault> {
    let id = UserId::from_bytes(bytes(row, 0)?);
    let Some((email, name)) = sealing.open_user(row, id, 3)? else { return Ok(None) };
    let password_hash = optional_text(row, 1)?.map(str::to_owned);
    Ok(Some(User { id, email, name, password_hash, created_at: time(row, 2)? }))
}

/// Keeps a new user, sealed under a data key of their own.
pub(crate) fn insert(connection: &Connection, sealer: &mut Sealer, user: &User) -> Result<(), Fault> {
    let key = sealer.new_person(connection, user.id)?;
    let SealedUser { email_index, sealed } = sealer.sealing().seal_user(&key, user);
    connection.prepare_cached(sql::installation::INSERT_USER)?.execute(params![
        user.id.to_bytes(),
        user.password_hash,
        user.created_at.unix_ms(),
        email_index,
        sealed,
    ])?;
    Ok(())
}

/// Keeps another address or name of a user.
pub(crate) fn rename(connection: &Connection, sealer: &mut Sealer, user: &User) -> Result<(), Fault> {
    let SealedUser { email_index, sealed } = sealer.seal_again(connection, user)?;
    let values = params![user.id.to_bytes(), email_index, sealed];
    connection.prepare_cached(sql::sealing::SEAL_USER)?.execute(values)?;
    Ok(())
}
