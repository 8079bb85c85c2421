-- What people chose: `person` is a user's id, and both go when the person is erased.

-- Of what these people, and keys that they created, do, addresses and user agents are not kept.
CREATE TABLE opt_outs (
    person BLOB PRIMARY KEY NOT NULL,
    at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What a person consented to, in the operator's words. No two run for one name.
CREATE TABLE consents (
    person       BLOB NOT NULL,
    number       INTEGER NOT NULL,
    name         TEXT NOT NULL,
    version      TEXT NOT NULL,
    given_at     INTEGER NOT NULL,
    withdrawn_at INTEGER,
    PRIMARY KEY (person, number)
) STRICT, WITHOUT ROWID;

-- Retention finds what is old.
CREATE INDEX audit_personal_at ON audit_personal (at);
