//! What an installation keeps in its data directory, and how it is opened.

mod agreement;
mod directory;
pub(crate) mod encryption_keys;
mod first_objects;
mod in_postgres;
mod loading;
mod opened;
mod patience;
pub(crate) mod peppers;
mod private_file;
mod secret_source;
mod signing_key;

pub(crate) use crate::cluster::InForce;
pub(crate) use agreement::SIGNING_KEY;
pub(crate) use directory::DataDirectory;
pub(crate) use encryption_keys::EncryptionKeys;
pub(crate) use first_objects::{FirstWorkspace, bootstrap, explain_command, issue};
pub(crate) use in_postgres::{Progress, SharedOptions, control, explain_connect, in_force, postgres_options};
pub(crate) use loading::{LoadProblem, load_into};
pub(crate) use opened::{OpenOptions, Opened, explain_open, explain_store, system_context};
pub(crate) use peppers::Peppers;
pub(crate) use private_file::{
    create_new as create_private, read as read_private, replace as replace_private, write as write_private,
};
pub(crate) use secret_source::read_secret;
pub(crate) use signing_key::CheckpointSigner;
