//! Holds `from_bytes`, and with it `validate`, against oracles: zerocopy's `TryFromBytes` for the shapes that it can
//! express, and a few lines written by hand for those that it cannot.

use core::cell::Cell;
use core::fmt::Debug;
use core::mem::{MaybeUninit, offset_of};

use ipc_core::message::{IpcMessage, List, Opt, Str, from_bytes};
use ipc_macros::IpcMessage;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use zerocopy::{Immutable, KnownLayout, TryFromBytes};

/// A message of zerocopy's as well as ours.
macro_rules! both {
    ($($item:item)*) => {$(
        #[derive(IpcMessage, TryFromBytes, KnownLayout, Immutable, Clone, Copy, Debug)]
        #[ipc(crate = "ipc_core")]
        #[allow(dead_code)]
        $item
    )*};
}

both! {
    #[repr(C)]
    struct Numbers {
        a: u8,
        b: u64,
        c: i16,
        d: f32,
        e: u128,
        f: i8,
        g: f64,
    }

    #[repr(C)]
    struct Checked {
        yes: bool,
        letter: char,
        no: bool,
    }

    #[repr(u8)]
    #[derive(PartialEq)]
    enum Status {
        Flown = 1,
        Cancelled,
        Diverted = 7,
    }

    #[repr(i8)]
    enum Signed {
        Low = -2,
        Lower = -128,
        Zero = 0,
        One,
    }

    #[repr(i32)]
    enum Wide {
        Zero,
        Some = 0x0101,
        Minus = -1,
    }

    #[repr(u64)]
    enum Widest {
        Zero,
        Two = 2,
        Large = 0x0001_0000_0000_0003,
    }

    #[repr(C)]
    struct Nested {
        status: Status,
        checked: [Checked; 2],
        signed: [[Signed; 2]; 2],
        pair: Tuple,
    }

    #[repr(C)]
    struct Tuple(u16, bool, [u8; 5]);

    #[repr(C, align(32))]
    struct Aligned {
        status: Status,
        last: bool,
    }
}

#[derive(IpcMessage, Clone, Copy, Debug)]
#[ipc(crate = "ipc_core")]
#[repr(C, u8)]
enum Command {
    Stop,
    Move { far: u64, up: bool },
    Set(Status, u32),
    Flags([bool; 3]) = 9,
    Nothing(),
}

#[derive(IpcMessage, Clone, Copy, Debug)]
#[ipc(crate = "ipc_core")]
#[repr(C, u16)]
enum Wider {
    Zero(bool),
    Command(Command),
    Letter { letter: char } = 0x0102,
}

/// [`Command`] for zerocopy, which takes no `repr(C, u8)`. In a plain `repr(u8)` each variant is laid out by itself, so
/// the padding that aligns the strictest variant is spelled out in the others.
#[derive(TryFromBytes, KnownLayout, Immutable)]
#[repr(u8)]
#[allow(dead_code)]
enum PlainCommand {
    Stop,
    Move { far: u64, up: bool },
    Set([u8; 7], Status, u32),
    Flags([u8; 7], [bool; 3]) = 9,
    Nothing(),
}

/// [`Wider`] for zerocopy, likewise.
#[derive(TryFromBytes, KnownLayout, Immutable)]
#[repr(u16)]
#[allow(dead_code)]
enum PlainWider {
    Zero([u8; 6], bool),
    Command(PlainCommand),
    Letter { padding: [u8; 6], letter: char } = 0x0102,
}

impl From<PlainCommand> for Command {
    fn from(plain: PlainCommand) -> Self {
        match plain {
            PlainCommand::Stop => Self::Stop,
            PlainCommand::Move { far, up } => Self::Move { far, up },
            PlainCommand::Set(_, status, number) => Self::Set(status, number),
            PlainCommand::Flags(_, flags) => Self::Flags(flags),
            PlainCommand::Nothing() => Self::Nothing(),
        }
    }
}

impl From<PlainWider> for Wider {
    fn from(plain: PlainWider) -> Self {
        match plain {
            PlainWider::Zero(_, yes) => Self::Zero(yes),
            PlainWider::Command(command) => Self::Command(command.into()),
            PlainWider::Letter { letter, .. } => Self::Letter { letter },
        }
    }
}

/// Random bytes, bytes of which most are small, as valid tags, lengths and flags are, and a valid value of which a few
/// bytes are changed.
fn candidates(valid: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let len = valid.len();
    let small = prop_oneof![20 => Just(0u8), 20 => 0..4u8, 2 => b' '..b'~', 1 => any::<u8>()];
    let change = (0..len, prop_oneof![3 => 0..4u8, 1 => any::<u8>()]);
    let changed = prop::collection::vec(change, 0..4).prop_map(move |changes| {
        let mut bytes = valid.clone();
        changes.into_iter().for_each(|(at, byte)| bytes[at] = byte);
        bytes
    });
    prop_oneof![
        2 => changed,
        1 => prop::collection::vec(small, len),
        1 => prop::collection::vec(any::<u8>(), len),
    ]
}

/// Stores a value over a background, and returns the bytes.
fn placed<T: IpcMessage>(background: u8, place: impl FnOnce(*mut T)) -> Vec<u8> {
    let mut slot = MaybeUninit::<T>::uninit();
    // SAFETY: `slot` has this size.
    unsafe { slot.as_mut_ptr().cast::<u8>().write_bytes(background, size_of::<T>()) };
    place(slot.as_mut_ptr());
    // SAFETY: `write_bytes` initialised all bytes, and the stores of `place` did not undo that.
    unsafe { core::slice::from_raw_parts(slot.as_ptr().cast::<u8>(), size_of::<T>()) }.to_vec()
}

/// Runs random bytes through `from_bytes` and an oracle. Whatever is accepted also has to survive being placed.
fn agree<T: IpcMessage + Debug>(oracle: impl Fn(&[u8]) -> Option<String>) {
    let (accepted, refused) = (Cell::new(0), Cell::new(0));
    // SAFETY: `placed` hands out an aligned and private slot.
    let blank = placed(0xff, |slot| unsafe { T::place_blank(slot) });
    assert!(from_bytes::<T>(&blank).is_ok(), "{}: the blank value is invalid", T::NAME);
    let config = Config { cases: 1_000, failure_persistence: None, ..Config::default() };
    let run = TestRunner::new(config).run(&candidates(blank), |bytes| {
        let read = from_bytes::<T>(&bytes);
        prop_assert_eq!(read.as_ref().ok().map(|value| format!("{value:?}")), oracle(&bytes));
        match read {
            Err(_) => refused.set(refused.get() + 1),
            Ok(value) => {
                accepted.set(accepted.get() + 1);
                // SAFETY: `placed` hands out an aligned and private slot.
                let again = placed(0xa5, |slot| unsafe { value.place(slot) });
                let again = from_bytes::<T>(&again);
                prop_assert_eq!(format!("{again:?}"), format!("Ok({value:?})"));
            }
        }
        Ok(())
    });
    run.unwrap();
    assert!(accepted.get() >= 50, "{}: only {} accepted", T::NAME, accepted.get());
    assert!(T::ANY_BITS || refused.get() >= 50, "{}: only {} refused", T::NAME, refused.get());
}

fn agrees_with_zerocopy<T: IpcMessage + TryFromBytes + Debug>() {
    agree::<T>(|bytes| T::try_read_from_bytes(bytes).ok().map(|value| format!("{value:?}")));
}

#[test]
fn numbers_agree_with_zerocopy() {
    const { assert!(Numbers::ANY_BITS) };
    agrees_with_zerocopy::<Numbers>();
    agrees_with_zerocopy::<[i128; 2]>();
}

#[test]
fn primitives_agree_with_zerocopy() {
    agrees_with_zerocopy::<bool>();
    agrees_with_zerocopy::<char>();
    agrees_with_zerocopy::<Checked>();
}

#[test]
fn enums_agree_with_zerocopy() {
    agrees_with_zerocopy::<Status>();
    agrees_with_zerocopy::<Signed>();
    agrees_with_zerocopy::<Wide>();
    agrees_with_zerocopy::<Widest>();
}

#[test]
#[cfg_attr(target_pointer_width = "32", ignore = "an f64 need not be aligned to 8 bytes here")]
fn enums_with_fields_agree_with_zerocopy() {
    fn agrees_with_plain<T: IpcMessage + Debug + From<P>, P: TryFromBytes>() {
        assert_eq!((size_of::<T>(), align_of::<T>()), (size_of::<P>(), align_of::<P>()));
        agree::<T>(|bytes| P::try_read_from_bytes(bytes).ok().map(|plain| format!("{:?}", T::from(plain))));
    }
    agrees_with_plain::<Command, PlainCommand>();
    agrees_with_plain::<Wider, PlainWider>();
}

#[test]
fn nested_types_agree_with_zerocopy() {
    agrees_with_zerocopy::<Nested>();
    agrees_with_zerocopy::<Aligned>();
    agrees_with_zerocopy::<[Tuple; 3]>();
}

#[test]
fn opt_agrees_with_the_oracle() {
    agree::<Opt<bool>>(|bytes| match bytes {
        [0, _] => Some("None".into()),
        [1, 0] => Some("Some(false)".into()),
        [1, 1] => Some("Some(true)".into()),
        _ => None,
    });
    agree::<Opt<u32>>(|bytes| match bytes[0] {
        0 => Some("None".into()),
        1 => Some(format!("{:?}", Some(u32::from_ne_bytes(bytes[4..].try_into().unwrap())))),
        _ => None,
    });
}

#[test]
fn str_agrees_with_the_oracle() {
    fn oracle(bytes: &[u8], capacity: usize) -> Option<String> {
        let (len, text) = bytes.split_first_chunk().unwrap();
        let text = text[..capacity].get(..u16::from_ne_bytes(*len).into())?;
        core::str::from_utf8(text).ok().map(|text| format!("{text:?}"))
    }
    agree::<Str<5>>(|bytes| oracle(bytes, 5));
    agree::<Str<2>>(|bytes| oracle(bytes, 2));
    agree::<Str<0>>(|bytes| oracle(bytes, 0));
    agree::<Str<300>>(|bytes| oracle(bytes, 300));
}

#[test]
#[cfg_attr(target_pointer_width = "32", ignore = "an f64 need not be aligned to 8 bytes here")]
fn list_agrees_with_the_oracle() {
    agree::<List<bool, 3>>(|bytes| {
        let (len, items) = bytes.split_first_chunk().unwrap();
        let items = items[..3].get(..u32::from_ne_bytes(*len) as usize)?;
        items
            .iter()
            .all(|&item| item <= 1)
            .then(|| format!("{:?}", items.iter().map(|&it| it == 1).collect::<Vec<_>>()))
    });
    agree::<List<u64, 2>>(|bytes| {
        let len = u32::from_ne_bytes(bytes[..4].try_into().unwrap()) as usize;
        let items = bytes[8..].chunks_exact(8).map(|item| u64::from_ne_bytes(item.try_into().unwrap()));
        (len <= 2).then(|| format!("{:?}", items.take(len).collect::<Vec<_>>()))
    });
}

#[test]
fn every_tag_of_a_byte_is_decided() {
    for tag in 0..=u8::MAX {
        assert_eq!(from_bytes::<Status>(&[tag]).is_ok(), matches!(tag, 1 | 2 | 7));
        assert_eq!(from_bytes::<bool>(&[tag]).is_ok(), tag <= 1);
        assert_eq!(from_bytes::<Opt<u8>>(&[tag, 0]).is_ok(), tag <= 1);
    }
}

#[test]
fn any_bits_means_that_nothing_is_checked() {
    fn check<T: IpcMessage>() {
        assert!(T::ANY_BITS);
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            assert!(from_bytes::<T>(&vec![byte; size_of::<T>()]).is_ok());
        }
    }
    check::<u8>();
    check::<i128>();
    check::<f64>();
    check::<[[u16; 3]; 2]>();
    check::<Numbers>();
    const { assert!(!bool::ANY_BITS && !char::ANY_BITS && !Status::ANY_BITS && !Checked::ANY_BITS) };
    const { assert!(!<[bool; 2]>::ANY_BITS && !<Opt<u8>>::ANY_BITS && !Command::ANY_BITS) };
    const { assert!(!<Str<1>>::ANY_BITS && !<List<u8, 1>>::ANY_BITS) };
}

#[test]
fn the_error_names_the_innermost_field() {
    let text = |at: usize, byte: u8| {
        let mut bytes = placed::<Nested>(0, |slot| {
            // SAFETY: `placed` hands out an aligned and private slot.
            unsafe { Nested::place_blank(slot) }
        });
        bytes[at] = byte;
        from_bytes::<Nested>(&bytes).unwrap_err().to_string()
    };
    assert_eq!(text(offset_of!(Nested, status), 3), "`Nested`.`status`: 3 is not a variant of `Status`");
    assert_eq!(text(offset_of!(Nested, signed), 100), "`Nested`.`signed`: 100 is not a variant of `Signed`");
    assert_eq!(text(offset_of!(Nested, signed), 0x9c), "`Nested`.`signed`: -100 is not a variant of `Signed`");
    assert_eq!(
        text(offset_of!(Nested, checked) + size_of::<Checked>() + offset_of!(Checked, no), 2),
        "`Checked`.`no`: 2 is not a `bool`"
    );
    assert_eq!(text(offset_of!(Nested, pair) + 2, 9), "`Tuple`.`1`: 9 is not a `bool`");

    let refused = from_bytes::<Command>(&{
        let mut bytes = [0; size_of::<Command>()];
        bytes[0] = 2;
        bytes
    });
    assert_eq!(refused.unwrap_err().to_string(), "`Command`.`Set.0`: 0 is not a variant of `Status`");
    assert_eq!(from_bytes::<Status>(&[9]).unwrap_err().to_string(), "9 is not a variant of `Status`");
    assert_eq!(
        from_bytes::<Str<4>>(&[5, 0, 0, 0, 0, 0]).unwrap_err().to_string(),
        "length 5 exceeds the capacity of 4"
    );
    assert_eq!(
        from_bytes::<Str<4>>(&[2, 0, b'a', 0xff, 0, 0]).unwrap_err().to_string(),
        "the text is not UTF-8 from byte 1 on"
    );
    assert_eq!(from_bytes::<u16>(&[1]).unwrap_err().to_string(), "1 bytes, where the message has 2");
}
