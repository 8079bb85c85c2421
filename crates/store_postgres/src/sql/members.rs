//! Members, service accounts, and the keys of a member.

macro_rules! membership_columns {
    () => {
        "m.number, w.id, m.principal_kind, m.principal_id, m.role, m.narrowed_to, m.created_at, m.ended_at, m.disabled_at"
    };
}
pub(super) use membership_columns;

macro_rules! account_columns {
    () => {
        concat!(
            super::members::membership_columns!(),
            ", a.id, a.name, a.email, a.purpose, a.owning_team, a.created_by_kind, a.created_by_id, a.created_at, \
             a.deleted_at"
        )
    };
}

statements! {
    /// The membership of a principal.
    OF_PRINCIPAL = concat!(
        "SELECT ", membership_columns!(), " FROM workspaces w JOIN memberships m \
         ON m.workspace = w.number WHERE w.id = $1 AND m.principal_kind = $2 AND m.principal_id = $3 \
         AND m.ended_at IS NULL"
    );
    /// A page of the people who are members.
    PEOPLE = concat!(
        "SELECT ", membership_columns!(), " FROM workspaces w JOIN memberships m \
         ON m.workspace = w.number WHERE w.id = $1 AND m.ended_at IS NULL AND m.number > $2 AND m.principal_kind = 0 \
         AND ($3::bigint IS NULL OR m.role = $3) ORDER BY m.number LIMIT $4"
    );
    /// How many people have a role.
    ///
    /// The kind is asked for so that the index of people is of no use: without statistics it looks as good as any.
    COUNT_ROLE = "SELECT count(*) FROM memberships \
                  WHERE workspace = $1 AND ended_at IS NULL AND coalesce(principal_kind, 0) = 0 AND role = $2";
    /// What may change of a membership.
    UPDATE = "UPDATE memberships SET role = $2, narrowed_to = $3, disabled_at = $4, ended_at = $5 WHERE number = $1";

    /// A service account by id, deleted or not.
    ACCOUNT = concat!(
        "SELECT ", account_columns!(), " FROM service_accounts a JOIN memberships m ON m.number = a.membership \
         JOIN workspaces w ON w.number = a.workspace WHERE a.id = $1 AND w.id = $2"
    );
    /// A page of service accounts.
    ACCOUNTS = concat!(
        "SELECT ", account_columns!(), " FROM workspaces w JOIN memberships m \
         ON m.workspace = w.number JOIN service_accounts a ON a.membership = m.number \
         WHERE w.id = $1 AND m.ended_at IS NULL AND m.number > $2 AND m.principal_kind = 1 \
         AND ($3::bigint IS NULL OR m.role = $3) ORDER BY m.number LIMIT $4"
    );
    /// How many service accounts there are.
    COUNT_ACCOUNTS = "SELECT count(*) FROM service_accounts \
                      WHERE workspace = $1 AND deleted_at IS NULL";
    /// Who has an identity.
    ACCOUNT_BY_EMAIL = "SELECT id FROM service_accounts WHERE workspace = $1 AND email = $2 AND deleted_at IS NULL";
    /// A new service account.
    INSERT_ACCOUNT = "INSERT INTO service_accounts (membership, id, workspace, name, email, purpose, owning_team, \
                      created_by_kind, created_by_id, created_at, deleted_at) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    /// What may change of a service account.
    UPDATE_ACCOUNT = "UPDATE service_accounts SET name = $2, email = $3, purpose = $4, owning_team = $5, deleted_at = $6 \
                      WHERE membership = $1";

    /// How many keys of a membership are not revoked.
    COUNT_KEYS_OF = "SELECT count(*) FROM keys WHERE membership = $1 AND membership > 0 AND deleted_at IS NULL \
                  AND revoked_at IS NULL";
    /// The ids of the keys of a principal that are not revoked, its former memberships included.
    KEYS_OF = "SELECT k.id FROM memberships m JOIN keys k \
               ON k.membership = m.number WHERE m.principal_kind = $1 AND m.principal_id = $2 AND m.workspace = $3 \
               AND k.membership > 0 AND k.deleted_at IS NULL AND k.revoked_at IS NULL LIMIT $4";
    /// A key goes to another creator.
    SET_CREATOR = "UPDATE keys SET creator_kind = $2, creator_id = $3, membership = $4 WHERE number = $1";
}
