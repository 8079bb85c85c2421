//! Payment cards: the ranges in use, the groups they are printed in, the check digit of ISO/IEC 7812-1 (Luhn).

use crate::finding::{Confidence, Finding, Kind};
use crate::number::{Run, Separator};
use crate::surroundings::Said;

/// How cards are printed, longer before shorter.
const PRINTED: &[&[usize]] =
    &[&[4, 4, 4, 4, 3], &[4, 4, 4, 4, 2], &[6, 13], &[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4], &[4, 4, 5]];
const LONGEST: usize = 19;
const SHORTEST: usize = 13;

/// The card that begins with a group, and the group behind it.
pub(crate) fn at(run: &Run<'_>, first: usize) -> Option<(usize, Finding)> {
    if !run.may_begin(first) {
        return None;
    }
    let printed =
        PRINTED.iter().filter(|lengths| has_shape(run, first, lengths)).map(|lengths| lengths.len());
    printed.chain([1]).find_map(|count| {
        let confidence = judge(run, first, count)?;
        let last = first + count - 1;
        let range = run.groups[first].range.start..run.groups[last].range.end;
        Some((last + 1, Finding::new(Kind::Card, range, confidence)))
    })
}

fn has_shape(run: &Run<'_>, first: usize, lengths: &[usize]) -> bool {
    let Some(groups) = run.groups.get(first..first + lengths.len()) else {
        return false;
    };
    let separator = groups[1].before;
    matches!(separator, Separator::Space | Separator::Hyphen | Separator::Dot)
        && groups.iter().zip(lengths).all(|(group, length)| group.len() == *length)
        && groups[1..].iter().all(|group| group.before == separator)
}

fn judge(run: &Run<'_>, first: usize, count: usize) -> Option<Confidence> {
    let last = first + count - 1;
    let length = run.groups[first..=last].iter().map(crate::number::Group::len).sum::<usize>();
    if !(SHORTEST..=LONGEST).contains(&length) || !run.may_end(last, &[Separator::Hyphen, Separator::Dot]) {
        return None;
    }
    let mut digits = [0; LONGEST];
    digits.iter_mut().zip(run.digits(first..last + 1)).for_each(|(slot, digit)| *slot = digit);
    let digits = &digits[..length];
    let said = run.said_before(first);
    if is_issued(digits) && luhn(digits) {
        // By chance one identifier in ten has the right check digit.
        let spoken_against = said == Said::Other && count == 1 || in_a_table(run, first, last);
        return (!spoken_against || said == Said::Card).then_some(if count == 1 && said != Said::Card {
            Confidence::Likely
        } else {
            Confidence::Certain
        });
    }
    // Mistyped, but said to be a card and written like one.
    (said == Said::Card && (count > 1 || length == 16)).then_some(Confidence::Possible)
}

/// Whether more groups of the same length stand before or behind.
fn in_a_table(run: &Run<'_>, first: usize, last: usize) -> bool {
    let like = |group: Option<&crate::number::Group>, length: usize| {
        group.is_some_and(|group| group.len() == length)
    };
    let before =
        first.checked_sub(1).and_then(|before| run.groups.get(before)).filter(|_| run.free_from != first);
    last > first
        && (like(before, run.groups[first].len()) || like(run.groups.get(last + 1), run.groups[last].len()))
}

/// Whether a network issues cards of this length that begin like this.
#[expect(clippy::unnested_or_patterns, reason = "one line for each network")]
fn is_issued(digits: &[u8]) -> bool {
    let begins =
        |length: usize| digits[..length].iter().fold(0_u32, |number, digit| number * 10 + u32::from(*digit));
    match (begins(4), digits.len()) {
        (4000..=4999, 13 | 16 | 19) // Visa
        | (5100..=5599 | 2221..=2720, 16) // Mastercard
        | (3400..=3499 | 3700..=3799, 15) // American Express
        | (6011 | 6440..=6599, 16..=19) // Discover
        | (3528..=3589, 16..=19) // JCB
        | (3000..=3059 | 3095 | 3600..=3699 | 3800..=3999, 14) // Diners Club
        | (3600..=3699 | 3800..=3999, 16) // Diners Club, long
        | (6200..=6299 | 8100..=8171, 16..=19) // UnionPay
        | (5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763, 13..=19) // Maestro
        | (5019, 16) // Dankort
        | (2200..=2204, 16) // Mir
        | (5060..=5061, 16..=19) // Verve
        | (6362 | 5067, 16) => true, // Elo
        _ => false,
    }
}

fn luhn(digits: &[u8]) -> bool {
    let sum = digits.iter().rev().enumerate().map(|(place, digit)| match (place % 2, digit * 2) {
        (0, _) => u32::from(*digit),
        (_, double @ 0..=9) => u32::from(double),
        (_, double) => u32::from(double - 9),
    });
    sum.sum::<u32>().is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(text: &str) -> Vec<u8> {
        text.bytes().map(|digit| digit - b'0').collect()
    }

    #[test]
    fn test_cards_of_the_networks_are_issued_and_have_the_check_digit() {
        for card in [
            "4111111111111111",
            "4222222222222",
            "4444333322221111455",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "371449635398431",
            "6011111111111117",
            "30569309025904",
            "38520000023237",
            "36006666333344",
            "3530111333300000",
            "6205500000000000004",
            "6759649826438453",
            "5019717010103742",
        ] {
            assert!(is_issued(&digits(card)) && luhn(&digits(card)), "{card}");
        }
    }

    #[test]
    fn one_wrong_digit_is_noticed() {
        let card = digits("4111111111111111");
        for place in 0..card.len() {
            for change in 1..10 {
                let mut wrong = card.clone();
                wrong[place] = (wrong[place] + change) % 10;
                assert!(!luhn(&wrong), "{wrong:?}");
            }
        }
    }

    #[test]
    fn other_numbers_are_not_issued() {
        for number in
            ["1715941800000", "9783161484100", "490154203237518", "0000000000000000", "1240985127398400000"]
        {
            assert!(!is_issued(&digits(number)), "{number}");
        }
    }
}
