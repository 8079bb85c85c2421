//! Questions to a store.

use crate::{
    environment::Environment,
    ids::{KeyId, WorkspaceId},
    key::KeyStatus,
    time::Timestamp,
};
use keywright_keyformat::Locator;

/// What a key must be to match. `None` means any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyFilter {
    /// The environment.
    pub environment: Option<Environment>,
    /// The status at the time of the question, by the key and by the workspace's policy.
    pub status: Option<KeyStatus>,
    /// The creator's id, as text.
    pub created_by: Option<String>,
    /// The `external_id`, exactly.
    pub external_id: Option<String>,
    /// Not used (or, if never used, not created) since then.
    pub unused_since: Option<Timestamp>,
    /// Whether rotation is due at the time of the question.
    pub rotation_due: Option<bool>,
    /// Whether the key works and counts as idle by the workspace's policy at the time of the question, as far as use was
    /// written down.
    pub idle: Option<bool>,
    /// Part of the name, in any case.
    pub name: Option<String>,
    /// The locator of one of its secrets.
    pub locator: Option<Locator>,
    /// Whether its creator's membership has ended.
    pub orphaned: Option<bool>,
}

/// A question for a page of keys, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyQuery {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Which keys.
    pub filter: KeyFilter,
    /// The moment at which status and due dates are judged.
    pub now: Timestamp,
    /// Continue after this key.
    pub after: Option<KeyId>,
    /// Size of the page.
    pub limit: u32,
}

/// A question for a page of audit entries, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditQuery {
    /// The workspace; `None`: the whole installation.
    pub workspace: Option<WorkspaceId>,
    /// The target's id.
    pub target: Option<String>,
    /// The action, exactly.
    pub action: Option<String>,
    /// Continue before this entry.
    pub before: Option<u64>,
    /// Size of the page.
    pub limit: u32,
}

/// One page of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Whether there are more.
    pub has_more: bool,
}

/// When, from where and with what a key or a secret was last used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastUsed {
    /// When.
    pub at: Timestamp,
    /// From where, if known.
    pub address: Option<std::net::IpAddr>,
    /// The class of the client's user agent.
    pub agent: crate::usage::AgentClass,
    /// The secret's position among the key's.
    pub secret_ordinal: u16,
}
