//! Rows into values and values into parameters.

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
use tokio_postgres::{
    Row,
    types::{FromSql, ToSql},
};

use crate::fault::Fault;

/// A value as the database takes it: all numbers are `bigint`.
pub(crate) trait Column {
    /// The driver's type.
    type Sql: ToSql + Sync + Send + 'static;
    /// The driver's value.
    fn sql(self) -> Self::Sql;
}

macro_rules! numbers {
    ($($number:ty),+) => {$(
        impl Column for $number {
            type Sql = i64;
            fn sql(self) -> i64 {
                // Those beyond the database's integers, which only a made-up cursor has, are as good as the largest.
                i64::try_from(self).unwrap_or(i64::MAX)
            }
        }
    )+};
}
numbers!(u16, u32, u64, usize, i64, i32);

impl Column for bool {
    type Sql = bool;
    fn sql(self) -> bool {
        self
    }
}

/// `PostgreSQL` cannot store the character NUL. What the domain lets through with one, such as a reason, is kept with
/// U+FFFD in its place; no text that is asked for matches it by accident.
impl Column for &str {
    type Sql = String;
    fn sql(self) -> String {
        if self.contains('\0') { self.replace('\0', "\u{fffd}") } else { self.to_owned() }
    }
}

impl Column for String {
    type Sql = String;
    fn sql(self) -> String {
        self.as_str().sql()
    }
}

impl Column for &String {
    type Sql = String;
    fn sql(self) -> String {
        self.as_str().sql()
    }
}

impl<const N: usize> Column for [u8; N] {
    type Sql = Vec<u8>;
    fn sql(self) -> Vec<u8> {
        self.to_vec()
    }
}

impl Column for Vec<u8> {
    type Sql = Self;
    fn sql(self) -> Self {
        self
    }
}

impl Column for Timestamp {
    type Sql = i64;
    fn sql(self) -> i64 {
        self.unix_ms()
    }
}

impl<T: Column> Column for Option<T> {
    type Sql = Option<T::Sql>;
    fn sql(self) -> Option<T::Sql> {
        self.map(T::sql)
    }
}

impl<T: Column> Column for Vec<T> {
    type Sql = Vec<T::Sql>;
    fn sql(self) -> Vec<T::Sql> {
        self.into_iter().map(T::sql).collect()
    }
}

/// The parameters of a statement.
#[macro_export]
#[doc(hidden)]
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        vec![$(Box::new($crate::rows::Column::sql($value)) as $crate::connect::Param),*]
    };
}

fn get<'row, T: FromSql<'row>>(row: &'row Row, column: usize) -> Result<T, Fault> {
    row.try_get(column).map_err(|_| unreadable(row, column))
}

/// A number.
pub(crate) fn number<T: TryFrom<i64>>(row: &Row, column: usize) -> Result<T, Fault> {
    T::try_from(get::<i64>(row, column)?).map_err(|_| unreadable(row, column))
}

/// A number, or NULL.
pub(crate) fn optional_number<T: TryFrom<i64>>(row: &Row, column: usize) -> Result<Option<T>, Fault> {
    let number = get::<Option<i64>>(row, column)?;
    number.map(|number| T::try_from(number).map_err(|_| unreadable(row, column))).transpose()
}

/// A yes or no.
pub(crate) fn flag(row: &Row, column: usize) -> Result<bool, Fault> {
    get(row, column)
}

/// Whether a column is NULL.
pub(crate) fn is_null(row: &Row, column: usize) -> Result<bool, Fault> {
    /// Takes any type and looks at none of it.
    struct Anything;
    impl FromSql<'_> for Anything {
        fn from_sql(
            _: &tokio_postgres::types::Type,
            _: &[u8],
        ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
            Ok(Self)
        }
        fn accepts(_: &tokio_postgres::types::Type) -> bool {
            true
        }
    }
    Ok(get::<Option<Anything>>(row, column)?.is_none())
}

/// Exactly `N` bytes of a column.
pub(crate) fn bytes<const N: usize>(row: &Row, column: usize) -> Result<[u8; N], Fault> {
    blob(row, column)?.try_into().map_err(|_| unreadable(row, column))
}

/// The bytes of a column.
pub(crate) fn blob(row: &Row, column: usize) -> Result<&[u8], Fault> {
    get(row, column)
}

/// The text of a column, which may be NULL.
pub(crate) fn optional_text(row: &Row, column: usize) -> Result<Option<&str>, Fault> {
    get(row, column)
}

/// The text of a column.
pub(crate) fn text(row: &Row, column: usize) -> Result<&str, Fault> {
    get(row, column)
}

/// A point in time.
pub(crate) fn time(row: &Row, column: usize) -> Result<Timestamp, Fault> {
    Ok(Timestamp::from_unix_ms(get(row, column)?))
}

/// A point in time, or NULL.
pub(crate) fn optional_time(row: &Row, column: usize) -> Result<Option<Timestamp>, Fault> {
    Ok(get::<Option<i64>>(row, column)?.map(Timestamp::from_unix_ms))
}

/// A small number that stands for a variant.
pub(crate) fn variant<T>(row: &Row, column: usize, from: fn(u8) -> Option<T>) -> Result<T, Fault> {
    from(number(row, column)?).ok_or_else(|| unreadable(row, column))
}

/// A JSON document.
pub(crate) fn json<T: serde::de::DeserializeOwned>(row: &Row, column: usize) -> Result<T, Fault> {
    serde_json::from_str(text(row, column)?).map_err(|_| unreadable(row, column))
}

/// A value as a JSON document.
pub(crate) fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("the domain's types have string keys only")
}

/// A column holds what it cannot hold.
pub(crate) fn unreadable(row: &Row, column: usize) -> Fault {
    let name = row.columns().get(column).map_or("?", |column| column.name());
    Fault::Damaged(format!("the column {name} of a row cannot be read"))
}

/// All values that `read` makes of rows.
pub(crate) fn each<T>(rows: &[Row], read: impl Fn(&Row) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
    rows.iter().map(read).collect()
}

/// Reads a set of permissions.
pub(crate) fn permissions(row: &Row, column: usize) -> Result<PermissionSet, Fault> {
    let bytes = blob(row, column)?;
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
pub(crate) fn principal(row: &Row, column: usize) -> Result<Principal, Fault> {
    let id = bytes(row, column + 1)?;
    match number(row, column)? {
        0_u8 => Ok(Principal::User(UserId::from_bytes(id))),
        1 => Ok(Principal::ServiceAccount(ServiceAccountId::from_bytes(id))),
        2 => Ok(Principal::Operator(OperatorId::from_bytes(id))),
        _ => Err(unreadable(row, column)),
    }
}

/// A principal as two columns.
pub(crate) const fn principal_columns(principal: Principal) -> (i64, [u8; 16]) {
    match principal {
        Principal::User(id) => (0, id.to_bytes()),
        Principal::ServiceAccount(id) => (1, id.to_bytes()),
        Principal::Operator(id) => (2, id.to_bytes()),
    }
}

/// Reads an address; empty or NULL means unknown.
pub(crate) fn address(row: &Row, column: usize) -> Result<Option<IpAddr>, Fault> {
    let bytes = get::<Option<&[u8]>>(row, column)?.unwrap_or_default();
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
