//! `keywright dev`: a ready workspace for development.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

use crate::failure::{Exit, Failure};

/// Serve a ready workspace for development.
#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// Directory for the database, the peppers and the credentials
    #[arg(long, value_name = "DIR", default_value = "./keywright-dev")]
    data: PathBuf,
    /// Address to listen on; port 0 takes any free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Print the credentials as one line of JSON on standard output
    #[arg(long)]
    json: bool,
}

impl Dev {
    /// Runs until a signal ends it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        Err(Failure::new(
            Exit::Software,
            format!("not built yet: {} {} {}", self.data.display(), self.listen, self.json),
        ))
    }
}
