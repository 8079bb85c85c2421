//! Events into a file, one a line. The file may be renamed at any time, as log rotation does: the next event opens a new one.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::PathBuf,
};

use super::{Sink, Written};

pub(super) struct FileSink {
    path: PathBuf,
    file: Option<File>,
}

impl FileSink {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    /// The file that has the name now: the open one, unless it was renamed or removed.
    fn current(&mut self) -> io::Result<&mut File> {
        let is_same = match &self.file {
            Some(open) => {
                let open = open.metadata()?;
                std::fs::metadata(&self.path)
                    .is_ok_and(|named| (named.dev(), named.ino()) == (open.dev(), open.ino()))
            }
            None => false,
        };
        if !is_same {
            self.file = Some(open(&self.path)?);
        }
        Ok(self.file.as_mut().expect("it was opened"))
    }
}

/// Opens the file to append. What a crash cut off in the middle of a line is ended, so that it spoils no other.
fn open(path: &PathBuf) -> io::Result<File> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    if file.metadata()?.is_file() && file.metadata()?.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}

impl Sink for FileSink {
    fn deliver(&mut self, events: &[Written<'_>]) -> io::Result<()> {
        let text: String = events.iter().flat_map(|written| [&*written.line, "\n"]).collect();
        let file = self.current()?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_data());
        if written.is_err() {
            self.file = None;
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::{super::samples::deliver, *};

    fn actions(path: &std::path::Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        let action = |line: &str| match serde_json::from_str::<serde_json::Value>(line) {
            Ok(value) => value["action"].as_str().unwrap().to_owned(),
            Err(_) => line.to_owned(),
        };
        text.lines().map(action).collect()
    }

    #[test]
    fn a_renamed_file_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("security.log");
        let mut sink = FileSink::new(path.clone());
        deliver(&mut sink, &["key.created", "key.revoked"]).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let rotated = directory.path().join("security.log.1");
        fs::rename(&path, &rotated).unwrap();
        deliver(&mut sink, &["key.deleted"]).unwrap();
        assert_eq!(actions(&rotated), ["key.created", "key.revoked"]);
        assert_eq!(actions(&path), ["key.deleted"]);
    }

    #[test]
    fn half_a_line_spoils_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("security.log");
        fs::write(&path, "{\"half").unwrap();
        deliver(&mut FileSink::new(path.clone()), &["key.created"]).unwrap();
        deliver(&mut FileSink::new(path.clone()), &["key.revoked"]).unwrap();
        assert_eq!(actions(&path), ["{\"half", "key.created", "key.revoked"]);
    }

    #[test]
    fn a_directory_that_is_not_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("logs/security.log");
        let mut sink = FileSink::new(path.clone());
        assert!(deliver(&mut sink, &["key.created"]).is_err());
        fs::create_dir(directory.path().join("logs")).unwrap();
        deliver(&mut sink, &["key.created"]).unwrap();
        assert_eq!(actions(&path), ["key.created"]);
    }
}
