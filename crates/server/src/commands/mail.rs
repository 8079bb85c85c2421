//! `keywright mail`: try the mail server.

use std::{path::PathBuf, sync::Arc};

use clap::{Args, Subcommand};

use super::print;
use crate::{
    config::Config,
    failure::{Exit, Failure},
    mail::{Carrier, SendError, test_letter},
    system::SystemEntropy,
};

/// Try the mail server of a configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum MailCommand {
    /// Send one letter, and say what the mail server answered
    ///
    /// Uses `[mail]` of the configuration as `serve` would: the same server, sender, password and encryption. Exit code 0 when
    /// the mail server took the letter: whether it arrives is then up to that server.
    #[command(after_help = "\
Examples:
  keywright mail test --to you@example.com --config /etc/keywright.toml
  KEYWRIGHT_MAIL_URL=smtp://127.0.0.1:1025 KEYWRIGHT_MAIL_FROM=keys@example.com keywright mail test --to you@example.com")]
    Test(Test),
}

/// To whom, and with which configuration.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// The address to write to
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    /// Configuration file; without it, the environment alone
    #[arg(long, value_name = "FILE", env = "KEYWRIGHT_CONFIG")]
    config: Option<PathBuf>,
}

impl MailCommand {
    /// Does it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Test(test) => test.run(),
        }
    }
}

impl Test {
    fn run(self) -> Result<(), Failure> {
        let config = Config::of(self.config.as_deref())?;
        let Some(mail) = &config.mail else {
            return Err(Failure::new(Exit::Config, "no mail server is configured")
                .remedy("Add [mail] with url and from; `keywright config example` shows it."));
        };
        let carrier = Carrier::new(mail, Arc::new(SystemEntropy))?;
        let text = test_letter(config.base_url.as_ref().map(crate::config::value::BaseUrl::as_str));
        match carrier.send(&self.to, &text) {
            Ok(()) => print("The mail server took the letter.\n"),
            Err(SendError::Later(why)) => {
                Err(Failure::new(Exit::Unavailable, format!("the letter was not taken: {why}")).remedy(
                    "The server may take it later. Look at mail.url, and whether the server can be reached.",
                ))
            }
            Err(SendError::Never(why)) => {
                Err(Failure::new(Exit::Negative, format!("the letter was refused: {why}"))
                    .remedy("Look at mail.from, mail.user and its password, and at the address in --to."))
            }
        }
    }
}
