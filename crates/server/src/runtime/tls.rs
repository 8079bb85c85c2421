//! TLS: certificate and key from files, replaced while running when the files change.

use std::{fs, io, path::Path, sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    config::Tls,
    failure::{Exit, Failure},
};

/// Certificate and key in use, and the files that they come from.
pub(crate) struct TlsFiles {
    files: Tls,
    current: ArcSwap<ServerConfig>,
    seen: Mutex<Stamp>,
}

/// From which a change of the files is recognised.
type Stamp = [Option<(SystemTime, u64, u64)>; 2];

/// What looking at the files led to.
#[derive(Debug)]
pub(crate) enum Reload {
    /// They are as before.
    Unchanged,
    /// A new pair is in use.
    Replaced,
    /// The new pair cannot be used; the old one stays.
    Kept(Failure),
}

impl TlsFiles {
    /// Reads certificate and key.
    pub(crate) fn load(files: &Tls) -> Result<Self, Failure> {
        let seen = stamp(files);
        let config = read(files)?;
        Ok(Self { files: files.clone(), current: ArcSwap::from_pointee(config), seen: Mutex::new(seen) })
    }

    /// Greets a client. Each connection keeps the certificate that it began with.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.current.load_full()).accept(stream).await
    }

    /// Looks at the files, and takes them over if they changed and fit together.
    pub(crate) fn reload(&self) -> Reload {
        let mut seen = self.seen.lock();
        let now = stamp(&self.files);
        if *seen == now {
            return Reload::Unchanged;
        }
        *seen = now;
        match read(&self.files) {
            Ok(config) => {
                self.current.store(Arc::new(config));
                Reload::Replaced
            }
            Err(failure) => Reload::Kept(failure),
        }
    }
}

fn stamp(files: &Tls) -> Stamp {
    use std::os::unix::fs::MetadataExt as _;
    [&files.certificate, &files.key].map(|path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.ino(), metadata.len()))
    })
}

fn read(files: &Tls) -> Result<ServerConfig, Failure> {
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(&files.certificate, "certificate", &error))?;
    if chain.is_empty() {
        return Err(Failure::new(
            Exit::Config,
            format!("{} holds no certificate in PEM", files.certificate.display()),
        ));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| unreadable(&files.key, "private key", &error))?;
    build(chain, key).map_err(|error| {
        Failure::new(
            Exit::Config,
            format!(
                "certificate {} and key {} cannot be used: {error}",
                files.certificate.display(),
                files.key.display()
            ),
        )
        .remedy("replace both files with a pair that belongs together")
    })
}

fn build(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = ring::Ticketer::new()?;
    Ok(config)
}

fn unreadable(path: &Path, what: &str, error: &rustls::pki_types::pem::Error) -> Failure {
    // The error may quote the file, which may hold a private key.
    let reason = match error {
        rustls::pki_types::pem::Error::Io(error) => error.to_string(),
        rustls::pki_types::pem::Error::NoItemsFound => format!("it holds no {what} in PEM"),
        _ => "it is not valid PEM".to_owned(),
    };
    Failure::new(Exit::Config, format!("cannot read the {what} {}: {reason}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_pair(files: &Tls, name: &str) {
        let pair = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        fs::write(&files.certificate, pair.cert.pem()).unwrap();
        fs::write(&files.key, pair.signing_key.serialize_pem()).unwrap();
    }

    #[test]
    fn a_new_pair_is_taken_and_a_broken_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let files =
            Tls { certificate: directory.path().join("cert.pem"), key: directory.path().join("key.pem") };
        assert!(TlsFiles::load(&files).is_err());
        write_pair(&files, "one.example");
        let tls = TlsFiles::load(&files).unwrap();
        let in_use = || Arc::as_ptr(&tls.current.load_full());
        let first = in_use();
        assert!(matches!(tls.reload(), Reload::Unchanged));
        write_pair(&files, "longer-name-two.example");
        assert!(matches!(tls.reload(), Reload::Replaced));
        let second = in_use();
        assert_ne!(first, second);
        let other = rcgen::generate_simple_self_signed(vec!["x".to_owned()]).unwrap();
        fs::write(&files.certificate, format!("{}\n", other.cert.pem())).unwrap();
        let Reload::Kept(failure) = tls.reload() else {
            panic!("the key does not belong to the certificate")
        };
        assert!(failure.to_string().contains("cannot be used"), "{failure}");
        assert!(matches!(tls.reload(), Reload::Unchanged), "complains once");
        fs::write(&files.key, "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n").unwrap();
        let Reload::Kept(failure) = tls.reload() else { panic!("not PEM") };
        assert!(!failure.to_string().contains("c2VjcmV0"), "{failure}");
        assert_eq!(in_use(), second);
    }
}
