//! Phone numbers: international (E.164 and how people write it), North American, and national ones with a leading 0.

use crate::finding::{Confidence, Finding, Kind};
use crate::number::{Run, Separator};
use crate::surroundings::{Said, is_word};

/// Most digits of an international number (E.164), without prefixes.
const LONGEST: usize = 15;

/// A number that was read: the group behind it and how sure it is.
type Read = Option<(usize, Confidence)>;

/// The phone number that begins with a group, and the group behind it.
pub(crate) fn at(run: &Run<'_>, first: usize) -> Option<(usize, Finding)> {
    let plus = plus_before(run, first);
    let (behind, confidence) = match plus {
        Some(_) => international(run, first)?,
        None if run.may_begin(first) => {
            let said = run.said_before(first);
            north_american(run, first, said)
                .or_else(|| with_exit_code(run, first, said))
                .or_else(|| national(run, first, said))
                .or_else(|| anything_called_a_phone(run, first, said))?
        }
        None => return None,
    };
    let start =
        run.groups[first].range.start - plus.unwrap_or_else(|| usize::from(parenthesis_before(run, first)));
    let end = extension(run.text, run.groups[behind - 1].range.end);
    Some((behind, Finding::new(Kind::Phone, start..end, confidence)))
}

fn parenthesis_before(run: &Run<'_>, group: usize) -> bool {
    run.text_before(group).ends_with(b"(")
        && (run.groups.get(group + 1).is_some_and(|next| next.before == Separator::Close))
}

/// Length of the `+` before a group, in whatever form: `+`, `(+`, `+(`, `%2B`.
fn plus_before(run: &Run<'_>, group: usize) -> Option<usize> {
    let before = run.text_before(group);
    let (length, rest) = match before {
        [rest @ .., b'(', b'+'] | [rest @ .., b'+', b'('] => (2, rest),
        [rest @ .., b'+'] => (1, rest),
        [rest @ .., b'%', b'2', b'B' | b'b'] => (3, rest),
        _ => return None,
    };
    let glued = match rest {
        [] | [.., b'\\', b'n' | b'r' | b't'] => false,
        [.., last] => is_word(*last),
    };
    (!glued).then_some(length)
}

/// `x123`, `ext. 123`, ` ext 5`: where the extension ends, or `end`.
fn extension(text: &[u8], end: usize) -> usize {
    let rest = &text[end..text.len().min(end + 24)];
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
    let word = &rest[spaces..];
    let named = [&b"extension"[..], b"ext.", b"ext", b"x", b"durchwahl"];
    let Some(name) =
        named.iter().find(|name| word.len() > name.len() && word[..name.len()].eq_ignore_ascii_case(name))
    else {
        return end;
    };
    let digits = &word[name.len()..];
    let gap = digits.iter().take_while(|byte| **byte == b' ').count();
    let length = digits[gap..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if spaces + gap > 3
        || !(1..=6).contains(&length)
        || digits.get(gap + length).is_some_and(|byte| is_word(*byte))
    {
        return end;
    }
    end + spaces + name.len() + gap + length
}

fn international(run: &Run<'_>, first: usize) -> Read {
    let (shortest, longest) = lengths_of_country(run, first)?;
    let mut best = None;
    let mut count = 0;
    for (index, group) in run.groups.iter().enumerate().skip(first) {
        let apart = index > first;
        if apart && matches!(group.before, Separator::Slash) && count > 5 || index > first + 7 {
            break;
        }
        // `+44 (0)20 …`: the 0 is dialled at home only.
        let trunk =
            group.len() == 1 && group.before == Separator::Open && run.digits(index..index + 1).eq([0]);
        count += if trunk { 0 } else { group.len() };
        if count > longest || plus_before(run, index).is_some() && apart {
            break;
        }
        let least = if index == first { shortest.max(9) } else { shortest };
        if count >= least && !trunk && run.may_end(index, &[Separator::Hyphen, Separator::Dot]) {
            best = Some(index + 1);
        }
    }
    best.map(|behind| (behind, Confidence::Certain))
}

/// Digits of a whole number, country code included, by the code it begins with: fewest and most.
fn lengths_of_country(run: &Run<'_>, first: usize) -> Option<(usize, usize)> {
    let mut digits = run.digits(first..run.groups.len().min(first + 3));
    let code = (digits.next()?, digits.next()?);
    Some(match code {
        (0, _) => return None,
        (1 | 7, _) | (3, 1 | 3 | 4) | (4, 1 | 8) | (6, 1) => (11, 11),
        (4, 4) | (8, 1) => (11, 12),
        (9, 1) => (12, 12),
        (4, 5 | 7) => (10, 10),
        (4, 6) => (9, 12),
        (8, 6) => (11, 13),
        (5, 5) => (12, 13),
        _ => (8, LONGEST),
    })
}

/// `0049 30 …`, `00 44 …`: the number follows what is dialled to leave a country.
fn with_exit_code(run: &Run<'_>, first: usize, said: Said) -> Read {
    let mut digits = run.digits(first..run.groups.len().min(first + 2));
    let exit = (digits.next()?, digits.next()?, digits.next()?);
    if !matches!(exit, (0, 0, 1..=9))
        || run.groups[first].len() > 6 && said != Said::Phone
        || said == Said::Other
    {
        return None;
    }
    let (behind, count) = longest_of(run, first, LONGEST + 2)?;
    (count >= 11 && behind - first >= 2 || said == Said::Phone && count >= 10)
        .then_some((behind, Confidence::Likely))
}

fn north_american(run: &Run<'_>, first: usize, said: Said) -> Read {
    let with_one = run.groups[first].len() == 1 && run.digits(first..first + 1).eq([1]);
    let area = first + usize::from(with_one);
    let groups = run.groups.get(area..)?;
    let lengths: Vec<usize> = groups.iter().take(3).map(super::number::Group::len).collect();
    let count = match lengths[..] {
        [3, 3, 4] => 3,
        [3, 7, ..] | [6, 4, ..] => 2,
        [10, ..] if !with_one => return bare(run, first, said),
        [11, ..] if !with_one && said == Said::Phone => return bare(run, first, said),
        _ => return None,
    };
    let last = area + count - 1;
    let between = || run.groups[first + 1..=last].iter().map(|group| group.before);
    if !run.may_end(last, &[Separator::Hyphen, Separator::Dot])
        || between().any(|separator| separator == Separator::Slash)
    {
        return None;
    }
    let numbers: Vec<u8> = run.digits(area..last + 1).collect();
    let assigned = numbers[0] >= 2;
    let in_parentheses =
        run.groups[area + 1].before == Separator::Close && run.text_before(area).ends_with(b"(");
    let joined = between().all(|separator| matches!(separator, Separator::Hyphen | Separator::Dot));
    if said == Said::Phone || in_parentheses {
        return Some((last + 1, Confidence::Certain));
    }
    if joined && (assigned || count == 3) {
        return Some((last + 1, Confidence::Likely));
    }
    let spaced = assigned && count == 3 && said == Said::Nothing && !amid_numbers(run, first, last);
    spaced.then_some((last + 1, Confidence::Possible))
}

/// Whether other groups stand beside, as in a table.
fn amid_numbers(run: &Run<'_>, first: usize, last: usize) -> bool {
    first > run.free_from || last + 1 < run.groups.len()
}

/// Ten or eleven digits in one piece.
fn bare(run: &Run<'_>, first: usize, said: Said) -> Read {
    if !run.may_end(first, &[Separator::Hyphen, Separator::Dot, Separator::Slash]) {
        return None;
    }
    let digits: Vec<u8> = run.digits(first..first + 1).collect();
    let number = if digits.len() == 11 { &digits[1..] } else { &digits[..] };
    if digits.len() == 11 && digits[0] != 1 {
        return None;
    }
    let assigned = number[0] >= 2;
    match said {
        Said::Phone if assigned => Some((first + 1, Confidence::Likely)),
        // Ten digits that begin with 1 are a time until 2033.
        Said::Nothing
            if assigned
                && digits.len() == 10
                && !measured(run, first)
                && !amid_numbers(run, first, first) =>
        {
            Some((first + 1, Confidence::Possible))
        }
        _ => None,
    }
}

/// Whether a unit follows.
fn measured(run: &Run<'_>, group: usize) -> bool {
    let rest = &run.text[run.groups[group].range.end..];
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let length = rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let units: &[&[u8]] = &[
        b"bytes",
        b"byte",
        b"ms",
        b"ns",
        b"us",
        b"s",
        b"kb",
        b"mb",
        b"gb",
        b"b",
        b"rows",
        b"users",
        b"requests",
        b"of",
        b"eur",
        b"usd",
        b"euro",
        b"dollars",
        b"seconds",
        b"times",
        b"people",
        b"records",
        b"tokens",
    ];
    units.iter().any(|unit| rest[..length].eq_ignore_ascii_case(unit)) || rest.starts_with("€".as_bytes())
}

/// `030 23125 014`, `(089) 99998-210`, `01 99 00 12 34`.
fn national(run: &Run<'_>, first: usize, said: Said) -> Read {
    let mut digits = run.digits(first..first + 1);
    if !matches!((digits.next(), digits.next()), (Some(0), Some(1..=9))) || said == Said::Other {
        return None;
    }
    let head = run.groups[first].len();
    if head >= 10 {
        let mobile = run.digits(first..first + 1).take(3).eq([0, 1, 5])
            || run.digits(first..first + 1).take(3).eq([0, 1, 6])
            || run.digits(first..first + 1).take(3).eq([0, 1, 7])
            || run.digits(first..first + 1).take(2).eq([0, 7]);
        let fits = head <= 12 && (said == Said::Phone || said == Said::Nothing && mobile && head >= 11);
        return (fits && run.may_end(first, &[Separator::Hyphen, Separator::Dot]))
            .then_some((first + 1, Confidence::Likely));
    }
    if head == 2 {
        return in_pairs(run, first);
    }
    let (behind, count) = longest_of(run, first, 12)?;
    let numbers: Vec<u8> = run.digits(first..behind).collect();
    let parts = &run.groups[first + 1..behind];
    let least = if said == Said::Phone || parenthesis_before(run, first) { 8 } else { 10 };
    let plain = head <= 5 && !parts.is_empty() && count >= least && parts.iter().all(|part| part.len() >= 2);
    let dotted = parts.iter().any(|part| part.before == Separator::Dot) && said != Said::Phone;
    let binary = numbers.iter().all(|digit| *digit < 2);
    (plain && !dotted && !binary)
        .then_some((behind, if said == Said::Phone { Confidence::Certain } else { Confidence::Likely }))
}

/// Five pairs, as in France.
fn in_pairs(run: &Run<'_>, first: usize) -> Read {
    let pairs = run.groups.get(first..first + 5)?;
    let separator = pairs[1].before;
    let goes_before =
        first > run.free_from && pairs[0].before == separator && run.groups[first - 1].len() == 2;
    let fits = !goes_before
        && pairs.iter().all(|pair| pair.len() == 2)
        && matches!(separator, Separator::Space | Separator::Dot | Separator::Hyphen)
        && pairs[1..].iter().all(|pair| pair.before == separator)
        && !run.groups.get(first + 5).is_some_and(|next| next.before == separator);
    (fits && run.may_end(first + 4, &[Separator::Hyphen, Separator::Dot]))
        .then_some((first + 5, Confidence::Likely))
}

/// What is called a phone and has as many digits as one.
fn anything_called_a_phone(run: &Run<'_>, first: usize, said: Said) -> Read {
    if said != Said::Phone {
        return None;
    }
    let (behind, count) = longest_of(run, first, LONGEST)?;
    let groups = &run.groups[first..behind];
    let is = |lengths: &[usize]| groups.iter().map(super::number::Group::len).eq(lengths.iter().copied());
    let date = is(&[4, 2, 2]) || is(&[2, 2, 4]) || is(&[1, 2, 4]) || is(&[2, 1, 4]) || is(&[1, 1, 4]);
    let address = groups.iter().all(|group| group.len() <= 3)
        && groups[1..].iter().all(|group| group.before == Separator::Dot);
    (count >= 7 && !date && !address).then_some((behind, Confidence::Likely))
}

/// The most groups that begin here, may end a number and have at most `longest` digits, and their digits.
fn longest_of(run: &Run<'_>, first: usize, longest: usize) -> Option<(usize, usize)> {
    let mut best = None;
    let mut count = 0;
    for (index, group) in run.groups.iter().enumerate().skip(first).take(8) {
        let another = index > first
            && (group.before == Separator::Open && !group_is_trunk(run, index)
                || plus_before(run, index).is_some());
        count += group.len();
        if count > longest || another {
            break;
        }
        if run.may_end(index, &[Separator::Hyphen, Separator::Dot]) {
            best = Some((index + 1, count));
        }
    }
    best
}

fn group_is_trunk(run: &Run<'_>, group: usize) -> bool {
    run.digits(group..group + 1).eq([0])
}
