//! What SPEC.md says about the bytes, held against the bytes.

use ipc_core::{IpcMessage, Lifetime, Queue};
use ipc_macros::IpcMessage;
use std::fs;

#[derive(IpcMessage, Clone, Copy)]
#[repr(C)]
#[ipc(crate = "ipc_core")]
struct Point {
    x: u32,
    on: bool,
}

/// The lines of the code block of SPEC.md that starts with `start`.
fn block(start: &str) -> String {
    let spec =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../SPEC.md")).expect("SPEC.md is beside the crate");
    let blocks = spec.split("```text\n").skip(1).filter_map(|rest| rest.split("```").next().map(str::to_owned));
    blocks.into_iter().find(|block| block.starts_with(start)).expect("SPEC.md has the block")
}

#[test]
fn the_schema_of_the_example_is_as_written() {
    let written: Vec<u8> =
        block("01 41").split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("it is in hex")).collect();
    assert_eq!(Point::SCHEMA, written);
}

#[test]
fn the_header_and_a_slot_are_as_written() {
    let domain = format!("spec-{}", std::process::id());
    let queue = Queue::<Point>::new("points").domain(&domain).spsc().capacity(3).lifetime(Lifetime::Attached);
    let mut tx = queue.sender().unwrap();
    (0..2).for_each(|x| tx.send(Point { x: 7 + x, on: true }).unwrap());
    let mut rx = queue.receiver().unwrap();
    assert_eq!(rx.recv().unwrap().map(|point| point.x), Some(7));
    let bytes = fs::read(&tx.info().path).unwrap();
    let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
    let half = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!(&bytes[..8], b"SLIPRING");
    assert_eq!([half(8), half(12), half(16), half(20)], [1, 0x0102_0304, 1, 1]);
    assert_eq!(bytes[40..56], Point::FINGERPRINT.to_le_bytes());
    assert_eq!([word(56), word(64), word(72)], [3, 64, 8]);
    assert_eq!([half(80), half(84)], [4, 2]);
    assert_eq!([word(88), word(96), word(104), word(112)], [4096, 4096 + 2 * 128, 8192, 12288]);
    assert_eq!(half(120) as usize, Point::SCHEMA.len());
    assert_eq!(half(124), std::process::id());
    assert_eq!(&bytes[168..168 + domain.len()], domain.as_bytes());
    assert_eq!(&bytes[232..239], b"points\0");
    assert_eq!(half(360), 1);
    assert_eq!(&bytes[512..512 + Point::SCHEMA.len()], Point::SCHEMA);
    // Both participants are of the first generation and live.
    assert_eq!([word(4096), word(4096 + 128)], [1 << 32 | 1; 2]);
    assert_eq!(word(4096 + 2 * 128 + 256), 1, "one message was taken");
    // The slots' stamps count how often they were filled.
    assert_eq!([word(8192 + 56), word(8192 + 64 + 56), word(8192 + 128 + 56)], [1, 1, 0]);
    assert_eq!((half(8192 + 64), bytes[8192 + 68]), (8, 1));
}
