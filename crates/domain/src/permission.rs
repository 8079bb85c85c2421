//! Permissions, the catalogue that names them, and the roles that bundle them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::caps;

/// Why a text is not the name of a permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a permission is named resource:action, with lower-case letters, digits, '_' or '-' on both sides, at most {} bytes",
    caps::PERMISSION_NAME_MAX_BYTES
)]
pub struct InvalidPermissionName;

/// The name of a permission: `resource:action`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PermissionName(String);

impl PermissionName {
    /// Checks the form of `text`.
    ///
    /// # Errors
    /// [`InvalidPermissionName`] when it is not `resource:action`.
    pub fn parse(text: &str) -> Result<Self, InvalidPermissionName> {
        let side_is_valid = |side: &str| {
            side.starts_with(|first: char| first.is_ascii_lowercase())
                && side.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
        };
        match text.split_once(':') {
            Some((resource, action))
                if text.len() <= caps::PERMISSION_NAME_MAX_BYTES
                    && side_is_valid(resource)
                    && side_is_valid(action) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(InvalidPermissionName),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PermissionName {
    type Error = InvalidPermissionName;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<PermissionName> for String {
    fn from(name: PermissionName) -> Self {
        name.0
    }
}

/// A set of permissions: one bit for each entry of the installation's catalogue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PermissionSet([u64; 4]);

impl PermissionSet {
    /// No permission.
    pub const EMPTY: Self = Self([0; 4]);
    /// Every permission, also those that the catalogue does not name yet.
    pub const ALL: Self = Self([u64::MAX; 4]);

    /// The set with these words; bit `i` of word `w` stands for catalogue entry `64 w + i`.
    pub const fn from_words(words: [u64; 4]) -> Self {
        Self(words)
    }

    /// The words of the set.
    pub const fn words(self) -> [u64; 4] {
        self.0
    }

    /// This set and the catalogue entry `bit`.
    #[must_use]
    pub const fn with(mut self, bit: u8) -> Self {
        self.0[(bit / 64) as usize] |= 1 << (bit % 64);
        self
    }

    /// Whether the catalogue entry `bit` is in the set.
    pub const fn contains(self, bit: u8) -> bool {
        self.0[(bit / 64) as usize] >> (bit % 64) & 1 == 1
    }

    /// What is in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        let (a, b) = (self.0, other.0);
        Self([a[0] & b[0], a[1] & b[1], a[2] & b[2], a[3] & b[3]])
    }

    /// What is in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        let (a, b) = (self.0, other.0);
        Self([a[0] | b[0], a[1] | b[1], a[2] | b[2], a[3] | b[3]])
    }

    /// What is in this set and not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        let (a, b) = (self.0, other.0);
        Self([a[0] & !b[0], a[1] & !b[1], a[2] & !b[2], a[3] & !b[3]])
    }

    /// Whether everything in this set is in `other`.
    pub const fn is_subset(self, other: Self) -> bool {
        self.without(other).is_empty()
    }

    /// Whether nothing is in the set.
    pub const fn is_empty(self) -> bool {
        self.0[0] | self.0[1] | self.0[2] | self.0[3] == 0
    }

    /// The catalogue entries in the set, ascending.
    pub fn bits(self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(move |bit| self.contains(*bit))
    }

    /// The set's bits, ascending, as the audit trail records it: names may change in the catalogue, bits never do.
    pub fn describe(self) -> String {
        if self == Self::ALL {
            return "all".to_owned();
        }
        self.bits().map(|bit| bit.to_string()).collect::<Vec<_>>().join(",")
    }
}

/// A built-in permission. Its discriminant is its bit in every catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Builtin {
    /// Read prompts and their versions.
    PromptsRead = 0,
    /// List all prompts in the workspace.
    PromptsList = 1,
    /// Download attached context files.
    ContextDownload = 2,
    /// Create, change and publish prompts.
    PromptsWrite = 3,
    /// List and read keys.
    KeysRead = 4,
    /// Create, change, rotate, disable, revoke and delete keys.
    KeysWrite = 5,
    /// Verify keys on behalf of a backend.
    KeysVerify = 6,
    /// Read members and service accounts.
    MembersRead = 7,
    /// Invite, change and remove members and service accounts.
    MembersWrite = 8,
    /// Read and export the audit trail.
    AuditRead = 9,
    /// Read usage statistics.
    UsageRead = 10,
    /// Change the workspace and its policies.
    WorkspaceWrite = 11,
    /// Read the workspace and its policies.
    WorkspaceRead = 12,
    /// Delete and restore the workspace.
    WorkspaceDelete = 13,
}

impl Builtin {
    /// All built-in permissions, in the order of their bits.
    pub const ALL: [Self; 14] = [
        Self::PromptsRead,
        Self::PromptsList,
        Self::ContextDownload,
        Self::PromptsWrite,
        Self::KeysRead,
        Self::KeysWrite,
        Self::KeysVerify,
        Self::MembersRead,
        Self::MembersWrite,
        Self::AuditRead,
        Self::UsageRead,
        Self::WorkspaceWrite,
        Self::WorkspaceRead,
        Self::WorkspaceDelete,
    ];

    /// The bit in every catalogue.
    pub const fn bit(self) -> u8 {
        self as u8
    }

    /// The name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PromptsRead => "prompts:read",
            Self::PromptsList => "prompts:list",
            Self::ContextDownload => "context:download",
            Self::PromptsWrite => "prompts:write",
            Self::KeysRead => "keys:read",
            Self::KeysWrite => "keys:write",
            Self::KeysVerify => "keys:verify",
            Self::MembersRead => "members:read",
            Self::MembersWrite => "members:write",
            Self::AuditRead => "audit:read",
            Self::UsageRead => "usage:read",
            Self::WorkspaceWrite => "workspace:write",
            Self::WorkspaceRead => "workspace:read",
            Self::WorkspaceDelete => "workspace:delete",
        }
    }

    /// What it allows, in one sentence.
    pub const fn description(self) -> &'static str {
        match self {
            Self::PromptsRead => "Read prompts and their versions.",
            Self::PromptsList => "List all prompts in the workspace.",
            Self::ContextDownload => "Download attached context files.",
            Self::PromptsWrite => "Create, change and publish prompts.",
            Self::KeysRead => "List and read the workspace's API keys.",
            Self::KeysWrite => "Create, change, rotate, disable, revoke and delete API keys.",
            Self::KeysVerify => "Verify API keys on behalf of a backend.",
            Self::MembersRead => "Read members and service accounts.",
            Self::MembersWrite => "Invite, change and remove members and service accounts.",
            Self::AuditRead => "Read and export the audit trail.",
            Self::UsageRead => "Read usage statistics.",
            Self::WorkspaceWrite => "Change the workspace and its policies.",
            Self::WorkspaceRead => "Read the workspace and its policies.",
            Self::WorkspaceDelete => "Delete the workspace, and restore it.",
        }
    }

    /// What a key gets when its creator names no permissions.
    pub const DEFAULT: PermissionSet = PermissionSet::EMPTY
        .with(Self::PromptsRead.bit())
        .with(Self::PromptsList.bit())
        .with(Self::ContextDownload.bit());

    /// The permissions that manage Keywright itself, rather than the API product behind it.
    pub const MANAGEMENT: PermissionSet = PermissionSet::EMPTY
        .with(Self::KeysRead.bit())
        .with(Self::KeysWrite.bit())
        .with(Self::KeysVerify.bit())
        .with(Self::MembersRead.bit())
        .with(Self::MembersWrite.bit())
        .with(Self::AuditRead.bit())
        .with(Self::UsageRead.bit())
        .with(Self::WorkspaceWrite.bit())
        .with(Self::WorkspaceRead.bit())
        .with(Self::WorkspaceDelete.bit());
}

/// One entry of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogueEntry {
    /// The bit in every [`PermissionSet`]; never used for another permission again.
    pub bit: u8,
    /// The name.
    pub name: PermissionName,
    /// What it allows.
    pub description: String,
}

/// The permissions that an installation knows, and the bit of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    entries: BTreeMap<u8, CatalogueEntry>,
    by_name: BTreeMap<PermissionName, u8>,
}

impl Catalogue {
    /// The catalogue with the built-in permissions.
    pub fn builtin() -> Self {
        Self::from_entries(Builtin::ALL.map(|builtin| CatalogueEntry {
            bit: builtin.bit(),
            name: PermissionName(builtin.name().to_owned()),
            description: builtin.description().to_owned(),
        }))
    }

    /// The catalogue with these entries.
    pub fn from_entries(entries: impl IntoIterator<Item = CatalogueEntry>) -> Self {
        let mut catalogue = Self::default();
        for entry in entries {
            catalogue.insert(entry);
        }
        catalogue
    }

    /// Adds or replaces an entry.
    pub fn insert(&mut self, entry: CatalogueEntry) {
        self.by_name.insert(entry.name.clone(), entry.bit);
        self.entries.insert(entry.bit, entry);
    }

    /// The bit of the permission called `name`.
    pub fn bit(&self, name: &str) -> Option<u8> {
        // The name's form was checked on insertion, so a text of another form is simply not found.
        self.by_name.iter().find(|(known, _)| known.as_str() == name).map(|(_, bit)| *bit)
    }

    /// The set of the named permissions.
    ///
    /// # Errors
    /// [`UnknownPermission`] with the first name that the catalogue does not have.
    pub fn resolve<'name>(
        &self,
        names: impl IntoIterator<Item = &'name str>,
    ) -> Result<PermissionSet, UnknownPermission> {
        names.into_iter().try_fold(PermissionSet::EMPTY, |set, name| {
            self.bit(name).map(|bit| set.with(bit)).ok_or_else(|| UnknownPermission(name.to_owned()))
        })
    }

    /// The names of the permissions in `set`, in the order of their bits. Bits without an entry are left out.
    pub fn names(&self, set: PermissionSet) -> impl Iterator<Item = &str> {
        self.entries.values().filter(move |entry| set.contains(entry.bit)).map(|entry| entry.name.as_str())
    }

    /// All entries, in the order of their bits.
    pub fn entries(&self) -> impl Iterator<Item = &CatalogueEntry> {
        self.entries.values()
    }

    /// Every permission that has a name.
    pub fn all(&self) -> PermissionSet {
        self.entries.keys().fold(PermissionSet::EMPTY, |set, bit| set.with(*bit))
    }

    /// The lowest bit that no entry has, if any is left.
    pub fn free_bit(&self) -> Option<u8> {
        (0..=u8::MAX).find(|bit| !self.entries.contains_key(bit))
    }
}

/// The catalogue has no permission of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the permission catalogue has no {0:?}")]
pub struct UnknownPermission(pub String);

/// What a principal is in a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Role {
    /// May do everything, including handing the workspace over.
    Owner = 0,
    /// May manage keys, members and policies; everything but delete the workspace.
    Admin = 1,
    /// Uses prompts; never sees or manages keys.
    Member = 2,
    /// Reads what the role allows; never sees or manages keys.
    Viewer = 3,
}

impl Role {
    /// All roles, strongest first.
    pub const ALL: [Self; 4] = [Self::Owner, Self::Admin, Self::Member, Self::Viewer];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Viewer => "viewer",
        }
    }

    /// Reads the name on the wire.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    /// The role with this number, as stores keep it.
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// What the role may do. Owners and Admins also hold every permission of the API product that the
    /// installation adds to its catalogue.
    pub const fn permissions(self) -> PermissionSet {
        match self {
            Self::Owner => PermissionSet::ALL,
            Self::Admin => {
                PermissionSet::ALL.without(PermissionSet::EMPTY.with(Builtin::WorkspaceDelete.bit()))
            }
            Self::Member => {
                Builtin::DEFAULT.with(Builtin::PromptsWrite.bit()).with(Builtin::WorkspaceRead.bit())
            }
            Self::Viewer => Builtin::DEFAULT.with(Builtin::WorkspaceRead.bit()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["prompts:read", "a:b", "chat-v2:send_all", &format!("r:{}", "a".repeat(62))] {
            assert!(PermissionName::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            ":",
            "a:",
            ":b",
            "a",
            "A:b",
            "a:B",
            "a:b:c",
            "1a:b",
            "a b:c",
            &format!("r:{}", "a".repeat(63)),
        ] {
            assert_eq!(PermissionName::parse(bad), Err(InvalidPermissionName), "{bad}");
        }
    }

    #[test]
    fn set_algebra() {
        let a = PermissionSet::EMPTY.with(0).with(64).with(255);
        let b = PermissionSet::EMPTY.with(64);
        assert!(b.is_subset(a) && !a.is_subset(b));
        assert_eq!(a.intersection(b), b);
        assert_eq!(a.without(b).union(b), a);
        assert_eq!(a.bits().collect::<Vec<_>>(), [0, 64, 255]);
    }

    #[test]
    fn catalogue_resolves_names_both_ways() {
        let catalogue = Catalogue::builtin();
        let set = catalogue.resolve(["context:download", "prompts:read"]).unwrap();
        assert_eq!(catalogue.names(set).collect::<Vec<_>>(), ["prompts:read", "context:download"]);
        assert_eq!(catalogue.resolve(["prompts:read", "x:y"]), Err(UnknownPermission("x:y".to_owned())));
        for (bit, builtin) in (0_u8..).zip(Builtin::ALL) {
            assert_eq!((builtin.bit(), catalogue.bit(builtin.name())), (bit, Some(bit)));
        }
        assert_eq!(catalogue.free_bit(), Some(14));
    }

    #[test]
    fn only_owner_and_admin_manage_keys() {
        for role in Role::ALL {
            let manages = matches!(role, Role::Owner | Role::Admin);
            for permission in [Builtin::KeysRead, Builtin::KeysWrite, Builtin::KeysVerify] {
                assert_eq!(role.permissions().contains(permission.bit()), manages, "{role:?} {permission:?}");
            }
        }
    }
}
