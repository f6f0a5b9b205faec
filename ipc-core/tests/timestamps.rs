//! How long messages take is counted, message by message, and can be read by those who take no part.

#[path = "timestamps/damage.rs"]
mod damage;
mod support;

use ipc_core::dynamic::Channel;
use ipc_core::inspect::{self, Latency, Observer, State};
use ipc_core::schema::Value;
use ipc_core::{IpcMessage, Latest, Lifetime, Queue, Receiver, Role, Sender};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use support::{Child, Domain, PATIENCE, listen, memory, recv, say};

#[test]
#[ignore = "the children of the other tests"]
fn child_main() {
    support::play(&[("receive", receive), ("hold", hold), ("send", send), ("damage", damage::all)]);
}

/// How many messages the queue of a test holds, in bytes if they vary in length.
const CAPACITY: usize = 1 << 14;

/// A queue with timestamps, or without, in one of the two kinds.
fn queue<T: IpcMessage + ?Sized>(domain: &str, channel: &str, exclusive: bool) -> Queue<T> {
    let queue = Queue::<T>::new(channel).domain(domain).capacity(CAPACITY).timestamps(true);
    if exclusive { queue.spsc() } else { queue }
}

/// What somebody sees who takes no part.
fn latency(domain: &Domain, channel: &str) -> Latency {
    Observer::open_in(domain.name(), channel).unwrap().latency().expect("the channel has timestamps")
}

/// The number of messages that have been counted, of which none may be out of range.
fn count(domain: &Domain, channel: &str) -> u64 {
    let observer = Observer::open_in(domain.name(), channel).unwrap();
    let latency = observer.latency().expect("the channel has timestamps");
    assert_eq!(latency.out_of_range(), 0);
    assert_eq!(observer.received(), Some(latency.count()));
    assert_eq!(latency.iter().map(|(_, count)| count).sum::<u64>(), latency.count());
    latency.count()
}

#[test]
fn every_message_counts_once_however_it_is_received() {
    let domain = Domain::new("once");
    for exclusive in [true, false] {
        let queue = queue::<u64>(domain.name(), "fixed", exclusive);
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        assert!(tx.info().timestamps && rx.info().timestamps);
        tx.send(1).unwrap();
        assert_eq!(count(&domain, "fixed"), 0, "it has been sent, and not received");
        assert_eq!(recv(&mut rx), Ok(Some(1)));
        assert_eq!(count(&domain, "fixed"), 1);
        tx.send_batch(2..=9).unwrap();
        assert_eq!(rx.recv_batch(&mut Vec::new(), 8), Ok(8));
        assert_eq!(count(&domain, "fixed"), 9);

        let mut loan = tx.loan().unwrap();
        *loan = 10;
        loan.send();
        drop(tx.loan().unwrap());
        let held = rx.recv_ref().unwrap().unwrap();
        assert_eq!((*held, count(&domain, "fixed")), (10, 9), "it counts when its slot is free");
        drop(held);
        assert_eq!(count(&domain, "fixed"), 10);
        let mut counted = 10;
        while counted < 30 {
            let mut loans = tx.loan_batch(7).unwrap();
            (0..loans.len()).for_each(|at| loans[at] = 1);
            let sent = loans.send() as u64;
            let held = rx.recv_batch_ref(7).unwrap().unwrap();
            assert_eq!((held.len() as u64, count(&domain, "fixed")), (sent, counted));
            drop(held);
            counted += sent;
            assert_eq!(count(&domain, "fixed"), counted);
        }
        tx.send(11).unwrap();
        assert!(rx.poll(PATIENCE).unwrap());
        assert_eq!(count(&domain, "fixed"), counted, "looking is not receiving");
        assert_eq!(rx.iter().next(), Some(Ok(11)));
        assert_eq!(count(&domain, "fixed"), counted + 1);
    }
}

#[test]
fn messages_that_vary_in_length_count_too() {
    let domain = Domain::new("variable");
    for exclusive in [true, false] {
        let queue = queue::<[u16]>(domain.name(), "variable", exclusive);
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        let mut sent = 0;
        for len in (0..200).chain([tx.max_len(), tx.max_len() / 3, 1]) {
            let message: Vec<u16> = (0..len).map(|item| item as u16 ^ 0xA5A5).collect();
            tx.send_copy(&message).unwrap();
            if len % 2 == 0 {
                assert_eq!(*rx.recv_boxed().unwrap().unwrap(), *message);
            } else {
                assert_eq!(*rx.recv_ref().unwrap().unwrap(), *message);
            }
            sent += 1;
            assert_eq!(count(&domain, "variable"), sent);
        }
    }
}

#[test]
fn alignment_is_kept() {
    fn check<T: IpcMessage + Copy + PartialEq + std::fmt::Debug>(domain: &Domain, item: T)
    where
        [T]: IpcMessage,
    {
        for exclusive in [true, false] {
            let queue = queue::<[T]>(domain.name(), "aligned", exclusive);
            let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
            for len in 1..40 {
                tx.send_copy(&vec![item; len]).unwrap();
                let received = rx.recv_ref().unwrap().unwrap();
                assert_eq!(received.as_ptr().addr() % align_of::<T>(), 0);
                assert_eq!(*received, *vec![item; len]);
            }
            drop(tx);
            assert_eq!(count(domain, "aligned"), 39);
        }
    }
    #[derive(ipc_macros::IpcMessage, Clone, Copy, Debug, PartialEq)]
    #[ipc(crate = "ipc_core")]
    #[repr(C, align(32))]
    struct By32([u64; 4]);
    #[derive(ipc_macros::IpcMessage, Clone, Copy, Debug, PartialEq)]
    #[ipc(crate = "ipc_core")]
    #[repr(C, align(64))]
    struct By64([u64; 8]);
    let domain = Domain::new("aligned");
    check(&domain, 0xA5_u8);
    check(&domain, u64::MAX);
    check(&domain, u128::MAX);
    check(&domain, By32([u64::MAX; 4]));
    check(&domain, By64([u64::MAX; 8]));
}

#[test]
fn a_message_that_is_skipped_as_invalid_counts() {
    let domain = Domain::new("invalid");
    for exclusive in [true, false] {
        let queue = queue::<bool>(domain.name(), "channel", exclusive);
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        for _ in 0..2 {
            tx.send(true).unwrap();
        }
        let path = memory(&tx.info().path);
        let mut image = fs::read(&path).unwrap();
        let slots = u64::from_ne_bytes(image[104..112].try_into().unwrap()) as usize;
        (image[slots], image[slots + 64]) = (7, 7);
        fs::write(&path, image).unwrap();
        assert!(rx.recv().is_err());
        assert!(rx.recv_ref().is_err());
        assert_eq!(count(&domain, "channel"), 2);
    }
}

/// Nanoseconds from one moment to another.
fn ns(from: Instant, to: Instant) -> u64 {
    (to - from).as_nanos() as u64
}

/// How a message is received.
#[derive(Clone, Copy, Debug)]
enum InPlace {
    No,
    Alone,
    Batch,
}

#[test]
fn a_latency_lies_between_what_the_ends_see_of_it() {
    let domain = Domain::new("between");
    for exclusive in [true, false] {
        for in_place in [InPlace::No, InPlace::Alone, InPlace::Batch] {
            let channel = format!("channel-{exclusive}-{in_place:?}");
            let queue = queue::<u64>(domain.name(), &channel, exclusive);
            let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
            let before_sending = Instant::now();
            tx.send(1).unwrap();
            let sent = Instant::now();
            thread::sleep(Duration::from_millis(20));
            let before_receiving = Instant::now();
            // How long it is held does not matter.
            let hold = || (Instant::now(), thread::sleep(Duration::from_millis(20))).0;
            let received = match in_place {
                InPlace::No => {
                    recv(&mut rx).unwrap();
                    Instant::now()
                }
                InPlace::Alone => {
                    let _held = rx.recv_ref().unwrap().unwrap();
                    hold()
                }
                InPlace::Batch => {
                    let _held = rx.recv_batch_ref(2).unwrap().unwrap();
                    hold()
                }
            };
            let latency = latency(&domain, &channel);
            let bounds = ns(sent, before_receiving)..=ns(before_sending, received);
            assert!(*bounds.start() >= 20_000_000);
            assert!(bounds.contains(&latency.min_ns()), "{latency:?}, not in {bounds:?}");
            assert_eq!((latency.count(), latency.min_ns()), (1, latency.max_ns()));
            let (highest, one) = latency.iter().next().unwrap();
            assert!(one == 1 && (20_000_000..).contains(&highest));
            assert_eq!(latency.value_at_quantile(0.99), highest);
        }
    }
}

#[test]
fn what_is_received_after_a_batch_in_place_arrives_later() {
    let domain = Domain::new("later");
    for exclusive in [true, false] {
        let queue = queue::<u64>(domain.name(), "channel", exclusive);
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        let before_sending = Instant::now();
        tx.send_batch(1..=3).unwrap();
        let sent = Instant::now();
        rx.recv_batch_ref(2).unwrap().unwrap().release_first(1);
        let highest = ns(before_sending, Instant::now());
        thread::sleep(Duration::from_millis(20));
        let lowest = ns(sent, Instant::now());
        assert_eq!((recv(&mut rx), recv(&mut rx)), (Ok(Some(2)), Ok(Some(3))));
        let latency = latency(&domain, "channel");
        assert_eq!(latency.count(), 3);
        assert!(latency.min_ns() <= highest && latency.value_at_quantile(0.6) >= lowest, "{latency:?}");
    }
}

#[test]
fn slots_without_timestamps_are_as_they_were() {
    fn header<T: IpcMessage + ?Sized>(queue: Queue<T>) -> (u64, u64, u64, u64) {
        let path = queue.sender().unwrap().info().path.clone();
        let image = fs::read(&path).unwrap_or_default();
        drop(queue.remove());
        let word = |at: usize| u64::from_ne_bytes(image[at..at + 8].try_into().unwrap());
        assert_eq!(word(384) >> 2 & 1, u64::from(word(440) != 0), "the flag and the histogram go together");
        (word(64), word(104), word(112), word(440))
    }
    let domain = Domain::new("sizes");
    let queue = |channel| domain.queue::<[u64; 7]>(channel).capacity(100).lifetime(Lifetime::Persistent);
    assert_eq!(header(queue("without")), (64, 8192, 16_384, 0));
    assert_eq!(header(queue("without").timestamps(false)), (64, 8192, 16_384, 0));
    // A slot of 72 bytes, in the place where those of 64 were; then the histogram, on a line of its own.
    let histogram = (8192 + 100 * 72_u64).next_multiple_of(128);
    let total = (histogram + 128 + 8 * 4608).next_multiple_of(4096);
    assert_eq!(header(queue("with").timestamps(true)), (72, 8192, total, histogram));
    let variable =
        || Queue::<[u8]>::new("variable").domain(domain.name()).spsc().capacity(4096).lifetime(Lifetime::Persistent);
    assert_eq!(header(variable()), (64, 8192, 12_288, 0));
    assert_eq!(header(variable().timestamps(true)).3, 12_288);
}

#[test]
fn the_creator_says_whether_there_are_timestamps() {
    let domain = Domain::new("creator");
    let queue = domain.queue::<u64>("channel");
    for timestamps in [true, false] {
        let mut tx = queue.clone().timestamps(timestamps).sender().unwrap();
        let mut rx = queue.clone().timestamps(!timestamps).receiver().unwrap();
        assert_eq!((tx.info().timestamps, rx.info().timestamps), (timestamps, timestamps));
        tx.send(7).unwrap();
        assert_eq!(recv(&mut rx), Ok(Some(7)));
        let observer = Observer::open_in(domain.name(), "channel").unwrap();
        assert_eq!(observer.info().timestamps, timestamps);
        assert_eq!(observer.latency().map(|latency| latency.count()), timestamps.then_some(1));
        assert_eq!(observer.received(), timestamps.then_some(1));
    }
}

#[test]
fn a_time_from_another_clock_is_out_of_range() {
    let domain = Domain::new("clock");
    let queue = queue::<u64>(domain.name(), "channel", true);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    let path = memory(&tx.info().path);
    for (number, time) in [u64::MAX, 0, 1 << 63].into_iter().enumerate() {
        tx.send(7).unwrap();
        let mut image = fs::read(&path).unwrap();
        let at = 8192 + 64 * number + 48;
        // A machine that has been up for less than an hour would find 0 in range.
        let time = if time == 0 {
            u64::from_ne_bytes(image[at..at + 8].try_into().unwrap()).wrapping_sub(1 << 42)
        } else {
            time
        };
        image[at..at + 8].copy_from_slice(&time.to_ne_bytes());
        fs::write(&path, image).unwrap();
        assert_eq!(recv(&mut rx), Ok(Some(7)));
    }
    let latency = latency(&domain, "channel");
    assert_eq!((latency.count(), latency.out_of_range(), latency.max_ns()), (0, 3, 0));
}

#[test]
fn a_value_counts_once_for_each_reader_when_it_is_first_read() {
    let domain = Domain::new("latest");
    let level = Latest::<u64>::new("level").domain(domain.name()).timestamps(true);
    let mut writer = level.writer().unwrap();
    assert!(writer.info().timestamps);
    let (mut reader, mut other) = (level.reader().unwrap(), level.reader().unwrap());
    assert_eq!((reader.read(), count(&domain, "level")), (Ok(None), 0));
    writer.write(1).unwrap();
    writer.write(2).unwrap();
    assert_eq!(count(&domain, "level"), 0, "nobody has read them");
    assert_eq!(reader.read(), Ok(Some(2)));
    assert_eq!(count(&domain, "level"), 1, "and nobody will read the first one");
    assert_eq!((reader.read(), reader.read_if_newer()), (Ok(Some(2)), Ok(None)));
    assert_eq!(reader.read_ref(), Ok(Some(&2)));
    assert_eq!((other.read_ref(), count(&domain, "level")), (Ok(Some(&2)), 2));
    assert_eq!(other.read_ref(), Ok(Some(&2)));
    assert_eq!(other.read(), Ok(Some(2)));
    assert_eq!(count(&domain, "level"), 2);

    let mut draft = writer.loan().unwrap();
    *draft = 3;
    draft.publish();
    assert!(reader.poll(PATIENCE).unwrap());
    assert_eq!(count(&domain, "level"), 2, "looking is not reading");
    assert_eq!((reader.wait_newer(PATIENCE), count(&domain, "level")), (Ok(Some(3)), 3));
    drop(writer.loan().unwrap());
    assert_eq!((reader.read(), count(&domain, "level")), (Ok(Some(3)), 3));

    // Whoever comes next, with values of its own schema.
    drop(writer);
    let channel = Channel::open_in(domain.name(), "level").unwrap();
    let (mut writer, mut dynamic) = (channel.writer().unwrap(), channel.reader().unwrap());
    dynamic.read().unwrap().unwrap();
    dynamic.read().unwrap().unwrap();
    assert_eq!(count(&domain, "level"), 4, "who comes late finds a value that is new to it");
    writer.write(&Value::Uint(4)).unwrap();
    assert_eq!((reader.read(), dynamic.read().map(drop), count(&domain, "level")), (Ok(Some(4)), Ok(()), 6));
}

#[test]
fn the_age_of_a_value_is_between_what_the_two_ends_saw_of_it() {
    let domain = Domain::new("age");
    // Large, so that readers are overtaken in the middle of a copy.
    let page = Latest::<[u64; 1024]>::new("page").domain(domain.name()).timestamps(true);
    let (mut writer, mut reader) = (page.writer().unwrap(), page.reader().unwrap());
    let ages = || latency(&domain, "page");
    writer.write([0; 1024]).unwrap();
    let written = Instant::now();
    thread::sleep(Duration::from_millis(20));
    let at_least = written.elapsed();
    reader.read_ref().unwrap();
    assert!(u128::from(ages().max_ns()) >= at_least.as_nanos(), "{:?}", ages());

    let started = Instant::now();
    let stop = &AtomicBool::new(false);
    let (read, seen) = thread::scope(|scope| {
        scope.spawn(move || {
            let mut number = 0;
            // Relaxed: that it is over is all there is to see.
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                writer.write([number; 1024]).unwrap();
            }
        });
        let (mut versions, mut before) = (0, reader.version());
        while versions < 10_000 {
            let value = *reader.read_ref().unwrap().unwrap();
            assert!(value.iter().all(|word| *word == value[0]));
            versions += u64::from(reader.version() != before);
            before = reader.version();
        }
        // Relaxed: as above.
        stop.store(true, Ordering::Relaxed);
        (versions, started.elapsed())
    });
    let latency = ages();
    assert_eq!((latency.count(), latency.out_of_range()), (read + 1, 0));
    // A time of another value would be older than the writer, or younger than the reading.
    assert!(u128::from(latency.max_ns()) <= (seen + at_least + Duration::from_secs(1)).as_nanos(), "{latency:?}");
}

/// Receives until it is killed, or until the end; says how many.
fn receive(domain: &str) {
    let mut rx = queue::<u64>(domain, "channel", false).receiver().unwrap();
    say("ready");
    let mut received = 0_u64;
    while recv(&mut rx).unwrap().is_some() {
        received += 1;
    }
    say(received.to_string());
}

/// Takes a message and never lets it go.
fn hold(domain: &str) {
    let mut rx = queue::<u64>(domain, "channel", false).receiver().unwrap();
    let held = rx.recv_ref().unwrap().unwrap();
    say(held.to_string());
    listen();
}

#[test]
fn many_receivers_count_in_one_place() {
    let domain = Domain::new("many");
    let mut tx = queue::<u64>(domain.name(), "channel", false).sender().unwrap();
    let mut children: Vec<_> = (0..3).map(|_| Child::start("receive", &domain)).collect();
    for child in &mut children {
        assert_eq!(child.hear(), "ready");
    }
    let observer = Observer::open_in(domain.name(), "channel").unwrap();
    let mut seen = 0;
    for number in 0..30_000 {
        tx.send(number).unwrap();
        if number % 1000 == 0 {
            let count = observer.latency().unwrap().count();
            assert!((seen..=number + 1).contains(&count), "{count} after {seen}");
            seen = count;
        }
    }
    drop(tx);
    let received: u64 = children.into_iter().map(|child| child.end().1.last().unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(received, 30_000);
    let latency = observer.latency().unwrap();
    assert_eq!((latency.count(), latency.out_of_range(), observer.received()), (30_000, 0, Some(30_000)));
    assert!(!observer.is_current(), "the last one to leave has removed it, and it can be read all the same");
}

#[test]
fn the_killed_count_what_they_received() {
    let domain = Domain::new("killed");
    let mut tx = queue::<u64>(domain.name(), "channel", false).sender().unwrap();
    let (mut sent, mut deaths) = (0, 0);
    for round in 0..6 {
        let mut children: Vec<_> = (0..2).map(|_| Child::start("receive", &domain)).collect();
        for child in &mut children {
            assert_eq!(child.hear(), "ready");
        }
        for number in 0..1000 + 37 * round {
            tx.send(number).unwrap();
            sent += 1;
        }
        // Somewhere on their way through them.
        let deadline = Instant::now() + PATIENCE;
        while latency(&domain, "channel").count() < sent - 500 {
            assert!(Instant::now() < deadline, "the receivers are stuck");
        }
        for child in children {
            child.kill();
            deaths += 1;
        }
    }
    // A message that is held by the dead is delivered again, and counts once.
    tx.send(7).unwrap();
    sent += 1;
    let mut holder = Child::start("hold", &domain);
    holder.hear();
    holder.kill();
    let mut rx = queue::<u64>(domain.name(), "channel", false).receiver().unwrap();
    drop(tx);
    while recv(&mut rx).unwrap().is_some() {}
    let latency = latency(&domain, "channel");
    let counted = latency.count();
    assert!((sent - deaths..=sent).contains(&counted), "{counted} of {sent} messages, {deaths} deaths");
    assert_eq!((latency.out_of_range(), rx.lost()), (0, 0));
    assert_eq!(Observer::open_in(domain.name(), "channel").unwrap().lost(), 0);
}

/// Sends until it is told to stop, and leaves properly.
fn send(domain: &str) {
    let mut tx: Sender<u64> = queue(domain, "channel", true).sender().unwrap();
    say("ready");
    let stop = thread::spawn(listen);
    let mut sent = 0;
    while !stop.is_finished() {
        tx.send(sent).unwrap();
        sent += 1;
    }
    say(sent.to_string());
}

#[test]
fn an_observer_sees_who_takes_part_and_disturbs_nobody() {
    let domain = Domain::new("observer");
    let missing = Observer::open_in(domain.name(), "channel").unwrap_err();
    assert!(matches!(missing, ipc_core::OpenError::NoChannel { .. }), "{missing:?}");
    let mut rx: Receiver<u64> = queue(domain.name(), "channel", true).receiver().unwrap();
    let observer = Observer::open_in(domain.name(), "channel").unwrap();
    let states = || observer.participants().iter().map(|who| (who.line, who.role, who.state)).collect::<Vec<_>>();
    let receiver = (1, Role::Receiver, State::Live);
    assert_eq!(states(), [receiver]);
    assert_eq!(observer.participants()[0].pid, std::process::id());
    assert_eq!(observer.participants()[0].program, support::program());

    let mut child = Child::start("send", &domain);
    child.hear();
    assert_eq!(states(), [(0, Role::Sender, State::Live), receiver]);
    assert_eq!(observer.participants()[0].pid, child.pid());
    for number in 0..20_000 {
        assert_eq!(recv(&mut rx), Ok(Some(number)));
        if number % 500 == 0 {
            assert!(observer.len().unwrap() <= CAPACITY);
            assert_eq!(observer.latency().unwrap().count(), number + 1);
        }
    }
    child.stop();
    assert_eq!(states()[0].2, State::Live, "who is stopped lives");
    child.resume();
    child.kill();
    assert_eq!(states(), [(0, Role::Sender, State::Dead), receiver]);
    assert_eq!(observer.len(), Some(rx.len()));
    let word = |path: &std::path::Path| fs::read(memory(path)).unwrap()[4096..4104].to_vec();
    assert_eq!(word(&rx.info().path)[0] & 3, 1, "the line says LIVE as before: who only looks writes nothing");

    let mut child = Child::start("send", &domain);
    child.hear();
    child.tell("stop");
    // It may wait for room.
    while !rx.recv().is_ok_and(|message| message.is_none()) {}
    child.finish();
    assert_eq!(states(), [(0, Role::Sender, State::Closed), receiver]);
    assert_eq!(observer.len(), Some(0));
    drop(rx);
    assert!(!observer.is_current() && !observer.info().path.exists(), "nobody took part any more");
    assert_eq!(states()[1].2, State::Closed);
}

#[test]
fn segments_are_listed() {
    let domain = Domain::new("list");
    let _one = domain.queue::<u64>("b.one").receiver().unwrap();
    let two = Queue::<[u8]>::new("a_two").domain(domain.name()).sender().unwrap();
    let mine =
        || inspect::list().unwrap().into_iter().filter(|found| found.domain == domain.name()).collect::<Vec<_>>();
    let names: Vec<_> = mine().into_iter().map(|found| (found.name, found.path)).collect();
    assert_eq!(names, [("a_two".into(), domain.path("a_two")), ("b.one".into(), domain.path("b.one"))]);
    drop(two);
    assert_eq!(mine().len(), 1);
}
