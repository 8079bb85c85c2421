//! Prompts, their versions and context items.

macro_rules! prompt_columns {
    () => {
        "p.id, w.id, p.slug, p.content, p.context, p.revision, p.published, p.latest, p.creator_kind, p.creator_id, \
         p.created_at, p.updated_at, p.archived_at"
    };
}

macro_rules! version_columns {
    () => {
        "number, content, context, published_at, publisher_kind, publisher_id, archived_at"
    };
}

macro_rules! item_columns {
    () => {
        "i.id, i.prompt, i.label, i.item, i.created_at"
    };
}

statements! {
    /// A prompt by slug.
    PROMPT_BY_SLUG = concat!(
        "SELECT ", prompt_columns!(), " FROM workspaces w JOIN prompts p ON p.workspace = w.number \
         WHERE w.id = $1 AND p.slug = $2"
    );
    /// Prompts that a principal created and of which nobody else published a version.
    PROMPTS_OF_NOBODY_ELSE = concat!(
        "SELECT ", prompt_columns!(), " FROM prompts p JOIN workspaces w ON w.number = p.workspace \
         WHERE p.creator_kind = $1 AND p.creator_id = $2 AND NOT EXISTS (SELECT 1 FROM prompt_versions v \
         WHERE v.prompt = p.id AND (v.publisher_kind <> $1 OR v.publisher_id <> $2)) LIMIT $3"
    );
    /// A prompt by id.
    PROMPT_BY_ID = concat!(
        "SELECT ", prompt_columns!(), " FROM prompts p JOIN workspaces w ON w.number = p.workspace WHERE p.id = $1"
    );
    /// Prompts of a workspace before one, newest first.
    PROMPTS = concat!(
        "SELECT ", prompt_columns!(), " FROM workspaces w JOIN prompts p \
         ON p.workspace = w.number WHERE w.id = $1 AND p.id < $2 ORDER BY p.id DESC LIMIT $3"
    );
    /// How many prompts a workspace has.
    COUNT_PROMPTS = "SELECT count(*) FROM prompts WHERE workspace = $1";
    /// A new prompt.
    INSERT_PROMPT = "INSERT INTO prompts (id, workspace, slug, content, context, revision, published, latest, \
                     creator_kind, creator_id, created_at, updated_at, archived_at) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    /// What may change of a prompt.
    UPDATE_PROMPT = "UPDATE prompts SET content = $2, context = $3, revision = $4, published = $5, latest = $6, \
                     updated_at = $7, archived_at = $8 WHERE id = $1";
    /// The end of a prompt.
    DELETE_PROMPT = "DELETE FROM prompts WHERE id = $1";

    /// A version.
    VERSION = concat!("SELECT ", version_columns!(), " FROM prompt_versions WHERE prompt = $1 AND number = $2");
    /// Versions before one, newest first.
    VERSIONS = concat!(
        "SELECT ", version_columns!(), " FROM prompt_versions WHERE prompt = $1 AND number < $2 \
         ORDER BY number DESC LIMIT $3"
    );
    /// Which versions there are.
    VERSION_MARKS = "SELECT number, archived_at FROM prompt_versions WHERE prompt = $1";
    /// The context items of versions in service.
    VERSION_CONTEXTS = "SELECT context FROM prompt_versions WHERE prompt = $1 AND archived_at IS NULL";
    /// A new version.
    INSERT_VERSION = "INSERT INTO prompt_versions (prompt, number, content, context, published_at, publisher_kind, \
                      publisher_id, archived_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    /// Whether a version is in service.
    ARCHIVE_VERSION = "UPDATE prompt_versions SET archived_at = $3 WHERE prompt = $1 AND number = $2";
    /// The end of all versions of a prompt.
    DELETE_VERSIONS = "DELETE FROM prompt_versions WHERE prompt = $1";

    /// The context items of a prompt, oldest first.
    CONTEXT_ITEMS = concat!("SELECT ", item_columns!(), " FROM context_items i WHERE i.prompt = $1 ORDER BY i.id");
    /// A context item, and whether its workspace is suspended.
    CONTEXT_ITEM = concat!(
        "SELECT ", item_columns!(), ", w.suspended_at IS NOT NULL FROM context_items i JOIN workspaces w ON w.number = i.workspace \
         WHERE i.id = $1"
    );
    /// How many context items a prompt has.
    COUNT_ITEMS = "SELECT count(*) FROM context_items WHERE prompt = $1";
    /// How many bytes the files of a workspace take.
    SUM_BYTES = "SELECT coalesce(sum(size), 0)::bigint FROM context_items WHERE workspace = $1";
    /// A new context item.
    INSERT_ITEM = "INSERT INTO context_items (id, prompt, workspace, label, item, size, created_at) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
    /// The end of a context item.
    DELETE_ITEM = "DELETE FROM context_items WHERE id = $1";
    /// A piece of a file.
    CHUNK = "SELECT bytes FROM context_chunks WHERE item = $1 AND position = $2";
    /// A new piece.
    INSERT_CHUNK = "INSERT INTO context_chunks (item, position, bytes) VALUES ($1, $2, $3)";
    /// The end of all pieces of a file.
    DELETE_CHUNKS = "DELETE FROM context_chunks WHERE item = $1";
}
