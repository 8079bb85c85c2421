//! The data directory: where everything in it is, and whether it can be used.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use crate::failure::{Exit, Failure};

/// Everything an installation keeps.
#[derive(Clone, Debug)]
pub(crate) struct DataDirectory {
    path: PathBuf,
}

impl DataDirectory {
    /// The directory at `path`, made if it is missing.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        if !path.exists() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(|error| describe(path, "cannot create", &error))?;
        }
        Self::open(path)
    }

    /// The directory at `path`, whatever is there: for whoever only reads files in it.
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The directory at `path`, which must exist and be writable.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let metadata = fs::metadata(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                Failure::new(Exit::NoInput, format!("the data directory {} does not exist", path.display()))
                    .remedy(format!("create it with: keywright init --data {}", path.display()))
            }
            _ => describe(path, "cannot open", &error),
        })?;
        if !metadata.is_dir() {
            return Err(Failure::new(Exit::NoInput, format!("{} is not a directory", path.display())));
        }
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(Failure::new(
                Exit::Permission,
                format!("the data directory {} is open to other users", path.display()),
            )
            .remedy(format!("chmod 700 {}", path.display())));
        }
        let directory = Self { path: path.to_owned() };
        directory.probe()?;
        Ok(directory)
    }

    /// Finds out by a real write whether the directory can be written and has room.
    fn probe(&self) -> Result<(), Failure> {
        let path = self.path.join(".write-probe");
        let written = fs::File::create(&path).and_then(|mut file| {
            file.write_all(&[0; 4_096])?;
            file.sync_all()
        });
        let removed = fs::remove_file(&path);
        written.and(removed).map_err(|error| describe(&self.path, "cannot write to", &error))
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The peppers, unless the configuration names others.
    pub(crate) fn peppers(&self) -> PathBuf {
        self.path.join("peppers.toml")
    }

    /// The values from which a wrong pepper is recognised.
    pub(crate) fn pepper_check(&self) -> PathBuf {
        self.path.join("pepper-check.toml")
    }

    /// The key-encryption keys, unless the configuration names others.
    pub(crate) fn encryption_keys(&self) -> PathBuf {
        self.path.join("encryption-keys.toml")
    }

    /// The key that signs checkpoints.
    pub(crate) fn signing_key(&self) -> PathBuf {
        self.path.join("audit-signing-key")
    }

    /// The usage spool.
    pub(crate) fn spool(&self) -> PathBuf {
        self.path.join("spool")
    }

    /// What this node knows to have ended.
    pub(crate) fn ends(&self) -> PathBuf {
        self.path.join("ends.jsonl")
    }

    /// The credentials that `dev` shows.
    pub(crate) fn dev_credentials(&self) -> PathBuf {
        self.path.join("dev-credentials.json")
    }
}

fn describe(path: &Path, what: &str, error: &io::Error) -> Failure {
    let message = format!("{what} the data directory {}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Failure::new(Exit::Io, message).remedy("free some space on this file system; nothing was lost")
        }
        io::ErrorKind::ReadOnlyFilesystem => Failure::new(Exit::CannotCreate, message)
            .remedy("mount the file system writable, or choose another directory"),
        io::ErrorKind::PermissionDenied => Failure::new(Exit::CannotCreate, message).remedy(format!(
            "run as the user who owns it, or give it to yourself: chown -R \"$USER\" {0} && chmod 700 {0}",
            path.display()
        )),
        _ => Failure::new(Exit::CannotCreate, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_private_and_refused_when_open() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        assert_eq!(DataDirectory::open(&path).unwrap_err().exit(), Exit::NoInput);
        DataDirectory::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
        let failure = DataDirectory::create(&path).unwrap_err();
        assert_eq!(failure.exit(), Exit::Permission);
        assert!(failure.to_string().contains("chmod 700"), "{failure}");
        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(DataDirectory::open(&file).unwrap_err().exit(), Exit::NoInput);
    }
}
