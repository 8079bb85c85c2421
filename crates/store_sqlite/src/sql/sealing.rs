//! Data keys, and what is not sealed yet.

statements! {
    /// A data key.
    DATA_KEY = "SELECT kek, wrapped FROM data_keys WHERE kind = ?1 AND owner = ?2";
    /// A new data key.
    INSERT_DATA_KEY = "INSERT INTO data_keys (kind, owner, kek, wrapped) VALUES (?1, ?2, ?3, ?4)";
    /// The next version of a key-encryption key that is in use.
    NEXT_KEK = "SELECT min(kek) FROM data_keys WHERE kek > ?1";
    /// Data keys under older key-encryption keys.
    OLDER_DATA_KEYS = "SELECT kind, owner, kek, wrapped FROM data_keys WHERE kek < ?1 ORDER BY kek LIMIT ?2";
    /// A data key is wrapped anew.
    REWRAP = "UPDATE data_keys SET kek = ?3, wrapped = ?4 WHERE kind = ?1 AND owner = ?2";
    /// A user.
    USER = "SELECT u.id, u.password_hash, u.created_at, u.sealed, k.kek, k.wrapped FROM users u LEFT JOIN data_keys k ON k.kind = 0 AND k.owner = u.id WHERE u.id = ?1";
    /// The user who signs in with an address.
    USER_BY_EMAIL = "SELECT u.id, u.password_hash, u.created_at, u.sealed, k.kek, k.wrapped FROM users u LEFT JOIN data_keys k ON k.kind = 0 AND k.owner = u.id WHERE u.email_index = ?1";
    /// The memberships of a person that have not ended, each with its workspace's number and slug.
    MEMBERSHIPS_OF_PERSON = "SELECT m.number, w.id, m.principal_kind, m.principal_id, m.role, m.narrowed_to, \
                             m.created_at, m.ended_at, m.disabled_at, w.number, w.slug FROM memberships m INDEXED BY memberships_person \
                             JOIN workspaces w ON w.number = m.workspace \
                             WHERE m.principal_id = ?1 AND m.principal_kind = 0 AND m.ended_at IS NULL \
                             ORDER BY m.number";
    /// A membership ends.
    END_MEMBERSHIP = "UPDATE memberships SET ended_at = ?2 WHERE number = ?1";
    /// What is known of a person goes.
    ERASE_USER = "UPDATE users SET email_index = NULL, sealed = NULL, password_hash = NULL WHERE id = ?1";
    /// A data key is destroyed.
    DESTROY_DATA_KEY = "DELETE FROM data_keys WHERE kind = ?1 AND owner = ?2";
    /// What an older program wrote of a user is sealed.
    SEAL_USER = "UPDATE users SET email_index = ?2, sealed = ?3 WHERE id = ?1";
}
