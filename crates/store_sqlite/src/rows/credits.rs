//! Credit accounts, slices and reservations.

use keywright_domain::{
    credit::{
        CreditAccount, CreditDraw, CreditGrant, CreditSettlement, CreditSubject, Refill, Reservation,
        ReservationState,
    },
    ids::{CreditAccountId, ReservationId, WorkspaceId},
    time::Timestamp,
};
use rusqlite::{Connection, Row, params};

use super::{
    bytes,
    installation::{all, first},
    optional_time, text, time, time_column, unreadable,
};
use crate::{fault::Fault, sql::credits as sql};

/// Reads an account.
pub(crate) fn account(row: &Row<'_>) -> Result<CreditAccount, Fault> {
    let refill = optional_time(row, 11)?;
    let refill = refill.map(|due_at| -> Result<Refill, Fault> {
        Ok(Refill { amount: row.get(8)?, every_seconds: row.get(9)?, cap: row.get(10)?, due_at })
    });
    Ok(CreditAccount {
        id: CreditAccountId::from_bytes(bytes(row, 0)?),
        workspace: WorkspaceId::from_bytes(bytes(row, 1)?),
        subject: CreditSubject::from_column(text(row, 2)?).ok_or_else(|| unreadable(row, 2))?,
        balance: row.get(3)?,
        held: row.get(4)?,
        reserved: row.get(5)?,
        spent: row.get(6)?,
        granted: row.get(7)?,
        refill: refill.transpose()?,
        created_at: time(row, 12)?,
    })
}

/// Reads a reservation.
pub(crate) fn reservation(row: &Row<'_>) -> Result<Reservation, Fault> {
    let state = match row.get::<_, u8>(3)? {
        0 => ReservationState::Open,
        1 => ReservationState::Committed { spent: row.get(4)? },
        2 => ReservationState::Refunded,
        3 => ReservationState::Expired,
        _ => return Err(unreadable(row, 3)),
    };
    Ok(Reservation {
        id: ReservationId::from_bytes(bytes(row, 0)?),
        account: CreditAccountId::from_bytes(bytes(row, 1)?),
        amount: row.get(2)?,
        state,
        created_at: time(row, 5)?,
        expires_at: time(row, 6)?,
        settled_at: optional_time(row, 7)?,
    })
}

/// The account of a subject.
pub(crate) fn account_of(
    connection: &Connection,
    workspace: WorkspaceId,
    subject: &CreditSubject,
) -> Result<Option<CreditAccount>, Fault> {
    first(connection, sql::ACCOUNT_OF, params![workspace.to_bytes(), subject.to_column()], account)
}

/// An account by id.
pub(crate) fn account_by_id(
    connection: &Connection,
    id: CreditAccountId,
) -> Result<Option<CreditAccount>, Fault> {
    first(connection, sql::ACCOUNT, [id.to_bytes()], account)
}

/// Keeps an account.
pub(crate) fn put_account(connection: &Connection, account: &CreditAccount) -> Result<(), Fault> {
    let refill = account.refill.as_ref();
    connection.prepare_cached(sql::PUT_ACCOUNT)?.execute(params![
        account.id.to_bytes(),
        account.workspace.to_bytes(),
        account.subject.to_column(),
        account.balance,
        account.held,
        account.reserved,
        account.spent,
        account.granted,
        refill.map(|refill| refill.amount),
        refill.map(|refill| refill.every_seconds),
        refill.map(|refill| refill.cap),
        time_column(refill.map(|refill| refill.due_at)),
        account.created_at.unix_ms()
    ])?;
    Ok(())
}

/// Keeps a reservation.
pub(crate) fn put_reservation(connection: &Connection, reservation: &Reservation) -> Result<(), Fault> {
    let (state, spent) = match reservation.state {
        ReservationState::Open => (0, 0),
        ReservationState::Committed { spent } => (1, spent),
        ReservationState::Refunded => (2, 0),
        ReservationState::Expired => (3, 0),
    };
    connection.prepare_cached(sql::PUT_RESERVATION)?.execute(params![
        reservation.id.to_bytes(),
        reservation.account.to_bytes(),
        reservation.amount,
        state,
        spent,
        reservation.created_at.unix_ms(),
        reservation.expires_at.unix_ms(),
        time_column(reservation.settled_at)
    ])?;
    Ok(())
}

/// Takes a slice out of a balance.
pub(crate) fn draw(connection: &Connection, draw: &CreditDraw) -> Result<CreditGrant, Fault> {
    let mut found = None;
    for subject in &draw.subjects {
        found = account_of(connection, draw.workspace, subject)?;
        if found.is_some() {
            break;
        }
    }
    let Some(mut account) = found else { return Ok(CreditGrant::default()) };
    let units = account.draw(draw);
    if units > 0 {
        put_account(connection, &account)?;
        connection.prepare_cached(sql::INSERT_SLICE)?.execute(params![
            draw.slice,
            account.id.to_bytes(),
            units,
            draw.now.unix_ms()
        ])?;
    }
    Ok(CreditGrant { account: Some(account.id), units, left: account.balance })
}

/// Ends a slice; says of which account it was, if it was not ended before.
pub(crate) fn settle(
    connection: &Connection,
    settlement: &CreditSettlement,
) -> Result<Option<CreditAccount>, Fault> {
    let slice = first(connection, sql::SLICE, [settlement.slice], |row| {
        Ok((CreditAccountId::from_bytes(bytes(row, 0)?), row.get::<_, u64>(1)?))
    })?;
    let Some((account, units)) = slice else { return Ok(None) };
    connection.prepare_cached(sql::DELETE_SLICE)?.execute([settlement.slice])?;
    let Some(mut account) = account_by_id(connection, account)? else { return Ok(None) };
    account.settle(units, settlement.spent);
    put_account(connection, &account)?;
    Ok(Some(account))
}

/// When a sweep will find something, as far as is known now.
pub(crate) fn next_due(connection: &Connection) -> Result<Option<Timestamp>, Fault> {
    let row = first(connection, sql::NEXT_DUE, [], |row| {
        let at = |column| Ok::<_, Fault>(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_unix_ms));
        let later = |at: Option<Timestamp>, seconds| at.map(|at| at.plus_seconds(seconds));
        Ok([
            at(0)?,
            at(1)?,
            later(at(2)?, keywright_domain::caps::SLICE_LOST_SECONDS),
            later(at(3)?, keywright_domain::caps::RESERVATION_KEPT_SECONDS),
        ])
    })?;
    Ok(row.into_iter().flatten().flatten().min())
}

/// Slices that nobody settled.
pub(crate) fn lost_slices(
    connection: &Connection,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<[u8; 16]>, Fault> {
    let before = now.plus_seconds(-keywright_domain::caps::SLICE_LOST_SECONDS).unix_ms();
    all(connection, sql::SLICES_LOST, params![before, limit], |row| bytes(row, 0))
}

/// Reservations that ended so long ago that nobody asks for them again.
pub(crate) fn old_reservations(
    connection: &Connection,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<[u8; 16]>, Fault> {
    let before = now.plus_seconds(-keywright_domain::caps::RESERVATION_KEPT_SECONDS).unix_ms();
    all(connection, sql::OLD_RESERVATIONS, params![before, limit], |row| bytes(row, 0))
}
