//! Announcements as text: the last sequence number, and behind it, if nothing but revocations happened, the number of each
//! key that was revoked, and a code (HMAC-SHA-256, RFC 2104, truncated to 128 bits).
//!
//! Whoever may connect to a database may announce something in it, whatever else they may do there. A number alone can only
//! make nodes look; what is to be taken for a part of the log is believed only from who has the installation's keys.

use std::fmt::{self, Write as _};

use hmac::{Hmac, KeyInit as _, Mac as _};
use keywright_domain::{control::Announcement, key::KeyNumber};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Most bytes of the part before the code; the server takes fewer than 8,000 in all.
const BODY_BYTES_MAX: usize = 7_900;
/// Most revocations that are kept for a follower that is slow. It fetches what is before them.
const KEPT_MAX: usize = 1_000;

/// What the nodes of an installation authenticate announcements with.
#[derive(Clone)]
pub struct AnnouncementKey(Zeroizing<[u8; 32]>);

impl AnnouncementKey {
    /// A key of these bytes, which all nodes have and nobody else.
    pub const fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for AnnouncementKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AnnouncementKey(…)")
    }
}

/// Writes and reads the announcements of a schema.
#[derive(Clone, Debug)]
pub(crate) struct Announcer {
    channel: String,
    key: Option<AnnouncementKey>,
}

impl Announcer {
    /// The announcer of this schema. Without a key it tells numbers, and hears nothing else.
    pub(crate) fn new(schema: &str, key: Option<AnnouncementKey>) -> Self {
        Self { channel: format!("{schema}_changes"), key }
    }

    /// The channel on which the writers of the schema announce changes.
    pub(crate) fn channel(&self) -> &str {
        &self.channel
    }

    /// The text of an announcement. One that is too long tells no more than the number.
    pub(crate) fn text(&self, announcement: &Announcement) -> String {
        let number = announcement.sequence.to_string();
        let Some(key) = self.key.as_ref().filter(|_| !announcement.revoked.is_empty()) else { return number };
        let mut text = number.clone();
        for key in &announcement.revoked {
            write!(text, " {}", key.0).expect("a text takes everything");
            if text.len() > BODY_BYTES_MAX {
                return number;
            }
        }
        let code = *self.code(key, &text).finalize().into_bytes().first_chunk().expect("32 bytes");
        write!(text, " {:032x}", u128::from_be_bytes(code)).expect("a text takes everything");
        text
    }

    /// The announcement that a text is, if it is one. One that is not authentic tells no more than a number.
    pub(crate) fn read(&self, text: &str) -> Option<Announcement> {
        let Some((body, code)) = text.rsplit_once(' ') else {
            return text.parse().ok().map(Announcement::of);
        };
        let mut words = body.split(' ');
        let sequence = words.next()?.parse().ok()?;
        let revoked = words.map(|word| word.parse().map(KeyNumber)).collect::<Result<Vec<_>, _>>().ok()?;
        let is_authentic = self.key.as_ref().is_some_and(|key| {
            let code = u128::from_str_radix(code, 16).map(u128::to_be_bytes);
            code.is_ok_and(|code| self.code(key, body).verify_truncated_left(&code).is_ok())
        });
        let is_told = is_authentic && revoked.len() as u64 <= sequence;
        Some(Announcement { sequence, revoked: if is_told { revoked } else { Vec::new() } })
    }

    fn code(&self, key: &AnnouncementKey, body: &str) -> Hmac<Sha256> {
        let keyed = Hmac::new_from_slice(&*key.0).expect("HMAC takes keys of any length");
        keyed.chain_update(&self.channel).chain_update([0]).chain_update(body)
    }
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

    fn announcer(schema: &str, byte: u8) -> Announcer {
        Announcer::new(schema, Some(AnnouncementKey::new(Zeroizing::new([byte; 32]))))
    }

    #[test]
    fn texts_come_back_and_other_texts_say_nothing() {
        let announcer = announcer("acme", 1);
        for announcement in [told(7, []), told(7, [3]), told(u64::MAX, [1, u32::MAX])] {
            assert_eq!(announcer.read(&announcer.text(&announcement)).as_ref(), Some(&announcement));
        }
        assert_eq!(announcer.text(&told(12, [])), "12");
        assert!(announcer.text(&told(12, [3, 4])).starts_with("12 3 4 "));
        for text in ["", "x", "-1", " 1", "1  2 0", "1 x 0", "2 4294967296 0"] {
            assert_eq!(announcer.read(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_not_authentic_is_a_number_alone() {
        let announcer = announcer("acme", 1);
        let text = announcer.text(&told(12, [3, 4]));
        let others = [
            super::tests::announcer("acme", 2),
            super::tests::announcer("other", 1),
            Announcer::new("acme", None),
        ];
        for other in others {
            assert_eq!(other.read(&text), Some(told(12, [])), "{other:?}");
        }
        let code = text.rsplit_once(' ').unwrap().1;
        for forged in [
            "12 3 4",
            "12 3 4 0",
            "12 3 4 x",
            "12 3 4 ",
            &format!("13 3 4 {code}"),
            &format!("12 3 5 {code}"),
            &format!("12 3 {code}"),
        ] {
            let read = announcer.read(forged).unwrap();
            assert_eq!(read.revoked, [], "{forged}");
        }
        assert_eq!(Announcer::new("acme", None).text(&told(12, [3])), "12", "nobody would believe more");
        assert!(!format!("{announcer:?}").contains("1, 1"), "{announcer:?}");
    }

    #[test]
    fn too_much_is_left_to_be_fetched() {
        let announcer = announcer("acme", 1);
        let long = told(9_000, 1_000_000..1_000_000 + 980);
        let text = announcer.text(&long);
        assert!(text.len() < 8_000, "{}", text.len());
        assert_eq!(announcer.read(&text), Some(long));
        assert_eq!(announcer.text(&told(9_000, 1_000_000..1_000_000 + 1_000)), "9000");
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
