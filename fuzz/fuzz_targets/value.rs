//! Values of schemas from anybody: a schema, and bytes that are said to be a value of it.
#![no_main]

use ipc_core::schema::decode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &[u8])| {
    let (schema, bytes) = input;
    let Ok(schema) = decode(schema) else { return };
    match schema.read(bytes) {
        Ok(value) => {
            let _ = (value.to_string(), schema.bytes_for(&value));
            let mut written = vec![0; bytes.len()];
            let _ = schema.write(&value, &mut written);
        }
        Err(error) => drop(error.to_string()),
    }
});
