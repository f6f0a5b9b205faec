//! Two victims on a latest value: the writer and a reader.

use super::super::latest::{Value, channel, number, value};
use super::super::play::Stage;
use super::Operations;
use super::duo::{Duo, Extent, extent};
use crate::check::{Check, Context, PAUSE, ensure};
use crate::trace::act;
use slipring::{OpenError, Reader, WaitNewerError};

pub(super) const PAIRS: &[Operations] =
    &[["write", "read"], ["read", "write"], ["read-ref", "write"], ["read", "read"]];

/// Numbers of values: before the strike, by the victim, by those who come after it.
const BEFORE: u64 = 100;
const VICTIMS: u64 = 200;
const AFTER: u64 = 300;

/// The part of either victim.
pub(super) fn victim(stage: &Stage) -> Check {
    let latest = channel(&stage.domain);
    if stage.scene().operation == "write" {
        let mut writer = latest.writer().at("a victim attaches")?;
        stage.join()?;
        act(|| writer.write(value(VICTIMS)).ok())?.ok_or("a victim does not write")?;
        stage.done(&[])?;
        return stage.rest(&[]);
    }
    let mut reader = latest.reader().at("a victim attaches")?;
    let is_ref = stage.scene().operation == "read-ref";
    stage.join()?;
    let read = match is_ref {
        true => act(|| reader.read_ref().map(|value| value.copied()))?,
        false => act(|| reader.read())?,
    };
    stage.done(&[number(read.at("a victim reads")?.ok_or("there is no value")?)?])?;
    let again = reader.read().at("a victim reads again")?.ok_or("there is no value")?;
    stage.rest(&[number(again)?])
}

/// A value as a reader finds it: its version and its number.
type Found = (u64, u64);

fn read(duo: &mut Duo, reader: &mut Reader<Value>) -> Check<Found> {
    let value = reader.read().at("a survivor reads")?.ok_or("there is no value")?;
    let found = (reader.version(), number(value)?);
    duo.saw("a reader", found);
    Ok(found)
}

/// The survivors' part.
pub(super) fn survivors(duo: &mut Duo) -> Check {
    let latest = channel(duo.domain());
    let mut reader = latest.reader().at("the reader attaches")?;
    let mut first = latest.writer().at("the first writer attaches")?;
    let before = duo.position() + 1;
    for at in 1..=before {
        first.write(value(BEFORE + at)).at("the first writer writes")?;
    }
    drop(first);
    let (old, new) = ((before, BEFORE + before), (before + 1, VICTIMS));
    duo.enter()?;
    duo.strike()?;
    let writes = |who: usize| duo.pair.operations[who] == "write";
    let writer = [0, 1].into_iter().find(|&who| writes(who));
    if duo.drains_first() {
        beside_stopped(duo, &mut reader, writer, [old, new])?;
    }
    let done = duo.decide()?;
    if let Some(done) = done {
        let numbers: Vec<u64> = done.into_iter().chain(duo.first.release()?).collect();
        let is_known = numbers.iter().all(|number| [old.1, new.1].contains(number)) && numbers.is_sorted();
        ensure(is_known, || format!("the first read {numbers:?}"))?;
    }
    let mut successor = latest.writer().at("a successor attaches")?;
    let found = read(duo, &mut reader)?;
    let written = match writer {
        None => Extent::Nothing,
        Some(0) if duo.goes_on() => Extent::All,
        Some(0) => extent(&duo.first),
        Some(_) => extent(&duo.second),
    };
    let is_right = match written {
        Extent::Nothing => found == old,
        Extent::Some => found == old || found == new,
        Extent::All => found == new,
    };
    ensure(is_right, || format!("{found:?} is there; it was {old:?}, and the victim's is {new:?}"))?;
    for at in 1..=8 {
        let version = successor.write(value(AFTER + at)).at("the successor writes")?;
        let mut late = latest.reader().at("a late reader attaches")?;
        for reader in [&mut reader, &mut late] {
            let newer = read(duo, reader)?;
            ensure(newer == (version, AFTER + at) && version == found.0 + at, || format!("{newer:?} is read"))?;
        }
    }
    Ok(())
}

/// The value is one or the other, the stopped writer keeps its place, and nobody says that it has died.
fn beside_stopped(duo: &mut Duo, reader: &mut Reader<Value>, writer: Option<usize>, known: [Found; 2]) -> Check {
    let found = read(duo, reader)?;
    ensure(known.contains(&found), || format!("{found:?} is there"))?;
    if writer == Some(0) {
        let result = channel(duo.domain()).writer();
        let is_refused = matches!(result, Err(OpenError::InUse { .. }));
        ensure(is_refused, || format!("another writer beside the stopped one: {result:?}"))?;
    }
    match (reader.wait_newer(PAUSE), writer) {
        (Ok(None), Some(0)) | (Err(WaitNewerError::WriterDied(_)), Some(1)) => Ok(()),
        (Ok(None) | Err(WaitNewerError::Closed), None) => Ok(()),
        (told, _) => Err(format!("beside the stopped victim a reader is told {told:?}")),
    }
}
