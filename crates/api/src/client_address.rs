//! Which network address a request came from, seen through trusted proxies only.
//!
//! A forwarding header is a claim of whoever sent it. Its entries are therefore read from right to left, as long as
//! the entry's sender is a proxy the operator named; the first other address is the client. Exactly one header is
//! read: a proxy that writes `X-Forwarded-For` passes a forged `Forwarded` on unchanged, and the other way round.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

use crate::caps::FORWARDED_HOPS_MAX;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The header that the operator's proxies write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardingHeader {
    /// `X-Forwarded-For: client, proxy`.
    #[default]
    XForwardedFor,
    /// `Forwarded: for=client, for=proxy` (RFC 7239).
    Forwarded,
}

/// The proxies whose forwarding header is believed. None by default.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    header: ForwardingHeader,
}

impl TrustedProxies {
    /// Believes the proxies in `networks`, which write `header`.
    pub fn new(networks: impl IntoIterator<Item = IpNet>, header: ForwardingHeader) -> Self {
        Self { networks: networks.into_iter().collect(), header }
    }

    /// Whether `address` is a trusted proxy. An IPv4 address mapped into IPv6 counts as the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// The address the request came from: `peer`, or what its forwarding header tells about it if `peer` is a
    /// trusted proxy. An unreadable entry ends the walk at the proxy that wrote it. Allocates nothing.
    #[inline]
    pub fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if self.networks.is_empty() || !self.contains(peer) {
            return peer;
        }
        self.walk(peer, headers)
    }

    fn walk(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let (name, parse): (_, fn(&str) -> Option<IpAddr>) = match self.header {
            ForwardingHeader::XForwardedFor => (&X_FORWARDED_FOR, parse_node),
            ForwardingHeader::Forwarded => (&header::FORWARDED, parse_forwarded_element),
        };
        // Several lines are one list (RFC 9110, section 5.3); the last line's last entry is the newest.
        let entries =
            headers.get_all(name).iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        let mut client = peer;
        for entry in entries.take(FORWARDED_HOPS_MAX) {
            let Some(address) = std::str::from_utf8(entry).ok().and_then(|entry| parse(entry.trim())) else {
                break;
            };
            client = address;
            if !self.contains(address) {
                break;
            }
        }
        client
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn parse_node(text: &str) -> Option<IpAddr> {
    let address = text
        .parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6))?;
    Some(address.to_canonical())
}

/// The `for` parameter of one element of `Forwarded`; none for `unknown`, hidden names, or two `for` parameters.
fn parse_forwarded_element(element: &str) -> Option<IpAddr> {
    let mut nodes = element.split(';').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then_some(value.trim())
    });
    let (Some(node), None) = (nodes.next(), nodes.next()) else { return None };
    let node = match node.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"')?,
        None => node,
    };
    parse_node(node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    const PROXIES: [&str; 2] = ["10.0.0.0/8", "fd00::/8"];

    fn proxies(header: ForwardingHeader) -> TrustedProxies {
        TrustedProxies::new(PROXIES.iter().map(|network| network.parse().unwrap()), header)
    }

    fn headers(name: &'static str, lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        headers
    }

    fn seen(peer: &str, lines: &[&str]) -> String {
        let headers = headers("x-forwarded-for", lines);
        proxies(ForwardingHeader::XForwardedFor).client_address(peer.parse().unwrap(), &headers).to_string()
    }

    fn seen_forwarded(lines: &[&str]) -> String {
        let headers = headers("forwarded", lines);
        proxies(ForwardingHeader::Forwarded).client_address("10.0.0.1".parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn nobody_is_trusted_by_default() {
        let headers = headers("x-forwarded-for", &["198.51.100.9"]);
        let address = TrustedProxies::default().client_address("10.0.0.1".parse().unwrap(), &headers);
        assert_eq!(address.to_string(), "10.0.0.1");
    }

    #[test]
    fn the_first_untrusted_address_from_the_right_is_the_client() {
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(seen("203.0.113.5", &["198.51.100.9"]), "203.0.113.5");
        assert_eq!(seen("10.0.0.1", &["198.51.100.9"]), "198.51.100.9");
        assert_eq!(seen("10.0.0.1", &["1.1.1.1, 198.51.100.9,10.0.0.2"]), "198.51.100.9");
        assert_eq!(seen("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
        assert_eq!(seen("::ffff:10.0.0.1", &["::ffff:198.51.100.9"]), "198.51.100.9");
    }

    #[test]
    fn several_lines_are_one_list() {
        assert_eq!(seen("10.0.0.1", &["1.1.1.1", "198.51.100.9, 10.0.0.2"]), "198.51.100.9");
        assert_eq!(seen("10.0.0.1", &["198.51.100.9", "10.0.0.2"]), "198.51.100.9");
    }

    #[test]
    fn an_unreadable_entry_ends_the_walk() {
        for entry in
            ["unknown", "", "_hidden", "1.2.3", "1.2.3.4.5", "fe80::1%eth0", "[::1", "9.9.9.9 8.8.8.8", "ü"]
        {
            assert_eq!(seen("10.0.0.1", &[&format!("1.1.1.1, {entry}, 10.0.0.2")]), "10.0.0.2", "{entry}");
            assert_eq!(seen("10.0.0.1", &[&format!("1.1.1.1, {entry}")]), "10.0.0.1", "{entry}");
        }
    }

    #[test]
    fn ports_and_brackets_are_understood() {
        assert_eq!(seen("10.0.0.1", &["198.51.100.9:4711"]), "198.51.100.9");
        assert_eq!(seen("10.0.0.1", &["[2001:db8::7]:4711"]), "2001:db8::7");
        assert_eq!(seen("fd00::1", &["[2001:db8::7]"]), "2001:db8::7");
    }

    #[test]
    fn forwarded_is_read_when_it_is_the_configured_header() {
        assert_eq!(
            seen_forwarded(&["for=1.1.1.1, For=\"[2001:db8::7]:80\";proto=https, for=10.0.0.2"]),
            "2001:db8::7"
        );
        assert_eq!(seen_forwarded(&["for=198.51.100.9, for=unknown"]), "10.0.0.1");
        assert_eq!(seen_forwarded(&["for=198.51.100.9;for=1.1.1.1"]), "10.0.0.1");
        assert_eq!(seen_forwarded(&["for=\"evil", "for=198.51.100.9"]), "198.51.100.9");
        assert_eq!(seen_forwarded(&["proto=https"]), "10.0.0.1");
    }

    #[test]
    fn the_other_header_is_never_read() {
        let forged = headers("forwarded", &["for=198.51.100.9"]);
        let address =
            proxies(ForwardingHeader::XForwardedFor).client_address("10.0.0.1".parse().unwrap(), &forged);
        assert_eq!(address.to_string(), "10.0.0.1");
    }

    #[test]
    fn the_walk_has_an_end() {
        let line = |hops: usize| format!("198.51.100.9{}", ", 10.0.0.2".repeat(hops));
        assert_eq!(seen("10.0.0.1", &[&line(FORWARDED_HOPS_MAX - 1)]), "198.51.100.9");
        assert_eq!(seen("10.0.0.1", &[&line(FORWARDED_HOPS_MAX)]), "10.0.0.2");
    }

    proptest! {
        #[test]
        fn what_a_client_writes_never_changes_the_answer(
            forged in proptest::collection::vec("[ -~]{0,40}", 0..4),
            client in any::<[u8; 4]>(),
            proxy_count in 0_usize..4,
        ) {
            let client = IpAddr::from(client);
            prop_assume!(!proxies(ForwardingHeader::XForwardedFor).contains(client));
            let honest = format!("{client}{}", ", 10.1.2.3".repeat(proxy_count));
            let mut lines: Vec<&str> = forged.iter().map(String::as_str).collect();
            lines.push(&honest);
            prop_assert_eq!(seen("10.0.0.1", &lines), client.to_string());
            let joined = lines.join(", ");
            prop_assert_eq!(seen("10.0.0.1", &[&joined]), client.to_string());
        }

        #[test]
        fn any_bytes_are_survived(line in proptest::collection::vec(0x20_u8..=0xff, 0..200)) {
            prop_assume!(!line.contains(&0x7f));
            for (name, header) in [("x-forwarded-for", ForwardingHeader::XForwardedFor), ("forwarded", ForwardingHeader::Forwarded)] {
                let mut headers = HeaderMap::new();
                headers.insert(name, HeaderValue::from_bytes(&line).unwrap());
                let _ = proxies(header).client_address("10.0.0.1".parse().unwrap(), &headers);
            }
        }
    }
}
