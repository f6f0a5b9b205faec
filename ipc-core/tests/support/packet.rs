//! A message that varies in length, whose bytes follow from its number.

use ipc_macros::IpcMessage;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

#[derive(IpcMessage, Debug, PartialEq)]
#[repr(C)]
#[ipc(crate = "ipc_core", queue = "packets", spsc)]
pub(crate) struct Packet {
    pub(crate) time_ns: u64,
    pub(crate) link: u16,
    pub(crate) data: [u8],
}

/// Bytes of a packet before its data.
pub(crate) const HEAD_BYTES: usize = 10;

/// What the packet of this number and length carries.
fn byte(number: u64, at: usize) -> u8 {
    (number as usize).wrapping_mul(31).wrapping_add(at * 7) as u8
}

pub(crate) fn fill(packet: &mut Packet, number: u64) {
    packet.time_ns = number;
    packet.link = packet.data.len() as u16;
    packet.data.iter_mut().enumerate().for_each(|(at, to)| *to = byte(number, at));
}

pub(crate) fn check(packet: &Packet, number: u64) {
    assert_eq!((packet.time_ns, packet.link), (number, packet.data.len() as u16));
    assert!(packet.data.iter().enumerate().all(|(at, &found)| found == byte(number, at)), "{packet:?}");
}

/// The number of a packet that is whole.
pub(crate) fn number(packet: &Packet) -> u64 {
    check(packet, packet.time_ns);
    packet.time_ns
}

/// Lengths that differ, from 0 to `most`.
pub(crate) fn length(number: u64, most: usize) -> usize {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as usize % (most + 1)
}

/// Overwrites the first place in a segment that holds `old`.
pub(crate) fn damage(path: &Path, old: &[u8], new: &[u8]) {
    let path = super::memory(path);
    let bytes = fs::read(&path).unwrap();
    let at = bytes.windows(old.len()).position(|window| window == old).expect("the segment has it");
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(new, at as u64).unwrap();
}
