//! Every limit of the installation, in one place. Each has a test on both sides of it.

/// Longest name of a key, workspace, plan or operator credential, in characters.
pub const NAME_MAX_CHARS: usize = 64;
/// Longest purpose text of a key, in characters.
pub const PURPOSE_MAX_CHARS: usize = 500;
/// Longest reason given for a revocation, in characters.
pub const REASON_MAX_CHARS: usize = 500;
/// Longest `external_id`, in characters.
pub const EXTERNAL_ID_MAX_CHARS: usize = 128;
/// Largest metadata document of a key, in bytes of compact JSON.
pub const METADATA_MAX_BYTES: usize = 4_096;
/// Most allowed networks on one key.
pub const NETWORKS_MAX: usize = 64;
/// Most limit windows on one key, and per level (key, workspace) of one plan.
pub const WINDOWS_MAX: usize = 8;
/// Smallest limit of a window, in cost units.
pub const WINDOW_LIMIT_MIN: u64 = 1;
/// Largest limit of a window, in cost units: counters are 32 bits wide.
pub const WINDOW_LIMIT_MAX: u64 = 4_000_000_000;
/// Shortest window, in seconds.
pub const WINDOW_SECONDS_MIN: u32 = 1;
/// Longest window, in seconds (366 days).
pub const WINDOW_SECONDS_MAX: u32 = 366 * 86_400;
/// A window at least this long is a quota: its refusal is `quota_exceeded` instead of `rate_limited`. In seconds.
pub const QUOTA_WINDOW_SECONDS: u32 = 86_400;
/// Largest cost of one verification, in cost units.
pub const COST_MAX: u32 = 1_000_000;
/// Most credits that an account is ever granted, and most in one amount (one quadrillion): exact in a JSON number.
pub const CREDITS_MAX: u64 = 1_000_000_000_000_000;
/// Most credits that one verification may spend.
pub const CREDITS_PER_CALL_MAX: u32 = 1_000_000;
/// Longest life of a reservation of credits, in seconds (a day).
pub const RESERVATION_SECONDS_MAX: u32 = 86_400;
/// How long the end of a reservation is remembered, so that it can be said again, in seconds (a week).
pub const RESERVATION_KEPT_SECONDS: i64 = 7 * 86_400;
/// A slice of a balance that no node settled for so long counts as spent, in seconds (a week).
pub const SLICE_LOST_SECONDS: i64 = 7 * 86_400;
/// Most accounts, reservations and slices each that one sweep deals with.
pub const CREDIT_SWEEP_MAX: u32 = 256;
/// Shortest period of a refill, in seconds.
pub const REFILL_SECONDS_MIN: u32 = 60;
/// Longest period of a refill, in seconds (366 days).
pub const REFILL_SECONDS_MAX: u32 = 366 * 86_400;
/// Most permissions in an installation's catalogue, built-in ones included.
pub const PERMISSIONS_MAX: usize = 256;
/// Longest permission name (`resource:action`), in bytes.
pub const PERMISSION_NAME_MAX_BYTES: usize = 64;
/// Most permissions asked for in one verification.
pub const PERMISSIONS_ASKED_MAX: usize = 32;
/// Longest workspace slug, in bytes.
pub const SLUG_MAX_BYTES: usize = 48;
/// Most slugs that a workspace had before and that go on leading to it.
pub const FORMER_SLUGS_MAX: usize = 10;
/// How long a deleted workspace can be restored unless the operator says otherwise, in days.
pub const GRACE_DAYS_DEFAULT: u16 = 30;
/// Longest time that a deleted workspace can be restored, in days.
pub const GRACE_DAYS_MAX: u16 = 365;
/// Largest value of a workspace's `idle_days` policy.
pub const IDLE_DAYS_MAX: u16 = 3_650;
/// Numbers of keys that one step of a purge looks at.
pub const PURGE_KEYS_PER_STEP: u32 = 2_000;
/// Most rows that one step of a purge removes, and as many again per table at the step's end.
pub const PURGE_ROWS_PER_STEP: u32 = 5_000;
/// Networks that are remembered per key as the places it is used from.
pub const ORIGINS_PER_KEY: u32 = 256;
/// Longest route label reported with a verification, in bytes.
pub const ROUTE_MAX_BYTES: usize = 128;
/// Longest overlap of a rotation, in seconds (90 days).
pub const OVERLAP_SECONDS_MAX: u32 = 90 * 86_400;
/// Retired secrets kept per key, so that they are answered with `revoked_key` instead of `invalid_key`.
pub const RETIRED_SECRETS_KEPT: usize = 10;
/// Keys per workspace unless its policy says otherwise.
pub const KEYS_PER_WORKSPACE_DEFAULT: u32 = 1_000_000;
/// Largest value of a workspace's `max_keys` policy.
pub const KEYS_PER_WORKSPACE_MAX: u32 = 10_000_000;
/// Most keys one bulk revocation may take.
pub const BULK_REVOKE_MAX: usize = 10_000;
/// Largest page of a list.
pub const PAGE_MAX: u32 = 100;
/// Page size where the caller names none.
pub const PAGE_DEFAULT: u32 = 20;
/// Most locators in one lookup.
pub const LOOKUP_LOCATORS_MAX: usize = 100;
/// Longest `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_KEY_MAX_BYTES: usize = 255;
/// How long an `Idempotency-Key` is remembered, in seconds (24 hours).
pub const IDEMPOTENCY_SECONDS: i64 = 86_400;
/// Most plans in an installation.
pub const PLANS_MAX: usize = 100;
/// Longest user agent kept with an audit entry, in bytes; longer ones are cut.
pub const USER_AGENT_MAX_BYTES: usize = 256;
/// Earliest accepted expiry, relative to now, in seconds.
pub const EXPIRY_SECONDS_MIN: i64 = 1;
/// Latest accepted expiry, relative to now, in seconds (100 years).
pub const EXPIRY_SECONDS_MAX: i64 = 100 * 365 * 86_400;
/// Most service accounts of a workspace that are not deleted.
pub const SERVICE_ACCOUNTS_MAX: u64 = 1_000;
/// Longest identity of a service account, in bytes (as long as an e-mail address, RFC 5321).
pub const IDENTITY_MAX_BYTES: usize = 254;
/// Most keys that one call may hand over.
pub const HAND_OVER_MAX: usize = 10_000;
/// Most keys that lost permissions in a hand-over that the answer names.
pub const SHRUNK_KEYS_SHOWN: usize = 100;
/// Longest e-mail address, in characters (RFC 5321 with its erratum 1690).
pub const EMAIL_MAX_CHARS: usize = 254;
/// A session ends when it was not used for so long, unless the configuration says otherwise, in seconds (12 hours).
pub const SESSION_IDLE_SECONDS_DEFAULT: i64 = 12 * 3_600;
/// A session ends so long after signing in, unless the configuration says otherwise, in seconds (14 days).
pub const SESSION_ABSOLUTE_SECONDS_DEFAULT: i64 = 14 * 86_400;
/// How exactly the last use of a session is kept, in seconds: no write for every request.
pub const SESSION_TOUCH_SECONDS: i64 = 60;
/// Most sessions of one user; the oldest gives way to a new one.
pub const SESSIONS_PER_USER_MAX: usize = 50;
/// How long a proof of identity counts for dangerous actions, in seconds (10 minutes).
pub const REAUTHENTICATION_SECONDS: i64 = 600;
/// Longest description of the program that a session is used with, in characters; longer ones are cut.
pub const SESSION_AGENT_MAX_CHARS: usize = 64;
/// An invitation's link is good for so long, in seconds (7 days).
pub const INVITATION_SECONDS: i64 = 7 * 86_400;
/// An invitation whose link has ended is kept for so long, so that it can be sent again, in seconds (30 days).
pub const INVITATION_KEPT_SECONDS: i64 = 30 * 86_400;
/// Most invitations of a workspace.
pub const INVITATIONS_PENDING_MAX: u64 = 1_000;
/// Most people that one call may invite.
pub const INVITATIONS_AT_ONCE_MAX: usize = 100;
/// A link to a new password is good for so long, in seconds (one hour).
pub const RECOVERY_SECONDS: i64 = 3_600;
/// Failed attempts on one account before the last of them locks it out for the first time.
pub const FREE_ATTEMPTS_PER_ACCOUNT: u32 = 5;
/// The same from one address, which many people may share.
pub const FREE_ATTEMPTS_PER_ADDRESS: u32 = 50;
/// The first lock, in seconds; each failure after it locks out for twice as long.
pub const LOCK_SECONDS_FIRST: i64 = 30;
/// The longest lock, in seconds (one hour).
pub const LOCK_SECONDS_MAX: i64 = 3_600;
/// Failures are forgotten so long after the last one, in seconds (one day).
pub const ATTEMPTS_FORGOTTEN_SECONDS: i64 = 86_400;
/// Longest name and version of something that is consented to, in bytes.
pub const CONSENT_TEXT_MAX_BYTES: usize = 64;
/// Most consents of a person on record, those withdrawn included.
pub const CONSENTS_MAX: usize = 200;
/// Prompts of an erased person that one step removes.
pub const ERASE_PROMPTS_PER_STEP: u32 = 100;
/// Rows of each kind that one step of retention removes.
pub const RETENTION_ROWS_PER_STEP: u32 = 2_000;
