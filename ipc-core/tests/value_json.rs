//! Values to and from JSON: as the type itself would be by serde's derive.

use core::mem::MaybeUninit;

use ipc_core::message::{IpcMessage, List, Opt, Str, from_bytes};
use ipc_core::schema::{Schema, Value, decode};
use ipc_macros::IpcMessage;
use proptest::prelude::*;
use serde::{Serialize, Serializer};

/// A message that serializes by itself.
macro_rules! both {
    ($($item:item)*) => {$(
        #[derive(IpcMessage, Serialize, Clone, Copy, Debug, PartialEq)]
        #[ipc(crate = "ipc_core")]
        $item
    )*};
}

both! {
    #[repr(i8)]
    enum Status {
        Lost = -3,
        Flown = 1,
    }

    #[repr(C, u8)]
    enum Command {
        Stop,
        Move { x: f64, up: bool },
        Say(u16, char),
        Report(Status),
        At(Point),
    }

    #[repr(C)]
    struct Point(f32, f64);

    #[repr(C)]
    struct Id(u64);

    #[repr(C)]
    struct Flight {
        id: Id,
        from: Point,
        #[serde(serialize_with = "text")]
        carrier: Str<6>,
        #[serde(serialize_with = "option")]
        delay: Opt<i16>,
        #[serde(serialize_with = "items")]
        bytes: List<u8, 5>,
        #[serde(serialize_with = "items")]
        commands: List<Command, 3>,
        status: [Status; 2],
        large: i64,
    }
}

fn text<S: Serializer>(text: &Str<6>, serializer: S) -> Result<S::Ok, S::Error> {
    text.as_str().serialize(serializer)
}

fn option<S: Serializer>(option: &Opt<i16>, serializer: S) -> Result<S::Ok, S::Error> {
    match option {
        Opt::None => serializer.serialize_none(),
        Opt::Some(value) => serializer.serialize_some(value),
    }
}

fn items<T: Serialize, const N: usize, S: Serializer>(items: &List<T, N>, serializer: S) -> Result<S::Ok, S::Error> {
    items.as_slice().serialize(serializer)
}

/// Stores a value over a background of ones, and returns the bytes.
fn placed<T: IpcMessage>(value: &T) -> Vec<u8> {
    let mut slot = MaybeUninit::<T>::uninit();
    // SAFETY: `slot` has this size.
    unsafe { slot.as_mut_ptr().cast::<u8>().write_bytes(0xff, size_of::<T>()) };
    // SAFETY: `slot` is aligned, writable, and private to this function.
    unsafe { value.place(slot.as_mut_ptr()) };
    // SAFETY: `write_bytes` initialised all bytes, and the stores of `place` did not undo that.
    unsafe { core::slice::from_raw_parts(slot.as_ptr().cast::<u8>(), size_of::<T>()) }.to_vec()
}

fn schema_of<T: IpcMessage>() -> Schema {
    decode(T::SCHEMA).expect("the derive encodes what can be decoded")
}

/// Reads a value from JSON, and the message from the value.
fn from_json<T: IpcMessage>(json: &str) -> Result<T, Box<dyn std::error::Error>> {
    let value: Value = serde_json::from_str(json)?;
    let mut bytes = vec![0xff; size_of::<T>()];
    schema_of::<T>().write(&value, &mut bytes)?;
    Ok(from_bytes(&bytes)?)
}

fn to_json<T: IpcMessage>(typed: T) -> String {
    let value = schema_of::<T>().read(&placed(&typed)).expect("a placed value is valid");
    serde_json::to_string(&value).expect("every value has a form in JSON")
}

fn point() -> impl Strategy<Value = Point> {
    (any::<f32>(), any::<f64>()).prop_map(|(x, y)| Point(x, y))
}

fn status() -> impl Strategy<Value = Status> {
    prop_oneof![Just(Status::Lost), Just(Status::Flown)]
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        Just(Command::Stop),
        (any::<f64>(), any::<bool>()).prop_map(|(x, up)| Command::Move { x, up }),
        any::<(u16, char)>().prop_map(|(number, letter)| Command::Say(number, letter)),
        status().prop_map(Command::Report),
        point().prop_map(Command::At),
    ]
}

prop_compose! {
    fn flight()(
        id in any::<u64>(),
        from in point(),
        carrier in ".{0,6}",
        delay in any::<Option<i16>>(),
        bytes in prop::collection::vec(any::<u8>(), 0..6),
        commands in prop::collection::vec(command(), 0..4),
        status in [status(), status()],
        large in any::<i64>(),
    ) -> Flight {
        Flight {
            id: Id(id),
            from,
            carrier: Str::truncated(&carrier),
            delay: delay.into(),
            bytes: List::from_iter_truncated(bytes),
            commands: List::from_iter_truncated(commands),
            status,
            large,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn json_is_what_the_type_would_write(flight in flight()) {
        let json = to_json(flight);
        prop_assert_eq!(&json, &serde_json::to_string(&flight).unwrap());
        prop_assert_eq!(from_json::<Flight>(&json).unwrap(), flight);
    }
}

#[test]
fn what_json_would_lose_is_text() {
    fn both_ways<T: IpcMessage + PartialEq + core::fmt::Debug + Copy>(typed: T, json: &str) {
        assert_eq!(to_json(typed), json);
        assert_eq!(from_json::<T>(json).unwrap(), typed);
    }
    both_ways(u64::MAX, "18446744073709551615");
    both_ways(i64::MIN, "-9223372036854775808");
    both_ways(1u128 << 64, "\"18446744073709551616\"");
    both_ways(i128::MIN, "\"-170141183460469231731687303715884105728\"");
    both_ways(u128::from(u64::MAX), "18446744073709551615");
    both_ways([f32::INFINITY, 0.1], r#"["inf",0.1]"#);
    both_ways(f64::NEG_INFINITY, "\"-inf\"");
    assert_eq!(to_json(f64::NAN), "\"NaN\"");
    assert!(from_json::<f32>("\"NaN\"").unwrap().is_nan());
    both_ways(Opt::<u8>::None, "null");
    both_ways(Opt::Some(7u8), "7");
}

#[test]
fn mistakes_in_json_are_named() {
    let error = |json: &str| from_json::<Command>(json).unwrap_err().to_string();
    assert_eq!(error(r#"{"Move": {"x": 1, "up": 0}}"#), "field `Move.up`: an integer, where `bool` is expected");
    assert_eq!(error(r#"{"Move": {"x": 1, "x": 2}}"#), "field `Move.x`: the value is given twice");
    assert_eq!(error(r#"{"Say": [65536, "a"]}"#), "field `Say.0`: 65536 is not a value of `u16`");
    assert_eq!(error(r#"{"Report": null}"#), "field `Report`: none, where `Status` is expected");
    assert_eq!(error(r#"{"Stop": {}, "Move": {}}"#), "message: a struct, where `Command` is expected");
    assert_eq!(from_json::<Command>(r#"{"Stop": {}}"#).unwrap(), Command::Stop);
    assert_eq!(from_json::<Command>(r#"{"Stop": []}"#).unwrap(), Command::Stop);
}
