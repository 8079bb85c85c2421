//! What an installation is at present, as far as a file is about it.

use std::collections::BTreeMap;

use keywright_domain::time::{Clock as _, Timestamp};
use serde_json::{Value, json};

use super::super::connection::{Client, path};
use crate::{
    failure::{Exit, Failure},
    system::SystemClock,
};

/// Things of the installation, as the API shows them, by name.
#[derive(Debug, Default)]
pub(super) struct Present {
    /// Permissions that are not built in, and their descriptions.
    pub(super) permissions: BTreeMap<String, Value>,
    pub(super) plans: BTreeMap<String, Value>,
    /// Workspaces by their slug.
    pub(super) workspaces: BTreeMap<String, Value>,
    /// Members by workspace and address, of the workspaces that were asked about.
    pub(super) members: BTreeMap<String, BTreeMap<String, Value>>,
    /// Invitations by workspace and address, of the workspaces that were asked about; with `is_over` when the link has ended.
    pub(super) invitations: BTreeMap<String, BTreeMap<String, Value>>,
    /// Service accounts by workspace and identity, of the workspaces that were asked about.
    pub(super) service_accounts: BTreeMap<String, BTreeMap<String, Value>>,
}

impl Present {
    /// Asks for everything but keys.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub(super) fn read(client: &Client) -> Result<Self, Failure> {
        let mut present = Self::default();
        let permissions = client.get("/v1/permissions", &[])?;
        for permission in rows(&permissions).iter().filter(|entry| entry["builtin"] != true) {
            present.permissions.insert(text(permission, "name"), permission.clone());
        }
        for plan in rows(&client.get("/v1/plans", &[])?) {
            present.plans.insert(text(plan, "name"), plan.clone());
        }
        for workspace in pages(client, "/v1/workspaces", &[])? {
            present.workspaces.insert(text(&workspace, "slug"), workspace);
        }
        Ok(present)
    }

    /// Asks for the people and service accounts of a workspace that the file calls `slug`, and the server `slug_now`.
    ///
    /// # Errors
    /// As [`Present::read`].
    pub(super) fn read_people(&mut self, client: &Client, slug: &str, slug_now: &str) -> Result<(), Failure> {
        let of = |list: &str| -> Result<BTreeMap<String, Value>, Failure> {
            let all = pages(client, &path(&["v1", "workspaces", slug_now, list]), &[])?;
            // Whoever was erased has no address, and no key.
            let named = all.into_iter().filter(|one| one["email"].is_string());
            Ok(named.map(|one| (text(&one, "email").to_lowercase(), one)).collect())
        };
        self.members.insert(slug.to_owned(), of("members")?);
        let now = SystemClock.now();
        let mut invitations = of("invitations")?;
        for invitation in invitations.values_mut() {
            let end = Timestamp::parse_rfc3339(&text(invitation, "expires_at"));
            invitation["is_over"] = json!(end.is_ok_and(|end| end <= now));
        }
        self.invitations.insert(slug.to_owned(), invitations);
        self.service_accounts.insert(slug.to_owned(), of("service-accounts")?);
        Ok(())
    }

    /// The service account of a workspace with this identity.
    pub(super) fn service_account(&self, slug: &str, identity: &str) -> Option<&Value> {
        self.service_accounts.get(slug)?.get(identity)
    }

    /// The workspace that is, or was once, called `slug`.
    pub(super) fn workspace(&self, slug: &str) -> Option<&Value> {
        let had_it = |workspace: &&Value| {
            workspace["former_slugs"].as_array().is_some_and(|former| former.iter().any(|one| one == slug))
        };
        self.workspaces.get(slug).or_else(|| self.workspaces.values().find(had_it))
    }
}

/// The keys of a workspace that are not revoked, by name.
///
/// # Errors
/// As [`Present::read`]; when two keys that `is_named` asks for have the same name.
pub(super) fn keys(
    client: &Client,
    slug: &str,
    is_named: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, Value>, Failure> {
    let mut keys = BTreeMap::new();
    for key in pages(client, &path(&["v1", "workspaces", slug, "keys"]), &[])? {
        if key["status"] == "revoked" {
            continue;
        }
        let name = text(&key, "name");
        if is_named(&name) && keys.contains_key(&name) {
            return Err(Failure::new(
                Exit::Negative,
                format!(
                    "workspace {slug} has two keys named {name:?}, so that it is not clear which is meant"
                ),
            )
            .remedy("Rename or revoke one: keywright keys update <id> --name …"));
        }
        keys.insert(name, key);
    }
    Ok(keys)
}

/// All rows of a list, page by page.
fn pages(client: &Client, path: &str, query: &[(&str, String)]) -> Result<Vec<Value>, Failure> {
    let mut all = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut query = query.to_vec();
        query.push(("limit", "100".to_owned()));
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let page = client.get(path, &query)?;
        all.extend(rows(&page).iter().cloned());
        cursor = page["cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return Ok(all);
        }
    }
}

fn rows(answer: &Value) -> &[Value] {
    answer.get("data").unwrap_or(answer).as_array().map_or(&[], Vec::as_slice)
}

/// A text member of an object; empty if there is none.
pub(super) fn text(object: &Value, member: &str) -> String {
    object.get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
}
