use std::ops::Range;

/// What kind of thing was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
    /// The number of a payment card.
    Card,
    /// An API key, a token, a private key, or the password inside a URL.
    ApiKey,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Email, Self::Phone, Self::Card, Self::ApiKey];

    /// A stable name for machines, in `snake_case`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Card => "card",
            Self::ApiKey => "api_key",
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

/// How sure a finding is. The order is from less to more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// The shape fits and nothing speaks against it: ten digits in a sentence.
    Possible,
    /// Shape and surroundings fit.
    Likely,
    /// A checksum is right, or nothing else has this shape.
    Certain,
}

/// Something found in a text. Holds no piece of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// Where it is, in bytes.
    pub range: Range<usize>,
    /// How sure that is.
    pub confidence: Confidence,
}

impl Finding {
    pub(crate) fn new(kind: Kind, range: Range<usize>, confidence: Confidence) -> Self {
        Self { kind, range, confidence }
    }
}

/// Puts findings in order and joins those that overlap, so that nothing found is left standing. The longer one names the
/// whole.
pub(crate) fn settle(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| (finding.range.start, std::cmp::Reverse(finding.range.end)));
    let mut settled: Vec<Finding> = Vec::with_capacity(findings.len());
    for finding in findings {
        match settled.last_mut() {
            Some(last) if finding.range.start < last.range.end => {
                if finding.range.len() > last.range.len() {
                    (last.kind, last.confidence) = (finding.kind, finding.confidence);
                }
                last.range.end = last.range.end.max(finding.range.end);
            }
            _ => settled.push(finding),
        }
    }
    settled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_are_joined_and_the_longer_names_the_whole() {
        let finding = |kind, range| Finding::new(kind, range, Confidence::Likely);
        let settled = settle(vec![
            finding(Kind::Email, 12..30),
            finding(Kind::Phone, 10..20),
            finding(Kind::Card, 40..50),
            finding(Kind::ApiKey, 50..60),
            finding(Kind::Phone, 52..54),
        ]);
        assert_eq!(
            settled,
            [finding(Kind::Email, 10..30), finding(Kind::Card, 40..50), finding(Kind::ApiKey, 50..60),]
        );
    }
}
