-- Whom OpenID Connect providers know. `identity` is a keyed digest of issuer and subject, which tells neither. `user_id` names
-- a person: the row goes when they are erased.
CREATE TABLE identities (
    identity   BLOB PRIMARY KEY NOT NULL,
    user_id    BLOB NOT NULL REFERENCES users (id),
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX identities_user ON identities (user_id);
