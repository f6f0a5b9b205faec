//! iceoryx2, as its documentation shows it: zero-copy, and whoever waits polls. Nothing overflows and nothing is discarded, so
//! that every message arrives.

use crate::harness::plan::Failure;
use crate::loops::{Rx, Tx};
use crate::peer::Seat;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::port::update_connections::UpdateConnections;
use iceoryx2::prelude::{BackpressureStrategy, LogLevel, Node, NodeBuilder, ServiceName, ipc, set_log_level};
use iceoryx2::service::port_factory::PortFactory as _;
use iceoryx2::service::port_factory::publish_subscribe::PortFactory;
use std::hint::spin_loop;
use std::thread;
use std::time::{Duration, Instant};

/// Subscribers that a service has places for.
const SUBSCRIBERS: usize = 8;

/// Publishers that a service has places for.
const PUBLISHERS: usize = 8;

/// How long one end waits for the other to be there.
const MEETING_LIMIT: Duration = Duration::from_secs(10);

/// A node, and the name of the service that the contestant's processes have for `part`.
pub(crate) fn node(seat: &Seat, part: &str) -> Result<(Node<ipc::Service>, ServiceName), Failure> {
    set_log_level(LogLevel::Error);
    let name = format!("{}/{}", seat.domain, seat.channel(part));
    Ok((NodeBuilder::new().create::<ipc::Service>()?, name.as_str().try_into()?))
}

type Service<const N: usize> = PortFactory<ipc::Service, [u64; N], ()>;

fn service<const N: usize>(seat: &Seat, part: &str) -> Result<(Node<ipc::Service>, Service<N>), Failure> {
    let (node, name) = node(seat, part)?;
    let builder = node.service_builder(&name).publish_subscribe::<[u64; N]>();
    let builder = builder.enable_safe_overflow(false).subscriber_max_buffer_size(seat.capacity);
    let service =
        builder.max_subscribers(SUBSCRIBERS).max_publishers(PUBLISHERS).max_nodes(SUBSCRIBERS + 1).open_or_create()?;
    Ok((node, service))
}

/// Waits until the other end is there: a subscriber gets nothing of what was sent before it has seen the publisher.
pub(crate) fn meet(is_there: impl Fn() -> bool) -> Result<(), Failure> {
    let limit = Instant::now() + MEETING_LIMIT;
    while !is_there() {
        if Instant::now() > limit {
            return Err("the other end of iceoryx2's service did not come".into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// This seat's ends of two services, once the other process has them too.
pub(crate) fn both<const N: usize>(seat: &Seat) -> Result<(IceoryxTx<N>, IceoryxRx<N>), Failure> {
    let (there, back) = if seat.index == 0 { ("there", "back") } else { ("back", "there") };
    let (tx, rx) = (IceoryxTx::<N>::open(seat, there)?, IceoryxRx::<N>::open(seat, back)?);
    Ok((tx.met(1)?, rx.met()?))
}

/// The end that sends.
pub(crate) struct IceoryxTx<const N: usize> {
    publisher: Publisher<ipc::Service, [u64; N], ()>,
    _node: Node<ipc::Service>,
    /// How to wait for the subscribers, which cannot come before this end is open.
    service: Service<N>,
}

impl<const N: usize> IceoryxTx<N> {
    /// Opens the end.
    pub(crate) fn open(seat: &Seat, part: &str) -> Result<Self, Failure> {
        let (node, service) = service(seat, part)?;
        let builder = service.publisher_builder().backpressure_strategy(BackpressureStrategy::RetryUntilDelivered);
        Ok(IceoryxTx { publisher: builder.create()?, _node: node, service })
    }

    /// Waits until so many subscribers are there.
    pub(crate) fn met(self, subscribers: usize) -> Result<Self, Failure> {
        meet(|| self.service.dynamic_config().number_of_subscribers() >= subscribers)?;
        self.publisher.update_connections()?;
        Ok(self)
    }
}

impl<const N: usize> IceoryxTx<N> {
    /// Sends one message, which `write` makes in place.
    pub(crate) fn send_in_place(&mut self, write: impl FnOnce(&mut [u64])) -> Result<(), Failure> {
        let mut sample = self.publisher.loan_uninit()?;
        let words = sample.payload_mut().as_mut_ptr().cast();
        // SAFETY: there are `N` words of this side's own, in memory that starts as zeros.
        write(unsafe { std::slice::from_raw_parts_mut(words, N) });
        // SAFETY: they are initialised, as above.
        unsafe { sample.assume_init() }.send()?;
        Ok(())
    }
}

impl<const N: usize> Tx<N> for IceoryxTx<N> {
    #[inline(always)]
    fn send(&mut self, message: [u64; N]) -> Result<(), Failure> {
        self.publisher.loan_uninit()?.write_payload(message).send()?;
        Ok(())
    }
}

/// An end that receives.
pub(crate) struct IceoryxRx<const N: usize> {
    subscriber: Subscriber<ipc::Service, [u64; N], ()>,
    _node: Node<ipc::Service>,
    service: Service<N>,
}

impl<const N: usize> IceoryxRx<N> {
    /// Opens the end.
    pub(crate) fn open(seat: &Seat, part: &str) -> Result<Self, Failure> {
        let (node, service) = service(seat, part)?;
        let subscriber = service.subscriber_builder().buffer_size(seat.capacity).create()?;
        Ok(IceoryxRx { subscriber, _node: node, service })
    }

    /// Waits until the publisher is there.
    pub(crate) fn met(self) -> Result<Self, Failure> {
        self.met_by(1)
    }

    /// Waits until so many publishers are there.
    pub(crate) fn met_by(self, publishers: usize) -> Result<Self, Failure> {
        meet(|| self.service.dynamic_config().number_of_publishers() >= publishers)?;
        if self.subscriber.receive()?.is_some() {
            return Err("there is a message before any was sent".into());
        }
        Ok(self)
    }
}

impl<const N: usize> IceoryxRx<N> {
    /// Receives one message, and shows it to `read` in place.
    pub(crate) fn recv_in_place(&mut self, read: impl FnOnce(&[u64]) -> Result<(), Failure>) -> Result<(), Failure> {
        loop {
            if let Some(sample) = self.subscriber.receive()? {
                return read(&sample[..]);
            }
            spin_loop();
        }
    }

    /// Receives one message, and lets others have the processor while there is none.
    #[inline(always)]
    pub(crate) fn recv_yielding(&mut self) -> Result<[u64; N], Failure> {
        self.poll(thread::yield_now)
    }

    #[inline(always)]
    fn poll(&mut self, pause: impl Fn()) -> Result<[u64; N], Failure> {
        loop {
            if let Some(sample) = self.subscriber.receive()? {
                return Ok(*sample);
            }
            pause();
        }
    }
}

impl<const N: usize> Rx<N> for IceoryxRx<N> {
    #[inline(always)]
    fn recv(&mut self) -> Result<[u64; N], Failure> {
        self.poll(spin_loop)
    }
}
