//! What stands before and behind a candidate.

/// A letter, a digit or an underscore.
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether what follows `before` goes on with a word. The letter of an escape (`\n`, `%3D`) is not part of a word.
pub(crate) fn inside_word(before: &[u8]) -> bool {
    match before {
        [] | [.., b'\\', b'n' | b'r' | b't'] => false,
        [.., b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => false,
        [.., last] => is_word(*last),
    }
}

/// How many bytes at the end of `text` are a letter of an alphabet that e-mail addresses are written in: ASCII, Latin with
/// marks, Greek, Cyrillic.
pub(crate) fn letter_before(text: &[u8]) -> usize {
    match text {
        [.., last] if last.is_ascii_alphabetic() => 1,
        [.., lead, next] if is_two_byte_letter(*lead, *next) => 2,
        _ => 0,
    }
}

/// The same for the beginning of `text`.
pub(crate) fn letter_after(text: &[u8]) -> usize {
    match text {
        [first, ..] if first.is_ascii_alphabetic() => 1,
        [lead, next, ..] if is_two_byte_letter(*lead, *next) => 2,
        _ => 0,
    }
}

/// U+00C0 to U+052F without × and ÷.
fn is_two_byte_letter(lead: u8, next: u8) -> bool {
    matches!(lead, 0xC3..=0xD4)
        && matches!(next, 0x80..=0xBF)
        && !(lead == 0xC3 && matches!(next, 0x97 | 0xB7))
}

/// What the words before a number say it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Phone,
    Card,
    /// Something else: an order, an identifier, a size.
    Other,
    /// Nothing that helps, in a sentence.
    Nothing,
    /// Nothing that helps, but it is the value of a field.
    Field,
}

/// Bytes before a number that are read.
const WINDOW: usize = 48;
/// Words before a number that are read.
const WORDS: usize = 6;

#[rustfmt::skip]
const PHONE: &[&str] = &[
    "anruf", "anrufen", "call", "callback", "called", "caller", "calling", "cell", "cellphone", "dial", "durchwahl", "fax",
    "faxnummer", "festnetz", "handy", "handynummer", "hotline", "landline", "mob", "mobil", "mobile", "mobilnummer", "msisdn",
    "phone", "reach", "ring", "ruckruf", "ruf", "rufe", "rufen", "rufnummer", "rückruf", "signal", "sms", "tel", "telefax", "telefon",
    "telefonnummer", "telephone", "text", "toll", "tollfree", "voicemail", "wa", "whatsapp", "zentrale",
];
#[rustfmt::skip]
const CARD: &[&str] = &[
    "amex", "card", "cardnumber", "cards", "cc", "ccnum", "credit", "creditcard", "debit", "diners", "discover", "jcb", "karte", "karten",
    "kartennummer", "kreditkarte", "kreditkartennummer", "maestro", "mastercard", "pan", "visa",
];
#[rustfmt::skip]
const OTHER: &[&str] = &[
    "account", "acct", "ack", "aktenzeichen", "amount", "asin", "auftrag", "batch", "bestellung", "bic", "block", "buffers", "bug",
    "build", "byte", "bytes", "cached", "case", "chapter", "checksum", "commit", "conference", "conn", "count", "customer", "duration",
    "ean", "epoch", "exp", "expires", "gtin", "hash", "heap", "height", "iat", "iban", "iccid", "id", "ids", "imei", "imsi", "inode", "invoice",
    "isbn", "issn", "issue", "item", "items", "job", "kapitel", "konto", "kunde", "length", "line", "matrikel", "md5", "mem", "member",
    "memory", "message", "ms", "nbf", "nonce", "ns", "offset", "order", "orders", "page", "paket", "parcel", "passcode", "pid", "plz", "port",
    "pr", "process", "pull", "rechnung", "ref", "reference", "reset", "rev", "revision", "row", "rss", "run", "salt", "sendung", "seq",
    "serial", "session", "sha", "shipment", "since", "size", "sku", "snowflake", "span", "steuernummer", "sum", "swap", "task", "thread",
    "ticket", "tickets", "time", "timestamp", "total", "trace", "tracking", "transaction", "ts", "txn", "uid", "upc", "us", "user", "vat",
    "version", "vertragskonto", "zip",
];

/// Reads the words before a number, the nearest first.
pub(crate) fn said_before(before: &[u8]) -> Said {
    let window = &before[before.len().saturating_sub(WINDOW)..];
    // A line break ends a thought.
    let window = window.iter().rposition(|byte| *byte == b'\n').map_or(window, |at| &window[at + 1..]);
    let field = is_field(window);
    // What stands before the name of a field belongs to another one.
    let window = if field { behind_last(window, b",;{&?") } else { window };
    let words =
        window.rsplit(|byte| !byte.is_ascii_alphanumeric() && *byte < 0x80).filter(|word| !word.is_empty());
    for word in words.take(WORDS) {
        if let Some(said) = meaning(word) {
            return said;
        }
    }
    if field { Said::Field } else { Said::Nothing }
}

fn behind_last<'a>(text: &'a [u8], bytes: &[u8]) -> &'a [u8] {
    text.iter().rposition(|byte| bytes.contains(byte)).map_or(text, |at| &text[at + 1..])
}

/// Most bytes of a word that is looked up.
const MAX_WORD: usize = 24;

fn meaning(word: &[u8]) -> Option<Said> {
    let word = str::from_utf8(word)
        .ok()
        .filter(|word| word.len() <= MAX_WORD && !word.starts_with(char::is_numeric))?;
    let word = word.to_lowercase();
    let is = |list: &[&str]| list.binary_search(&word.as_str()).is_ok();
    let long = |least: usize| word.len() >= least;
    if is(PHONE) {
        Some(Said::Phone)
    } else if is(CARD) {
        Some(Said::Card)
    } else if is(OTHER) || long(7) && (word.ends_with("nummer") || word.ends_with("kennung")) {
        Some(Said::Other)
    } else if long(6) && (word.ends_with("phone") || word.starts_with("phone")) {
        Some(Said::Phone)
    } else if long(3) && word.ends_with("id") && !matches!(word.as_str(), "paid" | "said" | "did") {
        Some(Said::Other)
    } else {
        None
    }
}

/// `size=`, `"size":`, `size:`. A colon and a space without quotes is prose.
fn is_field(window: &[u8]) -> bool {
    matches!(
        window,
        [.., b'=' | b':']
            | [.., b'=' | b':', b'"' | b'\'']
            | [.., b'"' | b'\'', b':', b' ']
            | [.., b'"' | b'\'', b':', b' ', b'"' | b'\'']
            | [.., b'=', b' ']
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_that_says_something_counts() {
        for (before, said) in [
            ("", Said::Nothing),
            ("you can call me at ", Said::Phone),
            ("about order ", Said::Other),
            ("call about order ", Said::Other),
            ("order by phone: ", Said::Phone),
            ("{\"order_id\":", Said::Other),
            ("{\"x\":", Said::Field),
            ("x=", Said::Field),
            ("here it is: ", Said::Nothing),
            ("phone\n", Said::Nothing),
            ("my card is ", Said::Card),
            ("Rückruf unter ", Said::Phone),
            ("Kundennummer ", Said::Other),
        ] {
            assert_eq!(said_before(before.as_bytes()), said, "{before}");
        }
    }

    #[test]
    fn lists_are_sorted() {
        for list in [PHONE, CARD, OTHER] {
            assert!(list.is_sorted());
            assert!(list.iter().all(|word| word.len() <= MAX_WORD));
        }
    }

    #[test]
    fn letters_of_two_bytes_are_letters() {
        assert_eq!(letter_before("jü".as_bytes()), 2);
        assert_eq!(letter_after("ЖХ".as_bytes()), 2);
        assert_eq!(letter_after("×".as_bytes()), 0);
        assert_eq!(letter_before("谢".as_bytes()), 0);
        assert_eq!(letter_before(b"1"), 0);
    }
}
