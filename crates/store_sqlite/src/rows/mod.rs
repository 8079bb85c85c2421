//! Rows into values and values into columns.

pub(crate) mod choices;
pub(crate) mod credits;
pub(crate) mod installation;
pub(crate) mod invitations;
pub(crate) mod journal;
pub(crate) mod keys;
pub(crate) mod members;
pub(crate) mod prompts;
pub(crate) mod sessions;
pub(crate) mod users;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use keywright_domain::{
    ids::{OperatorId, ServiceAccountId, UserId},
    permission::PermissionSet,
    principal::Principal,
    time::Timestamp,
};
use rusqlite::Row;

use crate::fault::Fault;

/// Exactly `N` bytes of a column.
pub(crate) fn bytes<const N: usize>(row: &Row<'_>, column: usize) -> Result<[u8; N], Fault> {
    let bytes = row.get_ref(column)?.as_blob().map_err(|_| unreadable(row, column))?;
    bytes.try_into().map_err(|_| unreadable(row, column))
}

/// The text of a column, which may be NULL.
pub(crate) fn optional_text<'row>(row: &'row Row<'_>, column: usize) -> Result<Option<&'row str>, Fault> {
    row.get_ref(column)?.as_str_or_null().map_err(|_| unreadable(row, column))
}

/// The text of a column.
pub(crate) fn text<'row>(row: &'row Row<'_>, column: usize) -> Result<&'row str, Fault> {
    row.get_ref(column)?.as_str().map_err(|_| unreadable(row, column))
}

/// A point in time.
pub(crate) fn time(row: &Row<'_>, column: usize) -> Result<Timestamp, Fault> {
    Ok(Timestamp::from_unix_ms(row.get(column)?))
}

/// A point in time, or NULL.
pub(crate) fn optional_time(row: &Row<'_>, column: usize) -> Result<Option<Timestamp>, Fault> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_unix_ms))
}

/// A point in time as a column.
pub(crate) fn time_column(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::unix_ms)
}

/// A sequence number as a parameter. Those beyond SQLite's integers, which only a made-up cursor has, are as good as
/// the largest.
pub(crate) fn sequence_column(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

/// A small number that stands for a variant.
pub(crate) fn variant<T>(row: &Row<'_>, column: usize, from: fn(u8) -> Option<T>) -> Result<T, Fault> {
    from(row.get(column)?).ok_or_else(|| unreadable(row, column))
}

/// A JSON document.
pub(crate) fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T, Fault> {
    serde_json::from_str(text(row, column)?).map_err(|_| unreadable(row, column))
}

/// A value as a JSON document.
pub(crate) fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("the domain's types have string keys only")
}

/// A column holds what it cannot hold.
pub(crate) fn unreadable(row: &Row<'_>, column: usize) -> Fault {
    let name = row.as_ref().column_name(column).unwrap_or("?");
    Fault::Damaged(format!("the column {name} of a row cannot be read"))
}

/// Reads a set of permissions.
pub(crate) fn permissions(row: &Row<'_>, column: usize) -> Result<PermissionSet, Fault> {
    let bytes = row.get_ref(column)?.as_blob().map_err(|_| unreadable(row, column))?;
    let mut words = [0; 4];
    if bytes.len() > 32 {
        return Err(unreadable(row, column));
    }
    for (position, byte) in bytes.iter().enumerate() {
        words[position / 8] |= u64::from(*byte) << (position % 8 * 8);
    }
    Ok(PermissionSet::from_words(words))
}

/// A set of permissions as a column: little-endian words without the zeros at the end.
pub(crate) fn permissions_column(set: PermissionSet) -> Vec<u8> {
    let mut bytes: Vec<u8> = set.words().into_iter().flat_map(u64::to_le_bytes).collect();
    let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(length);
    bytes
}

/// Reads a principal from two columns, the kind first.
pub(crate) fn principal(row: &Row<'_>, column: usize) -> Result<Principal, Fault> {
    let id = bytes(row, column + 1)?;
    match row.get(column)? {
        0_u8 => Ok(Principal::User(UserId::from_bytes(id))),
        1 => Ok(Principal::ServiceAccount(ServiceAccountId::from_bytes(id))),
        2 => Ok(Principal::Operator(OperatorId::from_bytes(id))),
        _ => Err(unreadable(row, column)),
    }
}

/// A principal as two columns.
pub(crate) const fn principal_columns(principal: Principal) -> (u8, [u8; 16]) {
    match principal {
        Principal::User(id) => (0, id.to_bytes()),
        Principal::ServiceAccount(id) => (1, id.to_bytes()),
        Principal::Operator(id) => (2, id.to_bytes()),
    }
}

/// Reads an address; empty or NULL means unknown.
pub(crate) fn address(row: &Row<'_>, column: usize) -> Result<Option<IpAddr>, Fault> {
    let bytes =
        row.get_ref(column)?.as_blob_or_null().map_err(|_| unreadable(row, column))?.unwrap_or_default();
    match bytes.len() {
        0 => Ok(None),
        4 => Ok(Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).expect("four bytes")).into())),
        16 => Ok(Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).expect("sixteen bytes")).into())),
        _ => Err(unreadable(row, column)),
    }
}

/// An address as a column; empty means unknown.
pub(crate) fn address_column(address: Option<IpAddr>) -> Vec<u8> {
    match address {
        None => Vec::new(),
        Some(IpAddr::V4(address)) => address.octets().to_vec(),
        Some(IpAddr::V6(address)) => address.octets().to_vec(),
    }
}
