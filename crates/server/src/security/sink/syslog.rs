//! Events to a syslog server (RFC 5424): over UDP (RFC 5426) and Unix datagrams one message each, over TCP with octet counting
//! (RFC 6587, section 3.4.1).
//!
//! Syslog acknowledges nothing. Over TCP the connection is looked at before each delivery, so what is lost is at most what was
//! under way when it broke.

use std::{
    io::{self, Write as _},
    net::{SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket},
    os::unix::net::UnixDatagram,
    time::Duration,
};

use super::{Sink, Written};
use crate::config::security::SyslogAddress;

/// `authpriv`: security and authorization messages.
const FACILITY: u8 = 10;
/// Longest message id (RFC 5424, section 6.2.7).
const MSGID_MAX: usize = 32;
const TIMEOUT: Duration = Duration::from_secs(10);

enum Connection {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Unix(UnixDatagram),
}

pub(super) struct Syslog {
    address: SyslogAddress,
    host: String,
    connection: Option<Connection>,
}

impl Syslog {
    pub(super) fn new(address: SyslogAddress) -> Self {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let is_plain =
            !name.is_empty() && name.len() <= 255 && name.bytes().all(|byte| byte.is_ascii_graphic());
        Self { address, host: if is_plain { name } else { "-".to_owned() }, connection: None }
    }

    fn connect(&self) -> io::Result<Connection> {
        match &self.address {
            SyslogAddress::Udp(server) => {
                let server = resolve(server)?;
                let own: SocketAddr =
                    if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
                let socket = UdpSocket::bind(own)?;
                socket.connect(server)?;
                Ok(Connection::Udp(socket))
            }
            SyslogAddress::Tcp(server) => {
                let stream = TcpStream::connect_timeout(&resolve(server)?, TIMEOUT)?;
                stream.set_write_timeout(Some(TIMEOUT))?;
                Ok(Connection::Tcp(stream))
            }
            SyslogAddress::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_write_timeout(Some(TIMEOUT))?;
                Ok(Connection::Unix(socket))
            }
        }
    }

    /// `<priority>version time host application process message-id structured-data message`.
    fn message(&self, written: &Written<'_>) -> String {
        let event = written.event;
        let priority = FACILITY * 8 + event.kind().severity.syslog();
        let id: String = event.action.chars().filter(char::is_ascii_graphic).take(MSGID_MAX).collect();
        let (time, host, process) = (event.at.to_rfc3339(), &self.host, std::process::id());
        format!("<{priority}>1 {time} {host} keywright {process} {id} - {}", written.line)
    }
}

fn resolve(server: &str) -> io::Result<SocketAddr> {
    server.to_socket_addrs()?.next().ok_or_else(|| io::Error::other(format!("{server} has no address")))
}

/// Whether the server has closed the connection: it never sends anything.
fn is_closed(stream: &TcpStream) -> bool {
    let mut byte = [0];
    if stream.set_nonblocking(true).is_err() {
        return true;
    }
    let is_open = matches!(stream.peek(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
    !is_open || stream.set_nonblocking(false).is_err()
}

impl Sink for Syslog {
    fn deliver(&mut self, events: &[Written<'_>]) -> io::Result<()> {
        let messages: Vec<String> = events.iter().map(|written| self.message(written)).collect();
        let connection = match self.connection.take() {
            Some(Connection::Tcp(stream)) if is_closed(&stream) => self.connect()?,
            Some(connection) => connection,
            None => self.connect()?,
        };
        match &connection {
            Connection::Udp(socket) => {
                messages.iter().try_for_each(|message| socket.send(message.as_bytes()).map(drop))?;
            }
            Connection::Unix(socket) => {
                messages.iter().try_for_each(|message| socket.send(message.as_bytes()).map(drop))?;
            }
            Connection::Tcp(stream) => {
                let frames: Vec<String> =
                    messages.iter().map(|message| format!("{} {message}", message.len())).collect();
                let mut stream = stream;
                stream.write_all(frames.concat().as_bytes())?;
            }
        }
        self.connection = Some(connection);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, net::TcpListener};

    use super::{super::samples::deliver, *};

    /// Header and message, checked field by field.
    fn check(message: &str, priority: u8, action: &str) {
        let rest = message.strip_prefix(&format!("<{priority}>1 ")).unwrap_or_else(|| panic!("{message}"));
        let fields: Vec<_> = rest.splitn(7, ' ').collect();
        assert_eq!(fields[0], "2026-11-18T11:06:40.123Z");
        assert!(!fields[1].is_empty() && fields[2] == "keywright");
        assert_eq!(fields[3], std::process::id().to_string());
        assert_eq!((fields[4], fields[5]), (action, "-"));
        let value: serde_json::Value = serde_json::from_str(fields[6]).unwrap();
        assert_eq!(value["action"], action);
    }

    #[test]
    fn over_udp_one_datagram_each() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut sink = Syslog::new(SyslogAddress::Udp(server.local_addr().unwrap().to_string()));
        deliver(&mut sink, &["key.created", "key.compromised"]).unwrap();
        let mut buffer = vec![0; 65_536];
        for (priority, action) in [(85, "key.created"), (83, "key.compromised")] {
            let length = server.recv(&mut buffer).unwrap();
            check(std::str::from_utf8(&buffer[..length]).unwrap(), priority, action);
        }
    }

    #[test]
    fn over_a_unix_socket() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut sink = Syslog::new(SyslogAddress::Unix(path.clone()));
        assert!(deliver(&mut sink, &["key.created"]).is_err(), "nobody listens");
        let server = UnixDatagram::bind(&path).unwrap();
        deliver(&mut sink, &["session.ended"]).unwrap();
        let mut buffer = vec![0; 65_536];
        let length = server.recv(&mut buffer).unwrap();
        check(std::str::from_utf8(&buffer[..length]).unwrap(), 86, "session.ended");
    }

    #[test]
    fn over_tcp_with_the_number_of_octets_and_again_after_a_break() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sink = Syslog::new(SyslogAddress::Tcp(server.local_addr().unwrap().to_string()));
        deliver(&mut sink, &["key.created", "key.revoked"]).unwrap();
        let (mut first, _) = server.accept().unwrap();
        first.set_read_timeout(Some(TIMEOUT)).unwrap();
        for action in ["key.created", "key.revoked"] {
            check(&frame(&mut first), 85, action);
        }
        drop(first);
        // The end of the connection may still be under way.
        let mut answer = deliver(&mut sink, &["key.deleted"]);
        server.set_nonblocking(true).unwrap();
        for _ in 0..200 {
            if let Ok((mut second, _)) = server.accept() {
                second.set_nonblocking(false).unwrap();
                second.set_read_timeout(Some(TIMEOUT)).unwrap();
                assert!(frame(&mut second).contains("key.deleted"));
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
            answer = deliver(&mut sink, &["key.deleted"]).and(answer);
        }
        panic!("no new connection: {answer:?}");
    }

    fn frame(stream: &mut TcpStream) -> String {
        let mut length = 0;
        loop {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            match byte[0] {
                b' ' => break,
                digit => length = length * 10 + usize::from(digit - b'0'),
            }
        }
        let mut message = vec![0; length];
        stream.read_exact(&mut message).unwrap();
        String::from_utf8(message).unwrap()
    }
}
