//! Opening the ends of a shared queue, and taking up what those who died have left in it.

use super::port::{Port, Tended};
use crate::error::{OpenError, Role};
use crate::layout::{FLAG_DROP_HELD, Side};
use crate::liveness;
use crate::ring::Repair;
use crate::ring::shared::{Consumer, FrameConsumer, FrameProducer, Orphans, Parts, Producer};
use crate::segment::{Segment, Spec};
use crate::station::{self, Joined, Station};
use crate::waiting::Sleepers;

/// Takes a sender's place.
pub(super) fn sender(spec: &Spec) -> Result<Port<Producer>, OpenError> {
    join_senders(spec, |producer, _| producer)
}

/// Takes a sender's place where messages vary in length.
pub(super) fn frame_sender(spec: &Spec) -> Result<Port<FrameProducer>, OpenError> {
    join_senders(spec, |producer, segment| FrameProducer::new(producer, segment.frame_shape()))
}

/// Takes a receiver's place.
pub(super) fn receiver(spec: &Spec) -> Result<Port<Consumer>, OpenError> {
    join_receivers(spec, |consumer, _| consumer)
}

/// Takes a receiver's place where messages vary in length.
pub(super) fn frame_receiver(spec: &Spec) -> Result<Port<FrameConsumer>, OpenError> {
    join_receivers(spec, |consumer, segment| FrameConsumer::new(consumer, segment.frame_shape()))
}

fn join_senders<E: Tended>(spec: &Spec, end: impl FnOnce(Producer, &Segment) -> E) -> Result<Port<E>, OpenError> {
    let joined = station::join(spec, Side::First, Role::Sender, sweep)?;
    let attach = |joined: &Joined| {
        let ring = joined.segment().shared_ring();
        end(Producer::attach(ring, joined.line(), joined.enter(&ring.producers.counter)), joined.segment())
    };
    Ok(Port::new(Station::new(spec, joined, Sleepers::Many, attach, |_| false)))
}

fn join_receivers<E: Tended>(spec: &Spec, end: impl FnOnce(Consumer, &Segment) -> E) -> Result<Port<E>, OpenError> {
    let joined = station::join(spec, Side::Second, Role::Receiver, sweep)?;
    let attach = |joined: &Joined| {
        let ring = joined.segment().shared_ring();
        end(Consumer::attach(ring, joined.line(), joined.enter(&ring.consumers.counter)), joined.segment())
    };
    Ok(Port::new(Station::new(spec, joined, Sleepers::Many, attach, |end: &mut E| end.len() != 0)))
}

/// Resolves what the dead owner of a line has left, for whoever holds the line's lock and is about to take it over.
fn sweep(segment: &Segment, line: u32) -> bool {
    repair(segment, &segment.shared_ring(), line, Some(line)) == Repair::Resolved
}

impl Tended for Producer {
    fn tend(&mut self, segment: &Segment) -> bool {
        repair_all(segment);
        self.settle(|line| liveness::life(segment, line as u32))
    }
}

impl Tended for FrameProducer {
    fn tend(&mut self, segment: &Segment) -> bool {
        repair_all(segment);
        self.settle(|line| liveness::life(segment, line as u32))
    }
}

impl Tended for Consumer {
    fn tend(&mut self, segment: &Segment) -> bool {
        repair_all(segment);
        let first = segment.geometry().first_role;
        self.settle(|line| liveness::life(segment, first + line as u32))
    }
}

impl Tended for FrameConsumer {
    fn tend(&mut self, segment: &Segment) -> bool {
        repair_all(segment);
        let first = segment.geometry().first_role;
        self.settle(|line| liveness::life(segment, first + line as u32))
    }
}

/// Takes up what every dead participant has left.
fn repair_all(segment: &Segment) {
    let ring = segment.shared_ring();
    for line in 0..segment.geometry().participants {
        if liveness::has_died(segment, line) {
            // What is pending, or broken, is met again by whoever waits for it.
            repair(segment, &ring, line, None);
        }
    }
}

/// Takes up what the dead participant on `line` has left. Whoever holds the lock of a line, which keeps the kernel from
/// telling whether its last owner lives, says so by `gone`.
fn repair(segment: &Segment, ring: &Parts, line: u32, gone: Option<u32>) -> Repair {
    let life = |line| match gone {
        Some(gone) if gone == line => liveness::afterlife(segment, line),
        _ => liveness::life(segment, line),
    };
    let first = segment.geometry().first_role;
    if line < first {
        return ring.repair_producer(line as usize, |line| life(line as u32));
    }
    let orphans = if segment.geometry().flags & FLAG_DROP_HELD == 0 { Orphans::Redeliver } else { Orphans::Drop };
    ring.repair_consumer((line - first) as usize, |line| life(first + line as u32), orphans)
}

#[cfg(all(test, not(loom)))]
mod tests;
