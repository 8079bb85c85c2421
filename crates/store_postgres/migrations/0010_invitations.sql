-- Invitations that wait. `user_id` names a person, whose account is made with the first invitation: rows go when the person
-- is erased, joins, or is not invited any more.
CREATE TABLE invitations (
    id         bytea PRIMARY KEY,
    workspace  bigint NOT NULL REFERENCES workspaces (number),
    user_id    bytea NOT NULL REFERENCES users (id),
    -- SHA-256 of the token.
    digest     bytea NOT NULL UNIQUE,
    role       bigint NOT NULL,
    narrowed_to bytea,
    inviter_kind bigint NOT NULL,
    inviter_id bytea NOT NULL,
    inviter_membership bigint NOT NULL,
    created_at bigint NOT NULL,
    sent_at    bigint NOT NULL,
    expires_at bigint NOT NULL
);
CREATE UNIQUE INDEX invitations_person ON invitations (workspace, user_id);
CREATE INDEX invitations_page ON invitations (workspace, id);
CREATE INDEX invitations_user ON invitations (user_id);
CREATE INDEX invitations_end ON invitations (expires_at);

-- Links with which a password is set, one for each person at most. Rows go when the person is erased.
CREATE TABLE recoveries (
    user_id    bytea PRIMARY KEY REFERENCES users (id),
    -- SHA-256 of the token.
    digest     bytea NOT NULL UNIQUE,
    expires_at bigint NOT NULL
);

-- Second factors. The secret is sealed under the person's data key; rows go when the person is erased.
CREATE TABLE second_factors (
    user_id    bytea PRIMARY KEY REFERENCES users (id),
    sealed     bytea NOT NULL,
    created_at bigint NOT NULL,
    enabled_at bigint,
    last_step  bigint NOT NULL
);

-- Recovery codes that are left, as SHA-256. Rows go when the person is erased.
CREATE TABLE recovery_codes (
    user_id bytea NOT NULL REFERENCES users (id),
    digest  bytea NOT NULL,
    PRIMARY KEY (user_id, digest)
);
