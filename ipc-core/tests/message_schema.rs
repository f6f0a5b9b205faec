//! Schemas and fingerprints: what they tell apart, that they decode to what was encoded, and that decoding survives
//! anything.

use ipc_core::message::{IpcMessage, List, Opt, Str};
use ipc_core::schema::tree::Schema;
use ipc_core::schema::{DecodeError, FORMAT_VERSION, MAX_SCHEMA_BYTES, decode, diff, fingerprint};
use ipc_macros::IpcMessage;
use proptest::prelude::*;

/// Declares messages in a module of their own, so that variations of one type keep its name.
macro_rules! messages {
    ($($module:ident { $($item:item)* })*) => {$(
        #[allow(dead_code)]
        mod $module {
            use super::*;
            $(
                #[derive(IpcMessage, Clone, Copy)]
                #[ipc(crate = "ipc_core")]
                $item
            )*
        }
    )*};
}

messages! {
    original {
        #[repr(C)]
        pub(super) struct Tick {
            id: u32,
            flags: u32,
            price: f64,
            state: State,
            note: Str<6>,
            order: Order,
        }
        #[repr(u8)]
        pub(super) enum State { Open = 1, Closed = 2 }
        #[repr(C, u8)]
        pub(super) enum Order { None, Limit { price: f64, size: u32 }, Market(u32) }
    }
    elsewhere {
        #[repr(C)]
        pub(super) struct Tick {
            id: u32,
            flags: u32,
            price: f64,
            state: State,
            note: Str<6>,
            order: Order,
        }
        #[repr(u8)]
        pub(super) enum State { Open = 1, Closed = 2 }
        #[repr(C, u8)]
        pub(super) enum Order { None, Limit { price: f64, size: u32 }, Market(u32) }
    }
    swapped {
        #[repr(C)]
        pub(super) struct Tick {
            flags: u32,
            id: u32,
            price: f64,
            state: original::State,
            note: Str<6>,
            order: original::Order,
        }
    }
    renamed {
        #[repr(C)]
        pub(super) struct Tick {
            id: u32,
            flags: u32,
            cost: f64,
            state: original::State,
            note: Str<6>,
            order: original::Order,
        }
    }
    narrowed {
        #[repr(C)]
        pub(super) struct Tick {
            id: u32,
            flags: u32,
            price: f32,
            state: original::State,
            note: Str<6>,
            order: original::Order,
        }
    }
    revalued {
        #[repr(C)]
        pub(super) struct Tick {
            id: u32,
            flags: u32,
            price: f64,
            state: State,
            note: Str<6>,
            order: original::Order,
        }
        #[repr(u8)]
        pub(super) enum State { Open = 1, Closed = 3 }
    }
    revariant {
        #[repr(C)]
        pub(super) struct Tick {
            id: u32,
            flags: u32,
            price: f64,
            state: State,
            note: Str<6>,
            order: original::Order,
        }
        #[repr(u8)]
        pub(super) enum State { Open = 1, Shut = 2, Halted = 3 }
    }
    rebounded {
        #[repr(C)]
        pub(super) struct Tick {
            id: u32,
            flags: u32,
            price: f64,
            state: original::State,
            note: Str<5>,
            order: original::Order,
        }
    }
    reordered {
        #[repr(C)]
        pub(super) struct Tick {
            id: u32,
            flags: u32,
            price: f64,
            state: original::State,
            note: Str<6>,
            order: Order,
        }
        #[repr(C, u8)]
        pub(super) enum Order { None, Limit { size: u32, price: f64 }, Market(u32), Stop(bool) }
    }
    shortened {
        #[repr(C)]
        pub(super) struct Tick { id: u32, flags: u32, price: f64, state: original::State }
    }
    retyped {
        #[ipc(name = "Tock")]
        #[repr(C)]
        pub(super) struct Tick {
            id: u32,
            flags: u32,
            price: f64,
            state: original::State,
            note: Str<6>,
            order: original::Order,
        }
    }
    realigned {
        #[repr(C, align(16))]
        pub(super) struct Tick {
            id: u32,
            flags: u32,
            price: f64,
            state: original::State,
            note: Str<6>,
            order: original::Order,
        }
    }
}

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Wrapped<T: IpcMessage> {
    list: List<Inner<T>, 4>,
    table: [[Opt<Inner<T>>; 2]; 3],
}

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Inner<T: IpcMessage> {
    tick: T,
}

/// What `diff` says, a line each.
fn lines<T: IpcMessage, U: IpcMessage>() -> Vec<String> {
    diff(T::SCHEMA, U::SCHEMA).iter().map(ToString::to_string).collect()
}

// All of it is there at compile time, of generic types too.
const _: u128 = original::Tick::FINGERPRINT;
const _: () = assert!(<Wrapped<original::Tick>>::FINGERPRINT != <Wrapped<renamed::Tick>>::FINGERPRINT);
const _: () = assert!(original::Tick::SCHEMA[0] == FORMAT_VERSION);

#[test]
fn the_fingerprint_tells_apart_what_differs() {
    use original::Tick;
    assert_eq!(Tick::FINGERPRINT, elsewhere::Tick::FINGERPRINT, "the module path does not matter");
    let all = [
        Tick::FINGERPRINT,
        swapped::Tick::FINGERPRINT,
        renamed::Tick::FINGERPRINT,
        narrowed::Tick::FINGERPRINT,
        revalued::Tick::FINGERPRINT,
        revariant::Tick::FINGERPRINT,
        rebounded::Tick::FINGERPRINT,
        reordered::Tick::FINGERPRINT,
        shortened::Tick::FINGERPRINT,
        retyped::Tick::FINGERPRINT,
        realigned::Tick::FINGERPRINT,
    ];
    let distinct: std::collections::HashSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
    // Of the same size, so that nothing but the schema tells them apart.
    assert_eq!(size_of::<Tick>(), size_of::<swapped::Tick>());
    assert_eq!(size_of::<Tick>(), size_of::<rebounded::Tick>());
    assert_ne!(<[u8; 4]>::FINGERPRINT, <[u8; 5]>::FINGERPRINT);
    assert_ne!(<List<u8, 4>>::FINGERPRINT, <List<u8, 5>>::FINGERPRINT);
    assert_ne!(<List<u8, 4>>::FINGERPRINT, <List<i8, 4>>::FINGERPRINT);
    assert_ne!(<Opt<u32>>::FINGERPRINT, <Opt<f32>>::FINGERPRINT);
    assert_ne!(<Str<5>>::FINGERPRINT, <Str<6>>::FINGERPRINT);
    assert_ne!(u32::FINGERPRINT, f32::FINGERPRINT);
}

#[test]
#[cfg_attr(target_pointer_width = "32", ignore = "an f64 need not be aligned to 8 bytes here")]
fn differences_are_named() {
    use original::Tick;
    assert!(lines::<Tick, elsewhere::Tick>().is_empty());
    assert_eq!(
        lines::<Tick, swapped::Tick>(),
        [
            "field `id`: u32 at byte 0 here, u32 at byte 4 in the segment",
            "field `flags`: u32 at byte 4 here, u32 at byte 0 in the segment",
        ]
    );
    assert_eq!(
        lines::<Tick, renamed::Tick>(),
        ["field `price`: f64 at byte 8 has this name here, and is `cost` in the segment"]
    );
    assert_eq!(lines::<Tick, narrowed::Tick>()[0], "field `price`: f64 at byte 8 here, f32 at byte 8 in the segment");
    assert_eq!(
        lines::<Tick, revalued::Tick>(),
        ["field `state`: variant `Closed` = 2 here, variant `Closed` = 3 in the segment"]
    );
    assert_eq!(
        lines::<Tick, revariant::Tick>(),
        [
            "field `state`: variant 2 is `Closed` here, `Shut` in the segment",
            "field `state`: variant `Halted` missing here, = 3 in the segment",
        ]
    );
    assert_eq!(lines::<revariant::Tick, Tick>()[1], "field `state`: variant `Halted` = 3 here, missing in the segment");
    assert_eq!(
        lines::<Tick, rebounded::Tick>(),
        ["field `note`: Str<6> at byte 18 here, Str<5> at byte 18 in the segment"]
    );
    assert_eq!(
        lines::<Tick, reordered::Tick>(),
        [
            "field `order.Limit.price`: f64 at byte 8 here, f64 at byte 16 in the segment",
            "field `order.Limit.size`: u32 at byte 16 here, u32 at byte 8 in the segment",
            "field `order`: variant `Stop` missing here, = 3 in the segment",
        ]
    );
    assert_eq!(
        lines::<Tick, shortened::Tick>(),
        [
            "field `note`: Str<6> at byte 18 here, missing in the segment",
            "field `order`: Order at byte 32 here, missing in the segment",
            "message: 56 bytes here, 24 bytes in the segment",
        ]
    );
    assert_eq!(lines::<shortened::Tick, Tick>()[0], "field `note`: missing here, Str<6> at byte 18 in the segment");
    assert_eq!(lines::<Tick, retyped::Tick>(), ["message: Tick here, Tock in the segment"]);
    assert_eq!(
        lines::<Tick, realigned::Tick>(),
        ["message: 56 bytes here, 64 bytes in the segment", "message: alignment 8 here, alignment 16 in the segment",]
    );
}

#[test]
fn differences_are_found_at_any_depth() {
    assert_eq!(
        lines::<Wrapped<original::Tick>, Wrapped<revalued::Tick>>(),
        [
            "field `list[].tick.state`: variant `Closed` = 2 here, variant `Closed` = 3 in the segment",
            "field `table[][].tick.state`: variant `Closed` = 2 here, variant `Closed` = 3 in the segment",
        ]
    );
    assert_eq!(lines::<Opt<u16>, Opt<u32>>()[0], "message: Opt<u16> here, Opt<u32> in the segment");
    assert_eq!(lines::<original::Order, original::State>(), ["message: Order here, State in the segment"]);
    assert_eq!(
        lines::<original::Order, elsewhere_struct::Order>(),
        ["message: an enum with fields here, a struct in the segment"]
    );
}

messages! {
    elsewhere_struct {
        #[repr(C)]
        pub(super) struct Order { a: u8 }
    }
}

/// What is said of numbers of 8 bytes that are aligned to 4 on one side.
fn remedy(path: &str, narrow: &str, wide: &str) -> String {
    let of = if path.is_empty() { "message".into() } else { format!("field `{path}`") };
    format!(
        "{of}: numbers of 8 bytes are aligned to 4 {narrow} (as on 32-bit x86) and to 8 {wide}: in both programs, declare \
         what they are in `#[repr(C, align(8))]` and have them at multiples of 8; those in an `Opt`, a `List` or an enum, in \
         a struct of their own"
    )
}

#[test]
fn numbers_that_only_one_processor_aligns_to_8_are_named_with_the_remedy() {
    let lines = |ours: &[u8], theirs: &[u8]| diff(ours, theirs).iter().map(ToString::to_string).collect::<Vec<_>>();
    let (here, there) = ("here", "in the segment");
    // struct Tick { id: u32, price: f64 }, as x86_64 and as i686 have it.
    let wide = b"\x01\x41\x04Tick\x10\x08\x02\x02id\x00\x12\x05price\x08\x23";
    let narrow = b"\x01\x41\x04Tick\x0c\x04\x02\x02id\x00\x12\x05price\x04\x23";
    assert_eq!(
        lines(wide, narrow),
        [
            "field `price`: f64 at byte 8 here, f64 at byte 4 in the segment",
            "message: 16 bytes here, 12 bytes in the segment",
            "message: alignment 8 here, alignment 4 in the segment",
            &remedy("price", there, here),
        ]
    );
    assert_eq!(lines(narrow, wide)[3], remedy("price", here, there));
    // With `align(8)` alone, the number is where it was.
    let aligned = b"\x01\x41\x04Tick\x10\x08\x02\x02id\x00\x12\x05price\x04\x23";
    assert_eq!(lines(wide, aligned)[1..], [remedy("price", there, here)]);
    // struct Pair { both: [u64; 2] }, which differs in nothing but the alignment.
    let wide = b"\x01\x41\x04Pair\x10\x08\x01\x04both\x00\x40\x02\x13";
    let narrow = b"\x01\x41\x04Pair\x10\x04\x01\x04both\x00\x40\x02\x13";
    assert_eq!(lines(wide, narrow)[1..], [remedy("", there, here)]);
    // Opt<u64> and List<u64, 2>.
    assert_eq!(lines(b"\x01\x44\x04\x13", b"\x01\x44\x08\x13")[1..], [remedy("", here, there)]);
    assert_eq!(lines(b"\x01\x46\x02\x08\x13", b"\x01\x46\x02\x04\x13")[1..], [remedy("", there, here)]);
    // enum Order { Limit { price: f64 } } of repr(C, u8).
    let wide = b"\x01\x43\x05Order\x10\x08\x10\x01\x05Limit\x01\x01\x05price\x08\x23";
    let narrow = b"\x01\x43\x05Order\x0c\x04\x10\x01\x05Limit\x01\x01\x05price\x04\x23";
    assert_eq!(lines(wide, narrow).last(), Some(&remedy("Limit.price", there, here)));
    // Other reasons for other places have another remedy.
    let swapped = b"\x01\x41\x04Tick\x10\x08\x02\x05price\x00\x23\x02id\x08\x12";
    let tick = b"\x01\x41\x04Tick\x10\x08\x02\x02id\x00\x12\x05price\x08\x23";
    assert!(lines(tick, swapped).iter().all(|line| !line.contains("aligned to 4")));
}

#[test]
fn unreadable_schemas_are_a_difference() {
    let ours = u32::SCHEMA;
    let of = |theirs: &[u8]| diff(ours, theirs).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(of(&[]), ["message: the schema in the segment cannot be read: the schema ends early"]);
    assert_eq!(
        of(&[2, 0x10]),
        [
            "message: the schema in the segment cannot be read: the schema has format version 2, and this program reads version 1"
        ]
    );
}

/// The tree that is encoded, and the one that is decoded, are the same.
fn round_trip<T: IpcMessage>() {
    assert_eq!(decode(T::SCHEMA).as_ref(), Ok(&Schema::from(T::TYPE)), "{}", T::NAME);
    assert_eq!(decode(T::SCHEMA).unwrap().size_bytes(), size_of::<T>() as u64, "{}", T::NAME);
    assert_eq!(T::FINGERPRINT, fingerprint(T::SCHEMA));
    for len in 0..T::SCHEMA.len() {
        assert_eq!(decode(&T::SCHEMA[..len]), Err(DecodeError::Truncated), "{} cut to {len}", T::NAME);
    }
    let longer = [T::SCHEMA, &[0]].concat();
    assert_eq!(decode(&longer), Err(DecodeError::Trailing(T::SCHEMA.len())));
}

#[test]
fn schemas_decode_to_what_was_encoded() {
    round_trip::<original::Tick>();
    round_trip::<reordered::Tick>();
    round_trip::<Wrapped<realigned::Tick>>();
    round_trip::<Opt<List<[Str<3>; 2], 5>>>();
    round_trip::<List<u128, 3>>();
    round_trip::<List<u8, 3>>();
    round_trip::<Str<0>>();
    round_trip::<[u8; 1_000_000]>();
    macro_rules! prims {
        ($($prim:ty)*) => { $(round_trip::<$prim>();)* };
    }
    prims!(bool char u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 f32 f64);
}

#[test]
#[cfg_attr(target_pointer_width = "32", ignore = "an f64 need not be aligned to 8 bytes here")]
fn the_encoded_form_is_the_documented_one() {
    assert_eq!(u16::SCHEMA, [1, 0x11]);
    assert_eq!(<[Opt<u64>; 300]>::SCHEMA, [1, 0x40, 0xac, 0x02, 0x44, 8, 0x13]);
    assert_eq!(<List<Str<9>, 2>>::SCHEMA, [1, 0x46, 2, 4, 0x45, 9]);
    assert_eq!(original::State::SCHEMA, b"\x01\x42\x05State\x10\x02\x04Open\x01\x06Closed\x02");
    assert_eq!(
        original::Order::SCHEMA,
        b"\x01\x43\x05Order\x18\x08\x10\x03\x04None\x00\x00\x05Limit\x01\x02\x05price\x08\x23\x04size\x10\x12\
          \x06Market\x02\x01\x010\x08\x12"
    );
    assert_eq!(elsewhere_struct::Order::SCHEMA, b"\x01\x41\x05Order\x01\x01\x01\x01a\x00\x10");
}

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(i8)]
#[allow(dead_code)]
enum Negative {
    Low = -1,
}

#[test]
fn negative_values_are_zero_extended() {
    assert_eq!(Negative::SCHEMA, b"\x01\x42\x08Negative\x18\x01\x03Low\xff\x01");
    assert_eq!(decode(Negative::SCHEMA).unwrap().to_string(), "enum Negative { // i8\n    Low = -1,\n}");
}

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Four<T: IpcMessage> {
    a_field_with_a_name_that_takes_its_share_of_the_bytes: T,
    b_field_with_a_name_that_takes_its_share_of_the_bytes: T,
    c_field_with_a_name_that_takes_its_share_of_the_bytes: T,
    d_field_with_a_name_that_takes_its_share_of_the_bytes: T,
}

#[test]
fn long_schemas_fit_the_larger_arrays() {
    type Large = Four<Four<Four<u8>>>;
    assert!(<Four<u8>>::SCHEMA.len() < 256);
    assert!((257..=1_024).contains(&<Wrapped<original::Tick>>::SCHEMA.len()));
    assert!((1_025..=4_096).contains(&<Four<Four<u16>>>::SCHEMA.len()));
    assert!((4_097..=MAX_SCHEMA_BYTES).contains(&Large::SCHEMA.len()));
    round_trip::<Four<Four<u16>>>();
    assert_eq!(decode(Large::SCHEMA).as_ref(), Ok(&Schema::from(Large::TYPE)));
}

#[test]
#[cfg_attr(target_pointer_width = "32", ignore = "an f64 need not be aligned to 8 bytes here")]
fn a_schema_shows_as_declarations() {
    assert_eq!(
        decode(<Opt<original::Tick>>::SCHEMA).unwrap().to_string(),
        "\
Opt<Tick>

struct Tick { // 56 bytes, aligned to 8
    id: u32, // at byte 0
    flags: u32, // at byte 4
    price: f64, // at byte 8
    state: State, // at byte 16
    note: Str<6>, // at byte 18
    order: Order, // at byte 32
}

enum State { // u8
    Open = 1,
    Closed = 2,
}

enum Order { // u8 and fields, 24 bytes, aligned to 8
    None = 0,
    Limit {
        price: f64, // at byte 8
        size: u32, // at byte 16
    } = 1,
    Market {
        0: u32, // at byte 8
    } = 2,
}"
    );
}

#[test]
fn impossible_layouts_are_refused() {
    let layout = |bytes: &[u8]| matches!(decode(bytes), Err(DecodeError::Layout(_)));
    assert!(layout(b"\x01\x41\x01S\x04\x03\x00"), "an alignment that is no power of two");
    assert!(layout(b"\x01\x41\x01S\x06\x04\x00"), "a size that is no multiple of the alignment");
    assert!(layout(b"\x01\x41\x01S\x04\x04\x01\x01a\x02\x12"), "a field that ends outside");
    assert!(layout(b"\x01\x41\x01S\x04\x01\x02\x01a\x01\x10\x01b\x01\x10"), "fields that overlap");
    assert!(layout(b"\x01\x43\x01U\x04\x01\x10\x01\x01A\x00\x01\x01a\x00\x10"), "a field over the tag");
    assert!(layout(b"\x01\x42\x01E\x10\x01\x01A\x80\x02"), "a value that does not fit its tag");
    assert!(layout(b"\x01\x40\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x13"), "a size beyond 64 bits");
    assert!(layout(b"\x01\x44\x00\x10"), "an `Opt` without room for its tag");
    assert!(layout(b"\x01\x46\x02\x02\x10"), "a `List` without room for its length");
    assert!(layout(b"\x01\x45\x80\x80\x04"), "a `Str` longer than its length can say");
    assert!(matches!(decode(b"\x01\x45\x85\x00"), Err(DecodeError::Number(_))), "a number in a longer form");
    assert!(
        matches!(decode(b"\x01\x42\x01E\x23\x00"), Err(DecodeError::Kind { byte: 0x23, at: 4 })),
        "a tag that is a float"
    );
    assert!(matches!(decode(b"\x01\x77"), Err(DecodeError::Kind { byte: 0x77, at: 1 })));
    assert!(matches!(decode(b"\x01\x42\x00\x10\x00"), Err(DecodeError::Name(2))), "an empty name");
    assert!(matches!(decode(b"\x01\x42\x01\xff\x10\x00"), Err(DecodeError::Name(2))), "a name that is not UTF-8");
    assert_eq!(decode(&[0; MAX_SCHEMA_BYTES + 1]), Err(DecodeError::TooLong(MAX_SCHEMA_BYTES + 1)));
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| [&[1][..], &[0x44, 1].repeat(depth - 1), &[0x10]].concat();
    assert!(decode(&nested(32)).is_ok());
    assert_eq!(decode(&nested(33)), Err(DecodeError::TooDeep));
    assert_eq!(decode(&nested(8_000)), Err(DecodeError::TooDeep));
}

#[test]
fn hostile_schemas_do_not_hang_a_comparison() {
    // As many variants as fit, all of the same value and of different names.
    let schema = |first: char| {
        let names: Vec<String> = (0..2_500).map(|at| format!("{first}{at:03x}")).collect();
        let variants: Vec<u8> = names.iter().flat_map(|name| [&[4], name.as_bytes(), &[7]].concat()).collect();
        [&b"\x01\x42\x01E\x10\xc4\x13"[..], &variants].concat()
    };
    let (ours, theirs) = (schema('a'), schema('b'));
    assert!(decode(&ours).is_ok());
    assert!(!diff(&ours, &theirs).is_empty());
    let ends = [&ours[..1], &[0x10]].concat();
    assert_eq!(diff(&ours, &ends).len(), 1);
    let none = b"\x01\x42\x01E\x10\x00";
    assert_eq!(diff(&ours, none).len(), 65);
    assert_eq!(diff(&ours, none)[64].to_string(), "message: 2436 more differences");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decoding_survives_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let with_version = [&[FORMAT_VERSION], &bytes[..]].concat();
        for bytes in [&bytes, &with_version] {
            if let Ok(schema) = decode(bytes) {
                let _ = (schema.to_string(), schema.size_bytes());
            }
            prop_assert_eq!(diff(original::Tick::SCHEMA, bytes).is_empty(), false);
        }
    }

    #[test]
    fn decoding_survives_a_damaged_schema(
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![0..4u8, 0x40..0x47u8, any::<u8>()]), 1..6),
    ) {
        type Large = Wrapped<original::Tick>;
        let mut bytes = Large::SCHEMA.to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(schema) = decode(&bytes) {
            let _ = (schema.to_string(), schema.size_bytes());
        }
        let same = bytes == Large::SCHEMA;
        prop_assert_eq!(diff(Large::SCHEMA, &bytes).is_empty(), same);
        prop_assert_eq!(diff(&bytes, Large::SCHEMA).is_empty(), same);
    }
}
