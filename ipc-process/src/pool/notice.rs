//! What a worker tells its pool beside the outputs, the answer to it, and how the channels between the two are called.

use ipc_core::sync::Options;
use ipc_core::{IpcMessage, Lifetime, Queue, Service};
use ipc_macros::IpcMessage;

/// The most workers that a pool can have: a service has places for so many clients.
pub(super) const MAX_WORKERS: usize = 64;

/// Names the pool that a process is to work for.
pub(super) const POOL_VARIABLE: &str = "SLIPRING_POOL";

/// Tells a pool's own workers from those that were started by hand.
pub(super) const TOKEN_VARIABLE: &str = "SLIPRING_POOL_TOKEN";

/// Tasks that a worker has at a time, at most, and outputs that fit into its channel if they have one length and are not large.
pub(super) const MAX_WINDOW: usize = 1024;

/// Notices that can be under way at the same time. More wait for their turn.
const NOTICES: usize = 16;

/// Room for the schemas of a task and an output, or for the message of a panic.
pub(super) const MAX_NOTICE_BYTES: usize = 40_960;

/// Room for the differences between schemas.
pub(super) const MAX_VERDICT_BYTES: usize = 8_192;

/// Bytes of a seat's channels if its tasks are not large.
const CHANNEL_BYTES: usize = 1 << 18;

/// Something that a worker has to say.
#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
pub(super) struct Notice {
    pub(super) kind: NoticeKind,
    /// Where the worker sits, once it does.
    pub(super) seat: u32,
    /// Of a worker that joins: its process id.
    pub(super) pid: u32,
    /// Of a worker that joins: bytes of the task's schema, before that of the output.
    pub(super) task_schema_bytes: u32,
    /// Of a worker that joins: its token. Otherwise the number of the task that it is about.
    pub(super) number: u64,
    /// Of progress: how much is done, and of how much. Of an output that is too large: its bytes, and the limit.
    pub(super) amounts: [u64; 2],
    /// The message of a panic, or the schemas.
    pub(super) text: [u8],
}

/// What a [`Notice`] is about.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq, Eq)]
#[ipc(crate = "ipc_core")]
#[repr(u8)]
pub(super) enum NoticeKind {
    /// A worker wants a seat.
    Join = 1,
    /// It has opened the channels of its seat, and waits for tasks.
    Ready = 2,
    /// A task has panicked.
    Panicked = 3,
    /// A task's output is longer than the channel can carry.
    TooLarge = 4,
    /// A task is so far.
    Progress = 5,
}

impl NoticeKind {
    /// Whether it comes in the place of an output.
    pub(super) const fn is_outcome(self) -> bool {
        matches!(self, NoticeKind::Panicked | NoticeKind::TooLarge)
    }
}

/// The answer to a notice.
#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
pub(super) struct Verdict {
    pub(super) is_welcome: bool,
    /// The seat of a worker that has joined.
    pub(super) seat: u32,
    /// Why it is not welcome.
    pub(super) reason: str,
}

/// Tasks that follow each other, on their way to a worker.
#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
pub(super) struct Parcel {
    /// The number of the first of them, which the others follow.
    pub(super) first: u64,
    /// How many they are.
    pub(super) count: u64,
    /// The tasks, as [`Items`](super::items::Items) have them.
    pub(super) words: [u64],
}

/// The channels of a pool.
#[derive(Clone, Debug)]
pub(super) struct Channels {
    pub(super) name: String,
    /// `None` for the one that the environment names.
    pub(super) domain: Option<String>,
    /// Bytes of the longest task, and of the longest output, where they vary in length.
    pub(super) limits: [usize; 2],
    /// What the pool's own workers show.
    pub(super) token: u64,
}

impl Channels {
    /// Where workers join and give notice.
    pub(super) fn desk(&self) -> Service<Notice, Verdict> {
        let service = Service::new(format!("{}.desk", self.name)).capacity(NOTICES);
        let service = service.max_request(MAX_NOTICE_BYTES).max_reply(MAX_VERDICT_BYTES).prefault(false);
        let service = service.lifetime(Lifetime::Attached);
        if let Some(domain) = &self.domain { service.domain(domain) } else { service }
    }

    /// What the pool's own threads wake the one by that waits for workers. Since it is exclusive, there is one pool of a
    /// name at a time.
    pub(super) fn bell(&self) -> Queue<u64> {
        self.queue(format!("{}.bell", self.name)).capacity(64).spsc()
    }

    /// Where the worker on `seat` gets its tasks.
    pub(super) fn tasks<T: IpcMessage + ?Sized>(&self, seat: u32) -> Queue<Parcel> {
        let limit = if T::TYPE.tail().is_some() { self.limits[0] } else { T::TYPE.size };
        self.queue(format!("{}.{seat}.tasks", self.name)).capacity(capacity::<Parcel>(limit)).spsc()
    }

    /// The number of the task that the worker on `seat` begins next. The worker counts it up by one before it begins with a
    /// task, and begins with none whose number it is not; the pool counts it up to take tasks back. So each task is begun
    /// or taken back, and whoever counted past its number has it.
    pub(super) fn begun(&self, seat: u32) -> Options {
        let options = Options::new(format!("{}.{seat}.begun", self.name)).lifetime(Lifetime::Attached);
        if let Some(domain) = &self.domain { options.domain(domain) } else { options }
    }

    /// Where it puts its outputs, in the order in which it was given the tasks. A task that has none comes to a [`Notice`] instead.
    pub(super) fn outputs<O: IpcMessage + ?Sized>(&self, seat: u32) -> Queue<O> {
        self.queue(format!("{}.{seat}.outputs", self.name)).capacity(capacity::<O>(self.limits[1])).spsc()
    }

    fn queue<M: IpcMessage + ?Sized>(&self, name: String) -> Queue<M> {
        let queue = Queue::new(name).lifetime(Lifetime::Attached);
        if let Some(domain) = &self.domain { queue.domain(domain) } else { queue }
    }
}

/// Messages that fit into a seat's channel, or its bytes if messages vary in length.
fn capacity<M: IpcMessage + ?Sized>(limit_bytes: usize) -> usize {
    match M::TYPE.tail() {
        None => (CHANNEL_BYTES / M::TYPE.size.max(1)).clamp(2, MAX_WINDOW),
        // A message takes at most half of the ring, and its length comes on top.
        Some(_) => CHANNEL_BYTES.max(limit_bytes.saturating_mul(2).saturating_add(1024)),
    }
}
