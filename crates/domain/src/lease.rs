//! How long a node may answer from memory without having heard from the store.

use serde::{Deserialize, Serialize};

/// A workspace's own trade-off: how long its keys are verified after the store was lost, against how long a revocation
/// waits for a node that cannot be reached. While all nodes are reachable, revocation takes milliseconds in every term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub enum LeaseTerm {
    /// Never from memory alone: each verification asks the store for the head of the log.
    ReadThrough = 0,
    /// 3 seconds.
    Short = 1,
    /// 30 seconds.
    #[default]
    Standard = 2,
    /// 5 minutes.
    Long = 3,
}

/// No workspace may have this lease term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a lease term is 0, 3, 30 or 300 seconds")]
pub struct InvalidLeaseTerm;

impl LeaseTerm {
    /// All terms, shortest first.
    pub const ALL: [Self; 4] = [Self::ReadThrough, Self::Short, Self::Standard, Self::Long];

    /// The length in seconds.
    pub const fn seconds(self) -> u32 {
        match self {
            Self::ReadThrough => 0,
            Self::Short => 3,
            Self::Standard => 30,
            Self::Long => 300,
        }
    }
}

impl TryFrom<u32> for LeaseTerm {
    type Error = InvalidLeaseTerm;
    fn try_from(seconds: u32) -> Result<Self, Self::Error> {
        Self::ALL.into_iter().find(|term| term.seconds() == seconds).ok_or(InvalidLeaseTerm)
    }
}

impl From<LeaseTerm> for u32 {
    fn from(term: LeaseTerm) -> Self {
        term.seconds()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_is_one_of_four() {
        for term in LeaseTerm::ALL {
            assert_eq!(LeaseTerm::try_from(term.seconds()), Ok(term));
        }
        for seconds in [1, 2, 4, 29, 31, 299, 301] {
            assert_eq!(LeaseTerm::try_from(seconds), Err(InvalidLeaseTerm));
        }
    }
}
