-- Only service accounts are switched off.
ALTER TABLE memberships ADD COLUMN disabled_at bigint;
-- A principal is a member once at a time; memberships that have ended stay, for the keys that name them.
CREATE UNIQUE INDEX memberships_member ON memberships (workspace, principal_kind, principal_id) WHERE ended_at IS NULL;
CREATE INDEX memberships_principal ON memberships (principal_kind, principal_id, workspace);

-- Not people: the e-mail is an identity of that form. The creator is named by id, as in keys, and may be a person whose
-- data was erased since.
CREATE TABLE service_accounts (
    membership      bigint PRIMARY KEY REFERENCES memberships (number),
    id              bytea NOT NULL UNIQUE,
    workspace       bigint NOT NULL REFERENCES workspaces (number),
    name            text COLLATE "C" NOT NULL,
    email           text COLLATE "C" NOT NULL,
    purpose         text COLLATE "C",
    owning_team     text COLLATE "C",
    created_by_kind bigint NOT NULL,
    created_by_id   bytea NOT NULL,
    created_at      bigint NOT NULL,
    deleted_at      bigint
);
CREATE INDEX service_accounts_workspace ON service_accounts (workspace, membership);
CREATE UNIQUE INDEX service_accounts_email ON service_accounts (workspace, email) WHERE deleted_at IS NULL;

-- The keys of a member. The operator's, by far the most, are in no such list.
CREATE INDEX keys_membership ON keys (membership) WHERE membership > 0 AND deleted_at IS NULL;
