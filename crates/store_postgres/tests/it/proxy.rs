//! A TCP proxy in front of the server that loses bytes on demand.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// They arrive.
    None,
    /// Nothing arrives any more, on connections that are open; new ones are accepted, and silent too. Half-open.
    Silence,
    /// From the next announcement of a change on, which is sent with the commit, nothing reaches the server.
    SwallowCommit,
    /// From the next announcement of a change on, nothing comes back from the server.
    SwallowAnswer,
    /// What is sent with the next announcement of a change reaches the server only when it is delivered, whatever becomes of
    /// the client meanwhile.
    DelayCommit,
    /// New connections are closed at once.
    Refuse,
    /// Where this is said to the server, that arrives; both are of one length.
    Says(&'static [u8], &'static [u8]),
}

/// The proxy. Ends with the test's process.
pub(crate) struct Proxy {
    port: u16,
    state: Arc<Mutex<State>>,
}

struct State {
    fault: Fault,
    /// Connections before this one stay silent for ever, once they are.
    streams: Vec<TcpStream>,
    /// What is on its way to a server.
    delayed: Vec<(TcpStream, Vec<u8>)>,
}

impl Proxy {
    pub(crate) fn start(server_port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state =
            Arc::new(Mutex::new(State { fault: Fault::None, streams: Vec::new(), delayed: Vec::new() }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                if shared.lock().unwrap().fault == Fault::Refuse {
                    continue;
                }
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server_port)) else { continue };
                shared.lock().unwrap().streams.push(client.try_clone().unwrap());
                shared.lock().unwrap().streams.push(server.try_clone().unwrap());
                // What was lost once is never found again.
                let lost = Arc::new(Mutex::new((false, false)));
                let ways = (Arc::clone(&shared), Arc::clone(&lost));
                let ends = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || up(&ways.0, &ways.1, ends.0, ends.1));
                let shared = Arc::clone(&shared);
                thread::spawn(move || down(&shared, &lost, server, client));
            }
        });
        Self { port, state }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.state.lock().unwrap().fault = fault;
    }

    /// Delivers what was delayed; says to how many connections.
    pub(crate) fn deliver(&self) -> usize {
        let delayed = std::mem::take(&mut self.state.lock().unwrap().delayed);
        let count = delayed.len();
        for (mut server, bytes) in delayed {
            server.write_all(&bytes).unwrap();
        }
        count
    }

    /// Closes all connections.
    pub(crate) fn cut(&self) {
        for stream in self.state.lock().unwrap().streams.drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

/// Bytes from the client to the server.
fn up(state: &Mutex<State>, lost: &Mutex<(bool, bool)>, mut client: TcpStream, mut server: TcpStream) {
    let mut buffer = vec![0; 1 << 16];
    let mut is_delayed = false;
    while let Ok(length @ 1..) = client.read(&mut buffer) {
        let bytes = &mut buffer[..length];
        if let Fault::Says(from, to) = state.lock().unwrap().fault
            && let Some(place) = bytes.windows(from.len()).position(|window| window == from)
        {
            bytes[place..place + to.len()].copy_from_slice(to);
        }
        let announces = bytes.windows(8).any(|window| window == b"_changes");
        {
            let mut lost = lost.lock().unwrap();
            let fault = state.lock().unwrap().fault;
            match fault {
                Fault::Silence => *lost = (true, true),
                Fault::SwallowCommit if announces => *lost = (true, true),
                Fault::SwallowAnswer if announces => lost.1 = true,
                Fault::DelayCommit if announces => {
                    *lost = (true, true);
                    is_delayed = true;
                    let delayed = (server.try_clone().unwrap(), bytes.to_vec());
                    state.lock().unwrap().delayed.push(delayed);
                }
                _ => {}
            }
            if lost.0 {
                continue;
            }
        }
        if server.write_all(bytes).is_err() {
            break;
        }
    }
    if !is_delayed {
        drop(server.shutdown(Shutdown::Both));
    }
}

/// Bytes from the server to the client.
fn down(state: &Mutex<State>, lost: &Mutex<(bool, bool)>, mut server: TcpStream, mut client: TcpStream) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = server.read(&mut buffer) {
        let silent = state.lock().unwrap().fault == Fault::Silence;
        let mut lost = lost.lock().unwrap();
        lost.1 |= silent;
        if !lost.1 && client.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    drop(client.shutdown(Shutdown::Both));
}
