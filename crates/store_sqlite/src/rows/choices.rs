//! What people chose: whether addresses and user agents are kept, and what they consented to.

use std::collections::BTreeSet;

use keywright_domain::{
    change::{Change, MembershipView},
    ids::UserId,
    principal::Principal,
    privacy::{Collection, Consent, ConsentName, ConsentTo},
    time::Timestamp,
};
use rusqlite::{Connection, Row};

use super::{
    bytes,
    installation::{all, first},
    optional_time, text, time, unreadable,
};
use crate::{fault::Fault, sql::privacy as sql};

/// Since when a person is opted out of collection.
pub(crate) fn opted_out_since(connection: &Connection, user: UserId) -> Result<Option<Timestamp>, Fault> {
    first(connection, sql::OPTED_OUT, [user.to_bytes()], |row| time(row, 0))
}

/// Everybody who opted out.
pub(crate) fn opt_outs(connection: &Connection) -> Result<BTreeSet<UserId>, Fault> {
    let all = all(connection, sql::OPT_OUTS, [], |row| Ok(UserId::from_bytes(bytes(row, 0)?)))?;
    Ok(all.into_iter().collect())
}

/// Fills in what the members of these changes chose.
pub(crate) fn fill_in<'a>(
    connection: &Connection,
    changes: impl Iterator<Item = &'a mut Change>,
) -> Result<(), Fault> {
    for change in changes {
        let Change::Membership(MembershipView { principal: Principal::User(user), collection, .. }) = change
        else {
            continue;
        };
        if opted_out_since(connection, *user)?.is_some() {
            *collection = Collection::OptedOut;
        }
    }
    Ok(())
}

/// A person's consents.
pub(crate) fn consents(connection: &Connection, user: UserId) -> Result<Vec<Consent>, Fault> {
    all(connection, sql::CONSENTS, [user.to_bytes()], consent)
}

fn consent(row: &Row<'_>) -> Result<Consent, Fault> {
    let name = |column| ConsentName::parse(text(row, column)?).map_err(|_| unreadable(row, column));
    Ok(Consent {
        number: row.get(0)?,
        to: ConsentTo { name: name(1)?, version: name(2)? },
        given_at: time(row, 3)?,
        withdrawn_at: optional_time(row, 4)?,
    })
}
