//! CRC-32 of a key and its base62 digits.
//!
//! A key's covered text is a short head and always 36 base62 characters. CRC is linear, so the contribution of each of
//! those characters is looked up by its position, independently of the others, and the head is a constant of the issuer
//! tag. Measured, this costs about what `crc32fast` does on so short a text, without a dependency.

use crate::{BODY_LENGTH, CHECKSUM_LENGTH, LOCATOR_LENGTH, SECRET_PART_LENGTH};

/// Characters of the body that the checksum covers.
pub(crate) const COVERED_LENGTH: usize = LOCATOR_LENGTH + SECRET_PART_LENGTH;

/// The digits of base62 in the order of their value.
pub(crate) const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The reversed IEEE 802.3 polynomial.
const POLYNOMIAL: u32 = 0xEDB8_8320;
const BYTE_TABLE: [u32; 256] = byte_table();
static POSITION_TABLE: [[u32; 128]; COVERED_LENGTH] = position_table();
static DIGIT_VALUE: [u8; 128] = digit_value();

/// What the characters before the locator contribute to the checksum, the inversions at both ends included.
pub(crate) const fn seed(head: &[u8]) -> u32 {
    let state = advance(u32::MAX, head);
    !advance(state, &[0; COVERED_LENGTH])
}

/// The checksum of a head, given by its [`seed`], and the 36 covered characters, which must be ASCII.
#[inline]
pub(crate) fn checksum(seed: u32, covered: &[u8; COVERED_LENGTH]) -> u32 {
    // Four sums, so that the additions do not wait for each other either.
    let mut sums = [seed, 0, 0, 0];
    for (rows, bytes) in POSITION_TABLE.as_chunks::<4>().0.iter().zip(covered.as_chunks::<4>().0) {
        for lane in 0..4 {
            sums[lane] ^= rows[lane][usize::from(bytes[lane] & 0x7F)];
        }
    }
    sums[0] ^ sums[1] ^ sums[2] ^ sums[3]
}

/// Whether a body is base62 throughout and ends in the checksum of what is before it.
#[inline]
pub(crate) fn holds(seed: u32, body: &[u8; BODY_LENGTH]) -> bool {
    if !body.iter().fold(true, |all, byte| all & is_base62(*byte)) {
        return false;
    }
    let (covered, digits) = split(body);
    decode(*digits) == u64::from(checksum(seed, covered))
}

/// The covered characters of a body and its checksum digits.
#[inline]
pub(crate) fn split(body: &[u8; BODY_LENGTH]) -> (&[u8; COVERED_LENGTH], &[u8; CHECKSUM_LENGTH]) {
    let (covered, digits) =
        body.split_first_chunk::<COVERED_LENGTH>().expect("a body is longer than its covered part");
    (covered, digits.first_chunk().expect("what follows the covered part is the checksum"))
}

/// A checksum as six base62 digits, most significant first.
pub(crate) fn encode(checksum: u32) -> [u8; CHECKSUM_LENGTH] {
    let mut rest = checksum;
    let mut digits = [0; CHECKSUM_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits
}

/// Whether a byte is a letter or a digit, without branches.
#[inline]
pub(crate) const fn is_base62(byte: u8) -> bool {
    (byte.wrapping_sub(b'0') < 10) | ((byte | 0x20).wrapping_sub(b'a') < 26)
}

/// The value of six base62 digits. Six digits reach beyond 32 bits; such a value equals no checksum.
#[inline]
fn decode(digits: [u8; CHECKSUM_LENGTH]) -> u64 {
    digits.iter().fold(0, |value, digit| value * 62 + u64::from(DIGIT_VALUE[usize::from(digit & 0x7F)]))
}

/// The CRC register after some more bytes.
const fn advance(mut state: u32, bytes: &[u8]) -> u32 {
    let mut index = 0;
    while index < bytes.len() {
        state = (state >> 8) ^ BYTE_TABLE[((state ^ bytes[index] as u32) & 0xFF) as usize];
        index += 1;
    }
    state
}

const fn byte_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index: u32 = 0;
    while index < 256 {
        let mut value = index;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ POLYNOMIAL } else { value >> 1 };
            bit += 1;
        }
        table[index as usize] = value;
        index += 1;
    }
    table
}

/// For each position and each ASCII character: what it contributes to the register after the last position.
#[expect(clippy::large_stack_arrays, reason = "runs in the compiler, never on a thread's stack")]
const fn position_table() -> [[u32; 128]; COVERED_LENGTH] {
    let mut table = [[0; 128]; COVERED_LENGTH];
    let mut character = 0;
    while character < 128 {
        let mut value = BYTE_TABLE[character];
        let mut position = COVERED_LENGTH;
        while position > 0 {
            position -= 1;
            table[position][character] = value;
            value = (value >> 8) ^ BYTE_TABLE[(value & 0xFF) as usize];
        }
        character += 1;
    }
    table
}

const fn digit_value() -> [u8; 128] {
    let mut table = [0; 128];
    let mut value: u8 = 0;
    while value < 62 {
        table[ALPHABET[value as usize] as usize] = value;
        value += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn agrees_with_the_published_check_value() {
        assert_eq!(!advance(u32::MAX, b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32fast::hash(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn digits_are_fixed_width_and_big_endian() {
        assert_eq!(&encode(0), b"000000");
        assert_eq!(&encode(61), b"00000z");
        assert_eq!(&encode(62), b"000010");
        assert_eq!(&encode(u32::MAX), b"4gfFC3");
        assert_eq!(decode(*b"4gfFC3"), u64::from(u32::MAX));
    }

    #[test]
    fn digits_beyond_32_bits_are_no_checksum() {
        assert_eq!(decode(*b"4gfFC4"), u64::from(u32::MAX) + 1);
        assert_eq!(decode(*b"zzzzzz"), 62_u64.pow(6) - 1);
    }

    #[test]
    fn base62_is_exactly_the_alphabet() {
        for byte in 0..=u8::MAX {
            assert_eq!(is_base62(byte), ALPHABET.contains(&byte), "byte {byte}");
        }
    }

    proptest! {
        #[test]
        fn equals_crc32_of_the_whole_text(head in "[a-z_]{0,25}", covered in "[0-9A-Za-z]{36}") {
            let expected = crc32fast::hash(format!("{head}{covered}").as_bytes());
            let covered = covered.as_bytes().try_into().unwrap();
            prop_assert_eq!(checksum(seed(head.as_bytes()), covered), expected);
        }

        #[test]
        fn decoding_undoes_encoding(value in any::<u32>()) {
            prop_assert_eq!(decode(encode(value)), u64::from(value));
        }
    }
}
