use std::fmt;

/// A value of a column. What it is is nobody's business: nothing prints it.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A number.
    Integer(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
    /// Yes or no.
    Boolean(bool),
}

impl Value {
    /// About how many bytes it takes.
    pub fn weight(&self) -> usize {
        match self {
            Self::Null | Self::Boolean(_) => 1,
            Self::Integer(_) => 8,
            Self::Text(text) => text.len(),
            Self::Blob(bytes) => bytes.len(),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Null => "Null",
            Self::Integer(_) => "Integer(…)",
            Self::Text(_) => "Text(…)",
            Self::Blob(_) => "Blob(…)",
            Self::Boolean(_) => "Boolean(…)",
        })
    }
}

/// The values of a row, or of its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row(pub Vec<Value>);

/// Bytes that are no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no row")]
pub struct Unreadable;

/// What stands for the character NUL in texts that go into digests: not every store can keep that one.
const NUL_STANDS_FOR: &str = "\u{fffd}";

impl Row {
    /// About how many bytes it takes.
    pub fn weight(&self) -> usize {
        self.0.iter().map(Value::weight).sum()
    }

    /// Appends the row as bytes from which it can be read again. Each value is a byte that says what it is, then a number
    /// as eight bytes, most significant first, or the length in four bytes and the content.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        self.0.iter().for_each(|value| encode(value, bytes));
    }

    /// The same, as it goes into digests: equal for rows that stores regard as equal.
    pub(super) fn encode_canonically(&self, bytes: &mut Vec<u8>) {
        for value in &self.0 {
            match value {
                Value::Text(text) if text.contains('\0') => {
                    encode(&Value::Text(text.replace('\0', NUL_STANDS_FOR)), bytes);
                }
                other => encode(other, bytes),
            }
        }
    }

    /// Reads a row again.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn decode(mut bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut row = Self::default();
        while let Some(value) = decode(&mut bytes)? {
            row.0.push(value);
        }
        Ok(row)
    }
}

fn encode(value: &Value, bytes: &mut Vec<u8>) {
    match value {
        Value::Null => bytes.push(0),
        Value::Integer(number) => {
            bytes.push(1);
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        Value::Text(text) => encode_long(2, text.as_bytes(), bytes),
        Value::Blob(content) => encode_long(3, content, bytes),
        Value::Boolean(answer) => bytes.extend_from_slice(&[4, u8::from(*answer)]),
    }
}

fn encode_long(tag: u8, content: &[u8], bytes: &mut Vec<u8>) {
    let length = u32::try_from(content.len()).expect("no store keeps values of four gigabytes");
    bytes.push(tag);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(content);
}

fn decode(bytes: &mut &[u8]) -> Result<Option<Value>, Unreadable> {
    let Some((tag, rest)) = bytes.split_first() else { return Ok(None) };
    *bytes = rest;
    Ok(Some(match tag {
        0 => Value::Null,
        1 => Value::Integer(i64::from_be_bytes(array(bytes)?)),
        2 => Value::Text(String::from_utf8(long(bytes)?.to_vec()).map_err(|_| Unreadable)?),
        3 => Value::Blob(long(bytes)?.to_vec()),
        4 => Value::Boolean(array::<1>(bytes)? != [0]),
        _ => return Err(Unreadable),
    }))
}

fn array<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Unreadable> {
    let (array, rest) = bytes.split_first_chunk().ok_or(Unreadable)?;
    *bytes = rest;
    Ok(*array)
}

fn long<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Unreadable> {
    let length = usize::try_from(u32::from_be_bytes(array(bytes)?)).map_err(|_| Unreadable)?;
    let (content, rest) = bytes.split_at_checked(length).ok_or(Unreadable)?;
    *bytes = rest;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Integer),
            ".*".prop_map(Value::Text),
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::Blob),
            any::<bool>().prop_map(Value::Boolean),
        ]
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_again(values in proptest::collection::vec(value(), 0..12)) {
            let row = Row(values);
            let mut bytes = Vec::new();
            row.encode(&mut bytes);
            prop_assert_eq!(Row::decode(&bytes), Ok(row));
        }

        #[test]
        fn bytes_from_anywhere_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Row::decode(&bytes);
        }
    }

    #[test]
    fn what_cannot_be_kept_everywhere_counts_as_equal() {
        let canonical = |text: &str| {
            let mut bytes = Vec::new();
            Row(vec![Value::Text(text.to_owned())]).encode_canonically(&mut bytes);
            bytes
        };
        assert_eq!(canonical("a\0b"), canonical("a\u{fffd}b"));
        assert_ne!(canonical("a\0b"), canonical("ab"));
    }

    #[test]
    fn nothing_is_printed() {
        let row = Row(vec![Value::Text("hunter2".to_owned()), Value::Integer(42), Value::Blob(vec![42])]);
        let text = format!("{row:?}");
        assert!(!text.contains("hunter2") && !text.contains("42"), "{text}");
    }
}
