//! The engine's only `unsafe` code: memory that comes from the kernel as atomic words, and prefetch hints.
//!
//! Everything else in the crate is safe Rust over `&[AtomicU64]`; see `docs/adr/0003-one-file-of-unsafe.md`.
#![expect(
    unsafe_code,
    reason = "mapped memory seen as atomics and prefetch hints; every block says why it is sound"
)]

use std::{
    fs::File,
    io,
    ops::{Deref, Range},
    sync::atomic::AtomicU64,
};

use memmap2::{Advice, MmapMut, MmapOptions, MmapRaw};

/// Bytes of one word.
pub(crate) const WORD_BYTES: usize = 8;
/// Bytes of the smallest page of any processor that this runs on, or a divisor of it.
const PAGE_BYTES: usize = 4_096;

/// Whether the kernel is asked to back memory by huge pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pages {
    /// Tables that random reads hit: fewer TLB misses, memory in steps of 2 MiB.
    Huge,
    /// Tables that stay small.
    Normal,
}

/// A page-aligned run of atomic words, zero at first, that never moves and is unmapped on drop.
pub(crate) struct Words {
    map: MmapRaw,
    len: usize,
}

impl Words {
    /// Anonymous memory. Pages that nobody touches cost nothing.
    ///
    /// Ends the process when the kernel has no address space left, as every Rust collection does.
    pub(crate) fn anonymous(len: usize, pages: Pages) -> Self {
        let bytes = len.max(1).saturating_mul(WORD_BYTES);
        let Ok(map) = MmapMut::map_anon(bytes) else {
            let layout = std::alloc::Layout::array::<u64>(len).unwrap_or(std::alloc::Layout::new::<u64>());
            std::alloc::handle_alloc_error(layout)
        };
        if pages == Pages::Huge {
            // Only a hint: a kernel without huge pages is slower, not wrong.
            let _ignored = map.advise(Advice::HugePage);
        }
        Self { map: MmapRaw::from(map), len }
    }

    /// The first `len` words of `file`, shared with it: what is stored survives the process.
    ///
    /// # Errors
    /// When the file is shorter than that, or the kernel refuses the mapping.
    pub(crate) fn shared(file: &File, len: usize) -> io::Result<Self> {
        let bytes = len * WORD_BYTES;
        let file_bytes = file.metadata()?.len();
        if usize::try_from(file_bytes).is_ok_and(|present| present < bytes) || bytes == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than its table"));
        }
        Ok(Self { map: MmapOptions::new().len(bytes).map_raw(file)?, len })
    }

    /// Faults the pages of these words in for writing, so that the first write to each does not have to. Only a hint.
    pub(crate) fn populate(&self, words: Range<usize>) {
        let begin = words.start.min(self.len) * WORD_BYTES / PAGE_BYTES * PAGE_BYTES;
        let end = words.end.min(self.len) * WORD_BYTES;
        if begin < end {
            let _ignored = self.map.advise_range(Advice::PopulateWrite, begin, end - begin);
        }
    }

    /// Writes changed pages back to the file and waits for it.
    ///
    /// # Errors
    /// The kernel's, when it could not write.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.map.flush()
    }
}

impl Deref for Words {
    type Target = [AtomicU64];

    #[inline]
    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is readable and writable, page-aligned, at least `len` words long (checked in the
        // constructors) and lives as long as `self`. `AtomicU64` has the layout of `u64`, is valid for every bit
        // pattern and may be changed through shared references, also by the kernel and by other mappings of the
        // file. All access in this process is through such slices.
        #[expect(clippy::cast_ptr_alignment, reason = "mappings begin on a page")]
        unsafe {
            std::slice::from_raw_parts(self.map.as_mut_ptr().cast::<AtomicU64>().cast_const(), self.len)
        }
    }
}

/// Asks the processor to load the cache line of `place`. Never faults and changes nothing.
#[inline]
pub(crate) fn prefetch_read<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of the x86-64 baseline, and a prefetch of any address is free of side effects.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(
            std::ptr::from_ref(place).cast(),
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[test]
    fn anonymous_words_begin_at_zero_and_keep_what_is_stored() {
        let words = Words::anonymous(1_000, Pages::Huge);
        assert_eq!(words.len(), 1_000);
        assert!(words.iter().all(|word| word.load(Relaxed) == 0));
        words[999].store(7, Relaxed);
        prefetch_read(&words[999]);
        words.populate(500..usize::MAX);
        words.populate(1_000..2_000);
        assert_eq!(words[999].load(Relaxed), 7);
    }

    #[test]
    fn shared_words_reach_the_file() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4_096).unwrap();
        Words::shared(&file, 512).unwrap()[511].store(42, Relaxed);
        assert_eq!(Words::shared(&file, 512).unwrap()[511].load(Relaxed), 42);
        assert!(Words::shared(&file, 513).is_err(), "a table longer than its file is refused");
    }
}
