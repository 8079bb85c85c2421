//! A client that takes as little of the processors as it can: whoever measures a latency shares them with servers and
//! database.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection that stays open, for one request at a time.
pub(crate) struct PlainClient {
    stream: TcpStream,
    host: String,
    credential: String,
    answer: Vec<u8>,
}

impl PlainClient {
    /// Connects to the server whose addresses begin with `base`.
    ///
    /// # Errors
    /// When nobody is there.
    pub(crate) fn connect(base: &str, credential: &str) -> Result<Self> {
        let host = base.strip_prefix("http://").context("an address without TLS")?.to_owned();
        let stream = TcpStream::connect(&host)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, host, credential: credential.to_owned(), answer: Vec::new() })
    }

    /// The bytes of a request with a JSON body.
    pub(crate) fn post(&self, path: &str, body: &str) -> Vec<u8> {
        format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nPrefer: wait=60\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.host,
            self.credential,
            body.len()
        )
        .into_bytes()
    }

    /// Sends a request and waits for the whole answer; its status.
    ///
    /// # Errors
    /// When the connection ends, or the answer is not understood.
    pub(crate) fn send(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request)?;
        self.answer.clear();
        let mut buffer = [0; 16_384];
        loop {
            let length = self.stream.read(&mut buffer)?;
            if length == 0 {
                bail!("the server closed the connection");
            }
            self.answer.extend_from_slice(&buffer[..length]);
            if let Some((status, whole)) = parse(&self.answer)?
                && self.answer.len() >= whole
            {
                return Ok(status);
            }
        }
    }
}

/// The status of an answer, and how long all of it is, if its head is complete.
fn parse(answer: &[u8]) -> Result<Option<(u16, usize)>> {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&answer[..end])?;
    let status = head.get(9..12).and_then(|status| status.parse().ok()).context("a status")?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    Ok(Some((status, end + 4 + length.context("no length of the body")?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_heads() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx: y\r\n\r\nhel";
        assert_eq!(parse(answer).unwrap(), Some((200, answer.len() + 2)));
        assert_eq!(parse(&answer[..30]).unwrap(), None);
        assert!(parse(b"HTTP/1.1 200 OK\r\nx: y\r\n\r\n").is_err());
        assert!(parse(b"hello\r\n\r\n").is_err());
    }
}
