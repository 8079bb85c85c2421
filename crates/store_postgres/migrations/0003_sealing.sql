-- Personal data is sealed from here on. What an older program wrote lies in `unsealed_*` until the next start has sealed
-- it, piece by piece; then these tables go.

-- Data keys, wrapped. Kinds: 0 a person's (`owner` is a user's id; the row goes when the person is erased), 1 the
-- installation's on one day (`owner` is the day since the Unix epoch, 4 bytes; the row goes when retention has passed),
-- 2 the installation's for look-ups (`owner` is empty).
CREATE TABLE data_keys (
    kind    bigint NOT NULL,
    owner   bytea NOT NULL,
    -- The version of the key-encryption key.
    kek     bigint NOT NULL,
    wrapped bytea NOT NULL,
    PRIMARY KEY (kind, owner)
);
CREATE INDEX data_keys_kek ON data_keys (kek);

CREATE TABLE unsealed_users (
    id    bytea PRIMARY KEY,
    email text COLLATE "C" NOT NULL,
    name  text COLLATE "C" NOT NULL
);
INSERT INTO unsealed_users (id, email, name) SELECT id, email, name FROM users;
DROP INDEX users_email;
ALTER TABLE users DROP COLUMN email;
ALTER TABLE users DROP COLUMN name;
-- What a user is found by: a keyed digest of the e-mail address. NULL when the person was erased.
ALTER TABLE users ADD COLUMN email_index bytea;
-- E-mail address and name, under the person's data key. NULL when the person was erased.
ALTER TABLE users ADD COLUMN sealed bytea;
CREATE UNIQUE INDEX users_email_index ON users (email_index);

ALTER TABLE audit_personal RENAME TO unsealed_audit_personal;
ALTER INDEX audit_personal_pkey RENAME TO unsealed_audit_personal_pkey;
-- Apart from the chain, so that it can be erased: salt, address and user agent under a data key.
CREATE TABLE audit_personal (
    sequence  bigint PRIMARY KEY,
    at        bigint NOT NULL,
    key_kind  bigint NOT NULL,
    key_owner bytea NOT NULL,
    sealed    bytea NOT NULL
);
