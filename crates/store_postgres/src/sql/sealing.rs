//! Data keys, and what is not sealed yet.

statements! {
    /// A data key.
    DATA_KEY = "SELECT kek, wrapped FROM data_keys WHERE kind = $1 AND owner = $2";
    /// A new data key, unless another node made it first.
    INSERT_DATA_KEY = "INSERT INTO data_keys (kind, owner, kek, wrapped) VALUES ($1, $2, $3, $4) \
                       ON CONFLICT (kind, owner) DO NOTHING";
    /// The next version of a key-encryption key that is in use.
    NEXT_KEK = "SELECT kek FROM data_keys WHERE kek > $1 ORDER BY kek LIMIT 1";
    /// Data keys under older key-encryption keys.
    OLDER_DATA_KEYS = "SELECT kind, owner, kek, wrapped FROM data_keys WHERE kek < $1 ORDER BY kek LIMIT $2";
    /// A data key is wrapped anew.
    REWRAP = "UPDATE data_keys SET kek = $3, wrapped = $4 WHERE kind = $1 AND owner = $2";
    /// A user.
    USER = "SELECT u.id, u.password_hash, u.created_at, u.sealed, k.kek, k.wrapped FROM users u LEFT JOIN data_keys k ON k.kind = 0 AND k.owner = u.id WHERE u.id = $1";
    /// Users by id.
    USERS = "SELECT u.id, u.password_hash, u.created_at, u.sealed, k.kek, k.wrapped FROM users u LEFT JOIN data_keys k ON k.kind = 0 AND k.owner = u.id WHERE u.id = ANY($1)";
    /// The user who signs in with an address.
    USER_BY_EMAIL = "SELECT u.id, u.password_hash, u.created_at, u.sealed, k.kek, k.wrapped FROM users u LEFT JOIN data_keys k ON k.kind = 0 AND k.owner = u.id WHERE u.email_index = $1";
    /// What an older program wrote of a user is sealed.
    SEAL_USER = "UPDATE users SET email_index = $2, sealed = $3 WHERE id = $1";
}
