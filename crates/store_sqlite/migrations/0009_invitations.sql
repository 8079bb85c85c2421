-- Invitations that wait. `user_id` names a person, whose account is made with the first invitation: rows go when the person
-- is erased, joins, or is not invited any more.
CREATE TABLE invitations (
    id         BLOB PRIMARY KEY NOT NULL,
    workspace  INTEGER NOT NULL REFERENCES workspaces (number),
    user_id    BLOB NOT NULL REFERENCES users (id),
    -- SHA-256 of the token.
    digest     BLOB NOT NULL UNIQUE,
    role       INTEGER NOT NULL,
    narrowed_to BLOB,
    inviter_kind INTEGER NOT NULL,
    inviter_id BLOB NOT NULL,
    inviter_membership INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    sent_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX invitations_person ON invitations (workspace, user_id);
CREATE INDEX invitations_page ON invitations (workspace, id);
CREATE INDEX invitations_user ON invitations (user_id);
CREATE INDEX invitations_end ON invitations (expires_at);

-- Links with which a password is set, one for each person at most. Rows go when the person is erased.
CREATE TABLE recoveries (
    user_id    BLOB PRIMARY KEY NOT NULL REFERENCES users (id),
    -- SHA-256 of the token.
    digest     BLOB NOT NULL UNIQUE,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Second factors. The secret is sealed under the person's data key; rows go when the person is erased.
CREATE TABLE second_factors (
    user_id    BLOB PRIMARY KEY NOT NULL REFERENCES users (id),
    sealed     BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    enabled_at INTEGER,
    last_step  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Recovery codes that are left, as SHA-256. Rows go when the person is erased.
CREATE TABLE recovery_codes (
    user_id BLOB NOT NULL REFERENCES users (id),
    digest  BLOB NOT NULL,
    PRIMARY KEY (user_id, digest)
) STRICT, WITHOUT ROWID;
