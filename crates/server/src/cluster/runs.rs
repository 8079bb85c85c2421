//! The runs of this data directory: so that a restart can prove that the run before has ended.
//!
//! Whoever holds the lock of the directory knows that no other process works in it. If the directory is the same one, in
//! the same run of the kernel, that the file was written in, then whoever wrote it has ended. A copy of the directory, or
//! a clone of the machine, proves nothing: its original may be running.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use keywright_domain::control::Incarnation;
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::failure::{Exit, Failure};

const FILE: &str = "node-runs.json";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The lock of a node's data directory, and the runs that are not known to have ended.
pub(crate) struct Runs {
    file: Mutex<File>,
    path: std::path::PathBuf,
    place: Place,
}

/// Where and when the file was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    boot_id: String,
    device: u64,
    inode: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    place: Place,
    runs: Vec<String>,
}

impl Runs {
    /// Locks the directory for this process.
    pub(crate) fn lock(directory: &Path) -> Result<Self, Failure> {
        let path = directory.join(FILE);
        let failed = |error: std::io::Error| {
            Failure::new(Exit::CannotCreate, format!("cannot open {}: {error}", path.display()))
        };
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(Failure::new(
                Exit::Busy,
                format!("the data directory {} is in use by another process", directory.display()),
            )
            .remedy("stop it, or choose another directory with `data_dir`"));
        }
        let metadata = file.metadata().map_err(failed)?;
        let boot_id = fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned();
        let place = Place { boot_id, device: metadata.dev(), inode: metadata.ino() };
        Ok(Self { file: Mutex::new(file), path, place })
    }

    /// Runs of this directory that have certainly ended: this process holds the lock, and they were of this directory
    /// and of this run of the kernel.
    pub(crate) fn ended(&self) -> Vec<Incarnation> {
        let kept = self.read();
        if kept.place != self.place || self.place.boot_id.is_empty() {
            return Vec::new();
        }
        kept.runs.iter().filter_map(|run| run.parse().ok()).collect()
    }

    /// These runs are gone from the registry.
    pub(crate) fn forget(&self, gone: &[Incarnation]) -> Result<(), Failure> {
        self.change(|runs| runs.retain(|run| !gone.contains(run)))
    }

    /// A run is going to be registered.
    pub(crate) fn begin(&self, run: Incarnation) -> Result<(), Failure> {
        self.change(|runs| {
            if !runs.contains(&run) {
                runs.push(run);
            }
        })
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Incarnation>)) -> Result<(), Failure> {
        let mut runs = self.ended();
        change(&mut runs);
        let kept = Kept { place: self.place.clone(), runs: runs.iter().map(ToString::to_string).collect() };
        let text = serde_json::to_string(&kept).expect("texts are JSON");
        // In place: another file would have another lock. Torn by a power failure it proves nothing, which is safe.
        let mut file = self.file.lock();
        let written = file
            .rewind()
            .and_then(|()| file.set_len(0))
            .and_then(|()| file.write_all(text.as_bytes()))
            .and_then(|()| file.sync_data());
        written
            .map_err(|error| Failure::new(Exit::Io, format!("cannot write {}: {error}", self.path.display())))
    }

    fn read(&self) -> Kept {
        let mut file = self.file.lock();
        let mut text = String::new();
        let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
        match read {
            Ok(_) => serde_json::from_str(&text).unwrap_or_default(),
            Err(_) => Kept::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: Incarnation = Incarnation([7; 16]);

    #[test]
    fn only_the_next_holder_of_the_same_directory_knows_an_end() {
        let parent = tempfile::tempdir().unwrap();
        let first = Runs::lock(parent.path()).unwrap();
        assert!(first.ended().is_empty());
        first.begin(RUN).unwrap();
        first.begin(RUN).unwrap();
        assert_eq!(Runs::lock(parent.path()).err().unwrap().exit(), Exit::Busy);
        drop(first);
        let second = Runs::lock(parent.path()).unwrap();
        assert_eq!(second.ended(), [RUN]);
        // A copy of the directory says nothing about the run of the original.
        let copy = tempfile::tempdir().unwrap();
        fs::copy(parent.path().join(FILE), copy.path().join(FILE)).unwrap();
        assert!(Runs::lock(copy.path()).unwrap().ended().is_empty());
        second.forget(&[RUN]).unwrap();
        assert!(second.ended().is_empty());
    }

    #[test]
    fn another_run_of_the_kernel_and_a_torn_file_prove_nothing() {
        let parent = tempfile::tempdir().unwrap();
        Runs::lock(parent.path()).unwrap().begin(RUN).unwrap();
        let path = parent.path().join(FILE);
        let text = fs::read_to_string(&path).unwrap();
        let boot_id = fs::read_to_string(BOOT_ID).unwrap().trim().to_owned();
        fs::write(&path, text.replace(&boot_id, "another")).unwrap();
        assert!(Runs::lock(parent.path()).unwrap().ended().is_empty());
        fs::write(&path, &text[..text.len() / 2]).unwrap();
        assert!(Runs::lock(parent.path()).unwrap().ended().is_empty());
    }
}
