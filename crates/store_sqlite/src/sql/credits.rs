//! Credit accounts, slices and reservations.

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
    /// An account by id.
    ACCOUNT = concat!("SELECT ", account_columns!(), " FROM credit_accounts WHERE id = ?1");
    /// The account of a subject.
    ACCOUNT_OF = concat!(
        "SELECT ", account_columns!(), " FROM credit_accounts WHERE workspace = ?1 AND subject = ?2"
    );
    /// A page of a workspace's accounts.
    ACCOUNTS = concat!(
        "SELECT ", account_columns!(), " FROM credit_accounts INDEXED BY credit_accounts_workspace \
         WHERE workspace = ?1 AND id > ?2 ORDER BY id LIMIT ?3"
    );
    /// Accounts whose refill is due.
    ACCOUNTS_DUE = concat!(
        "SELECT ", account_columns!(), " FROM credit_accounts INDEXED BY credit_accounts_due \
         WHERE refill_due <= ?1 ORDER BY refill_due LIMIT ?2"
    );
    /// The earliest refill, the earliest end of a reservation, the oldest slice, and the oldest reservation that ended.
    NEXT_DUE = "SELECT \
        (SELECT refill_due FROM credit_accounts INDEXED BY credit_accounts_due WHERE refill_due >= 0 \
         ORDER BY refill_due LIMIT 1), \
        (SELECT expires_at FROM credit_reservations INDEXED BY credit_reservations_expiry \
         WHERE settled_at IS NULL AND expires_at >= 0 ORDER BY expires_at LIMIT 1), \
        (SELECT drawn_at FROM credit_slices WHERE drawn_at >= 0 ORDER BY drawn_at LIMIT 1), \
        (SELECT settled_at FROM credit_reservations WHERE settled_at >= 0 ORDER BY settled_at LIMIT 1)";
    /// A new account, or another state of it.
    PUT_ACCOUNT = concat!(
        "INSERT INTO credit_accounts (", account_columns!(), ") \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) \
         ON CONFLICT (id) DO UPDATE SET balance = excluded.balance, held = excluded.held, reserved = excluded.reserved, \
         spent = excluded.spent, granted = excluded.granted, refill_amount = excluded.refill_amount, \
         refill_seconds = excluded.refill_seconds, refill_cap = excluded.refill_cap, refill_due = excluded.refill_due"
    );
    /// A new slice.
    INSERT_SLICE = "INSERT INTO credit_slices (id, account, units, drawn_at) VALUES (?1, ?2, ?3, ?4)";
    /// A slice.
    SLICE = "SELECT account, units FROM credit_slices WHERE id = ?1";
    /// The end of a slice.
    DELETE_SLICE = "DELETE FROM credit_slices WHERE id = ?1";
    /// Slices that nobody settled.
    SLICES_LOST = "SELECT id, account, units FROM credit_slices WHERE drawn_at <= ?1 ORDER BY drawn_at LIMIT ?2";
    /// A reservation.
    RESERVATION = concat!("SELECT ", reservation_columns!(), " FROM credit_reservations WHERE id = ?1");
    /// Reservations whose time has come.
    RESERVATIONS_DUE = concat!(
        "SELECT ", reservation_columns!(), " FROM credit_reservations INDEXED BY credit_reservations_expiry \
         WHERE settled_at IS NULL AND expires_at <= ?1 ORDER BY expires_at LIMIT ?2"
    );
    /// A new reservation, or its end.
    PUT_RESERVATION = concat!(
        "INSERT INTO credit_reservations (", reservation_columns!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, spent = excluded.spent, settled_at = excluded.settled_at"
    );
    /// Reservations that ended long ago.
    OLD_RESERVATIONS = "SELECT id FROM credit_reservations INDEXED BY credit_reservations_age \
                        WHERE settled_at IS NOT NULL AND settled_at <= ?1 ORDER BY settled_at LIMIT ?2";
    /// A reservation is forgotten.
    DELETE_RESERVATION = "DELETE FROM credit_reservations WHERE id = ?1";
}
