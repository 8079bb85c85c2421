use std::borrow::Cow;

use crate::finding::{Confidence, Finding, Kind, settle};
use crate::{email, key, number};

/// What to look for and what to put in its place.
///
/// ```
/// use keywright_redaction::{Confidence, Kind, Redactor};
///
/// let redactor = Redactor::new().token(Kind::Email, "[EMAIL]").without(Kind::Phone).least(Confidence::Likely);
/// assert_eq!(redactor.redact("ana@example.com, 555-123-4567"), "[EMAIL], 555-123-4567");
/// ```
#[derive(Clone, Debug)]
pub struct Redactor {
    tokens: [Cow<'static, str>; Kind::ALL.len()],
    wanted: [bool; Kind::ALL.len()],
    least: Confidence,
}

impl Default for Redactor {
    fn default() -> Self {
        Self::new()
    }
}

impl Redactor {
    /// Looks for everything, and puts `[EMAIL_REDACTED]`, `[PHONE_REDACTED]`, `[CARD_REDACTED]` and `[API_KEY_REDACTED]` in
    /// its place.
    pub const fn new() -> Self {
        Self {
            tokens: [
                Cow::Borrowed("[EMAIL_REDACTED]"),
                Cow::Borrowed("[PHONE_REDACTED]"),
                Cow::Borrowed("[CARD_REDACTED]"),
                Cow::Borrowed("[API_KEY_REDACTED]"),
            ],
            wanted: [true; Kind::ALL.len()],
            least: Confidence::Possible,
        }
    }

    /// Puts this in the place of what is of this kind.
    #[must_use]
    pub fn token(mut self, kind: Kind, token: impl Into<Cow<'static, str>>) -> Self {
        self.tokens[kind.index()] = token.into();
        self
    }

    /// Leaves what is of this kind.
    #[must_use]
    pub fn without(mut self, kind: Kind) -> Self {
        self.wanted[kind.index()] = false;
        self
    }

    /// Leaves what is less sure than this.
    #[must_use]
    pub fn least(mut self, confidence: Confidence) -> Self {
        self.least = confidence;
        self
    }

    /// Replaces what is found. A text without findings is handed back as it is.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let findings = self.findings(text);
        if findings.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut redacted = String::with_capacity(text.len() + 16);
        let mut copied = 0;
        for finding in findings {
            redacted.push_str(&text[copied..finding.range.start]);
            redacted.push_str(self.token_of(finding.kind));
            copied = finding.range.end;
        }
        redacted.push_str(&text[copied..]);
        Cow::Owned(redacted)
    }

    /// What is found, in order; findings do not overlap, and each begins and ends between two characters.
    pub fn findings(&self, text: &str) -> Vec<Finding> {
        self.findings_in(text.as_bytes())
    }

    /// The same for bytes that may not be UTF-8.
    pub fn findings_in(&self, text: &[u8]) -> Vec<Finding> {
        let mut findings = Vec::new();
        key::find(text, &mut findings);
        email::find(text, &mut findings);
        number::find(text, &mut findings);
        // Before they are joined: what is not wanted must not name a whole.
        findings.retain(|finding| self.wanted[finding.kind.index()] && finding.confidence >= self.least);
        settle(findings)
    }

    pub(crate) fn token_of(&self, kind: Kind) -> &str {
        &self.tokens[kind.index()]
    }
}
