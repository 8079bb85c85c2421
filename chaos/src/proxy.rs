//! A TCP proxy between one node and PostgreSQL, which loses, delays or cuts what it carries.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use anyhow::Result;
use parking_lot::Mutex;

/// How often a held-back connection looks whether it may go on.
const LOOK: Duration = Duration::from_millis(5);

/// A proxy on a port of its own. It lives as long as the process.
#[derive(Clone)]
pub struct Proxy(Arc<State>);

struct State {
    port: u16,
    target: AtomicU16,
    /// Bytes are taken from the sender's system, and go no further: what a partition looks like.
    is_black_hole: AtomicBool,
    delay_ms: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// Starts a proxy to `target` on the loopback interface.
    ///
    /// # Errors
    /// No port is free.
    pub fn start(target: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let state = Arc::new(State {
            port: listener.local_addr()?.port(),
            target: AtomicU16::new(target),
            is_black_hole: AtomicBool::new(false),
            delay_ms: AtomicU64::new(0),
            open: Mutex::default(),
        });
        let accepting = Arc::clone(&state);
        thread::Builder::new().name("proxy".to_owned()).spawn(move || accept(&listener, &accepting))?;
        Ok(Self(state))
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// Sends new connections to another port, and ends those that are open.
    pub fn retarget(&self, target: u16) {
        self.0.target.store(target, Relaxed);
        self.cut();
    }

    /// Swallows everything, in both directions, or carries again. What was swallowed is lost with its connection.
    pub fn set_black_hole(&self, is_black_hole: bool) {
        self.0.is_black_hole.store(is_black_hole, Relaxed);
        if !is_black_hole {
            // A real partition loses packets, and TCP repeats them; this proxy has acknowledged them. So the streams
            // have holes, and end.
            self.cut();
        }
    }

    /// Holds every piece back for this long.
    pub fn set_delay(&self, delay: Duration) {
        self.0.delay_ms.store(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Ends all open connections.
    pub fn cut(&self) {
        for stream in self.0.open.lock().drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    for client in listener.incoming() {
        let Ok(client) = client else { continue };
        let state = Arc::clone(state);
        // A connection that cannot be carried is one that fails, which is what this program is for.
        drop(thread::Builder::new().stack_size(128 << 10).spawn(move || connect(client, &state)));
    }
}

fn connect(client: TcpStream, state: &Arc<State>) {
    // A partition also swallows attempts to connect.
    while state.is_black_hole.load(Relaxed) {
        thread::sleep(LOOK);
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, state.target.load(Relaxed)));
    let Ok(server) = TcpStream::connect(address) else { return };
    let copies = || -> std::io::Result<[TcpStream; 4]> {
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        Ok([client.try_clone()?, server.try_clone()?, client.try_clone()?, server.try_clone()?])
    };
    let Ok([client_out, server_out, client_end, server_end]) = copies() else { return };
    state.open.lock().extend([client_end, server_end]);
    let upward = Arc::clone(state);
    drop(thread::Builder::new().stack_size(128 << 10).spawn(move || carry(client, server_out, &upward)));
    carry(server, client_out, state);
}

fn carry(mut from: TcpStream, mut to: TcpStream, state: &State) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if state.is_black_hole.load(Relaxed) {
            continue;
        }
        let delay_ms = state.delay_ms.load(Relaxed);
        if delay_ms > 0 {
            thread::sleep(Duration::from_millis(delay_ms));
        }
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    drop(from.shutdown(Shutdown::Both));
    drop(to.shutdown(Shutdown::Both));
}
