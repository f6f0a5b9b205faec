//! The latest value: versions rise by one from writer to writer, and nobody sees them go back.

use super::{Life, Witness, note};
use crate::check::{Check, Context, ensure};
pub(super) use crate::sweep::LATEST as KIND;
use slipring::{Latest, Reader, WaitNewerError};
use std::collections::HashMap;
use std::time::Duration;

/// A value of several lines, every word of which is its number.
type Value = [u64; 20];

fn channel(domain: &str) -> Latest<Value> {
    Latest::new("level").domain(domain)
}

fn number(value: Value) -> Check<u64> {
    ensure(value.iter().all(|&word| word == value[0]), || format!("{value:?} is a torn value"))?;
    Ok(value[0])
}

/// The part of a process.
pub(super) fn play(_: &str, role: &str, domain: &str, life: u64) -> Check {
    let latest = channel(domain);
    if role == "writer" {
        let mut writer = latest.writer().at("a writer attaches")?;
        for number in 0.. {
            let value = life << 32 | number;
            note("intent", &[value])?;
            let version = writer.write([value; 20]).at("a writer writes")?;
            note("wrote", &[version, value])?;
        }
    }
    let mut reader = latest.reader().at("a reader attaches")?;
    loop {
        match reader.wait_newer(Duration::MAX) {
            Ok(Some(value)) => note("read", &[reader.version(), number(value)?])?,
            Ok(None) | Err(WaitNewerError::WriterDied(_) | WaitNewerError::Closed) => {}
            Err(error) => return Err(format!("a reader reads: {error:?}")),
        }
    }
}

/// Reads all the time.
pub(super) fn witness(_: &str, domain: &str) -> Check<Box<dyn Witness>> {
    let latest = channel(domain);
    let reader = latest.reader().at("the witness attaches")?;
    Ok(Box::new(Survivor { latest, reader, read: Vec::new() }))
}

struct Survivor {
    latest: Latest<Value>,
    reader: Reader<Value>,
    /// Versions and values.
    read: Vec<(u64, u64)>,
}

impl Witness for Survivor {
    fn watch(&mut self) -> Check {
        if let Some(value) = self.reader.read_if_newer().at("the witness reads")? {
            self.read.push((self.reader.version(), number(value)?));
        }
        Ok(())
    }

    fn settle(mut self: Box<Self>, lives: &[Life]) -> Check<usize> {
        self.watch()?;
        let mut values = HashMap::new();
        let mut newest = 0;
        for writer in lives.iter().filter(|life| life.role == "writer") {
            let mut expected = None;
            for wrote in writer.lines("wrote") {
                let version = wrote[0];
                // Between two writers there may be a value that the first one has not noted.
                let is_next = expected.map_or(version == newest + 1 || version == newest + 2, |next| version == next);
                ensure(is_next, || format!("writer {} wrote version {version} after {newest}", writer.number))?;
                values.insert(version, wrote[1]);
                (newest, expected) = (version, Some(version + 1));
            }
            let is_in_doubt = writer.firsts("intent").count() > writer.lines("wrote").count();
            if writer.lines("wrote").next().is_none() && is_in_doubt {
                // Nothing is known but that it may have written once.
                newest = newest.max(self.version_of_life(writer.number, lives).unwrap_or(newest));
            }
        }
        let reads = lives.iter().filter(|life| life.role == "reader");
        let reads = reads.map(|life| life.lines("read").map(|numbers| (numbers[0], numbers[1])).collect::<Vec<_>>());
        for read in reads.chain([self.read.clone()]) {
            ensure(read.is_sorted(), || format!("a reader saw versions go back: {read:?}"))?;
            for (version, value) in read {
                let known = *values.entry(version).or_insert(value);
                ensure(known == value, || {
                    format!("version {version} is {known:#x} for one and {value:#x} for another")
                })?;
            }
        }
        let last = self.reader.version();
        ensure(last == newest || last == newest + 1, || format!("version {last} is left of {newest}"))?;
        let mut heir = self.latest.writer().at("an heir attaches")?;
        ensure(heir.version() == last, || format!("the heir is at version {} after {last}", heir.version()))?;
        let version = heir.write([0; 20]).at("an heir writes")?;
        ensure(version == last + 1, || format!("the heir wrote version {version} after {last}"))?;
        Ok(values.len())
    }
}

impl Survivor {
    /// The version under which somebody has read a value of this life.
    fn version_of_life(&self, life: u64, lives: &[Life]) -> Option<u64> {
        let reads = lives.iter().flat_map(|life| life.lines("read").map(|numbers| (numbers[0], numbers[1])));
        reads.chain(self.read.iter().copied()).find(|(_, value)| value >> 32 == life).map(|(version, _)| version)
    }
}
