-- Prompts, their versions, and the files and links that belong to them. `content`, `context` and `item` are JSON.
-- Principals as in keys.creator_kind: erasing a person must reach `creator_id` and `publisher_id`.

CREATE TABLE prompts (
    id           BLOB PRIMARY KEY NOT NULL,
    workspace    INTEGER NOT NULL REFERENCES workspaces (number),
    slug         TEXT NOT NULL,
    -- The draft.
    content      TEXT NOT NULL,
    context      TEXT NOT NULL,
    revision     INTEGER NOT NULL,
    published    INTEGER NOT NULL,
    latest       INTEGER,
    creator_kind INTEGER NOT NULL,
    creator_id   BLOB NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    archived_at  INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX prompts_slug ON prompts (workspace, slug);
CREATE INDEX prompts_workspace ON prompts (workspace, id);
CREATE INDEX prompts_creator ON prompts (creator_kind, creator_id);

CREATE TABLE prompt_versions (
    prompt         BLOB NOT NULL REFERENCES prompts (id),
    number         INTEGER NOT NULL,
    content        TEXT NOT NULL,
    context        TEXT NOT NULL,
    published_at   INTEGER NOT NULL,
    publisher_kind INTEGER NOT NULL,
    publisher_id   BLOB NOT NULL,
    archived_at    INTEGER,
    PRIMARY KEY (prompt, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE context_items (
    id         BLOB PRIMARY KEY NOT NULL,
    prompt     BLOB NOT NULL REFERENCES prompts (id),
    workspace  INTEGER NOT NULL REFERENCES workspaces (number),
    label      TEXT,
    item       TEXT NOT NULL,
    size       INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX context_items_prompt ON context_items (prompt, id);
-- For the sum of a workspace's files.
CREATE INDEX context_items_workspace ON context_items (workspace, size);

-- Not WITHOUT ROWID: rows are large.
CREATE TABLE context_chunks (
    item     BLOB NOT NULL REFERENCES context_items (id),
    position INTEGER NOT NULL,
    bytes    BLOB NOT NULL,
    PRIMARY KEY (item, position)
) STRICT;
