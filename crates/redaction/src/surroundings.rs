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

const PHONE: &[&str] = &[
    "phone",
    "telephone",
    "tel",
    "cell",
    "cellphone",
    "mobile",
    "mob",
    "call",
    "called",
    "calling",
    "dial",
    "ring",
    "fax",
    "sms",
    "whatsapp",
    "signal",
    "text",
    "hotline",
    "landline",
    "voicemail",
    "msisdn",
    "telefon",
    "handy",
    "mobil",
    "ruf",
    "rufe",
    "rufen",
    "anrufen",
    "anruf",
    "ruckruf",
    "rückruf",
    "festnetz",
    "telefonnummer",
    "handynummer",
    "mobilnummer",
    "rufnummer",
    "faxnummer",
    "telefax",
    "tollfree",
    "toll",
    "reach",
    "durchwahl",
    "zentrale",
    "callback",
    "caller",
    "wa",
];
const CARD: &[&str] = &[
    "card",
    "cards",
    "visa",
    "mastercard",
    "amex",
    "maestro",
    "jcb",
    "diners",
    "discover",
    "pan",
    "cc",
    "creditcard",
    "debit",
    "credit",
    "karte",
    "karten",
    "kreditkarte",
    "kartennummer",
    "kreditkartennummer",
    "cardnumber",
    "ccnum",
];
const OTHER: &[&str] = &[
    "order",
    "orders",
    "id",
    "ids",
    "uid",
    "ticket",
    "tickets",
    "invoice",
    "case",
    "ref",
    "reference",
    "account",
    "acct",
    "konto",
    "vertragskonto",
    "isbn",
    "issn",
    "sku",
    "ean",
    "gtin",
    "upc",
    "asin",
    "item",
    "items",
    "serial",
    "batch",
    "bytes",
    "byte",
    "conn",
    "port",
    "pid",
    "size",
    "seq",
    "ack",
    "time",
    "timestamp",
    "ts",
    "epoch",
    "since",
    "version",
    "build",
    "tracking",
    "imei",
    "imsi",
    "iccid",
    "conference",
    "passcode",
    "steuernummer",
    "rechnung",
    "bestellung",
    "auftrag",
    "sendung",
    "iban",
    "bic",
    "vat",
    "offset",
    "length",
    "count",
    "total",
    "sum",
    "amount",
    "duration",
    "ms",
    "ns",
    "us",
    "trace",
    "span",
    "snowflake",
    "commit",
    "hash",
    "sha",
    "md5",
    "checksum",
    "revision",
    "rev",
    "job",
    "task",
    "run",
    "process",
    "thread",
    "session",
    "transaction",
    "txn",
    "user",
    "customer",
    "member",
    "kunde",
    "matrikel",
    "aktenzeichen",
    "row",
    "line",
    "page",
    "offset",
    "expires",
    "exp",
    "iat",
    "nbf",
    "reset",
    "nonce",
    "salt",
    "zip",
    "plz",
    "shipment",
    "parcel",
    "paket",
    "message",
    "issue",
    "bug",
    "pr",
    "pull",
    "mem",
    "memory",
    "inode",
    "block",
    "height",
];

/// Reads the words before a number, the nearest first.
pub(crate) fn said_before(before: &[u8]) -> Said {
    let window = &before[before.len().saturating_sub(WINDOW)..];
    // A line break ends a thought.
    let window = window.iter().rposition(|byte| *byte == b'\n').map_or(window, |at| &window[at + 1..]);
    let words =
        window.rsplit(|byte| !byte.is_ascii_alphanumeric() && *byte < 0x80).filter(|word| !word.is_empty());
    for word in words.take(WORDS) {
        if let Some(said) = meaning(word) {
            return said;
        }
    }
    if is_field(window) { Said::Field } else { Said::Nothing }
}

fn meaning(word: &[u8]) -> Option<Said> {
    let word = str::from_utf8(word).ok()?.to_lowercase();
    let is = |list: &[&str]| list.contains(&word.as_str());
    if is(PHONE) {
        Some(Said::Phone)
    } else if is(CARD) {
        Some(Said::Card)
    } else if is(OTHER) || word.len() > 6 && (word.ends_with("nummer") || word.ends_with("kennung")) {
        Some(Said::Other)
    } else if word.len() > 5 && (word.ends_with("phone") || word.starts_with("phone")) {
        Some(Said::Phone)
    } else if word.len() > 2 && word.ends_with("id") && word.len() < 12 && word != "paid" && word != "said" {
        Some(Said::Other)
    } else {
        None
    }
}

/// `size=`, `"size":`, `size:`. A colon and a space without quotes is prose.
fn is_field(window: &[u8]) -> bool {
    match window {
        [.., b'=' | b':'] | [.., b'=' | b':', b'"' | b'\''] | [.., b'"' | b'\'', b':', b' '] => true,
        [.., b'"' | b'\'', b':', b' ', b'"' | b'\''] | [.., b'=', b' '] => true,
        _ => false,
    }
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
    fn letters_of_two_bytes_are_letters() {
        assert_eq!(letter_before("jü".as_bytes()), 2);
        assert_eq!(letter_after("ЖХ".as_bytes()), 2);
        assert_eq!(letter_after("×".as_bytes()), 0);
        assert_eq!(letter_before("谢".as_bytes()), 0);
        assert_eq!(letter_before(b"1"), 0);
    }
}
