//! A broadcast to one, two, four and eight subscribers, which share a processor. What is measured is the time that a
//! message takes to publish; where the publisher waits for its subscribers, until they have all received it. What is
//! noted is how many messages were missed, by all subscribers together.

use crate::harness::plan::{Case, Contestant, Failure, Filing, Metric, Plan, Processor, Work};
use crate::harness::sample::{Play, Report, now_ns};
use crate::loops::{Rx, SIZES, Tx, message, sized, verify, warm_up};
use crate::peer::Seat;
use crate::ways::queue;
use slipring::{Broadcast, BroadcastRecvError, Lifetime, Publisher, Receiver, Subscriber};

/// Broadcasts.
pub(crate) static WORK: Work = Work {
    name: "broadcast",
    about: "Every subscriber gets every message; subscribers share a processor. Lossy: the publisher waits for nobody, and what was missed is noted. Lossless: until all have all.",
    cases,
    play,
};

/// The publisher waits for nobody.
const LOSSY: &str = "lossy";
/// The publisher waits for all.
const LOSSLESS: &str = "lossless";

/// The contestant that is an exclusive queue, if there is one subscriber.
const QUEUE: &str = "slipring-queue";

fn cases(plan: &Plan) -> Vec<Case> {
    let sizes = plan.sizes_or(&[64], &SIZES);
    let mut cases = Vec::new();
    for capacity in [1024, 65_536] {
        for &size_bytes in &sizes {
            for policy in [LOSSY, LOSSLESS] {
                cases.extend([1, 2, 4, 8].map(|subscribers| case(policy, subscribers, size_bytes, capacity)));
            }
        }
    }
    cases
}

fn case(policy: &str, subscribers: usize, size_bytes: usize, capacity: usize) -> Case {
    let count = 600_000;
    let mut seats = vec![Processor::First];
    seats.resize(1 + subscribers, Processor::Second);
    let mut contestants = vec![Contestant::new("slipring", count).seats(seats.clone())];
    // What others have without losses; with them a subscriber is not told how many messages it has missed.
    #[cfg(feature = "peers")]
    if policy == LOSSLESS && capacity == 1024 {
        contestants.push(Contestant::new("iceoryx2", count / 20).seats(seats));
    }
    if subscribers == 1 {
        contestants.push(Contestant::new(QUEUE, count));
    }
    Case {
        work: WORK.name,
        variant: format!("{policy} 1 to {subscribers}"),
        size_bytes,
        capacity,
        metric: Metric::Mean,
        filing: Filing::ByLine,
        contestants,
    }
}

fn play(seat: &Seat) -> Result<Play, Failure> {
    sized!(seat.size_bytes, N => play_sized::<N>(seat))
}

fn play_sized<const N: usize>(seat: &Seat) -> Result<Play, Failure> {
    let lossy = seat.variant.starts_with(LOSSY);
    let broadcast = Broadcast::<[u64; N]>::new(seat.channel("stream"))
        .domain(&seat.domain)
        .capacity(seat.capacity)
        .lifetime(Lifetime::Attached);
    let broadcast = if lossy { broadcast.lossy() } else { broadcast.lossless() };
    Ok(match (seat.contestant.as_str(), seat.index) {
        ("slipring", 0) => publishing(broadcast.publisher()?),
        ("slipring", _) => following(broadcast.subscriber()?, lossy),
        (QUEUE, 0) => publishing(queue::exclusive::<N>(seat, "stream").sender()?),
        (QUEUE, 1) => following(queue::exclusive::<N>(seat, "stream").receiver()?, false),
        #[cfg(feature = "peers")]
        ("iceoryx2", 0) => {
            let subscribers = seat.variant.rsplit(' ').next().unwrap_or_default().parse()?;
            publishing(crate::ways::iceoryx::IceoryxTx::<N>::open(seat, "stream")?.met(subscribers)?)
        }
        #[cfg(feature = "peers")]
        ("iceoryx2", _) => following(crate::ways::iceoryx::IceoryxRx::<N>::open(seat, "stream")?.met()?, false),
        _ => return seat.unknown(),
    })
}

/// The publisher, which holds the clock.
fn publishing<const N: usize>(mut tx: impl Tx<N> + 'static) -> Play {
    let mut next = 0;
    Box::new(move |count| {
        let mut publish = |count| {
            for sequence in next..next + count {
                tx.send(message(sequence))?;
            }
            next += count;
            Ok::<(), Failure>(())
        };
        publish(warm_up(count))?;
        let from = now_ns();
        publish(count)?;
        Ok(Report::since(from, count))
    })
}

/// What a subscriber gets.
enum Next<const N: usize> {
    /// The next message.
    Message([u64; N]),
    /// It has missed so many.
    Missed(u64),
}

/// An end that receives messages, and may miss some.
trait Follow<const N: usize> {
    /// Waits for the next message, or for the news that some were missed.
    fn next(&mut self) -> Result<Next<N>, Failure>;
}

/// A subscriber. It verifies every message, and that as many were missed as it was told.
fn following<const N: usize>(mut subscriber: impl Follow<N> + 'static, lossy: bool) -> Play {
    let mut expected = 0;
    let mut end = 0;
    Box::new(move |count| {
        end += warm_up(count) + count;
        let mut notes = 0;
        while expected < end {
            match subscriber.next()? {
                Next::Message(message) => {
                    verify(&message, expected)?;
                    expected += 1;
                }
                Next::Missed(missed) => {
                    expected += missed;
                    notes += missed;
                }
            }
        }
        if !lossy && notes > 0 {
            return Err(format!("{notes} messages were missed, of a broadcast without losses").into());
        }
        // A publisher that waits for nobody has nothing to do with when its subscribers are done.
        let to_ns = if lossy { 0 } else { now_ns() };
        Ok(Report { to_ns, notes, ..Report::default() })
    })
}

impl<const N: usize> Tx<N> for Publisher<[u64; N]> {
    #[inline(always)]
    fn send(&mut self, message: [u64; N]) -> Result<(), Failure> {
        Ok(Publisher::send(self, message)?)
    }
}

impl<const N: usize> Follow<N> for Subscriber<[u64; N]> {
    #[inline(always)]
    fn next(&mut self) -> Result<Next<N>, Failure> {
        match self.recv() {
            Ok(Some(message)) => Ok(Next::Message(message)),
            Ok(None) => Err("the publisher has closed the channel".into()),
            Err(BroadcastRecvError::Lagged { missed }) => Ok(Next::Missed(missed)),
            Err(error) => Err(error.into()),
        }
    }
}

impl<const N: usize> Follow<N> for Receiver<[u64; N]> {
    #[inline(always)]
    fn next(&mut self) -> Result<Next<N>, Failure> {
        Rx::recv(self).map(Next::Message)
    }
}

#[cfg(feature = "peers")]
impl<const N: usize> Follow<N> for crate::ways::iceoryx::IceoryxRx<N> {
    #[inline(always)]
    fn next(&mut self) -> Result<Next<N>, Failure> {
        // Eight subscribers share a processor, and somebody else may be the one who can go on.
        self.recv_yielding().map(Next::Message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives out what it was given.
    struct Script(std::vec::IntoIter<Next<2>>);

    impl Follow<2> for Script {
        fn next(&mut self) -> Result<Next<2>, Failure> {
            self.0.next().ok_or_else(|| "nothing is left".into())
        }
    }

    fn follow(script: Vec<Next<2>>, lossy: bool) -> Option<u64> {
        following(Script(script.into_iter()), lossy)(4).ok().map(|report| report.notes)
    }

    #[test]
    fn what_was_missed_has_to_be_what_was_said() {
        let [zero, one, three] = [0, 1, 3].map(|sequence| move || Next::Message(message(sequence)));
        assert_eq!(follow(vec![zero(), one(), Next::Missed(1), three()], true), Some(1));
        assert_eq!(follow(vec![zero(), one(), Next::Missed(1), three()], false), None);
        assert_eq!(follow(vec![zero(), Next::Missed(1), three()], true), None);
        assert_eq!(follow(vec![zero(), one(), three()], true), None);
        assert_eq!(follow(vec![zero(), zero()], true), None);
    }
}
