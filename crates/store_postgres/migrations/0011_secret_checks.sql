-- What shows that a node has the secrets of the others, without telling them: of each pepper version a digest of its 256
-- random bits, of the audit signing key the public half. Hexadecimal. The first node that has one notes it.
CREATE TABLE secret_checks (
    name  text COLLATE "C" PRIMARY KEY,
    value text COLLATE "C" NOT NULL
);
