//! Usage that is counted and not in the database yet.
//!
//! A server writes it to the database every second or so: its backup waits until what was counted before is there. Where no
//! server runs, the files of the spool come along, and the first start on the restored directory adds them: batches carry
//! numbers, so what the database has already is not added again.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use keywright_store_sqlite::LOCK_FILE;
use serde::{Deserialize, Serialize};

use super::{cannot, manifest::Part};
use crate::{
    cli::{console::Console, offline::is_locked},
    failure::{Exit, Failure},
    installation::{DataDirectory, create_private},
};

/// How long a server may take to write what it has counted: longer than it rests between two writes.
const FLUSH: Duration = Duration::from_secs(75);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Files that the spool needs beside its segments.
const COMPANIONS: [&str; 2] = ["routes.dict", "credits.slices"];

/// The files of a spool, one after the other in one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Usage {
    /// All of them.
    pub(super) part: Part,
    /// The length of each, in the order of their names.
    pub(super) files: BTreeMap<String, u64>,
}

/// Sees to it that usage that was counted before this call is in a copy of the database that is made after it, or in the file
/// `target`; then says what is in that.
pub(super) fn secure(data: &Path, target: &Path, console: &mut Console) -> Result<Option<Usage>, Failure> {
    let spool = DataDirectory::at(data).spool();
    let failed = |error: io::Error| cannot("read the usage spool", &error);
    loop {
        if is_served(data).map_err(failed)? {
            wait_for_server(&spool, console).map_err(failed)?;
            return Ok(None);
        }
        let copied = copy(&spool, target);
        // A server that started meanwhile may have taken files away: then it is the one to wait for.
        if !is_served(data).map_err(failed)? {
            return copied.map_err(failed);
        }
        drop(fs::remove_file(target));
    }
}

fn is_served(data: &Path) -> io::Result<bool> {
    let Ok(lock) = File::open(data.join(LOCK_FILE)) else { return Ok(false) };
    is_locked(&lock)
}

fn wait_for_server(spool: &Path, console: &mut Console) -> io::Result<()> {
    let mut left = keywright_engine::counted_segments(spool)?;
    let mut waited = Duration::ZERO;
    loop {
        left.retain(|segment| segment.exists());
        if left.is_empty() {
            return Ok(());
        }
        if waited >= FLUSH {
            console.note(
                "warning: the server does not write its usage to the database, so what it counted last is not in the backup; \
                 its log says why",
            );
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
        waited += LOOK_EVERY;
    }
}

fn copy(spool: &Path, target: &Path) -> io::Result<Option<Usage>> {
    let segments = keywright_engine::counted_segments(spool)?;
    let companions = COMPANIONS.map(|name| spool.join(name)).into_iter().filter(|path| path.is_file());
    let paths: Vec<PathBuf> = companions.chain(segments).collect();
    if paths.is_empty() {
        return Ok(None);
    }
    let mut output = create_private(target)?;
    let mut files = BTreeMap::new();
    let named = paths.iter().filter_map(|path| Some((path.file_name()?.to_str()?.to_owned(), path)));
    for (name, path) in named.collect::<BTreeMap<_, _>>() {
        let bytes = io::copy(&mut File::open(path)?, &mut output)?;
        files.insert(name, bytes);
    }
    output.sync_all()?;
    let part = Part::of(target, &indicatif::ProgressBar::hidden())?;
    Ok(Some(Usage { part, files }))
}

/// Puts the files of `source` back as the spool of the data directory at `data`.
pub(super) fn restore(source: &Path, usage: &Usage, data: &Path) -> Result<(), Failure> {
    let spool = DataDirectory::at(data).spool();
    let failed = |error: io::Error| cannot("restore the usage spool", &error);
    fs::DirBuilder::new().mode(0o700).create(&spool).map_err(failed)?;
    let input = File::open(source).map_err(failed)?;
    for (name, bytes) in &usage.files {
        let is_plain =
            !name.starts_with('.') && Path::new(name).file_name().is_some_and(|last| last == name.as_str());
        if !is_plain {
            return Err(Failure::new(
                Exit::Found,
                "the manifest names a file of the usage spool that is none",
            ));
        }
        let mut output = create_private(&spool.join(name)).map_err(failed)?;
        let copied = io::copy(&mut (&input).take(*bytes), &mut output).map_err(failed)?;
        output.flush().and_then(|()| output.sync_all()).map_err(failed)?;
        if copied != *bytes {
            return Err(Failure::new(
                Exit::Found,
                format!("{} is shorter than its manifest says", source.display()),
            ));
        }
    }
    Ok(())
}
