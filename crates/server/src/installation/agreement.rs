//! Whether a node has the secrets of the others.
//!
//! Keys that a node stores under a pepper of its own would work nowhere else, and a checkpoint under a key of its own proves
//! nothing to whoever trusts the installation's. So the first node notes in the database what shows its secrets without
//! telling them, and who has others does not start.

use keywright_store_postgres::{PostgresControl, SecretChecks};

use super::{DataDirectory, patience::Patience, peppers::Peppers, signing_key::CheckpointSigner};
use crate::{
    failure::{Exit, Failure},
    system::SystemEntropy,
};

/// The name of the signing key's check value, which is its public half.
pub(crate) const SIGNING_KEY: &str = "audit-signing-key";

/// Compares the secrets of this node with what the others noted. The signing key of the data directory is made here if no node
/// has one.
pub(super) async fn compare(
    peppers: &Peppers,
    directory: &DataDirectory,
    control: &PostgresControl,
    patience: &mut Patience<'_>,
) -> Result<CheckpointSigner, Failure> {
    let known = patience.ask(async || control.secret_checks().await).await?;
    compare_peppers(peppers, &known)?;
    signer(directory, &known)
}

/// Notes what is new. Only for a node whose secrets fit the data: else a mistake would be what the others are measured by.
pub(super) async fn note(
    peppers: &Peppers,
    signer: &CheckpointSigner,
    directory: &DataDirectory,
    control: &PostgresControl,
    patience: &mut Patience<'_>,
) -> Result<(), Failure> {
    let of_peppers = peppers.check_values().into_iter().map(|(version, value)| (pepper_name(version), value));
    let mut own: SecretChecks = of_peppers.collect();
    own.insert(SIGNING_KEY.to_owned(), signer.public_key_hex());
    let known = patience.ask(async || control.secret_checks().await).await?;
    for (name, value) in own.iter().filter(|(name, _)| !known.contains_key(*name)) {
        patience.ask(async || control.note_secret_check(name, value).await).await?;
    }
    // Another node may have been faster, with other secrets.
    let known = patience.ask(async || control.secret_checks().await).await?;
    compare_peppers(peppers, &known)?;
    compare_signer(signer, directory, &known)
}

fn pepper_name(version: u16) -> String {
    format!("pepper {version}")
}

fn compare_peppers(peppers: &Peppers, known: &SecretChecks) -> Result<(), Failure> {
    let own = peppers.check_values();
    let differs = |(version, value): &&(u16, String)| {
        known.get(&pepper_name(*version)).is_some_and(|known| known != value)
    };
    match own.iter().find(differs) {
        None => Ok(()),
        Some((version, _)) => Err(peppers.differs(*version)),
    }
}

/// The signing key of the data directory; where there is none, a new one if the installation has none either.
fn signer(directory: &DataDirectory, known: &SecretChecks) -> Result<CheckpointSigner, Failure> {
    let Some(signer) = CheckpointSigner::load(directory)? else {
        let Some(public_key) = known.get(SIGNING_KEY) else {
            return CheckpointSigner::load_or_generate(directory, &SystemEntropy);
        };
        let path = directory.signing_key();
        return Err(missing(
            &format!("there is no audit signing key {}", path.display()),
            public_key,
            directory,
        ));
    };
    compare_signer(&signer, directory, known)?;
    Ok(signer)
}

fn compare_signer(
    signer: &CheckpointSigner,
    directory: &DataDirectory,
    known: &SecretChecks,
) -> Result<(), Failure> {
    match known.get(SIGNING_KEY) {
        Some(known) if *known != signer.public_key_hex() => {
            let path = directory.signing_key();
            let what =
                format!("the audit signing key {} is another than that of the other nodes", path.display());
            Err(missing(&what, known, directory))
        }
        _ => Ok(()),
    }
}

fn missing(what: &str, public_key: &str, directory: &DataDirectory) -> Failure {
    let path = directory.signing_key();
    let what = format!(
        "{what}; checkpoints of this installation are signed by the one whose public half is {public_key}"
    );
    Failure::new(Exit::Data, what).remedy(format!(
        "copy audit-signing-key from the data directory of another node to {} (mode 0600)\nif no node has it any more: \
         keywright cluster adopt-signing-key, which makes the one here the installation's",
        path.display()
    ))
}
