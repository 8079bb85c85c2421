-- Times are Unix milliseconds, minutes are Unix minutes, ids are their 16 bytes.

CREATE TABLE plans (
    name             TEXT PRIMARY KEY NOT NULL,
    description      TEXT NOT NULL,
    key_limits       TEXT NOT NULL,
    workspace_limits TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE permissions (
    bit         INTEGER PRIMARY KEY NOT NULL,
    name        TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL
) STRICT;

CREATE TABLE workspaces (
    number       INTEGER PRIMARY KEY NOT NULL,
    id           BLOB NOT NULL UNIQUE,
    slug         TEXT NOT NULL UNIQUE,
    name         TEXT NOT NULL,
    plan         TEXT NOT NULL REFERENCES plans (name),
    policy       TEXT NOT NULL,
    suspended_at INTEGER,
    created_at   INTEGER NOT NULL,
    -- Keys that are not deleted. Written by the writer at the end of each transaction.
    key_count    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX workspaces_plan ON workspaces (plan);

CREATE TABLE users (
    id            BLOB PRIMARY KEY NOT NULL,
    email         TEXT NOT NULL,
    name          TEXT NOT NULL,
    password_hash TEXT,
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX users_email ON users (email);

-- A member is a user (0), a service account (1) or an operator (2), as in keys.creator_kind.
CREATE TABLE memberships (
    number         INTEGER PRIMARY KEY NOT NULL,
    workspace      INTEGER NOT NULL REFERENCES workspaces (number),
    principal_kind INTEGER NOT NULL,
    principal_id   BLOB NOT NULL,
    role           INTEGER NOT NULL,
    narrowed_to    BLOB,
    created_at     INTEGER NOT NULL,
    ended_at       INTEGER
) STRICT;
CREATE INDEX memberships_workspace ON memberships (workspace) WHERE ended_at IS NULL;

CREATE TABLE operators (
    number         INTEGER PRIMARY KEY NOT NULL,
    id             BLOB NOT NULL UNIQUE,
    name           TEXT NOT NULL,
    secret_id      BLOB NOT NULL,
    locator        TEXT NOT NULL UNIQUE,
    hint           TEXT NOT NULL,
    pepper         INTEGER NOT NULL,
    digest         BLOB NOT NULL,
    created_at     INTEGER NOT NULL,
    revoked_at     INTEGER
) STRICT;

-- Rows of deleted keys stay: numbers are never used again, and usage and audit go on naming them.
CREATE TABLE keys (
    number         INTEGER PRIMARY KEY NOT NULL,
    id             BLOB NOT NULL UNIQUE,
    workspace      INTEGER NOT NULL REFERENCES workspaces (number),
    environment    INTEGER NOT NULL,
    -- The set's 32 bytes, little-endian words, without the zeros at the end.
    permissions    BLOB NOT NULL,
    creator_kind   INTEGER NOT NULL,
    creator_id     BLOB NOT NULL,
    membership     INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    expires_at     INTEGER,
    disabled_at    INTEGER,
    revoked_at     INTEGER,
    deleted_at     INTEGER,
    limits         TEXT,
    networks       TEXT,
    external_id    TEXT,
    metadata       TEXT,
    name           TEXT NOT NULL,
    purpose        TEXT,
    revoked_reason TEXT
) STRICT;
CREATE INDEX keys_workspace ON keys (workspace) WHERE deleted_at IS NULL;
CREATE INDEX keys_external_id ON keys (workspace, external_id)
    WHERE external_id IS NOT NULL AND deleted_at IS NULL;

CREATE TABLE secrets (
    key        INTEGER NOT NULL REFERENCES keys (number),
    ordinal    INTEGER NOT NULL,
    id         BLOB NOT NULL,
    locator    TEXT NOT NULL,
    pepper     INTEGER NOT NULL,
    digest     BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    retired_at INTEGER,
    hint       TEXT NOT NULL,
    PRIMARY KEY (key, ordinal)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX secrets_locator ON secrets (locator);

CREATE TABLE incidents (
    number    INTEGER PRIMARY KEY NOT NULL,
    id        BLOB NOT NULL UNIQUE,
    workspace INTEGER NOT NULL REFERENCES workspaces (number),
    key       BLOB NOT NULL,
    reason    TEXT,
    opened_at INTEGER NOT NULL
) STRICT;
CREATE INDEX incidents_workspace ON incidents (workspace);

-- Which entity changed; what it is now is read from its own table.
CREATE TABLE changes (
    sequence    INTEGER PRIMARY KEY NOT NULL,
    kind        INTEGER NOT NULL,
    restricting INTEGER NOT NULL,
    number      INTEGER,
    name        TEXT
) STRICT;

CREATE TABLE audit (
    sequence  INTEGER PRIMARY KEY NOT NULL,
    hash      BLOB NOT NULL,
    -- The workspace's number; NULL for the installation.
    workspace INTEGER,
    action    TEXT NOT NULL,
    target    TEXT NOT NULL,
    body      BLOB NOT NULL
) STRICT;
CREATE INDEX audit_workspace ON audit (workspace) WHERE workspace IS NOT NULL;
CREATE INDEX audit_target ON audit (target);

-- Apart from the chain, so that it can be erased.
CREATE TABLE audit_personal (
    sequence   INTEGER PRIMARY KEY NOT NULL,
    salt       BLOB NOT NULL,
    address    BLOB,
    user_agent TEXT
) STRICT;

CREATE TABLE checkpoints (
    sequence   INTEGER PRIMARY KEY NOT NULL,
    hash       BLOB NOT NULL,
    at         INTEGER NOT NULL,
    public_key BLOB NOT NULL,
    signature  BLOB NOT NULL
) STRICT;

CREATE TABLE idempotency (
    actor       TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    target      TEXT NOT NULL,
    hint        TEXT,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (actor, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_created_at ON idempotency (created_at);

-- How many rows of each batch were added, in their canonical order; NULL: all.
CREATE TABLE usage_batches (
    incarnation BLOB NOT NULL,
    batch       INTEGER NOT NULL,
    rows_added  INTEGER,
    PRIMARY KEY (incarnation, batch)
) STRICT, WITHOUT ROWID;

-- Buckets are numbered from the Unix epoch: minutes, hours, days.
CREATE TABLE usage_minute (
    key    INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    code   INTEGER NOT NULL,
    count  INTEGER NOT NULL,
    cost   INTEGER NOT NULL,
    PRIMARY KEY (key, bucket, code)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_minute_bucket ON usage_minute (bucket);

CREATE TABLE usage_hour (
    key    INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    code   INTEGER NOT NULL,
    count  INTEGER NOT NULL,
    cost   INTEGER NOT NULL,
    PRIMARY KEY (key, bucket, code)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_day (
    key    INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    code   INTEGER NOT NULL,
    count  INTEGER NOT NULL,
    cost   INTEGER NOT NULL,
    PRIMARY KEY (key, bucket, code)
) STRICT, WITHOUT ROWID;

-- The same, summed up over the keys of a workspace.
CREATE TABLE usage_workspace_minute (
    workspace INTEGER NOT NULL,
    bucket    INTEGER NOT NULL,
    code      INTEGER NOT NULL,
    count     INTEGER NOT NULL,
    cost      INTEGER NOT NULL,
    PRIMARY KEY (workspace, bucket, code)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_workspace_hour (
    workspace INTEGER NOT NULL,
    bucket    INTEGER NOT NULL,
    code      INTEGER NOT NULL,
    count     INTEGER NOT NULL,
    cost      INTEGER NOT NULL,
    PRIMARY KEY (workspace, bucket, code)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_workspace_day (
    workspace INTEGER NOT NULL,
    bucket    INTEGER NOT NULL,
    code      INTEGER NOT NULL,
    count     INTEGER NOT NULL,
    cost      INTEGER NOT NULL,
    PRIMARY KEY (workspace, bucket, code)
) STRICT, WITHOUT ROWID;

CREATE TABLE last_used (
    key            INTEGER NOT NULL,
    secret_ordinal INTEGER NOT NULL,
    at             INTEGER NOT NULL,
    address        BLOB,
    agent          INTEGER NOT NULL,
    PRIMARY KEY (key, secret_ordinal)
) STRICT, WITHOUT ROWID;

-- An unknown address is an empty one.
CREATE TABLE ledger (
    key            INTEGER NOT NULL,
    minute         INTEGER NOT NULL,
    secret_ordinal INTEGER NOT NULL,
    address        BLOB NOT NULL,
    route          TEXT NOT NULL,
    code           INTEGER NOT NULL,
    agent          INTEGER NOT NULL,
    count          INTEGER NOT NULL,
    PRIMARY KEY (key, minute, secret_ordinal, address, route, code, agent)
) STRICT, WITHOUT ROWID;

-- One row that `check_writable` touches.
CREATE TABLE probe (
    number INTEGER PRIMARY KEY NOT NULL,
    writes INTEGER NOT NULL
) STRICT;
INSERT INTO probe (number, writes) VALUES (1, 0);
