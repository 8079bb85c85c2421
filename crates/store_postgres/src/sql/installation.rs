//! Workspaces, members, plans, the permission catalogue and operator credentials.

macro_rules! workspace_columns {
    () => {
        "w.number, w.id, w.slug, w.name, w.plan, w.policy, w.suspended_at, w.created_at, w.key_count, w.deleted_at, \
         w.purge_at, (SELECT string_agg(f.slug, ' ') FROM workspace_slugs f WHERE f.workspace = w.number)"
    };
}

pub(super) use workspace_columns;

macro_rules! membership_columns {
    () => {
        "m.number, w.id, m.principal_kind, m.principal_id, m.role, m.narrowed_to, m.created_at, m.ended_at, m.disabled_at"
    };
}

macro_rules! operator_columns {
    () => {
        "o.id, o.name, o.secret_id, o.locator, o.hint, o.pepper, o.digest, o.created_at, o.revoked_at"
    };
}

statements! {
    /// A workspace by id.
    WORKSPACE_BY_ID = concat!("SELECT ", workspace_columns!(), " FROM workspaces w WHERE w.id = $1 AND w.purged_at IS NULL");
    /// Workspaces by id.
    WORKSPACES_BY_IDS = concat!(
        "SELECT ", workspace_columns!(), " FROM workspaces w WHERE w.id = ANY($1) AND w.purged_at IS NULL"
    );
    /// Workspaces by number.
    WORKSPACES_BY_NUMBERS = concat!(
        "SELECT ", workspace_columns!(), " FROM workspaces w WHERE w.number = ANY($1) AND w.purged_at IS NULL"
    );
    /// A workspace by its slug, or by one that it had before.
    WORKSPACE_BY_SLUG = concat!(
        "SELECT ", workspace_columns!(), " FROM workspaces w WHERE w.number = coalesce(\
         (SELECT n.number FROM workspaces n WHERE n.slug = $1), \
         (SELECT o.workspace FROM workspace_slugs o WHERE o.slug = $1)) AND w.purged_at IS NULL"
    );
    /// Workspaces whose data is to be removed.
    WORKSPACES_TO_PURGE = concat!(
        "SELECT ", workspace_columns!(), " FROM workspaces w WHERE w.purge_at IS NOT NULL AND w.purged_at IS NULL \
         AND w.purge_at <= $1 ORDER BY w.purge_at LIMIT $2"
    );
    /// A page of workspaces.
    WORKSPACES = concat!(
        "SELECT ", workspace_columns!(), " FROM workspaces w WHERE w.slug > $1 AND w.purged_at IS NULL ORDER BY w.slug LIMIT $2"
    );
    /// All workspaces.
    LOAD_WORKSPACES = concat!("SELECT ", workspace_columns!(), " FROM workspaces w WHERE w.purged_at IS NULL ORDER BY w.number");
    /// A new workspace.
    INSERT_WORKSPACE = "INSERT INTO workspaces (number, id, slug, name, plan, policy, suspended_at, created_at) \
                        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    /// What may change of a workspace.
    UPDATE_WORKSPACE = "UPDATE workspaces SET name = $2, plan = $3, policy = $4, suspended_at = $5, slug = $6, \
                        deleted_at = $7, purge_at = $8 WHERE number = $1";
    /// A workspace's former slugs go, to be written anew.
    DELETE_FORMER_SLUGS = "DELETE FROM workspace_slugs WHERE workspace = $1";
    /// Slugs that a workspace had before.
    INSERT_FORMER_SLUGS = "INSERT INTO workspace_slugs (slug, workspace) SELECT f.slug, $2 FROM unnest($1::text[]) AS f (slug)";
    /// How many keys workspaces have.
    UPDATE_KEY_COUNTS = "UPDATE workspaces w SET key_count = n.key_count \
                         FROM unnest($1::bigint[], $2::bigint[]) AS n (number, key_count) WHERE w.number = n.number";
    /// How many keys there are.
    COUNT_KEYS = "SELECT coalesce(sum(key_count), 0)::bigint FROM workspaces";
    /// How many workspaces are on a plan.
    COUNT_ON_PLAN = "SELECT count(*) FROM workspaces WHERE plan = $1";

    /// A new user.
    INSERT_USER = "INSERT INTO users (id, password_hash, created_at, email_index, sealed) VALUES ($1, $2, $3, $4, $5)";
    /// A new membership.
    INSERT_MEMBERSHIP = "INSERT INTO memberships (number, workspace, principal_kind, principal_id, role, narrowed_to, \
                         created_at, ended_at, disabled_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    /// The members of a workspace.
    MEMBERSHIPS = concat!(
        "SELECT ", membership_columns!(), " FROM memberships m JOIN workspaces w ON w.number = m.workspace \
         WHERE m.workspace = (SELECT o.number FROM workspaces o WHERE o.id = $1) AND m.ended_at IS NULL ORDER BY m.number"
    );
    /// Memberships by number.
    MEMBERSHIPS_BY_NUMBERS = concat!(
        "SELECT ", membership_columns!(), " FROM memberships m JOIN workspaces w ON w.number = m.workspace \
         WHERE m.number = ANY($1)"
    );
    /// The memberships of a principal.
    MEMBERSHIPS_OF = concat!(
        "SELECT ", membership_columns!(), " FROM memberships m JOIN workspaces w ON w.number = m.workspace \
         WHERE m.principal_kind = $1 AND m.principal_id = $2 AND m.ended_at IS NULL"
    );
    /// All memberships.
    LOAD_MEMBERSHIPS = concat!(
        "SELECT ", membership_columns!(), " FROM memberships m JOIN workspaces w ON w.number = m.workspace \
         ORDER BY m.number"
    );

    /// All plans.
    PLANS = "SELECT name, description, key_limits, workspace_limits FROM plans ORDER BY name";
    /// A plan by name.
    PLAN = "SELECT name, description, key_limits, workspace_limits FROM plans WHERE name = $1";
    /// Plans by name.
    PLANS_BY_NAMES = "SELECT name, description, key_limits, workspace_limits FROM plans WHERE name = ANY($1)";
    /// How many plans there are.
    COUNT_PLANS = "SELECT count(*) FROM plans";
    /// A new plan, or another version of it.
    PUT_PLAN = "INSERT INTO plans (name, description, key_limits, workspace_limits) VALUES ($1, $2, $3, $4) \
                ON CONFLICT (name) DO UPDATE SET description = excluded.description, \
                key_limits = excluded.key_limits, workspace_limits = excluded.workspace_limits";
    /// A built-in plan, unless it is there.
    SEED_PLAN = "INSERT INTO plans (name, description, key_limits, workspace_limits) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (name) DO NOTHING";
    /// A plan goes.
    DELETE_PLAN = "DELETE FROM plans WHERE name = $1";

    /// The permission catalogue.
    PERMISSIONS = "SELECT bit, name, description FROM permissions ORDER BY bit";
    /// A new permission, or another description.
    PUT_PERMISSION = "INSERT INTO permissions (bit, name, description) VALUES ($1, $2, $3) \
                      ON CONFLICT (bit) DO UPDATE SET description = excluded.description";
    /// A built-in permission, unless it is there.
    SEED_PERMISSION = "INSERT INTO permissions (bit, name, description) VALUES ($1, $2, $3) \
                       ON CONFLICT (bit) DO NOTHING";

    /// Whether there is any operator credential.
    ANY_OPERATOR = "SELECT number FROM operators ORDER BY number LIMIT 1";
    /// All operator credentials.
    OPERATORS = concat!("SELECT ", operator_columns!(), " FROM operators o ORDER BY o.number");
    /// An operator credential by id.
    OPERATOR = concat!("SELECT ", operator_columns!(), " FROM operators o WHERE o.id = $1");
    /// How many credentials are not revoked.
    COUNT_ACTIVE_OPERATORS = "SELECT count(*) FROM operators WHERE revoked_at IS NULL";
    /// A new operator credential.
    INSERT_OPERATOR = "INSERT INTO operators (id, name, secret_id, locator, hint, pepper, digest, created_at, \
                       revoked_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    /// An operator credential ends.
    REVOKE_OPERATOR = "UPDATE operators SET revoked_at = $2 WHERE id = $1";
}
