//! The files of the repository.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the crate lies in the repository")
}

/// Every file git knows or would add, relative to the root, sorted. A new file counts before it is committed; an ignored
/// or deleted one does not.
pub(crate) fn files() -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("these tests read the list of files from git");
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let mut files: Vec<String> = String::from_utf8(output.stdout)
        .expect("names of files are UTF-8")
        .split_terminator('\0')
        .filter(|name| root().join(name).is_file())
        .map(str::to_owned)
        .collect();
    files.sort_unstable();
    assert!(files.len() > 100, "git lists only {} files: this is not the repository", files.len());
    files
}

/// The Rust files among [`files`].
pub(crate) fn sources() -> Vec<String> {
    files().into_iter().filter(|name| extension(name) == Some("rs")).collect()
}

/// What follows the last full stop of the name.
pub(crate) fn extension(name: &str) -> Option<&str> {
    Path::new(name).extension()?.to_str()
}

/// The bytes of a file.
pub(crate) fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The text of a file.
pub(crate) fn text(name: &str) -> String {
    String::from_utf8(bytes(name)).unwrap_or_else(|_| panic!("{name} is not UTF-8"))
}
