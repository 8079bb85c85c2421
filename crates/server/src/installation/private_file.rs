//! Files that hold secrets: readable by their owner only, replaced as a whole.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};

/// Reads the file, or `None` if there is none. Refused when group or others may read it.
pub(crate) fn read(path: &Path, what: &str) -> Result<Option<Zeroizing<String>>, Failure> {
    let failed = |error: io::Error| {
        Failure::new(Exit::NoInput, format!("cannot read {what} in {}: {error}", path.display()))
    };
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed)?,
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Failure::new(
            Exit::Permission,
            format!("{what} in {} may be read by other users (mode {mode:04o})", path.display()),
        )
        .remedy(format!("chmod 600 {}", path.display())));
    }
    fs::read_to_string(path).map(|text| Some(Zeroizing::new(text))).map_err(failed)
}

/// What to do where a file is missing that the configuration names, and that holds 64 hexadecimal digits.
pub(crate) fn how_to_make(path: &Path) -> String {
    let file = path.display();
    format!(
        "of an installation that exists, put your copy there; for a new one: (umask 077; openssl rand -hex 32 > {file})"
    )
}

/// Writes the file, replacing an older one in one step; durable when this returns.
pub(crate) fn write(path: &Path, what: &str, text: &str) -> Result<(), Failure> {
    replace(path, text).map_err(|error| cannot_write(path, what, &error))
}

/// The same, for whoever says what it is in words of their own.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("new");
    fill(&temporary, text)?;
    fs::rename(&temporary, path)?;
    sync_directory(path)
}

/// A new file that its owner alone can read.
pub(crate) fn create_new(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Writes the file if there is none: of several processes that try it at once, one does. Durable when this returns.
pub(crate) fn create(path: &Path, what: &str, text: &str) -> Result<(), Failure> {
    let temporary = path.with_extension(format!("new-{}", std::process::id()));
    let create = || -> io::Result<()> {
        fill(&temporary, text)?;
        let linked = match fs::hard_link(&temporary, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        };
        fs::remove_file(&temporary)?;
        linked?;
        sync_directory(path)
    };
    create().map_err(|error| cannot_write(path, what, &error))
}

fn fill(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn sync_directory(path: &Path) -> io::Result<()> {
    fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

fn cannot_write(path: &Path, what: &str, error: &io::Error) -> Failure {
    let exit = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Exit::Io,
        _ => Exit::CannotCreate,
    };
    Failure::new(exit, format!("cannot write {what} to {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_on_writing_and_on_reading() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret.toml");
        assert!(read(&path, "it").unwrap().is_none());
        write(&path, "it", "one").unwrap();
        write(&path, "it", "two").unwrap();
        assert_eq!(read(&path, "it").unwrap().unwrap().as_str(), "two");
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let failure = read(&path, "it").unwrap_err();
            assert!(failure.to_string().contains("chmod 600"), "{failure}");
            assert_eq!(failure.exit(), Exit::Permission);
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(read(&path, "it").unwrap().is_some());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary file is left");
    }
}
