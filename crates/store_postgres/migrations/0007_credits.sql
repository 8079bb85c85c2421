-- Prepaid balances. A unit that was granted is in the balance, held by a node, reserved, or spent.
CREATE TABLE credit_accounts (
    id             bytea PRIMARY KEY NOT NULL,
    workspace      bytea NOT NULL REFERENCES workspaces (id),
    -- 'k:' and the id of a key, or 'x:' and an external_id: an operator's own name for a customer.
    subject        text COLLATE "C" NOT NULL,
    balance        bigint NOT NULL CHECK (balance >= 0),
    held           bigint NOT NULL CHECK (held >= 0),
    reserved       bigint NOT NULL CHECK (reserved >= 0),
    spent          bigint NOT NULL CHECK (spent >= 0),
    granted        bigint NOT NULL,
    refill_amount  bigint,
    refill_seconds bigint,
    refill_cap     bigint,
    refill_due     bigint,
    created_at     bigint NOT NULL,
    UNIQUE (workspace, subject),
    CHECK (granted = balance + held + reserved + spent)
) WITH (fillfactor = 50);
CREATE INDEX credit_accounts_workspace ON credit_accounts (workspace, id);
CREATE INDEX credit_accounts_due ON credit_accounts (refill_due) WHERE refill_due IS NOT NULL;

-- What nodes have drawn and not settled.
CREATE TABLE credit_slices (
    id       bytea PRIMARY KEY NOT NULL,
    account  bytea NOT NULL REFERENCES credit_accounts (id),
    units    bigint NOT NULL,
    drawn_at bigint NOT NULL
);
CREATE INDEX credit_slices_age ON credit_slices (drawn_at);

-- Credits set aside. State 0: open, 1: committed, 2: refunded, 3: expired.
CREATE TABLE credit_reservations (
    id         bytea PRIMARY KEY NOT NULL,
    account    bytea NOT NULL REFERENCES credit_accounts (id),
    amount     bigint NOT NULL,
    state      bigint NOT NULL,
    spent      bigint NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    settled_at bigint
);
CREATE INDEX credit_reservations_expiry ON credit_reservations (expires_at) WHERE settled_at IS NULL;
CREATE INDEX credit_reservations_age ON credit_reservations (settled_at) WHERE settled_at IS NOT NULL;
