//! The latest value: the victim writes, or is one of several readers.

use super::case::Scene;
use super::play::{Play, Stage};
use crate::check::{Check, Context, PATIENCE, PAUSE, ensure};
use crate::trace::act;
use slipring::{Latest, OpenError, Reader, WaitNewerError, Writer};
use std::time::Duration;

/// The kind's name.
pub(crate) const KIND: &str = "latest";

/// A value of several lines, every word of which is its number.
pub(super) type Value = [u64; 20];

/// Numbers of values: before the strike, by the victim, by those who come after it.
const BEFORE: u64 = 100;
const VICTIMS: u64 = 200;
const AFTER: u64 = 300;

const WRITING: &[&str] = &["write", "write-in-place", "draft-and-drop", "close", "attach"];
const READING: &[&str] = &["read", "read-if-newer", "read-ref", "wait-in-vain", "close", "attach"];

pub(crate) fn scenes() -> Vec<Scene> {
    let writer = |&operation| Scene { kind: KIND, operation, role: "writer", has_company: false };
    let reader = |&operation| Scene { kind: KIND, operation, role: "reader", has_company: true };
    WRITING.iter().map(writer).chain(READING.iter().map(reader)).collect()
}

pub(super) fn channel(domain: &str) -> Latest<Value> {
    Latest::new("level").domain(domain)
}

pub(super) fn value(number: u64) -> Value {
    [number; 20]
}

pub(super) fn number(value: Value) -> Check<u64> {
    ensure(value.iter().all(|&word| word == value[0]), || format!("{value:?} is a torn value"))?;
    Ok(value[0])
}

/// The victim's part.
pub(crate) fn victim(stage: &Stage) -> Check {
    let (scene, latest) = (stage.scene(), channel(&stage.domain));
    match (scene.role, scene.operation) {
        ("writer", "attach") => {
            stage.join()?;
            let writer = act(|| latest.writer())?.at("the victim attaches")?;
            stage.done(&[])?;
            drop(writer);
            stage.rest(&[])
        }
        ("writer", _) => victim_writes(stage, latest.writer().at("the victim attaches")?),
        (_, "attach") => {
            stage.join()?;
            let reader = act(|| latest.reader())?.at("the victim attaches")?;
            stage.done(&[])?;
            victim_reads_on(stage, reader)
        }
        _ => victim_reads(stage, latest.reader().at("the victim attaches")?),
    }
}

fn victim_writes(stage: &Stage, mut writer: Writer<Value>) -> Check {
    stage.join()?;
    match stage.scene().operation {
        // Without its error, which carries the value.
        "write" => act(|| writer.write(value(VICTIMS)).ok())?.map(drop).ok_or("the victim does not write")?,
        "write-in-place" => {
            let write = |writer: &mut Writer<Value>| {
                writer.loan().map(|mut draft| {
                    draft.fill(VICTIMS);
                    draft.publish()
                })
            };
            act(|| write(&mut writer))?.map(drop).at("the victim writes")?;
        }
        "draft-and-drop" => {
            let draft = |writer: &mut Writer<Value>| writer.loan().map(|mut draft| draft.fill(VICTIMS));
            act(|| draft(&mut writer))?.at("the victim drafts")?;
        }
        _ => {
            act(|| drop(writer))?;
            stage.done(&[])?;
            return stage.rest(&[]);
        }
    }
    stage.done(&[])?;
    drop(writer);
    stage.rest(&[])
}

fn victim_reads(stage: &Stage, mut reader: Reader<Value>) -> Check {
    if stage.scene().operation == "wait-in-vain" {
        reader.read().at("the victim reads")?;
    }
    stage.join()?;
    let read = match stage.scene().operation {
        "read" => act(|| reader.read())?.at("the victim reads")?,
        "read-if-newer" => act(|| reader.read_if_newer())?.at("the victim reads")?,
        "read-ref" => act(|| reader.read_ref().map(|value| value.copied()))?.at("the victim reads")?,
        "wait-in-vain" => act(|| reader.wait_newer(Duration::from_millis(1)))?.at("the victim waits")?,
        _ => {
            act(|| drop(reader))?;
            stage.done(&[])?;
            return stage.rest(&[]);
        }
    };
    stage.done(&read.map(number).transpose()?.into_iter().collect::<Vec<_>>())?;
    victim_reads_on(stage, reader)
}

fn victim_reads_on(stage: &Stage, mut reader: Reader<Value>) -> Check {
    let read = reader.read().at("the victim reads again")?;
    drop(reader);
    stage.rest(&read.map(number).transpose()?.into_iter().collect::<Vec<_>>())
}

/// The survivors' part.
pub(crate) fn survivors(play: &mut Play) -> Check {
    let latest = channel(play.domain.name());
    match play.scene().role {
        "writer" => survive_writer(play, &latest),
        _ => survive_reader(play, &latest),
    }?;
    play.end()
}

/// Reads the newest value and its version, and notes them.
fn read(play: &mut Play, reader: &mut Reader<Value>) -> Check<(u64, Option<u64>)> {
    let value = reader.read().at("a survivor reads")?;
    let read = (if value.is_some() { reader.version() } else { 0 }, value.map(number).transpose()?);
    play.saw("a reader", read);
    Ok(read)
}

fn survive_writer(play: &mut Play, latest: &Latest<Value>) -> Check {
    let scene = play.scene();
    let mut reader = latest.reader().at("the reader attaches")?;
    let mut first = latest.writer().at("the first writer attaches")?;
    let before = play.case.slot.position();
    for at in 1..=before {
        first.write(value(BEFORE + at)).at("the first writer writes")?;
    }
    drop(first);
    let old = (before, (before > 0).then_some(BEFORE + before));
    let new = (before + 1, Some(VICTIMS));
    ensure(read(play, &mut reader)? == old, || "the first writer's values are not there".to_string())?;
    play.enter()?;
    play.strike()?;
    let writes = scene.operation.starts_with("write");
    if play.is_stopped() {
        beside_stopped_writer(play, latest, &mut reader, writes.then_some(new), old)?;
    } else if play.drains_first() {
        hear_of_death(play, &mut reader)?;
    }
    let mut successor = latest.writer().at("a successor attaches")?;
    let found = read(play, &mut reader)?;
    let has_written = writes && (play.is_stopped() || play.progress().is_finished);
    let is_right = match (has_written, writes && !play.is_untouched()) {
        (true, _) => found == new,
        (false, true) => found == new || found == old,
        (false, false) => found == old,
    };
    ensure(is_right, || format!("{found:?} is there; it was {old:?}, and the victim's is {new:?}"))?;
    ensure(successor.version() == found.0, || format!("the successor is at version {}", successor.version()))?;
    for at in 1..=8 {
        let version = successor.write(value(AFTER + at)).at("the successor writes")?;
        ensure(version == found.0 + at, || format!("version {version} follows {}", found.0 + at - 1))?;
        let mut late = latest.reader().at("a late reader attaches")?;
        for reader in [&mut reader, &mut late] {
            let newer = wait_newer(reader)?;
            ensure(newer == Some(AFTER + at), || format!("{newer:?} is read in place of {}", AFTER + at))?;
        }
        ensure(reader.version() == version, || format!("the reader is at version {}", reader.version()))?;
    }
    drop(successor);
    let mut end = reader.wait_newer(PATIENCE);
    if !play.is_stopped() && !play.drains_first() && matches!(end, Err(WaitNewerError::WriterDied(_))) {
        // The victim's death, which the reader had not waited for.
        end = reader.wait_newer(PATIENCE);
    }
    ensure(end == Err(WaitNewerError::Closed), || format!("the end of the writer is told as {end:?}"))
}

/// Waits for a newer value; a death may be told before.
fn wait_newer(reader: &mut Reader<Value>) -> Check<Option<u64>> {
    match reader.wait_newer(PATIENCE) {
        Err(WaitNewerError::WriterDied(_)) => reader.wait_newer(PATIENCE),
        other => other,
    }
    .at("a survivor waits for a newer value")?
    .map(number)
    .transpose()
}

/// The reader is told of the death, once, after the last value.
fn hear_of_death(play: &mut Play, reader: &mut Reader<Value>) -> Check {
    loop {
        match reader.wait_newer(PATIENCE) {
            Ok(Some(value)) => play.saw("the reader", number(value)?),
            Err(WaitNewerError::WriterDied(_)) => break,
            Err(WaitNewerError::Closed) if play.scene().comes_or_goes() => return Ok(()),
            other => return Err(format!("the death of the writer is told as {other:?}")),
        }
    }
    let again = reader.wait_newer(Duration::from_millis(1));
    ensure(again == Ok(None), || format!("after the report of the death comes {again:?}"))
}

fn beside_stopped_writer(
    play: &mut Play,
    latest: &Latest<Value>,
    reader: &mut Reader<Value>,
    new: Option<(u64, Option<u64>)>,
    old: (u64, Option<u64>),
) -> Check {
    let comes_or_goes = play.scene().comes_or_goes();
    if !comes_or_goes {
        let result = latest.writer();
        let is_refused = matches!(result, Err(OpenError::InUse { .. }));
        ensure(is_refused, || format!("another writer beside the stopped one: {result:?}"))?;
    }
    let found = read(play, reader)?;
    ensure(found == old || Some(found) == new, || format!("{found:?} is there beside the stopped writer"))?;
    match reader.wait_newer(PAUSE) {
        Ok(None) => {}
        Err(WaitNewerError::Closed) if comes_or_goes => {}
        other => return Err(format!("a stopped writer is told as {other:?}")),
    }
    play.resume()?;
    play.release().map(drop)
}

fn survive_reader(play: &mut Play, latest: &Latest<Value>) -> Check {
    let mut reader = latest.reader().at("the reader attaches")?;
    let mut writer = latest.writer().at("the writer attaches")?;
    let before = play.case.slot.position() + 1;
    for at in 1..=before {
        writer.write(value(BEFORE + at)).at("the writer writes")?;
    }
    play.enter()?;
    play.strike()?;
    let mut versions = before;
    if play.is_stopped() {
        for at in 1..=10 {
            versions = writer.write(value(AFTER + at)).at("the writer writes")?;
        }
        let numbers = play.resume()?;
        let newest = AFTER + 10;
        let mut read_before = numbers.iter();
        ensure(read_before.all(|&number| number == BEFORE + before || number == newest), || {
            format!("read {numbers:?}")
        })?;
        let numbers = play.release()?;
        ensure(numbers.iter().all(|&number| number == newest), || format!("{numbers:?} is not the newest"))?;
    }
    let mut late = latest.reader().at("a late reader attaches")?;
    for at in 1..=8 {
        let version = writer.write(value(AFTER + 100 + at)).at("the writer writes")?;
        ensure(version == versions + at, || format!("version {version} follows {}", versions + at - 1))?;
        for reader in [&mut reader, &mut late] {
            let found = read(play, reader)?;
            ensure(found == (version, Some(AFTER + 100 + at)), || format!("{found:?} is read"))?;
        }
    }
    Ok(())
}
