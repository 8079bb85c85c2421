//! What holds for every key.

use keywright_keyformat::{IssuerTag, KeyKind, Malformed, Secret, mask, parse, redact};
use proptest::prelude::*;

use crate::random::XorShift;

/// Characters of the covered text that a checksum follows, counted from the end.
const CHECKSUM_LENGTH: usize = 6;

#[derive(Debug, Clone)]
struct Recipe {
    kind: KeyKind,
    tag: Option<IssuerTag>,
    seed: u64,
}

impl Recipe {
    fn make(&self) -> Secret {
        let mut random = XorShift::new(self.seed);
        Secret::generate(self.kind, self.tag.as_ref(), |bytes| random.fill(bytes))
    }
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let tag = "[a-z0-9]{1,16}".prop_filter_map("reserved", |tag| IssuerTag::parse(&tag).ok());
    (prop::sample::select(KeyKind::ALL.to_vec()), prop::option::of(tag), any::<u64>())
        .prop_map(|(kind, tag, seed)| Recipe { kind, tag, seed })
}

proptest! {
    #[test]
    fn a_generated_key_parses_to_its_parts(recipe in recipe()) {
        let secret = recipe.make();
        let key = parse(secret.expose().as_bytes(), recipe.tag.as_ref()).unwrap();
        prop_assert_eq!(key.kind(), recipe.kind);
        prop_assert_eq!(key.locator(), secret.locator());
        prop_assert_eq!(key.hint(), secret.hint());
        let copy = key.to_secret();
        prop_assert_eq!(copy.expose(), secret.expose());
        prop_assert_eq!(secret.tag(), recipe.tag.as_ref());
    }

    #[test]
    fn any_one_changed_byte_is_refused(recipe in recipe(), at in any::<prop::sample::Index>(), byte: u8) {
        let secret = recipe.make();
        let mut text = secret.expose().as_bytes().to_vec();
        let at = at.index(text.len());
        prop_assume!(text[at] != byte);
        text[at] = byte;
        prop_assert!(parse(&text, recipe.tag.as_ref()).is_err());
    }

    #[test]
    fn any_change_within_four_neighbours_of_the_covered_text_is_refused(
        recipe in recipe(), at in any::<prop::sample::Index>(), put in "[0-9A-Za-z]{1,4}",
    ) {
        let secret = recipe.make();
        let mut text = secret.expose().as_bytes().to_vec();
        let at = at.index(text.len() - CHECKSUM_LENGTH - put.len() + 1);
        text[at..at + put.len()].copy_from_slice(put.as_bytes());
        prop_assume!(text != secret.expose().as_bytes());
        prop_assert!(parse(&text, recipe.tag.as_ref()).is_err());
    }

    /// Guaranteed on either side of the border before the checksum, see the crate's documentation.
    #[test]
    fn any_swap_is_refused(
        recipe in recipe(), one in any::<prop::sample::Index>(), other in any::<prop::sample::Index>(),
    ) {
        let secret = recipe.make();
        let mut text = secret.expose().as_bytes().to_vec();
        let covered = text.len() - CHECKSUM_LENGTH;
        let (one, other) = (one.index(text.len()), other.index(text.len()));
        prop_assume!((one < covered) == (other < covered) && text[one] != text[other]);
        text.swap(one, other);
        prop_assert!(parse(&text, recipe.tag.as_ref()).is_err());
    }

    #[test]
    fn a_cut_or_longer_key_is_refused(recipe in recipe(), cut in any::<prop::sample::Index>(), more in "[ -~]{1,20}") {
        let secret = recipe.make();
        let text = secret.expose();
        prop_assert!(parse(&text.as_bytes()[..cut.index(text.len())], recipe.tag.as_ref()).is_err());
        prop_assert!(parse(&text.as_bytes()[1 + cut.index(text.len() - 1)..], recipe.tag.as_ref()).is_err());
        let longer = [text, &more].concat();
        prop_assert!(parse(longer.as_bytes(), recipe.tag.as_ref()).is_err());
    }

    #[test]
    fn another_issuers_key_is_called_so(one in recipe(), other in recipe()) {
        prop_assume!(one.tag != other.tag);
        let secret = one.make();
        let refusal = parse(secret.expose().as_bytes(), other.tag.as_ref()).unwrap_err();
        prop_assert_eq!(refusal, Malformed::WrongIssuer { expected: other.tag });
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), tagged: bool) {
        let acme = IssuerTag::parse("acme").unwrap();
        prop_assert!(parse(&bytes, tagged.then_some(&acme)).is_err());
        let _ = mask(&bytes);
    }

    #[test]
    fn nothing_shown_holds_the_secret_part(recipe in recipe(), before in "[ -~]{0,40}", after in "[ -~]{0,40}") {
        let secret = recipe.make();
        let text = secret.expose();
        let secret_part = &text[text.len() - 30..text.len() - 6];
        let key = parse(text.as_bytes(), recipe.tag.as_ref()).unwrap();
        let line = format!("{before}{text}{after}");
        for shown in [
            format!("{secret:?}"), format!("{key:?}"), secret.hint().to_string(), mask(text), mask(&line),
            redact(&line).into_owned(),
        ] {
            // Not even eight characters of it.
            for window in secret_part.as_bytes().windows(8) {
                prop_assert!(!shown.contains(str::from_utf8(window).unwrap()), "{}", shown);
            }
        }
    }

    #[test]
    fn a_cut_key_is_redacted_as_well(recipe in recipe(), length in 20_usize..42) {
        let secret = recipe.make();
        let head = secret.expose().len() - 42;
        let line = format!("key={} end", &secret.expose()[..head + length]);
        let secret_start = &secret.expose()[head + 12..head + 20];
        prop_assert!(!redact(&line).contains(secret_start), "{}", redact(&line));
    }

    #[test]
    fn a_refusal_shows_nothing_of_the_text(recipe in recipe(), at in any::<prop::sample::Index>(), put in "[ -~]") {
        let secret = recipe.make();
        let mut text = secret.expose().to_owned();
        let at = at.index(text.len());
        text.replace_range(at..=at, &put);
        if let Err(refusal) = parse(text.as_bytes(), recipe.tag.as_ref()) {
            let shown = format!("{refusal:?} {refusal} {}", refusal.code());
            let body = text.len() - 42;
            for window in text.as_bytes()[body..].windows(8) {
                prop_assert!(!shown.contains(str::from_utf8(window).unwrap()), "{}", shown);
            }
        }
    }
}
