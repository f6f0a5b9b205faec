//! Opening the ends of an exclusive queue.

use super::port::{Port, Tended};
use crate::error::{OpenError, Role};
use crate::layout::Side;
use crate::ring::exclusive::{Consumer, Producer};
use crate::ring::{End, Turn, frames};
use crate::segment::{Segment, Spec};
use crate::station::{self, Joined, Station};
use crate::waiting::Sleepers;

/// Takes the sender's place.
pub(super) fn sender(spec: &Spec) -> Result<Port<Producer>, OpenError> {
    let joined = station::join(spec, Side::First, Role::Sender, |_, _| true)?;
    let attach = |joined: &Joined| Producer::attach(joined.segment().exclusive_ring());
    Ok(Port::new(Station::new(spec, joined, Sleepers::One, attach, |_| false)))
}

/// Takes the receiver's place.
pub(super) fn receiver(spec: &Spec) -> Result<Port<Consumer>, OpenError> {
    let joined = station::join(spec, Side::Second, Role::Receiver, |_, _| true)?;
    let attach = |joined: &Joined| Consumer::attach(joined.segment().exclusive_ring());
    Ok(Port::new(Station::new(spec, joined, Sleepers::One, attach, is_unfinished)))
}

/// Takes the sender's place where messages vary in length.
pub(super) fn frame_sender(spec: &Spec) -> Result<Port<frames::Producer>, OpenError> {
    let joined = station::join(spec, Side::First, Role::Sender, |_, _| true)?;
    let attach = |joined: &Joined| frames::Producer::attach(joined.segment().frame_ring());
    Ok(Port::new(Station::new(spec, joined, Sleepers::One, attach, |_| false)))
}

/// Takes the receiver's place where messages vary in length.
pub(super) fn frame_receiver(spec: &Spec) -> Result<Port<frames::Consumer>, OpenError> {
    let joined = station::join(spec, Side::Second, Role::Receiver, |_, _| true)?;
    let attach = |joined: &Joined| frames::Consumer::attach(joined.segment().frame_ring());
    Ok(Port::new(Station::new(spec, joined, Sleepers::One, attach, is_unfinished)))
}

/// Whether a sender that is gone has left messages to a receiver that joins.
fn is_unfinished(end: &mut impl End) -> bool {
    end.look() == Turn::Ours
}

/// Nothing that a death leaves needs repair.
impl Tended for Producer {
    fn tend(&mut self, _segment: &Segment) -> bool {
        true
    }
}

/// As for the producer.
impl Tended for Consumer {
    fn tend(&mut self, _segment: &Segment) -> bool {
        true
    }
}

/// As for the producer.
impl Tended for frames::Producer {
    fn tend(&mut self, _segment: &Segment) -> bool {
        true
    }
}

/// As for the producer.
impl Tended for frames::Consumer {
    fn tend(&mut self, _segment: &Segment) -> bool {
        true
    }
}
