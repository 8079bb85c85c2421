//! Where the hot routes put their answers: into a response of the crate `http`, or straight into the bytes of HTTP/1.1.
//!
//! The routes say what an answer consists of once; an outlet decides what it is written as. Parts come in the order of
//! the wire: status, headers, and then the end.

use std::{cell::RefCell, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use keywright_domain::time::Timestamp;

use crate::front::FrontBody;

/// An answer under construction.
pub(super) trait Outlet {
    /// The status; comes first.
    fn status(&mut self, status: StatusCode);

    /// A header, unless what `write` appends cannot be a header's value.
    fn header(&mut self, name: &'static str, write: impl FnOnce(&mut String));

    /// A header whose value is a number.
    fn number(&mut self, name: &'static str, number: u64);

    /// The end of an answer without a body.
    fn end(&mut self);

    /// The end of an answer with this body.
    fn end_with(&mut self, body: String);

    /// A whole answer, instead of all others.
    fn whole(&mut self, response: Response<FrontBody>);
}

impl Outlet for Response<FrontBody> {
    fn status(&mut self, status: StatusCode) {
        *self.status_mut() = status;
    }

    fn header(&mut self, name: &'static str, write: impl FnOnce(&mut String)) {
        let mut value = String::with_capacity(64);
        write(&mut value);
        if let Ok(value) = HeaderValue::try_from(value) {
            self.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }

    fn number(&mut self, name: &'static str, number: u64) {
        self.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from(number));
    }

    fn end(&mut self) {}

    fn end_with(&mut self, body: String) {
        *self.body_mut() = FrontBody::Full(Some(Bytes::from(body)));
    }

    fn whole(&mut self, response: Response<FrontBody>) {
        *self = response;
    }
}

/// Writes answers of HTTP/1.1 whose connection stays open.
pub(super) struct Wire<'a> {
    bytes: &'a mut String,
    status: StatusCode,
    now: Timestamp,
}

impl<'a> Wire<'a> {
    /// Appends one answer to `bytes`, dated `now`.
    pub(super) const fn new(bytes: &'a mut String, now: Timestamp) -> Self {
        Self { bytes, status: StatusCode::OK, now }
    }

    /// The status that was written.
    pub(super) const fn written(&self) -> StatusCode {
        self.status
    }

    /// Headers that are always the same.
    pub(super) fn headers(&mut self, headers: &[(&'static str, &'static str)]) {
        for (name, value) in headers {
            for piece in [name, ": ", value, "\r\n"] {
                self.bytes.push_str(piece);
            }
        }
    }

    /// The end of an answer with this body.
    pub(super) fn end_with_text(&mut self, body: &str) {
        self.number("content-length", body.len() as u64);
        self.close_head();
        self.bytes.push_str(body);
    }

    fn close_head(&mut self) {
        self.bytes.push_str("date: ");
        push_date(self.bytes, self.now);
        self.bytes.push_str("\r\n\r\n");
    }
}

impl Outlet for Wire<'_> {
    fn status(&mut self, status: StatusCode) {
        self.status = status;
        match status {
            StatusCode::NO_CONTENT => self.bytes.push_str("HTTP/1.1 204 No Content\r\n"),
            StatusCode::OK => self.bytes.push_str("HTTP/1.1 200 OK\r\n"),
            other => {
                self.bytes.push_str("HTTP/1.1 ");
                self.bytes.push_str(other.as_str());
                self.bytes.push(' ');
                self.bytes.push_str(other.canonical_reason().unwrap_or("Other"));
                self.bytes.push_str("\r\n");
            }
        }
    }

    fn header(&mut self, name: &'static str, write: impl FnOnce(&mut String)) {
        let begin = self.bytes.len();
        self.bytes.push_str(name);
        self.bytes.push_str(": ");
        let value = self.bytes.len();
        write(self.bytes);
        // What `HeaderValue` accepts, too: in particular no end of a line.
        let is_value = |byte: &u8| (*byte >= 0x20 && *byte != 0x7f) || *byte == b'\t';
        if self.bytes.as_bytes()[value..].iter().all(is_value) {
            self.bytes.push_str("\r\n");
        } else {
            self.bytes.truncate(begin);
        }
    }

    fn number(&mut self, name: &'static str, number: u64) {
        self.bytes.push_str(name);
        self.bytes.push_str(": ");
        push_number(self.bytes, number);
        self.bytes.push_str("\r\n");
    }

    fn end(&mut self) {
        // An answer with the status 204 has no length (RFC 9110, section 8.6).
        if self.status != StatusCode::NO_CONTENT {
            self.number("content-length", 0);
        }
        self.close_head();
    }

    fn end_with(&mut self, body: String) {
        self.end_with_text(&body);
    }

    fn whole(&mut self, response: Response<FrontBody>) {
        let (parts, body) = response.into_parts();
        self.status(parts.status);
        for (name, value) in &parts.headers {
            if let Ok(value) = value.to_str() {
                self.bytes.push_str(name.as_str());
                self.bytes.push_str(": ");
                self.bytes.push_str(value);
                self.bytes.push_str("\r\n");
            }
        }
        match body {
            FrontBody::Full(Some(body)) => self.end_with(String::from_utf8_lossy(&body).into_owned()),
            _ => self.end(),
        }
    }
}

/// Appends a number in decimal.
pub(super) fn push_number(text: &mut String, number: u64) {
    text.push_str(itoa::Buffer::new().format(number));
}

/// A second, and what the header `date` says in it.
type Dated = (i64, String);

thread_local! {
    static DATED: RefCell<Dated> = const { RefCell::new((i64::MIN, String::new())) };
}

/// Appends the value of the header `date`, which this thread writes once a second.
fn push_date(text: &mut String, now: Timestamp) {
    DATED.with_borrow_mut(|(second, date)| {
        let seconds = now.unix_seconds();
        if *second != seconds {
            let since_epoch = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            *date = httpdate::fmt_http_date(std::time::UNIX_EPOCH + since_epoch);
            *second = seconds;
        }
        text.push_str(date);
    });
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    fn wire(write: impl FnOnce(&mut Wire<'_>)) -> String {
        let mut bytes = String::new();
        write(&mut Wire::new(&mut bytes, Timestamp::from_unix_ms(784_111_777_999)));
        bytes
    }

    #[test]
    fn answers_of_http_1_1() {
        let empty = wire(|wire| {
            wire.status(StatusCode::NO_CONTENT);
            wire.header("x-a", |value| value.push('b'));
            wire.end();
        });
        assert_eq!(empty, "HTTP/1.1 204 No Content\r\nx-a: b\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n");
        let full = wire(|wire| {
            wire.status(StatusCode::OK);
            wire.end_with("{}".to_owned());
        });
        assert_eq!(
            full,
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n{}"
        );
        let mut whole = Response::new(FrontBody::Empty);
        *whole.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        whole.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("7"));
        let whole = wire(|wire| wire.whole(whole));
        assert_eq!(
            whole,
            "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 0\r\ndate: Sun, 06 Nov 1994 \
             08:49:37 GMT\r\n\r\n"
        );
    }

    #[test]
    fn no_value_ends_its_line() {
        for bad in ["a\r\nx: y", "\n", "\u{7f}", "\0"] {
            let answer = wire(|wire| wire.header("x-a", |value| value.push_str(bad)));
            assert_eq!(answer, "", "{bad:?}");
            let mut response = Response::new(FrontBody::Empty);
            response.header("x-a", |value| value.push_str(bad));
            assert!(response.headers().is_empty());
        }
    }

    #[test]
    fn numbers() {
        for number in [0, 9, 10, 12_345, u64::MAX] {
            let mut text = String::new();
            push_number(&mut text, number);
            assert_eq!(text, number.to_string());
        }
    }
}
