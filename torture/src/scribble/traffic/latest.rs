//! The newest value.

use super::note::Note;
use super::{CHANNEL, MOMENT, Opened, ROUNDS_A_LOOK, ROUNDS_A_WAIT, Traffic, is_whole, observe};
use crate::scribble::victim::Desk;
use slipring::error::ReadError;
use slipring::{Latest, Lifetime, Reader, WaitNewerError, Writer};

/// A writer and two readers.
pub(super) fn open(domain: &str) -> Opened {
    let latest = Latest::new(CHANNEL).domain(domain).lifetime(Lifetime::Persistent).prefault(false).hardened(true);
    let readers = vec![latest.reader()?, latest.reader()?];
    Ok(Box::new(Values { domain: domain.into(), writer: latest.writer()?, readers, number: 0 }))
}

struct Values {
    domain: String,
    writer: Writer<Note>,
    readers: Vec<Reader<Note>>,
    number: u64,
}

impl Traffic for Values {
    fn round(&mut self, desk: &Desk) -> bool {
        let mut is_good = true;
        self.number += 1;
        for _ in 0..3 {
            desk.call("write", || self.writer.write(Note::new(self.number)).is_ok());
        }
        for reader in &mut self.readers {
            for is_any in [true, false] {
                match desk.call("read", || if is_any { reader.read() } else { reader.read_if_newer() }) {
                    Ok(Some(note)) => {
                        note.check();
                        desk.received(1);
                    }
                    Err(ReadError::Corrupt(corrupt)) => is_good &= is_whole(&corrupt),
                    _ => {}
                }
            }
            desk.call("len", || (reader.version(), reader.writer()));
            if self.number % ROUNDS_A_WAIT == 0 {
                match desk.call("wait_newer", || reader.wait_newer(MOMENT)) {
                    Ok(Some(note)) => note.check(),
                    Err(WaitNewerError::Read(ReadError::Corrupt(corrupt))) => is_good &= is_whole(&corrupt),
                    _ => {}
                }
            }
        }
        if self.number % ROUNDS_A_LOOK == 0 {
            observe(desk, &self.domain);
        }
        is_good
    }
}
