//! Invitations, and what a person proves who they are with.

macro_rules! invitation_columns {
    () => {
        "i.id, w.id, i.user_id, i.role, i.narrowed_to, i.inviter_kind, i.inviter_id, i.inviter_membership, i.created_at, \
         i.sent_at, i.expires_at"
    };
}

statements! {
    /// A new invitation.
    INSERT_INVITATION = "INSERT INTO invitations (id, workspace, user_id, digest, role, narrowed_to, inviter_kind, \
                         inviter_id, inviter_membership, created_at, sent_at, expires_at) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    /// A new link for an invitation.
    RESEND = "UPDATE invitations SET digest = $2, inviter_kind = $3, inviter_id = $4, inviter_membership = $5, \
              sent_at = $6, expires_at = $7 WHERE id = $1";
    /// An invitation is accepted, or taken back.
    DELETE_INVITATION = "DELETE FROM invitations WHERE id = $1";
    /// All invitations of a person.
    DELETE_INVITATIONS_OF = "DELETE FROM invitations WHERE user_id = $1";
    /// An invitation of a workspace.
    INVITATION = concat!(
        "SELECT ", invitation_columns!(), " FROM invitations i JOIN workspaces w ON w.number = i.workspace \
         WHERE i.id = $1 AND w.id = $2"
    );
    /// The invitation that a token belongs to.
    INVITATION_BY_DIGEST = concat!(
        "SELECT ", invitation_columns!(), " FROM invitations i JOIN workspaces w ON w.number = i.workspace \
         WHERE i.digest = $1"
    );
    /// The invitation of a person to a workspace.
    INVITATION_OF = concat!(
        "SELECT ", invitation_columns!(), " FROM invitations i JOIN workspaces w ON w.number = i.workspace \
         WHERE i.workspace = $1 AND i.user_id = $2"
    );
    /// A page of the invitations of a workspace.
    INVITATIONS = concat!(
        "SELECT ", invitation_columns!(), " FROM workspaces w JOIN invitations i \
         ON i.workspace = w.number WHERE w.id = $1 AND i.id > $2 ORDER BY i.id LIMIT $3"
    );
    /// How many invitations a workspace has.
    COUNT_INVITATIONS = "SELECT count(*) FROM invitations WHERE workspace = $1";
    /// Invitations whose link ended long ago.
    STALE_INVITATIONS = "SELECT id, user_id FROM invitations WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2";
    /// Whether nobody can sign in to an account, and nothing refers to it.
    IS_UNUSED = "SELECT 1 FROM users WHERE id = $1 AND password_hash IS NULL \
                 AND NOT EXISTS (SELECT 1 FROM memberships WHERE principal_kind = 0 AND principal_id = $1) \
                 AND NOT EXISTS (SELECT 1 FROM invitations WHERE user_id = $1) \
                 AND NOT EXISTS (SELECT 1 FROM sessions WHERE user_id = $1)";

    /// A password is set.
    SET_PASSWORD = "UPDATE users SET password_hash = $2 WHERE id = $1 AND sealed IS NOT NULL";
    /// A link with which a password is set.
    PUT_RECOVERY = "INSERT INTO recoveries (user_id, digest, expires_at) VALUES ($1, $2, $3) \
                    ON CONFLICT (user_id) DO UPDATE SET digest = excluded.digest, expires_at = excluded.expires_at";
    /// Whose password a link sets.
    RECOVERY_BY_DIGEST = "SELECT user_id, expires_at FROM recoveries WHERE digest = $1";
    /// No link sets the password any more.
    DELETE_RECOVERY = "DELETE FROM recoveries WHERE user_id = $1";

    /// A second factor that is not confirmed.
    PUT_FACTOR = "INSERT INTO second_factors (user_id, sealed, created_at, enabled_at, last_step) \
                  VALUES ($1, $2, $3, NULL, 0) ON CONFLICT (user_id) DO UPDATE SET sealed = excluded.sealed, \
                  created_at = excluded.created_at, enabled_at = NULL, last_step = 0";
    /// A second factor, with its person's data key.
    FACTOR = "SELECT f.sealed, k.kek, k.wrapped, f.created_at, f.enabled_at, f.last_step, \
              (SELECT count(*) FROM recovery_codes c WHERE c.user_id = f.user_id) \
              FROM second_factors f JOIN data_keys k ON k.kind = 0 AND k.owner = f.user_id WHERE f.user_id = $1";
    /// When a second factor was enabled, and its last step.
    FACTOR_STATE = "SELECT enabled_at, last_step FROM second_factors WHERE user_id = $1";
    /// A second factor counts, or was used.
    UPDATE_FACTOR = "UPDATE second_factors SET enabled_at = $2, last_step = $3 WHERE user_id = $1";
    /// No second factor any more.
    DELETE_FACTOR = "DELETE FROM second_factors WHERE user_id = $1";
    /// A recovery code.
    INSERT_CODE = "INSERT INTO recovery_codes (user_id, digest) VALUES ($1, $2)";
    /// Whether a recovery code is left.
    CODE = "SELECT 1 FROM recovery_codes WHERE user_id = $1 AND digest = $2";
    /// A recovery code is used up.
    DELETE_CODE = "DELETE FROM recovery_codes WHERE user_id = $1 AND digest = $2";
    /// All recovery codes.
    DELETE_CODES = "DELETE FROM recovery_codes WHERE user_id = $1";
    /// The user of a session proved again who they are.
    REAUTHENTICATED = "UPDATE sessions SET authenticated_at = $3 WHERE id = $1 AND user_id = $2";
}
