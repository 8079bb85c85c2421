//! Accounts' sessions, and attempts to sign in.

macro_rules! session_columns {
    () => {
        "s.id, s.user_id, s.method, s.agent, s.created_at, s.last_seen_at, s.authenticated_at"
    };
}

statements! {
    /// Whether there is a user who was not erased.
    LIVING_USER = "SELECT created_at FROM users WHERE id = $1 AND sealed IS NOT NULL";
    /// Whether somebody signs in with an address.
    EMAIL_TAKEN = "SELECT created_at FROM users WHERE email_index = $1";

    /// A new session.
    INSERT_SESSION = "INSERT INTO sessions (id, user_id, digest, method, agent, created_at, last_seen_at, \
                      authenticated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    /// The session that a token belongs to.
    SESSION_BY_DIGEST = concat!("SELECT ", session_columns!(), " FROM sessions s WHERE s.digest = $1");
    /// The sessions of a user, newest first.
    SESSIONS_OF = concat!(
        "SELECT ", session_columns!(), " FROM sessions s WHERE s.user_id = $1 ORDER BY s.created_at DESC"
    );
    /// A session was used.
    TOUCH_SESSION = "UPDATE sessions SET last_seen_at = $3 WHERE id = $1 AND user_id = $2 AND last_seen_at < $3";
    /// All sessions of a user end.
    DELETE_SESSIONS_OF = "DELETE FROM sessions WHERE user_id = $1";
    /// A session ends.
    DELETE_SESSION = "DELETE FROM sessions WHERE id = $1";

    /// What is remembered of a subject.
    ATTEMPTS = "SELECT failures, last_at, locked_until FROM attempts WHERE subject = $1";
    /// What is remembered of a subject from now on.
    PUT_ATTEMPTS = "INSERT INTO attempts (subject, failures, last_at, locked_until) VALUES ($1, $2, $3, $4) \
                    ON CONFLICT (subject) DO UPDATE SET failures = excluded.failures, last_at = excluded.last_at, \
                    locked_until = excluded.locked_until";
    /// A subject is forgotten.
    FORGET_ATTEMPTS = "DELETE FROM attempts WHERE subject = $1";
    /// Subjects that were forgotten anyway.
    PRUNE_ATTEMPTS = "DELETE FROM attempts WHERE ctid = ANY(ARRAY(SELECT a.ctid FROM attempts a \
                      WHERE a.last_at <= $1 ORDER BY a.last_at LIMIT $2))";
}
