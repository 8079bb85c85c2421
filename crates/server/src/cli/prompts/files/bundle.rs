//! A prompt between the server and the disk, and how its `prompt.toml` and `links.toml` are written.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{super::draft::Draft, LINKS, media_type};

/// A prompt's draft with its files and links.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bundle {
    /// The slug.
    pub(super) slug: String,
    /// Texts and what people say about them.
    pub(super) draft: Draft,
    /// Files, by path.
    pub(super) files: Vec<BundleFile>,
    /// Links, by address.
    pub(super) links: Vec<Link>,
}

/// A context file. Its content is on the disk or on the server, and here known by its digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BundleFile {
    /// Name of the file on the disk, in the directory of context files.
    pub(super) path: String,
    /// Where it is on this disk, if it is.
    pub(super) place: Option<PathBuf>,
    /// What the server knows of it.
    pub(super) known: KnownFile,
}

/// What makes two context files the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KnownFile {
    /// The name.
    pub(super) name: String,
    /// A label for people.
    pub(super) label: Option<String>,
    /// The media type.
    pub(super) mime_type: String,
    /// SHA-256 in hexadecimal.
    pub(super) sha256: String,
}

/// A context link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Link {
    /// A label for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) label: Option<String>,
    /// Where it leads.
    pub(super) url: String,
}

/// `prompt.toml`. The members are in the order in which they are written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    title: String,
    /// Files about which something is to be said.
    #[serde(default, rename = "file", skip_serializing_if = "Vec::is_empty")]
    pub(super) files: Vec<FileNote>,
}

/// What does not follow from a file's name on the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileNote {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mime_type: Option<String>,
    /// The name that clients see, where it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The name on the disk.
    pub(super) path: String,
}

/// `links.toml`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Links {
    #[serde(default, rename = "link", skip_serializing_if = "Vec::is_empty")]
    pub(super) links: Vec<Link>,
}

impl Manifest {
    /// What is to be written about a prompt.
    pub(super) fn of(bundle: &Bundle) -> Self {
        let Draft { title, description, category, tags, .. } = bundle.draft.clone();
        let files = bundle.files.iter().filter_map(FileNote::of).collect();
        Self { category, description, tags, title, files }
    }

    /// The draft with these texts.
    pub(super) fn draft(
        self,
        generator: String,
        system_prompt: Option<String>,
        critique_prompt: Option<String>,
    ) -> Draft {
        let Self { category, description, tags, title, .. } = self;
        Draft { title, description, category, tags, generator, system_prompt, critique_prompt }
    }
}

impl FileNote {
    /// What is to be said about a file; `None`: all of it follows from its name.
    fn of(file: &BundleFile) -> Option<Self> {
        let KnownFile { name, label, mime_type, .. } = &file.known;
        let note = Self {
            label: label.clone(),
            mime_type: (media_type(name) != Some(mime_type)).then(|| mime_type.clone()),
            name: (*name != file.path).then(|| name.clone()),
            path: file.path.clone(),
        };
        (note != Self::none(&file.path)).then_some(note)
    }

    /// Nothing to say about this file.
    pub(super) fn none(path: &str) -> Self {
        Self { label: None, mime_type: None, name: None, path: path.to_owned() }
    }

    /// The file of which this is said. `None`: its media type is not known.
    pub(super) fn describe(self, place: PathBuf, sha256: String) -> Option<BundleFile> {
        let name = self.name.unwrap_or_else(|| self.path.clone());
        let mime_type = self.mime_type.or_else(|| media_type(&name).map(str::to_owned))?;
        let known = KnownFile { name, label: self.label, mime_type, sha256 };
        Some(BundleFile { path: self.path, place: Some(place), known })
    }
}

/// Gives files their names on the disk: their own, unless two have the same or it means something else there.
pub(super) fn arranged(mut files: Vec<KnownFile>) -> Vec<BundleFile> {
    files.sort();
    let names: Vec<String> = files.iter().map(|file| file.name.to_lowercase()).collect();
    let mut arranged: Vec<BundleFile> = Vec::new();
    for known in files {
        let name = known.name.to_lowercase();
        let is_apart = name != LINKS && names.iter().filter(|other| **other == name).count() == 1;
        let is_taken = |path: &str| {
            let path = path.to_lowercase();
            names.contains(&path) || arranged.iter().any(|other| other.path.to_lowercase() == path)
        };
        let path = if is_apart { known.name.clone() } else { numbered(&known.name, is_taken) };
        arranged.push(BundleFile { path, place: None, known });
    }
    arranged.sort();
    arranged
}

fn numbered(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let mut numbered = (1_u32..).map(|number| format!("{number}-{name}"));
    numbered.find(|path| !is_taken(path)).expect("fewer files than numbers")
}

/// The order in which links are written.
pub(super) fn sort_links(links: &mut [Link]) {
    links.sort_by(|left, right| left.url.cmp(&right.url).then_with(|| left.label.cmp(&right.label)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, sha256: &str) -> KnownFile {
        let mime_type = "text/plain".to_owned();
        KnownFile { name: name.to_owned(), label: None, mime_type, sha256: sha256.to_owned() }
    }

    #[test]
    fn names_on_the_disk_are_apart() {
        let files = vec![
            file("a.txt", "2"),
            file("a.txt", "1"),
            file("A.txt", "3"),
            file("1-a.txt", "4"),
            file("links.toml", "5"),
            file("b.txt", "6"),
        ];
        let arranged = arranged(files.clone());
        let paths: Vec<&str> = arranged.iter().map(|file| file.path.as_str()).collect();
        let mut apart: Vec<String> = paths.iter().map(|path| path.to_lowercase()).collect();
        apart.sort();
        apart.dedup();
        assert_eq!(apart.len(), files.len(), "{paths:?}");
        assert!(paths.contains(&"b.txt") && paths.contains(&"1-a.txt") && !paths.contains(&"links.toml"));
        assert_eq!(super::arranged(files.into_iter().rev().collect()), arranged, "whatever the order");
    }

    #[test]
    fn only_what_does_not_follow_is_written() {
        let plain = arranged(vec![file("a.txt", "1")]).remove(0);
        assert_eq!(FileNote::of(&plain), None);
        let mut odd = plain;
        odd.known.mime_type = "text/markdown".to_owned();
        let note = FileNote::of(&odd).unwrap();
        assert_eq!(note.mime_type.as_deref(), Some("text/markdown"));
        let described = note.describe("x".into(), "1".to_owned()).unwrap();
        assert_eq!(described.known, odd.known);
        assert!(FileNote::none("a.exe").describe("x".into(), "1".to_owned()).is_none());
    }
}
