//! The ends of a shared ring whose messages are all of one cell, with the verbs that the ends of all rings have.

use super::super::end::{End, pauses_when_full};
use super::*;

impl End for Producer {
    const IS_SHARED: bool = true;

    #[inline(always)]
    fn is_ready(&mut self) -> bool {
        self.units != 0 || self.claim_one()
    }

    #[inline(always)]
    fn look(&mut self) -> Turn {
        if self.units != 0 { Turn::Ours } else { self.claim_up_to(self.wanted) }
    }

    fn may_claim(&self) -> bool {
        Producer::may_claim(self)
    }

    #[inline(always)]
    fn is_alone(&self) -> bool {
        self.next_alone().is_some()
    }

    #[inline(always)]
    fn begin(&mut self) -> Option<Begun> {
        Producer::begin(self)
    }

    #[inline(always)]
    fn complete(&mut self, begun: Begun) {
        Producer::complete(self, begun);
    }

    fn relinquish(&mut self, begun: Begun) {
        Producer::relinquish(self, begun);
    }

    fn ask_for_slots(&mut self, count: usize) {
        self.wanted = as_units(count);
    }

    fn owned(&mut self, max: usize) -> usize {
        usize::from(self.units).min(max)
    }

    fn payload_ahead(&self, ahead: usize) -> NonNull<AtomicU64> {
        debug_assert!(ahead < usize::from(self.units));
        self.parts.cells.payload(self.parts.cells.after(self.at, ahead as u16))
    }

    fn pass_many(&mut self, count: usize) {
        debug_assert!(count <= usize::from(self.units));
        Producer::pass_many(self, count as u16);
        // Others of this side wait for whatever comes after these cells.
        self.give_rest_back();
    }

    #[inline(always)]
    fn payload(&self) -> NonNull<AtomicU64> {
        Producer::payload(self)
    }

    #[inline(always)]
    fn pass(&mut self) {
        self.pass_one();
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

    fn give_rest_back(&mut self) -> bool {
        let is_left = self.units != 0;
        if is_left {
            Producer::abandon(self);
        }
        is_left
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
        self.units() != 0 || self.claim_one()
    }

    #[inline(always)]
    fn look(&mut self) -> Turn {
        if self.units() != 0 { Turn::Ours } else { self.claim_up_to(self.wanted) }
    }

    fn may_claim(&self) -> bool {
        Consumer::may_claim(self)
    }

    #[inline(always)]
    fn is_alone(&self) -> bool {
        self.next_alone().is_some()
    }

    #[inline(always)]
    fn begin(&mut self) -> Option<Begun> {
        Consumer::begin(self)
    }

    #[inline(always)]
    fn complete(&mut self, begun: Begun) {
        Consumer::complete(self, begun);
    }

    fn ask_for_slots(&mut self, count: usize) {
        self.wanted = as_units(count);
    }

    fn owned(&mut self, max: usize) -> usize {
        usize::from(self.messages()).min(max)
    }

    fn payload_ahead(&self, ahead: usize) -> NonNull<AtomicU64> {
        debug_assert!(ahead < usize::from(self.messages()));
        self.parts.cells.payload(self.parts.cells.after(self.at, ahead as u16))
    }

    fn pass_many(&mut self, count: usize) {
        debug_assert!(count <= usize::from(self.messages()));
        Consumer::pass_many(self, count as u16);
    }

    #[inline(always)]
    fn payload(&self) -> NonNull<AtomicU64> {
        Consumer::payload(self)
    }

    #[inline(always)]
    fn pass(&mut self) {
        Consumer::pass(self);
    }

    /// What this end has claimed and not passed on is waiting as well: it comes next.
    fn len(&self) -> usize {
        self.parts.len() + usize::from(self.messages())
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

/// The number of slots to take at most, as a claim has it.
fn as_units(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX).max(1)
}
