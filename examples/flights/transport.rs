//! What carries the records from role to role. The roles are written against [`Source`] and [`Sink`], so that a run
//! over slipring and a run over pipes differ in nothing but this.

use crate::stop::{self, PATIENCE, Result, say};
use slipring::{IpcMessage, Receiver, RecvTimeoutError, SendTimeoutError, Sender};
use std::fmt;

/// What carries the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Transport {
    /// Exclusive queues in shared memory
    Slipring,
    /// Standard input and output, one write(2) and one read(2) for each record
    Pipe,
    /// Standard input and output, with buffers of 64 KiB on both sides
    #[value(name = "pipe-64k")]
    Pipe64k,
}

impl Transport {
    /// Those that a run compares, the one to compare with first.
    pub(crate) const ALL: [Transport; 3] = [Transport::Slipring, Transport::Pipe, Transport::Pipe64k];

    /// As it is called on the command line and in the figures.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Transport::Slipring => "slipring",
            Transport::Pipe => "pipe",
            Transport::Pipe64k => "pipe-64k",
        }
    }
}

/// Where a role's records come from.
pub(crate) trait Source<T> {
    /// Waits for the next record. `None`: whoever sends them is through.
    fn next(&mut self) -> Result<Option<T>>;
}

/// Where a role's records go.
pub(crate) trait Sink<T> {
    /// Hands a record on, and waits for room first if there is none.
    fn put(&mut self, record: T) -> Result<()>;

    /// Hands on what is still held back.
    fn flush(&mut self) -> Result<()>;
}

/// Tells the user about the death of a peer. It is no error: a successor goes on where the dead one stopped.
fn report_death(role: &str, death: impl fmt::Display) {
    say(format_args!("{role}: {death}; waiting for another one, which can be started now"));
}

/// The receiving end of a channel, in the hands of a role.
pub(crate) struct Inbox<T: IpcMessage> {
    role: &'static str,
    channel: Receiver<T>,
}

impl<T: IpcMessage> Inbox<T> {
    pub(crate) fn new(role: &'static str, channel: Receiver<T>) -> Self {
        Inbox { role, channel }
    }
}

impl<T: IpcMessage> Source<T> for Inbox<T> {
    fn next(&mut self) -> Result<Option<T>> {
        loop {
            stop::check()?;
            match self.channel.recv_timeout(PATIENCE) {
                Ok(next) => return Ok(next),
                Err(RecvTimeoutError::Timeout) => {}
                Err(death @ RecvTimeoutError::SenderDied(_)) => report_death(self.role, death),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The sending end of a channel, in the hands of a role.
pub(crate) struct Outbox<T: IpcMessage> {
    role: &'static str,
    channel: Sender<T>,
}

impl<T: IpcMessage> Outbox<T> {
    pub(crate) fn new(role: &'static str, channel: Sender<T>) -> Self {
        Outbox { role, channel }
    }
}

impl<T: IpcMessage> Sink<T> for Outbox<T> {
    fn put(&mut self, mut record: T) -> Result<()> {
        loop {
            stop::check()?;
            record = match self.channel.send_timeout(record, PATIENCE) {
                Ok(()) => return Ok(()),
                Err(SendTimeoutError::Timeout(record)) => record,
                Err(SendTimeoutError::ReceiverDied(record, peer)) => {
                    report_death(self.role, format_args!("the receiver ({peer}) died without closing"));
                    record
                }
                Err(error @ SendTimeoutError::Closed(_)) => {
                    return Err(format!("{error}; start the receiving role, and then this one again").into());
                }
                Err(error) => return Err(error.to_string().into()),
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
