-- Prepaid balances. A unit that was granted is in the balance, held by a node, reserved, or spent.
CREATE TABLE credit_accounts (
    id             BLOB PRIMARY KEY NOT NULL,
    workspace      BLOB NOT NULL REFERENCES workspaces (id),
    -- 'k:' and the id of a key, or 'x:' and an external_id: an operator's own name for a customer.
    subject        TEXT NOT NULL,
    balance        INTEGER NOT NULL CHECK (balance >= 0),
    held           INTEGER NOT NULL CHECK (held >= 0),
    reserved       INTEGER NOT NULL CHECK (reserved >= 0),
    spent          INTEGER NOT NULL CHECK (spent >= 0),
    granted        INTEGER NOT NULL,
    refill_amount  INTEGER,
    refill_seconds INTEGER,
    refill_cap     INTEGER,
    refill_due     INTEGER,
    created_at     INTEGER NOT NULL,
    UNIQUE (workspace, subject),
    CHECK (granted = balance + held + reserved + spent)
) STRICT, WITHOUT ROWID;
CREATE INDEX credit_accounts_workspace ON credit_accounts (workspace, id);
CREATE INDEX credit_accounts_due ON credit_accounts (refill_due) WHERE refill_due IS NOT NULL;

-- What nodes have drawn and not settled.
CREATE TABLE credit_slices (
    id       BLOB PRIMARY KEY NOT NULL,
    account  BLOB NOT NULL REFERENCES credit_accounts (id),
    units    INTEGER NOT NULL,
    drawn_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX credit_slices_age ON credit_slices (drawn_at);

-- Credits set aside. State 0: open, 1: committed, 2: refunded, 3: expired.
CREATE TABLE credit_reservations (
    id         BLOB PRIMARY KEY NOT NULL,
    account    BLOB NOT NULL REFERENCES credit_accounts (id),
    amount     INTEGER NOT NULL,
    state      INTEGER NOT NULL,
    spent      INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    settled_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX credit_reservations_expiry ON credit_reservations (expires_at) WHERE settled_at IS NULL;
CREATE INDEX credit_reservations_age ON credit_reservations (settled_at) WHERE settled_at IS NOT NULL;
