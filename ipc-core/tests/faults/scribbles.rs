//! Segments in which somebody with a bug has written.

use super::support::desk::{Answer, Question, Resize, Resized, question};
use super::support::packet::{self, Packet};
use super::support::{Domain, memory};
use ipc_core::{
    AcceptError, Broadcast, BroadcastRecvError, CallError, Corrupt, Latest, Lifetime, ReadError, RecvError, SendError,
    Service, Str, TrySendError,
};
use ipc_macros::IpcMessage;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::time::Duration;

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
#[ipc(crate = "ipc_core")]
struct Order {
    id: u64,
    side: Side,
    symbol: Str<6>,
}

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(u8)]
#[ipc(crate = "ipc_core")]
enum Side {
    Buy = 1,
    Sell = 2,
}

fn order(id: u64) -> Order {
    let side = if id % 2 == 0 { Side::Buy } else { Side::Sell };
    Order { id, side, symbol: Str::truncated("SLIP") }
}

/// Writes into a channel's segment, as somebody with a bug might.
fn damage(domain: &Domain, channel: &str, at: u64, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(domain.memory(channel)).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

/// A number of the segment's header.
fn header(domain: &Domain, channel: &str, at: u64) -> u64 {
    let mut bytes = [0; 8];
    File::open(domain.memory(channel)).unwrap().read_exact_at(&mut bytes, at).unwrap();
    u64::from_ne_bytes(bytes)
}

#[test]
fn a_service_drops_what_is_no_value() {
    let domain = Domain::new("scribbles-invalid");
    let service = Resize::channel().domain(domain.name()).capacity(1);
    let (client, server) = (service.client().unwrap(), service.server().unwrap());
    let slots = header(&domain, "resize", 104);
    let asked = Resize { width: 3, height: 4, is_square: false };
    // The flag is 8 bytes into the request.
    let call = client.submit(asked).unwrap();
    damage(&domain, "resize", slots + 16 + 8, &[2]);
    assert!(matches!(server.accept(), Err(AcceptError::Corrupt(Corrupt::Message(_)))));
    assert_eq!(call.wait(), Err(CallError::Dropped));
    let call = client.submit(asked).unwrap();
    server.accept().unwrap().unwrap().reply(Resized { pixels: 12, is_large: false });
    damage(&domain, "resize", slots + 64 + 8, &[2]);
    assert!(matches!(call.wait(), Err(CallError::Corrupt(None, Corrupt::Message(_)))));
    // And the service goes on.
    let call = client.submit(asked).unwrap();
    server.accept().unwrap().unwrap().reply(Resized { pixels: 12, is_large: true });
    assert_eq!(call.wait(), Ok(Resized { pixels: 12, is_large: true }));
}

#[test]
fn no_word_of_a_service_brings_anybody_down() {
    let mut random = 0x9E37_79B9_u64;
    let mut next = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        random >> 20
    };
    for round in 0..40 {
        let domain = Domain::new(&format!("scribbles-{round}"));
        let service = Service::<Question, Answer>::new("questions").domain(domain.name()).capacity(2);
        let (client, server) = (service.client().unwrap(), service.server().unwrap());
        let (lines, total) = (header(&domain, "questions", 96), header(&domain, "questions", 112));
        for step in 0..50 {
            let patience = Duration::from_millis(1);
            // Damage may say that every slot is somebody's, and a slot is waited for as long as one asks.
            let call = client.submit_timeout(question(step), patience);
            // Any word behind the participants, or a likely value of one.
            let at = lines + next() % (total - lines) / 8 * 8;
            let value = if next() % 2 == 0 { next() % 8 } else { next() << 30 | next() };
            damage(&domain, "questions", at, &value.to_ne_bytes());
            while let Ok(Some(request)) = server.accept_timeout(patience) {
                let reply = [request[0]; 6];
                request.reply(reply);
            }
            let Ok(mut call) = call else { break };
            let _ = call.wait_timeout(patience);
        }
        drop((client, server));
        let _ = std::fs::remove_file(domain.path("questions"));
    }
}

#[test]
fn a_queue_skips_an_invalid_message() {
    let domain = Domain::new("scribbles-queue-invalid");
    let queue = domain.queue("invalid").capacity(4);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    tx.send_batch((0..4).map(order)).unwrap();
    let segment = OpenOptions::new().write(true).open(memory(&tx.info().path)).unwrap();
    let slots = tx.info().segment_bytes - 4096;
    // `side` is the byte after `id`; no variant is 77.
    for slot in [1, 3] {
        segment.write_all_at(&[77], slots + slot * 64 + 8).unwrap();
    }
    assert_eq!(rx.recv(), Ok(Some(order(0))));
    let error = rx.recv().unwrap_err();
    assert!(matches!(error, RecvError::Corrupt(Corrupt::Message(_))));
    assert!(error.to_string().contains("77 is not a variant of `Side`"), "{error}");
    assert_eq!(rx.recv(), Ok(Some(order(2))));
    assert!(matches!(rx.recv_ref().unwrap_err(), RecvError::Corrupt(Corrupt::Message(_))));
    drop(tx);
    assert_eq!(rx.recv(), Ok(None));
}

#[test]
fn a_queue_tells_both_sides_of_damage() {
    let domain = Domain::new("scribbles-queue-damaged");
    let queue = domain.queue("damaged").capacity(4).lifetime(Lifetime::Attached);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    let segment = OpenOptions::new().write(true).open(memory(&tx.info().path)).unwrap();
    let slots = tx.info().segment_bytes - 4096;
    segment.write_all_at(&999u64.to_ne_bytes(), slots + 56).unwrap();
    let error = rx.recv().unwrap_err();
    assert_eq!(error, RecvError::Corrupt(Corrupt::Stamp { slot: 0, found: 999, expected: 1 }));
    assert!(error.to_string().contains("remove the channel"), "{error}");
    // The receiver's place is in the line after the two participants and the two wait lines.
    segment.write_all_at(&999u64.to_ne_bytes(), 4096 + 4 * 128).unwrap();
    assert!(matches!(
        tx.send(order(1)),
        Err(SendError::Corrupt(Order { id: 1, .. }, Corrupt::Stamp { found: 999, .. }))
    ));
}

#[test]
fn a_damaged_latest_value_is_an_error_until_the_next_one() {
    let domain = Domain::new("scribbles-latest-damage");
    let channel = Latest::<char>::new("damaged").domain(domain.name());
    let (mut writer, mut reader) = (channel.writer().unwrap(), channel.reader().unwrap());
    // The four slots are the last page.
    let slots = reader.info().segment_bytes - 4096;
    writer.write('a').unwrap();
    damage(&domain, "damaged", slots + 64, &0x0011_0000_u32.to_ne_bytes());
    assert!(matches!(reader.read(), Err(ReadError::Corrupt(Corrupt::Message(_)))));
    assert!(matches!(reader.read_ref(), Err(ReadError::Corrupt(Corrupt::Message(_)))));
    assert_eq!(reader.read_if_newer(), Ok(None), "it was seen, for what it is");
    writer.write('b').unwrap();
    assert_eq!(reader.read(), Ok(Some('b')));
    // A stamp that stands still and does not fit.
    damage(&domain, "damaged", slots + 2 * 64 + 56, &77_u64.to_ne_bytes());
    let broken = ReadError::Corrupt(Corrupt::Stamp { slot: 2, found: 77, expected: 2 });
    assert_eq!(reader.read(), Err(broken.clone()));
    assert_eq!(reader.read_ref(), Err(broken));
    writer.write('c').unwrap();
    assert_eq!(reader.read(), Ok(Some('c')));
}

#[test]
fn a_broadcast_skips_an_invalid_message() {
    for lossy in [false, true] {
        let domain = Domain::new("bvd-invalid");
        let text = Broadcast::<str>::new("text").domain(domain.name());
        let text = if lossy { text.lossy() } else { text };
        let (mut publisher, mut subscriber) = (text.publisher().unwrap(), text.subscriber().unwrap());
        for by_value in [true, false] {
            publisher.send_copy_batch(["letters", "more"]).unwrap();
            packet::damage(&publisher.info().path, b"letters", b"lett\xffrs");
            let error = match by_value {
                true => subscriber.recv_boxed().unwrap_err(),
                false => subscriber.recv_ref().unwrap_err(),
            };
            let BroadcastRecvError::Corrupt(Corrupt::Message(invalid)) = error else { panic!("{error}") };
            assert_eq!(invalid.to_string(), "the text is not UTF-8 from byte 4 on");
            assert_eq!(&*subscriber.recv_boxed().unwrap().unwrap(), "more");
        }
    }
}

#[test]
fn a_broadcast_skips_a_length_that_no_message_has() {
    for lossy in [false, true] {
        let domain = Domain::new("bvd-odd");
        let items = Broadcast::<[u32]>::new("items").domain(domain.name());
        let items = if lossy { items.lossy() } else { items };
        let (mut publisher, mut subscriber) = (items.publisher().unwrap(), items.subscriber().unwrap());
        // One that is no whole number of items, and one beyond the frame.
        for (mark, bytes) in [(0xA1A2_A3A4, 6), (0xB1B2_B3B4, 57), (0xC1C2_C3C4, u64::MAX)] {
            publisher.send_copy_batch([[mark, mark], [1, 2]]).unwrap();
            let header = |bytes: u64| [&bytes.to_ne_bytes(), &mark.to_ne_bytes()[..]].concat();
            packet::damage(&publisher.info().path, &header(8), &header(bytes));
            let error = subscriber.recv_ref().unwrap_err();
            match (bytes, &error) {
                (6, BroadcastRecvError::Corrupt(Corrupt::Message(_))) => {}
                (_, &BroadcastRecvError::Corrupt(Corrupt::Stamp { found, expected: 56, .. })) => {
                    assert_eq!(found, bytes);
                }
                _ => panic!("{error:?}"),
            }
            assert_eq!(*subscriber.recv_boxed().unwrap().unwrap(), [1, 2]);
        }
    }
}

#[test]
fn a_broadcast_tells_damage_from_a_full_ring() {
    let domain = Domain::new("bvd-damaged");
    let packets = Broadcast::<Packet>::new("packets").domain(domain.name()).capacity(4096);
    let (mut publisher, mut subscriber) = (packets.publisher().unwrap(), packets.subscriber().unwrap());
    // The stamp of the first frame, of 7 cells: FULL of lap 0.
    let stamp = |units: u64, state: u64| (units << 15 | state).to_ne_bytes();
    publisher.loan_len(400).unwrap().send();
    packet::damage(&publisher.info().path, &stamp(7, 1), &stamp(700, 1));
    for _ in 0..2 {
        let Err(error) = subscriber.recv_ref() else { panic!("it is no frame") };
        assert!(matches!(error, BroadcastRecvError::Corrupt(Corrupt::Stamp { slot: 0, .. })), "{error:?}");
    }
    let error = loop {
        match publisher.try_loan_len(1000) {
            Ok(loan) => loan.send(),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, TrySendError::Corrupt(..)), "{error:?}");
}
