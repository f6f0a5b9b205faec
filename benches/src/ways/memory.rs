//! Memory that the processes of a contestant share.

use crate::harness::plan::Failure;
use memmap2::{MmapOptions, MmapRaw};
use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;
use std::sync::atomic::AtomicU64;

/// Words per line, with room for the neighbour that the processor prefetches.
pub(crate) const LINE: usize = 16;

/// Memory without a name, all zero, as a segment is before it is linked.
pub(crate) fn anonymous(bytes: usize) -> Result<File, Failure> {
    // SAFETY: the name is NUL-terminated.
    let fd = unsafe { libc::memfd_create(c"slipring-benches".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error().into());
    }
    // SAFETY: the descriptor was just made and belongs to nobody else.
    let file = unsafe { File::from_raw_fd(fd) };
    file.set_len(bytes as u64)?;
    Ok(file)
}

/// Such memory, mapped.
pub(crate) struct Shared {
    map: MmapRaw,
}

impl Shared {
    /// Maps the whole of `file`, page by page.
    pub(crate) fn map(file: &File) -> Result<Self, Failure> {
        Ok(Shared { map: MmapOptions::new().populate().map_raw(file)? })
    }

    /// Words that there are.
    pub(crate) fn words(&self) -> usize {
        self.map.len() / 8
    }

    /// Where word `index` is.
    #[inline(always)]
    pub(crate) fn at(&self, index: usize) -> *mut u64 {
        debug_assert!(index < self.words());
        // SAFETY: the index is within the mapping: whoever lays something out in it asks for as many bytes as it takes.
        unsafe { self.map.as_mut_ptr().cast::<u64>().add(index) }
    }

    /// Word `index`, as one that the other process uses too.
    #[inline(always)]
    pub(crate) fn word(&self, index: usize) -> &AtomicU64 {
        // SAFETY: aligned, mapped for as long as `self`, and whatever is used as an atomic is used as nothing else.
        unsafe { AtomicU64::from_ptr(self.at(index)) }
    }
}

/// The bytes of these words.
pub(crate) fn bytes_of(words: &[u64]) -> &[u8] {
    // SAFETY: every byte of a word is initialised, and the length is that of the words.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) }
}

/// The bytes of these words, to be changed.
pub(crate) fn bytes_of_mut(words: &mut [u64]) -> &mut [u8] {
    // SAFETY: as above, and every value of the bytes makes words.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), size_of_val(words)) }
}
