//! Parameters of paths, for the OpenAPI document.

use utoipa::IntoParams;

/// A workspace.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct WorkspacePath {
    /// The workspace's slug.
    #[param(example = "acme")]
    pub slug: String,
}

/// A key of a workspace.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct KeyPath {
    /// The workspace's slug.
    #[param(example = "acme")]
    pub slug: String,
    /// The key's id.
    #[param(example = "key_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub id: String,
}

/// A member of a workspace.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct MemberPath {
    /// The workspace's slug.
    #[param(example = "acme")]
    pub slug: String,
    /// The person's id.
    #[param(example = "usr_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub id: String,
}

/// An invitation to a workspace.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InvitationPath {
    /// The workspace's slug.
    #[param(example = "acme")]
    pub slug: String,
    /// The invitation's id.
    #[param(example = "inv_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub id: String,
}

/// A service account of a workspace.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct ServiceAccountPath {
    /// The workspace's slug.
    #[param(example = "acme")]
    pub slug: String,
    /// The service account's id.
    #[param(example = "sa_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub id: String,
}

/// A reservation of credits.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct ReservationPath {
    /// The workspace's slug.
    #[param(example = "acme")]
    pub slug: String,
    /// The reservation's id.
    #[param(example = "rsv_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub id: String,
}

/// Something with a name.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct NamePath {
    /// The name.
    pub name: String,
}

/// An operator credential.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OperatorPath {
    /// The credential's id.
    #[param(example = "opr_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub id: String,
}

/// A person.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct UserPath {
    /// The person's id.
    #[param(example = "usr_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub id: String,
}

/// A consent of a person.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct ConsentPath {
    /// The person's id.
    #[param(example = "usr_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub id: String,
    /// What is consented to: 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`.
    #[param(example = "terms")]
    pub name: String,
}

/// A consent of the person who is signed in.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OwnConsentPath {
    /// What is consented to: 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`.
    #[param(example = "terms")]
    pub name: String,
}

/// A change that other nodes may not go by yet.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OperationPath {
    /// The operation's id.
    #[param(example = "op_000000000002m00g1srf4x7z8a")]
    pub id: String,
}
