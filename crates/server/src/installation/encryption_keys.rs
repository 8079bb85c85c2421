//! The installation's key-encryption keys: where they come from. Whether they are the right ones, the database tells when
//! it is opened.

use std::{collections::BTreeMap, io::Read as _, path::Path, process::Stdio, sync::Arc};

use keywright_domain::{
    entropy::{Entropy, random_bytes},
    time::Timestamp,
    vault::SharedVault,
};
use keywright_vault::{KeyEncryptionKey, KeyVault};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::{DataDirectory, private_file, secret_source::from_environment};
use crate::{
    config::KeySource,
    failure::{Exit, Failure},
    system::SystemEntropy,
};

const WHAT: &str = "the key-encryption keys";
/// Most bytes that a command may print: the key is 64 digits.
const OUTPUT_MAX: u64 = 1_024;
const FILE_HEADER: &str = "\
# Key-encryption keys of this Keywright installation. Names, e-mail addresses and where people called from are sealed under
# keys that these wrap: without this file nobody can sign in by e-mail, and nothing of it can be read again.
# Keep a copy, apart from copies of the database. Change it with `keywright privacy rekey` only.
";

/// The keys by version.
pub(crate) struct EncryptionKeys {
    by_version: BTreeMap<u16, KeyEncryptionKey>,
}

/// `encryption-keys.toml`.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    #[serde(default)]
    encryption_keys: Vec<KeyEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyEntry {
    version: u16,
    created_at: String,
    secret: String,
}

impl Drop for KeyEntry {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl EncryptionKeys {
    /// The keys that `sources` name, or those of the data directory.
    pub(crate) fn load(directory: &DataDirectory, sources: &[KeySource]) -> Result<Self, Failure> {
        if !sources.is_empty() {
            return from_sources(sources);
        }
        let path = directory.encryption_keys();
        let Some(file) = read_file(&path)? else {
            return Err(Failure::new(
                Exit::NoInput,
                format!("there is no file {} with key-encryption keys", path.display()),
            )
            .remedy("put your copy back; without it the personal data in the database cannot be read"));
        };
        from_file(&file, &path)
    }

    /// As [`Self::load`]; generates a first key if the directory has none. Only where nothing was sealed yet.
    pub(crate) fn load_or_generate(
        directory: &DataDirectory,
        sources: &[KeySource],
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Self, Failure> {
        let path = directory.encryption_keys();
        if sources.is_empty() && read_file(&path)?.is_none() {
            let text = render(&KeyFile { encryption_keys: vec![fresh(1, now, entropy)] });
            // Whoever starts at the same moment may have been faster: then theirs counts.
            private_file::create(&path, WHAT, &text)?;
        }
        Self::load(directory, sources)
    }

    /// As [`Self::load`], for an installation with several nodes: none of them may make a key of its own.
    pub(crate) fn load_shared(directory: &DataDirectory, sources: &[KeySource]) -> Result<Self, Failure> {
        if sources.is_empty() && read_file(&directory.encryption_keys())?.is_none() {
            return Err(Failure::new(
                Exit::NoInput,
                "no key-encryption keys are configured, and all nodes of an installation need the same",
            )
            .remedy(format!(
                "make one with: openssl rand -hex 32; name it in [[encryption_keys]] on every node, or copy \
                 encryption-keys.toml of another node to {}",
                directory.encryption_keys().display()
            )));
        }
        Self::load(directory, sources)
    }

    /// The vault that stores work with.
    pub(crate) fn into_vault(self) -> SharedVault {
        let vault = KeyVault::new(self.by_version, Arc::new(SystemEntropy));
        Arc::new(vault.expect("there is at least one key"))
    }

    /// The version that new data keys are wrapped under.
    pub(crate) fn current(&self) -> u16 {
        *self.by_version.last_key_value().expect("there is at least one key").0
    }
}

/// Adds a key to the data directory's file and returns its version. The next start wraps all data keys under it.
pub(crate) fn rotate(
    directory: &DataDirectory,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<u16, Failure> {
    let path = directory.encryption_keys();
    let Some(mut file) = read_file(&path)? else {
        return Err(Failure::new(
            Exit::NoInput,
            format!("there is no file {} with key-encryption keys", path.display()),
        )
        .remedy(
            "where the configuration names them, add an [[encryption_keys]] entry with a higher version there instead",
        ));
    };
    let version = from_file(&file, &path)?
        .current()
        .checked_add(1)
        .ok_or_else(|| Failure::new(Exit::Data, "the highest version is in use already"))?;
    file.encryption_keys.push(fresh(version, now, entropy));
    private_file::write(&path, WHAT, &render(&file))?;
    Ok(version)
}

fn fresh(version: u16, now: Timestamp, entropy: &dyn Entropy) -> KeyEntry {
    let bytes = Zeroizing::new(random_bytes::<32>(entropy));
    KeyEntry { version, created_at: now.to_rfc3339(), secret: hex::encode(*bytes) }
}

fn read_file(path: &Path) -> Result<Option<KeyFile>, Failure> {
    let Some(text) = private_file::read(path, WHAT)? else { return Ok(None) };
    // The parser's own message would quote the line.
    toml::from_str(&text).map(Some).map_err(|error: toml::de::Error| {
        Failure::new(Exit::Data, format!("{} cannot be read: {}", path.display(), error.message()))
            .remedy("put your copy of it back")
    })
}

fn render(file: &KeyFile) -> Zeroizing<String> {
    let body = Zeroizing::new(toml::to_string(file).expect("keys are TOML"));
    Zeroizing::new(format!("{FILE_HEADER}\n{}", body.as_str()))
}

fn from_file(file: &KeyFile, path: &Path) -> Result<EncryptionKeys, Failure> {
    let mut by_version = BTreeMap::new();
    for entry in &file.encryption_keys {
        let key = decode(&entry.secret)
            .ok_or_else(|| not_a_key(entry.version, &format!("in {}", path.display())))?;
        if by_version.insert(entry.version, key).is_some() {
            let text = format!("{} has two key-encryption keys of version {}", path.display(), entry.version);
            return Err(Failure::new(Exit::Data, text));
        }
    }
    if by_version.is_empty() {
        return Err(Failure::new(Exit::Data, format!("{} holds no key-encryption key", path.display()))
            .remedy("put your copy of it back"));
    }
    Ok(EncryptionKeys { by_version })
}

fn from_sources(sources: &[KeySource]) -> Result<EncryptionKeys, Failure> {
    let mut by_version = BTreeMap::new();
    for source in sources {
        let version = u16::try_from(source.version.get()).expect("the configuration checked the range");
        let (text, origin) = match (&source.file, &source.env, source.command.split_first()) {
            (Some(path), ..) => {
                let text = private_file::read(path, "the key-encryption key")?.ok_or_else(|| {
                    Failure::new(Exit::NoInput, format!("there is no key file {}", path.display()))
                        .remedy(private_file::how_to_make(path))
                })?;
                (text, format!("in {}", path.display()))
            }
            (None, Some(name), _) => {
                (from_environment(name, "a key-encryption key")?, format!("in the variable {name}"))
            }
            (None, None, Some((program, arguments))) => {
                (from_command(program, arguments)?, format!("printed by {program}"))
            }
            (None, None, None) => unreachable!("the configuration checked that one is named"),
        };
        let key = decode(text.trim()).ok_or_else(|| not_a_key(version, &origin))?;
        by_version.insert(version, key);
    }
    Ok(EncryptionKeys { by_version })
}

/// What a command prints. Its standard error goes to ours; what it printed is never shown.
fn from_command(program: &str, arguments: &[String]) -> Result<Zeroizing<String>, Failure> {
    let failed = |why: String| {
        Failure::new(Exit::NoInput, format!("the command {program} for the key-encryption key failed: {why}"))
            .remedy("run it by hand: it has to print 64 hexadecimal digits and to end with status 0")
    };
    let mut child = std::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let mut text = Zeroizing::new(String::new());
    let out = child.stdout.take().expect("standard output was asked for");
    let read = out.take(OUTPUT_MAX).read_to_string(&mut text);
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    read.map_err(|_| failed("it did not print text".to_owned()))?;
    if status.success() { Ok(text) } else { Err(failed(status.to_string())) }
}

fn not_a_key(version: u16, origin: &str) -> Failure {
    Failure::new(
        Exit::Data,
        format!("the key-encryption key of version {version} {origin} is not 64 hexadecimal digits"),
    )
    .remedy("make one with: openssl rand -hex 32")
}

fn decode(text: &str) -> Option<KeyEncryptionKey> {
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text, &mut *bytes).ok()?;
    Some(KeyEncryptionKey::from_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

    fn directory() -> (tempfile::TempDir, DataDirectory) {
        let parent = tempfile::tempdir().unwrap();
        let directory = DataDirectory::create(&parent.path().join("data")).unwrap();
        (parent, directory)
    }

    fn sources(text: &str) -> Vec<KeySource> {
        toml::from_str::<Config>(text).unwrap().encryption_keys
    }

    #[test]
    fn generated_once_and_rotated() {
        let (_parent, directory) = directory();
        assert_eq!(EncryptionKeys::load(&directory, &[]).err().unwrap().exit(), Exit::NoInput);
        assert_eq!(EncryptionKeys::load_shared(&directory, &[]).err().unwrap().exit(), Exit::NoInput);
        assert!(rotate(&directory, NOW, &SystemEntropy).is_err());
        let generate = || EncryptionKeys::load_or_generate(&directory, &[], NOW, &SystemEntropy).unwrap();
        assert_eq!(generate().current(), 1);
        let kept = std::fs::read(directory.encryption_keys()).unwrap();
        generate();
        assert_eq!(std::fs::read(directory.encryption_keys()).unwrap(), kept);
        assert_eq!(rotate(&directory, NOW, &SystemEntropy).unwrap(), 2);
        assert_eq!(EncryptionKeys::load_shared(&directory, &[]).unwrap().current(), 2);
    }

    #[test]
    fn a_command_prints_it_and_its_output_is_never_shown() {
        let (_parent, directory) = directory();
        let command = |script: &str| {
            sources(&format!("[[encryption_keys]]\nversion = 3\ncommand = [\"sh\", \"-c\", {script:?}]\n"))
        };
        let good = command(&format!("echo {}", "ab".repeat(32)));
        assert_eq!(EncryptionKeys::load(&directory, &good).unwrap().current(), 3);
        for (script, says) in [
            ("echo hunter2", "not 64 hexadecimal digits"),
            ("echo hunter2; exit 3", "exit status: 3"),
            ("yes hunter2", "failed"),
        ] {
            let failure = EncryptionKeys::load(&directory, &command(script)).err().unwrap();
            assert!(failure.to_string().contains(says), "{failure}");
            assert!(!failure.to_string().contains("hunter2"), "{failure}");
        }
        let missing = sources("[[encryption_keys]]\nversion = 1\ncommand = [\"/does/not/exist\"]\n");
        assert_eq!(EncryptionKeys::load(&directory, &missing).err().unwrap().exit(), Exit::NoInput);
    }

    #[test]
    fn what_is_not_a_key_is_refused_without_being_shown() {
        let (_parent, directory) = directory();
        for secret in ["", "abcd", &"g".repeat(64), &"a".repeat(66)] {
            let text =
                format!("[[encryption_keys]]\nversion = 1\ncreated_at = \"\"\nsecret = \"{secret}\"\n");
            private_file::write(&directory.encryption_keys(), WHAT, &text).unwrap();
            let failure = EncryptionKeys::load(&directory, &[]).err().unwrap();
            assert_eq!(failure.exit(), Exit::Data);
            assert!(secret.is_empty() || !failure.to_string().contains(secret), "{failure}");
        }
    }
}
