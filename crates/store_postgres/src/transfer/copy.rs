//! Rows in the binary format of `COPY`.

use keywright_domain::{
    ids::AuditId,
    transfer::{DERIVED_COLUMNS, Row, Table, Value},
};

use crate::{fault::Fault, rows::keys::folded};

/// What a stream begins with: signature, flags, length of the header's extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What it ends with.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// The statement that takes rows of a table.
pub(super) fn statement(table: &Table) -> String {
    let listed = table.columns.iter().map(|column| column.name);
    let columns: Vec<_> = listed.chain(derived_columns(table)).collect();
    format!("COPY {} ({}) FROM STDIN (FORMAT binary)", table.name, columns.join(", "))
}

/// Columns that this store has beside those of the list.
fn derived_columns(table: &Table) -> impl Iterator<Item = &'static str> {
    let of = table.name;
    DERIVED_COLUMNS.iter().filter(move |(table, _)| *table == of).map(|(_, column)| *column)
}

/// The rows as a stream.
pub(super) fn encode(table: &Table, rows: &[Row]) -> Result<Vec<u8>, Fault> {
    let fields =
        i16::try_from(table.columns.len() + derived_columns(table).count()).expect("tables are narrow");
    let mut bytes = Vec::with_capacity(rows.iter().map(|row| row.weight() + 8 * row.0.len()).sum());
    bytes.extend_from_slice(HEADER);
    for row in rows {
        bytes.extend_from_slice(&fields.to_be_bytes());
        row.0.iter().for_each(|value| put(value, &mut bytes));
        for column in derived_columns(table) {
            put(&derive(table, column, row)?, &mut bytes);
        }
    }
    bytes.extend_from_slice(&TRAILER);
    Ok(bytes)
}

fn put(value: &Value, bytes: &mut Vec<u8>) {
    match value {
        Value::Null => bytes.extend_from_slice(&(-1_i32).to_be_bytes()),
        Value::Integer(number) => put_field(&number.to_be_bytes(), bytes),
        // As everywhere in this store: NUL cannot be kept.
        Value::Text(text) if text.contains('\0') => {
            put_field(text.replace('\0', "\u{fffd}").as_bytes(), bytes);
        }
        Value::Text(text) => put_field(text.as_bytes(), bytes),
        Value::Blob(content) => put_field(content, bytes),
        Value::Boolean(answer) => put_field(&[u8::from(*answer)], bytes),
    }
}

fn put_field(content: &[u8], bytes: &mut Vec<u8>) {
    let length = i32::try_from(content.len()).expect("no store keeps values of two gigabytes");
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(content);
}

/// The value of a column that the list does not have.
fn derive(table: &Table, column: &str, row: &Row) -> Result<Value, Fault> {
    let from = |name: &str| {
        let place = table.columns.iter().position(|column| column.name == name);
        &row.0[place.expect("a column of the list")]
    };
    match (table.name, column) {
        ("keys", "name_folded") => match from("name") {
            Value::Text(name) => Ok(Value::Text(folded(name))),
            _ => Err(Fault::Damaged("a key has no name".to_owned())),
        },
        ("audit", "id") => match from("body") {
            Value::Blob(body) => audit_id(body),
            _ => Err(Fault::Damaged("an audit entry has no body".to_owned())),
        },
        _ => unreachable!("each derived column is derived"),
    }
}

fn audit_id(body: &[u8]) -> Result<Value, Fault> {
    /// All that is read of it.
    #[derive(serde::Deserialize)]
    struct Body {
        id: AuditId,
    }
    let body: Body = serde_json::from_slice(body)
        .map_err(|_| Fault::Damaged("the body of an audit entry cannot be read".to_owned()))?;
    Ok(Value::Blob(body.id.to_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use keywright_domain::transfer::TABLES;

    use super::*;

    #[test]
    fn every_derived_column_is_derived() {
        for (name, column) in DERIVED_COLUMNS {
            let table = Table::named(name);
            let row = Row(vec![Value::Null; table.columns.len()]);
            assert!(derive(table, column, &row).is_err(), "nothing comes from nothing");
        }
    }

    #[test]
    fn a_stream_has_all_columns() {
        for table in TABLES {
            let fields = statement(table).split(',').count();
            let row = Row(vec![Value::Null; table.columns.len()]);
            if let Ok(bytes) = encode(table, &[row]) {
                assert_eq!(bytes.len(), HEADER.len() + 2 + 4 * fields + 2, "{}", table.name);
            }
        }
    }
}
