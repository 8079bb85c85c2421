-- Who is signed in. `user_id` names a person: sessions go when the person is erased. A session that ended has no row.
CREATE TABLE sessions (
    id               BLOB PRIMARY KEY NOT NULL,
    user_id          BLOB NOT NULL REFERENCES users (id),
    -- SHA-256 of the token.
    digest           BLOB NOT NULL UNIQUE,
    method           INTEGER NOT NULL,
    agent            TEXT NOT NULL,
    created_at       INTEGER NOT NULL,
    last_seen_at     INTEGER NOT NULL,
    authenticated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_user ON sessions (user_id, created_at);

-- Failed attempts in a row by keyed digests of accounts and addresses, which tell neither.
CREATE TABLE attempts (
    subject      BLOB PRIMARY KEY NOT NULL,
    failures     INTEGER NOT NULL,
    last_at      INTEGER NOT NULL,
    locked_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_last_at ON attempts (last_at);
