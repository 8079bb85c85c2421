//! Signing in by a provider, once it is certain who came back: which user that is, what their groups give and take, and the
//! session.

use keywright_domain::{
    account::SignInMethod,
    command::Command,
    identity::{ExternalIdentity, IdentityCommand},
    ids::UserId,
    key::is_printable,
    member::{MemberCommand, MemberPatch},
    permission::Role,
    permit::Action,
    principal::{Membership, Principal, User},
    privacy::Who,
    workspace::Workspace,
};

use crate::{
    actor::Origin,
    error::{ApiError, ErrorCode},
    oidc::{Claims, ExchangeError, ProviderSettings, UnknownPeople},
    sign_in::{Begun, Proof, begin_session, system_permit, system_permit_for},
    state::AppState,
    v1::problems,
};

/// Longest name of a person that is taken over, in characters.
const NAME_MAX_CHARS: usize = 254;

/// What went wrong between the installation and the provider.
pub(crate) fn of_exchange(error: &ExchangeError) -> ApiError {
    let code = match error {
        ExchangeError::Unavailable(_) => ErrorCode::IdentityProviderUnavailable,
        ExchangeError::Refused(_) => ErrorCode::IdentityProviderRefused,
        ExchangeError::Token(_) => ErrorCode::IdentityNotTrusted,
    };
    ApiError::new(code).context(error.to_string())
}

/// Signs in whoever `provider` says it is.
///
/// # Errors
/// `identity_not_admitted` for people whom the operator's rules leave out; as the store.
pub(crate) async fn admit(
    state: &AppState,
    origin: &Origin,
    provider: &ProviderSettings,
    claims: Claims,
) -> Result<Begun, ApiError> {
    let email = claims.verified_email.as_deref();
    if !provider.email_domains.is_empty() && !email.is_some_and(|email| provider.speaks_for(email)) {
        return Err(not_admitted("no verified address of a domain that is admitted"));
    }
    let identity = ExternalIdentity { issuer: provider.issuer.clone(), subject: claims.subject.clone() };
    let known = state.store.user_of(identity.clone()).await.map_err(problems::of_store)?;
    let user = match known {
        Some(user) => user.id,
        None => newcomer(state, origin, provider, &claims, identity).await?,
    };
    adjust_memberships(state, origin, provider, user, &claims.groups).await?;
    // What the provider asked for counts; a second factor here belongs to the password.
    let proof = Proof { method: SignInMethod::OpenIdConnect, factor: None, forgive: Vec::new() };
    begin_session(state, origin, user, proof).await
}

fn not_admitted(why: &'static str) -> ApiError {
    ApiError::new(ErrorCode::IdentityNotAdmitted).context(why)
}

/// Somebody who signs in by this provider for the first time: a user with their address, if the provider speaks for it, or
/// a new one.
async fn newcomer(
    state: &AppState,
    origin: &Origin,
    provider: &ProviderSettings,
    claims: &Claims,
    identity: ExternalIdentity,
) -> Result<UserId, ApiError> {
    let Some(email) = &claims.verified_email else { return Err(not_admitted("no verified address")) };
    let holder = state.store.person(Who::Email(email.clone())).await.map_err(problems::of_store)?;
    let (user, command) = match holder {
        Some(user) if provider.speaks_for(email) => {
            (user.id, IdentityCommand::Link { user: user.id, identity })
        }
        Some(_) => return Err(not_admitted("somebody else's account has the address")),
        None if provider.unknown_people == UnknownPeople::Refuse => {
            return Err(not_admitted("nobody has the address, and unknown people are refused"));
        }
        None => {
            let user = new_user(state, origin, email, claims.name.as_deref());
            (user.id, IdentityCommand::Create { user, identity })
        }
    };
    let context = origin.context(state, system_permit()?, None);
    state.carry_out(context, Command::Identity(command)).await?;
    Ok(user)
}

fn new_user(state: &AppState, origin: &Origin, email: &str, name: Option<&str>) -> User {
    let name = name.filter(|name| is_printable(name, 1, NAME_MAX_CHARS)).unwrap_or(email);
    User {
        id: UserId::generate(origin.now, &*state.entropy),
        email: email.to_owned(),
        name: name.to_owned(),
        password_hash: None,
        created_at: origin.now,
    }
}

/// Makes the person's memberships in the workspaces that the provider governs what their groups give there.
async fn adjust_memberships(
    state: &AppState,
    origin: &Origin,
    provider: &ProviderSettings,
    user: UserId,
    groups: &[String],
) -> Result<(), ApiError> {
    let memberships = state.store.memberships_of(Principal::User(user)).await.map_err(problems::of_store)?;
    for (slug, role) in provider.roles(groups) {
        let found = state.store.workspace(slug.clone()).await.map_err(problems::of_store)?;
        let Some(workspace) = found else {
            tracing::warn!(
                provider = provider.name.as_str(),
                workspace = slug.as_str(),
                "a mapping names no workspace"
            );
            continue;
        };
        let before = memberships.iter().find(|membership| membership.workspace == workspace.id);
        adjust(state, origin, &workspace, user, before, role).await?;
    }
    Ok(())
}

async fn adjust(
    state: &AppState,
    origin: &Origin,
    workspace: &Workspace,
    user: UserId,
    before: Option<&Membership>,
    role: Option<Role>,
) -> Result<(), ApiError> {
    let (action, command) = match (before, role) {
        (None, Some(role)) => {
            let join = IdentityCommand::Join { user, workspace: workspace.id, role };
            (Action::Operate, Command::Identity(join))
        }
        (Some(before), Some(role)) if before.role != role => {
            let patch = MemberPatch { role: Some(role), narrowed_to: None };
            (Action::WriteMembers, Command::Member(MemberCommand::Patch { user, patch }))
        }
        (Some(_), None) => {
            let reason = Some("no group gives it any more".to_owned());
            (
                Action::WriteMembers,
                Command::Member(MemberCommand::Remove { user, hand_over_to: None, reason }),
            )
        }
        (None, None) | (Some(_), Some(_)) => return Ok(()),
    };
    let on = (action == Action::WriteMembers).then_some(workspace.id);
    let context = origin.context(state, system_permit_for(action, on)?, None);
    match state.commit(origin, context, command).await {
        Err(error) if error.code() == ErrorCode::LastOwner => {
            // Groups do not leave a workspace without an Owner.
            tracing::warn!(
                workspace = workspace.slug.as_str(),
                "groups would take the last Owner away: kept"
            );
            Ok(())
        }
        other => other.map(|_| ()),
    }
}
