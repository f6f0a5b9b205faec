//! Segments from anybody: a file of which most is as a program has made it, and some as the fuzzer wants it; opened, looked at
//! from outside, sent through and received from.
#![no_main]

use ipc_core::inspect::Observer;
use ipc_core::{Latest, Lifetime, Queue};
use libfuzzer_sys::fuzz_target;
use std::fs;
use std::sync::LazyLock;

const CHANNEL: &str = "attach";

static DOMAIN: LazyLock<String> = LazyLock::new(|| format!("fuzz-{}", std::process::id()));

fn queue() -> Queue<u64> {
    Queue::new(CHANNEL).domain(&*DOMAIN).capacity(4).lifetime(Lifetime::Persistent).prefault(false)
}

fn latest() -> Latest<u64> {
    Latest::new(CHANNEL).domain(&*DOMAIN).lifetime(Lifetime::Persistent).prefault(false)
}

fn path() -> String {
    format!("/dev/shm/slipring.{}.{CHANNEL}", *DOMAIN)
}

/// Whole segments of three kinds.
static IMAGES: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| {
    let image = |open: &dyn Fn()| {
        open();
        let image = fs::read(path()).expect("the segment stays");
        fs::remove_file(path()).expect("and goes");
        image
    };
    [
        image(&|| queue().sender().expect("a queue opens").send(1).expect("it has room")),
        image(&|| queue().spsc().sender().expect("a queue opens").send(1).expect("it has room")),
        image(&|| drop(latest().writer().expect("a value opens").write(1))),
    ]
});

fuzz_target!(|input: (u8, Vec<(u16, u64)>)| {
    let (kind, changes) = input;
    let kind = usize::from(kind) % IMAGES.len();
    let mut image = IMAGES[kind].clone();
    for (at, value) in changes.into_iter().take(8) {
        let at = usize::from(at) * 8 % (image.len() - 7);
        image[at..at + 8].copy_from_slice(&value.to_ne_bytes());
    }
    fs::write(path(), &image).expect("the file is written");
    if let Ok(observer) = Observer::open_in(&DOMAIN, CHANNEL) {
        let _ = (observer.kind(), observer.participants(), observer.len(), observer.lost(), observer.latency());
    }
    if kind == 2 {
        if let (Ok(mut writer), Ok(mut reader)) = (latest().writer(), latest().reader()) {
            let _ = (reader.read(), writer.write(2), reader.read());
        }
    } else {
        let queue = if kind == 0 { queue() } else { queue().spsc() };
        if let (Ok(mut tx), Ok(mut rx)) = (queue.sender(), queue.receiver()) {
            for _ in 0..6 {
                let _ = (tx.try_send(2), rx.len(), rx.try_recv(), tx.len());
            }
        }
    }
    let _ = fs::remove_file(path());
});
