//! Whom OpenID Connect providers know.

statements! {
    /// The user that an identity is.
    USER_OF_IDENTITY = "SELECT user_id FROM identities WHERE identity = $1";
    /// An identity is a user from now on.
    INSERT_IDENTITY = "INSERT INTO identities (identity, user_id, created_at) VALUES ($1, $2, $3)";
    /// No identity is this user any more.
    FORGET_IDENTITIES = "DELETE FROM identities WHERE user_id = $1";
}
