//! The cold part of a key, as bytes in the arena: a fixed-size prefix part that decisions sometimes need (secrets
//! beside the primary, networks), then what only answers need (external id, metadata).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use keywright_domain::{
    caps,
    ids::{OperatorId, ServiceAccountId, UserId},
    key::SecretDigest,
    principal::Principal,
    time::Timestamp,
};
use keywright_keyformat::Locator;

const HEADER_BYTES: usize = 8;
const CREATOR_BYTES: usize = 17;
const DATES_BYTES: usize = 16;
const SECRET_BYTES: usize = 56;
const NETWORK_BYTES: usize = 18;
/// Secrets beside the primary: the retired ones that are kept, the older one of an overlap, and a margin of two.
pub(crate) const OTHER_SECRETS_MAX: usize = caps::RETIRED_SECRETS_KEPT + 3;
/// Most bytes before the secrets: who created the key, and when.
pub(crate) const START_BYTES_MAX: usize = HEADER_BYTES + CREATOR_BYTES + DATES_BYTES;
/// Most bytes before the external id.
pub(crate) const PREFIX_BYTES_MAX: usize =
    START_BYTES_MAX + OTHER_SECRETS_MAX * SECRET_BYTES + caps::NETWORKS_MAX * NETWORK_BYTES;

const NEVER: i64 = i64::MAX;
const RETIRED: i64 = i64::MIN;

/// A secret beside the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OtherSecret {
    pub(crate) locator: Locator,
    pub(crate) digest: SecretDigest,
    pub(crate) ordinal: u16,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) retired: bool,
}

/// When a key was created, and when its newest secret was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dates {
    pub(crate) created_at: Timestamp,
    pub(crate) issued_at: Timestamp,
}

/// What goes into a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cold<'a> {
    /// The creator, where the membership does not tell.
    pub(crate) creator: Option<Principal>,
    /// Where the key's id does not tell both.
    pub(crate) dates: Option<Dates>,
    pub(crate) others: Vec<OtherSecret>,
    pub(crate) networks: &'a [IpNet],
    pub(crate) external_id: Option<&'a str>,
    pub(crate) metadata: &'a str,
}

impl Cold<'_> {
    /// The bytes. The caller has checked the counts against [`OTHER_SECRETS_MAX`] and [`caps::NETWORKS_MAX`].
    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        let flags = u8::from(self.external_id.is_some())
            | u8::from(self.creator.is_some()) << 1
            | u8::from(self.dates.is_some()) << 2;
        let count = |length: usize| u8::try_from(length).expect("counts were checked");
        let external_id = self.external_id.unwrap_or_default();
        let external_id_bytes =
            u16::try_from(external_id.len()).expect("an external id has at most 512 bytes");
        bytes.extend_from_slice(&[flags, count(self.others.len()), count(self.networks.len()), 0]);
        bytes.extend_from_slice(&external_id_bytes.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        if let Some(creator) = self.creator {
            encode_principal(creator, bytes);
        }
        if let Some(Dates { created_at, issued_at }) = self.dates {
            bytes.extend_from_slice(&created_at.unix_ms().to_le_bytes());
            bytes.extend_from_slice(&issued_at.unix_ms().to_le_bytes());
        }
        for secret in &self.others {
            encode_secret(secret, bytes);
        }
        for network in self.networks {
            encode_network(network, bytes);
        }
        bytes.extend_from_slice(external_id.as_bytes());
        bytes.extend_from_slice(self.metadata.as_bytes());
    }
}

fn encode_principal(principal: Principal, bytes: &mut Vec<u8>) {
    let (kind, id) = match principal {
        Principal::User(id) => (0, id.to_bytes()),
        Principal::ServiceAccount(id) => (1, id.to_bytes()),
        Principal::Operator(id) => (2, id.to_bytes()),
    };
    bytes.push(kind);
    bytes.extend_from_slice(&id);
}

fn decode_principal(bytes: &[u8; CREATOR_BYTES]) -> Option<Principal> {
    let (kind, id) = bytes.split_first()?;
    let id = *id.first_chunk()?;
    match kind {
        0 => Some(Principal::User(UserId::from_bytes(id))),
        1 => Some(Principal::ServiceAccount(ServiceAccountId::from_bytes(id))),
        2 => Some(Principal::Operator(OperatorId::from_bytes(id))),
        _ => None,
    }
}

fn encode_secret(secret: &OtherSecret, bytes: &mut Vec<u8>) {
    let end = if secret.retired { RETIRED } else { secret.expires_at.map_or(NEVER, Timestamp::unix_ms) };
    bytes.extend_from_slice(secret.locator.as_bytes());
    bytes.extend_from_slice(&secret.digest.pepper.to_le_bytes());
    bytes.extend_from_slice(&secret.ordinal.to_le_bytes());
    bytes.extend_from_slice(&secret.digest.bytes);
    bytes.extend_from_slice(&end.to_le_bytes());
}

fn decode_secret(bytes: &[u8; SECRET_BYTES]) -> Option<OtherSecret> {
    let (locator, rest) = bytes.split_first_chunk::<12>()?;
    let (pepper, rest) = rest.split_first_chunk::<2>()?;
    let (ordinal, rest) = rest.split_first_chunk::<2>()?;
    let (digest, rest) = rest.split_first_chunk::<32>()?;
    let end = i64::from_le_bytes(*rest.first_chunk()?);
    Some(OtherSecret {
        locator: Locator::parse(locator).ok()?,
        digest: SecretDigest { pepper: u16::from_le_bytes(*pepper), bytes: *digest },
        ordinal: u16::from_le_bytes(*ordinal),
        expires_at: (end != NEVER && end != RETIRED).then(|| Timestamp::from_unix_ms(end)),
        retired: end == RETIRED,
    })
}

fn encode_network(network: &IpNet, bytes: &mut Vec<u8>) {
    let mut address = [0; 16];
    let family = match network.addr() {
        IpAddr::V4(v4) => {
            address[..4].copy_from_slice(&v4.octets());
            4
        }
        IpAddr::V6(v6) => {
            address = v6.octets();
            6
        }
    };
    bytes.extend_from_slice(&[family, network.prefix_len()]);
    bytes.extend_from_slice(&address);
}

fn decode_network(bytes: &[u8; NETWORK_BYTES]) -> Option<IpNet> {
    let ([family, prefix_length], address) = bytes.split_first_chunk::<2>()?;
    let address = address.first_chunk::<16>()?;
    let address = match family {
        4 => IpAddr::V4(Ipv4Addr::from(*address.first_chunk::<4>()?)),
        6 => IpAddr::V6(Ipv6Addr::from(*address)),
        _ => return None,
    };
    IpNet::new(address, *prefix_length).ok()
}

/// A blob's bytes, read piece by piece. A damaged piece is left out; readers that race the writer may see one, and
/// notice when they check the record's version.
#[derive(Clone, Copy)]
pub(crate) struct ColdBytes<'a> {
    bytes: &'a [u8],
}

impl<'a> ColdBytes<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    fn header(&self, position: usize) -> usize {
        usize::from(self.bytes.get(position).copied().unwrap_or(0))
    }

    fn creator_bytes(&self) -> usize {
        if self.header(0) & 2 == 0 { 0 } else { CREATOR_BYTES }
    }

    fn dates_begin(&self) -> usize {
        HEADER_BYTES + self.creator_bytes()
    }

    fn secrets_begin(&self) -> usize {
        let dates_bytes = if self.header(0) & 4 == 0 { 0 } else { DATES_BYTES };
        self.dates_begin() + dates_bytes
    }

    fn networks_begin(&self) -> usize {
        self.secrets_begin() + self.header(1) * SECRET_BYTES
    }

    fn texts_begin(&self) -> usize {
        self.networks_begin() + self.header(2) * NETWORK_BYTES
    }

    fn text(&self, begin: usize, end: usize) -> &'a str {
        self.bytes.get(begin..end).and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    fn external_id_end(&self) -> usize {
        self.texts_begin() + self.header(4) + (self.header(5) << 8)
    }

    pub(crate) fn creator(&self) -> Option<Principal> {
        if self.creator_bytes() == 0 {
            return None;
        }
        decode_principal(self.bytes.get(HEADER_BYTES..)?.first_chunk()?)
    }

    pub(crate) fn dates(&self) -> Option<Dates> {
        let dates = self.bytes.get(self.dates_begin()..self.secrets_begin())?;
        let (created, issued) = dates.split_first_chunk::<8>()?;
        let time = |bytes: &[u8; 8]| Timestamp::from_unix_ms(i64::from_le_bytes(*bytes));
        Some(Dates { created_at: time(created), issued_at: time(issued.first_chunk()?) })
    }

    pub(crate) fn others(self) -> impl Iterator<Item = OtherSecret> + 'a {
        let all = self.bytes.get(self.secrets_begin()..self.networks_begin()).unwrap_or_default();
        all.as_chunks::<SECRET_BYTES>().0.iter().filter_map(decode_secret)
    }

    pub(crate) fn networks(self) -> impl Iterator<Item = IpNet> + 'a {
        let all = self.bytes.get(self.networks_begin()..self.texts_begin()).unwrap_or_default();
        all.as_chunks::<NETWORK_BYTES>().0.iter().filter_map(decode_network)
    }

    pub(crate) fn external_id(&self) -> Option<&'a str> {
        (self.header(0) & 1 == 1).then(|| self.text(self.texts_begin(), self.external_id_end()))
    }

    pub(crate) fn metadata(&self) -> &'a str {
        self.text(self.external_id_end(), self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(number: u16, end: Option<i64>, retired: bool) -> OtherSecret {
        OtherSecret {
            locator: Locator::parse(format!("{number:012}")).unwrap(),
            digest: SecretDigest { pepper: number, bytes: [7; 32] },
            ordinal: number,
            expires_at: end.map(Timestamp::from_unix_ms),
            retired,
        }
    }

    #[test]
    fn everything_comes_back() {
        let networks: Vec<IpNet> =
            ["203.0.113.0/24", "2001:db8::/32", "0.0.0.0/0"].map(|text| text.parse().unwrap()).into();
        let dates = Dates { created_at: Timestamp::from_unix_ms(5), issued_at: Timestamp::from_unix_ms(-7) };
        let creator = Some(Principal::Operator(OperatorId::from_bytes([9; 16])));
        for (creator, dates) in [(None, None), (creator, None), (None, Some(dates)), (creator, Some(dates))] {
            for external_id in [None, Some(""), Some("cust_42")] {
                let others =
                    vec![secret(1, None, true), secret(2, Some(1_000), false), secret(3, None, false)];
                let cold = Cold {
                    creator,
                    dates,
                    others,
                    networks: &networks,
                    external_id,
                    metadata: "{\"team\":\"web\"}",
                };
                let mut bytes = Vec::new();
                cold.encode(&mut bytes);
                let read = ColdBytes::new(&bytes);
                assert_eq!((read.creator(), read.dates()), (creator, dates));
                assert_eq!(read.others().collect::<Vec<_>>(), cold.others);
                assert_eq!(read.networks().collect::<Vec<_>>(), networks);
                assert_eq!((read.external_id(), read.metadata()), (external_id, cold.metadata));
            }
        }
    }

    #[test]
    fn a_plain_key_costs_eight_bytes_beside_its_texts() {
        let mut bytes = Vec::new();
        Cold {
            creator: None,
            dates: None,
            others: Vec::new(),
            networks: &[],
            external_id: None,
            metadata: "{}",
        }
        .encode(&mut bytes);
        assert_eq!(bytes.len(), 8 + 2);
    }

    #[test]
    fn the_prefix_holds_the_most_there_can_be() {
        let network = "2001:db8::/32".parse().unwrap();
        let cold = Cold {
            creator: Some(Principal::User(UserId::from_bytes([1; 16]))),
            dates: Some(Dates { created_at: Timestamp::default(), issued_at: Timestamp::default() }),
            others: vec![secret(1, None, true); OTHER_SECRETS_MAX],
            networks: &[network; caps::NETWORKS_MAX],
            external_id: Some("x"),
            metadata: "{}",
        };
        let mut bytes = Vec::new();
        cold.encode(&mut bytes);
        let read = ColdBytes::new(&bytes[..PREFIX_BYTES_MAX]);
        assert_eq!(read.others().count(), OTHER_SECRETS_MAX);
        assert_eq!(read.networks().count(), caps::NETWORKS_MAX);
    }

    #[test]
    fn damaged_bytes_never_panic() {
        let noise: Vec<u8> = (0..=255).cycle().take(4_000).collect();
        for begin in 0..300 {
            for end in [begin, begin + 1, begin + 7, begin + 100, 4_000] {
                let read = ColdBytes::new(&noise[begin..end]);
                let _ = (
                    read.creator(),
                    read.dates(),
                    read.others().count(),
                    read.networks().count(),
                    read.external_id(),
                    read.metadata(),
                );
            }
        }
    }
}
