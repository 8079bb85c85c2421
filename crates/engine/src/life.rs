//! How long the keys of a workspace live, in one word of its row; and when a key was made.
//!
//! | bits | content |
//! |---|---|
//! | 0–15 | longest life, in days; 0 for none |
//! | 16–27, 28–39, 40–51, 52–63 | enforced rotation period of each environment: 0 for none, up to 3650 days, above that months |
//!
//! A word of 0, which most workspaces have, costs a verification one comparison. Else the dates of the key are needed. Its
//! id tells them both for a key that was never rotated; a key whose dates differ has them in its cold part.

use keywright_domain::{
    environment::Environment,
    ids::KeyId,
    time::{Period, Timestamp},
    workspace::{KeyLife, RotationPolicy},
};

use crate::{
    cold::Dates,
    record::{self, Facts},
    state::State,
    verify::Found,
};

const DAYS_MASK: u64 = 0xffff;
const PERIOD_BITS: u32 = 12;
const PERIOD_MASK: u64 = (1 << PERIOD_BITS) - 1;
/// The longest rotation period in days; numbers above it are months.
const PERIOD_DAYS_MAX: u64 = 3_650;
/// The longest rotation period in months.
const PERIOD_MONTHS_MAX: u64 = 120;
const _: () = assert!(PERIOD_DAYS_MAX + PERIOD_MONTHS_MAX <= PERIOD_MASK, "a period fits its bits");

/// The word for a workspace's row.
pub(crate) fn word_of(life: &KeyLife) -> u64 {
    let days = u64::from(life.max_days.unwrap_or(0)).min(DAYS_MASK);
    let rotation = life.enforced_rotation;
    Environment::ALL.into_iter().fold(days, |word, environment| {
        let period = rotation.and_then(|rotation| rotation.period(environment)).map_or(0, period_bits);
        word | period << shift(environment)
    })
}

const fn shift(environment: Environment) -> u32 {
    16 + environment as u32 * PERIOD_BITS
}

fn period_bits(period: Period) -> u64 {
    match period {
        Period::Days(days) => u64::from(days).clamp(1, PERIOD_DAYS_MAX),
        Period::Months(months) => PERIOD_DAYS_MAX + u64::from(months).clamp(1, PERIOD_MONTHS_MAX),
    }
}

/// What the word says.
pub(crate) fn of_word(word: u64) -> KeyLife {
    let max_days = u32::try_from(word & DAYS_MASK).ok().filter(|days| *days != 0);
    let period = |environment| {
        let bits = word >> shift(environment) & PERIOD_MASK;
        match bits.checked_sub(PERIOD_DAYS_MAX).filter(|months| *months > 0) {
            Some(months) => u8::try_from(months).ok().map(Period::Months),
            None => u16::try_from(bits).ok().filter(|days| *days > 0).map(Period::Days),
        }
    };
    let rotation = RotationPolicy {
        development: period(Environment::Development),
        staging: period(Environment::Staging),
        production: period(Environment::Production),
        ci: period(Environment::Ci),
    };
    KeyLife { max_days, enforced_rotation: (word & !DAYS_MASK != 0).then_some(rotation) }
}

/// The dates of a key, where its id does not tell them.
pub(crate) fn dates_to_keep(id: KeyId, dates: Dates) -> Option<Dates> {
    (dates != dates_of_id(id.to_bytes())).then_some(dates)
}

/// An id begins with the moment at which it was made: 48 bits of Unix milliseconds.
fn dates_of_id(id: [u8; 16]) -> Dates {
    let mut unix_ms = [0; 8];
    unix_ms[2..].copy_from_slice(&id[..6]);
    let created_at = Timestamp::from_unix_ms(i64::from_be_bytes(unix_ms));
    Dates { created_at, issued_at: created_at }
}

/// When the workspace's policy ends a key: by its longest life, and by an enforced rotation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PolicyEnds {
    pub(crate) life_ends_at: Option<Timestamp>,
    pub(crate) rotation_overdue_at: Option<Timestamp>,
}

impl State {
    /// When the policy with this word ends the key. `None` when the key was changed meanwhile.
    #[inline]
    pub(crate) fn policy_ends(&self, found: &Found<'_>, word: u64) -> Option<PolicyEnds> {
        if word == 0 { Some(PolicyEnds::default()) } else { self.policy_ends_of(found, word) }
    }

    #[inline(never)]
    fn policy_ends_of(&self, found: &Found<'_>, word: u64) -> Option<PolicyEnds> {
        let facts = &found.reading.facts;
        let kept = self.with_cold_start(facts.blob, |cold| cold.dates());
        record::still_holds(found.record, &found.reading).then(|| ends(facts, kept, word))
    }
}

/// When the policy with this word ends the key with these facts; `kept` are the dates in its cold part.
pub(crate) fn ends(facts: &Facts, kept: Option<Dates>, word: u64) -> PolicyEnds {
    let life = of_word(word);
    let dates = kept.unwrap_or_else(|| dates_of_id(facts.id));
    PolicyEnds {
        life_ends_at: life.ends_at(dates.created_at),
        rotation_overdue_at: life.overdue_at(facts.environment, dates.issued_at),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn period() -> impl Strategy<Value = Option<Period>> {
        prop_oneof![
            Just(None),
            (1_u16..=3_650).prop_map(|days| Some(Period::Days(days))),
            (1_u8..=120).prop_map(|months| Some(Period::Months(months))),
        ]
    }

    proptest! {
        #[test]
        fn every_policy_fits_a_word(days in prop::option::of(1_u32..=36_500), periods in [period(), period(), period(), period()]) {
            let [development, staging, production, ci] = periods;
            let rotation = RotationPolicy { development, staging, production, ci };
            let enforced_rotation = periods.iter().any(Option::is_some).then_some(rotation);
            let life = KeyLife { max_days: days, enforced_rotation };
            prop_assert_eq!(of_word(word_of(&life)), life);
        }
    }

    #[test]
    fn no_policy_is_no_word() {
        let nothing = RotationPolicy { development: None, staging: None, production: None, ci: None };
        assert_eq!(word_of(&KeyLife::default()), 0);
        assert_eq!(word_of(&KeyLife { max_days: None, enforced_rotation: Some(nothing) }), 0);
        assert_eq!(of_word(0), KeyLife::default());
    }

    #[test]
    fn an_id_tells_the_dates_of_a_key_that_was_never_rotated() {
        let at = |unix_ms| Timestamp::from_unix_ms(unix_ms);
        let mut id = [0xff; 16];
        id[..6].copy_from_slice(&1_800_000_000_123_u64.to_be_bytes()[2..]);
        let created_at = at(1_800_000_000_123);
        let id = KeyId::from_bytes(id);
        assert_eq!(dates_to_keep(id, Dates { created_at, issued_at: created_at }), None);
        for dates in [
            Dates { created_at, issued_at: created_at.plus_ms(1) },
            Dates { created_at: created_at.plus_ms(-1), issued_at: created_at },
        ] {
            assert_eq!(dates_to_keep(id, dates), Some(dates));
        }
    }
}
