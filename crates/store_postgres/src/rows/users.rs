//! Users: the only place that reads or writes what is known of a person.

use keywright_domain::{ids::UserId, principal::User, vault::SealedUser};
use tokio_postgres::Row;

use super::{bytes, optional_text, time};
use crate::{connect::Param, fault::Fault, params, sealing::Sealing};

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
