//! Schemas from anybody: decoding, showing and comparing them.
#![no_main]

use ipc_core::schema::{decode, diff};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match decode(bytes) {
        Ok(schema) => {
            let _ = (schema.type_text(), schema.size_bytes(), schema.tail().map(|(offset, _)| offset));
        }
        Err(error) => drop(error.to_string()),
    }
    let (ours, theirs) = bytes.split_at(bytes.len() / 2);
    diff(ours, theirs).iter().for_each(|difference| drop(difference.to_string()));
});
