-- What people chose: `person` is a user's id, and both go when the person is erased.

-- Of what these people, and keys that they created, do, addresses and user agents are not kept.
CREATE TABLE opt_outs (
    person bytea PRIMARY KEY,
    at     bigint NOT NULL
);

-- What a person consented to, in the operator's words. No two run for one name.
CREATE TABLE consents (
    person       bytea NOT NULL,
    number       bigint NOT NULL,
    name         text COLLATE "C" NOT NULL,
    version      text COLLATE "C" NOT NULL,
    given_at     bigint NOT NULL,
    withdrawn_at bigint,
    PRIMARY KEY (person, number)
);

-- Retention finds what is old.
CREATE INDEX audit_personal_at ON audit_personal (at);
