//! The installation's peppers: where they come from, and whether they are the right ones.

use std::{collections::BTreeMap, path::Path};

use keywright_domain::{
    entropy::{Entropy, random_bytes},
    time::Timestamp,
};
use keywright_engine::{Pepper, PepperSet};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

use super::{DataDirectory, private_file, secret_source::from_environment};
use crate::{
    cluster::AuditKeys,
    config::PepperSource,
    failure::{Exit, Failure},
};

const WHAT: &str = "the peppers";
const CHECK_DOMAIN: &[u8] = b"keywright pepper check v1\0";
const FILE_HEADER: &str = "\
# Peppers of this Keywright installation. Digests of keys are made under them: without this file no key works.
# Keep a copy, apart from copies of the database. Change it with `keywright pepper rotate` only.
";

/// The peppers by version.
pub(crate) struct Peppers {
    by_version: BTreeMap<u16, Pepper>,
    origin: String,
}

/// `peppers.toml`.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PepperFile {
    #[serde(default)]
    peppers: Vec<PepperEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PepperEntry {
    version: u16,
    created_at: String,
    secret: String,
}

impl Drop for PepperEntry {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

/// `pepper-check.toml`: for each version, a digest of the pepper.
#[derive(Default, Serialize, Deserialize)]
struct CheckFile {
    #[serde(default)]
    checks: BTreeMap<String, String>,
}

impl Peppers {
    /// The peppers that `sources` name, or those of the data directory.
    pub(crate) fn load(directory: &DataDirectory, sources: &[PepperSource]) -> Result<Self, Failure> {
        if !sources.is_empty() {
            return from_sources(sources);
        }
        let path = directory.peppers();
        let Some(file) = read_file(&path)? else {
            return Err(Failure::new(Exit::NoInput, format!("there is no pepper file {}", path.display()))
                .remedy(format!(
                    "put your copy back; for a new installation: keywright init --data {}",
                    directory.path().display()
                )));
        };
        Self::from_file(&file, &path)
    }

    /// As [`Self::load`]; generates a first pepper if the directory has none. Only for an empty installation.
    pub(crate) fn load_or_generate(
        directory: &DataDirectory,
        sources: &[PepperSource],
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Self, Failure> {
        if sources.is_empty() && read_file(&directory.peppers())?.is_none() {
            write_file(&directory.peppers(), &PepperFile { peppers: vec![fresh(1, now, entropy)] })?;
        }
        Self::load(directory, sources)
    }

    /// As [`Self::load`], for an installation with several nodes: none of them may make peppers of its own.
    pub(crate) fn load_shared(directory: &DataDirectory, sources: &[PepperSource]) -> Result<Self, Failure> {
        if sources.is_empty() && read_file(&directory.peppers())?.is_none() {
            return Err(Failure::new(
                Exit::NoInput,
                "no peppers are configured, and all nodes of an installation need the same",
            )
            .remedy(format!(
                "make one with: openssl rand -hex 32; name it in [[peppers]] on every node, or copy peppers.toml of \
                 another node to {}",
                directory.peppers().display()
            )));
        }
        Self::load(directory, sources)
    }

    fn from_file(file: &PepperFile, path: &Path) -> Result<Self, Failure> {
        let mut by_version = BTreeMap::new();
        for entry in &file.peppers {
            let pepper = decode(&entry.secret)
                .ok_or_else(|| not_a_pepper(entry.version, &format!("in {}", path.display())))?;
            if by_version.insert(entry.version, pepper).is_some() {
                return Err(Failure::new(
                    Exit::Data,
                    format!("{} has two peppers of version {}", path.display(), entry.version),
                ));
            }
        }
        if by_version.is_empty() {
            return Err(Failure::new(Exit::Data, format!("{} holds no pepper", path.display()))
                .remedy("put your copy of it back"));
        }
        Ok(Self { by_version, origin: path.display().to_string() })
    }

    /// The set that the engine works with; new digests use the highest version.
    pub(crate) fn to_set(&self) -> PepperSet {
        let current = *self.by_version.last_key_value().expect("there is at least one pepper").0;
        let all = self.by_version.iter().map(|(version, pepper)| (*version, pepper.clone()));
        PepperSet::new(current, all).expect("versions of a map differ and hold the highest")
    }

    /// The keys by which nodes know each other in the self-audit.
    pub(crate) fn audit_keys(&self) -> AuditKeys {
        AuditKeys::of(self.by_version.values())
    }

    /// Compares the peppers with the values that were kept when they were first used, and keeps those of new ones.
    pub(crate) fn check(&self, directory: &DataDirectory) -> Result<(), Failure> {
        let path = directory.pepper_check();
        let text = private_file::read(&path, "the pepper check values")?;
        let mut file: CheckFile = match &text {
            None => CheckFile::default(),
            Some(text) => toml::from_str(text).map_err(|error| {
                Failure::new(Exit::Data, format!("{} cannot be read: {}", path.display(), error.message()))
            })?,
        };
        let mut is_new = false;
        for (version, pepper) in &self.by_version {
            let expected = check_value(*version, pepper);
            match file.checks.get(&version.to_string()) {
                Some(kept) if *kept == expected => {}
                Some(_) => return Err(self.wrong(*version, directory)),
                None => {
                    file.checks.insert(version.to_string(), expected);
                    is_new = true;
                }
            }
        }
        if is_new {
            let text = toml::to_string(&file).expect("a map of texts is TOML");
            private_file::write(&path, "the pepper check values", &text)?;
        }
        Ok(())
    }

    /// What shows each pepper without telling it, by version.
    pub(super) fn check_values(&self) -> Vec<(u16, String)> {
        self.by_version.iter().map(|(version, pepper)| (*version, check_value(*version, pepper))).collect()
    }

    /// The other nodes have another pepper of this version.
    pub(super) fn differs(&self, version: u16) -> Failure {
        Failure::new(
            Exit::Data,
            format!(
                "the pepper of version {version} in {} is another than that of the other nodes: keys that are stored here would \
                 not work there, nor theirs here",
                self.origin
            ),
        )
        .remedy(
            "copy the pepper from where another node has it (what its [[peppers]] name, or its peppers.toml)\nif a new pepper \
             is meant, give it a version that was never used; nothing was changed",
        )
    }

    fn wrong(&self, version: u16, directory: &DataDirectory) -> Failure {
        Failure::new(
            Exit::Data,
            format!(
                "the pepper of version {version} in {} does not match the data in {}: it is not the one that its keys were \
                 stored under, so no key would work",
                self.origin,
                directory.path().display()
            ),
        )
        .remedy(
            "put the pepper back that belongs to this data (from your copy of peppers.toml or your secret store), or use the \
             data directory that belongs to this pepper; nothing was changed",
        )
    }

    /// Refuses to start when the data uses a version that is not here.
    pub(crate) fn check_versions(&self, used: impl IntoIterator<Item = u16>) -> Result<(), Failure> {
        match used.into_iter().find(|version| !self.by_version.contains_key(version)) {
            None => Ok(()),
            Some(version) => Err(Failure::new(
                Exit::Data,
                format!("keys are stored under the pepper of version {version}, which is not in {}", self.origin),
            )
            .remedy("put that version back; it is needed until `keywright pepper status` says that nothing uses it")),
        }
    }
}

/// Adds a pepper to the data directory's file and returns its version. The next start uses it for new digests.
pub(crate) fn rotate(
    directory: &DataDirectory,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<u16, Failure> {
    let path = directory.peppers();
    let Some(mut file) = read_file(&path)? else {
        return Err(Failure::new(Exit::NoInput, format!("there is no pepper file {}", path.display())).remedy(
            "where the configuration names the peppers, add a [[peppers]] entry with a higher version there instead",
        ));
    };
    Peppers::from_file(&file, &path)?.check(directory)?;
    let highest = file.peppers.iter().map(|entry| entry.version).max().unwrap_or(0);
    let version = highest
        .checked_add(1)
        .ok_or_else(|| Failure::new(Exit::Data, "the highest pepper version is in use already"))?;
    file.peppers.push(fresh(version, now, entropy));
    write_file(&path, &file)?;
    Peppers::from_file(&file, &path)?.check(directory)?;
    Ok(version)
}

fn fresh(version: u16, now: Timestamp, entropy: &dyn Entropy) -> PepperEntry {
    let bytes = Zeroizing::new(random_bytes::<32>(entropy));
    PepperEntry { version, created_at: now.to_rfc3339(), secret: hex::encode(*bytes) }
}

fn read_file(path: &Path) -> Result<Option<PepperFile>, Failure> {
    let Some(text) = private_file::read(path, WHAT)? else { return Ok(None) };
    // The parser's own message would quote the line.
    toml::from_str(&text).map(Some).map_err(|error: toml::de::Error| {
        Failure::new(Exit::Data, format!("{} cannot be read: {}", path.display(), error.message()))
            .remedy("put your copy of it back")
    })
}

fn write_file(path: &Path, file: &PepperFile) -> Result<(), Failure> {
    let body = Zeroizing::new(toml::to_string(file).expect("peppers are TOML"));
    let text = Zeroizing::new(format!("{FILE_HEADER}\n{}", body.as_str()));
    private_file::write(path, WHAT, &text)
}

fn from_sources(sources: &[PepperSource]) -> Result<Peppers, Failure> {
    let mut by_version = BTreeMap::new();
    for source in sources {
        let version = u16::try_from(source.version.get()).expect("the configuration checked the range");
        let (text, origin) = match (&source.file, &source.env) {
            (Some(path), _) => {
                let text = private_file::read(path, "the pepper")?.ok_or_else(|| {
                    Failure::new(Exit::NoInput, format!("there is no pepper file {}", path.display()))
                        .remedy(private_file::how_to_make(path))
                })?;
                (text, format!("in {}", path.display()))
            }
            (None, Some(name)) => (from_environment(name, "a pepper")?, format!("in the variable {name}")),
            (None, None) => unreachable!("the configuration checked that one is named"),
        };
        let pepper = decode(text.trim()).ok_or_else(|| not_a_pepper(version, &origin))?;
        by_version.insert(version, pepper);
    }
    Ok(Peppers { by_version, origin: "the configuration".to_owned() })
}

fn not_a_pepper(version: u16, origin: &str) -> Failure {
    Failure::new(Exit::Data, format!("the pepper of version {version} {origin} is not 64 hexadecimal digits"))
        .remedy("make one with: openssl rand -hex 32")
}

fn decode(text: &str) -> Option<Pepper> {
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text, &mut *bytes).ok()?;
    Some(Pepper::from_bytes(*bytes))
}

/// A pepper has 256 random bits, so its hash tells nothing about it.
fn check_value(version: u16, pepper: &Pepper) -> String {
    let mut hasher = Sha256::new();
    hasher.update(CHECK_DOMAIN);
    hasher.update(version.to_be_bytes());
    hasher.update(pepper.expose());
    hex::encode(&hasher.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::SystemEntropy;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

    fn directory() -> (tempfile::TempDir, DataDirectory) {
        let parent = tempfile::tempdir().unwrap();
        let directory = DataDirectory::create(&parent.path().join("data")).unwrap();
        (parent, directory)
    }

    fn generate(directory: &DataDirectory) -> Peppers {
        Peppers::load_or_generate(directory, &[], NOW, &SystemEntropy).unwrap()
    }

    #[test]
    fn generated_once_and_rotated() {
        let (_parent, directory) = directory();
        assert_eq!(Peppers::load(&directory, &[]).err().unwrap().exit(), Exit::NoInput);
        let first = generate(&directory).to_set().digest(b"x");
        generate(&directory).check(&directory).unwrap();
        assert_eq!(generate(&directory).to_set().digest(b"x"), first);
        assert_eq!(rotate(&directory, NOW, &SystemEntropy).unwrap(), 2);
        let peppers = Peppers::load(&directory, &[]).unwrap();
        assert!(peppers.by_version.keys().eq(&[1, 2]));
        assert_eq!(peppers.to_set().current_version(), 2);
        peppers.check(&directory).unwrap();
        assert!(peppers.check_versions([1, 2]).is_ok());
        assert!(peppers.check_versions([1, 3]).unwrap_err().to_string().contains("version 3"));
    }

    #[test]
    fn a_wrong_pepper_is_recognised_and_nothing_is_changed() {
        let (_parent, directory) = directory();
        generate(&directory).check(&directory).unwrap();
        let kept = std::fs::read(directory.pepper_check()).unwrap();
        std::fs::remove_file(directory.peppers()).unwrap();
        let failure = generate(&directory).check(&directory).unwrap_err();
        assert!(failure.to_string().contains("does not match the data"), "{failure}");
        assert_eq!(failure.exit(), Exit::Data);
        assert_eq!(std::fs::read(directory.pepper_check()).unwrap(), kept);
        assert!(rotate(&directory, NOW, &SystemEntropy).is_err());
    }

    #[test]
    fn what_is_not_a_pepper_is_refused_without_being_shown() {
        let (_parent, directory) = directory();
        for secret in ["", "abcd", &"g".repeat(64), &"a".repeat(66)] {
            let text = format!("[[peppers]]\nversion = 1\ncreated_at = \"\"\nsecret = \"{secret}\"\n");
            private_file::write(&directory.peppers(), WHAT, &text).unwrap();
            let failure = Peppers::load(&directory, &[]).err().unwrap();
            assert_eq!(failure.exit(), Exit::Data);
            assert!(secret.is_empty() || !failure.to_string().contains(secret), "{failure}");
        }
        private_file::write(&directory.peppers(), WHAT, "peppers = [\"deadbeef\"").unwrap();
        let failure = Peppers::load(&directory, &[]).err().unwrap();
        assert!(!failure.to_string().contains("deadbeef"), "{failure}");
    }
}
