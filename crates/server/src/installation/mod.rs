//! What an installation keeps in its data directory, and how it is opened.

mod directory;
mod first_objects;
mod opened;
pub(crate) mod peppers;
mod private_file;
mod signing_key;

pub(crate) use directory::DataDirectory;
pub(crate) use first_objects::{FirstWorkspace, bootstrap, explain_command, issue};
pub(crate) use opened::{OpenOptions, Opened, explain_open, explain_store, system_context};
pub(crate) use private_file::{read as read_private, write as write_private};
