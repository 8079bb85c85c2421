//! One byte range of a file (RFC 9110, section 14).

use std::ops::Range;

use http::{HeaderMap, header};

/// What a request asks of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ByteRange {
    /// All of it.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes that it does not have.
    Unsatisfiable,
}

/// The range that the headers ask of a file of `size` bytes with this entity tag. What cannot be read, and several
/// ranges at once, count as none: the whole file is always a good answer.
pub(crate) fn requested_range(headers: &HeaderMap, size: u64, etag: &str) -> ByteRange {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::IF_RANGE).is_some_and(|known| known != etag) {
        return ByteRange::Whole;
    }
    let Some(range) = text(header::RANGE).and_then(|value| value.strip_prefix("bytes=")) else {
        return ByteRange::Whole;
    };
    match parse(range.trim(), size) {
        Some(part) if part.start < part.end => ByteRange::Part(part),
        Some(_) => ByteRange::Unsatisfiable,
        None => ByteRange::Whole,
    }
}

/// `first-last`, `first-` or `-length`. An empty range: there are no such bytes.
fn parse(range: &str, size: u64) -> Option<Range<u64>> {
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let (first, last) = range.split_once('-')?;
    if first.is_empty() {
        let length = number(last)?.min(size);
        return Some(size - length..size);
    }
    let first = number(first)?;
    let end = match last {
        "" => size,
        last => {
            let last = number(last)?;
            if last < first {
                return None;
            }
            last.saturating_add(1).min(size)
        }
    };
    Some(first.min(end)..end)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn asked(range: &str) -> ByteRange {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_str(range).unwrap());
        requested_range(&headers, 100, "\"tag\"")
    }

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("bytes=0-0", ByteRange::Part(0..1)),
            ("bytes=10-19", ByteRange::Part(10..20)),
            ("bytes=90-", ByteRange::Part(90..100)),
            ("bytes=90-1000", ByteRange::Part(90..100)),
            ("bytes=-1", ByteRange::Part(99..100)),
            ("bytes=-1000", ByteRange::Part(0..100)),
            ("bytes=100-", ByteRange::Unsatisfiable),
            ("bytes=99999999999999999999-", ByteRange::Unsatisfiable),
            ("bytes=-0", ByteRange::Unsatisfiable),
            ("bytes=5-4", ByteRange::Whole),
            ("bytes=0-0,5-6", ByteRange::Whole),
            ("bytes=a-b", ByteRange::Whole),
            ("items=0-1", ByteRange::Whole),
        ] {
            assert_eq!(asked(text), expected, "{text}");
        }
        assert_eq!(requested_range(&HeaderMap::new(), 100, ""), ByteRange::Whole);
    }

    #[test]
    fn a_range_of_another_file_is_the_whole_one() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=0-1"));
        headers.insert(header::IF_RANGE, HeaderValue::from_static("\"tag\""));
        assert_eq!(requested_range(&headers, 100, "\"tag\""), ByteRange::Part(0..2));
        assert_eq!(requested_range(&headers, 100, "\"other\""), ByteRange::Whole);
    }
}
