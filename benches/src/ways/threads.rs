//! References that work between the threads of one process only.

use crate::harness::plan::Failure;
use crate::harness::sample::{Play, Report};
use crate::loops::{Rx, Tx};
use crate::peer::{Seat, pin};
use crate::ways::{Pair, Stream};
use std::hint::spin_loop;
use std::sync::mpsc;
use std::thread;

/// Makes what a thread does, in the thread.
pub(crate) type Maker = Box<dyn FnOnce() -> Play + Send>;

/// Does what several threads do, each on its processors.
pub(crate) fn play(threads: Vec<(Vec<usize>, Maker)>) -> Play {
    let (report, reports) = mpsc::channel();
    let orders: Vec<_> = threads
        .into_iter()
        .map(|(processors, make)| {
            let (order, orders) = mpsc::channel();
            let report = report.clone();
            thread::spawn(move || {
                let pinned = pin(&processors).map_err(|error| error.to_string());
                let mut play = make();
                for count in orders {
                    let done = pinned.clone().and_then(|()| play(count).map_err(|failure| failure.to_string()));
                    if report.send(done).is_err() {
                        return;
                    }
                }
            });
            order
        })
        .collect();
    Box::new(move |count| {
        for order in &orders {
            order.send(count)?;
        }
        let mut all = Report::default();
        for _ in &orders {
            all = all.and(reports.recv()??);
        }
        Ok(all)
    })
}

/// A pair of threads that have two channels.
pub(crate) fn both<const N: usize, T, R>(seat: &Seat, pair: impl Pair<N>, channel: impl Fn() -> (T, R)) -> Play
where
    T: Tx<N> + Send + 'static,
    R: Rx<N> + Send + 'static,
{
    let ((there, asked), (back, answered)) = (channel(), channel());
    play(vec![
        (vec![seat.pins[0]], Box::new(move || pair.play(0, there, answered))),
        (vec![seat.pins[1]], Box::new(move || pair.play(1, back, asked))),
    ])
}

/// A thread that sends to another one.
pub(crate) fn stream<const N: usize, T, R>(seat: &Seat, stream: impl Stream<N>, (tx, rx): (T, R)) -> Play
where
    T: Tx<N> + Send + 'static,
    R: Rx<N> + Send + 'static,
{
    play(vec![
        (vec![seat.pins[0]], Box::new(move || stream.receiving(rx))),
        (vec![seat.pins[1]], Box::new(move || stream.sending(tx))),
    ])
}

impl<const N: usize> Tx<N> for crossbeam_channel::Sender<[u64; N]> {
    #[inline(always)]
    fn send(&mut self, message: [u64; N]) -> Result<(), Failure> {
        Ok(crossbeam_channel::Sender::send(self, message)?)
    }
}

impl<const N: usize> Rx<N> for crossbeam_channel::Receiver<[u64; N]> {
    #[inline(always)]
    fn recv(&mut self) -> Result<[u64; N], Failure> {
        Ok(crossbeam_channel::Receiver::recv(self)?)
    }
}

impl<const N: usize> Tx<N> for kanal::Sender<[u64; N]> {
    #[inline(always)]
    fn send(&mut self, message: [u64; N]) -> Result<(), Failure> {
        Ok(kanal::Sender::send(self, message)?)
    }
}

impl<const N: usize> Rx<N> for kanal::Receiver<[u64; N]> {
    #[inline(always)]
    fn recv(&mut self) -> Result<[u64; N], Failure> {
        Ok(kanal::Receiver::recv(self)?)
    }
}

impl<const N: usize> Tx<N> for rtrb::Producer<[u64; N]> {
    #[inline(always)]
    fn send(&mut self, mut message: [u64; N]) -> Result<(), Failure> {
        while let Err(rtrb::PushError::Full(back)) = self.push(message) {
            message = back;
            spin_loop();
        }
        Ok(())
    }
}

impl<const N: usize> Rx<N> for rtrb::Consumer<[u64; N]> {
    #[inline(always)]
    fn recv(&mut self) -> Result<[u64; N], Failure> {
        loop {
            match self.pop() {
                Ok(message) => return Ok(message),
                Err(rtrb::PopError::Empty) => spin_loop(),
            }
        }
    }
}
