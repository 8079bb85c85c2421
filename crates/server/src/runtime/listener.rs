//! Binding the socket.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::failure::{Exit, Failure};

/// Connections that wait to be accepted; the kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4_096;

/// A bound socket that listens.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Where it listens; with the real port where port 0 was asked for.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Another handle of the same socket.
    pub(super) fn handle(&self) -> Result<TcpListener, Failure> {
        self.listener
            .try_clone()
            .map_err(|error| Failure::new(Exit::System, format!("cannot duplicate a socket: {error}")))
    }
}

/// Binds `address` and listens. `option` is what the user can change to listen elsewhere, for the message.
pub(crate) fn bind(address: SocketAddr, option: &str) -> Result<Bound, Failure> {
    listen(address).map_err(|error| explain(address, option, &error))
}

fn listen(address: SocketAddr) -> io::Result<Bound> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Restarting must not wait for old connections in TIME_WAIT. On Linux this does not share a listening port.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    let address = listener.local_addr()?;
    Ok(Bound { listener, address })
}

fn explain(address: SocketAddr, option: &str, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::AddrInUse => Failure::new(
            Exit::Unavailable,
            format!("port {} on {} is in use by another process", address.port(), address.ip()),
        )
        .remedy(format!(
            "choose another one with {option}, such as {}; or see who has it: ss -ltnp 'sport = :{}'",
            SocketAddr::new(address.ip(), address.port().checked_add(1).unwrap_or(8_080)),
            address.port()
        )),
        io::ErrorKind::PermissionDenied => {
            Failure::new(Exit::Permission, format!("not allowed to listen on port {}", address.port()))
                .remedy(format!(
                    "choose a port from 1024 up with {option}, or give the process CAP_NET_BIND_SERVICE"
                ))
        }
        io::ErrorKind::AddrNotAvailable => {
            Failure::new(Exit::Unavailable, format!("this machine has no address {}", address.ip()))
                .remedy(format!("choose one of its own with {option}, or 0.0.0.0 or [::] for all"))
        }
        _ => Failure::new(Exit::System, format!("cannot listen on {address}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_listener_is_told_what_to_do() {
        let first = bind(([127, 0, 0, 1], 0).into(), "--listen").unwrap();
        assert_ne!(first.address().port(), 0);
        let failure = bind(first.address(), "--listen").unwrap_err();
        let text = failure.to_string();
        assert_eq!(failure.exit(), Exit::Unavailable);
        assert!(
            text.contains(&format!("port {}", first.address().port())) && text.contains("--listen"),
            "{text}"
        );
    }

    #[test]
    fn an_address_of_another_machine_is_explained() {
        let failure = bind(([192, 0, 2, 1], 0).into(), "`listen`").unwrap_err();
        assert!(failure.to_string().contains("no address 192.0.2.1"), "{failure}");
    }
}
