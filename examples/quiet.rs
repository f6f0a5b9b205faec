//! What does a message cost when nobody sleeps? No system call, no fence. `ci/no-syscalls.sh` traces this program, and
//! reads its machine code.
//!
//! Both ends of an exclusive queue are in one process. They exchange messages in bursts of every length up to the
//! channel's capacity, so that the sender also finds out about room and the ring goes round many times. Between the
//! two lines that it prints there are no calls but those of `send` and `try_recv`.

use slipring::{Queue, Receiver, SendError, Sender, TryRecvError};
use std::error::Error;
use std::process;

/// One cache line with its stamp, as most messages are.
type Message = [u64; 6];

const CAPACITY: usize = 512;

const MESSAGES: u64 = 100_000;

/// The code of `send`, in a place where it can be found.
#[inline(never)]
fn quiet_send(tx: &mut Sender<Message>, message: Message) -> Result<(), SendError<Message>> {
    tx.send(message)
}

/// The code of `try_recv`, in a place where it can be found.
#[inline(never)]
fn quiet_try_recv(rx: &mut Receiver<Message>) -> Result<Option<Message>, TryRecvError> {
    rx.try_recv()
}

fn main() -> Result<(), Box<dyn Error>> {
    let queue = Queue::<Message>::new("quiet").spsc().capacity(CAPACITY).domain(format!("quiet-{}", process::id()));
    let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    exchange(&mut tx, &mut rx, 2 * CAPACITY as u64)?;
    eprintln!("quiet from here");
    let exchanged = exchange(&mut tx, &mut rx, MESSAGES);
    eprintln!("to here");
    exchanged
}

/// Sends and receives `count` messages, and verifies each.
fn exchange(tx: &mut Sender<Message>, rx: &mut Receiver<Message>, count: u64) -> Result<(), Box<dyn Error>> {
    let (mut sent, mut received) = (0, 0);
    while received < count {
        let burst = (received % CAPACITY as u64 + 1).min(count - sent);
        for number in sent..sent + burst {
            quiet_send(tx, [number, !number, number, !number, number, !number])?;
        }
        sent += burst;
        while received < sent {
            let message = quiet_try_recv(rx)?.ok_or("a message is missing")?;
            if message != [received, !received, received, !received, received, !received] {
                return Err(format!("message {received} arrived as {message:?}").into());
            }
            received += 1;
        }
    }
    Ok(())
}
