//! Members and service accounts for tests.

use http::StatusCode;
use keywright_domain::{
    audit::PersonalData,
    command::{Command, Context, Outcome},
    environment::Environment,
    ids::{AuditId, KeyId, SecretId, UserId, WorkspaceId},
    key::{NewKey, NewSecret},
    permission::Role,
    permit::{Action, Actor, authorize},
    principal::{Creator, Membership, User},
    store::Store as _,
    time::Clock as _,
    workspace::{Slug, Workspace},
};
use keywright_keyformat::{KeyKind, Secret};
use serde_json::{Value, json};

use crate::harness::{Api, Who};

impl Api {
    /// A new member of `acme`.
    pub(crate) async fn member(&self, role: Role) -> Membership {
        let now = self.clock.now();
        let id = UserId::generate(now, &*self.state.entropy);
        let email = format!("{id}@example.com");
        let user = User { id, email, name: "Ada".to_owned(), password_hash: None, created_at: now };
        let workspace = self.workspace().await.id;
        let command = Command::CreateMember { user, workspace, role };
        match self.execute(Action::Operate, None, command).await {
            Outcome::Membership(membership) => *membership,
            other => panic!("another outcome: {other:?}"),
        }
    }

    /// A key of `acme` that this member created, and its id.
    pub(crate) async fn key_of(&self, member: &Membership, permissions: &[&str]) -> (Who, String) {
        let (now, entropy) = (self.clock.now(), &*self.state.entropy);
        let secret = Secret::generate(KeyKind::Live, None, |buffer| entropy.fill(buffer));
        let new = NewKey {
            id: KeyId::generate(now, entropy),
            secret: NewSecret {
                id: SecretId::generate(now, entropy),
                locator: secret.locator(),
                hint: secret.hint().to_string(),
                digest: self.state.plane.digest(secret.expose()),
            },
            name: "key-of-a-member".to_owned(),
            purpose: None,
            environment: Environment::Production,
            permissions: Some(self.state.plane.catalogue().resolve(permissions.iter().copied()).unwrap()),
            created_by: Creator { principal: member.principal, membership: member.number },
            expires_at: None,
            limits: None,
            networks: Vec::new(),
            external_id: None,
            metadata: "{}".to_owned(),
        };
        let id = new.id.to_string();
        let command = Command::CreateKey(Box::new(new));
        self.execute(Action::WriteKeys, Some(member.workspace), command).await;
        (Who::Holder(secret.expose().to_owned()), id)
    }

    /// A service account of `acme` with this identity; it may do all that an Admin may.
    pub(crate) async fn service_account(&self, email: &str) -> String {
        let body = json!({"name": "api-production", "email": email, "role": "admin"});
        let answer = self.post(&self.operator, "/v1/workspaces/acme/service-accounts", &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Replaces `owner`, `usr_` and `sa_` by the id of the first Owner, of a new Viewer and of a new service account.
    pub(crate) async fn fill_in(&self, body: &mut Value) {
        let Some(members) = body.as_object_mut() else { return };
        for (name, value) in members {
            if name == "invitations" {
                let somebody = UserId::generate(self.clock.now(), &*self.state.entropy);
                value[0]["email"] = json!(format!("{somebody}@company.com"));
                continue;
            }
            *value = match (name.as_str(), value.as_str()) {
                ("from", Some("owner")) => {
                    let path = "/v1/workspaces/acme/members?role=owner";
                    self.get(&self.operator, path).await.json()["data"][0]["id"].clone()
                }
                ("from" | "to", Some("usr_")) => json!(self.member(Role::Viewer).await.principal.id_text()),
                ("to" | "hand_over_to", Some("sa_")) => {
                    let number = UserId::generate(self.clock.now(), &*self.state.entropy);
                    json!(self.service_account(&format!("{number}@company.com")).await)
                }
                _ => continue,
            };
        }
    }

    /// The workspace `acme`.
    pub(crate) async fn workspace(&self) -> Workspace {
        self.store.workspace(Slug::parse("acme").unwrap()).await.unwrap().unwrap()
    }

    /// Carries out a command as the system.
    pub(crate) async fn execute(
        &self,
        action: Action,
        workspace: Option<WorkspaceId>,
        command: Command,
    ) -> Outcome {
        let now = self.clock.now();
        let context = Context {
            now,
            permit: authorize(Actor::System, action, workspace).unwrap(),
            audit_id: AuditId::generate(now, &*self.state.entropy),
            request_id: None,
            personal: PersonalData { salt: [0; 16], address: None, user_agent: None },
            idempotency: None,
        };
        self.store.execute(context, command).await.unwrap().outcome
    }
}
