//! Messages as values: `Schema::read` and `Schema::write` against the code that the derive writes for the type.

#[path = "value/hostile.rs"]
mod hostile;
#[path = "value/refused.rs"]
mod refused;
#[path = "value/types.rs"]
mod types;

use core::fmt::Debug;

use ipc_core::message::{IpcMessage, List, Opt, Str, from_bytes};
use ipc_core::schema::{Kind, Prim, Schema, Type, Value, decode};
use types::{Checked, Command, Either, Id, Large, Pair, Prims, Status, Wide, placed};

/// A generator of numbers that is good enough to fill messages (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Fills what lies at the start of `bytes` with a valid value of the type, by what the type says of itself.
    fn fill(&mut self, ty: &Type, bytes: &mut [u8]) {
        match ty.kind {
            Kind::Prim(Prim::Bool) => bytes[0] = self.below(2) as u8,
            Kind::Prim(Prim::Char) => {
                let letter = ['a', 'é', '\u{d7ff}', '\u{e000}', char::MAX][self.below(5)];
                bytes[..4].copy_from_slice(&u32::from(letter).to_ne_bytes());
            }
            // Ones and zeros more often than a fair coin makes them.
            Kind::Prim(_) => {
                bytes[..ty.size].fill_with(|| [0, 1, 0x7f, 0x80, 0xff, self.next() as u8][self.below(6)]);
            }
            Kind::Array { item, len } => self.items(item, len, bytes),
            Kind::Struct { fields } => fields.iter().for_each(|field| self.fill(field.ty, &mut bytes[field.offset..])),
            Kind::Enum { tag, values } => put_tag(tag, values[self.below(values.len())].bits, bytes),
            Kind::Union { tag, variants } => {
                let variant = &variants[self.below(variants.len())];
                put_tag(tag, variant.bits, bytes);
                variant.fields.iter().for_each(|field| self.fill(field.ty, &mut bytes[field.offset..]));
            }
            Kind::Opt { item, offset } => {
                bytes[0] = self.below(2) as u8;
                self.fill(item, &mut bytes[offset..]);
            }
            Kind::Str { capacity } => {
                let mut text = String::new();
                let most = self.below(capacity + 1);
                while let Some(letter) = ["a", "é", "", "\0", "€", "🦀"].get(self.below(7)) {
                    text.push_str(if text.len() + letter.len() <= most { letter } else { "" });
                }
                bytes[..2].copy_from_slice(&(text.len() as u16).to_ne_bytes());
                bytes[2..2 + text.len()].copy_from_slice(text.as_bytes());
            }
            Kind::List { item, capacity, offset } => {
                let len = self.below(capacity + 1);
                bytes[..4].copy_from_slice(&(len as u32).to_ne_bytes());
                self.items(item, len, &mut bytes[offset..]);
            }
            Kind::Slice { item } => self.items(item, bytes.len() / item.size, bytes),
            Kind::Text => bytes.fill(b'a'),
        }
    }

    fn items(&mut self, item: &Type, len: usize, bytes: &mut [u8]) {
        (0..len).for_each(|index| self.fill(item, &mut bytes[index * item.size..]));
    }
}

fn put_tag(tag: Prim, bits: u64, bytes: &mut [u8]) {
    match tag.size_bytes() {
        1 => bytes[..1].copy_from_slice(&(bits as u8).to_ne_bytes()),
        2 => bytes[..2].copy_from_slice(&(bits as u16).to_ne_bytes()),
        4 => bytes[..4].copy_from_slice(&(bits as u32).to_ne_bytes()),
        _ => bytes[..8].copy_from_slice(&bits.to_ne_bytes()),
    }
}

/// The schema, as a program has it that was never compiled with the type.
fn schema_of<T: IpcMessage>() -> Schema {
    decode(T::SCHEMA).expect("the derive encodes what can be decoded")
}

/// Reads and writes bytes as values, and compares with what the type itself makes of them. Returns whether it accepts.
fn agree<T: IpcMessage + Debug>(schema: &Schema, bytes: &[u8]) -> bool {
    match (from_bytes::<T>(bytes), schema.read(bytes)) {
        (Ok(typed), Ok(value)) => {
            let mut written = vec![0xaa; bytes.len()];
            schema.write(&value, &mut written).expect("what was read can be written");
            // Over zeros, because `write` makes zeros of what it does not use; and that covers the bits of every NaN.
            assert_eq!(written, placed(&typed, 0), "{typed:?} as {value}");
            let again = from_bytes::<T>(&written).expect("what was written is valid");
            assert_eq!(format!("{again:?}"), format!("{typed:?}"));
            true
        }
        (Err(invalid), Err(error)) => {
            assert_eq!(error.reason().to_string(), invalid.reason().to_string());
            // The path has indexes, and the way to the field that the type names.
            let path: String =
                error.path().split('[').map(|part| part.split_once(']').map_or(part, |it| it.1)).collect();
            let field = invalid.field().unwrap_or_default();
            assert!(path == field || path.ends_with(&format!(".{field}")), "{error}, but {invalid}");
            false
        }
        (typed, value) => panic!("{bytes:?} is {typed:?}, but {value:?}"),
    }
}

/// Random values go there and back, and every change of one byte is judged as the type judges it.
fn check<T: IpcMessage + Debug>() {
    let schema = schema_of::<T>();
    let mut random = Random(T::FINGERPRINT as u64);
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..300 {
        let mut bytes = vec![[0, 0xff, 0xa5][round % 3]; size_of::<T>()];
        random.fill(T::TYPE, &mut bytes);
        assert!(agree::<T>(&schema, &bytes), "{}: {bytes:?} is made to be valid", T::NAME);
        // All changes of all bytes, of fewer values where these are many.
        if round > 0 && round * bytes.len() >= 256 {
            continue;
        }
        for at in 0..bytes.len() {
            let original = bytes[at];
            for byte in 0..=u8::MAX {
                bytes[at] = byte;
                *if agree::<T>(&schema, &bytes) { &mut accepted } else { &mut refused } += 1;
            }
            bytes[at] = original;
        }
    }
    let either = (accepted > 0 || size_of::<T>() == 0) && (refused > 0 || T::ANY_BITS);
    assert!(either, "{}: {accepted} changes of a byte were accepted, {refused} refused", T::NAME);
}

/// Checks each type in a test of its own.
macro_rules! types_agree {
    ($($name:ident: $($ty:ty),*;)*) => {$(
        #[test]
        fn $name() {
            $(check::<$ty>();)*
        }
    )*};
}

types_agree! {
    primitives_agree: bool, char, u8, u128, i128, i8, f32, f64, Prims, Checked;
    enums_agree: Status, Wide, [Status; 3], Command, Either<u8, u64, 2>, Either<Command, Opt<char>, 1>;
    structs_agree: Id, Pair<Opt<u64>, char>, Pair<Opt<Status>, [Id; 2]>;
    inline_shapes_agree: Opt<bool>, Opt<Opt<u16>>, Str<0>, Str<5>, Str<300>, List<bool, 3>, List<u8, 5>, List<u64, 2>;
    nested_shapes_agree: List<Opt<u16>, 4>, Opt<Str<3>>, List<List<Str<2>, 2>, 3>, [[Opt<bool>; 2]; 2], Large;
    arrays_agree: [u8; 9], [u16; 4], [[u8; 2]; 3], [[u8; 0]; 5], List<[u8; 0], 5>;
}

#[test]
fn each_type_has_one_form() {
    fn value<T: IpcMessage>(typed: T) -> Value {
        schema_of::<T>().read(&placed(&typed, 0xff)).expect("a placed value is valid")
    }
    fn structure<const N: usize>(fields: [(&str, Value); N]) -> Value {
        Value::from(fields)
    }
    fn union<const N: usize>(variant: &str, fields: [(&str, Value); N]) -> Value {
        let fields = fields.map(|(name, value)| (name.to_owned(), value)).into();
        Value::Union { variant: variant.into(), fields }
    }
    let list = |items: &[Value]| Value::List(items.to_vec());
    assert_eq!(value(i16::MIN), Value::Int(-32_768));
    assert_eq!(value(u64::MAX), Value::Uint(u64::MAX.into()));
    assert_eq!(value(u128::MAX), Value::Uint(u128::MAX));
    assert_eq!(value(i128::MIN), Value::Int(i128::MIN));
    assert_eq!(value(1.5f32), Value::F32(1.5));
    assert_eq!(value('é'), Value::Char('é'));
    assert_eq!(value([1u8, 2]), Value::Bytes(vec![1, 2]));
    assert_eq!(value([1i8, -2]), list(&[1i8.into(), (-2i8).into()]));
    assert_eq!(value(List::<u8, 4>::from_slice(&[3]).unwrap()), Value::Bytes(vec![3]));
    assert_eq!(value(Str::<8>::new("héy").unwrap()), "héy".into());
    assert_eq!(value(Opt::<Opt<bool>>::None), None.into());
    assert_eq!(value(Opt::Some(Opt::<bool>::None)), Some(None.into()).into());
    assert_eq!(value(Status::Lost), Value::Enum("Lost".into()));
    assert_eq!(value(Id(7, [1, 2, 3])), structure([("0", 7u64.into()), ("1", vec![1u8, 2, 3].into())]));
    assert_eq!(value(Command::Stop), union("Stop", []));
    assert_eq!(value(Command::Move { x: 0.5, up: true }), union("Move", [("x", 0.5.into()), ("up", true.into())]));
    assert_eq!(value(Command::Report(Status::Landed)), union("Report", [("0", Value::Enum("Landed".into()))]));
    assert_eq!(
        value(Pair { first: Opt::Some(1u16), second: [true] }),
        structure([("first", Some(1u16.into()).into()), ("second", list(&[true.into()]))])
    );
}

#[test]
fn values_show_like_literals() {
    fn text<T: IpcMessage>(typed: T) -> String {
        schema_of::<T>().read(&placed(&typed, 0)).expect("a placed value is valid").to_string()
    }
    assert_eq!(text([1.0f32, 1e-9, f32::NAN]), "[1.0, 1e-9, NaN]");
    assert_eq!(text(Id(7, [1, 2, 3])), "(7, [1, 2, 3])");
    assert_eq!(text(Command::Stop), "Stop");
    assert_eq!(text(Command::Move { x: 1.0, up: false }), "Move { x: 1.0, up: false }");
    assert_eq!(text(Command::Say("a\"b".parse().unwrap(), 4)), r#"Say("a\"b", 4)"#);
    assert_eq!(
        text(Pair { first: Opt::Some('x'), second: [Opt::Some(Status::Flown), Opt::None] }),
        "{first: Some('x'), second: [Some(Flown), None]}"
    );
    let nested = Value::from([("a", 1u8.into()), ("b", Value::List(vec![Value::from([("c", "d".into())])]))]);
    assert_eq!(nested.to_string(), r#"{a: 1, b: [{c: "d"}]}"#);
    assert_eq!(
        format!("{nested:#}"),
        "{\n    a: 1,\n    b: [\n        {\n            c: \"d\",\n        },\n    ],\n}"
    );
    // A hostile name does not reach a terminal.
    assert_eq!(Value::Enum("\x1b[2J".into()).to_string(), r"\u{1b}[2J");
    assert_eq!(Value::from([("\x07", true.into())]).to_string(), r"{\u{7}: true}");
}

#[test]
fn looser_forms_are_written_too() {
    fn written<T: IpcMessage>(value: impl Into<Value>) -> T {
        let mut bytes = vec![0xff; size_of::<T>()];
        schema_of::<T>().write(&value.into(), &mut bytes).expect("the value has an accepted form");
        from_bytes(&bytes).expect("what was written is valid")
    }
    let list = |items: &[Value]| Value::List(items.to_vec());
    assert_eq!(written::<u8>(255i64), 255);
    assert_eq!(written::<i8>(127u64), 127);
    assert_eq!(written::<i128>("-170141183460469231731687303715884105728"), i128::MIN);
    assert_eq!(written::<u128>("340282366920938463463374607431768211455"), u128::MAX);
    assert_eq!(written::<char>("é"), 'é');
    assert_eq!(written::<f32>(0.1f64), 0.1);
    assert_eq!(written::<f32>(16_777_216u32), 16_777_216.0);
    assert_eq!(written::<f32>(-(1i128 << 100)), -(2f32.powi(100)));
    assert_eq!(written::<f64>(0.1f32), f64::from(0.1f32));
    assert_eq!(written::<f64>(0u8), 0.0);
    assert_eq!(written::<f64>("-inf"), f64::NEG_INFINITY);
    assert_eq!(written::<f32>(f64::INFINITY), f32::INFINITY);
    assert!(written::<f32>("NaN").is_nan());
    assert_eq!(written::<[u8; 2]>(list(&[1u8.into(), 2u8.into()])), [1, 2]);
    assert_eq!(written::<Opt<u8>>(1u8), Opt::Some(1));
    assert_eq!(written::<Opt<Opt<u8>>>(1u8), Opt::Some(Opt::Some(1)));
    assert_eq!(written::<Status>("Flown"), Status::Flown);
    assert_eq!(written::<Status>(Value::Union { variant: "Lost".into(), fields: vec![] }), Status::Lost);
    assert_eq!(written::<Command>("Stop"), Command::Stop);
    assert_eq!(written::<Command>(Value::Enum("Stop".into())), Command::Stop);
    assert_eq!(
        written::<Command>([("Move", [("up", true.into()), ("x", 1u8.into())].into())]),
        Command::Move { x: 1.0, up: true }
    );
    assert_eq!(
        written::<Command>([("Say", list(&["abc".into(), 4u8.into()]))]),
        Command::Say("abc".parse().unwrap(), 4)
    );
    assert_eq!(written::<Command>([("Report", "Lost".into())]), Command::Report(Status::Lost));
    assert_eq!(written::<Id>(list(&[7u8.into(), vec![1u8, 2, 3].into()])), Id(7, [1, 2, 3]));
    // An only field, by itself or by its number, and with a list that is not the list of fields.
    assert_eq!(written::<types::Only<u16>>(7u8).0, 7);
    assert_eq!(written::<types::Only<u16>>([("0", 7u8.into())]).0, 7);
    assert_eq!(written::<types::Only<[u16; 1]>>(list(&[7u8.into()])).0, [7]);
    assert_eq!(written::<types::Only<types::Only<u16>>>(7u8).0.0, 7);
    assert_eq!(
        written::<types::Only<Pair<bool, u8>>>([("first", true.into()), ("second", 3u8.into())]).0,
        Pair { first: true, second: 3 }
    );
}

#[test]
fn tails_are_read_and_written_to_the_end_of_the_message() {
    let schema = schema_of_tail::<[u16]>();
    let value = Value::List(vec![1u16.into(), 2u16.into(), 3u16.into()]);
    let mut bytes = vec![0xff; schema.bytes_for(&value) as usize];
    schema.write(&value, &mut bytes).unwrap();
    assert_eq!(schema.read(&bytes).unwrap(), value);
    assert!(schema.read(&bytes[..5]).is_err(), "an item that is cut off");
    assert!(schema.write(&value, &mut [0; 4]).is_err(), "a message that is too short");

    let text = schema_of_tail::<str>();
    let value = Value::Str("größe".into());
    let mut bytes = vec![0; text.bytes_for(&value) as usize];
    text.write(&value, &mut bytes).unwrap();
    assert_eq!(bytes, "größe".as_bytes());
    assert_eq!(text.read(&bytes).unwrap(), value);
    assert!(text.read(&bytes[..3]).is_err(), "a character that is cut off");
    assert_eq!(text.read(&[]).unwrap(), Value::Str(String::new()));

    let schema = schema_of_tail::<types::Parcel>();
    for len in [0, 1, 7] {
        let contents = Value::List((0..len).map(|item: u32| item.into()).collect());
        let value = Value::Struct(vec![("weight".into(), 2.5f64.into()), ("contents".into(), contents)]);
        let mut bytes = vec![0xff; schema.bytes_for(&value) as usize];
        assert_eq!(bytes.len(), 8 + 4 * len as usize);
        schema.write(&value, &mut bytes).unwrap();
        assert_eq!(schema.read(&bytes).unwrap(), value);
    }
    assert!(schema.read(&[0; 7]).is_err(), "a head that is cut off");
}

fn schema_of_tail<T: IpcMessage + ?Sized>() -> Schema {
    decode(T::SCHEMA).expect("the derive encodes what can be decoded")
}
