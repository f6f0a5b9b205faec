//! Slipring's queues.

use crate::harness::plan::Failure;
use crate::loops::{Rx, Tx};
use crate::peer::Seat;
use slipring::{Lifetime, Queue, Receiver, Sender};

/// An exclusive queue; the contestant's processes have one for each `part`.
pub(crate) fn exclusive<const N: usize>(seat: &Seat, part: &str) -> Queue<[u64; N]> {
    shared(seat, part).spsc()
}

/// A shared queue.
pub(crate) fn shared<const N: usize>(seat: &Seat, part: &str) -> Queue<[u64; N]> {
    Queue::new(seat.channel(part)).domain(&seat.domain).capacity(seat.capacity).lifetime(Lifetime::Attached)
}

/// An end to send, and one to receive.
type Ends<const N: usize> = (Sender<[u64; N]>, Receiver<[u64; N]>);

/// This seat's ends of two exclusive queues: the first process sends to one, and the second to the other.
pub(crate) fn both<const N: usize>(seat: &Seat) -> Result<Ends<N>, Failure> {
    let (there, back) = (exclusive(seat, "there"), exclusive(seat, "back"));
    Ok(if seat.index == 0 { (there.sender()?, back.receiver()?) } else { (back.sender()?, there.receiver()?) })
}

impl<const N: usize> Tx<N> for Sender<[u64; N]> {
    #[inline(always)]
    fn send(&mut self, message: [u64; N]) -> Result<(), Failure> {
        Ok(Sender::send(self, message)?)
    }
}

impl<const N: usize> Rx<N> for Receiver<[u64; N]> {
    #[inline(always)]
    fn recv(&mut self) -> Result<[u64; N], Failure> {
        match Receiver::recv(self)? {
            Some(message) => Ok(message),
            None => Err(closed()),
        }
    }
}

/// That a peer has closed the channel in the middle of a sample.
#[cold]
fn closed() -> Failure {
    "the other end has closed the channel".into()
}
