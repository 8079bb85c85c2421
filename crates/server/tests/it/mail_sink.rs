//! A mail server that takes letters for tests, keeps them, and refuses on demand.

use std::{
    io::{BufRead as _, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::ring, pki_types::PrivateKeyDer};

use crate::process::eventually;

/// A letter as it came.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    /// Whom it came from, by the envelope.
    pub(crate) from: String,
    /// Whom it goes to, by the envelope.
    pub(crate) to: String,
    /// Who signed in, and with which password.
    pub(crate) signed_in: Option<(String, String)>,
    /// Whether the connection was encrypted.
    pub(crate) encrypted: bool,
    /// Head and body, decoded from quoted-printable.
    pub(crate) text: String,
}

#[derive(Default)]
struct Kept {
    letters: Vec<Letter>,
    /// Answers to the next `RCPT`, instead of "250".
    refusals: Vec<&'static str>,
}

/// The server. It ends with the process.
pub(crate) struct MailSink {
    port: u16,
    kept: Arc<Mutex<Kept>>,
    certificate_pem: String,
}

impl MailSink {
    /// Starts on a free port.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let kept = Arc::new(Mutex::new(Kept::default()));
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        let (shared, tls) = (Arc::clone(&kept), Arc::new(tls));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, tls) = (Arc::clone(&shared), Arc::clone(&tls));
                std::thread::spawn(move || serve(stream, &kept, &tls));
            }
        });
        Self { port, kept, certificate_pem: own.cert.pem() }
    }

    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://localhost:{}", self.port)
    }

    /// The certificate that an encrypted connection is to trust.
    pub(crate) fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Answers the next addressees so, one each.
    pub(crate) fn refuse(&self, answers: &[&'static str]) {
        self.kept.lock().unwrap().refusals.extend(answers);
    }

    pub(crate) fn letters(&self) -> Vec<Letter> {
        self.kept.lock().unwrap().letters.clone()
    }

    /// The latest letter to `address`, once there is one.
    pub(crate) fn letter_to(&self, address: &str) -> Letter {
        eventually("a letter", || self.letters().into_iter().rev().find(|letter| letter.to == address))
    }
}

trait Duplex: Read + Write {}
impl<T: Read + Write> Duplex for T {}

/// What is known of a connection.
#[derive(Default)]
struct Talk {
    from: String,
    to: String,
    signed_in: Option<(String, String)>,
    encrypted: bool,
}

fn serve(stream: TcpStream, kept: &Mutex<Kept>, tls: &Arc<ServerConfig>) {
    let mut talk = Talk::default();
    let mut plain = BufReader::new(stream);
    if plain.get_mut().write_all(b"220 sink\r\n").is_err() {
        return;
    }
    if converse(&mut plain, &mut talk, kept) == After::Encrypt {
        let connection = ServerConnection::new(Arc::clone(tls)).unwrap();
        talk = Talk { encrypted: true, ..Talk::default() };
        let mut stream = BufReader::new(StreamOwned::new(connection, plain.into_inner()));
        converse(&mut stream, &mut talk, kept);
    }
}

#[derive(PartialEq, Eq)]
enum After {
    Encrypt,
    Nothing,
}

fn converse<S: Duplex>(stream: &mut BufReader<S>, talk: &mut Talk, kept: &Mutex<Kept>) -> After {
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).is_ok_and(|count| count > 0) {
            let (answer, after) = answer(stream, line.trim_end(), talk, kept);
            if stream.get_mut().write_all(format!("{answer}\r\n").as_bytes()).is_err() {
                return After::Nothing;
            }
            drop(stream.get_mut().flush());
            if after == After::Encrypt {
                return after;
            }
        } else {
            return After::Nothing;
        }
    }
}

fn answer<S: Duplex>(
    stream: &mut BufReader<S>,
    line: &str,
    talk: &mut Talk,
    kept: &Mutex<Kept>,
) -> (String, After) {
    let said = |text: &str| (text.to_owned(), After::Nothing);
    let address = || line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).unwrap().0.to_owned();
    match line.split([' ', ':']).next().unwrap().to_ascii_uppercase().as_str() {
        "EHLO" => said(if talk.encrypted {
            "250-sink\r\n250 AUTH PLAIN"
        } else {
            "250-sink\r\n250-AUTH PLAIN\r\n250 STARTTLS"
        }),
        "STARTTLS" => ("220 go on".to_owned(), After::Encrypt),
        "AUTH" => {
            let decoded = STANDARD.decode(line.rsplit(' ').next().unwrap()).unwrap();
            let mut parts =
                decoded.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned());
            let (user, password) = (parts.nth(1).unwrap(), parts.next().unwrap());
            let answer = if password == "wrong" { "535 no" } else { "235 yes" };
            talk.signed_in = Some((user, password));
            said(answer)
        }
        "MAIL" => {
            talk.from = address();
            said("250 ok")
        }
        "RCPT" => {
            talk.to = address();
            let refusals = &mut kept.lock().unwrap().refusals;
            said(if refusals.is_empty() { "250 ok" } else { refusals.remove(0) })
        }
        "DATA" => {
            stream.get_mut().write_all(b"354 go on\r\n").unwrap();
            stream.get_mut().flush().unwrap();
            let letter = Letter {
                from: talk.from.clone(),
                to: talk.to.clone(),
                signed_in: talk.signed_in.clone(),
                encrypted: talk.encrypted,
                text: body(stream),
            };
            kept.lock().unwrap().letters.push(letter);
            said("250 taken")
        }
        "QUIT" => said("221 bye"),
        _ => said("250 ok"),
    }
}

/// The text up to the lone dot, with soft line breaks and `=3D` undone.
fn body<S: Duplex>(stream: &mut BufReader<S>) -> String {
    let mut text = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).unwrap() == 0 || line == ".\r\n" {
            return text.replace("=\r\n", "").replace("=3D", "=");
        }
        text.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
