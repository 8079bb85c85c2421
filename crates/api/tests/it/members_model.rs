//! Two thousand random changes of roles, members, service accounts and keys, by callers of every strength, against a
//! model that knows the rules and nothing of how they are kept: nobody ever does what the model forbids or is refused
//! what it allows, and no key ever holds more than its creator.

use http::{Method, StatusCode};
use keywright_domain::permission::{Builtin, Role};
use keywright_testkit::SeededEntropy;
use serde_json::{Value, json};

use crate::harness::{Api, Who, holder};

const OPERATIONS: usize = 2_000;
const WORKSPACE: &str = "/v1/workspaces/acme";

/// A set of permissions: bit `n` stands for the `n`th built-in one; the last bit for all that have no name yet.
type Set = u64;
const NAMELESS: Set = 1 << 63;

fn bit(permission: Builtin) -> Set {
    1 << permission.bit()
}

fn named() -> Set {
    Builtin::ALL.into_iter().map(bit).sum()
}

fn names(set: Set) -> Vec<&'static str> {
    Builtin::ALL.into_iter().filter(|builtin| set & bit(*builtin) != 0).map(Builtin::name).collect()
}

/// What the documents say of roles.
fn of_role(role: Role) -> Set {
    use Builtin::{ContextDownload, PromptsList, PromptsRead, PromptsWrite, WorkspaceRead};
    let viewer = bit(PromptsRead) | bit(PromptsList) | bit(ContextDownload) | bit(WorkspaceRead);
    match role {
        Role::Owner => named() | NAMELESS,
        Role::Admin => named() & !bit(Builtin::WorkspaceDelete) | NAMELESS,
        Role::Member => viewer | bit(PromptsWrite),
        Role::Viewer => viewer,
    }
}

#[derive(Clone, Debug)]
struct Member {
    id: String,
    is_account: bool,
    role: Role,
    narrowed: Option<Set>,
    is_gone: bool,
    is_off: bool,
}

impl Member {
    fn rights(&self) -> Set {
        of_role(self.role) & self.narrowed.unwrap_or(Set::MAX)
    }

    fn may(&self) -> Set {
        if self.is_gone || self.is_off { 0 } else { self.rights() }
    }
}

#[derive(Clone, Debug)]
struct Key {
    id: String,
    secret: String,
    /// `None`: the operator.
    owner: Option<usize>,
    permissions: Set,
    is_revoked: bool,
}

#[derive(Default)]
struct Model {
    members: Vec<Member>,
    keys: Vec<Key>,
}

impl Model {
    fn owner_may(&self, key: &Key) -> Set {
        key.owner.map_or(Set::MAX, |owner| self.members[owner].may())
    }

    fn effective(&self, key: &Key) -> Set {
        key.permissions & self.owner_may(key)
    }

    fn is_accepted(&self, key: &Key) -> bool {
        !key.is_revoked
            && key.owner.is_none_or(|owner| !self.members[owner].is_gone && !self.members[owner].is_off)
    }

    /// What the holder of the key may give, and whether as an Owner; `None`: the key lacks `needed`.
    fn authority(&self, key: usize, needed: Builtin) -> Option<(Set, bool)> {
        let key = &self.keys[key];
        if !self.is_accepted(key) || self.effective(key) & bit(needed) == 0 {
            return None;
        }
        let (own, role) = match key.owner {
            None => (Set::MAX, Role::Owner),
            Some(owner) => (self.members[owner].may(), self.members[owner].role),
        };
        let is_whole = own & named() & !self.effective(key) == 0;
        Some((if is_whole { own } else { self.effective(key) }, role == Role::Owner))
    }

    fn owners(&self) -> usize {
        let is_owner = |member: &&Member| !member.is_gone && member.role == Role::Owner;
        self.members.iter().filter(is_owner).count()
    }

    /// Whether all keys of `from` may go to `to`.
    fn may_move(&self, from: usize, to: usize, grantable: Set) -> bool {
        let target = &self.members[to];
        let moves = |key: &Key| key.owner == Some(from) && !key.is_revoked;
        let gained = |key: &Key| key.permissions & target.may() & !self.effective(key);
        grantable & bit(Builtin::KeysWrite) != 0
            && !target.is_gone
            && !target.is_off
            && from != to
            && self.keys.iter().filter(|key| moves(key)).all(|key| gained(key) & !grantable == 0)
    }

    fn move_keys(&mut self, from: usize, to: usize) {
        for key in self.keys.iter_mut().filter(|key| key.owner == Some(from) && !key.is_revoked) {
            key.owner = Some(to);
        }
    }
}

/// A random test: the installation, the model, and dice.
struct Game {
    api: Api,
    model: Model,
    dice: SeededEntropy,
    accounts: usize,
    allowed: usize,
    refused: usize,
}

impl Game {
    async fn new(seed: u64) -> Self {
        let mut game = Self {
            api: Api::start().await,
            model: Model::default(),
            dice: SeededEntropy::new(seed),
            accounts: 0,
            allowed: 0,
            refused: 0,
        };
        let owner = game.api.get(&game.api.operator, &format!("{WORKSPACE}/members")).await.json();
        let id = owner["data"][0]["id"].as_str().unwrap().to_owned();
        game.model.members.push(Member::new(id, Role::Owner));
        for role in Role::ALL {
            let member = game.join(role).await;
            game.give_key(member, named()).await;
            let set = game.set() | bit(Builtin::MembersWrite);
            game.give_key(member, set).await;
        }
        game
    }

    fn die(&mut self, sides: usize) -> usize {
        let bytes: [u8; 4] = keywright_domain::entropy::random_bytes(&self.dice);
        usize::try_from(u32::from_be_bytes(bytes)).unwrap() % sides
    }

    fn role(&mut self) -> Role {
        Role::ALL[self.die(4)]
    }

    fn set(&mut self) -> Set {
        match self.die(5) {
            0 | 1 => named(),
            2 => of_role(Role::Viewer),
            _ => {
                let bits = keywright_domain::entropy::random_bytes(&self.dice);
                u64::from_be_bytes(bits) & named()
            }
        }
    }

    async fn join(&mut self, role: Role) -> usize {
        let membership = self.api.member(role).await;
        self.model.members.push(Member::new(membership.principal.id_text(), role));
        self.model.members.len() - 1
    }

    /// A key of a member, as if they had made it themselves while they could.
    async fn give_key(&mut self, member: usize, permissions: Set) {
        let id = self.model.members[member].id.clone();
        let user = keywright_domain::ids::UserId::parse(&id).unwrap();
        let principal = keywright_domain::principal::Principal::User(user);
        let workspace = self.api.workspace().await.id;
        let membership = self.api.state.store.membership(workspace, principal).await.unwrap().unwrap();
        let (Who::Holder(secret), id) = self.api.key_of(&membership, &names(permissions)).await else {
            unreachable!("a key has a secret")
        };
        self.model.keys.push(Key { id, secret, owner: Some(member), permissions, is_revoked: false });
    }

    /// Any key, more often one that is accepted.
    fn caller(&mut self) -> usize {
        let keys: Vec<usize> = (0..self.model.keys.len()).collect();
        let is_accepted = |index: &usize| self.model.is_accepted(&self.model.keys[*index]);
        let accepted: Vec<usize> = keys.iter().copied().filter(is_accepted).collect();
        let from = if accepted.is_empty() || self.die(5) == 0 { keys } else { accepted };
        from[self.die(from.len())]
    }

    async fn call(
        &self,
        caller: usize,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let who = Who::Holder(self.model.keys[caller].secret.clone());
        let answer = self.api.call(method, &who, &format!("{WORKSPACE}{path}"), body.as_ref()).await;
        (answer.status, if answer.text.is_empty() { Value::Null } else { answer.json() })
    }

    /// Compares what happened with what was to happen; says whether it did.
    fn judge(&mut self, what: &str, is_allowed: bool, (status, body): &(StatusCode, Value)) -> bool {
        assert_eq!(status.is_success(), is_allowed, "{what}: {status} {body}");
        assert!(is_allowed || status.is_client_error(), "{what}: {status}");
        if is_allowed {
            self.allowed += 1;
        } else {
            self.refused += 1;
        }
        is_allowed
    }

    fn account(&mut self) -> Option<usize> {
        let accounts: Vec<usize> =
            (0..self.model.members.len()).filter(|index| self.model.members[*index].is_account).collect();
        if accounts.is_empty() { None } else { Some(accounts[self.die(accounts.len())]) }
    }

    fn person(&mut self) -> usize {
        loop {
            let index = self.die(self.model.members.len());
            if !self.model.members[index].is_account {
                return index;
            }
        }
    }

    async fn patch_member(&mut self) {
        let caller = self.caller();
        let target = if self.die(3) == 0 { self.account().unwrap_or(0) } else { self.person() };
        let role = (self.die(3) > 0).then(|| self.role());
        let narrowed = match self.die(4) {
            0 => Some(None),
            1 => Some(Some(self.set())),
            _ => None,
        };
        let member = self.model.members[target].clone();
        let mut after = member.clone();
        after.role = role.unwrap_or(member.role);
        after.narrowed = match narrowed {
            None if after.role == Role::Owner => None,
            None => member.narrowed.map(|set| set & of_role(after.role)),
            Some(set) => set,
        };
        let is_sound =
            after.narrowed.is_none_or(|set| after.role != Role::Owner && set & !of_role(after.role) == 0)
                && !(member.is_account && after.role == Role::Owner)
                && !member.is_gone;
        let leaves_owner = member.role != Role::Owner || after.role == Role::Owner || self.model.owners() > 1;
        let is_allowed = is_sound
            && leaves_owner
            && self.model.authority(caller, Builtin::MembersWrite).is_some_and(|(grantable, is_owner)| {
                (is_owner || (member.role != Role::Owner && after.role != Role::Owner))
                    && after.rights() & !member.rights() & !grantable == 0
            });
        let mut body = json!({});
        if let Some(role) = role {
            body["role"] = json!(role.as_str());
        }
        if let Some(set) = narrowed {
            body["permissions"] = json!(set.map(names));
        }
        let place = if member.is_account { "service-accounts" } else { "members" };
        let answer =
            self.call(caller, Method::PATCH, &format!("/{place}/{}", member.id), Some(body.clone())).await;
        if self.judge(&format!("{caller} changes {member:?} by {body}"), is_allowed, &answer) {
            self.model.members[target] = after;
        }
    }

    async fn remove_member(&mut self) {
        let (caller, target) = (self.caller(), self.person());
        let heir = if self.die(2) == 0 { self.account() } else { None };
        let member = self.model.members[target].clone();
        let authority = self.model.authority(caller, Builtin::MembersWrite);
        let is_allowed = !member.is_gone
            && (member.role != Role::Owner || self.model.owners() > 1)
            && authority.is_some_and(|(grantable, is_owner)| {
                (is_owner || member.role != Role::Owner)
                    && heir.is_none_or(|heir| self.model.may_move(target, heir, grantable))
            });
        let query =
            heir.map_or_else(String::new, |heir| format!("?hand_over_to={}", self.model.members[heir].id));
        let answer = self.call(caller, Method::DELETE, &format!("/members/{}{query}", member.id), None).await;
        if self.judge(&format!("{caller} removes {member:?}, heir {heir:?}"), is_allowed, &answer) {
            if let Some(heir) = heir {
                self.model.move_keys(target, heir);
            }
            self.model.members[target].is_gone = true;
        }
    }

    async fn create_account(&mut self) {
        let (caller, role, narrowed) =
            (self.caller(), self.role(), Some(self.set()).filter(|set| set % 3 > 0));
        let after = Member { role, narrowed, ..Member::new(String::new(), role) };
        let is_sound = role != Role::Owner && narrowed.is_none_or(|set| set & !of_role(role) == 0);
        let is_allowed = is_sound
            && self
                .model
                .authority(caller, Builtin::MembersWrite)
                .is_some_and(|(grantable, _)| after.rights() & !grantable == 0);
        self.accounts += 1;
        let body = json!({
            "name": "api", "email": format!("{}@company.com", self.accounts), "role": role.as_str(),
            "permissions": narrowed.map(names),
        });
        let answer = self.call(caller, Method::POST, "/service-accounts", Some(body.clone())).await;
        if self.judge(&format!("{caller} creates {body}"), is_allowed, &answer) {
            let id = answer.1["id"].as_str().unwrap().to_owned();
            self.model.members.push(Member { id, is_account: true, ..after });
        }
    }

    async fn switch_account(&mut self) {
        let (caller, off) = (self.caller(), self.die(2) == 0);
        let Some(target) = self.account() else { return };
        let member = self.model.members[target].clone();
        let gained = if off { 0 } else { member.rights() & !member.may() };
        let authority = self.model.authority(caller, Builtin::MembersWrite);
        let is_allowed = !member.is_gone && authority.is_some_and(|(grantable, _)| gained & !grantable == 0);
        let action = if off { "disable" } else { "enable" };
        let path = format!("/service-accounts/{}/{action}", member.id);
        let answer = self.call(caller, Method::POST, &path, Some(json!({}))).await;
        if self.judge(&format!("{caller} {action}s {member:?}"), is_allowed, &answer) {
            self.model.members[target].is_off = off;
        }
    }

    async fn delete_account(&mut self) {
        let caller = self.caller();
        let (Some(target), heir) = (self.account(), self.account().filter(|heir| heir % 2 == 0)) else {
            return;
        };
        let member = self.model.members[target].clone();
        let authority = self.model.authority(caller, Builtin::MembersWrite);
        let is_allowed = !member.is_gone
            && authority.is_some_and(|(grantable, _)| {
                heir.is_none_or(|heir| self.model.may_move(target, heir, grantable))
            });
        let query =
            heir.map_or_else(String::new, |heir| format!("?hand_over_to={}", self.model.members[heir].id));
        let answer =
            self.call(caller, Method::DELETE, &format!("/service-accounts/{}{query}", member.id), None).await;
        if self.judge(&format!("{caller} deletes {member:?}, heir {heir:?}"), is_allowed, &answer) {
            if let Some(heir) = heir {
                self.model.move_keys(target, heir);
            }
            self.model.members[target].is_gone = true;
        }
    }

    async fn transfer(&mut self) {
        let (caller, from, to) = (self.caller(), self.person(), self.person());
        let (old, new) = (self.model.members[from].clone(), self.model.members[to].clone());
        let is_allowed = !old.is_gone
            && !new.is_gone
            && old.role == Role::Owner
            && new.role != Role::Owner
            && self.model.authority(caller, Builtin::MembersWrite).is_some_and(|(grantable, is_owner)| {
                is_owner && of_role(Role::Owner) & !new.rights() & !grantable == 0
            });
        let body = json!({"from": old.id, "to": new.id});
        let answer = self.call(caller, Method::POST, "/transfer-ownership", Some(body)).await;
        if self.judge(&format!("{caller} transfers from {old:?} to {new:?}"), is_allowed, &answer) {
            (self.model.members[from].role, self.model.members[from].narrowed) = (Role::Admin, None);
            (self.model.members[to].role, self.model.members[to].narrowed) = (Role::Owner, None);
        }
    }

    async fn create_key(&mut self) {
        let (caller, permissions) = (self.caller(), self.set());
        let account = if self.die(2) == 0 { self.account() } else { None };
        let fits = account.is_none_or(|account| permissions & !self.model.members[account].may() == 0);
        let is_there = account.is_none_or(|account| {
            self.model.members[account].may() > 0 || {
                let member = &self.model.members[account];
                !member.is_gone && !member.is_off
            }
        });
        let may = self.model.authority(caller, Builtin::KeysWrite).is_some();
        let gained = permissions & !self.model.effective(&self.model.keys[caller]);
        let is_allowed = may && fits && is_there && gained == 0;
        let mut body = json!({"name": "web", "environment": "ci", "permissions": names(permissions)});
        if let Some(account) = account {
            body["service_account"] = json!(self.model.members[account].id);
        }
        let answer = self.call(caller, Method::POST, "/keys", Some(body.clone())).await;
        if self.judge(&format!("{caller} creates the key {body}"), is_allowed, &answer) {
            let owner = account.or(self.model.keys[caller].owner);
            let Who::Holder(secret) = holder(&answer.1["secret"]) else { unreachable!("a key has a secret") };
            let id = answer.1["key"]["id"].as_str().unwrap().to_owned();
            self.model.keys.push(Key { id, secret, owner, permissions, is_revoked: false });
        }
    }

    async fn patch_key(&mut self) {
        let (caller, target, permissions) = (self.caller(), self.caller(), self.set());
        let key = self.model.keys[target].clone();
        let may = self.model.authority(caller, Builtin::KeysWrite).is_some();
        let gained = permissions & !key.permissions & !self.model.effective(&self.model.keys[caller]);
        let is_allowed = may && !key.is_revoked && gained == 0;
        let body = json!({"permissions": names(permissions)});
        let answer = self.call(caller, Method::PATCH, &format!("/keys/{}", key.id), Some(body.clone())).await;
        if self.judge(&format!("{caller} changes {key:?} by {body}"), is_allowed, &answer) {
            self.model.keys[target].permissions = permissions;
        }
    }

    async fn revoke_key(&mut self) {
        let (caller, target) = (self.caller(), self.caller());
        let key = self.model.keys[target].clone();
        let is_allowed = self.model.authority(caller, Builtin::KeysWrite).is_some();
        let answer =
            self.call(caller, Method::POST, &format!("/keys/{}/revoke", key.id), Some(json!({}))).await;
        if self.judge(&format!("{caller} revokes {target}"), is_allowed, &answer) {
            self.model.keys[target].is_revoked = true;
        }
    }

    async fn hand_over_key(&mut self) {
        let (caller, target) = (self.caller(), self.caller());
        let Some(heir) = self.account() else { return };
        let (key, member) = (self.model.keys[target].clone(), self.model.members[heir].clone());
        let gained = key.permissions & member.may() & !self.model.effective(&key);
        let is_allowed = !key.is_revoked
            && !member.is_gone
            && !member.is_off
            && self
                .model
                .authority(caller, Builtin::KeysWrite)
                .is_some_and(|(grantable, _)| gained & !grantable == 0);
        let body = json!({"to": member.id});
        let answer =
            self.call(caller, Method::POST, &format!("/keys/{}/hand-over", key.id), Some(body)).await;
        if self.judge(&format!("{caller} hands {key:?} to {member:?}"), is_allowed, &answer) {
            self.model.keys[target].owner = Some(heir);
        }
    }

    async fn look(&mut self) {
        let caller = self.caller();
        let (path, needed) = [
            ("/keys", Builtin::KeysRead),
            ("/members", Builtin::MembersRead),
            ("/service-accounts", Builtin::MembersRead),
            ("", Builtin::WorkspaceRead),
            ("/audit", Builtin::AuditRead),
            ("/usage", Builtin::UsageRead),
        ][self.die(6)];
        let is_allowed = self.model.authority(caller, needed).is_some();
        let answer = self.call(caller, Method::GET, path, None).await;
        self.judge(&format!("{caller} reads {path}"), is_allowed, &answer);
    }

    /// The verdict on a key is what the model says, and never more than its creator has.
    async fn verify(&self, key: usize) {
        let key = &self.model.keys[key];
        let body = json!({"key": key.secret, "cost": 0});
        let verdict = self.api.post(&self.api.operator, "/v1/keys/verify", &body).await.json();
        assert_eq!(verdict["valid"], self.model.is_accepted(key), "{key:?} {verdict}");
        if self.model.is_accepted(key) {
            let expected = self.model.effective(key);
            assert_eq!(expected & !self.model.owner_may(key), 0);
            assert_eq!(verdict["permissions"], json!(names(expected)), "{key:?}");
        }
    }

    /// Somebody comes now and then, so that there is somebody left to act.
    async fn replenish(&mut self) {
        let role = self.role();
        let member = self.join(role).await;
        let set = self.set() | bit(Builtin::MembersWrite) | bit(Builtin::KeysWrite);
        self.give_key(member, set).await;
        self.give_key(member, named()).await;
    }

    async fn turn(&mut self) {
        match self.die(13) {
            0..=2 => self.patch_member().await,
            3 => self.remove_member().await,
            4 => self.create_account().await,
            5 => self.switch_account().await,
            6 if self.die(3) == 0 => self.delete_account().await,
            6 | 7 => self.transfer().await,
            8 | 9 => self.create_key().await,
            10 => self.patch_key().await,
            11 if self.die(3) == 0 => self.revoke_key().await,
            11 => self.hand_over_key().await,
            _ => self.look().await,
        }
    }
}

impl Member {
    const fn new(id: String, role: Role) -> Self {
        Self { id, is_account: false, role, narrowed: None, is_gone: false, is_off: false }
    }
}

#[tokio::test]
async fn two_thousand_changes_go_as_the_model_says() {
    let mut game = Game::new(7).await;
    for number in 0..OPERATIONS {
        game.turn().await;
        if number % 25 == 0 {
            game.replenish().await;
        }
        for _ in 0..2 {
            let key = game.caller();
            game.verify(key).await;
        }
    }
    for key in 0..game.model.keys.len() {
        game.verify(key).await;
    }
    assert!(
        game.allowed > OPERATIONS / 6 && game.refused > OPERATIONS / 6,
        "{} {}",
        game.allowed,
        game.refused
    );
    let workspace = game.api.workspace().await.id;
    let all = game.api.state.store.memberships(workspace).await.unwrap();
    assert_eq!(all.len(), game.model.members.iter().filter(|member| !member.is_gone).count());
}
