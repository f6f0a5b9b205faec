//! What cannot be written, and that the error says where and why.

use ipc_core::message::{IpcMessage, List, Opt, Str};
use ipc_core::schema::{Value, ValueReason};

use super::schema_of;
use super::types::{Command, Id, Large, Only, Pair, Status};

/// What `write` says.
#[track_caller]
fn error<T: IpcMessage>(value: impl Into<Value>) -> String {
    let mut bytes = vec![0; size_of::<T>()];
    schema_of::<T>().write(&value.into(), &mut bytes).expect_err("the value is to be refused").to_string()
}

fn list(items: &[Value]) -> Value {
    Value::List(items.to_vec())
}

#[test]
fn wrong_kinds() {
    assert_eq!(error::<bool>(1u8), "message: an integer, where `bool` is expected");
    assert_eq!(error::<u8>(true), "message: a bool, where `u8` is expected");
    assert_eq!(error::<u8>(1.0), "message: a float, where `u8` is expected");
    assert_eq!(error::<i64>(None), "message: none, where `i64` is expected");
    assert_eq!(error::<f32>("1.5"), "message: a text, where `f32` is expected");
    assert_eq!(error::<char>("ab"), "message: a text, where `char` is expected");
    assert_eq!(error::<char>(""), "message: a text, where `char` is expected");
    assert_eq!(error::<Str<2>>('a'), "message: a char, where `Str<2>` is expected");
    assert_eq!(error::<[u16; 2]>(vec![1u8, 2]), "message: bytes, where `[u16; 2]` is expected");
    assert_eq!(error::<List<bool, 2>>("ab"), "message: a text, where `List<bool, 2>` is expected");
    assert_eq!(error::<Opt<bool>>("a"), "message: a text, where `bool` is expected");
    assert_eq!(error::<Status>(1u8), "message: an integer, where `Status` is expected");
    assert_eq!(
        error::<Command>([("a", 1u8.into()), ("b", 1u8.into())]),
        "message: a struct, where `Command` is expected"
    );
    assert_eq!(error::<Pair<u8, u8>>(list(&[1u8.into(), 2u8.into()])), "message: a list, where `Pair` is expected");
    assert_eq!(error::<Id>(Value::Enum("Id".into())), "message: a variant, where `Id` is expected");
}

#[test]
fn numbers_that_do_not_fit() {
    assert_eq!(error::<u8>(256u16), "message: 256 is not a value of `u8`");
    assert_eq!(error::<u8>(-1), "message: -1 is not a value of `u8`");
    assert_eq!(error::<i8>(128u8), "message: 128 is not a value of `i8`");
    assert_eq!(error::<i8>(-129), "message: -129 is not a value of `i8`");
    assert_eq!(error::<i128>(1u128 << 127), format!("message: {} is not a value of `i128`", 1u128 << 127));
    assert_eq!(error::<u128>(-1), "message: -1 is not a value of `u128`");
    assert_eq!(error::<u16>("1x"), "message: \"1x\" is not a value of `u16`");
    assert_eq!(error::<f32>(16_777_217u32), "message: 16777217 is not a value of `f32`");
    assert_eq!(error::<f64>(u128::MAX), format!("message: {} is not a value of `f64`", u128::MAX));
    assert_eq!(error::<f64>(i128::MAX), format!("message: {} is not a value of `f64`", i128::MAX));
    assert_eq!(error::<f32>(1e39), "message: 1e39 is not a value of `f32`");
}

#[test]
fn every_limit_of_an_integer_is_the_limit() {
    macro_rules! limits {
        ($($int:ty)*) => {$({
            let schema = schema_of::<$int>();
            let mut bytes = [0; size_of::<$int>()];
            for limit in [<$int>::MIN, <$int>::MAX] {
                schema.write(&limit.into(), &mut bytes).expect("a limit fits");
                assert_eq!(<$int>::from_ne_bytes(bytes), limit);
            }
            let beyond = [i128::from(<$int>::MIN) - 1, i128::from(<$int>::MAX) + 1];
            assert!(beyond.iter().all(|&beyond| schema.write(&beyond.into(), &mut bytes).is_err()));
        })*};
    }
    limits!(u8 u16 u32 u64 i8 i16 i32 i64);
}

#[test]
fn lengths() {
    assert_eq!(error::<Str<2>>("abc"), "message: length 3 exceeds the capacity of 2");
    assert_eq!(error::<Str<2>>("€"), "message: length 3 exceeds the capacity of 2");
    assert_eq!(error::<List<u8, 2>>(vec![1u8; 3]), "message: length 3 exceeds the capacity of 2");
    assert_eq!(error::<[u8; 2]>(vec![1u8; 3]), "message: 3 values, where 2 are expected");
    assert_eq!(error::<[bool; 2]>(list(&[true.into()])), "message: 1 values, where 2 are expected");
    assert_eq!(error::<Id>(list(&[1u8.into()])), "message: 1 values, where 2 are expected");
    assert_eq!(error::<[u8; 1]>(list(&[256u16.into()])), "field `[0]`: 256 is not a value of `u8`");
}

#[test]
fn fields() {
    type Tick = Pair<u8, bool>;
    let first = || ("first", Value::from(1u8));
    let second = || ("second", Value::from(true));
    assert_eq!(error::<Tick>([first()]), "field `second`: the value is missing");
    assert_eq!(error::<Tick>([second()]), "field `first`: the value is missing");
    assert_eq!(error::<Tick>([first(), second(), first()]), "field `first`: the value is given twice");
    assert_eq!(
        error::<Tick>([first(), ("secnd", true.into())]),
        "field `secnd`: there is no such field, but `first`, `second`"
    );
    assert_eq!(error::<Tick>([second(), ("first", true.into())]), "field `first`: a bool, where `u8` is expected");
    assert_eq!(error::<Only<u8>>([("1", 1u8.into())]), "message: a struct, where `u8` is expected");
}

#[test]
fn variants() {
    assert_eq!(
        error::<Status>("Gone"),
        "message: `Gone` is not a variant of `Status`, which has `Lost`, `Flown`, `Landed`"
    );
    assert_eq!(
        error::<Command>([("\x1b", 1u8.into())]),
        r"message: `\u{1b}` is not a variant of `Command`, which has `Stop`, `Move`, `Say`, `Report`, `Nothing`"
    );
    assert_eq!(error::<Command>("Move"), "field `Move.x`: the value is missing");
    assert_eq!(error::<Command>([("Stop", 1u8.into())]), "field `Stop`: an integer, where `Command` is expected");
    assert_eq!(error::<Command>([("Say", list(&[]))]), "field `Say`: 0 values, where 2 are expected");
    assert_eq!(
        error::<Command>([("Say", list(&["abc".into(), 400u16.into()]))]),
        "field `Say.1`: 400 is not a value of `u8`"
    );
    let fields = vec![("0".to_owned(), Value::Enum("Gone".into()))];
    let report = Value::Union { variant: "Report".into(), fields };
    assert!(error::<Command>(report).starts_with("field `Report.0`: `Gone` is not a variant of `Status`"));
}

#[test]
fn the_path_leads_through_everything() {
    let stop = || Value::from("Stop");
    let large = Value::from([
        ("ids", list(&[list(&[1u8.into(), vec![0u8; 3].into()]), list(&[2u8.into(), vec![0u8; 3].into()])])),
        ("commands", list(&[list(&[None.into(), stop()]), list(&[stop(), [("Report", "Gone".into())].into()])])),
    ]);
    let mut bytes = vec![0; size_of::<Large>()];
    let error = schema_of::<Large>().write(&large, &mut bytes).unwrap_err();
    assert_eq!(error.path(), "commands[1][1].Report");
    let known = ["Lost", "Flown", "Landed"].map(str::to_owned).into();
    let expected = ValueReason::Variant { name: "Gone".into(), of: "Status".into(), known };
    assert_eq!(error.reason(), &expected);
}

#[test]
fn the_number_of_bytes_is_the_message_s() {
    let schema = schema_of::<u32>();
    for len in [0, 3, 5] {
        let expected = format!("message: {len} bytes, where the message has 4");
        assert_eq!(schema.read(&vec![0; len]).unwrap_err().to_string(), expected);
        assert_eq!(schema.write(&1u8.into(), &mut vec![0; len]).unwrap_err().to_string(), expected);
    }
}
