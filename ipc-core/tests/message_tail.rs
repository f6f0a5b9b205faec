//! Messages that vary in length, as bytes: their schemas, their validation, and how they are stored.

use ipc_core::message::{IpcMessage, List, Opt, Str};
use ipc_core::schema::tree::Schema;
use ipc_core::schema::{DecodeError, Value, decode, diff, fingerprint};
use ipc_macros::IpcMessage;
use proptest::prelude::*;

#[derive(IpcMessage, Debug)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Packet {
    time_ns: u64,
    link: u16,
    data: [u8],
}

#[derive(IpcMessage, Debug)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Line {
    level: Opt<u32>,
    text: str,
}

#[derive(IpcMessage, Debug)]
#[ipc(crate = "ipc_core")]
#[repr(C, align(16))]
struct Route {
    name: Str<3>,
    steps: [Step],
}

#[derive(IpcMessage, Debug)]
#[ipc(crate = "ipc_core")]
#[repr(C, u8)]
#[allow(dead_code, reason = "they are made of bytes")]
enum Step {
    Wait = 2,
    Go { fast: bool, metres: u16 },
}

/// The tree that is encoded, and the one that is decoded, are the same.
fn round_trip<T: IpcMessage + ?Sized>() {
    let decoded = decode(T::SCHEMA).unwrap();
    assert_eq!(decoded, Schema::from(T::TYPE), "{}", T::NAME);
    assert_eq!(decoded.size_bytes(), T::TYPE.size as u64);
    assert_eq!(decoded.tail().map(|(offset, _)| offset), T::TYPE.tail().map(|tail| tail.offset as u64));
    assert_eq!(T::FINGERPRINT, fingerprint(T::SCHEMA));
    for len in 0..T::SCHEMA.len() {
        assert_eq!(decode(&T::SCHEMA[..len]), Err(DecodeError::Truncated), "{} cut to {len}", T::NAME);
    }
}

#[test]
fn schemas_decode_to_what_was_encoded() {
    round_trip::<Packet>();
    round_trip::<Line>();
    round_trip::<Route>();
    round_trip::<[List<[u8; 3], 2>]>();
    round_trip::<str>();
}

#[test]
#[cfg_attr(target_pointer_width = "32", ignore = "an f64 need not be aligned to 8 bytes here")]
fn the_encoded_form_is_the_documented_one() {
    assert_eq!(<[u16]>::SCHEMA, [1, 0x47, 0x11]);
    assert_eq!(<[Opt<u64>]>::SCHEMA, [1, 0x47, 0x44, 8, 0x13]);
    assert_eq!(str::SCHEMA, [1, 0x48]);
    assert_eq!(
        Packet::SCHEMA,
        b"\x01\x41\x06Packet\x10\x08\x03\x07time_ns\x00\x13\x04link\x08\x11\x04data\x0a\x47\x10"
    );
    assert_eq!(Line::SCHEMA, b"\x01\x41\x04Line\x08\x04\x02\x05level\x00\x44\x04\x12\x04text\x08\x48");
}

#[test]
fn a_tail_stands_at_the_end_and_nowhere_else() {
    // A struct of `a`, then of a tail with the given bytes and whatever follows.
    let with = |count: u8, rest: &[u8]| {
        decode(&[b"\x01\x41\x01M\x04\x04" as &[u8], &[count], b"\x01a\x00\x12", rest].concat())
    };
    assert!(with(2, b"\x01b\x04\x48").is_ok());
    assert!(matches!(with(3, b"\x01b\x04\x48\x01c\x04\x10"), Err(DecodeError::Layout(_))), "not last");
    assert!(matches!(with(2, b"\x01b\x03\x48"), Err(DecodeError::Layout(_))), "overlaps");
    assert!(matches!(with(2, b"\x01b\x05\x48"), Err(DecodeError::Layout(_))), "the size is not that of an empty tail");
    assert!(matches!(with(2, b"\x01b\x04\x47\x40\x00\x10"), Err(DecodeError::Layout(_))), "items of no bytes");
    assert!(matches!(with(2, b"\x01b\x04\x47\x48"), Err(DecodeError::Layout(_))), "a tail of tails");
    for inside in [
        b"\x01\x40\x02\x48" as &[u8],
        b"\x01\x44\x01\x48",
        b"\x01\x46\x02\x04\x48",
        b"\x01\x41\x01M\x00\x01\x01\x01a\x00\x41\x01N\x00\x01\x01\x01b\x00\x48",
        b"\x01\x43\x01M\x01\x01\x10\x01\x01V\x00\x01\x01a\x01\x48",
    ] {
        assert!(matches!(decode(inside), Err(DecodeError::Layout(_))), "{inside:?}");
    }
}

/// What `diff` says, a line each.
fn lines<T: IpcMessage + ?Sized, U: IpcMessage + ?Sized>() -> Vec<String> {
    diff(T::SCHEMA, U::SCHEMA).iter().map(ToString::to_string).collect()
}

mod other {
    use super::*;

    #[derive(IpcMessage)]
    #[ipc(crate = "ipc_core")]
    #[repr(C)]
    pub(super) struct Packet {
        time_ns: u64,
        link: u16,
        data: str,
    }

    #[derive(IpcMessage)]
    #[ipc(crate = "ipc_core")]
    #[repr(C, align(16))]
    pub(super) struct Route {
        name: Str<3>,
        steps: [Step],
    }

    #[derive(IpcMessage)]
    #[ipc(crate = "ipc_core")]
    #[repr(C, u8)]
    #[allow(dead_code, reason = "they are made of bytes")]
    pub(super) enum Step {
        Wait = 2,
        Go { fast: bool, metres: u32 },
    }
}

#[test]
fn differences_are_named_and_schemas_are_shown() {
    assert_eq!(lines::<Packet, other::Packet>(), ["field `data`: [u8] at byte 10 here, str at byte 10 in the segment"]);
    assert_eq!(lines::<[u8], [u16]>(), ["message: [u8] here, [u16] in the segment"]);
    assert_eq!(lines::<str, Str<4>>(), ["message: str here, Str<4> in the segment"]);
    let inside = lines::<Route, other::Route>();
    assert_eq!(inside[0], "field `steps`: [Step] at byte 6 here, [Step] at byte 8 in the segment");
    assert_eq!(inside[1], "field `steps[].Go.fast`: bool at byte 2 here, bool at byte 4 in the segment");
    let shown = decode(Route::SCHEMA).unwrap().to_string();
    let expected = "struct Route { // 16 bytes and more, aligned to 16\n    name: Str<3>, // at byte 0\n    steps: [Step], // at byte 6\n}\n\nenum Step {";
    assert!(shown.starts_with(expected), "{shown}");
    assert_eq!(decode(str::SCHEMA).unwrap().to_string(), "str");
}

/// Memory for a message, aligned for any.
#[repr(C, align(64))]
struct Memory([u8; 256]);

impl Memory {
    /// Memory that holds `bytes`, and behind them what no message may look at.
    fn of(bytes: &[u8]) -> Self {
        let mut memory = Memory([0xff; 256]);
        memory.0[..bytes.len()].copy_from_slice(bytes);
        memory
    }

    fn message<T: IpcMessage + ?Sized>(&mut self, tail_len: usize) -> *mut T {
        T::pointer(self.0.as_mut_ptr(), tail_len)
    }
}

#[test]
#[cfg_attr(target_pointer_width = "32", ignore = "an f64 need not be aligned to 8 bytes here")]
fn pointers_are_taken_apart_and_put_together() {
    let mut memory = Memory::of(&[]);
    let at = memory.0.as_mut_ptr();
    for len in [0, 1, 7, 200] {
        let packet = memory.message::<Packet>(len);
        assert_eq!((Packet::tail_len(packet), packet.cast::<u8>()), (len, at));
        assert_eq!(Line::tail_len(memory.message::<Line>(len)), len);
        assert_eq!(u64::tail_len(memory.message::<u64>(len)), 0);
    }
    // SAFETY: any bits are a packet, and the memory has as many.
    let packet = unsafe { &*memory.message::<Packet>(3) };
    assert_eq!((size_of_val(packet), align_of_val(packet), packet.data.len()), (16, 8, 3));
    assert_eq!(packet.data.as_ptr().addr() - at.addr(), 10);
}

#[test]
fn what_is_placed_is_what_was_there_and_nothing_behind_it() {
    let mut from = Memory::of(b"\x07\0\0\0\0\0\0\0\x09\0twelve bytes");
    let mut to = Memory::of(&[]);
    // SAFETY: the memory holds a packet with so many bytes; any bits are one.
    let packet = unsafe { &*from.message::<Packet>(12) };
    // SAFETY: the destination is a packet of the same length, and nobody else's.
    unsafe { packet.place(to.message(12)) };
    assert_eq!(to.0[..22], *b"\x07\0\0\0\0\0\0\0\x09\0twelve bytes");
    assert!(to.0[22..].iter().all(|&byte| byte == 0xff), "the padding and what is behind it");
    // SAFETY: the destination has as many bytes, and is nobody else's.
    unsafe { Packet::place_blank(to.message(12)) };
    assert_eq!(to.0[..24], [[0; 22].as_slice(), &[0xff; 2]].concat());
    // SAFETY: as above.
    unsafe { Route::place_blank(to.message(2)) };
    // SAFETY: a blank has just been placed there.
    let route = unsafe { &*to.message::<Route>(2) };
    assert!(matches!(route.steps, [Step::Wait, Step::Wait]));
}

fn is_valid<T: IpcMessage + ?Sized>(bytes: &[u8], tail_len: usize) -> bool {
    let mut memory = Memory::of(bytes);
    // SAFETY: the memory is aligned, initialised, nobody else's, and larger than any message here.
    unsafe { T::validate(memory.message::<T>(tail_len)) }.is_ok()
}

#[test]
fn items_are_validated_up_to_the_last_and_no_further() {
    let error = {
        let mut memory = Memory::of(b"\0\0\0\0\0\0\x02\0\0\0\0\0\x03\0\x02\0\0\0");
        // SAFETY: as in `is_valid`.
        unsafe { Route::validate(memory.message(2)) }.unwrap_err()
    };
    assert_eq!(error.to_string(), "`Step`.`Go.fast`: 2 is not a `bool`");
    assert!(is_valid::<Route>(b"\0\0\0\0\0\0\x02\0\0\0\0\0\x03\0\x01\0\0\0", 2));
    assert!(is_valid::<Route>(b"\0\0\0\0\0\0", 0));
    assert!(!is_valid::<Route>(b"\0\0\0\0\0\0\x02\0\0\0\0\0", 2), "the second step is rubbish");
    assert!(is_valid::<Packet>(&[], 240));
}

proptest! {
    #[test]
    fn text_is_valid_if_it_is_utf8(bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0x61u8..0x7f, Just(0xc3), Just(0xa9)], 0..12)) {
        prop_assert_eq!(is_valid::<str>(&bytes, bytes.len()), core::str::from_utf8(&bytes).is_ok());
        let line = [&[0; 8], &bytes[..]].concat();
        prop_assert_eq!(is_valid::<Line>(&line, bytes.len()), core::str::from_utf8(&bytes).is_ok());
    }

    /// Reading by the schema accepts what the type accepts, and writing gives the bytes back, of all that has a meaning.
    #[test]
    fn values_are_what_the_type_says(
        len in 0usize..5,
        items in prop::collection::vec(prop_oneof![2u8..5, 0u8..3, any::<u8>()], 6 * 5),
        name in prop::collection::vec(0x61u8..0x7f, 3),
    ) {
        let bytes = [&[3, 0], &name[..], &[0], &items[..6 * len]].concat();
        let schema = decode(Route::SCHEMA).unwrap();
        let read = schema.read(&bytes);
        prop_assert_eq!(read.is_ok(), is_valid::<Route>(&bytes, len), "{:?}", read);
        if let Ok(value) = read {
            prop_assert_eq!(schema.bytes_for(&value), bytes.len() as u64);
            let mut written = vec![0xff; bytes.len()];
            schema.write(&value, &mut written).unwrap();
            prop_assert_eq!(schema.read(&written), Ok(value));
        }
    }
}

#[test]
fn values_of_tails() {
    let schema = decode(Packet::SCHEMA).unwrap();
    let packet = b"\x07\0\0\0\0\0\0\0\x09\0data";
    let value = schema.read(packet).unwrap();
    assert_eq!(value.get("data"), Some(&Value::Bytes(b"data".to_vec())));
    let mut written = vec![0; schema.bytes_for(&value) as usize];
    schema.write(&value, &mut written).unwrap();
    assert_eq!(written, packet);
    assert_eq!(schema.read(&packet[..9]).unwrap_err().to_string(), "message: 9 bytes, where the message has 10");
    assert_eq!(
        schema.write(&value, &mut [0; 20]).unwrap_err().to_string(),
        "field `data`: 20 bytes, where the message has 14"
    );

    let schema = decode(Line::SCHEMA).unwrap();
    let value = Value::from([("level", None.into()), ("text", "grün".into())]);
    let mut written = vec![0; schema.bytes_for(&value) as usize];
    schema.write(&value, &mut written).unwrap();
    assert_eq!(written, [&[0; 8], "grün".as_bytes()].concat());
    assert_eq!(schema.read(&written), Ok(value));

    let schema = decode(<[u32]>::SCHEMA).unwrap();
    assert_eq!(schema.read(&[0; 10]).unwrap_err().to_string(), "message: 10 bytes, where the message has 0");
}
