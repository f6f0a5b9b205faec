//! What the victim does over each kind of channel: every verb that receives by value, and those that send.

mod broadcast;
mod latest;
mod note;
mod queue;
mod service;

use super::victim::Desk;
use slipring::inspect::Observer;
use slipring::{Corrupt, OpenError};
use std::time::Duration;

/// The channel's name.
pub(super) const CHANNEL: &str = "scribbled";

/// Messages that it holds.
const CAPACITY: usize = 8;

/// Bytes that it holds, if messages vary in length.
const CAPACITY_BYTES: usize = 1024;

/// How long the verbs that wait do.
const MOMENT: Duration = Duration::from_micros(200);

/// One round in so many has the verbs that wait.
const ROUNDS_A_WAIT: u64 = 8;

/// One round in so many has somebody look on from outside.
const ROUNDS_A_LOOK: u64 = 32;

/// The victim's ends of a channel, if it could be opened.
type Opened = Result<Box<dyn Traffic>, OpenError>;

/// A kind of channel.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Opens all of the victim's ends.
    pub(super) open: fn(domain: &str) -> Opened,
}

/// The ends of a channel, at work.
pub(super) trait Traffic {
    /// Makes each call once. `false` if one of them has said that the channel is damaged.
    fn round(&mut self, desk: &Desk) -> bool;
}

pub(super) const KINDS: &[Kind] = &[
    Kind { name: crate::sweep::EXCLUSIVE_QUEUE, open: queue::exclusive },
    Kind { name: "exclusive-queue-of-any-length", open: queue::exclusive_of_any_length },
    Kind { name: crate::sweep::QUEUE, open: queue::shared },
    Kind { name: "queue-of-any-length", open: queue::shared_of_any_length },
    Kind { name: "lossy-broadcast", open: broadcast::lossy },
    Kind { name: "lossy-broadcast-of-any-length", open: broadcast::lossy_of_any_length },
    Kind { name: crate::sweep::LOSSLESS_BROADCAST, open: broadcast::lossless },
    Kind { name: "lossless-broadcast-of-any-length", open: broadcast::lossless_of_any_length },
    Kind { name: crate::sweep::LATEST, open: latest::open },
    Kind { name: crate::sweep::SERVICE, open: service::open },
    Kind { name: "service-of-any-length", open: service::open_of_any_length },
];

/// Whether a channel of which this is said can go on.
fn is_whole(corrupt: &Corrupt) -> bool {
    matches!(corrupt, Corrupt::Message(_))
}

/// Looks at the channel from outside.
pub(super) fn observe(desk: &Desk, domain: &str) {
    desk.call("observe", || {
        let Ok(observer) = Observer::open_in(domain, CHANNEL) else { return };
        std::hint::black_box((observer.kind(), observer.participants(), observer.len(), observer.lost()));
        std::hint::black_box((observer.received(), observer.latency(), observer.round_trips(), observer.is_current()));
    });
}
