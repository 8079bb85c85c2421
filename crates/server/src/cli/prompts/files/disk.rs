//! Prompts on the disk: read with everything checked before anything is sent, written so that a diff shows what changed.

use std::{
    collections::BTreeSet,
    fs, io,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use keywright_domain::prompt::{FILE_MAX_BYTES, PromptSlug, TEXT_MAX_BYTES};
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::{
    CONTEXT, CRITIQUE, GENERATOR, LINKS, MANIFEST, SYSTEM,
    bundle::{Bundle, BundleFile, FileNote, Link, Links, Manifest, sort_links},
    cannot_read, read_file, refused,
};
use crate::{
    config::problem,
    failure::{Exit, Failure},
};

/// Most bytes of a `prompt.toml` or `links.toml`.
const TOML_MAX_BYTES: u64 = 1 << 20;

/// Reads the prompts in `directory`, by slug.
pub(super) fn read_all(directory: &Path) -> Result<Vec<Bundle>, Failure> {
    let mut bundles = Vec::new();
    for name in names(directory)? {
        let place = directory.join(&name);
        if !name.starts_with('.') && place.join(MANIFEST).exists() {
            bundles.push(read(&place, &name)?);
        }
    }
    if bundles.is_empty() {
        let failure = refused(directory, "holds no prompts");
        let is_a_prompt = directory.join(MANIFEST).exists();
        return Err(failure.remedy(if is_a_prompt {
            "It is the directory of one prompt: name the one above it."
        } else {
            "Each prompt is a directory with a prompt.toml in it; `keywright prompts export` makes them."
        }));
    }
    Ok(bundles)
}

/// The names in a directory, in order. Those that are not UTF-8 are refused.
fn names(directory: &Path) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| cannot_read(directory, &error))? {
        let name = entry.map_err(|error| cannot_read(directory, &error))?.file_name();
        names.push(name.into_string().map_err(|_| refused(directory, "has a name in it that is not UTF-8"))?);
    }
    names.sort();
    Ok(names)
}

fn read(directory: &Path, slug: &str) -> Result<Bundle, Failure> {
    PromptSlug::parse(slug)
        .map_err(|error| refused(directory, &format!("is named after no prompt: {error}")))?;
    let known = [MANIFEST, GENERATOR, SYSTEM, CRITIQUE, CONTEXT];
    for name in names(directory)?.iter().filter(|name| !name.starts_with('.')) {
        if !known.contains(&name.as_str()) {
            let failure = refused(&directory.join(name), "belongs to no prompt");
            return Err(
                failure.remedy(format!("known here: {}; context files are in {CONTEXT}/", known.join(", ")))
            );
        }
    }
    let manifest: Manifest = toml(&directory.join(MANIFEST))?;
    let notes = manifest.files.clone();
    let generator = text(&directory.join(GENERATOR))?;
    let system = optional_text(&directory.join(SYSTEM))?;
    let critique = optional_text(&directory.join(CRITIQUE))?;
    let context = directory.join(CONTEXT);
    let (files, links) =
        if context.exists() { read_context(&context, notes)? } else { no_context(directory, &notes)? };
    Ok(Bundle { slug: slug.to_owned(), draft: manifest.draft(generator, system, critique), files, links })
}

type Items = (Vec<BundleFile>, Vec<Link>);

fn no_context(directory: &Path, notes: &[FileNote]) -> Result<Items, Failure> {
    match notes.first() {
        Some(note) => Err(not_there(directory, &note.path)),
        None => Ok((Vec::new(), Vec::new())),
    }
}

fn not_there(directory: &Path, path: &str) -> Failure {
    refused(&directory.join(MANIFEST), &format!("says something about {CONTEXT}/{path}, which is not there"))
}

fn read_context(directory: &Path, mut notes: Vec<FileNote>) -> Result<Items, Failure> {
    let mut files = Vec::new();
    let mut links = Links::default();
    for name in names(directory)? {
        let place = directory.join(&name);
        if name == LINKS {
            links = toml(&place)?;
        } else if !name.starts_with('.') {
            let said = notes.iter().position(|note| note.path == name).map(|at| notes.remove(at));
            files.push(describe(said.unwrap_or_else(|| FileNote::none(&name)), place)?);
        }
    }
    if let Some(note) = notes.first() {
        return Err(not_there(directory.parent().unwrap_or(directory), &note.path));
    }
    sort_links(&mut links.links);
    Ok((files, links.links))
}

#[expect(clippy::needless_pass_by_value, reason = "`map` hands it over")]
fn describe(note: FileNote, place: PathBuf) -> Result<BundleFile, Failure> {
    let path = note.path.clone();
    let sha256 = hex::encode(Sha256::digest(read_file(&place, FILE_MAX_BYTES)?));
    note.describe(place.clone(), sha256).ok_or_else(|| {
        refused(&place, "is of a kind that does not follow from its ending")
            .remedy(format!("Say it in {MANIFEST}:\n[[file]]\nmime_type = \"text/plain\"\npath = \"{path}\""))
    })
}

fn text(path: &Path) -> Result<String, Failure> {
    let bytes = read_file(path, TEXT_MAX_BYTES as u64)?;
    String::from_utf8(bytes).map_err(|_| refused(path, "is not UTF-8 text"))
}

fn optional_text(path: &Path) -> Result<Option<String>, Failure> {
    // A link that leads nowhere is there all the same.
    if path.symlink_metadata().is_err() { Ok(None) } else { text(path).map(Some) }
}

fn toml<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let bytes = read_file(path, TOML_MAX_BYTES)?;
    let text = String::from_utf8(bytes).map_err(|_| refused(path, "is not UTF-8 text"))?;
    toml::from_str(&text).map_err(|error| {
        problem::describe(&text, &path.display().to_string(), &error).with_exit(Exit::Negative)
    })
}

/// Writes a prompt. `content` gives the bytes of a file that is not on the disk yet.
pub(super) fn write(
    directory: &Path,
    bundle: &Bundle,
    mut content: impl FnMut(&BundleFile) -> Result<Vec<u8>, Failure>,
) -> Result<(), Failure> {
    let place = directory.join(&bundle.slug);
    let beside = place.join(CONTEXT);
    make_directory(&place)?;
    keep(&place.join(MANIFEST), &written(&Manifest::of(bundle))?)?;
    for (_, name, text) in bundle.draft.texts() {
        match text {
            Some(text) => keep(&place.join(name), text.as_bytes())?,
            None => remove(&place.join(name))?,
        }
    }
    let mut wanted: BTreeSet<&str> = bundle.files.iter().map(|file| file.path.as_str()).collect();
    if !bundle.files.is_empty() || !bundle.links.is_empty() {
        make_directory(&beside)?;
    }
    for file in &bundle.files {
        let path = beside.join(&file.path);
        let present = read_file(&path, FILE_MAX_BYTES).ok();
        if present.is_none_or(|bytes| hex::encode(Sha256::digest(bytes)) != file.known.sha256) {
            keep(&path, &content(file)?)?;
        }
    }
    if !bundle.links.is_empty() {
        wanted.insert(LINKS);
        keep(&beside.join(LINKS), &written(&Links { links: bundle.links.clone() })?)?;
    }
    if beside.exists() {
        for name in names(&beside)?.iter().filter(|name| !wanted.contains(name.as_str())) {
            remove(&beside.join(name))?;
        }
        // Fails where something is in it.
        let _ = fs::remove_dir(&beside);
    }
    Ok(())
}

fn written(value: &impl serde::Serialize) -> Result<Vec<u8>, Failure> {
    let text = toml::to_string_pretty(value);
    text.map(String::into_bytes)
        .map_err(|error| Failure::new(Exit::Negative, format!("cannot write TOML: {error}")))
}

fn make_directory(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| cannot_write(path, &error))
}

/// Writes a file, unless it is what it should be. A symbolic link in its place is replaced, not followed.
fn keep(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let is_plain = path.symlink_metadata().is_ok_and(|kind| kind.is_file());
    if is_plain && fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    let write = || -> io::Result<()> {
        // Like any file that a command makes; what the user's mask forbids is left out.
        let permissions = fs::Permissions::from_mode(0o666);
        let directory = path.parent().unwrap_or(Path::new("."));
        let mut file =
            tempfile::Builder::new().prefix(".keywright-").permissions(permissions).tempfile_in(directory)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|error| cannot_write(path, &error))
}

fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cannot_write(path, &error)),
        _ => Ok(()),
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Negative, format!("cannot write {}: {error}", path.display()))
}

/// The slugs of the prompts in `directory` that are not among `known`.
pub(super) fn strangers(directory: &Path, known: &BTreeSet<String>) -> Result<Vec<String>, Failure> {
    let is_prompt = |name: &String| directory.join(name).join(MANIFEST).exists();
    Ok(names(directory)?.into_iter().filter(is_prompt).filter(|name| !known.contains(name)).collect())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            super::draft::Draft,
            bundle::{KnownFile, arranged},
        },
        *,
    };

    fn bundle() -> Bundle {
        let known = KnownFile {
            name: "faq.md".to_owned(),
            label: Some("Frequent\nquestions".to_owned()),
            mime_type: "text/plain".to_owned(),
            sha256: hex::encode(Sha256::digest(b"Q: a?\r\n")),
        };
        let draft = Draft {
            title: "Ein \"Titel\" — ü".to_owned(),
            description: Some("two\nlines\n".to_owned()),
            category: None,
            tags: vec!["b".to_owned(), "a".to_owned()],
            generator: "\u{feff}  {{x}} \r\n\t{\"json\": 1}\n\n".to_owned(),
            system_prompt: Some(String::new()),
            critique_prompt: None,
        };
        let link = |url: &str| Link { url: url.to_owned(), label: None };
        let links = vec![link("https://example.com/a"), link("https://example.com/b")];
        Bundle { slug: "qa_Bot-1".to_owned(), draft, files: arranged(vec![known]), links }
    }

    fn without_places(mut bundle: Bundle) -> Bundle {
        for file in &mut bundle.files {
            file.place = None;
        }
        bundle
    }

    fn files_of(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files.extend(files_of(&path));
            } else {
                files.push((path.clone(), fs::read(path).unwrap()));
            }
        }
        files.sort();
        files
    }

    #[test]
    fn what_is_written_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let bundle = bundle();
        write(directory.path(), &bundle, |_| Ok(b"Q: a?\r\n".to_vec())).unwrap();
        let place = directory.path().join(&bundle.slug);
        assert_eq!(fs::read_to_string(place.join(GENERATOR)).unwrap(), bundle.draft.generator);
        let before = files_of(directory.path());
        let found = read_all(directory.path()).unwrap();
        assert_eq!(found.into_iter().map(without_places).collect::<Vec<_>>(), std::slice::from_ref(&bundle));
        // Nothing is asked for, nothing is written, when it is there.
        write(directory.path(), &bundle, |_| panic!("asked for a file that is there")).unwrap();
        assert_eq!(files_of(directory.path()), before);
    }

    #[test]
    fn what_is_gone_goes_from_the_disk() {
        let directory = tempfile::tempdir().unwrap();
        let mut bundle = bundle();
        write(directory.path(), &bundle, |_| Ok(b"Q: a?\r\n".to_vec())).unwrap();
        bundle.draft.system_prompt = None;
        bundle.files.clear();
        bundle.links.clear();
        write(directory.path(), &bundle, |_| unreachable!()).unwrap();
        let place = directory.path().join(&bundle.slug);
        assert_eq!(names(&place).unwrap(), [GENERATOR, MANIFEST]);
        assert_eq!(read_all(directory.path()).unwrap(), [bundle]);
    }

    #[test]
    fn the_manifest_is_stable() {
        let text = String::from_utf8(written(&Manifest::of(&bundle())).unwrap()).unwrap();
        let keys: Vec<&str> =
            text.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key).collect();
        assert_eq!(keys, ["description", "tags", "title", "label", "mime_type", "path"], "{text}");
    }

    fn refusal(change: impl FnOnce(&Path)) -> String {
        let directory = tempfile::tempdir().unwrap();
        let bundle = bundle();
        write(directory.path(), &bundle, |_| Ok(b"Q: a?\r\n".to_vec())).unwrap();
        change(&directory.path().join(&bundle.slug));
        let failure = read_all(directory.path()).unwrap_err();
        assert_eq!(failure.exit(), Exit::Negative);
        failure.to_string()
    }

    #[test]
    fn mistakes_are_found_before_anything_is_sent() {
        let text =
            refusal(|place| fs::write(place.join(MANIFEST), "title = \"t\"\ncategroy = \"c\"\n").unwrap());
        assert!(
            text.contains("prompt.toml:2:1: unknown key `categroy`") && text.contains("`category`"),
            "{text}"
        );
        let text =
            refusal(|place| fs::write(place.join(CONTEXT).join(LINKS), "\n[[link]]\nurl = 1\n").unwrap());
        assert!(text.contains("links.toml:3:7"), "{text}");
        let text = refusal(|place| fs::write(place.join("sytem.md"), "").unwrap());
        assert!(text.contains("sytem.md belongs to no prompt"), "{text}");
        let text = refusal(|place| fs::remove_file(place.join(GENERATOR)).unwrap());
        assert!(text.contains("generator.md"), "{text}");
        let text = refusal(|place| fs::write(place.join(SYSTEM), [0xff]).unwrap());
        assert!(text.contains("not UTF-8"), "{text}");
        let text = refusal(|place| fs::write(place.join(CONTEXT).join("a.exe"), "").unwrap());
        assert!(text.contains("path = \"a.exe\""), "{text}");
        let text = refusal(|place| fs::remove_file(place.join(CONTEXT).join("faq.md")).unwrap());
        assert!(text.contains("context/faq.md, which is not there"), "{text}");
        let text = refusal(|place| {
            std::os::unix::fs::symlink("/etc/hostname", place.join(CONTEXT).join("host.txt")).unwrap();
        });
        assert!(text.contains("no plain file"), "{text}");
        let text = refusal(|place| fs::write(place.join(GENERATOR), "x".repeat(TEXT_MAX_BYTES + 1)).unwrap());
        assert!(text.contains("at most 65536"), "{text}");
        let text = refusal(|place| fs::rename(place, place.parent().unwrap().join("q a")).unwrap());
        assert!(text.contains("named after no prompt"), "{text}");
    }

    #[test]
    fn a_directory_without_prompts_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert!(read_all(directory.path()).unwrap_err().to_string().contains("holds no prompts"));
        write(directory.path(), &bundle(), |_| Ok(b"Q: a?\r\n".to_vec())).unwrap();
        let inside = read_all(&directory.path().join("qa_Bot-1")).unwrap_err().to_string();
        assert!(inside.contains("name the one above it"), "{inside}");
    }
}
