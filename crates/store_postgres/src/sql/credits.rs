//! Credit accounts, slices and reservations.
//!
//! Draws and settlements are single statements, which nodes send without the order of all writers. The arithmetic is that of
//! `domain::credit::CreditAccount`; the conformance suite compares both. Each locks one account, so they never wait for
//! each other in a circle; commands lock accounts, too, before they decide.

macro_rules! account_columns {
    () => {
        "id, workspace, subject, balance, held, reserved, spent, granted, refill_amount, refill_seconds, refill_cap, \
         refill_due, created_at"
    };
}

macro_rules! reservation_columns {
    () => {
        "id, account, amount, state, spent, created_at, expires_at, settled_at"
    };
}

statements! {
    /// An account by id, for a change.
    ACCOUNT = concat!("SELECT ", account_columns!(), " FROM credit_accounts WHERE id = $1 FOR UPDATE");
    /// The account of a subject, for a change.
    LOCK_ACCOUNT_OF = concat!(
        "SELECT ", account_columns!(), " FROM credit_accounts WHERE workspace = $1 AND subject = $2 FOR UPDATE"
    );
    /// The account of a subject.
    ACCOUNT_OF = concat!(
        "SELECT ", account_columns!(), " FROM credit_accounts WHERE workspace = $1 AND subject = $2"
    );
    /// A page of a workspace's accounts.
    ACCOUNTS = concat!(
        "SELECT ", account_columns!(), " FROM credit_accounts WHERE workspace = $1 AND id > $2 ORDER BY id LIMIT $3"
    );
    /// Accounts whose refill is due.
    ACCOUNTS_DUE = concat!(
        "SELECT ", account_columns!(), " FROM credit_accounts WHERE refill_due <= $1 ORDER BY refill_due LIMIT $2 FOR UPDATE"
    );
    /// When the next refill, reservation, lost slice or old reservation is due; the least passes over those that are none.
    NEXT_DUE = "SELECT least(\
                (SELECT refill_due FROM credit_accounts WHERE refill_due >= 0 ORDER BY refill_due LIMIT 1), \
                (SELECT expires_at FROM credit_reservations WHERE settled_at IS NULL AND expires_at >= 0 \
                 ORDER BY expires_at LIMIT 1), \
                (SELECT drawn_at FROM credit_slices WHERE drawn_at >= 0 ORDER BY drawn_at LIMIT 1) + $1::bigint, \
                (SELECT settled_at FROM credit_reservations WHERE settled_at >= 0 ORDER BY settled_at LIMIT 1) \
                + $2::bigint)";
    /// A new account.
    INSERT_ACCOUNT = concat!(
        "INSERT INTO credit_accounts (", account_columns!(), ") \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
    );
    /// Another state of an account, which is locked.
    UPDATE_ACCOUNT = "UPDATE credit_accounts SET balance = $2, held = $3, reserved = $4, spent = $5, granted = $6, \
                      refill_amount = $7, refill_seconds = $8, refill_cap = $9, refill_due = $10 WHERE id = $1";
    /// A slice out of the balance of the first of the subjects that has an account. All amounts are those that the lock found:
    /// an `UPDATE` first forms its row from what the statement's snapshot shows, and the table's conditions are checked on that
    /// row, too, before it is known that there is a newer one.
    DRAW = "\
WITH own AS MATERIALIZED (
    SELECT id, balance, held, reserved, spent, granted FROM credit_accounts
    WHERE workspace = $2 AND subject = ANY ($3::text[]) ORDER BY subject LIMIT 1 FOR UPDATE
), share AS MATERIALIZED (
    SELECT own.*, CASE WHEN balance < $4::bigint THEN 0
        ELSE greatest($4::bigint, least($5::bigint, balance / (2 * $6::bigint))) END AS units
    FROM own
), drawn AS (
    UPDATE credit_accounts AS account SET balance = share.balance - share.units, held = share.held + share.units,
        reserved = share.reserved, spent = share.spent, granted = share.granted
    FROM share WHERE account.id = share.id AND share.units > 0
), kept AS (
    INSERT INTO credit_slices (id, account, units, drawn_at) SELECT $1::bytea, id, units, $7::bigint FROM share WHERE units > 0
)
SELECT id, units, balance - units FROM share";
    /// The end of a slice.
    SETTLE = "\
WITH slice AS (
    DELETE FROM credit_slices WHERE id = $1 RETURNING account, units, least($2::bigint, units) AS spent
)
UPDATE credit_accounts AS account SET balance = account.balance + slice.units - slice.spent,
    held = account.held - slice.units, spent = account.spent + slice.spent
FROM slice WHERE account.id = slice.account";
    /// Slices that nobody settled.
    SLICES_LOST = "SELECT id, account FROM credit_slices WHERE drawn_at <= $1 ORDER BY drawn_at LIMIT $2";
    /// A reservation.
    RESERVATION = concat!("SELECT ", reservation_columns!(), " FROM credit_reservations WHERE id = $1");
    /// Reservations whose time has come.
    RESERVATIONS_DUE = concat!(
        "SELECT ", reservation_columns!(), " FROM credit_reservations \
         WHERE settled_at IS NULL AND expires_at <= $1 ORDER BY expires_at LIMIT $2"
    );
    /// A new reservation, or its end.
    PUT_RESERVATION = concat!(
        "INSERT INTO credit_reservations (", reservation_columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, spent = excluded.spent, settled_at = excluded.settled_at"
    );
    /// Reservations that ended long ago.
    OLD_RESERVATIONS = "SELECT id FROM credit_reservations WHERE settled_at IS NOT NULL AND settled_at <= $1 \
                        ORDER BY settled_at LIMIT $2";
    /// Reservations are forgotten.
    DELETE_RESERVATIONS = "DELETE FROM credit_reservations WHERE id = ANY ($1::bytea[])";
}
