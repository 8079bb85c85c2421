use std::net::{Ipv4Addr, TcpListener};

use crate::entropy::random;

/// A port of 127.0.0.1 that is free now, for a server that is stopped and started again on it. It lies below those that the
/// system gives to clients (`ip_local_port_range`): while the server is down, no client gets it, not even one that tries to
/// reach the server from its own port, which TCP would connect with itself.
///
/// # Panics
/// There is no source of random numbers.
#[must_use]
pub fn free_port() -> u16 {
    loop {
        let port = 10_000 + u16::from_be_bytes(random()) % 20_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn no_client_is_given_it() {
        let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
        let first: u16 = range.split_whitespace().next().unwrap().parse().unwrap();
        assert!((0..100).all(|_| (1_024..first).contains(&free_port())), "{range}");
    }
}
