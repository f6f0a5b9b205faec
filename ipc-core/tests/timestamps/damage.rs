//! Segments whose bytes are not what slipring would have written.

use super::*;

#[test]
fn an_observer_survives_whatever_is_in_the_file() {
    let domain = Domain::new("damaged");
    let (status, said) = Child::start("damage", &domain).end();
    assert!(status.success(), "the child failed ({status}) at {:?}", said.last());
    assert_eq!(said.last().map(String::as_str), Some("done"));
}

/// Asks an observer everything.
fn ask(observer: &Observer) {
    let _ = (observer.len(), observer.lost(), observer.received(), observer.is_current(), observer.kind());
    assert!(observer.participants().len() <= 4096);
    if let Some(latency) = observer.latency() {
        let _ = (latency.mean_ns(), latency.value_at_quantile(0.99), latency.iter().count(), format!("{latency:?}"));
    }
}

/// Damages segments of all rings, in a child, since the worst that can come of it is a signal.
pub(super) fn all(domain: &str) {
    for exclusive in [true, false] {
        of(domain, "fixed", queue::<u64>(domain, "fixed", exclusive), |tx| tx.send(7).unwrap());
        of(domain, "variable", queue::<[u8]>(domain, "variable", exclusive), |tx| tx.send_copy(&[7; 100]).unwrap());
    }
    say("done");
}

fn of<T: IpcMessage + ?Sized>(domain: &str, channel: &str, queue: Queue<T>, send: impl Fn(&mut Sender<T>)) {
    let queue = queue.capacity(64).lifetime(Lifetime::Persistent);
    let (mut tx, rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    for _ in 0..5 {
        send(&mut tx);
    }
    drop((tx, rx));
    let path = support::path(domain, channel);
    let memory = support::memory(&path);
    let (image, header) = (fs::read(&memory).unwrap(), fs::read(&path).unwrap());
    let opened = Observer::open_in(domain, channel).unwrap();
    ask(&opened);
    let mut random = 0x5EED_u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random >> 33
    };
    for round in 0..300 {
        let mut image = image.clone();
        // A few words, or all of them, are zeros, ones, small numbers, or anything.
        for word in image[4096..].chunks_exact_mut(8) {
            if round % 3 == 0 || next() % 64 == 0 {
                let value = [0, u64::MAX, next() % 128, next() << 33 | next(), 1][next() as usize % 5];
                word.copy_from_slice(&value.to_ne_bytes());
            }
        }
        fs::write(&memory, &image).unwrap();
        ask(&opened);
        ask(&Observer::open_in(domain, channel).unwrap());
    }
    for at in 0..512 {
        say(format!("{channel}: byte {at}"));
        for flip in [0x01, 0x04, 0x80, 0xff] {
            let mut header = header.clone();
            header[at] ^= flip;
            fs::write(&path, &header).unwrap();
            if let Ok(observer) = Observer::open_in(domain, channel) {
                ask(&observer);
            }
        }
    }
    // Under another name, since the file that is mapped must not be cut short.
    let kept = path.with_extension("kept");
    fs::write(&path, &header).unwrap();
    fs::rename(&path, &kept).unwrap();
    let lengths = if support::IS_PORTABLE { vec![0, 511] } else { vec![0, 511, 512, 4096, image.len() - 1] };
    for bytes in lengths {
        fs::write(&path, &header[..bytes]).unwrap();
        assert!(Observer::open_in(domain, channel).is_err());
    }
    fs::rename(&kept, &path).unwrap();
    assert!(queue.remove().unwrap());
}
