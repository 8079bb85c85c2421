//! Fields that endpoints about members and service accounts read alike.

use keywright_domain::{ids::ServiceAccountId, member::MemberPatch, permission::PermissionSet};

use crate::{
    error::ApiError,
    state::AppState,
    v1::problems::of_unknown_permission,
    wire::{Patch, Role},
};

/// Role and permissions of a PATCH.
pub(in crate::v1) struct MemberFields {
    /// The role.
    pub(in crate::v1) role: Patch<Role>,
    /// The permissions within it.
    pub(in crate::v1) permissions: Patch<Vec<String>>,
}

impl MemberFields {
    /// As the domain knows them.
    ///
    /// # Errors
    /// `invalid_field` for `null` as the role; `unknown_permission`.
    pub(in crate::v1) fn into_patch(self, state: &AppState) -> Result<MemberPatch, ApiError> {
        let permissions = self.permissions.try_map(|names| permissions(state, &names))?;
        Ok(MemberPatch {
            role: self.role.required("role")?.map(Into::into),
            narrowed_to: permissions.clearable(),
        })
    }
}

/// The permissions of these names.
///
/// # Errors
/// `unknown_permission`.
pub(in crate::v1) fn permissions(state: &AppState, names: &[String]) -> Result<PermissionSet, ApiError> {
    let names = names.iter().map(String::as_str);
    state.plane.catalogue().resolve(names).map_err(|error| of_unknown_permission("permissions", &error))
}

/// The service account that a field names.
///
/// # Errors
/// `invalid_field` for a text that is no id.
pub(in crate::v1) fn account_id(field: &str, text: &str) -> Result<ServiceAccountId, ApiError> {
    ServiceAccountId::parse(text).map_err(|_| {
        ApiError::invalid_field(field, format!("`{field}` is the id of a service account (`sa_…`)."))
    })
}
