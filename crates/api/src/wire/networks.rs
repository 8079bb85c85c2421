//! Networks of a key: single addresses and CIDR.

use std::net::IpAddr;

use ipnet::IpNet;
use keywright_domain::caps;

use crate::error::ApiError;

/// Reads `allowed_ips`. Repetitions are dropped, IPv4 mapped into IPv6 becomes IPv4.
///
/// # Errors
/// `invalid_field` naming the entry: not an address or network, or a network with host bits.
pub(crate) fn parse_networks(texts: &[String]) -> Result<Vec<IpNet>, ApiError> {
    parse_networks_of("allowed_ips", texts)
}

/// Reads a list of networks in the field called `field`.
///
/// # Errors
/// As [`parse_networks`].
pub(crate) fn parse_networks_of(field: &str, texts: &[String]) -> Result<Vec<IpNet>, ApiError> {
    let mut networks = Vec::with_capacity(texts.len().min(caps::NETWORKS_MAX));
    for (position, text) in texts.iter().enumerate() {
        let network = parse_network(text)
            .map_err(|reason| ApiError::invalid_field(&format!("{field}[{position}]"), reason))?;
        if !networks.contains(&network) {
            networks.push(network);
        }
        // More would be refused anyway; comparing all of them with each other would cost too much.
        if networks.len() > caps::NETWORKS_MAX {
            break;
        }
    }
    Ok(networks)
}

/// How a network is shown: a single address without `/32` or `/128`.
pub(crate) fn show_network(network: &IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

fn parse_network(text: &str) -> Result<IpNet, String> {
    const EXPECTED: &str =
        "expected an address or a network, such as 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32.";
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_canonical().into());
    }
    let network = text.parse::<IpNet>().map_err(|_| EXPECTED.to_owned())?;
    if network.addr() != network.network() {
        let (whole, one) = (network.trunc(), network.addr());
        return Err(format!("host bits are set: send the network {whole}, or the one address {one}."));
    }
    Ok(canonical(network))
}

fn canonical(network: IpNet) -> IpNet {
    const MAPPED_BITS: u8 = 96;
    let mapped = match network {
        IpNet::V6(inner) if inner.prefix_len() >= MAPPED_BITS => inner.addr().to_ipv4_mapped(),
        IpNet::V4(_) | IpNet::V6(_) => None,
    };
    mapped
        .and_then(|address| IpNet::new(address.into(), network.prefix_len() - MAPPED_BITS).ok())
        .unwrap_or(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Result<Vec<String>, String> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        parse_networks(&texts)
            .map(|networks| networks.iter().map(show_network).collect())
            .map_err(|error| error.detail().to_owned())
    }

    #[test]
    fn addresses_and_networks() {
        let texts = ["203.0.113.7", "203.0.113.0/24", "2001:db8::1", "2001:db8::/32", "0.0.0.0/0"];
        assert_eq!(read(&texts).unwrap(), texts);
        assert_eq!(read(&["203.0.113.7/32", "203.0.113.7"]).unwrap(), ["203.0.113.7"]);
        assert_eq!(
            read(&["::ffff:203.0.113.7", "::ffff:10.0.0.0/104"]).unwrap(),
            ["203.0.113.7", "10.0.0.0/8"]
        );
    }

    #[test]
    fn host_bits_come_with_a_hint() {
        assert_eq!(
            read(&["203.0.113.7/24"]).unwrap_err(),
            "host bits are set: send the network 203.0.113.0/24, or the one address 203.0.113.7."
        );
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            ["", "localhost", "203.0.113", "203.0.113.7/33", "fe80::1%eth0", "10.0.0.1-10.0.0.9", " 10.0.0.1"]
        {
            assert!(read(&[text]).is_err(), "{text}");
        }
    }
}
