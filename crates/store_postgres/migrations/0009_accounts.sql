-- Who is signed in. `user_id` names a person: sessions go when the person is erased. A session that ended has no row.
CREATE TABLE sessions (
    id               bytea PRIMARY KEY,
    user_id          bytea NOT NULL REFERENCES users (id),
    -- SHA-256 of the token.
    digest           bytea NOT NULL UNIQUE,
    method           bigint NOT NULL,
    agent            text COLLATE "C" NOT NULL,
    created_at       bigint NOT NULL,
    last_seen_at     bigint NOT NULL,
    authenticated_at bigint NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id, created_at);

-- Failed attempts in a row by keyed digests of accounts and addresses, which tell neither.
CREATE TABLE attempts (
    subject      bytea PRIMARY KEY,
    failures     bigint NOT NULL,
    last_at      bigint NOT NULL,
    locked_until bigint NOT NULL
);
CREATE INDEX attempts_last_at ON attempts (last_at);
