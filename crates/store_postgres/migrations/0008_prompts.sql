-- Prompts, their versions, and the files and links that belong to them. `content`, `context` and `item` are JSON.
-- Principals as in keys.creator_kind: erasing a person must reach `creator_id` and `publisher_id`.

CREATE TABLE prompts (
    id           bytea PRIMARY KEY,
    workspace    bigint NOT NULL REFERENCES workspaces (number),
    slug         text COLLATE "C" NOT NULL,
    -- The draft.
    content      text COLLATE "C" NOT NULL,
    context      text COLLATE "C" NOT NULL,
    revision     bigint NOT NULL,
    published    bigint NOT NULL,
    latest       bigint,
    creator_kind bigint NOT NULL,
    creator_id   bytea NOT NULL,
    created_at   bigint NOT NULL,
    updated_at   bigint NOT NULL,
    archived_at  bigint
);
CREATE UNIQUE INDEX prompts_slug ON prompts (workspace, slug);
CREATE INDEX prompts_workspace ON prompts (workspace, id);
CREATE INDEX prompts_creator ON prompts (creator_kind, creator_id);

CREATE TABLE prompt_versions (
    prompt         bytea NOT NULL REFERENCES prompts (id),
    number         bigint NOT NULL,
    content        text COLLATE "C" NOT NULL,
    context        text COLLATE "C" NOT NULL,
    published_at   bigint NOT NULL,
    publisher_kind bigint NOT NULL,
    publisher_id   bytea NOT NULL,
    archived_at    bigint,
    PRIMARY KEY (prompt, number)
);

CREATE TABLE context_items (
    id         bytea PRIMARY KEY,
    prompt     bytea NOT NULL REFERENCES prompts (id),
    workspace  bigint NOT NULL REFERENCES workspaces (number),
    label      text COLLATE "C",
    item       text COLLATE "C" NOT NULL,
    size       bigint NOT NULL,
    created_at bigint NOT NULL
);
CREATE INDEX context_items_prompt ON context_items (prompt, id);
-- For the sum of a workspace's files.
CREATE INDEX context_items_workspace ON context_items (workspace, size);

CREATE TABLE context_chunks (
    item     bytea NOT NULL REFERENCES context_items (id),
    position bigint NOT NULL,
    bytes    bytea NOT NULL,
    PRIMARY KEY (item, position)
);
-- Files are compressed already, or small.
ALTER TABLE context_chunks ALTER COLUMN bytes SET STORAGE EXTERNAL;
