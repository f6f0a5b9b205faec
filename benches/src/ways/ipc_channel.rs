//! ipc-channel's channels of bytes. Its processes meet as its documentation shows: by a server whose name one of them is told.

use super::memory::{Shared, bytes_of, bytes_of_mut};
use crate::harness::plan::Failure;
use crate::loops::{Rx, Tx};
use crate::peer::Seat;
use ::ipc_channel::ipc::{IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcSender, bytes_channel};
use std::sync::atomic::Ordering;
use std::thread;

/// What the second process hands to the first one: where to send to it, and where to hear of it.
type Ends = (IpcBytesSender, IpcBytesReceiver);

/// The end that sends.
pub(crate) struct BytesTx {
    sender: IpcBytesSender,
    buffer: Vec<u64>,
}

/// The end that receives.
pub(crate) struct BytesRx {
    receiver: IpcBytesReceiver,
    buffer: Vec<u64>,
}

/// This seat's ends of two channels.
pub(crate) fn both(seat: &Seat) -> Result<(BytesTx, BytesRx), Failure> {
    let memory = seat.memory()?;
    let (sender, receiver) = if seat.index == 0 {
        let (server, name) = IpcOneShotServer::<Ends>::new()?;
        tell(&memory, &name);
        server.accept()?.1
    } else {
        let ((there, hear), (back, asked)) = (bytes_channel()?, bytes_channel()?);
        IpcSender::<Ends>::connect(be_told(&memory)?)?.send((there, asked))?;
        (back, hear)
    };
    Ok((BytesTx { sender, buffer: Vec::new() }, BytesRx { receiver, buffer: Vec::new() }))
}

/// Leaves a name in the memory: its length, and a byte a word.
fn tell(memory: &Shared, name: &str) {
    for (at, byte) in name.bytes().enumerate() {
        // Relaxed: published by the length.
        memory.word(1 + at).store(u64::from(byte), Ordering::Relaxed);
    }
    // Release: publishes the name; pairs with the Acquire in `be_told`.
    memory.word(0).store(name.len() as u64, Ordering::Release);
}

/// Waits for the name.
fn be_told(memory: &Shared) -> Result<String, Failure> {
    loop {
        // Acquire: pairs with the Release in `tell`.
        let len = memory.word(0).load(Ordering::Acquire) as usize;
        if len > 0 {
            // Relaxed: ordered by the Acquire of the length.
            let bytes = (0..len).map(|at| memory.word(1 + at).load(Ordering::Relaxed) as u8);
            return Ok(String::from_utf8(bytes.collect())?);
        }
        thread::yield_now();
    }
}

impl BytesTx {
    /// Sends one message of so many words, which `write` makes.
    pub(crate) fn send_with(&mut self, words: usize, write: impl FnOnce(&mut [u64])) -> Result<(), Failure> {
        self.buffer.resize(words, 0);
        write(&mut self.buffer);
        Ok(self.sender.send(bytes_of(&self.buffer))?)
    }
}

impl BytesRx {
    /// Receives one message.
    pub(crate) fn recv(&mut self) -> Result<&[u64], Failure> {
        let bytes = self.receiver.recv()?;
        self.buffer.resize(bytes.len() / 8, 0);
        bytes_of_mut(&mut self.buffer).copy_from_slice(&bytes[..bytes.len() / 8 * 8]);
        Ok(&self.buffer)
    }
}

impl<const N: usize> Tx<N> for BytesTx {
    fn send(&mut self, message: [u64; N]) -> Result<(), Failure> {
        Ok(self.sender.send(bytes_of(&message))?)
    }
}

impl<const N: usize> Rx<N> for BytesRx {
    fn recv(&mut self) -> Result<[u64; N], Failure> {
        Ok(BytesRx::recv(self)?.try_into()?)
    }
}
