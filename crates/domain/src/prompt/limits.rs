//! How large prompts may be, in one place.

/// Longest slug of a prompt, in bytes.
pub const SLUG_MAX_BYTES: usize = 64;
/// Longest title, in characters.
pub const TITLE_MAX_CHARS: usize = 200;
/// Longest description, in bytes.
pub const DESCRIPTION_MAX_BYTES: usize = 4_000;
/// Longest category, in characters.
pub const CATEGORY_MAX_CHARS: usize = 64;
/// Most tags.
pub const TAGS_MAX: usize = 32;
/// Longest tag, in characters.
pub const TAG_MAX_CHARS: usize = 64;
/// Longest generator, system or critique text, in bytes.
pub const TEXT_MAX_BYTES: usize = 64 * 1_024;
/// Most prompts in a workspace, archived ones included.
pub const PROMPTS_MAX: u64 = 10_000;
/// Most versions of a prompt.
pub const VERSIONS_MAX: u32 = 1_000;
/// Most context items of a prompt, those of older versions included.
pub const CONTEXT_ITEMS_MAX: usize = 100;
/// Longest label of a context item, in characters.
pub const LABEL_MAX_CHARS: usize = 200;
/// Longest name of a context file, in characters.
pub const FILE_NAME_MAX_CHARS: usize = 200;
/// Largest context file, in bytes.
pub const FILE_MAX_BYTES: u64 = 8 * 1_024 * 1_024;
/// How much room the context files of one workspace may take, in bytes.
pub const CONTEXT_BYTES_PER_WORKSPACE_MAX: u64 = 1_024 * 1_024 * 1_024;
/// A context file is kept in pieces of this length, in bytes; the last one is shorter.
pub const CHUNK_BYTES: usize = 128 * 1_024;
/// Longest address of a link, in bytes.
pub const LINK_MAX_BYTES: usize = 2_048;

/// Media types that context files may have.
pub const MIME_TYPES: &[&str] = &[
    "application/json",
    "application/pdf",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/xml",
    "application/yaml",
    "application/zip",
    "audio/mpeg",
    "audio/wav",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/webp",
    "text/csv",
    "text/html",
    "text/markdown",
    "text/plain",
    "video/mp4",
];
