//! Announcements as text: the last sequence number, and behind it, if nothing but revocations happened, the number of each
//! key that was revoked.

use std::fmt::Write as _;

use keywright_domain::{control::Announcement, key::KeyNumber};

/// Most bytes of an announcement; the server takes fewer than 8,000.
const TEXT_BYTES_MAX: usize = 7_900;
/// Most revocations that are kept for a follower that is slow. It fetches what is before them.
const KEPT_MAX: usize = 1_000;

/// The text of an announcement. One that is too long tells no more than the number.
pub(crate) fn announcement_text(announcement: &Announcement) -> String {
    let mut text = announcement.sequence.to_string();
    let number_bytes = text.len();
    for key in &announcement.revoked {
        write!(text, " {}", key.0).expect("a text takes everything");
        if text.len() > TEXT_BYTES_MAX {
            text.truncate(number_bytes);
            break;
        }
    }
    text
}

/// The announcement that a text is, if it is one.
pub(crate) fn parse(text: &str) -> Option<Announcement> {
    let mut words = text.split(' ');
    let sequence = words.next()?.parse().ok()?;
    let revoked = words.map(|word| word.parse().map(KeyNumber)).collect::<Result<Vec<_>, _>>().ok()?;
    (revoked.len() as u64 <= sequence).then_some(Announcement { sequence, revoked })
}

/// Adds an announcement to what was heard before: the revocations that lead to it without a gap stay.
pub(crate) fn hear(heard: &mut Announcement, mut next: Announcement) {
    if !next.revoked.is_empty() && next.first() == heard.sequence + 1 {
        let mut revoked = std::mem::take(&mut heard.revoked);
        revoked.append(&mut next.revoked);
        let surplus = revoked.len().saturating_sub(KEPT_MAX);
        revoked.drain(..surplus);
        next.revoked = revoked;
    }
    *heard = next;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(sequence: u64, keys: impl IntoIterator<Item = u32>) -> Announcement {
        Announcement { sequence, revoked: keys.into_iter().map(KeyNumber).collect() }
    }

    #[test]
    fn texts_come_back_and_other_texts_say_nothing() {
        for announcement in [told(7, []), told(7, [3]), told(u64::MAX, [1, u32::MAX])] {
            assert_eq!(parse(&announcement_text(&announcement)).as_ref(), Some(&announcement));
        }
        assert_eq!(announcement_text(&told(12, [3, 4])), "12 3 4");
        for text in ["", "x", "-1", "1 ", "1  2", "1 x", "2 4294967296", "1 5 6", "0 5"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn too_much_is_left_to_be_fetched() {
        let long = told(9_000, 1_000_000..1_000_000 + 980);
        assert_eq!(parse(&announcement_text(&long)), Some(long.clone()));
        assert_eq!(announcement_text(&told(9_000, 1_000_000..1_000_000 + 1_000)), "9000");
    }

    #[test]
    fn only_what_leads_to_the_last_without_a_gap_is_kept() {
        let mut heard = told(5, []);
        hear(&mut heard, told(7, [1, 2]));
        hear(&mut heard, told(8, [3]));
        assert_eq!((&heard, heard.first()), (&told(8, [1, 2, 3]), 6));
        hear(&mut heard, told(10, [5]));
        assert_eq!(heard, told(10, [5]), "9 is not known");
        hear(&mut heard, told(11, []));
        assert_eq!(heard, told(11, []), "what 11 is has to be fetched");
        hear(&mut heard, told(1_200, 0..1_189));
        hear(&mut heard, told(1_201, [7]));
        assert_eq!((heard.revoked.len(), heard.first()), (KEPT_MAX, 202));
    }
}
