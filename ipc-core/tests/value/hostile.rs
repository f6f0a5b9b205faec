//! Schemas and bytes from somebody who means harm: no panic, and no more values than the rule allows.

use ipc_core::message::{IpcMessage, MAX_ALIGN};
use ipc_core::schema::tree::{Field, UnitVariant, Variant};
use ipc_core::schema::value::SPARE_VALUES;
use ipc_core::schema::{MAX_DEPTH, Prim, Schema, Value, ValueError, ValueReason, decode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::Random;
use super::types::Large;

/// How many values there are in a value.
fn count(value: &Value) -> u64 {
    let of_fields = |fields: &[(String, Value)]| fields.iter().map(|(_, value)| count(value)).sum::<u64>();
    1 + match value {
        Value::List(items) => items.iter().map(count).sum(),
        Value::Opt(Some(value)) => count(value),
        Value::Struct(fields) | Value::Union { fields, .. } => of_fields(fields),
        _ => 0,
    }
}

/// Reads, and checks what can be checked of any schema and any bytes.
fn read(schema: &Schema, bytes: &[u8]) -> Result<Value, ValueError> {
    let value = schema.read(bytes);
    match &value {
        Ok(value) => {
            let most = 2 * u64::from(MAX_DEPTH) * bytes.len() as u64 + SPARE_VALUES;
            assert!(count(value) <= most, "{} values of {} bytes", count(value), bytes.len());
            let _ = (value.to_string(), format!("{value:#}"));
        }
        Err(error) => drop(error.to_string()),
    }
    value
}

/// Writes what was read from a schema without tricks, and reads it again.
fn round_trip(schema: &Schema, bytes: &[u8]) {
    let Ok(value) = read(schema, bytes) else { return };
    let mut written = vec![0xff; bytes.len()];
    schema.write(&value, &mut written).expect("what was read can be written");
    // As text, because a NaN is not equal to itself.
    assert_eq!(format!("{:?}", schema.read(&written)), format!("{:?}", Ok::<_, ValueError>(value)));
}

/// Bytes of which most are small, as valid tags, lengths and flags are.
fn bytes(len: usize) -> impl Strategy<Value = Vec<u8>> {
    any::<u64>().prop_map(move |seed| {
        let mut random = Random(seed);
        let mut byte = || match random.below(44) {
            0..20 => 0,
            20..40 => random.below(3) as u8,
            40..43 => b' ' + random.below(95) as u8,
            _ => random.next() as u8,
        };
        (0..len).map(|_| byte()).collect()
    })
}

/// A schema, and as many bytes as its messages have, within reason.
fn with_bytes(schema: impl Strategy<Value = Schema>) -> impl Strategy<Value = (Schema, Vec<u8>)> {
    schema.prop_flat_map(|schema| {
        let len = schema.size_bytes().min(2_000) as usize;
        (Just(schema), bytes(len))
    })
}

fn integer() -> impl Strategy<Value = Prim> {
    select(Prim::ALL.into_iter().filter(|prim| prim.is_tag()).collect::<Vec<_>>())
}

/// Lays out fields one after the other, with gaps, and returns where they end.
fn lay_out(start: u64, types: Vec<(Schema, u64)>) -> (Vec<Field>, u64) {
    let mut end = start;
    let fields = types.into_iter().enumerate().map(|(number, (ty, gap))| {
        let offset = end + gap;
        end = offset + ty.size_bytes();
        Field { name: format!("f{number}"), offset, ty }
    });
    (fields.collect(), end)
}

/// Schemas as `decode` gives them, though not all as a compiler would lay them out.
fn lawful() -> impl Strategy<Value = Schema> {
    let leaf = prop_oneof![
        4 => select(Prim::ALL.to_vec()).prop_map(Schema::Prim),
        1 => (0..9u64).prop_map(|capacity| Schema::Str { capacity }),
        1 => (integer(), 1..4u64).prop_map(|(tag, count)| {
            let values = (0..count).map(|bits| UnitVariant { name: format!("V{bits}"), bits }).collect();
            Schema::Enum { name: "E".into(), tag, values }
        }),
    ];
    leaf.prop_recursive(6, 40, 4, |inner| {
        let fields = || vec((inner.clone(), 0..3u64), 0..4);
        prop_oneof![
            (inner.clone(), 0..4u64).prop_map(|(item, len)| Schema::Array { item: item.into(), len }),
            (inner.clone(), 0..4u32).prop_map(|(item, log)| Schema::Opt { item: item.into(), offset: 1 << log }),
            (inner.clone(), 0..4u64, 2..5u32)
                .prop_map(|(item, capacity, log)| { Schema::List { item: item.into(), capacity, offset: 1 << log } }),
            fields().prop_map(|types| {
                let (fields, size) = lay_out(0, types);
                Schema::Struct { name: "S".into(), size, align: 1, fields }
            }),
            (integer(), vec(fields(), 1..4)).prop_map(|(tag, variants)| {
                let mut size = tag.size_bytes();
                let variants = (0u64..).zip(variants).map(|(bits, types)| {
                    let (fields, end) = lay_out(tag.size_bytes(), types);
                    size = size.max(end);
                    Variant { name: format!("V{bits}"), bits, fields }
                });
                let variants = variants.collect();
                Schema::Union { name: "U".into(), size, align: 1, tag, variants }
            }),
        ]
    })
}

/// Schemas that `decode` would refuse: any numbers anywhere.
fn lawless() -> impl Strategy<Value = Schema> {
    let number = || prop_oneof![4 => 0..9u64, 1 => any::<u64>(), 1 => Just(u64::MAX)];
    let name = || select(vec!["", "a", "0", "1"]).prop_map(str::to_owned);
    let any_prim = || select(Prim::ALL.to_vec());
    let leaf = prop_oneof![
        any_prim().prop_map(Schema::Prim),
        number().prop_map(|capacity| Schema::Str { capacity }),
        (name(), any_prim(), vec((name(), number()), 0..3)).prop_map(|(name, tag, values)| {
            let values = values.into_iter().map(|(name, bits)| UnitVariant { name, bits }).collect();
            Schema::Enum { name, tag, values }
        }),
    ];
    leaf.prop_recursive(6, 30, 4, move |inner| {
        let field = (name(), number(), inner.clone()).prop_map(|(name, offset, ty)| Field { name, offset, ty });
        let fields = || vec(field.clone(), 0..4);
        let variant = (name(), number(), fields()).prop_map(|(name, bits, fields)| Variant { name, bits, fields });
        let item = || inner.clone().prop_map(Box::new);
        prop_oneof![
            (item(), number()).prop_map(|(item, len)| Schema::Array { item, len }),
            (item(), number()).prop_map(|(item, offset)| Schema::Opt { item, offset }),
            (item(), number(), number()).prop_map(|(item, capacity, offset)| Schema::List { item, capacity, offset }),
            (name(), 0..40u64, fields()).prop_map(|(name, size, fields)| Schema::Struct {
                name,
                size,
                align: 1,
                fields
            }),
            (name(), 0..40u64, any_prim(), vec(variant, 0..3)).prop_map(|(name, size, tag, variants)| Schema::Union {
                name,
                size,
                align: 1,
                tag,
                variants
            }),
        ]
    })
}

/// Any value, with names that some schemas have.
fn any_value() -> impl Strategy<Value = Value> {
    let name = || select(vec!["", "a", "0", "1", "f0", "f1", "V0", "V1"]).prop_map(str::to_owned);
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<char>().prop_map(Value::from),
        prop_oneof![0..3u128, any::<u128>()].prop_map(Value::from),
        prop_oneof![-2..3i128, any::<i128>()].prop_map(Value::from),
        any::<f32>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(vec!["", "x", "12", "V0", "NaN"]).prop_map(Value::from),
        vec(any::<u8>(), 0..4).prop_map(Value::from),
        name().prop_map(Value::Enum),
        Just(Value::Opt(None)),
    ];
    leaf.prop_recursive(5, 30, 4, move |inner| {
        let fields = || vec((name(), inner.clone()), 0..4);
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::List),
            inner.clone().prop_map(|value| Some(value).into()),
            fields().prop_map(Value::Struct),
            (name(), fields()).prop_map(|(variant, fields)| Value::Union { variant, fields }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_lawful_schema_reads_what_it_writes((schema, bytes) in with_bytes(lawful())) {
        round_trip(&schema, &bytes);
    }

    #[test]
    fn no_schema_panics((schema, bytes) in with_bytes(lawless()), value in any_value()) {
        if let Ok(value) = read(&schema, &bytes) {
            let _ = schema.write(&value, &mut bytes.clone());
        }
        let _ = schema.write(&value, &mut bytes.clone()).map_err(|error| error.to_string());
    }

    #[test]
    fn what_is_written_can_be_read((schema, mut bytes) in with_bytes(lawful()), value in any_value()) {
        if schema.write(&value, &mut bytes).is_ok() {
            prop_assert!(read(&schema, &bytes).is_ok(), "{} of {}", value, schema);
            round_trip(&schema, &bytes);
        }
    }

    #[test]
    fn a_damaged_schema_does_no_harm(
        changes in vec((any::<Index>(), prop_oneof![0..4u8, 0x40..0x47u8, any::<u8>()]), 1..6),
        bytes in bytes(2_000),
    ) {
        let mut encoded = Large::SCHEMA.to_vec();
        changes.into_iter().for_each(|(at, byte)| encoded[at.index(Large::SCHEMA.len())] = byte);
        if let Ok(schema) = decode(&encoded) {
            let len = schema.size_bytes().min(2_000) as usize;
            if let Ok(value) = read(&schema, &bytes[..len]) {
                let _ = schema.write(&value, &mut vec![0; len]);
            }
        }
    }
}

/// A struct of one field after the other, encoded.
fn structure(size: u8, fields: &[u8], count: usize) -> Vec<u8> {
    let count = if count < 0x80 { vec![count as u8] } else { vec![count as u8 | 0x80, (count >> 7) as u8] };
    [&[0x41, 1, b'S', size, 1], &count[..], fields].concat()
}

/// What reading some bytes gives, of a schema that `decode` accepts.
fn decoded(schema: &[u8], bytes: &[u8]) -> Result<Value, ValueError> {
    let schema = decode(&[&[1], schema].concat()).expect("the schema is possible");
    assert_eq!(schema.size_bytes(), bytes.len() as u64);
    read(&schema, bytes)
}

#[track_caller]
fn gives_up(result: Result<Value, ValueError>) {
    let error = result.expect_err("nobody can hold that");
    assert!(matches!(error.reason(), ValueReason::TooManyValues(_)), "{error}");
}

#[test]
fn items_without_bytes_are_bounded() {
    const NOTHING: &[u8] = &[0x40, 0, 0x10];
    const THOUSAND: &[u8] = &[0x40, 0xe8, 0x07];
    const MOST: &[u8] = &[0x40, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    assert_eq!(decoded(NOTHING, &[]), Ok(Value::Bytes(vec![])));
    // A few are fine, 2^64 - 1 are not, nor are a thousand thousand.
    let thousand = decoded(&[THOUSAND, NOTHING].concat(), &[]);
    assert_eq!(thousand, Ok(Value::List(vec![Value::Bytes(vec![]); 1_000])));
    gives_up(decoded(&[MOST, NOTHING].concat(), &[]));
    gives_up(decoded(&[THOUSAND, THOUSAND, NOTHING].concat(), &[]));
    gives_up(decoded(&[THOUSAND, MOST, NOTHING].concat(), &[]));
    // The same as the items of a list: what counts is how many there are.
    let list = [&[0x46, 0xff, 0xff, 0xff, 0xff, 0x0f, 4], NOTHING].concat();
    assert_eq!(decoded(&list, &2u32.to_ne_bytes()), Ok(Value::List(vec![Value::Bytes(vec![]); 2])));
    gives_up(decoded(&list, &u32::MAX.to_ne_bytes()));
}

#[test]
fn fields_without_bytes_are_bounded() {
    // Two thousand empty fields around each byte of an array.
    let empty = [1, b'a', 0, 0x40, 0, 0x10].repeat(2_000);
    let item = structure(1, &[&empty[..], &[1, b'b', 0, 0x10]].concat(), 2_001);
    let array = |len: u8| [&[0x40, len], &item[..]].concat();
    assert_eq!(decoded(&array(2), &[0; 2]).map(|value| count(&value)), Ok(1 + 2 * 2_002));
    gives_up(decoded(&array(127), &[0; 127]));
}

#[test]
fn values_with_bytes_are_never_too_many() {
    // As deep as a schema goes: an array of structs in structs, the innermost with a byte and an array of none.
    let innermost = structure(1, &[1, b'a', 0, 0x40, 0, 0x10, 1, b'b', 0, 0x10], 2);
    let around = MAX_DEPTH - 4;
    let nested = (0..around).fold(innermost, |inner, _| structure(1, &[&[1, b'a', 0], &inner[..]].concat(), 1));
    let array = [&[0x40, 0x90, 0x4e], &nested[..]].concat();
    let value = decoded(&array, &[0; 10_000]).expect("there are fewer than 32 values for each byte");
    assert_eq!(count(&value), 1 + 10_000 * u64::from(around + 3));
}

#[test]
fn a_field_outside_of_the_message_is_an_error() {
    let field = |offset| Field { name: "a".into(), offset, ty: Schema::Prim(Prim::U16) };
    let schema = |offset| Schema::Struct { name: "S".into(), size: 4, align: 2, fields: vec![field(offset)] };
    assert!(schema(2).read(&[0; 4]).is_ok());
    for offset in [3, 4, MAX_ALIGN as u64, u64::MAX] {
        let error = schema(offset).read(&[0; 4]).unwrap_err();
        assert_eq!((error.path(), error.reason()), ("a", &ValueReason::Outside(offset)));
        let error = schema(offset).write(&[("a", 1u8.into())].into(), &mut [0; 4]).unwrap_err();
        assert_eq!(error.reason(), &ValueReason::Outside(offset));
    }
    // Nor does an offset lead around the end of the numbers, and back in.
    let around = Schema::Opt { item: schema(u64::MAX).into(), offset: 2 };
    let expected = ValueReason::Outside(u64::MAX);
    assert_eq!(around.read(&[1; 6]).unwrap_err().reason(), &expected);
    let value = Value::from([("a", 1u8.into())]);
    assert_eq!(around.write(&value, &mut [0; 6]).unwrap_err().reason(), &expected);
}
