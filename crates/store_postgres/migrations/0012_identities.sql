-- Whom OpenID Connect providers know. `identity` is a keyed digest of issuer and subject, which tells neither. `user_id` names
-- a person: the row goes when they are erased.
CREATE TABLE identities (
    identity   bytea PRIMARY KEY,
    user_id    bytea NOT NULL REFERENCES users (id),
    created_at bigint NOT NULL
);
CREATE INDEX identities_user ON identities (user_id);
