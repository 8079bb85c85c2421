//! Credit accounts and reservations.

use keywright_domain::{
    credit::{CreditAccount, CreditSubject, Refill, Reservation, ReservationState},
    ids::{CreditAccountId, ReservationId, WorkspaceId},
};
use tokio_postgres::Row;

use super::{bytes, number, optional_time, text, time, unreadable};
use crate::{connect::Param, fault::Fault, params};

/// Reads an account.
pub(crate) fn account(row: &Row) -> Result<CreditAccount, Fault> {
    let refill = optional_time(row, 11)?;
    let refill = refill.map(|due_at| -> Result<Refill, Fault> {
        Ok(Refill { amount: number(row, 8)?, every_seconds: number(row, 9)?, cap: number(row, 10)?, due_at })
    });
    Ok(CreditAccount {
        id: CreditAccountId::from_bytes(bytes(row, 0)?),
        workspace: WorkspaceId::from_bytes(bytes(row, 1)?),
        subject: CreditSubject::from_column(text(row, 2)?).ok_or_else(|| unreadable(row, 2))?,
        balance: number(row, 3)?,
        held: number(row, 4)?,
        reserved: number(row, 5)?,
        spent: number(row, 6)?,
        granted: number(row, 7)?,
        refill: refill.transpose()?,
        created_at: time(row, 12)?,
    })
}

/// Reads a reservation.
pub(crate) fn reservation(row: &Row) -> Result<Reservation, Fault> {
    let state = match number::<u8>(row, 3)? {
        0 => ReservationState::Open,
        1 => ReservationState::Committed { spent: number(row, 4)? },
        2 => ReservationState::Refunded,
        3 => ReservationState::Expired,
        _ => return Err(unreadable(row, 3)),
    };
    Ok(Reservation {
        id: ReservationId::from_bytes(bytes(row, 0)?),
        account: CreditAccountId::from_bytes(bytes(row, 1)?),
        amount: number(row, 2)?,
        state,
        created_at: time(row, 5)?,
        expires_at: time(row, 6)?,
        settled_at: optional_time(row, 7)?,
    })
}

/// A new account.
pub(crate) fn insert_params(account: &CreditAccount) -> Vec<Param> {
    let refill = account.refill.as_ref();
    params![
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
        refill.map(|refill| refill.due_at),
        account.created_at
    ]
}

/// Another state of an account.
pub(crate) fn update_params(account: &CreditAccount) -> Vec<Param> {
    let refill = account.refill.as_ref();
    params![
        account.id.to_bytes(),
        account.balance,
        account.held,
        account.reserved,
        account.spent,
        account.granted,
        refill.map(|refill| refill.amount),
        refill.map(|refill| refill.every_seconds),
        refill.map(|refill| refill.cap),
        refill.map(|refill| refill.due_at)
    ]
}

/// A reservation.
pub(crate) fn reservation_params(reservation: &Reservation) -> Vec<Param> {
    let (state, spent) = match reservation.state {
        ReservationState::Open => (0_u32, 0),
        ReservationState::Committed { spent } => (1, spent),
        ReservationState::Refunded => (2, 0),
        ReservationState::Expired => (3, 0),
    };
    params![
        reservation.id.to_bytes(),
        reservation.account.to_bytes(),
        reservation.amount,
        state,
        spent,
        reservation.created_at,
        reservation.expires_at,
        reservation.settled_at
    ]
}
