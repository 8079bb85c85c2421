//! From the refusals of the domain to the codes of the interface: the one table.

use keywright_domain::{
    account::AccountError,
    command::{CommandError, IdempotencyError},
    credit::CreditError,
    identity::IdentityError,
    key::KeyError,
    member::MemberError,
    operator::OperatorError,
    permission::{Catalogue, PermissionSet, UnknownPermission},
    plan::PlanError,
    privacy::PrivacyError,
    prompt::PromptError,
    store::StoreError,
    workspace::WorkspaceError,
};

use crate::error::{ApiError, ErrorCode};

/// A command was refused. `catalogue` names permissions.
pub(crate) fn of_command(error: CommandError, catalogue: &Catalogue) -> ApiError {
    match error {
        CommandError::Key(error) => of_key(&error, catalogue),
        CommandError::Workspace(error) => of_workspace(error),
        CommandError::Plan(error) => of_plan(&error),
        CommandError::Operator(error) => of_operator(&error),
        CommandError::Privacy(error @ PrivacyError::LastOwner(_)) => detailed(ErrorCode::LastOwner, &error),
        CommandError::Privacy(error @ PrivacyError::TooManyConsents) => {
            detailed(ErrorCode::LimitReached, &error)
        }
        CommandError::Privacy(PrivacyError::NotFound | PrivacyError::NoConsent) => ErrorCode::NotFound.into(),
        CommandError::Member(error) => of_member(&error, catalogue),
        // Two sign-ins of one person at once: the next try finds what the other one made.
        CommandError::Identity(error) => of_identity(error),
        CommandError::Credit(error) => of_credit(&error),
        CommandError::Prompt(error) => of_prompt(error),
        CommandError::Account(error) => of_account(error),
        CommandError::AlreadySetUp => detailed(ErrorCode::Conflict, &error),
        CommandError::CatalogueFull | CommandError::TooManyMatches => {
            detailed(ErrorCode::LimitReached, &error)
        }
        CommandError::Idempotency(error) => of_idempotency(error),
        CommandError::Permit => ApiError::internal("a command carried a permit for something else"),
        CommandError::Store(error) => of_store(error),
    }
}

/// The store failed. Its text is for the log only.
#[expect(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
pub(crate) fn of_store(error: StoreError) -> ApiError {
    let code = match &error {
        StoreError::Unavailable(_) | StoreError::ReadOnly(_) => ErrorCode::StoreUnavailable,
        StoreError::Full(_) => ErrorCode::StorageFull,
        StoreError::CommitUnknown(_) => ErrorCode::CommitUnknown,
        StoreError::Damaged(_) | StoreError::Internal(_) => ErrorCode::InternalError,
    };
    let problem = ApiError::new(code).context(error.to_string());
    if matches!(error, StoreError::Unavailable(_)) { problem.retry_after_seconds(1) } else { problem }
}

/// A name is not in the catalogue; `field` is where it was given.
pub(crate) fn of_unknown_permission(field: &str, error: &UnknownPermission) -> ApiError {
    let shown = if keywright_domain::permission::PermissionName::parse(&error.0).is_ok() {
        format!("The permission catalogue of this installation has no `{}`.", error.0)
    } else {
        "A permission is named resource:action, as `GET /v1/permissions` lists them.".to_owned()
    };
    ApiError::with_detail(ErrorCode::UnknownPermission, shown).member("field", field)
}

fn of_identity(error: IdentityError) -> ApiError {
    match error {
        IdentityError::NoUser => ErrorCode::NotFound.into(),
        IdentityError::Taken => detailed(ErrorCode::Conflict, &error),
    }
}

fn of_key(error: &KeyError, catalogue: &Catalogue) -> ApiError {
    match error {
        KeyError::NotFound => ErrorCode::NotFound.into(),
        KeyError::Revoked => ErrorCode::KeyAlreadyRevoked.into(),
        KeyError::Expired => detailed(ErrorCode::KeyNotActive, error),
        KeyError::RotationInProgress => ErrorCode::RotationInProgress.into(),
        KeyError::NoRotation => ErrorCode::NoRotationInProgress.into(),
        KeyError::Escalation(beyond) => detailed(ErrorCode::PermissionEscalation, error)
            .member("missing_permissions", names(catalogue, *beyond)),
        KeyError::PolicyPermissions(beyond) => ApiError::invalid_field("permissions", sentence(error))
            .member("not_allowed", names(catalogue, *beyond)),
        KeyError::Field { field, reason } => ApiError::invalid_field(field, format!("`{field}` {reason}.")),
        KeyError::TooMany(_) => detailed(ErrorCode::TooManyKeys, error),
        KeyError::WorkspaceDeleted => detailed(ErrorCode::Conflict, error),
        KeyError::OperatorIssued => detailed(ErrorCode::InsufficientPermissions, error),
    }
}

/// An operation on a workspace was refused.
#[expect(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
pub(crate) fn of_workspace(error: WorkspaceError) -> ApiError {
    match &error {
        WorkspaceError::Slug => ApiError::invalid_field("slug", sentence(&error)),
        WorkspaceError::SlugTaken => detailed(ErrorCode::AlreadyExists, &error),
        WorkspaceError::Name => ApiError::invalid_field("name", sentence(&error)),
        WorkspaceError::NotFound => ErrorCode::NotFound.into(),
        WorkspaceError::UnknownPlan(_) => detailed(ErrorCode::UnknownPlan, &error),
        WorkspaceError::FormerSlugs => detailed(ErrorCode::LimitReached, &error),
        WorkspaceError::GraceDays => {
            ApiError::with_detail(ErrorCode::InvalidQuery, sentence(&error)).member("field", "grace_days")
        }
        WorkspaceError::NotDeleted | WorkspaceError::NotFinal => detailed(ErrorCode::Conflict, &error),
        WorkspaceError::Policy(reason) => {
            let field = reason.split(' ').next().filter(|word| word.contains('_')).unwrap_or("rotation");
            ApiError::invalid_field(&format!("policy.{field}"), sentence(&error))
        }
    }
}

fn of_plan(error: &PlanError) -> ApiError {
    match error {
        PlanError::Name => ApiError::invalid_field("name", sentence(error)),
        PlanError::Limits(limits) => ApiError::invalid_field("limits", sentence(limits)),
        PlanError::Unknown(_) => ErrorCode::NotFound.into(),
        PlanError::InUse(_) | PlanError::Builtin(_) => detailed(ErrorCode::Conflict, error),
        PlanError::TooMany => detailed(ErrorCode::LimitReached, error),
    }
}

fn of_operator(error: &OperatorError) -> ApiError {
    match error {
        OperatorError::NotFound => ErrorCode::NotFound.into(),
        OperatorError::Last => detailed(ErrorCode::Conflict, error),
        OperatorError::Name => ApiError::invalid_field("name", sentence(error)),
    }
}

/// An operation on a member or a service account was refused.
fn of_member(error: &MemberError, catalogue: &Catalogue) -> ApiError {
    match error {
        MemberError::NotFound => ErrorCode::NotFound.into(),
        MemberError::NoServiceAccount => detailed(ErrorCode::NotFound, error),
        MemberError::CallerLeft => detailed(ErrorCode::InsufficientPermissions, error),
        MemberError::LastOwner => ErrorCode::LastOwner.into(),
        MemberError::OwnerOnly => ErrorCode::OwnerOnly.into(),
        MemberError::NotOwner => detailed(ErrorCode::OwnerOnly, error),
        MemberError::Escalation(beyond) => detailed(ErrorCode::PermissionEscalation, error)
            .member("missing_permissions", names(catalogue, *beyond)),
        MemberError::NotInRole(beyond) => ApiError::invalid_field("permissions", sentence(error))
            .member("not_allowed", names(catalogue, *beyond)),
        MemberError::OwnerIsWhole => ApiError::invalid_field("permissions", sentence(error)),
        MemberError::OwnerIsAPerson => ApiError::invalid_field("role", sentence(error)),
        MemberError::AlreadyOwner | MemberError::AccountDisabled | MemberError::SameAccount => {
            detailed(ErrorCode::Conflict, error)
        }
        MemberError::TooManyKeys | MemberError::TooMany => detailed(ErrorCode::LimitReached, error),
        MemberError::EmailTaken => detailed(ErrorCode::AlreadyExists, error),
        MemberError::Field { field, reason } => {
            ApiError::invalid_field(field, format!("`{field}` {reason}."))
        }
    }
}

fn of_account(error: AccountError) -> ApiError {
    match error {
        AccountError::NotFound => ErrorCode::NotFound.into(),
        AccountError::EmailTaken | AccountError::AlreadyMember | AccountError::AlreadyInvited => {
            detailed(ErrorCode::AlreadyExists, &error)
        }
        AccountError::TooManyInvitations => detailed(ErrorCode::LimitReached, &error),
        AccountError::LinkOver => ErrorCode::InvalidLink.into(),
        AccountError::InviterLost => ErrorCode::InviterLost.into(),
        AccountError::PasswordNeeded => ErrorCode::PasswordNeeded.into(),
        AccountError::FactorNeeded => ErrorCode::SecondFactorRequired.into(),
        AccountError::FactorUsed => ErrorCode::InvalidCode.into(),
        AccountError::FactorEnabled => detailed(ErrorCode::Conflict, &error),
        AccountError::NoFactor => detailed(ErrorCode::NotFound, &error),
    }
}

fn of_credit(error: &CreditError) -> ApiError {
    match error {
        CreditError::NoAccount | CreditError::NoReservation => ErrorCode::NotFound.into(),
        CreditError::Insufficient { balance, .. } => {
            detailed(ErrorCode::InsufficientCredits, error).member("balance", *balance)
        }
        CreditError::Settled(how) => {
            detailed(ErrorCode::ReservationEnded, error).member("reservation_status", *how)
        }
        CreditError::Amount | CreditError::MoreThanReserved { .. } => {
            ApiError::invalid_field("amount", sentence(error))
        }
        CreditError::Lifetime => ApiError::invalid_field("ttl_seconds", sentence(error)),
        CreditError::Period => ApiError::invalid_field("refill.every_seconds", sentence(error)),
        CreditError::Text(field) => ApiError::invalid_field(field, sentence(error)),
    }
}
/// An operation on a prompt was refused.
#[expect(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
pub(crate) fn of_prompt(error: PromptError) -> ApiError {
    match &error {
        PromptError::Field { field, reason } => {
            ApiError::invalid_field(field, format!("`{field}` {reason}."))
        }
        PromptError::SlugTaken => detailed(ErrorCode::AlreadyExists, &error),
        PromptError::NotFound => ErrorCode::NotFound.into(),
        PromptError::TooManyPrompts
        | PromptError::TooManyVersions
        | PromptError::TooManyItems
        | PromptError::TooManyBytes => detailed(ErrorCode::LimitReached, &error),
        PromptError::Revision { current } => {
            detailed(ErrorCode::RevisionMismatch, &error).member("revision", *current)
        }
        PromptError::Unchanged { version } => {
            detailed(ErrorCode::NothingToPublish, &error).member("version", format!("v{version}"))
        }
        PromptError::Archived => ErrorCode::PromptArchived.into(),
    }
}

fn of_idempotency(error: IdempotencyError) -> ApiError {
    match error {
        IdempotencyError::Mismatch => ErrorCode::IdempotencyMismatch.into(),
        IdempotencyError::AlreadyApplied { target, hint } => {
            let problem = ApiError::new(ErrorCode::AlreadyApplied).member("id", target.clone());
            let problem = if target.starts_with("key_") { problem.member("key_id", target) } else { problem };
            problem.member("hint", hint)
        }
    }
}

fn detailed(code: ErrorCode, error: &dyn std::fmt::Display) -> ApiError {
    ApiError::with_detail(code, sentence(error))
}

/// The text of an error as a sentence.
fn sentence(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", characters.as_str())
}

fn names(catalogue: &Catalogue, set: PermissionSet) -> Vec<String> {
    catalogue.names(set).map(str::to_owned).collect()
}
