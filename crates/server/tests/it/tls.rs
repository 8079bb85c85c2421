//! TLS: both protocols, and a certificate that is replaced while the server runs.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned,
    SupportedProtocolVersion,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::process::{Dev, directory, eventually};

struct Pair {
    certificate: PathBuf,
    key: PathBuf,
}

impl Pair {
    fn new(directory: &Path) -> Self {
        let pair = Self { certificate: directory.join("cert.pem"), key: directory.join("key.pem") };
        pair.renew();
        pair
    }

    /// Writes a fresh pair; the certificate as the server will show it.
    fn renew(&self) -> Vec<u8> {
        let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(&self.certificate, pair.cert.pem()).unwrap();
        std::fs::write(&self.key, pair.signing_key.serialize_pem()).unwrap();
        pair.cert.der().to_vec()
    }

    fn start(&self, directory: &Path) -> Dev {
        Dev::start_with(
            directory,
            &[
                ("KEYWRIGHT_TLS_CERTIFICATE", self.certificate.to_str().unwrap()),
                ("KEYWRIGHT_TLS_KEY", self.key.to_str().unwrap()),
            ],
        )
    }
}

/// The tests look at the certificate themselves.
#[derive(Debug)]
struct Anyone(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

fn connect(
    address: &str,
    version: &'static SupportedProtocolVersion,
    protocols: &[&[u8]],
) -> StreamOwned<ClientConnection, TcpStream> {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    let own = rcgen::generate_simple_self_signed(vec!["unused".to_owned()]).unwrap();
    roots.add(own.cert.der().clone()).unwrap();
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(verifier)))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let connection =
        ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address).unwrap());
    stream.flush().unwrap();
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).unwrap();
    }
    stream
}

/// The certificate that the server shows to new connections.
fn shown(dev: &Dev) -> Vec<u8> {
    let stream = connect(&dev.address(), &rustls::version::TLS13, &[]);
    stream.conn.peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn both_versions_and_both_protocols() {
    let directory = directory();
    let pair = Pair::new(directory.path());
    let dev = pair.start(directory.path());
    assert!(dev.url().starts_with("https://"));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let stream = connect(&dev.address(), version, &[b"h2", b"http/1.1"]);
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"h2"[..]));
        let mut stream = connect(&dev.address(), version, &[b"http/1.1"]);
        let secret = dev.text("/api_key/secret");
        write!(
            stream,
            "GET /v1/check HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {secret}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 204"), "{text}");
    }
    dev.stop();
}

#[test]
fn a_new_certificate_is_used_and_a_broken_one_is_not() {
    let directory = directory();
    let pair = Pair::new(directory.path());
    let dev = pair.start(directory.path());
    let first = shown(&dev);
    // Kept open over all that follows.
    let mut old_connection = connect(&dev.address(), &rustls::version::TLS13, &[b"http/1.1"]);
    let second = pair.renew();
    assert_ne!(first, second);
    dev.signal(rustix::process::Signal::HUP);
    eventually("the new certificate is shown", || (shown(&dev) == second).then_some(()));
    std::fs::write(&pair.key, "-----BEGIN PRIVATE KEY-----\nbroken\n").unwrap();
    dev.signal(rustix::process::Signal::HUP);
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(shown(&dev), second);
    let third = pair.renew();
    // Without a signal: the files are looked at every few seconds.
    eventually("the third certificate is shown", || (shown(&dev) == third).then_some(()));
    write!(old_connection, "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    old_connection.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    let log = dev.stop();
    assert!(log.contains("the old one stays in use"), "{log}");
}
