//! The ends of a shared ring whose messages are all of one cell, with the verbs that the ends of all rings have.

use super::super::end::{End, pauses_when_full};
use super::*;

impl End for Producer {
    const IS_SHARED: bool = true;

    #[inline(always)]
    fn is_ready(&mut self) -> bool {
        self.look() == Turn::Ours
    }

    #[inline(always)]
    fn look(&mut self) -> Turn {
        if self.units != 0 { Turn::Ours } else { self.claim(1) }
    }

    #[inline(always)]
    fn payload(&self) -> NonNull<AtomicU64> {
        Producer::payload(self)
    }

    #[inline(always)]
    fn pass(&mut self) {
        Producer::pass(self);
    }

    fn stand_back(&self) -> u32 {
        pauses_when_full(self.parts.cells.capacity())
    }

    fn len(&self) -> usize {
        self.parts.len()
    }

    fn is_drained(&self) -> bool {
        self.parts.is_drained()
    }

    fn abandon(&mut self) {
        Producer::abandon(self);
    }

    fn detach(&mut self) {
        Producer::detach(self);
    }

    fn losses(&self) -> u64 {
        self.parts.losses()
    }
}

impl End for Consumer {
    const IS_SHARED: bool = true;

    #[inline(always)]
    fn is_ready(&mut self) -> bool {
        self.look() == Turn::Ours
    }

    #[inline(always)]
    fn look(&mut self) -> Turn {
        if self.units() != 0 { Turn::Ours } else { self.claim() }
    }

    #[inline(always)]
    fn payload(&self) -> NonNull<AtomicU64> {
        Consumer::payload(self)
    }

    #[inline(always)]
    fn pass(&mut self) {
        Consumer::pass(self);
    }

    fn len(&self) -> usize {
        self.parts.len()
    }

    fn is_drained(&self) -> bool {
        self.parts.is_drained()
    }

    fn abandon(&mut self) {
        self.put_back();
    }

    fn detach(&mut self) {
        Consumer::detach(self);
    }

    fn losses(&self) -> u64 {
        self.parts.losses()
    }

    fn take_room_made(&mut self) -> bool {
        core::mem::take(&mut self.has_made_room)
    }

    fn returned(&self) -> u16 {
        Consumer::returned(self)
    }
}
