//! What people chose: whether addresses and user agents are kept, and what they consented to.

use std::collections::BTreeSet;

use keywright_domain::{
    ids::UserId,
    privacy::{Consent, ConsentName, ConsentTo},
};
use tokio_postgres::Row;

use super::{bytes, each, number, optional_time, text, time, unreadable};
use crate::fault::Fault;

/// Everybody who opted out, from their rows.
pub(crate) fn opt_outs(rows: &[Row]) -> Result<BTreeSet<UserId>, Fault> {
    Ok(each(rows, |row| Ok(UserId::from_bytes(bytes(row, 0)?)))?.into_iter().collect())
}

/// A consent from its row.
pub(crate) fn consent(row: &Row) -> Result<Consent, Fault> {
    let name = |column| ConsentName::parse(text(row, column)?).map_err(|_| unreadable(row, column));
    Ok(Consent {
        number: number(row, 0)?,
        to: ConsentTo { name: name(1)?, version: name(2)? },
        given_at: time(row, 3)?,
        withdrawn_at: optional_time(row, 4)?,
    })
}
