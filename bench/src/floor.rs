//! What finding a key's record in a table of all keys and computing its digest take by themselves, on this machine.

use anyhow::Result;
use memmap2::{Advice, MmapMut};
use sha2::block_api::compress256;

use crate::{fill::Text, random::Random};

/// Bytes of a key's record: two cache lines.
const RECORD_BYTES: usize = 128;
/// The low half.
const MASK: u128 = u64::MAX as u128;
/// Any state will do.
const STATE: [u32; 8] = [0x9e37_79b9; 8];

/// An index and records as large as an engine's, in huge pages as an engine's, with nothing in them that means anything.
pub(crate) struct Floor {
    index: MmapMut,
    records: MmapMut,
}

impl Floor {
    /// Tables for so many keys.
    ///
    /// # Errors
    /// When there is no memory.
    pub(crate) fn new(keys: u32) -> Result<Self> {
        let keys = usize::try_from(keys)?;
        let mut random = Random::new(13);
        // Four fifths of its words would be in use.
        let mut index = table((keys + keys / 4) * 8)?;
        for word in index.as_chunks_mut::<8>().0 {
            *word = u64::try_from(random.below(keys))?.to_le_bytes();
        }
        let mut records = table(keys * RECORD_BYTES)?;
        records.as_chunks_mut::<RECORD_BYTES>().0.iter_mut().for_each(|record| record[0] = 1);
        Ok(Self { index, records })
    }

    /// One word of the index, the record that it names, and the two blocks of an HMAC. No parsing, no clock, no decision,
    /// no limit, no count.
    pub(crate) fn touch(&mut self, text: &Text) -> u32 {
        let [.., low, high] = *text.as_chunks::<8>().0 else { unreachable!("a text is longer") };
        // The middle of the product depends on every bit.
        let product = u128::from(u64::from_le_bytes(low)) * u128::from(u64::from_le_bytes(high));
        let hash = (product >> 32) & MASK;
        let index = self.index.as_chunks::<8>().0;
        let word = index[usize::try_from((hash * index.len() as u128) >> 64).expect("below the length")];
        let number = usize::try_from(u64::from_le_bytes(word)).expect("a number of a key");
        let record = &mut self.records.as_chunks_mut::<RECORD_BYTES>().0[number];
        // Both lines are on their way while the digest is computed.
        record[RECORD_BYTES - 1] = record[RECORD_BYTES - 1].wrapping_add(1);
        let first = record[0];
        let mut block = [0_u8; 64];
        block[..text.len()].copy_from_slice(text);
        let mut state = STATE;
        compress256(&mut state, std::slice::from_ref(&block));
        for (bytes, word) in block.as_chunks_mut::<4>().0.iter_mut().zip(state) {
            *bytes = word.to_be_bytes();
        }
        compress256(&mut state, std::slice::from_ref(&block));
        state[0] ^ u32::from(first)
    }
}

/// Zeroes.
fn table(bytes: usize) -> Result<MmapMut> {
    let map = MmapMut::map_anon(bytes)?;
    // A kernel without huge pages is slower, for the engine as well.
    let _ignored = map.advise(Advice::HugePage);
    Ok(map)
}
