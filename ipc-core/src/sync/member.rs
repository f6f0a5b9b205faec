//! A *member* is what every handle of this module has: its line in the participant table, and the two wait words.

use super::Options;
use crate::error::{Forked, OpenError, Role};
use crate::info::ChannelInfo;
use crate::layout::Side;
use crate::liveness::{self, PROBE_INTERVAL, Participant};
use crate::lock::Owner;
use crate::message::IpcMessage;
use crate::os::fork::Epoch;
use crate::ring::Life;
use crate::segment::{Segment, Spec};
use crate::station::{self, Patience};
use crate::waiting::{self, Announced, Sleepers, Spin};
use core::cell::Cell;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::time::Instant;

/// Handles that can have one of these open at the same time, in all processes together.
pub const PLACES: u32 = 256;

/// Which of the two words somebody sleeps on.
#[derive(Clone, Copy)]
pub(super) enum Queue {
    /// Those who wait for their turn.
    Turn,
    /// One who waits for readers to end, of a reader-writer lock.
    Readers,
}

/// One handle's part.
pub(super) struct Member {
    participant: Participant,
    info: Box<ChannelInfo>,
    epoch: Epoch,
    me: Owner,
    /// In the order of [`Queue`]. Mapped for as long as `participant` is.
    words: [NonNull<AtomicU32>; 2],
}

// SAFETY: the words are atomics in a mapping that `participant` keeps alive and that any thread may use; everything
// else in here is `Send` by itself.
unsafe impl Send for Member {}
// SAFETY: as for `Send`; nothing is done through a shared reference but atomic accesses and system calls.
unsafe impl Sync for Member {}

/// The number that something is created with.
#[derive(Clone, Copy)]
pub(super) struct Count {
    pub(super) number: u32,
    /// What it counts, if whoever opens it has to say the same number.
    pub(super) agreed: Option<&'static str>,
}

impl Count {
    /// Of what has no number.
    pub(super) const ONE: Count = Count { number: 1, agreed: None };
}

/// A look of one who waits.
#[derive(Clone, Copy)]
pub(super) struct Round {
    /// How often it has slept.
    pub(super) sleeps: u32,
    /// Whether it is time to find out who of the others lives, which takes system calls.
    pub(super) probes: bool,
}

impl Member {
    /// Opens what `options` name, of a `kind` with a `T`, and takes a place in it.
    ///
    /// `init` gives a new segment its beginning. `sweep` deals with what the dead owner of a line has left, and
    /// `attach` with what the new one needs, both before anybody else can join.
    pub(super) fn open<T: IpcMessage>(
        options: &Options,
        kind: u32,
        count: Count,
        init: &mut dyn FnMut(&Segment),
        sweep: impl Fn(&Segment, u32),
        attach: impl FnOnce(&Segment, usize, u32),
    ) -> Result<Self, OpenError> {
        let spec = Spec::new::<T>(options.segment_name()?, kind, [PLACES, 0])?;
        let (capacity, agreed) = (Some(count.number as usize), count.agreed);
        let spec = Spec { capacity, agreed, lifetime: options.lifetime, ..spec };
        let sweep = |segment: &Segment, line| {
            sweep(segment, line);
            true
        };
        let joined = station::join_or_init(&spec, Side::First, Role::User, sweep, init)?;
        let (line, generation) = (joined.line(), joined.generation());
        let segment = joined.segment();
        segment.lines().use_line(line);
        attach(segment, line, generation);
        let words = [0, 1].map(|line| NonNull::from(&segment.wait_line(line).word));
        let (me, epoch) = (Owner::new(line as u32, generation), segment.epoch());
        let (participant, info) = joined.into_place(&spec);
        Ok(Member { participant, info, epoch, me, words })
    }

    /// What there is to know about the segment.
    pub(super) fn info(&self) -> &ChannelInfo {
        &self.info
    }

    /// The segment.
    pub(super) fn segment(&self) -> &Arc<Segment> {
        self.participant.segment()
    }

    /// This participant's line.
    pub(super) fn line(&self) -> usize {
        self.me.line()
    }

    /// This participant.
    pub(super) fn participant(&self) -> Owner {
        self.me
    }

    /// The calling thread, as this participant's.
    #[inline(always)]
    pub(super) fn me(&self) -> Owner {
        self.me.thread(thread_token())
    }

    /// Whether this process was forked from the one that opened the handle. To be asked before anything that should
    /// have an effect.
    #[inline(always)]
    pub(super) fn is_forked(&self) -> bool {
        self.epoch.is_past()
    }

    /// The same, as a result.
    #[inline(always)]
    pub(super) fn check_forked(&self) -> Result<(), Forked> {
        if self.is_forked() { Err(Forked) } else { Ok(()) }
    }

    /// Whether `owner`, which a word in shared memory names, is a participant no more.
    ///
    /// A line of which somebody is about to take possession counts as alive: that one deals with what it finds.
    pub(super) fn is_gone(&self, owner: Owner) -> bool {
        let segment = self.segment();
        if owner.line() >= self.segment().lines().all() {
            // No participant can be named so, and none will come to undo it.
            return true;
        }
        let line = owner.line() as u32;
        match liveness::life(segment, line) {
            Life::Live => liveness::registered(segment, line).is_some_and(|generation| !owner.is_of(generation)),
            Life::Dead { .. } | Life::Absent => true,
        }
    }

    /// Whether `owner` is this very thread, by way of this handle or of another one.
    pub(super) fn is_this_thread(&self, owner: Owner) -> bool {
        let is_ours = owner.line() < self.segment().lines().all() && self.segment().is_ours(owner.line() as u32);
        owner.token() == thread_token() && is_ours
    }

    /// Wakes up to `count` of those who sleep. To be called after publishing; costs a load if nobody does.
    #[inline(always)]
    pub(super) fn wake(&self, queue: Queue, count: u32) {
        waiting::wake_some(self.word(queue), count);
    }

    /// Waits until `look` finds something. `None` if the patience is over before.
    #[cold]
    #[inline(never)]
    pub(super) fn wait<R>(
        &self,
        queue: Queue,
        patience: Patience,
        mut look: impl FnMut(Round) -> Option<R>,
    ) -> Option<R> {
        if matches!(patience, Patience::None) {
            return look(Round { sleeps: 0, probes: true });
        }
        let mut found = None;
        let is_found = Spin::new().until(patience.deadline(), false, || {
            found = look(Round { sleeps: 0, probes: false });
            found.is_some()
        });
        if is_found {
            return found;
        }
        let word = self.word(queue);
        let (mut sleeps, mut last_probe) = (0, None::<Instant>);
        loop {
            let mut announced = patience.left().map(|_| Announced::new(word, Sleepers::Many));
            loop {
                let probes = last_probe.is_none_or(|last| last.elapsed() >= PROBE_INTERVAL);
                if probes {
                    last_probe = Some(Instant::now());
                }
                // R2 of the waiting protocol.
                if let Some(found) = look(Round { sleeps, probes }) {
                    return Some(found);
                }
                let left = patience.left()?;
                let is_still_announced = announced.as_mut()?.sleep(left);
                sleeps += 1;
                if !is_still_announced {
                    break;
                }
            }
        }
    }

    fn word(&self, queue: Queue) -> &AtomicU32 {
        // SAFETY: the word is mapped for as long as `self.participant` is.
        unsafe { self.words[queue as usize].as_ref() }
    }

    /// Gives the place back, after `detach` has undone what this participant has left.
    pub(super) fn leave(&mut self, detach: impl FnOnce(&Member)) {
        if self.is_forked() {
            return;
        }
        detach(self);
        self.participant.close();
        // There is nothing to be delivered.
        self.participant.leave(|| true);
    }
}

/// A number that tells the calling thread from all others of its process, short of 2^26 threads that come in its
/// lifetime. Never 0.
#[inline(always)]
fn thread_token() -> u32 {
    thread_local!(static TOKEN: Cell<u32> = const { Cell::new(0) });
    match TOKEN.get() {
        0 => {
            let token = next_token();
            TOKEN.set(token);
            token
        }
        token => token,
    }
}

#[cold]
fn next_token() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Relaxed: that the numbers differ is all there is to them.
    NEXT.fetch_add(1, Ordering::Relaxed) % ((1 << 26) - 1) + 1
}
