//! Addresses of context links: for a reader to follow, never for Keywright to fetch. They are checked all the same, so
//! that a link in a prompt cannot lead the tool that reads it into its own network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::LINK_MAX_BYTES;

/// Why a text is not the address of a context link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLink {
    /// Too long, with spaces, or not of the form `https://host/…`.
    #[error("is an address of the form https://host/path, at most {LINK_MAX_BYTES} bytes long")]
    Form,
    /// Neither `http` nor `https`.
    #[error("begins with http:// or https://")]
    Scheme,
    /// With a user name or a password.
    #[error("has no user name and no password in it")]
    Credentials,
    /// A host inside a network.
    #[error("names a public host: not localhost, a local name, or a private, loopback or link-local address")]
    Host,
}

/// Checks that `url` is an `http` or `https` address of a public host.
///
/// # Errors
/// [`InvalidLink`].
pub fn check_link(url: &str) -> Result<(), InvalidLink> {
    if url.len() > LINK_MAX_BYTES || url.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
        return Err(InvalidLink::Form);
    }
    let (scheme, rest) = url.split_once("://").ok_or(InvalidLink::Form)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(InvalidLink::Scheme);
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // Some readers take a backslash for a slash.
    if authority.contains('\\') {
        return Err(InvalidLink::Form);
    }
    if authority.contains('@') {
        return Err(InvalidLink::Credentials);
    }
    check_host(host_of(authority)?)
}

/// The host without the port and the brackets.
fn host_of(authority: &str) -> Result<&str, InvalidLink> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or(InvalidLink::Form)?;
        return if port.is_empty() || is_port(port.strip_prefix(':')) {
            Ok(host)
        } else {
            Err(InvalidLink::Form)
        };
    }
    match authority.split_once(':') {
        Some((host, port)) if is_port(Some(port)) => Ok(host),
        Some(_) => Err(InvalidLink::Form),
        None => Ok(authority),
    }
}

fn is_port(text: Option<&str>) -> bool {
    text.is_some_and(|text| text.parse::<u16>().is_ok_and(|port| port != 0))
}

fn check_host(host: &str) -> Result<(), InvalidLink> {
    if host.contains(':') {
        let address: Ipv6Addr = host.parse().map_err(|_| InvalidLink::Form)?;
        return is_public(IpAddr::V6(address)).then_some(()).ok_or(InvalidLink::Host);
    }
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if host.is_empty()
        || !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
    {
        return Err(InvalidLink::Form);
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    // `127.1`, `0x7f000001` and `2130706433` are addresses, too: no top-level domain is a number.
    if last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") {
        let address: Ipv4Addr = host.parse().map_err(|_| InvalidLink::Host)?;
        return is_public(IpAddr::V4(address)).then_some(()).ok_or(InvalidLink::Host);
    }
    let is_local = !host.contains('.')
        || ["localhost", "local", "internal", "lan", "home", "corp", "intranet", "arpa", "onion"]
            .contains(&last);
    if is_local { Err(InvalidLink::Host) } else { Ok(()) }
}

/// Whether `address` is one of the public internet: not private, loopback, link-local, reserved, or one of these inside
/// another.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match embedded_v4(address) {
            Some(address) => is_public_v4(address),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        // Shared by carriers (RFC 6598), protocol assignments (RFC 6890), benchmarks (RFC 2544).
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && matches!(b, 0 | 88))
        || (a == 198 && matches!(b, 18 | 19)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let first = address.segments()[0];
    // Global unicast is 2000::/3; of it, 2001:db8::/32 is for documents, and 2001::/32 (Teredo) hides an IPv4 address.
    (0x2000..0x4000).contains(&first) && !(first == 0x2001 && matches!(address.segments()[1], 0 | 0x0db8))
}

/// An IPv4 address inside: mapped, NAT64 (RFC 6052), 6to4.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_are_taken() {
        for url in [
            "https://example.com/a?b#c",
            "HTTP://Example.COM:8080/",
            "https://93.184.216.34/",
            "https://[2606:2800:220:1:248:1893:25c8:1946]:443/x",
            "https://docs.example.co.uk",
        ] {
            assert_eq!(check_link(url), Ok(()), "{url}");
        }
        let longest = format!("https://example.com/{}", "x".repeat(LINK_MAX_BYTES - 20));
        assert_eq!(check_link(&longest), Ok(()));
        assert_eq!(check_link(&format!("{longest}x")), Err(InvalidLink::Form));
    }

    #[test]
    fn inner_addresses_are_not() {
        for host in [
            "localhost",
            "LOCALHOST.",
            "db",
            "printer.local",
            "metadata.google.internal",
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "10.1.2.3",
            "192.168.0.1",
            "172.16.5.4",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "[::1]",
            "[fe80::1]",
            "[fd00::1]",
            "[::ffff:10.0.0.1]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:a00:1::]",
            "[::127.0.0.1]",
            "[2001:db8::1]",
            "[2001::1]",
            "192.88.99.1",
        ] {
            assert_eq!(check_link(&format!("https://{host}/x")), Err(InvalidLink::Host), "{host}");
        }
    }

    #[test]
    fn other_forms_are_not() {
        for (url, why) in [
            ("", InvalidLink::Form),
            ("example.com", InvalidLink::Form),
            ("https://", InvalidLink::Form),
            ("https://exa mple.com", InvalidLink::Form),
            ("https://example.com/\n", InvalidLink::Form),
            ("https://example.com:0/", InvalidLink::Form),
            ("https://example.com:http/", InvalidLink::Form),
            ("https://example.com\\@10.0.0.1/", InvalidLink::Form),
            ("https://[::1", InvalidLink::Form),
            ("https://bücher.example/", InvalidLink::Form),
            ("ftp://example.com/", InvalidLink::Scheme),
            ("javascript://example.com/%0aalert(1)", InvalidLink::Scheme),
            ("file:///etc/passwd", InvalidLink::Scheme),
            ("https://user:pw@example.com/", InvalidLink::Credentials),
        ] {
            assert_eq!(check_link(url), Err(why), "{url}");
        }
    }
}
