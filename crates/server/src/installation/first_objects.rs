//! The first objects of an installation: an operator credential, and a workspace with its owner.

use keywright_domain::{
    command::{Bootstrap, Command, CommandError, NewOperator, NewWorkspace, Outcome},
    ids::{OperatorId, SecretId, UserId, WorkspaceId},
    key::NewSecret,
    principal::{Membership, User},
    time::Timestamp,
    workspace::{Slug, Workspace, WorkspacePolicy},
};
use keywright_keyformat::{IssuerTag, KeyKind, Secret};

use super::{Opened, explain_store, system_context};
use crate::{
    failure::{Exit, Failure},
    system::SystemEntropy,
};

/// The workspace to begin with.
pub(crate) struct FirstWorkspace {
    /// The name in addresses.
    pub(crate) slug: Slug,
    /// The plan's name.
    pub(crate) plan: &'static str,
    /// Address the owner signs in with.
    pub(crate) owner_email: String,
    /// Argon2id hash of the owner's password, if one is set.
    pub(crate) password_hash: Option<String>,
}

/// What was made.
pub(crate) struct FirstObjects {
    /// The operator credential's secret.
    pub(crate) operator: Secret,
    /// The workspace and the owner's membership.
    pub(crate) workspace: Option<(Workspace, Membership)>,
}

/// Makes a secret, and what the store keeps of it.
pub(crate) fn issue(
    opened: &Opened,
    kind: KeyKind,
    tag: Option<&IssuerTag>,
    now: Timestamp,
) -> (Secret, NewSecret) {
    let entropy: &dyn keywright_domain::entropy::Entropy = &SystemEntropy;
    let secret = Secret::generate(kind, tag, |buffer| entropy.fill(buffer));
    let kept = NewSecret {
        id: SecretId::generate(now, entropy),
        locator: secret.locator(),
        hint: secret.hint().to_string(),
        digest: opened.engine.digest(secret.expose().as_bytes()),
    };
    (secret, kept)
}

/// Sets the installation up. Fails when that was done before.
pub(crate) async fn bootstrap(
    opened: &Opened,
    tag: Option<&IssuerTag>,
    first: Option<FirstWorkspace>,
) -> Result<FirstObjects, Failure> {
    let context = system_context();
    let now = context.now;
    let (secret, kept) = issue(opened, KeyKind::Operator, tag, now);
    let operator =
        NewOperator { id: OperatorId::generate(now, &SystemEntropy), name: "first".to_owned(), secret: kept };
    let workspace = first.map(|first| first.into_new(now));
    let command = Command::Bootstrap(Box::new(Bootstrap { operator, workspace }));
    match opened.store.execute(context, command).await.map_err(|error| explain_command(&error))?.outcome {
        Outcome::Bootstrapped { workspace, .. } => {
            Ok(FirstObjects { operator: secret, workspace: workspace.map(|both| *both) })
        }
        _ => {
            Err(Failure::new(Exit::Software, "the store answered a command with the outcome of another one"))
        }
    }
}

impl FirstWorkspace {
    fn into_new(self, now: Timestamp) -> (NewWorkspace, User) {
        let workspace = NewWorkspace {
            id: WorkspaceId::generate(now, &SystemEntropy),
            name: self.slug.as_str().to_owned(),
            slug: self.slug,
            plan: self.plan.to_owned(),
            policy: WorkspacePolicy::default(),
        };
        let owner = User {
            id: UserId::generate(now, &SystemEntropy),
            name: self.owner_email.clone(),
            email: self.owner_email,
            password_hash: self.password_hash,
            created_at: now,
        };
        (workspace, owner)
    }
}

/// A refused command, with what to do.
pub(crate) fn explain_command(error: &CommandError) -> Failure {
    match error {
        CommandError::Store(error) => explain_store(error),
        CommandError::AlreadySetUp => Failure::new(Exit::Negative, "the installation is set up already")
            .remedy("further operator credentials: keywright operators create, with an existing one"),
        _ => Failure::new(Exit::Software, error.to_string()),
    }
}
