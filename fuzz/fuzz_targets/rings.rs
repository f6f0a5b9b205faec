//! The rings over memory that answers differently at every load. Needs `--cfg slipring_hostile`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[cfg(not(slipring_hostile))]
compile_error!("this target needs RUSTFLAGS=\"--cfg slipring_hostile\"");

#[cfg(slipring_hostile)]
fuzz_target!(|script: &[u8]| {
    let drives = ipc_core::hostile::DRIVES;
    if let Some((&first, script)) = script.split_first() {
        drives[usize::from(first) % drives.len()].play(script);
    }
});
