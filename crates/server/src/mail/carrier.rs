//! One letter, handed to the mail server over SMTP.

use std::sync::Arc;

use keywright_domain::entropy::{Entropy, random_bytes};
use lettre::{
    Address, Message, SmtpTransport, Transport as _,
    message::{Mailbox, MultiPart},
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};

use super::Text;
use crate::{
    config::{
        mail::{Mail, MailSecurity, MailUrl},
        seconds,
    },
    failure::{Exit, Failure},
    installation::read_secret,
};

/// Why a letter was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SendError {
    /// It may be taken later: the server is out of reach or busy.
    #[error("{0}")]
    Later(String),
    /// It will never be taken as it is.
    #[error("{0}")]
    Never(String),
}

/// Hands letters to the mail server, one connection each.
#[derive(Clone)]
pub(crate) struct Carrier {
    transport: SmtpTransport,
    from: Mailbox,
    entropy: Arc<dyn Entropy>,
}

impl Carrier {
    /// A carrier for the checked section `mail`. Reads the password and the certificates.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub(crate) fn new(mail: &Mail, entropy: Arc<dyn Entropy>) -> Result<Self, Failure> {
        let (Some(url), Some(from)) = (&mail.url, &mail.from) else {
            return Err(Failure::new(Exit::Config, "mail.url and mail.from are needed"));
        };
        let mut builder = SmtpTransport::builder_dangerous(&url.host)
            .port(url.port)
            .timeout(Some(seconds(mail.timeout_seconds)))
            .tls(tls(url, mail)?);
        let password =
            read_secret(mail.password_file.as_deref(), mail.password_env.as_deref(), "the mail password")?;
        if let (Some(user), Some(password)) = (&mail.user, password) {
            builder = builder.credentials(Credentials::new(user.clone(), password.as_str().to_owned()));
        }
        Ok(Self { transport: builder.build(), from: from.0.clone(), entropy })
    }

    /// Hands over one letter. Blocks until the server has taken or refused it.
    ///
    /// # Errors
    /// [`SendError`].
    pub(crate) fn send(&self, to: &str, text: &Text) -> Result<(), SendError> {
        let to: Address =
            to.parse().map_err(|_| SendError::Never("the address cannot be written to".to_owned()))?;
        let id = hex::encode(random_bytes::<16>(&*self.entropy));
        let letter = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(&text.subject)
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            .multipart(MultiPart::alternative_plain_html(text.plain(), text.html()))
            .map_err(|error| SendError::Never(error.to_string()))?;
        match self.transport.send(&letter) {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => Err(SendError::Never(describe(&error))),
            Err(error) => Err(SendError::Later(describe(&error))),
        }
    }

    /// Connects and signs in as for a letter, and sends none.
    ///
    /// # Errors
    /// [`SendError`].
    pub(crate) fn greet(&self) -> Result<(), SendError> {
        match self.transport.test_connection() {
            Ok(true) => Ok(()),
            Ok(false) => Err(SendError::Later("the server ended the connection".to_owned())),
            Err(error) => Err(SendError::Later(describe(&error))),
        }
    }
}

fn tls(url: &MailUrl, mail: &Mail) -> Result<Tls, Failure> {
    if url.security == MailSecurity::Plain {
        return Ok(Tls::None);
    }
    let mut parameters = TlsParameters::builder(url.host.clone());
    if let Some(path) = &mail.root_certificate {
        let pem = std::fs::read(path).map_err(|error| {
            Failure::new(
                Exit::NoInput,
                format!("cannot read mail.root_certificate {}: {error}", path.display()),
            )
        })?;
        let certificate = Certificate::from_pem(&pem).map_err(|error| {
            Failure::new(Exit::Config, format!("{} holds no certificate in PEM: {error}", path.display()))
        })?;
        parameters = parameters.add_root_certificate(certificate);
    }
    let parameters = parameters
        .build()
        .map_err(|error| Failure::new(Exit::Config, format!("cannot prepare TLS for mail: {error}")))?;
    Ok(match url.security {
        MailSecurity::Tls => Tls::Wrapper(parameters),
        MailSecurity::StartTls | MailSecurity::Plain => Tls::Required(parameters),
    })
}

/// The error with its causes.
fn describe(error: &lettre::transport::smtp::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
