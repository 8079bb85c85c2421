//! Prompts as files that live well in git: `export` writes them, `import` sends what differs.
//!
//! ```text
//! prompts/
//!   support-assistant/     the slug
//!     prompt.toml          title, description, category, tags; what differs from the usual about files
//!     generator.md         the texts, byte for byte
//!     system.md
//!     critique.md
//!     context/
//!       faq.md             context files
//!       links.toml         context links
//! ```

mod bundle;
mod disk;
mod export;
mod import;
mod plan;
mod remote;
mod step;

use std::path::Path;

use crate::failure::{Exit, Failure};

pub(crate) use self::{export::Export, import::Import};

/// What people say about a prompt.
const MANIFEST: &str = "prompt.toml";
/// The text itself.
pub(super) const GENERATOR: &str = "generator.md";
/// The system prompt.
pub(super) const SYSTEM: &str = "system.md";
/// The text that has an answer criticised.
pub(super) const CRITIQUE: &str = "critique.md";
/// The directory of context files.
const CONTEXT: &str = "context";
/// The context links, in that directory.
const LINKS: &str = "links.toml";

/// Endings of names, and the media type that follows from each. The first of a type is the usual one.
const MEDIA_TYPES: [(&str, &str); 23] = [
    ("json", "application/json"),
    ("pdf", "application/pdf"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xml", "application/xml"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("zip", "application/zip"),
    ("mp3", "audio/mpeg"),
    ("wav", "audio/wav"),
    ("gif", "image/gif"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("png", "image/png"),
    ("webp", "image/webp"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("htm", "text/html"),
    ("md", "text/markdown"),
    ("markdown", "text/markdown"),
    ("txt", "text/plain"),
    ("mp4", "video/mp4"),
];

/// The media type that follows from a file's name.
pub(super) fn media_type(name: &str) -> Option<&'static str> {
    let (_, ending) = name.rsplit_once('.')?;
    MEDIA_TYPES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(ending))
        .map(|(_, media_type)| *media_type)
}

/// A file of at most `limit_bytes`, which is no symbolic link: one could lead out of a directory that came from elsewhere.
pub(super) fn read_file(path: &Path, limit_bytes: u64) -> Result<Vec<u8>, Failure> {
    let unreadable = |error: std::io::Error| cannot_read(path, &error);
    let kind = std::fs::symlink_metadata(path).map_err(unreadable)?;
    if !kind.is_file() {
        return Err(refused(path, "is no plain file"));
    }
    if kind.len() > limit_bytes {
        return Err(refused(path, &format!("has {} bytes; at most {limit_bytes} are taken", kind.len())));
    }
    std::fs::read(path).map_err(unreadable)
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Negative, format!("cannot read {}: {error}", path.display()))
}

fn refused(path: &Path, why: &str) -> Failure {
    Failure::new(Exit::Negative, format!("{} {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use keywright_domain::prompt::MIME_TYPES;

    use super::*;

    #[test]
    fn every_media_type_has_an_ending() {
        for known in MIME_TYPES {
            assert!(MEDIA_TYPES.iter().any(|(_, media_type)| media_type == known), "{known}");
        }
        for (ending, known) in MEDIA_TYPES {
            assert!(MIME_TYPES.contains(&known), "{known}");
            assert_eq!(media_type(&format!("a.b.{}", ending.to_ascii_uppercase())), Some(known));
        }
        assert_eq!((media_type("Makefile"), media_type("a.exe")), (None, None));
    }

    #[test]
    fn symbolic_links_and_large_files_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, b"12345").unwrap();
        assert_eq!(read_file(&file, 5).unwrap(), b"12345");
        assert!(read_file(&file, 4).unwrap_err().to_string().contains("at most 4"));
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(read_file(&link, 5).unwrap_err().to_string().contains("no plain file"));
    }
}
