//! What an action is, in the words of a SIEM: the class and activity of the Open Cybersecurity Schema Framework (OCSF) 1.3,
//! and how much it matters.

/// How much an event matters, as OCSF numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// The course of things.
    Informational = 1,
    /// Something was given, taken away or limited.
    Low = 2,
    /// Somebody should look.
    Medium = 3,
    /// Somebody should look now.
    High = 4,
}

impl Severity {
    /// The word of OCSF.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "Informational",
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
        }
    }

    /// The level of the `security` logger.
    pub(crate) const fn level(self) -> &'static str {
        match self {
            Self::Informational | Self::Low => "INFO",
            Self::Medium => "WARNING",
            Self::High => "ERROR",
        }
    }

    /// The severity of syslog (RFC 5424, section 6.2.1).
    pub(crate) const fn syslog(self) -> u8 {
        match self {
            Self::Informational => 6,
            Self::Low => 5,
            Self::Medium => 4,
            Self::High => 3,
        }
    }
}

/// The classes of OCSF that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// 3001: an account was made, changed or removed.
    AccountChange,
    /// 3002: somebody presented a credential, or gave it up.
    Authentication,
    /// 3005: what somebody may do was changed.
    UserAccess,
    /// 6003: a call of the interface changed something.
    ApiActivity,
}

impl Class {
    /// The number.
    pub(crate) const fn uid(self) -> u32 {
        match self {
            Self::AccountChange => 3_001,
            Self::Authentication => 3_002,
            Self::UserAccess => 3_005,
            Self::ApiActivity => 6_003,
        }
    }

    /// The name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AccountChange => "Account Change",
            Self::Authentication => "Authentication",
            Self::UserAccess => "User Access Management",
            Self::ApiActivity => "API Activity",
        }
    }

    /// The category: Identity & Access Management, or Application Activity.
    pub(crate) const fn category(self) -> (u32, &'static str) {
        match self {
            Self::AccountChange | Self::Authentication | Self::UserAccess => {
                (3, "Identity & Access Management")
            }
            Self::ApiActivity => (6, "Application Activity"),
        }
    }

    /// The activities of the class that are used, by number. 99 is `Other` in each.
    const fn activities(self) -> &'static [(u32, &'static str)] {
        match self {
            Self::AccountChange => &[
                (1, "Create"),
                (2, "Enable"),
                (3, "Password Change"),
                (4, "Password Reset"),
                (5, "Disable"),
                (6, "Delete"),
                (9, "Lock"),
                (10, "MFA Factor Enable"),
                (11, "MFA Factor Disable"),
            ],
            Self::Authentication => &[(1, "Logon"), (2, "Logoff")],
            Self::UserAccess => &[(1, "Assign Privileges"), (2, "Revoke Privileges")],
            Self::ApiActivity => &[(1, "Create"), (2, "Read"), (3, "Update"), (4, "Delete")],
        }
    }

    /// The name of an activity.
    pub(crate) fn activity(self, number: u32) -> &'static str {
        let known = self.activities().iter().find(|(known, _)| *known == number);
        known.map_or("Other", |(_, name)| name)
    }
}

/// The number of an activity that the class has no word for.
pub(crate) const OTHER: u32 = 99;

/// What an action is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Its class.
    pub(crate) class: Class,
    /// Its activity within the class.
    pub(crate) activity: u32,
    /// How much it matters.
    pub(crate) severity: Severity,
}

const fn kind(class: Class, activity: u32, severity: Severity) -> Kind {
    Kind { class, activity, severity }
}

/// Whether an entry of the audit trail with this action is a security event. Spending of credits is bookkeeping.
pub(crate) fn is_security(action: &str) -> bool {
    !action.starts_with("credits.")
}

/// What `action` is.
pub(crate) fn of(action: &str) -> Kind {
    use Class::{AccountChange, ApiActivity, Authentication, UserAccess};
    use Severity::{High, Informational, Low, Medium};
    match action {
        "sign_in.failed" | "credentials.refused" | "credentials.address_blocked" => {
            kind(Authentication, 1, Medium)
        }
        "session.created" | "sign_in.succeeded" => kind(Authentication, 1, Informational),
        "session.ended" => kind(Authentication, 2, Informational),
        "user.locked" => kind(AccountChange, 9, Medium),
        "user.password_changed" | "password.changed" => kind(AccountChange, 3, Low),
        "user.password_reset" | "password.reset" => kind(AccountChange, 4, Low),
        "user.totp_enabled" | "totp.enabled" => kind(AccountChange, 10, Low),
        "user.totp_disabled" | "totp.disabled" => kind(AccountChange, 11, Medium),
        "member.created" | "member.updated" | "member.ownership_received" => kind(UserAccess, 1, Low),
        "member.removed" | "member.left" | "member.ownership_given" => kind(UserAccess, 2, Low),
        "key.compromised" => kind(ApiActivity, 3, High),
        "limits.exceeded" => kind(ApiActivity, OTHER, Low),
        "user.exported" => kind(ApiActivity, 2, Low),
        _ => by_form(action),
    }
}

/// By what was changed, and by the verb.
fn by_form(action: &str) -> Kind {
    let (target, verb) = action.split_once('.').unwrap_or(("", action));
    let is_account = matches!(target, "user" | "service_account");
    let severity = match target {
        "prompt" => Severity::Informational,
        _ => Severity::Low,
    };
    let (account, activity) = match verb {
        "created" => (1, 1),
        "enabled" => (2, 3),
        "disabled" => (5, 3),
        "deleted" | "erased" | "removed" | "purged" => (6, 4),
        "revoked" => (OTHER, 4),
        _ => (OTHER, 3),
    };
    if is_account {
        kind(Class::AccountChange, account, severity)
    } else {
        kind(Class::ApiActivity, activity, severity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_documents_ask_for_is_classified() {
        for (action, class, activity) in [
            ("session.created", 3_002, "Logon"),
            ("session.ended", 3_002, "Logoff"),
            ("credentials.refused", 3_002, "Logon"),
            ("key.created", 6_003, "Create"),
            ("key.rotated", 6_003, "Update"),
            ("key.revoked", 6_003, "Delete"),
            ("key.compromised", 6_003, "Update"),
            ("member.updated", 3_005, "Assign Privileges"),
            ("member.left", 3_005, "Revoke Privileges"),
            ("workspace.updated", 6_003, "Update"),
            ("user.erased", 3_001, "Delete"),
            ("user.exported", 6_003, "Read"),
            ("operator.created", 6_003, "Create"),
            ("service_account.disabled", 3_001, "Disable"),
            ("service_account.updated", 3_001, "Other"),
            ("limits.exceeded", 6_003, "Other"),
            ("something.new", 6_003, "Update"),
            ("nonsense", 6_003, "Update"),
        ] {
            let kind = of(action);
            assert_eq!((kind.class.uid(), kind.class.activity(kind.activity)), (class, activity), "{action}");
        }
        assert!(is_security("key.created") && !is_security("credits.granted"));
    }
}
