//! Every shape that the derive carries: what is stored, what is left alone, and that a value comes out as it went in.

use core::fmt::Debug;
use core::mem::{MaybeUninit, offset_of};

use ipc_core::message::{IpcMessage, List, Opt, Str, from_bytes};
use ipc_core::schema::{Kind, Type};
use ipc_macros::IpcMessage;

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Prims {
    a: u8,
    b: i128,
    c: i8,
    d: u128,
    e: u16,
    f: f64,
    g: i16,
    h: u64,
    i: u32,
    j: i64,
    k: i32,
    l: f32,
    m: char,
    n: bool,
}

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq, Eq)]
#[ipc(crate = "ipc_core")]
#[repr(i16)]
enum Status {
    Lost = -300,
    Flown = 1,
    Landed,
}

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[ipc(crate = "ipc_core")]
#[repr(C, u16)]
enum Command {
    Stop,
    Move { x: f64, up: bool },
    Say(Str<7>, u8) = 9,
    Report(Status),
}

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[ipc(crate = "ipc_core")]
#[repr(C, align(64))]
struct Pair<T, U>
where
    T: IpcMessage,
    U: IpcMessage,
{
    first: T,
    second: U,
}

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[ipc(crate = "ipc_core")]
#[repr(C, u8)]
enum Either<T: IpcMessage, U: IpcMessage, const N: usize> {
    Left(T),
    Right { items: [U; N] },
    Neither,
}

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Id(u64, [u8; 3]);

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Dense {
    a: u32,
    b: [u16; 2],
    c: bool,
    d: [u8; 7],
}

/// Ends in another message, which lies behind padding.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Envelope<T: IpcMessage> {
    tag: u8,
    letter: Pair<T, Id>,
}

/// Is another message, and nothing besides.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Wrapped(Dense);

/// Stores a value over a background, and returns the bytes.
fn placed<T: IpcMessage>(value: &T, background: u8) -> Vec<u8> {
    let mut slot = MaybeUninit::<T>::uninit();
    // SAFETY: `slot` has this size.
    unsafe { slot.as_mut_ptr().cast::<u8>().write_bytes(background, size_of::<T>()) };
    // SAFETY: `slot` is aligned, writable, and private to this function.
    unsafe { value.place(slot.as_mut_ptr()) };
    // SAFETY: `write_bytes` initialised all bytes, and the stores of `place` did not undo that.
    unsafe { core::slice::from_raw_parts(slot.as_ptr().cast::<u8>(), size_of::<T>()) }.to_vec()
}

/// Marks the bytes at `at` that may mean something in some value of the type; the others are padding.
fn mark(ty: &Type, at: usize, meaningful: &mut [bool]) {
    let mut bytes = |at: usize, len: usize| meaningful[at..at + len].fill(true);
    match ty.kind {
        Kind::Prim(_) | Kind::Enum { .. } => bytes(at, ty.size),
        Kind::Str { capacity } => bytes(at, 2 + capacity),
        Kind::Array { item, len } => (0..len).for_each(|index| mark(item, at + index * item.size, meaningful)),
        Kind::Struct { fields } => fields.iter().for_each(|field| mark(field.ty, at + field.offset, meaningful)),
        // These tests are about messages of one length.
        Kind::Slice { .. } | Kind::Text => {}
        Kind::Opt { item, offset } => {
            bytes(at, 1);
            mark(item, at + offset, meaningful);
        }
        Kind::List { item, capacity, offset } => {
            bytes(at, 4);
            (0..capacity).for_each(|index| mark(item, at + offset + index * item.size, meaningful));
        }
        Kind::Union { tag, variants } => {
            bytes(at, tag.size_bytes() as usize);
            let fields = variants.iter().flat_map(|variant| variant.fields);
            fields.for_each(|field| mark(field.ty, at + field.offset, meaningful));
        }
    }
}

/// A value comes back, and its padding is not touched.
fn check<T: IpcMessage + PartialEq + Debug>(value: T) {
    let mut meaningful = vec![false; size_of::<T>()];
    mark(T::TYPE, 0, &mut meaningful);
    assert_eq!(T::DENSE, T::DENSE && meaningful.iter().all(|&byte| byte), "{} has padding", T::NAME);
    for background in [0, 0xff] {
        let bytes = placed(&value, background);
        assert_eq!(from_bytes::<T>(&bytes).as_ref(), Ok(&value));
        for (at, _) in meaningful.iter().enumerate().filter(|(_, meaningful)| !**meaningful) {
            assert_eq!(bytes[at], background, "padding byte {at} of {value:?} was written");
        }
        if T::DENSE {
            assert_eq!(bytes, placed(&value, !background), "a byte of {value:?} was left out");
        }
    }
}

#[test]
fn values_come_back_without_their_padding() {
    check(Prims {
        a: 1,
        b: -2,
        c: -3,
        d: 1 << 100,
        e: 5,
        f: 6.5,
        g: -7,
        h: 8 << 40,
        i: 9,
        j: -10,
        k: -11,
        l: 1.5,
        m: 'é',
        n: true,
    });
    check(Status::Lost);
    check(Status::Landed);
    check(Command::Stop);
    check(Command::Move { x: 1.0, up: true });
    check(Command::Say("abc".parse().unwrap(), 4));
    check(Command::Report(Status::Flown));
    check(Pair { first: Opt::Some(3u64), second: 'x' });
    check(Pair { first: Opt::<u64>::None, second: [Id(1, [2; 3]); 2] });
    check(Either::<u8, u64, 2>::Left(1));
    check(Either::<u8, u64, 2>::Right { items: [1, 2] });
    check(Either::<u8, u64, 2>::Neither);
    check([[Id(7, [1, 2, 3]); 2]; 3]);
    check(Envelope { tag: 1, letter: Pair { first: true, second: Id(2, [3; 3]) } });
    check(Wrapped(Dense { a: 1, b: [2, 3], c: true, d: [4; 7] }));
    check(Dense { a: 1, b: [2, 3], c: true, d: [4; 7] });
    check([Dense { a: 1, b: [2, 3], c: true, d: [4; 7] }; 3]);
    check([0x0102_0304_0506_0708u64; 5]);
    check([u128::MAX - 1; 2]);
    check([-1.5f32; 7]);
    check([true, false, true]);
    check(List::<Opt<u16>, 4>::from_slice(&[Opt::None, Opt::Some(4)]).unwrap());
    check(List::<u8, 3>::new());
    check(Str::<5>::new("héy").unwrap());
    check(Opt::Some(Str::<3>::truncated("long")));
}

#[test]
fn the_last_message_in_another_lies_where_the_compiler_has_put_it() {
    let last = |ty: &Type| match ty.kind {
        Kind::Struct { fields } => fields.last().map(|field| field.offset),
        _ => None,
    };
    assert_eq!(last(Envelope::<u16>::TYPE), Some(offset_of!(Envelope<u16>, letter)));
    assert_eq!(last(Wrapped::TYPE), Some(0));
    assert_eq!(Envelope::<u16>::TYPE.size, size_of::<Envelope<u16>>());
    assert_eq!(Envelope::<u16>::TYPE.align, 64);
}

#[test]
fn density_is_the_absence_of_padding() {
    const { assert!(Dense::DENSE && Status::DENSE && <[Dense; 2]>::DENSE) };
    const { assert!(!Id::DENSE && !Prims::DENSE && !Command::DENSE && !<Opt<u8>>::DENSE && !<List<u8, 4>>::DENSE) };
}

#[test]
fn only_what_is_used_is_stored() {
    let list = List::<u16, 4>::from_slice(&[1, 2]).unwrap();
    assert_eq!(placed(&list, 0xee)[8..], [0xee; 4]);
    assert_eq!(placed(&Str::<6>::new("ab").unwrap(), 0xee)[4..], [0xee; 4]);
    assert_eq!(placed(&Opt::<u16>::None, 0xee)[1..], [0xee; 3]);
    assert_eq!(placed(&Command::Stop, 0xee)[2..], [0xee; size_of::<Command>() - 2]);
}

#[test]
fn unused_items_of_a_list_may_be_anything() {
    let mut bytes = placed(&List::<bool, 3>::from_slice(&[true]).unwrap(), 0xff);
    assert_eq!(from_bytes::<List<bool, 3>>(&bytes).unwrap()[..], [true]);
    bytes[5] = 1;
    bytes[0] = 2;
    assert_eq!(from_bytes::<List<bool, 3>>(&bytes).unwrap()[..], [true, true]);
    bytes[0] = 3;
    assert!(from_bytes::<List<bool, 3>>(&bytes).is_err());
}

#[test]
fn a_large_blank_array_is_zero() {
    let mut slot = Box::new(MaybeUninit::<Pair<u8, [u8; 1_000]>>::uninit());
    let size = size_of_val(&*slot);
    // SAFETY: `slot` has this size.
    unsafe { slot.as_mut_ptr().cast::<u8>().write_bytes(0xff, size) };
    // SAFETY: `slot` is aligned, writable, and private to this function.
    unsafe { IpcMessage::place_blank(slot.as_mut_ptr()) };
    // SAFETY: all bytes were initialised, and any are valid.
    let blank = unsafe { slot.assume_init_ref() };
    assert_eq!(blank, &Pair { first: 0, second: [0; 1_000] });
}

#[test]
fn a_list_behaves_like_a_vector() {
    let mut list = List::<u32, 3>::default();
    assert!(list.is_empty() && list.pop().is_none() && list.capacity() == 3);
    for item in 0..3 {
        assert_eq!(list.push(item), Ok(()));
    }
    assert_eq!(list.push(9), Err(9));
    list[1] = 7;
    assert_eq!(format!("{list:?}"), "[0, 7, 2]");
    assert_eq!(list.iter().sum::<u32>(), 9);
    let copy = list;
    assert_eq!(list.pop(), Some(2));
    assert_ne!(list, copy);
    list.clear();
    assert_eq!(list, List::new());
    assert!(List::<u32, 3>::try_from(&[1, 2, 3, 4][..]).is_err());
    let mut rest = 1..=9;
    assert_eq!(List::<_, 3>::from_iter_truncated(rest.by_ref().map(u64::from))[..], [1, 2, 3]);
    assert_eq!(rest.next(), Some(4u32));
}

#[test]
fn a_str_behaves_like_text() {
    let mut text = Str::<6>::new("abc").unwrap();
    assert_eq!(
        text.push_str("defg").unwrap_err().to_string(),
        "a length of 7 does not fit into 6: use a larger `Str`, or a longer loan, or cut it (`Str::truncated`)"
    );
    assert_eq!(text, "abc");
    text.push_str("déf").unwrap_err();
    text.push_str("dé").unwrap();
    assert_eq!(
        (text.as_str(), format!("{text:>8}"), format!("{text:?}")),
        ("abcdé", "   abcdé".into(), "\"abcdé\"".into())
    );
    assert!("abc" < text.as_str() && Str::<6>::new("b").unwrap() > text);
    assert_eq!(Str::<3>::truncated("aéé"), "aé");
    assert_eq!(Str::<2>::truncated("aéé"), "a");
    assert_eq!(Str::<0>::truncated("aéé"), "");

    // Comparison and hashing are of the text only, whatever lies behind it.
    let mut shorter = Str::<6>::new("abcdef").unwrap();
    shorter.clear();
    shorter.push_str("x").unwrap();
    assert_eq!(shorter, Str::<6>::new("x").unwrap());
    let set = std::collections::HashSet::from([shorter]);
    assert!(set.contains("x"));
}
