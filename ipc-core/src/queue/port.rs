//! One end of a channel over an exclusive ring: the ring's end, the place in the participant table, the watch on the
//! other side, and the two words to sleep on and to wake.
//!
//! Both ends are made of this; [`Sender`](super::Sender) and [`Receiver`](super::Receiver) give it its verbs. One piece
//! of code waits for messages and for room alike, and watches senders and receivers alike.

use super::ChannelInfo;
use crate::error::{Corrupt, OpenError, Peer, Role};
use crate::liveness::{Claim, Participant, Sight, Watch};
use crate::ring::exclusive::{End, Evidence, Turn};
use crate::segment::{self, Opened, Spec};
use crate::waiting::{self, Announced, Spin};
use core::ptr::NonNull;
use core::sync::atomic::AtomicU32;
use core::time::Duration;
use std::thread;
use std::time::Instant;

/// Lines of an exclusive queue's participant table: the sender's, then the receiver's.
pub(crate) const PARTICIPANTS: u32 = 2;

/// Which of an exclusive queue's roles the participant on line `index` has.
pub(crate) fn role_of(index: u32) -> Role {
    if index == 0 { Role::Sender } else { Role::Receiver }
}

/// How long to wait for somebody who has closed to give the place back, which takes microseconds.
const LEAVING_PATIENCE: Duration = Duration::from_secs(2);

/// How long to wait.
#[derive(Clone, Copy)]
pub(crate) enum Patience {
    /// Not at all.
    None,
    /// Until then.
    Until(Instant),
    /// Until it happens.
    Forever,
}

impl Patience {
    /// To wait for `limit` from now.
    pub(crate) fn from_timeout(limit: Duration) -> Self {
        // A limit beyond what the clock can express is no limit.
        Instant::now().checked_add(limit).map_or(Patience::Forever, Patience::Until)
    }

    fn deadline(self) -> Option<Instant> {
        match self {
            Patience::Until(deadline) => Some(deadline),
            _ => None,
        }
    }

    /// What is left; `None` if nothing is.
    fn left(self) -> Option<Duration> {
        match self {
            Patience::None => None,
            Patience::Until(deadline) => deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()),
            Patience::Forever => Some(Duration::MAX),
        }
    }
}

/// Why the turn did not come.
pub(crate) enum Blocked {
    /// The patience is over.
    Timeout,
    /// The other side left of its own will.
    Closed,
    /// The other side died; reported by this.
    Died(Peer),
    /// The ring is damaged.
    Corrupt(Corrupt),
}

/// One end.
pub(crate) struct Port<E: End> {
    end: E,
    /// The word that the other side sleeps on. Mapped for as long as `participant` is.
    theirs: NonNull<AtomicU32>,
    /// The word that this side sleeps on. Mapped for as long as `participant` is.
    mine: NonNull<AtomicU32>,
    spin: Spin,
    watch: Watch,
    participant: Participant,
    info: Box<ChannelInfo>,
}

// SAFETY: the two words are atomics in a mapping that `participant` keeps alive and that any thread may use; everything
// else in here is `Send` by itself.
unsafe impl<E: End + Send> Send for Port<E> {}
// SAFETY: as for `Send`; nothing is done through a shared reference but atomic loads.
unsafe impl<E: End + Sync> Sync for Port<E> {}

impl<E: End> Port<E> {
    /// Opens the channel and takes the place of `role` in it.
    pub(crate) fn open(spec: &Spec, role: Role) -> Result<Self, OpenError> {
        let line = if role == Role::Sender { 0 } else { 1 };
        let (opened, participant, predecessor) = join(spec, role, line)?;
        let segment = &opened.segment;
        let (data, space) = (&segment.wait_line(0).word, &segment.wait_line(1).word);
        waiting::register([data, space]);
        let (mine, theirs) = if role == Role::Sender { (space, data) } else { (data, space) };
        let ring = segment.exclusive_ring();
        let mut end = E::attach(ring);
        let unfinished = || role == Role::Receiver && end.look() == Turn::Ours;
        let watch = Watch::new(segment, 1 - line, unfinished);
        Ok(Port {
            theirs: NonNull::from(theirs),
            mine: NonNull::from(mine),
            spin: Spin::new(),
            watch,
            info: Box::new(ChannelInfo::new(segment, spec, opened.created, predecessor)),
            participant,
            end,
        })
    }

    /// What there is to know about the channel.
    pub(crate) fn info(&self) -> &ChannelInfo {
        &self.info
    }

    /// Number of messages in the ring, as far as can be seen at this moment.
    pub(crate) fn len(&self) -> usize {
        self.participant.segment().exclusive_ring().len()
    }

    /// Whether the slot at this end's place is its own.
    #[inline(always)]
    pub(crate) fn is_ready(&self) -> bool {
        self.end.is_ready()
    }

    /// The payload of the slot at this end's place, to be touched only when [`is_ready`](Port::is_ready).
    #[inline(always)]
    pub(crate) fn payload<T>(&self) -> *mut T {
        self.end.payload().as_ptr().cast()
    }

    /// Passes the slot to the other side, steps on, and wakes the other side if it sleeps.
    #[inline(always)]
    pub(crate) fn pass(&mut self) {
        self.end.pass();
        self.flush();
    }

    /// Passes the slot without looking whether the other side sleeps. [`flush`](Port::flush) has to follow.
    #[inline(always)]
    pub(crate) fn pass_quietly(&mut self) {
        self.end.pass();
    }

    /// Wakes the other side if it sleeps.
    #[inline(always)]
    pub(crate) fn flush(&self) {
        // SAFETY: the word is mapped for as long as `self.participant` is.
        waiting::wake(unsafe { self.theirs.as_ref() });
    }

    /// Waits until the slot at this end's place is its own.
    #[cold]
    #[inline(never)]
    pub(crate) fn wait(&mut self, patience: Patience) -> Result<(), Blocked> {
        let may_spin = !matches!(patience, Patience::None);
        let shares_processor = self.participant.shares_processor(self.watch.line());
        // On a busy channel the other side is a few nanoseconds behind, and this is all there is to waiting.
        if may_spin
            && !shares_processor
            && waiting::poll(&mut || self.end.look() != Turn::Theirs)
            && let_turn(&mut self.end)?
        {
            return Ok(());
        }
        // Whoever is about to wait must not leave the other side waiting for it.
        self.flush();
        let Port { end, spin, watch, mine, participant, .. } = self;
        if may_spin {
            if spin.until(patience.deadline(), shares_processor, || end.look() != Turn::Theirs) && let_turn(end)? {
                return Ok(());
            }
            participant.publish_processor();
        }
        // SAFETY: the word is mapped for as long as `self.participant` is.
        let mine = unsafe { mine.as_ref() };
        loop {
            let announced = match patience {
                Patience::None => None,
                _ => Some(Announced::new(mine)),
            };
            loop {
                // R2 of the waiting protocol, and the second look that a verdict on the other side needs (P3).
                let verdict = watch.sight();
                if let_turn(end)? {
                    return Ok(());
                }
                match verdict {
                    Sight::Present => {}
                    Sight::Closed => return Err(Blocked::Closed),
                    Sight::Died(peer) => {
                        watch.acknowledge_death();
                        return Err(Blocked::Died(peer));
                    }
                }
                let Some(left) = patience.left() else { return Err(Blocked::Timeout) };
                let Some(announced) = &announced else { break };
                let is_still_announced = announced.sleep(left);
                if let_turn(end)? {
                    return Ok(());
                }
                if !is_still_announced {
                    break;
                }
            }
        }
    }
}

impl<E: End> Drop for Port<E> {
    fn drop(&mut self) {
        self.participant.close();
        self.flush();
        let ring = self.participant.segment().exclusive_ring();
        self.participant.leave(|| ring.len() == 0);
    }
}

/// Opens the channel and takes the place on `line`. Waits for a predecessor that has closed and is on its way out.
fn join(spec: &Spec, role: Role, line: u32) -> Result<(Opened, Participant, Option<Peer>), OpenError> {
    let started = Instant::now();
    loop {
        let opened = segment::open(spec)?;
        let peer = match Participant::join(&opened.segment, &opened.lifecycle, line..line + 1)? {
            Claim::Joined(participant, predecessor) => return Ok((opened, participant, predecessor)),
            Claim::Leaving(_) if started.elapsed() < LEAVING_PATIENCE => {
                // Lets the lifecycle lock go, which the other one needs to leave.
                drop(opened);
                thread::sleep(Duration::from_micros(50));
                continue;
            }
            Claim::Leaving(peer) | Claim::Occupied(peer) => peer,
        };
        return Err(OpenError::InUse { channel: spec.name.channel().into(), role, peer });
    }
}

/// Whether it is this end's turn; an error if the stamp is none that the ring can have.
fn let_turn(end: &mut impl End) -> Result<bool, Blocked> {
    match end.look() {
        Turn::Ours => Ok(true),
        Turn::Theirs => Ok(false),
        Turn::Broken(Evidence { slot, found, expected }) => {
            Err(Blocked::Corrupt(Corrupt::Stamp { slot, found, expected }))
        }
    }
}
