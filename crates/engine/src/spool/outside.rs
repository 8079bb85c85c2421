//! A spool as others see it: for whoever copies or watches a data directory that somebody else may own.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::segment;

/// Segments in the spool at `directory` that hold counts, whoever owns it: the store has not confirmed them all. Changes
/// nothing. A spool that is not there has none.
///
/// # Errors
/// The file system's.
pub fn counted_segments(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let files = match fs::read_dir(directory) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut counted = Vec::new();
    for file in files {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == segment::EXTENSION) && holds_counts(&path)? {
            counted.push(path);
        }
    }
    counted.sort();
    Ok(counted)
}

/// A segment that was confirmed meanwhile holds none any more.
fn holds_counts(path: &Path) -> io::Result<bool> {
    let mut header = [0; segment::COUNTS_BYTES];
    match File::open(path).and_then(|mut file| file.read_exact(&mut header)) {
        Ok(()) => Ok(segment::has_counts(&header)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        // No segment: the next start sets it aside.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use keywright_domain::{key::KeyNumber, time::Timestamp, usage::AgentClass, verdict::Code};

    use super::*;
    use crate::{RouteId, Spool, SpoolOptions, UsageEvent};

    #[test]
    fn what_is_counted_is_seen_until_it_is_confirmed() {
        let directory = tempfile::tempdir().unwrap();
        assert!(counted_segments(&directory.path().join("none")).unwrap().is_empty());
        let spool = Spool::open(directory.path(), SpoolOptions::new([1; 16], 1)).unwrap();
        assert!(counted_segments(directory.path()).unwrap().is_empty());
        let event = UsageEvent {
            key: KeyNumber(1),
            secret_ordinal: 1,
            address: None,
            route: RouteId::NONE,
            code: Code::Valid,
            agent: AgentClass::Unknown,
            at: Timestamp::from_unix_ms(60_000),
        };
        spool.record(&event, 1);
        let active = counted_segments(directory.path()).unwrap();
        assert_eq!(active.len(), 1);
        assert!(spool.seal().unwrap());
        assert_eq!(counted_segments(directory.path()).unwrap(), active);
        spool.confirm(&spool.oldest_sealed().unwrap(), 0).unwrap();
        assert!(counted_segments(directory.path()).unwrap().is_empty());
    }
}
