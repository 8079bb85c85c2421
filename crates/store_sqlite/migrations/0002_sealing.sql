-- Personal data is sealed from here on. What an older program wrote lies in `unsealed_*` until the next start has sealed
-- it, piece by piece; then these tables go.

-- Data keys, wrapped. Kinds: 0 a person's (`owner` is a user's id; the row goes when the person is erased), 1 the
-- installation's on one day (`owner` is the day since the Unix epoch, 4 bytes; the row goes when retention has passed),
-- 2 the installation's for look-ups (`owner` is empty).
CREATE TABLE data_keys (
    kind    INTEGER NOT NULL,
    owner   BLOB NOT NULL,
    -- The version of the key-encryption key.
    kek     INTEGER NOT NULL,
    wrapped BLOB NOT NULL,
    PRIMARY KEY (kind, owner)
) STRICT, WITHOUT ROWID;
CREATE INDEX data_keys_kek ON data_keys (kek);

CREATE TABLE unsealed_users (
    id    BLOB PRIMARY KEY NOT NULL,
    email TEXT NOT NULL,
    name  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO unsealed_users (id, email, name) SELECT id, email, name FROM users;
DROP INDEX users_email;
ALTER TABLE users DROP COLUMN email;
ALTER TABLE users DROP COLUMN name;
-- What a user is found by: a keyed digest of the e-mail address. NULL when the person was erased.
ALTER TABLE users ADD COLUMN email_index BLOB;
-- E-mail address and name, under the person's data key. NULL when the person was erased.
ALTER TABLE users ADD COLUMN sealed BLOB;
CREATE UNIQUE INDEX users_email_index ON users (email_index);

ALTER TABLE audit_personal RENAME TO unsealed_audit_personal;
-- Apart from the chain, so that it can be erased: salt, address and user agent under a data key.
CREATE TABLE audit_personal (
    sequence  INTEGER PRIMARY KEY NOT NULL,
    at        INTEGER NOT NULL,
    key_kind  INTEGER NOT NULL,
    key_owner BLOB NOT NULL,
    sealed    BLOB NOT NULL
) STRICT;
