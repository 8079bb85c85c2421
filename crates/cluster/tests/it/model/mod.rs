//! The exhaustive models: what must hold, and what must be refuted.

pub(crate) mod cases;
pub(crate) mod compact;
pub(crate) mod explore;
pub(crate) mod real;
#[cfg(test)]
mod reduction;
pub(crate) mod report;

#[cfg(test)]
mod tests {
    use super::{cases, report};

    #[test]
    fn what_must_hold_holds_and_each_mutant_is_refuted() {
        let cases = cases::all();
        assert!(report::run(cases.iter().filter(|case| case.is_short), false));
    }

    #[test]
    #[ignore = "takes long; run it with --release, or `prove model all`"]
    fn the_same_for_the_large_configurations() {
        let cases = cases::all();
        assert!(report::run(cases.iter().filter(|case| !case.is_short), false));
    }
}
