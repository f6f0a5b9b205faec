//! Sending participants away.

use super::{Observer, Participant};
use crate::broadcast;
use crate::dynamic::Kind;
use crate::error::OpenError;
use crate::liveness;
pub use crate::liveness::Eviction;
use crate::name::SegmentName;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
use crate::private::Private;
use crate::segment::{self, Lifecycle, Segment};

/// Which participant is meant, so that no other one is hit: neither who has its line afterwards, nor one of a channel that has
/// come under the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// Of the channel.
    pub(super) instance: [u8; 16],
    /// Which of the owners of its line it is.
    pub(super) generation: u32,
}

impl Observer {
    /// Sends a participant away that misbehaves: one that holds others up, or should not be there. `participant` is as
    /// [`participants`](Observer::participants) returned it, and nobody else is ever hit.
    ///
    /// Its calls fail with an error that says `Evicted` from then on: the next one or, of an end of an exclusive queue and of a
    /// reader of a latest value, the next one that waits. Whoever may open the channel anew can come back.
    ///
    /// What the others do depends on the channel. Where participants trust each other, they wait for it as before until it has
    /// left or died, since it may be about to use what it has claimed. In a [hardened](crate::Queue::hardened) channel they do as if
    /// it had died ([`Eviction::Struck`]), unless it is one that refers to messages in place: what it had claimed is repaired
    /// and counted, its calls end, and whoever waits for it is told of a death. A subscriber of a broadcast with
    /// [`evict_after`](crate::Broadcast::evict_after) is no longer waited for in either case.
    ///
    /// **It is not stopped by this.** A process that does not go by the rules can store to the segment as long as it lives, so
    /// end it, if you can. Its place is free when it has left or died. One that was struck in the middle of a call may finish
    /// that, at the cost of a message (lost or altered) or of the channel ([`Corrupt`](crate::Corrupt)), and not of anybody's
    /// memory: who opens `hardened(false)` in a hardened channel relies on nobody being evicted from it.
    ///
    /// To do it takes permission to write to the channel.
    ///
    /// # Errors
    ///
    /// [`OpenError::Unsupported`] for locks and the like, whose values somebody has in hand; [`OpenError::Busy`] if somebody has
    /// been joining or leaving for seconds; and those of opening a channel.
    ///
    /// ```
    /// use ipc_core::inspect::{Eviction, Observer};
    /// use ipc_core::{Queue, Role, TryRecvError};
    ///
    /// # let domain = format!("doc-{}", std::process::id());
    /// let queue = Queue::<u64>::new("evict").domain(&domain).hardened(true);
    /// let (tx, mut rx) = (queue.sender()?, queue.receiver()?);
    ///
    /// let observer = Observer::open_in(&domain, "evict")?;
    /// let participants = observer.participants();
    /// let receiver = participants.iter().find(|participant| participant.role == Role::Receiver).unwrap();
    /// assert_eq!(observer.evict(receiver)?, Eviction::Struck);
    /// assert_eq!(rx.try_recv(), Err(TryRecvError::Evicted));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn evict(&self, participant: &Participant) -> Result<Eviction, OpenError> {
        let name = SegmentName::new(Some(&self.info.domain), &self.info.name)?;
        match segment::administer(&name)? {
            Some((segment, lifecycle)) => evict(&segment, &lifecycle, self.kind, participant),
            None => Ok(Eviction::Gone),
        }
    }
}

#[cfg(all(target_os = "linux", not(feature = "portable")))]
impl<C> Private<C> {
    /// Those who take part in the channel, as [`Observer::participants`] tells of one that has a name. Of a pipe, those of the
    /// queue to the right come first.
    pub fn participants(&self) -> Vec<Participant> {
        let segments = self.segments().iter().map(|segment| segment.segment());
        segments
            .filter_map(|segment| Some(super::participants_of(segment, Kind::of(segment.geometry().kind)?)))
            .flatten()
            .collect()
    }

    /// Sends a participant away: as [`Observer::evict`]. Who was handed the channel for nothing but reading cannot.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn evict(&self, participant: &Participant) -> Result<Eviction, OpenError> {
        for segment in self.segments() {
            let (lifecycle, segment) = (segment.administer()?, segment.segment());
            let Some(kind) = Kind::of(segment.geometry().kind) else { continue };
            let eviction = evict(segment, &lifecycle, kind, participant)?;
            if eviction != Eviction::Gone {
                return Ok(eviction);
            }
        }
        Ok(Eviction::Gone)
    }
}

fn evict(
    segment: &Segment,
    lifecycle: &Lifecycle,
    kind: Kind,
    participant: &Participant,
) -> Result<Eviction, OpenError> {
    let (geometry, line) = (segment.geometry(), participant.line);
    let Identity { instance, generation } = participant.identity;
    if geometry.instance != instance || line >= geometry.participants {
        return Ok(Eviction::Gone);
    }
    let trusts_nobody = segment.trusts_nobody();
    let is_second = line >= geometry.first_role;
    // Those who only take in what is for everybody hold nothing that others would have to repair.
    let may_strike = match kind {
        Kind::ExclusiveQueue | Kind::SharedQueue | Kind::Service => trusts_nobody,
        Kind::LosslessBroadcast | Kind::LossyBroadcast | Kind::Latest => trusts_nobody && !is_second,
        _ => return Err(OpenError::Unsupported("only participants of channels can be evicted: end the process")),
    };
    let is_by_value = trusts_nobody && liveness::is_by_value(segment, line);
    let may_overtake = is_by_value || geometry.evict_after_ns != 0;
    // Before the mark, so that whoever is woken by that finds the note.
    let is_overtaken = kind == Kind::LosslessBroadcast
        && is_second
        && may_overtake
        && broadcast::evict_subscriber(segment, line, generation);
    let eviction = liveness::evict(segment, lifecycle, line, generation, may_strike);
    Ok(if is_overtaken && eviction == Eviction::Told { Eviction::Struck } else { eviction })
}
