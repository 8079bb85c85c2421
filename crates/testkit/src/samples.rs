use keywright_domain::{
    audit::PersonalData,
    command::{Bootstrap, Context, Idempotency, NewOperator, NewWorkspace},
    entropy::{Entropy, random_bytes},
    environment::{Environment, Mode},
    ids::{AuditId, IncidentId, KeyId, OperatorId, RequestId, SecretId, UserId, WorkspaceId},
    key::{NewKey, NewSecret, SecretDigest},
    permit::{Action, Actor, Permit, authorize},
    principal::{Creator, MembershipNumber, Principal, User},
    time::Timestamp,
    workspace::{Slug, WorkspacePolicy},
};
use keywright_keyformat::{KeyKind, Secret};

use crate::SeededEntropy;

/// Makes objects for tests: all different, and the same for the same seed.
pub struct Samples {
    entropy: SeededEntropy,
}

impl Samples {
    /// When sample objects are made, unless the test says otherwise: 2026-11-21T08:00:00Z.
    pub const NOW: Timestamp = Timestamp::from_unix_ms(1_795_248_000_000);

    /// The samples of this seed.
    pub fn new(seed: u64) -> Self {
        Self { entropy: SeededEntropy::new(seed) }
    }

    /// Where the samples' randomness comes from.
    pub fn entropy(&self) -> &SeededEntropy {
        &self.entropy
    }

    /// A secret's text and what a store keeps of it. The digest is random: no engine would accept the text.
    pub fn secret(&self, kind: KeyKind) -> (Secret, NewSecret) {
        let secret = Secret::generate(kind, None, |bytes| self.entropy.fill(bytes));
        let new = NewSecret {
            id: SecretId::generate(Self::NOW, &self.entropy),
            locator: secret.locator(),
            hint: secret.hint().to_string(),
            digest: self.digest(1),
        };
        (secret, new)
    }

    /// A random digest under this version of the pepper.
    pub fn digest(&self, pepper: u16) -> SecretDigest {
        SecretDigest { pepper, bytes: random_bytes(&self.entropy) }
    }

    /// A secret for a key.
    pub fn new_secret(&self, environment: Environment) -> NewSecret {
        let kind = match environment.mode() {
            Mode::Live => KeyKind::Live,
            Mode::Test => KeyKind::Test,
        };
        self.secret(kind).1
    }

    /// A production key with this name, created by the operator, with the default permissions.
    pub fn new_key(&self, name: &str) -> NewKey {
        NewKey {
            id: KeyId::generate(Self::NOW, &self.entropy),
            secret: self.new_secret(Environment::Production),
            name: name.to_owned(),
            purpose: None,
            environment: Environment::Production,
            permissions: None,
            created_by: Creator {
                principal: Principal::Operator(OperatorId::from_bytes([7; 16])),
                membership: MembershipNumber::OPERATOR,
            },
            expires_at: None,
            limits: None,
            networks: Vec::new(),
            external_id: None,
            metadata: "{}".to_owned(),
        }
    }

    /// A workspace with this slug on the default plan.
    pub fn new_workspace(&self, slug: &str) -> NewWorkspace {
        NewWorkspace {
            id: WorkspaceId::generate(Self::NOW, &self.entropy),
            slug: Slug::parse(slug).unwrap(),
            name: format!("The {slug} company"),
            plan: "standard".to_owned(),
            policy: WorkspacePolicy::default(),
        }
    }

    /// A person.
    pub fn user(&self) -> User {
        let id = UserId::generate(Self::NOW, &self.entropy);
        User {
            id,
            email: format!("{id}@example.com"),
            name: "Ada".to_owned(),
            password_hash: None,
            created_at: Self::NOW,
        }
    }

    /// An operator credential with this name.
    pub fn new_operator(&self, name: &str) -> NewOperator {
        let id = OperatorId::generate(Self::NOW, &self.entropy);
        NewOperator { id, name: name.to_owned(), secret: self.secret(KeyKind::Operator).1 }
    }

    /// The first objects of an installation, with a workspace of this slug.
    pub fn bootstrap(&self, slug: &str) -> Bootstrap {
        Bootstrap {
            operator: self.new_operator("first"),
            workspace: Some((self.new_workspace(slug), self.user())),
        }
    }

    /// An incident's id.
    pub fn incident_id(&self) -> IncidentId {
        IncidentId::generate(Self::NOW, &self.entropy)
    }

    /// What a command carries beside itself, at `now`.
    pub fn context_at(&self, now: Timestamp, permit: Permit) -> Context {
        Context {
            now,
            permit,
            audit_id: AuditId::generate(now, &self.entropy),
            request_id: Some(RequestId::generate(now, &self.entropy)),
            personal: PersonalData {
                salt: random_bytes(&self.entropy),
                address: Some([192, 0, 2, 7].into()),
                user_agent: Some("keywright-testkit/1".to_owned()),
            },
            idempotency: None,
        }
    }

    /// What a command carries beside itself, at [`Self::NOW`].
    pub fn context(&self, permit: Permit) -> Context {
        self.context_at(Self::NOW, permit)
    }

    /// The same with an `Idempotency-Key`; `request` stands for the request's content.
    pub fn repeatable(&self, permit: Permit, key: &str, request: u8) -> Context {
        let mut context = self.context(permit);
        context.idempotency = Some(Idempotency {
            actor: permit.actor().text(),
            key: key.to_owned(),
            fingerprint: [request; 32],
        });
        context
    }

    /// The operator's permit for the installation.
    pub fn operator_permit() -> Permit {
        Self::permit(Action::Operate, None)
    }

    /// The operator's permit for the keys of a workspace.
    pub fn keys_permit(workspace: WorkspaceId) -> Permit {
        Self::permit(Action::WriteKeys, Some(workspace))
    }

    /// The operator's permit for anything.
    pub fn permit(action: Action, workspace: Option<WorkspaceId>) -> Permit {
        let operator = Actor::Operator(OperatorId::from_bytes([7; 16]));
        authorize(operator, action, workspace).expect("the operator may do everything")
    }
}
