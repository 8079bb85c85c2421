//! HMAC-SHA-256 (RFC 2104, FIPS 198-1) with both pads absorbed ahead of time, in two steps.
//!
//! A presented key is 50 to about 64 characters, so that its digest is one or two compressions for the inner hash
//! and one for the outer. The steps are separate so that a verification can wait for memory between them.

use sha2::block_api::compress256;
use zeroize::Zeroize;

const BLOCK_BYTES: usize = 64;
/// Length of a key without an issuer tag.
const USUAL_BYTES: usize = 50;
/// The initial state of SHA-256 (FIPS 180-4, section 5.3.3).
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A key with its pads absorbed. Wiped on drop.
#[derive(Clone)]
pub(crate) struct HmacKey {
    inner: [u32; 8],
    outer: [u32; 8],
}

impl Drop for HmacKey {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

/// The inner hash, waiting for the outer step.
pub(crate) struct Inner([u32; 8]);

impl HmacKey {
    /// Absorbs the pads of a key of 32 bytes.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let absorb = |pad: u8| {
            let mut block = [pad; BLOCK_BYTES];
            for (byte, secret) in block.iter_mut().zip(key) {
                *byte ^= secret;
            }
            let mut state = INITIAL;
            compress256(&mut state, std::slice::from_ref(&block));
            block.zeroize();
            state
        };
        Self { inner: absorb(0x36), outer: absorb(0x5c) }
    }

    /// First step: the inner hash of `message`.
    #[inline]
    pub(crate) fn inner(&self, message: &[u8]) -> Inner {
        let mut state = self.inner;
        let (blocks, rest) = message.as_chunks::<BLOCK_BYTES>();
        if !blocks.is_empty() {
            compress256(&mut state, blocks);
        }
        // One block of the message, the pad's, was absorbed ahead of time.
        let bits = (BLOCK_BYTES as u64 + message.len() as u64) * 8;
        if let Ok(message) = <&[u8; USUAL_BYTES]>::try_from(message) {
            // The same as below with a length that the compiler knows.
            let mut tail = [0_u8; BLOCK_BYTES];
            tail[..USUAL_BYTES].copy_from_slice(message);
            tail[USUAL_BYTES] = 0x80;
            tail[BLOCK_BYTES - 8..].copy_from_slice(&bits.to_be_bytes());
            compress256(&mut state, std::slice::from_ref(&tail));
            return Inner(state);
        }
        let mut tail = [0_u8; 2 * BLOCK_BYTES];
        tail[..rest.len()].copy_from_slice(rest);
        tail[rest.len()] = 0x80;
        let used = if rest.len() < BLOCK_BYTES - 8 { BLOCK_BYTES } else { 2 * BLOCK_BYTES };
        tail[used - 8..used].copy_from_slice(&bits.to_be_bytes());
        compress256(&mut state, tail[..used].as_chunks().0);
        Inner(state)
    }

    /// Second step: the digest.
    #[inline]
    pub(crate) fn outer(&self, inner: &Inner) -> [u8; 32] {
        const BITS: u64 = (BLOCK_BYTES as u64 + 32) * 8;
        let mut block = [0_u8; BLOCK_BYTES];
        write_words(&inner.0, &mut block);
        block[32] = 0x80;
        block[BLOCK_BYTES - 8..].copy_from_slice(&BITS.to_be_bytes());
        let mut state = self.outer;
        compress256(&mut state, std::slice::from_ref(&block));
        let mut digest = [0; 32];
        write_words(&state, &mut digest);
        digest
    }

    /// Both steps at once.
    pub(crate) fn digest(&self, message: &[u8]) -> [u8; 32] {
        self.outer(&self.inner(message))
    }
}

fn write_words(words: &[u32; 8], bytes: &mut [u8]) {
    for (word, place) in words.iter().zip(bytes.chunks_exact_mut(4)) {
        place.copy_from_slice(&word.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac};
    use proptest::prelude::*;

    use super::*;

    /// RFC 4231 gives keys of other lengths; HMAC pads short keys with zeroes, so these are the same keys.
    #[test]
    fn rfc_4231_test_cases_1_to_4() {
        let cases: [(&[u8], &[u8], &str); 4] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (
                &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25],
                &[0xcd; 50],
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
            ),
        ];
        for (key, message, expected) in cases {
            let mut padded = [0; 32];
            padded[..key.len()].copy_from_slice(key);
            assert_eq!(hex::encode(HmacKey::new(&padded).digest(message)), expected);
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_hmac_crate(key: [u8; 32], message in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut reference = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
            reference.update(&message);
            prop_assert_eq!(HmacKey::new(&key).digest(&message), <[u8; 32]>::from(reference.finalize().into_bytes()));
        }
    }
}
