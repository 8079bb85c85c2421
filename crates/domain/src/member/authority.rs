use super::MemberError;
use crate::{
    permission::{PermissionSet, Role},
    permit::{Actor, Permit},
    principal::{Membership, MembershipNumber},
};

/// What whoever acts may give to others and take from them, as the store finds it in the transaction of the change: a
/// permit says what was so when the request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority {
    role: Role,
    grantable: PermissionSet,
}

impl Authority {
    /// The authority of the permit's actor. `membership` is the one that the actor acts by, as it is now; `named` are the
    /// permissions that have a name in the catalogue.
    ///
    /// The operator acts like an Owner. A key acts with the role of its creator, within its own permissions; a key that
    /// holds every named permission of its creator acts just like its creator. Roles hold permissions that have no name
    /// yet, so a key that holds less can never give a role that is as large as an Admin's.
    ///
    /// # Errors
    /// [`MemberError::CallerLeft`] when the actor is no member any more.
    pub fn of(
        permit: &Permit,
        membership: Option<&Membership>,
        named: PermissionSet,
    ) -> Result<Self, MemberError> {
        let whole = Self { role: Role::Owner, grantable: PermissionSet::ALL };
        if permit.is_operator() {
            return Ok(whole);
        }
        let is_of_operator = permit
            .actor()
            .as_creator()
            .is_some_and(|creator| creator.membership == MembershipNumber::OPERATOR);
        let own = match membership {
            _ if is_of_operator => whole,
            Some(membership) if membership.is_active() => {
                Self { role: membership.role, grantable: membership.permissions() }
            }
            Some(_) | None => return Err(MemberError::CallerLeft),
        };
        let Actor::Key { permissions, .. } = permit.actor() else { return Ok(own) };
        if own.grantable.intersection(named).is_subset(*permissions) {
            return Ok(own);
        }
        Ok(Self { role: own.role, grantable: own.grantable.intersection(*permissions) })
    }

    /// What may be given to others.
    pub const fn grantable(&self) -> PermissionSet {
        self.grantable
    }

    /// Whether it is an Owner's, or the operator's.
    pub fn is_owner(&self) -> bool {
        self.role == Role::Owner
    }

    /// Checks that a role, or whoever has it, is not above the one who acts. Only one role is above any other that may
    /// change members: the Owner's.
    ///
    /// # Errors
    /// [`MemberError::OwnerOnly`].
    pub fn check_role(&self, role: Role) -> Result<(), MemberError> {
        if role < self.role && role == Role::Owner { Err(MemberError::OwnerOnly) } else { Ok(()) }
    }

    /// Checks that nothing is given that the one who acts has not.
    ///
    /// # Errors
    /// [`MemberError::Escalation`] with what is beyond.
    pub fn check_grant(&self, gained: PermissionSet) -> Result<(), MemberError> {
        let beyond = gained.without(self.grantable);
        if beyond.is_empty() { Ok(()) } else { Err(MemberError::Escalation(beyond)) }
    }
}
