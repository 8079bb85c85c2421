//! What an installation keeps in its data directory beside the database: peppers, their check values, the signing key.

mod directory;
pub(crate) mod peppers;
mod private_file;
pub(crate) mod signing_key;

pub(crate) use directory::DataDirectory;
