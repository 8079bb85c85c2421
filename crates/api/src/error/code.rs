//! The one table of error codes: status, texts, retryability, side effects, page.

use http::StatusCode;

/// Whether sending the same request again can succeed without anything being changed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same request fails again.
    Never,
    /// The same request may succeed later.
    Later,
}

/// What a failed request may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effects {
    /// Nothing was changed.
    None,
    /// The change may or may not have been made.
    Unknown,
}

/// What the plain `error` member of the answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sentence {
    /// The `detail` itself.
    Detail,
    /// Always this text: shipped clients compare it.
    Exact(&'static str),
    /// The `detail`, which begins with this text: shipped clients look for it.
    Begins(&'static str),
}

/// One row of the table.
pub(super) struct Row {
    pub(super) slug: &'static str,
    pub(super) status: u16,
    pub(super) title: &'static str,
    pub(super) detail: &'static str,
    pub(super) sentence: Sentence,
    pub(super) retry: Retry,
    pub(super) effects: Effects,
    pub(super) page: &'static str,
}

macro_rules! error_codes {
    ($($name:ident $slug:literal $status:literal $sentence:expr, $retry:ident $effects:ident,
       $title:literal, $detail:literal;)+) => {
        /// Every stable error code of Keywright. The text of a code never changes and is never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $(#[doc = $detail] $name,)+
        }

        impl ErrorCode {
            /// All codes, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            pub(super) const fn row(self) -> &'static Row {
                match self {
                    $(Self::$name => &Row {
                        slug: $slug,
                        status: $status,
                        title: $title,
                        detail: $detail,
                        sentence: $sentence,
                        retry: Retry::$retry,
                        effects: Effects::$effects,
                        page: include_str!(concat!("../../../../docs/errors/", $slug, ".md")),
                    },)+
                }
            }
        }
    };
}

const INVALID_KEY: Sentence = Sentence::Begins("Invalid API key");

error_codes! {
    // Verification: the codes of `domain::verdict::Code`.
    MissingCredentials "missing_credentials" 401 Sentence::Exact("Unauthorized"), Never None,
        "Unauthorized", "No API key was sent. Send it as `Authorization: Bearer <key>`.";
    MissingBearerPrefix "missing_bearer_prefix" 401 INVALID_KEY, Never None,
        "Missing Bearer prefix", "Invalid API key: the Authorization header must be `Bearer <key>`, with `Bearer ` in front of the key.";
    MalformedKey "malformed_key" 401 INVALID_KEY, Never None,
        "Malformed API key", "Invalid API key: this is not the text of a key. Copy the key again in full, without quotes or spaces.";
    InvalidKey "invalid_key" 401 INVALID_KEY, Never None,
        "Invalid API key", "Invalid API key: there is no such key. It was deleted, or it belongs to another installation.";
    RevokedKey "revoked_key" 401 INVALID_KEY, Never None,
        "Revoked API key", "Invalid API key: this key was revoked and never works again.";
    ExpiredKey "expired_key" 401 INVALID_KEY, Never None,
        "Expired API key", "Invalid API key: this key has expired.";
    DisabledKey "disabled_key" 401 INVALID_KEY, Never None,
        "Disabled API key", "Invalid API key: this key is disabled at the moment.";
    WrongEnvironment "wrong_environment" 401 INVALID_KEY, Never None,
        "Key of another environment", "Invalid API key: a test key does not open live resources, nor a live key test resources.";
    WrongWorkspace "wrong_workspace" 401 INVALID_KEY, Never None,
        "Key of another workspace", "Invalid API key: this key belongs to another workspace.";
    IpNotAllowed "ip_not_allowed" 403 Sentence::Detail, Never None,
        "Address not allowed", "This key may not be used from the address the request came from.";
    InsufficientPermissions "insufficient_permissions" 403 Sentence::Exact("Insufficient permissions"), Never None,
        "Insufficient permissions", "This key is good, but it lacks a permission that the request needs.";
    WorkspaceSuspended "workspace_suspended" 403 Sentence::Detail, Never None,
        "Workspace suspended", "The workspace of this key is suspended.";
    RateLimited "rate_limited" 429 Sentence::Detail, Later None,
        "Rate limit exceeded", "Rate limit exceeded. Wait as long as `Retry-After` says, then try again.";
    QuotaExceeded "quota_exceeded" 429 Sentence::Detail, Later None,
        "Quota exceeded", "The quota of this key or workspace is used up until its period ends.";
    TooManyFailedAttempts "too_many_failed_attempts" 429 Sentence::Detail, Later None,
        "Too many failed attempts", "Too many unknown keys were tried from this address. Wait as long as `Retry-After` says.";
    Unavailable "unavailable" 503 Sentence::Detail, Later None,
        "Verification unavailable", "The key can not be checked at the moment. This says nothing about the key.";
    StaleVerifier "stale_verifier" 503 Sentence::Detail, Later None,
        "Verifier not up to date", "This node can not be sure to know the latest changes, so it does not judge keys. Another node may.";

    Revoking "revoking" 409 Sentence::Detail, Later None,
        "Revocation under way", "Something is being taken away from this key at the moment. In a moment the answer is certain.";

    // People who sign in.
    InvalidSession "invalid_session" 401 Sentence::Detail, Never None,
        "Session ended", "This session has ended, or there was never such a session. Sign in again.";
    InvalidSignIn "invalid_sign_in" 401 Sentence::Detail, Never None,
        "Sign-in refused", "The e-mail address or the password is wrong.";
    SecondFactorRequired "second_factor_required" 401 Sentence::Detail, Never None,
        "Code required", "The account has a second factor. Send the code of the authenticator, or a recovery code, as `code`.";
    InvalidCode "invalid_code" 401 Sentence::Detail, Never None,
        "Code refused", "The code is wrong, or was used before. Wait for the next one.";
    ReauthenticationRequired "reauthentication_required" 403 Sentence::Detail, Never None,
        "Prove again who you are", "This is asked for within 10 minutes of proving who one is. `POST /v1/sessions/reauthenticate`, or sign in anew, then repeat the request.";
    InvalidLink "invalid_link" 404 Sentence::Detail, Never None,
        "Link not good any more", "This link was used, replaced or withdrawn, or its time is over. Ask for a new one.";
    InviterLost "inviter_lost" 409 Sentence::Detail, Never None,
        "Invitation void", "Whoever invited may not give this role any more. Ask for a new invitation.";
    PasswordNeeded "password_needed" 400 Sentence::Detail, Never None,
        "Password needed", "Nobody signs in with this address yet: choose a password.";
    PasswordRefused "password_refused" 400 Sentence::Detail, Never None,
        "Password refused", "This password is not accepted. Choose a longer one, or one that nobody guesses.";
    CsrfTokenRequired "csrf_token_required" 403 Sentence::Detail, Never None,
        "CSRF token required", "A request that is authenticated by a cookie and changes something must carry the session's token in `X-CSRF-Token`.";

    // Requests that cannot be read.
    InvalidJson "invalid_json" 400 Sentence::Detail, Never None,
        "Invalid JSON", "The request body is not valid JSON.";
    UnsupportedMediaType "unsupported_media_type" 415 Sentence::Detail, Never None,
        "Unsupported media type", "The request body must be sent as `Content-Type: application/json`.";
    UnknownField "unknown_field" 400 Sentence::Detail, Never None,
        "Unknown field", "The request body has a field that does not exist here.";
    MissingField "missing_field" 400 Sentence::Detail, Never None,
        "Missing field", "The request body lacks a required field.";
    InvalidField "invalid_field" 400 Sentence::Detail, Never None,
        "Invalid field", "A field of the request has a value that is not allowed.";
    InvalidQuery "invalid_query" 400 Sentence::Detail, Never None,
        "Invalid query parameter", "The query string has an unknown, repeated or invalid parameter.";
    InvalidCursor "invalid_cursor" 400 Sentence::Detail, Never None,
        "Invalid cursor", "The cursor does not belong to this list. Start again without one.";
    InvalidPath "invalid_path" 400 Sentence::Detail, Never None,
        "Invalid path", "A part of the path does not have the form it must have here.";
    InvalidUtf8 "invalid_utf8" 400 Sentence::Detail, Never None,
        "Invalid UTF-8", "The request is not valid UTF-8.";
    BodyTooLarge "body_too_large" 413 Sentence::Detail, Never None,
        "Body too large", "The request body is larger than allowed.";
    HeadersTooLarge "headers_too_large" 431 Sentence::Detail, Never None,
        "Headers too large", "The request headers are larger than allowed.";
    DuplicateHeader "duplicate_header" 400 Sentence::Detail, Never None,
        "Duplicate header", "A header that may be sent once was sent more than once.";
    ConflictingCredentials "conflicting_credentials" 400 Sentence::Detail, Never None,
        "Conflicting credentials", "Two different keys were sent, in `Authorization` and in `X-API-Key`. Send one.";
    CredentialInUrl "credential_in_url" 400 Sentence::Detail, Never None,
        "Key in the URL", "Keys are not accepted in URLs, where they end up in logs. Send `Authorization: Bearer <key>`.";
    InvalidIdempotencyKey "invalid_idempotency_key" 400 Sentence::Detail, Never None,
        "Invalid Idempotency-Key", "`Idempotency-Key` must be 1 to 255 visible ASCII characters.";
    RequestTimeout "request_timeout" 408 Sentence::Detail, Later None,
        "Request timeout", "The request took too long to arrive or to be answered. Nothing was changed.";

    // What was asked for cannot be done.
    NotFound "not_found" 404 Sentence::Detail, Never None,
        "Not found", "There is nothing here, or nothing that this caller may see.";
    MethodNotAllowed "method_not_allowed" 405 Sentence::Detail, Never None,
        "Method not allowed", "This path exists, but not with this method. `Allow` lists the ones it has.";
    Conflict "conflict" 409 Sentence::Detail, Never None,
        "Conflict", "The request contradicts the present state.";
    AlreadyExists "already_exists" 409 Sentence::Detail, Never None,
        "Already exists", "Something with this name or slug exists already.";
    AlreadyApplied "already_applied" 409 Sentence::Detail, Never None,
        "Already applied", "A request with this `Idempotency-Key` was carried out before. Nothing was done a second time.";
    IdempotencyMismatch "idempotency_mismatch" 422 Sentence::Detail, Never None,
        "Idempotency-Key reused", "This `Idempotency-Key` was used before for another request. Nothing was changed.";
    KeyNotActive "key_not_active" 409 Sentence::Detail, Never None,
        "Key not active", "This needs an active key, and the key is not active.";
    KeyAlreadyRevoked "key_already_revoked" 409 Sentence::Detail, Never None,
        "Key already revoked", "The key is revoked. That is final: it can not be changed any more.";
    RotationInProgress "rotation_in_progress" 409 Sentence::Detail, Never None,
        "Rotation in progress", "The key has two secrets already. Complete or cancel the running rotation first.";
    NoRotationInProgress "no_rotation_in_progress" 409 Sentence::Detail, Never None,
        "No rotation in progress", "The key has one secret only: there is no rotation to complete or cancel.";
    TooManyKeys "too_many_keys" 409 Sentence::Detail, Never None,
        "Too many keys", "The workspace has as many keys as it may have.";
    LimitReached "limit_reached" 409 Sentence::Detail, Never None,
        "Limit reached", "There are as many of these as there may be.";
    InsufficientCredits "insufficient_credits" 409 Sentence::Detail, Later None,
        "Insufficient credits", "The balance is less than what was asked for. Nothing was reserved.";
    ReservationEnded "reservation_ended" 409 Sentence::Detail, Never None,
        "Reservation ended", "The reservation was committed, refunded or expired before. Nothing was changed.";
    PromptArchived "prompt_archived" 409 Sentence::Detail, Never None,
        "Prompt archived", "The prompt is archived. Restore it before you change it.";
    RevisionMismatch "revision_mismatch" 412 Sentence::Detail, Never None,
        "Draft was changed", "The draft is not the one that `If-Match` names: somebody changed it meanwhile.";
    NothingToPublish "nothing_to_publish" 409 Sentence::Detail, Never None,
        "Nothing to publish", "The draft is the same as the newest version.";
    NotAFile "not_a_file" 400 Sentence::Detail, Never None,
        "Not a file", "This context item is a link: there is nothing to download. Follow its `url`.";
    DownloadLinkInvalid "download_link_invalid" 403 Sentence::Detail, Never None,
        "Invalid download link", "This link was altered, or comes from another installation. Ask for a new one.";
    DownloadLinkExpired "download_link_expired" 403 Sentence::Detail, Never None,
        "Download link expired", "This link's time is over. Ask for a new one.";
    RangeNotSatisfiable "range_not_satisfiable" 416 Sentence::Detail, Never None,
        "Range not satisfiable", "The file does not have the bytes that `Range` asks for.";
    PermissionEscalation "permission_escalation" 403 Sentence::Detail, Never None,
        "Permission escalation", "Nobody can give more than they have themselves.";
    OwnerOnly "owner_only" 403 Sentence::Detail, Never None,
        "Owner only", "Only an Owner can make somebody Owner, or change or remove an Owner.";
    LastOwner "last_owner" 409 Sentence::Detail, Never None,
        "Last Owner", "The last Owner can neither leave, nor be removed, nor get another role. Transfer ownership first.";
    UnknownPermission "unknown_permission" 400 Sentence::Detail, Never None,
        "Unknown permission", "The catalogue of this installation has no such permission.";
    UnknownPlan "unknown_plan" 400 Sentence::Detail, Never None,
        "Unknown plan", "This installation has no such plan.";

    // Signing in by an OpenID Connect provider.
    SignInNotBegun "sign_in_not_begun" 400 Sentence::Detail, Never None,
        "Sign-in not begun", "This sign-in was not begun in this browser, took too long, or was finished before. Begin again.";
    IdentityProviderRefused "identity_provider_refused" 403 Sentence::Detail, Never None,
        "Provider refused", "The identity provider did not sign the person in.";
    IdentityProviderUnavailable "identity_provider_unavailable" 503 Sentence::Detail, Later None,
        "Provider unavailable", "The identity provider can not be asked at the moment.";
    IdentityNotTrusted "identity_not_trusted" 403 Sentence::Detail, Never None,
        "Identity not trusted", "What the identity provider says can not be verified.";
    IdentityNotAdmitted "identity_not_admitted" 403 Sentence::Detail, Never None,
        "Identity not admitted", "The identity provider knows this person, but this installation does not admit them.";

    // The server's own trouble.
    InternalError "internal_error" 500 Sentence::Detail, Later Unknown,
        "Internal error", "Something went wrong on the server. It was logged under this request id.";
    StoreUnavailable "store_unavailable" 503 Sentence::Detail, Later None,
        "Store unavailable", "The database can not be reached at the moment. Nothing was changed.";
    CommitUnknown "commit_unknown" 503 Sentence::Detail, Later Unknown,
        "Outcome unknown", "The server can not tell whether the change was made. Send it again with the same `Idempotency-Key`, or look.";
    StorageFull "storage_full" 507 Sentence::Detail, Later None,
        "Storage full", "The server has no disk space left, so nothing can be changed. Verification goes on.";
}

impl ErrorCode {
    /// The code's text, as in the `code` member and in `/errors/<code>`.
    pub const fn slug(self) -> &'static str {
        self.row().slug
    }

    /// The code with this text.
    pub fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.slug() == slug)
    }

    /// The HTTP status of an answer with this code.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().status).expect("the table holds valid status codes")
    }

    /// The short, constant summary of the code.
    pub const fn title(self) -> &'static str {
        self.row().title
    }

    /// The `detail` where the place of the error has nothing more precise to say.
    pub const fn default_detail(self) -> &'static str {
        self.row().detail
    }

    /// What the `error` member says.
    pub const fn sentence(self) -> Sentence {
        self.row().sentence
    }

    /// Whether the same request may succeed later.
    pub const fn retry(self) -> Retry {
        self.row().retry
    }

    /// What a request answered with this code may have changed.
    pub const fn effects(self) -> Effects {
        self.row().effects
    }

    /// Whether the same request may succeed later.
    pub const fn is_retryable(self) -> bool {
        matches!(self.row().retry, Retry::Later)
    }

    /// Whether a request answered with this code certainly changed nothing.
    pub const fn has_no_side_effects(self) -> bool {
        matches!(self.row().effects, Effects::None)
    }

    /// The page about the code, in Markdown (`docs/errors/<code>.md`).
    pub const fn page_markdown(self) -> &'static str {
        self.row().page
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_unique_and_found_by_their_text() {
        let slugs: HashSet<_> = ErrorCode::ALL.iter().map(|code| code.slug()).collect();
        assert_eq!(slugs.len(), ErrorCode::ALL.len());
        for &code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_slug(code.slug()), Some(code));
            assert!(
                code.slug().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte == b'8')
            );
        }
        assert_eq!(ErrorCode::from_slug("no_such_code"), None);
    }

    #[test]
    fn statuses_are_errors_and_texts_are_sentences() {
        for &code in ErrorCode::ALL {
            assert!(code.status().is_client_error() || code.status().is_server_error(), "{code:?}");
            assert!(code.default_detail().ends_with('.'), "{code:?}");
            assert!(!code.title().ends_with('.'), "{code:?}");
            if let Sentence::Begins(text) = code.sentence() {
                assert!(code.default_detail().starts_with(text), "{code:?}");
            }
        }
    }

    #[test]
    fn a_refused_request_changed_nothing() {
        for &code in ErrorCode::ALL {
            let may_have_changed = matches!(code, ErrorCode::InternalError | ErrorCode::CommitUnknown);
            assert_eq!(code.has_no_side_effects(), !may_have_changed, "{code:?}");
        }
    }

    #[test]
    fn every_bad_key_says_invalid_api_key_and_no_key_says_unauthorized() {
        for &code in ErrorCode::ALL.iter().filter(|code| code.status() == StatusCode::UNAUTHORIZED) {
            let expected = match code {
                ErrorCode::MissingCredentials => Sentence::Exact("Unauthorized"),
                // Not about keys.
                ErrorCode::InvalidSession
                | ErrorCode::InvalidSignIn
                | ErrorCode::InvalidCode
                | ErrorCode::SecondFactorRequired => Sentence::Detail,
                _ => Sentence::Begins("Invalid API key"),
            };
            assert_eq!(code.sentence(), expected, "{code:?}");
        }
    }
}
