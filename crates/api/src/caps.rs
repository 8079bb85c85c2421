//! Every limit of the HTTP interface, in one place. Limits of the domain are in the domain's own file.

use std::time::Duration;

/// Largest request body, in bytes, where an endpoint names no other limit.
pub const BODY_MAX_BYTES: usize = 64 * 1024;
/// Longest time for a request body to arrive.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time for a request to be answered, beside its wait for other nodes.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for other nodes that can be asked for, in seconds: longer than a change in a workspace with the longest lease
/// takes, which is 375.5. Whoever asks for more waits so long.
pub const WAIT_SECONDS_MAX: u32 = 400;
/// Largest `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_KEY_MAX_BYTES: usize = 255;
/// Longest piece of client input that an error text quotes, in bytes.
pub const QUOTED_MAX_BYTES: usize = 64;
/// Most entries of `X-Forwarded-For` or `Forwarded` that are looked at, from the right.
pub const FORWARDED_HOPS_MAX: usize = 32;
/// Unknown keys that one address may try per [`FAILURE_WINDOW_MS`].
pub const FAILURES_PER_ADDRESS_MAX: u32 = 300;
/// The window in which unknown keys are counted, in milliseconds.
pub const FAILURE_WINDOW_MS: u64 = 60_000;
/// Failed attempts to sign in that wait for the security event log.
pub const SIGN_IN_FAILURES_KEPT: usize = 1_000;
/// Addresses that used up their failures and wait to be told of. More are not told of one by one.
pub const BLOCKED_ADDRESSES_KEPT: usize = 1_000;
/// Addresses that the failure throttle remembers. A power of two.
pub const FAILURE_TABLE_ADDRESSES: usize = 16_384;
/// Most buckets in one answer about usage.
pub const USAGE_BUCKETS_MAX: i64 = 1_500;
/// Most rows of one minute of the access ledger that pages go through.
pub const LEDGER_ROWS_PER_MINUTE_MAX: u32 = 100_000;
/// Audit entries read at once for an export.
pub const EXPORT_BATCH_ENTRIES: u32 = 500;
/// Longest description of a plan or a permission, in characters.
pub const DESCRIPTION_MAX_CHARS: usize = 500;

/// Most audit entries in the export of a person; the document says when there are more.
pub const EXPORT_ENTRIES_MAX: usize = 100_000;
/// Requests without a credential that one address may make per minute.
pub const UNAUTHENTICATED_PER_MINUTE: u32 = 100;
/// Requests without a credential that one address may make per hour.
pub const UNAUTHENTICATED_PER_HOUR: u32 = 1_000;
/// Addresses whose requests without a credential are remembered. A power of two.
pub const UNAUTHENTICATED_TABLE_ADDRESSES: usize = 16_384;
/// Longest text that `POST /v1/redact` takes, in bytes.
pub const REDACT_TEXT_MAX_BYTES: usize = 48 * 1024;
/// Full days before today over which `GET /v1/usage` averages.
pub const USAGE_AVERAGE_DAYS: i64 = 7;
/// Largest body of a request that creates or changes a prompt, in bytes: three texts, and what JSON makes of them.
pub const PROMPT_BODY_MAX_BYTES: usize = 512 * 1024;
/// Memory for rendered prompts and pages of them, in bytes.
pub const PROMPT_CACHE_BYTES: u64 = 128 * 1024 * 1024;
/// How long a link to a context file opens, in seconds.
pub const DOWNLOAD_LINK_SECONDS: i64 = 900;
/// Context files that are taken in at the same time, each in memory until it is stored.
pub const UPLOADS_MAX: usize = 8;
/// Longest time for a context file to arrive.
pub const UPLOAD_TIMEOUT: Duration = Duration::from_secs(25);
/// Passwords hashed at the same time on one node: each takes a core and 19 MiB for a while.
pub const PASSWORD_HASHES_AT_ONCE: usize = 2;
/// Password checks that wait for their turn on one node; more are told to come back.
pub const PASSWORD_HASHES_WAITING: usize = 64;
/// Memory of a password hash, in KiB (OWASP's first recommendation for Argon2id).
pub const ARGON2_MEMORY_KIB: u32 = 19 * 1_024;
/// Passes of a password hash over its memory.
pub const ARGON2_PASSES: u32 = 2;
/// Shortest password that is accepted, in characters.
pub const PASSWORD_MIN_CHARS: usize = 12;
/// Recovery codes that are given out at a time.
pub const RECOVERY_CODES: usize = 10;
/// Time steps by which the clock of an authenticator may differ.
pub const TOTP_DRIFT_STEPS: u64 = 1;
/// Longest password, in bytes.
pub const PASSWORD_MAX_BYTES: usize = 1_024;
/// Seconds that a sign-in by a provider may take, from the redirect to its end.
pub const OIDC_FLOW_SECONDS: i64 = 600;
/// Finished sign-ins by providers that a node remembers.
pub const OIDC_SPENT_FLOWS_MAX: usize = 10_000;
/// By how much the clocks of a provider and of this node may differ, in seconds.
pub const OIDC_CLOCK_SKEW_SECONDS: i64 = 60;
/// Longest subject of a provider's token, in characters (OpenID Connect Core 1.0, section 2).
pub const OIDC_SUBJECT_MAX_CHARS: usize = 255;
/// Groups of a person that are looked at.
pub const OIDC_GROUPS_MAX: usize = 500;
/// Keys of a provider that are looked at.
pub const OIDC_KEYS_MAX: usize = 100;
/// How long what a provider says about itself is believed, in seconds.
pub const OIDC_METADATA_SECONDS: u64 = 3_600;
/// How often a provider is asked for keys when a token names an unknown one, in seconds.
pub const OIDC_KEYS_PAUSE_SECONDS: u64 = 5;
/// Longest answer of a provider, in bytes.
pub const OIDC_ANSWER_MAX_BYTES: u64 = 1_048_576;
