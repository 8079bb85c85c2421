-- The end of a workspace: deleted, restorable until purge_at, and then an empty row under a name that is no slug, so that
-- its number is never used again and the audit trail goes on naming it.
ALTER TABLE workspaces ADD COLUMN deleted_at bigint;
ALTER TABLE workspaces ADD COLUMN purge_at bigint;
ALTER TABLE workspaces ADD COLUMN purged_at bigint;
CREATE INDEX workspaces_purge ON workspaces (purge_at) WHERE purge_at IS NOT NULL AND purged_at IS NULL;

-- Slugs that workspaces had before: they go on leading to them.
CREATE TABLE workspace_slugs (
    slug      text COLLATE "C" PRIMARY KEY,
    workspace bigint NOT NULL REFERENCES workspaces (number)
);
CREATE INDEX workspace_slugs_workspace ON workspace_slugs (workspace);

-- When the key was last switched on again.
ALTER TABLE keys ADD COLUMN enabled_at bigint;

-- Where a key is used from: the network (IPv4 /24 as 3 bytes, IPv6 /48 as 6), a bounded number per key.
CREATE TABLE key_origins (
    key      bigint NOT NULL,
    network  bytea NOT NULL,
    first_at bigint NOT NULL,
    last_at  bigint NOT NULL,
    accepted bigint NOT NULL,
    refused  bigint NOT NULL,
    PRIMARY KEY (key, network)
);
