//! The command line.

use clap::{Parser, Subcommand};

use crate::{commands, failure::Failure};

const EXAMPLES: &str = "\
Examples:
  keywright dev                              serve a ready workspace on 127.0.0.1:8080
  keywright dev --json                       the same, credentials as one line of JSON
  keywright init --data /var/lib/keywright   prepare a data directory for production
  keywright serve --config keywright.toml    serve it
  keywright keys create web --env staging    create a key; KEYWRIGHT_API_KEY holds your credential
  keywright scan . --git-history             find keys in files and in what was deleted from them";

/// Issues, verifies, limits, meters, rotates and revokes API keys.
#[derive(Debug, Parser)]
#[command(
    name = "keywright",
    version,
    arg_required_else_help = true,
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{}", crate::cli::EXIT_CODES)
)]
pub(crate) struct Args {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    // --- the client and offline commands ---------------------------------------------------------------------
    #[command(flatten)]
    Client(crate::cli::Command),
    // --- serving --------------------------------------------------------------------------------------------
    /// Serve a ready workspace for development
    Dev(commands::dev::Dev),
    /// Serve an installation
    Serve(commands::serve::Serve),
    /// Prepare a data directory and print the first operator credential
    Init(commands::init::Init),
    /// Show the nodes that share a database, or say that one has ended
    #[command(subcommand, after_help = "Examples:\n  keywright cluster status --config /etc/keywright.toml")]
    Cluster(commands::cluster::ClusterCommand),
    // The summary stands with the command.
    Migrate(commands::migrate::Migrate),
    /// Check, show or explain the configuration of `serve`
    #[command(
        subcommand,
        after_help = "Examples:\n  keywright config example > keywright.toml\n  keywright config check keywright.toml"
    )]
    Config(commands::config::ConfigCommand),
    /// Try the mail server of a configuration
    #[command(
        subcommand,
        after_help = "Examples:\n  keywright mail test --to you@example.com --config /etc/keywright.toml"
    )]
    Mail(commands::mail::MailCommand),
    /// Rotate the peppers under which keys are stored
    #[command(subcommand, after_help = "Examples:\n  keywright pepper rotate --data /var/lib/keywright")]
    Pepper(commands::pepper::PepperCommand),
    /// Care for personal data: rotate the key-encryption key
    #[command(subcommand, after_help = "Examples:\n  keywright privacy rekey --data /var/lib/keywright")]
    Privacy(commands::privacy::PrivacyCommand),
}

impl Args {
    /// Does what the command line says.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Client(command) => command.run(),
            Command::Dev(command) => command.run(),
            Command::Serve(command) => command.run(),
            Command::Init(command) => command.run(),
            Command::Cluster(command) => command.run(),
            Command::Migrate(command) => command.run(),
            Command::Config(command) => command.run(),
            Command::Mail(command) => command.run(),
            Command::Pepper(command) => command.run(),
            Command::Privacy(command) => command.run(),
        }
    }
}
