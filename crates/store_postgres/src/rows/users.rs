//! Users: the only place that reads or writes what is known of a person.

use keywright_domain::{
    ids::UserId,
    principal::{Membership, User},
    vault::SealedUser,
    workspace::{Slug, WorkspaceNumber},
};
use tokio_postgres::Row;

use super::{bytes, number, optional_text, text, time, unreadable};
use crate::{connect::Param, fault::Fault, params, sealing::Sealing};

/// A membership with its workspace's number and slug.
pub(crate) fn membership(row: &Row) -> Result<(Membership, WorkspaceNumber, Slug), Fault> {
    let slug = Slug::parse(text(row, 10)?).map_err(|_| unreadable(row, 10))?;
    Ok((super::members::membership(row)?, WorkspaceNumber(number(row, 9)?), slug))
}

/// A user from their row; `None`: they were erased.
pub(crate) fn user(row: &Row, sealing: &Sealing) -> Result<Option<User>, Fault> {
    let id = UserId::from_bytes(bytes(row, 0)?);
    let Some((email, name)) = sealing.open_user(row, id, 3)? else { return Ok(None) };
    let password_hash = optional_text(row, 1)?.map(str::to_owned);
    Ok(Some(User { id, email, name, password_hash, created_at: time(row, 2)? }))
}

/// The parameters of a new user.
pub(crate) fn user_params(user: &User, SealedUser { email_index, sealed }: SealedUser) -> Vec<Param> {
    params![user.id.to_bytes(), user.password_hash.as_deref(), user.created_at, email_index, sealed]
}
