//! Segments that are cut short, or whose headers are not as this program would have written them.

use super::support::{self, Child, Domain, IS_PORTABLE, queue, say};
use super::{assert_not_a_segment, assert_says, refusal, works};
use ipc_core::{IpcMessage, Lifetime, OpenError};
use std::fs;
use std::ops::Range;
use std::path::PathBuf;

/// Bytes of the header before the schema.
const HEADER_BYTES: usize = 512;

/// Slots of the channels whose files are damaged here. Of 64 bytes each they fill many pages, and the last one in part.
const CAPACITY: usize = 1000;

#[test]
fn a_truncated_segment_is_refused() {
    let domain = Domain::new("truncated");
    let (image, _) = persistent_segment(&domain, "short");
    let whole = image.len();
    let mut lengths = vec![0, 1, 511];
    if !IS_PORTABLE {
        // There the file is the memory as well.
        lengths.extend([512, 513, 4095, 4096, 8192, whole / 2, whole - 4096, whole - 1]);
    }
    for length in lengths {
        fs::write(domain.path("short"), &image[..length]).unwrap();
        let reason = match length {
            0..HEADER_BYTES => format!("it has only {length} bytes"),
            _ => format!("it is truncated: {length} bytes where {whole} belong"),
        };
        assert_not_a_segment(&domain, "short", &reason);
        assert_eq!(fs::metadata(domain.path("short")).unwrap().len(), length as u64, "it is left as it was");
    }
    fs::write(domain.path("short"), &image).unwrap();
    assert!(works(&domain.queue("short")).is_ok(), "nothing but its length was wrong");
    assert!(domain.queue::<u64>("short").remove().unwrap());
}

#[test]
fn another_magic_format_or_byte_order_is_refused() {
    let domain = Domain::new("header");
    let (image, path) = persistent_segment(&domain, "header");
    let patched = |patch: &dyn Fn(&mut [u8])| {
        let mut image = image.clone();
        patch(&mut image);
        fs::write(&path, image).unwrap();
        let error = refusal(&domain.queue::<u64>("header"));
        assert_eq!(domain.queue::<u64>("header").remove().unwrap_err().to_string(), error.to_string());
        assert_says(&error, &[path.to_str().unwrap()]);
        error
    };

    let error = patched(&|image| image[..8].copy_from_slice(b"SLIPKNOT"));
    assert!(matches!(error, OpenError::NotASegment { .. }), "{error:?}");
    assert_says(&error, &["it does not start with the mark of a segment", "remove it if nobody uses it"]);

    for (version, advice) in [
        (2, "rebuild this program"),
        (u32::MAX, "rebuild this program"),
        (0, "rebuild the program that made it, or remove the segment"),
    ] {
        let error = patched(&|image| image[8..12].copy_from_slice(&version.to_ne_bytes()));
        let OpenError::FormatVersion { found, expected: 1, .. } = error else { panic!("{error:?}") };
        assert_eq!(found, version);
        assert_says(&error, &[&format!("has segment format {version}"), "this program speaks format 1", advice]);
    }

    let error = patched(&|image| image[12..16].reverse());
    assert!(matches!(error, OpenError::ByteOrder { .. }), "{error:?}");
    assert_says(&error, &["other byte order", "remove it"]);
    // As a machine of the other order would have written it: the version is another number to us, and must not be taken
    // for one.
    let error = patched(&|image| {
        for (_, field, _) in fields() {
            image[field].reverse();
        }
    });
    assert!(matches!(error, OpenError::ByteOrder { .. }), "{error:?}");

    let error = patched(&|image| image[12..16].copy_from_slice(&0x0201_0304_u32.to_ne_bytes()));
    assert!(matches!(error, OpenError::NotASegment { .. }), "{error:?}");
    assert_says(&error, &["its header is damaged: no byte-order mark"]);
    let ours = if IS_PORTABLE { "this program has the portable backend" } else { "this program has the Linux backend" };
    let other =
        if IS_PORTABLE { (1, "was made with the Linux backend") } else { (2, "was made with the portable backend") };
    for (backend, theirs) in [other, (7, "a backend that this version does not know")] {
        let error = patched(&|image| image[16..20].copy_from_slice(&u32::to_ne_bytes(backend)));
        assert!(matches!(error, OpenError::Backend { .. }), "{error:?}");
        assert_says(&error, &[theirs, ours, "(by pid ", "feature `portable`"]);
    }
    fs::write(&path, &image).unwrap();
    assert!(domain.queue::<u64>("header").remove().unwrap());
}

#[test]
fn a_channel_of_another_kind_is_refused() {
    let domain = Domain::new("kind");
    let (mut image, path) = persistent_segment(&domain, "kind");
    image[20..24].copy_from_slice(&99_u32.to_ne_bytes());
    fs::write(&path, &image).unwrap();
    let error = refusal(&domain.queue::<u64>("kind"));
    assert!(matches!(error, OpenError::Kind { .. }), "{error:?}");
    assert_says(&error, &["a kind that this version does not know", "opens it as an exclusive queue", "(created by"]);
    assert!(domain.queue::<u64>("kind").remove().unwrap(), "what it carries does not matter to its removal");
}

#[test]
fn a_damaged_header_is_refused_or_does_not_matter() {
    let domain = Domain::new("damaged");
    // In a child, since the worst that a wrong mapping does is a signal.
    let (status, said) = Child::start("damage", &domain).end();
    assert!(status.success(), "the child failed ({status}) at {:?}", said.last());
    assert_eq!(said.last().map(String::as_str), Some("done"));
}

/// Damages each field of a header, and then each byte of header and schema, and opens what has become of it.
pub(super) fn damage(domain: &str) {
    let queue = queue::<u64>(domain, "damaged");
    drop(queue.clone().capacity(CAPACITY).lifetime(Lifetime::Persistent).sender().unwrap());
    let path = support::path(domain, "damaged");
    let image = fs::read(&path).unwrap();
    let memory = support::memory(&path);
    let bytes = fs::read(&memory).unwrap();
    let opens = |patch: &dyn Fn(&mut [u8])| {
        let mut image = image.clone();
        patch(&mut image);
        // What was opened before may have removed it, if that is what its lifetime had come to say.
        if IS_PORTABLE {
            fs::write(&memory, &bytes).unwrap();
        }
        fs::write(&path, image).unwrap();
        works(&queue)
    };

    let mut random = Random(0x5EED);
    for (name, field, is_vital) in fields() {
        let values = [0, 1, u64::MAX, random.next(), random.next() >> 40, random.next() >> 56];
        for value in values {
            say(format!("{name} = {value:#x}"));
            let bytes = &value.to_ne_bytes();
            let bytes = if cfg!(target_endian = "little") { &bytes[..field.len()] } else { &bytes[8 - field.len()..] };
            let is_unchanged = image[field.clone()] == *bytes;
            let opened = opens(&|image| image[field.clone()].copy_from_slice(bytes));
            assert_eq!(opened.is_ok(), is_unchanged || !is_vital, "{name} = {value:#x}: {opened:?}");
            if let Err(error) = opened {
                use OpenError::{Backend, FormatVersion, Kind, Mismatch, NotASegment};
                let is_clear = matches!(
                    error,
                    NotASegment { .. } | Backend { .. } | FormatVersion { .. } | Kind { .. } | Mismatch(_)
                );
                assert!(is_clear, "{name}: {error:?}");
            }
        }
    }
    for (what, capacity, slot_bytes, participants) in [
        ("no slots", 0, 64, 2),
        ("more slots than there may be", (1 << 31) + 1, 64, 2),
        ("slots without bytes", 1000, 0, 2),
        ("slots too small for the message and its stamp", 1000, 8, 2),
        ("slots of half a line", 1000, 32, 2),
        ("slots that no rule makes", 1000, 56, 2),
        ("slots of two lines", 500, 128, 2),
        ("no participants", 1000, 64, 0),
    ] {
        say(what);
        let error = opens(&|image| lay_out(image, capacity, slot_bytes, participants)).expect_err(what);
        assert!(matches!(error, OpenError::NotASegment { .. }), "{what}: {error:?}");
        assert_says(&error, &["its header is damaged: sizes that do not fit together"]);
    }
    for at in 0..HEADER_BYTES + u64::SCHEMA.len() {
        for flip in [0x01, 0x80, 0xff, random.next() as u8 | 2] {
            say(format!("byte {at} ^ {flip:#x}"));
            // Either is fine: some bytes do not matter, and a capacity that still ends in the same page is a capacity.
            let _ = opens(&|image| image[at] ^= flip);
        }
    }
    fs::write(&path, &image).unwrap();
    assert!(queue.remove().unwrap());
    say("done");
}

/// The integers of a header, where they lie, and whether a segment cannot be used with a wrong one.
fn fields() -> [(&'static str, Range<usize>, bool); 27] {
    [
        ("format_version", 8..12, true),
        ("byte_order", 12..16, true),
        ("backend", 16..20, true),
        ("kind", 20..24, true),
        ("instance, low half", 24..32, false),
        ("instance, high half", 32..40, false),
        ("fingerprint, low half", 40..48, true),
        ("fingerprint, high half", 48..56, true),
        ("capacity", 56..64, true),
        ("slot_bytes", 64..72, true),
        ("message_bytes", 72..80, true),
        ("message_align", 80..84, true),
        ("participants", 84..88, true),
        ("participants_offset", 88..96, true),
        ("waits_offset", 96..104, true),
        ("slots_offset", 104..112, true),
        ("total_bytes", 112..120, true),
        ("schema_bytes", 120..124, true),
        ("creator_pid", 124..128, false),
        ("lifetime", 360..364, false),
        ("first_role", 364..368, true),
        ("history", 368..376, true),
        ("evict_after_ns", 376..384, false),
        ("ring_lines", 388..392, true),
        ("slots", 392..400, true),
        ("stamps_offset", 400..408, true),
        ("histogram_offset", 440..448, true),
    ]
}

/// Gives a header other sizes, and the offsets that follow from them, so that only the sizes are wrong.
fn lay_out(image: &mut [u8], capacity: u64, slot_bytes: u64, participants: u32) {
    let waits = 4096 + u64::from(participants) * 128;
    let slots = (waits + 3 * 128).next_multiple_of(4096);
    let total = (slots + capacity * slot_bytes).next_multiple_of(4096);
    image[84..88].copy_from_slice(&participants.to_ne_bytes());
    let sizes_and_offsets =
        [(56, capacity), (64, slot_bytes), (96, waits), (104, slots), (112, total), (392, capacity)];
    for (at, value) in sizes_and_offsets {
        image[at..at + 8].copy_from_slice(&value.to_ne_bytes());
    }
}

/// Makes a channel that outlives its ends, and returns the bytes of its segment and where they lie.
fn persistent_segment(domain: &Domain, channel: &str) -> (Vec<u8>, PathBuf) {
    drop(domain.queue::<u64>(channel).capacity(CAPACITY).lifetime(Lifetime::Persistent).sender().unwrap());
    let path = domain.path(channel);
    let image = fs::read(&path).unwrap();
    (image, path)
}

/// Numbers that are the same in every run, so that what they find can be found again.
struct Random(u64);

impl Random {
    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
