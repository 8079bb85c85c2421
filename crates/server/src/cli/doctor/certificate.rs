//! When a certificate ends: the little of X.509 (RFC 5280) and DER (X.690) that it takes.

use std::path::Path;

use keywright_domain::time::Timestamp;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xA0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// When the first certificate of a PEM file ends.
pub(super) fn not_after(file: &Path) -> Result<Timestamp, String> {
    let certificate = CertificateDer::from_pem_file(file).map_err(|error| error.to_string())?;
    parse(&certificate).ok_or_else(|| "the certificate cannot be read".to_owned())
}

fn parse(certificate: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (body, _) = element(certificate, SEQUENCE)?;
    let rest = element(body, VERSION).map_or(body, |(_, rest)| rest);
    let (_, rest) = element(rest, INTEGER)?;
    let (_, rest) = element(rest, SEQUENCE)?;
    let (_, rest) = element(rest, SEQUENCE)?;
    let (validity, _) = element(rest, SEQUENCE)?;
    let (_, end) = time(validity)?;
    time(end).map(|(at, _)| at)
}

/// The content of the element that `bytes` begin with, if it has this tag, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first().filter(|(first, _)| **first == tag)?;
    debug_assert_eq!(*first, tag);
    let (length, rest) = rest.split_first()?;
    if *length < 0x80 {
        return rest.split_at_checked(usize::from(*length));
    }
    let (digits, rest) = rest.split_at_checked(usize::from(*length & 0x7F))?;
    let length = digits
        .iter()
        .try_fold(0_usize, |length, digit| length.checked_mul(256)?.checked_add(usize::from(*digit)))?;
    rest.split_at_checked(length)
}

fn time(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    if let Some((text, rest)) = element(bytes, UTC_TIME) {
        let text = str::from_utf8(text).ok()?;
        let century = if text.get(..2)?.parse::<u8>().ok()? < 50 { "20" } else { "19" };
        return Some((moment(&format!("{century}{text}"))?, rest));
    }
    let (text, rest) = element(bytes, GENERALIZED_TIME)?;
    Some((moment(str::from_utf8(text).ok()?)?, rest))
}

/// `YYYYMMDDHHMMSSZ`
fn moment(text: &str) -> Option<Timestamp> {
    let part = |from: usize, to: usize| text.get(from..to);
    let rfc3339 = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(8, 10)?,
        part(10, 12)?,
        part(12, 14)?
    );
    Timestamp::parse_rfc3339(&rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_real_certificate_is_read() {
        for (year, expected) in [(2031, "2031-05-06T00:00:00.000Z"), (2061, "2061-05-06T00:00:00.000Z")] {
            let mut parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
            parameters.not_after = rcgen::date_time_ymd(year, 5, 6);
            let certificate = parameters.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join("cert.pem");
            std::fs::write(&file, certificate.pem()).unwrap();
            assert_eq!(not_after(&file).unwrap().to_rfc3339(), expected);
            let der = certificate.der();
            for length in 0..der.len().min(200) {
                assert!(parse(&der[..length]).is_none());
            }
        }
        assert!(not_after(Path::new("/does/not/exist")).is_err());
    }
}
