//! A stream of messages in batches of 64, beside a ring written by hand whose indices move once a batch.

use super::one_way::{CAPACITIES, messages, ring_bytes};
use crate::harness::plan::{Case, Contestant, Failure, Files, Filing, Metric, Plan, Work};
use crate::harness::sample::{Play, Report, now_ns};
use crate::loops::{SIZES, message, sized, verify, warm_up};
use crate::peer::Seat;
use crate::ways::{queue, ring};
use slipring::{Receiver, Sender};

/// Streams in batches.
pub(crate) static WORK: Work = Work {
    name: "one-way-batch",
    about: "The same in batches of 64. In place means that batches are made and read where they are; a shared \
            queue is one that others might join, and takes each batch by one claim.",
    cases,
    play,
};

/// Messages in a batch.
const BATCH: u64 = 64;

fn cases(plan: &Plan) -> Vec<Case> {
    let case = |(capacity, size_bytes)| Case {
        work: WORK.name,
        variant: String::new(),
        size_bytes,
        capacity,
        metric: Metric::Rate,
        filing: Filing::ByLine,
        contestants: vec![
            Contestant::new("slipring", messages(size_bytes)),
            Contestant::new("slipring-in-place", messages(size_bytes)),
            Contestant::new("slipring-shared", messages(size_bytes)),
            Contestant::new("slipring-shared-in-place", messages(size_bytes)),
            Contestant::new("limit", messages(size_bytes)).files(Files::Memory(ring_bytes(size_bytes, capacity))),
        ],
    };
    let sizes = plan.sizes_or(&[64], &SIZES);
    CAPACITIES.into_iter().flat_map(|capacity| sizes.iter().map(move |&size| (capacity, size))).map(case).collect()
}

fn play(seat: &Seat) -> Result<Play, Failure> {
    sized!(seat.size_bytes, N => play_sized::<N>(seat))
}

fn play_sized<const N: usize>(seat: &Seat) -> Result<Play, Failure> {
    let exclusive = || queue::exclusive::<N>(seat, "stream");
    let shared = || queue::shared::<N>(seat, "stream");
    Ok(match (seat.contestant.as_str(), seat.index) {
        ("slipring", 0) => receiving(Batches::of(exclusive().receiver()?)),
        ("slipring", 1) => sending(exclusive().sender()?),
        ("slipring-in-place", 0) => receiving(InPlace(exclusive().receiver()?)),
        ("slipring-in-place", 1) => sending(InPlace(exclusive().sender()?)),
        ("slipring-shared", 0) => receiving(Batches::of(shared().receiver()?)),
        ("slipring-shared", 1) => sending(shared().sender()?),
        ("slipring-shared-in-place", 0) => receiving(InPlace(shared().receiver()?)),
        ("slipring-shared-in-place", 1) => sending(InPlace(shared().sender()?)),
        ("limit", 0) => receiving(ring::Consumer::<N>::new(seat.memory()?, seat.capacity, 0)),
        ("limit", 1) => sending(ring::Producer::<N>::new(seat.memory()?, seat.capacity, 0)),
        _ => return seat.unknown(),
    })
}

/// An end that sends batches.
trait BatchTx {
    /// Sends messages `first..end`.
    fn send_batch(&mut self, first: u64, end: u64) -> Result<(), Failure>;
}

/// An end that receives batches.
trait BatchRx {
    /// Receives and verifies at least one and at most so many messages, from message `first` on. How many is returned.
    fn recv_batch(&mut self, first: u64, max: u64) -> Result<u64, Failure>;
}

fn sending(mut tx: impl BatchTx + 'static) -> Play {
    let mut next = 0;
    Box::new(move |count| {
        let end = next + warm_up(count) + count;
        while next < end {
            let first = next;
            next = end.min(first + BATCH);
            tx.send_batch(first, next)?;
        }
        Ok(Report::default())
    })
}

fn receiving(mut rx: impl BatchRx + 'static) -> Play {
    let mut next = 0;
    Box::new(move |count| {
        let mut receive = |count| {
            let end = next + count;
            while next < end {
                next += rx.recv_batch(next, BATCH.min(end - next))?;
            }
            Ok::<(), Failure>(())
        };
        receive(warm_up(count))?;
        let from = now_ns();
        receive(count)?;
        Ok(Report::since(from, count))
    })
}

impl<const N: usize> BatchTx for Sender<[u64; N]> {
    #[inline(always)]
    fn send_batch(&mut self, first: u64, end: u64) -> Result<(), Failure> {
        Sender::send_batch(self, (first..end).map(message))?;
        Ok(())
    }
}

/// A receiver, and where it puts a batch.
struct Batches<const N: usize> {
    receiver: Receiver<[u64; N]>,
    received: Vec<[u64; N]>,
}

impl<const N: usize> Batches<N> {
    fn of(receiver: Receiver<[u64; N]>) -> Self {
        Batches { receiver, received: Vec::with_capacity(BATCH as usize) }
    }
}

impl<const N: usize> BatchRx for Batches<N> {
    #[inline(always)]
    fn recv_batch(&mut self, first: u64, max: u64) -> Result<u64, Failure> {
        self.received.clear();
        if self.receiver.recv_batch(&mut self.received, max as usize)? == 0 {
            return Err("the other end has closed the channel".into());
        }
        for (message, sequence) in self.received.iter().zip(first..) {
            verify(message, sequence)?;
        }
        Ok(self.received.len() as u64)
    }
}

/// An end whose batches stay where they are.
struct InPlace<T>(T);

impl<const N: usize> BatchTx for InPlace<Sender<[u64; N]>> {
    #[inline(always)]
    fn send_batch(&mut self, first: u64, end: u64) -> Result<(), Failure> {
        let mut next = first;
        while next < end {
            let mut batch = self.0.loan_batch((end - next) as usize)?;
            for at in 0..batch.len() {
                batch[at] = message(next);
                next += 1;
            }
            batch.send();
        }
        Ok(())
    }
}

impl<const N: usize> BatchRx for InPlace<Receiver<[u64; N]>> {
    #[inline(always)]
    fn recv_batch(&mut self, first: u64, max: u64) -> Result<u64, Failure> {
        let batch = self.0.recv_batch_ref(max as usize)?.ok_or("the other end has closed the channel")?;
        let mut next = first;
        for message in batch.iter() {
            verify(message, next)?;
            next += 1;
        }
        Ok(next - first)
    }
}

impl<const N: usize> BatchTx for ring::Producer<N> {
    #[inline(always)]
    fn send_batch(&mut self, first: u64, end: u64) -> Result<(), Failure> {
        for sequence in first..end {
            self.fill(message(sequence));
        }
        self.publish();
        Ok(())
    }
}

impl<const N: usize> BatchRx for ring::Consumer<N> {
    #[inline(always)]
    fn recv_batch(&mut self, first: u64, max: u64) -> Result<u64, Failure> {
        self.slot();
        let end = first + max.min(self.ready());
        for sequence in first..end {
            verify(&self.take(), sequence)?;
        }
        self.release();
        Ok(end - first)
    }
}
