//! Names of fixed sets of things.

use keywright_domain::{environment, key, limits, permission, usage};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! define_names {
    ($($(#[$docs:meta])* $name:ident = $domain:path { $($(#[$variant_docs:meta])* $variant:ident),+ $(,)? })+) => {$(
        $(#[$docs])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$variant_docs])* $variant,)+
        }

        impl From<$domain> for $name {
            fn from(value: $domain) -> Self {
                use $domain as Domain;
                match value { $(Domain::$variant => Self::$variant,)+ }
            }
        }

        impl From<$name> for $domain {
            fn from(value: $name) -> Self {
                match value { $($name::$variant => Self::$variant,)+ }
            }
        }
    )+};
}

define_names! {
    /// What a key is used for.
    Environment = environment::Environment {
        /// Local development.
        Development,
        /// Pre-production validation.
        Staging,
        /// Live applications.
        Production,
        /// Automated testing and deployment.
        Ci,
    }

    /// Which resources a key opens; part of its prefix.
    Mode = environment::Mode {
        /// Test resources (`sk_test_`).
        Test,
        /// Live resources (`sk_live_`).
        Live,
    }

    /// What a key is good for now.
    KeyStatus = key::KeyStatus {
        /// Accepted.
        Active,
        /// Switched off for now.
        Disabled,
        /// Its time is over.
        Expired,
        /// Ended for good.
        Revoked,
    }

    /// How spending inside a window is counted.
    Algorithm = limits::Algorithm {
        /// Sliding window counter.
        Sliding,
        /// Refills evenly (GCRA), allows a burst of the whole limit.
        Smooth,
    }

    /// What somebody is in a workspace.
    Role = permission::Role {
        /// May do everything, including handing the workspace over.
        Owner,
        /// Manages keys, members and policies.
        Admin,
        /// Uses and writes prompts; never sees or manages keys.
        Member,
        /// Uses prompts; never sees or manages keys.
        Viewer,
    }

    /// Length of the buckets of usage.
    Granularity = usage::Granularity {
        /// By minute.
        Minute,
        /// By hour.
        Hour,
        /// By day (UTC).
        Day,
    }
}

impl Role {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        permission::Role::from(self).as_str()
    }
}

impl Granularity {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}
