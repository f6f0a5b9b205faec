//! Messages one after the other in a piece of memory: tasks on their way to a worker, and outputs that wait to be returned.
//!
//! ```text
//! messages of one length     | message | message | message | ...
//! messages that vary         | length of the tail | message | length of the tail | message | ...
//! ```
//!
//! Each of these parts begins at a multiple of a *unit*, which is a word, or the alignment of the message if that is more. So
//! messages that follow each other are copied, as words, to wherever others of them may be.

use core::marker::PhantomData;
use core::slice;
use ipc_core::IpcMessage;
use ipc_core::message::{Invalid, MAX_ALIGN};
use std::fmt;
use std::sync::Arc;

const WORD_BYTES: usize = size_of::<u64>();

/// Messages one after the other. Parts of them share the memory.
pub(super) struct Items<M: ?Sized> {
    memory: Arc<Memory>,
    /// The word at which the first of them begins.
    at: usize,
    count: usize,
    messages: PhantomData<fn(&M)>,
}

/// Puts messages one after the other.
pub(super) struct Packer<M: ?Sized> {
    memory: Memory,
    count: usize,
    messages: PhantomData<fn(&M)>,
}

/// Words, the first of which has the alignment of a message.
#[derive(Debug)]
enum Memory {
    Words(Vec<u64>),
    /// For messages whose alignment is more than a word's, and how many words are in use.
    Blocks(Vec<Block>, usize),
}

/// As many words as the strictest alignment has.
#[repr(C, align(128))]
#[derive(Clone, Copy, Debug)]
struct Block([u64; BLOCK_WORDS]);

const BLOCK_WORDS: usize = MAX_ALIGN / WORD_BYTES;
const _: () = assert!(align_of::<Block>() == MAX_ALIGN && size_of::<Block>() == MAX_ALIGN);

impl Memory {
    fn new<M: IpcMessage + ?Sized>() -> Self {
        if M::TYPE.align <= WORD_BYTES { Memory::Words(Vec::new()) } else { Memory::Blocks(Vec::new(), 0) }
    }

    #[inline]
    fn len(&self) -> usize {
        match self {
            Memory::Words(words) => words.len(),
            Memory::Blocks(_, len) => *len,
        }
    }

    #[inline]
    fn resize(&mut self, words: usize) {
        match self {
            Memory::Words(memory) => memory.resize(words, 0),
            Memory::Blocks(memory, len) => {
                memory.resize(words.div_ceil(BLOCK_WORDS), Block([0; BLOCK_WORDS]));
                *len = words;
            }
        }
    }

    #[inline]
    fn words(&self) -> &[u64] {
        match self {
            Memory::Words(memory) => memory,
            // SAFETY: the blocks are words one after the other, at least as many as are in use.
            Memory::Blocks(memory, len) => unsafe { slice::from_raw_parts(memory.as_ptr().cast(), *len) },
        }
    }

    #[inline]
    fn words_mut(&mut self) -> &mut [u64] {
        match self {
            Memory::Words(memory) => memory,
            // SAFETY: as in `words`.
            Memory::Blocks(memory, len) => unsafe { slice::from_raw_parts_mut(memory.as_mut_ptr().cast(), *len) },
        }
    }
}

/// Words of a unit.
const fn unit<M: IpcMessage + ?Sized>() -> usize {
    M::TYPE.align.div_ceil(WORD_BYTES)
}

/// Words before each message.
const fn head<M: IpcMessage + ?Sized>() -> usize {
    if M::TYPE.tail().is_some() { unit::<M>() } else { 0 }
}

/// Words that a message takes with what is before it. `None` if there cannot be so many.
#[inline]
fn words_with<M: IpcMessage + ?Sized>(tail_len: usize) -> Option<usize> {
    let bytes = match const { M::TYPE.tail() } {
        None => M::TYPE.size,
        Some(tail) => tail_len.checked_mul(tail.item_bytes)?.checked_add(tail.offset)?,
    };
    let unit = const { unit::<M>() };
    bytes.div_ceil(WORD_BYTES).checked_next_multiple_of(unit)?.checked_add(const { head::<M>() })
}

impl<M: IpcMessage + ?Sized> Packer<M> {
    pub(super) fn new() -> Self {
        Packer { memory: Memory::new::<M>(), count: 0, messages: PhantomData }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a copy of a message.
    #[inline]
    pub(super) fn push(&mut self, message: &M) {
        let (at, tail_len) = (self.memory.len(), M::tail_len(message));
        // What is in memory is not too large for it.
        self.memory.resize(at + words_with::<M>(tail_len).unwrap_or(0));
        let words = self.memory.words_mut();
        if const { head::<M>() } != 0 {
            words[at] = tail_len as u64;
        }
        let place = words[at + const { head::<M>() }..].as_mut_ptr();
        // SAFETY: the memory was just made large enough for a message of this length, and is aligned for it, since it is in
        // whole units from its beginning on. Nobody else has it.
        unsafe { message.place(M::pointer(place.cast(), tail_len)) };
        self.count += 1;
    }

    /// As [`push`](Self::push), of a message that somebody else may write to meanwhile: the copy is checked.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the copy is no message; then there is none.
    #[inline]
    pub(super) fn push_checked(&mut self, message: &M) -> Result<(), Invalid> {
        let at = self.memory.len();
        self.push(message);
        if M::ANY_BITS {
            return Ok(());
        }
        // SAFETY: the message was placed there, in words that are initialised.
        let checked = unsafe { M::validate(pointer(&self.memory, at)) };
        if checked.is_err() {
            self.memory.resize(at);
            self.count -= 1;
        }
        checked
    }

    /// What was put together. Empties this.
    pub(super) fn pack(&mut self) -> Items<M> {
        let packed = std::mem::replace(self, Packer::new());
        Items { memory: Arc::new(packed.memory), at: 0, count: packed.count, messages: PhantomData }
    }
}

impl<M: IpcMessage + ?Sized> Items<M> {
    /// One message.
    pub(super) fn one(message: &M) -> Self {
        let mut packer = Packer::new();
        packer.push(message);
        packer.pack()
    }

    /// What another process has put together: `count` messages that are as long as `words`, which are copied. `None` if they
    /// are not. The messages themselves are looked at by [`check_first`](Self::check_first).
    pub(super) fn received(words: &[u64], count: usize) -> Option<Self> {
        let mut memory = Memory::new::<M>();
        memory.resize(words.len());
        memory.words_mut().copy_from_slice(words);
        let mut at = 0;
        for _ in 0..count {
            let tail_len = if const { head::<M>() } == 0 { 0 } else { *words.get(at)? };
            at = words_with::<M>(usize::try_from(tail_len).ok()?)?.checked_add(at)?;
            if at > words.len() {
                return None;
            }
        }
        Some(Items { memory: Arc::new(memory), at: 0, count, messages: PhantomData })
    }

    /// How many there are.
    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.count
    }

    /// The first of them, of which there is at least one.
    #[inline]
    pub(super) fn first(&self) -> &M {
        debug_assert!(self.count != 0);
        // SAFETY: a message begins here, which was valid when it was placed or checked, and nobody has changed it since.
        unsafe { &*pointer(&self.memory, self.at) }
    }

    /// Whether the first is valid, which it has to be before it is [had](Self::first), if another process has sent it.
    ///
    /// # Errors
    ///
    /// [`Invalid`] says why it is not.
    #[inline]
    pub(super) fn check_first(&self) -> Result<(), Invalid> {
        // SAFETY: `received` has found that the memory has as many words as the message, and they are initialised.
        unsafe { M::validate(pointer(&self.memory, self.at)) }
    }

    /// Drops the first `count` of them, of which there are so many.
    #[inline]
    pub(super) fn skip(&mut self, count: usize) {
        debug_assert!(count <= self.count);
        self.at = self.end_of(count);
        self.count -= count;
    }

    /// Keeps the first `count` of them, of which there are so many, and returns the others.
    pub(super) fn split_off(&mut self, count: usize) -> Self {
        let rest = Items { memory: Arc::clone(&self.memory), at: self.end_of(count), ..*self };
        self.count = count;
        Items { count: rest.count - count, ..rest }
    }

    /// Undoes [`split_off`](Self::split_off).
    pub(super) fn join(&mut self, rest: Self) {
        debug_assert!(Arc::ptr_eq(&self.memory, &rest.memory) && rest.at == self.end_of(self.count));
        self.count += rest.count;
    }

    /// How many of them, from the first on, take at most so many words; one at least.
    pub(super) fn fitting(&self, most_words: usize) -> usize {
        if const { head::<M>() } == 0 {
            let each = words_with::<M>(0).unwrap_or(0).max(1);
            return (most_words / each).clamp(1, self.count);
        }
        (2..=self.count).take_while(|&count| self.end_of(count) - self.at <= most_words).count() + 1
    }

    /// The words of all of them.
    pub(super) fn words(&self) -> &[u64] {
        &self.memory.words()[self.at..self.end_of(self.count)]
    }

    /// Where the first `count` of them end.
    #[inline]
    fn end_of(&self, count: usize) -> usize {
        if const { head::<M>() } == 0 {
            return self.at + count * words_with::<M>(0).unwrap_or(0);
        }
        // That they do not end too far away was found when they were put together.
        let end = |at: usize, _| at + words_with::<M>(self.memory.words()[at] as usize).unwrap_or(0);
        (0..count).fold(self.at, end)
    }
}

impl<M: IpcMessage> Items<M> {
    /// Takes the first of them out, of which there is at least one.
    #[inline]
    pub(super) fn take_first(&mut self) -> M {
        // SAFETY: as in `first`. A message has no destructor, nor anything else that a copy could not have as well; and after
        // this there is no other way to this one.
        let message = unsafe { core::ptr::read(self.first()) };
        self.skip(1);
        message
    }
}

/// The pointer to the message that begins, with what is before it, at the word `at`.
#[inline]
fn pointer<M: IpcMessage + ?Sized>(memory: &Memory, at: usize) -> *const M {
    let words = memory.words();
    let tail_len = if const { head::<M>() } == 0 { 0 } else { words[at] as usize };
    M::pointer(words[at + const { head::<M>() }..].as_ptr().cast_mut().cast(), tail_len)
}

impl<M: ?Sized> fmt::Debug for Items<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("count", &self.count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A copy, as another process has it.
    fn copied<M: IpcMessage + ?Sized>(items: &Items<M>) -> Items<M> {
        Items::received(items.words(), items.len()).unwrap()
    }

    /// Messages come out as they went in, wherever they are parted, and after they were copied as words.
    fn check<M: IpcMessage + PartialEq + fmt::Debug + ?Sized>(messages: &[&M]) {
        let mut packer = Packer::<M>::new();
        messages.iter().for_each(|message| packer.push_checked(message).unwrap());
        let all = packer.pack();
        assert!(packer.is_empty());
        for split in 0..=messages.len() {
            let mut items = copied(&all);
            let mut rest = copied(&items.split_off(split));
            for (at, message) in messages.iter().enumerate() {
                let from = if at < split { &mut items } else { &mut rest };
                from.check_first().unwrap();
                assert_eq!(from.first(), *message);
                from.skip(1);
            }
            assert_eq!((items.len(), rest.len()), (0, 0));
        }
        let words = all.words().len();
        assert!(Items::<M>::received(&all.words()[..words - 1], all.len()).is_none());
        for most in 1..=words {
            let mut items = copied(&all);
            let fitting = items.fitting(most);
            let rest = items.split_off(fitting);
            assert!(items.words().len() <= most || fitting == 1);
            items.join(rest);
            assert_eq!(items.words(), all.words());
        }
        assert_eq!(all.fitting(words), all.len());
    }

    #[test]
    fn messages_come_out_as_they_went_in() {
        check::<u8>(&[&1, &2, &3]);
        check::<u64>(&[&1, &2, &3]);
        check::<u128>(&[&1, &2, &u128::MAX]);
        check::<[u16; 5]>(&[&[1; 5], &[2; 5]]);
        check::<str>(&["", "a", "as long as it is", ""]);
        check::<[u128]>(&[&[1], &[], &[2, 3, 4]]);
    }

    #[test]
    fn the_first_can_be_taken_out() {
        let mut items = Items::received(&[7, 8], 2).unwrap();
        assert_eq!((items.take_first(), items.take_first(), items.len()), (7u64, 8, 0));
    }

    #[test]
    fn what_is_no_message_is_none() {
        let items = Items::<bool>::received(&[1, 2], 2).unwrap();
        items.check_first().unwrap();
        let mut items = items;
        items.skip(1);
        items.check_first().unwrap_err();
        assert!(Items::<str>::received(&[u64::MAX, 0], 1).is_none());
        assert!(Items::<[u128]>::received(&[u64::MAX / 16, 0, 0, 0], 1).is_none());
    }
}
