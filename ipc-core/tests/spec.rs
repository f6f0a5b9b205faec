//! SPEC.md says what the library does: its tables and examples are read from the page and held against a segment.

mod support;

use core::mem::offset_of;
use ipc_core::schema::{self, Schema};
use ipc_core::{Broadcast, IpcMessage, Latest, List, Opt, Pipe, Queue, Receiver, Sender, Str};
use ipc_macros::IpcMessage;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process;
use support::{IS_PORTABLE, lifecycle_file, memory};

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Reading {
    sensor: Str<3>,
    delay: Opt<i16>,
    state: State,
    counts: List<u32, 2>,
    value: f64,
}

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[ipc(crate = "ipc_core")]
#[repr(i8)]
enum State {
    Lost = -1,
    Good = 1,
}

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[ipc(crate = "ipc_core")]
#[repr(C, u8)]
#[allow(dead_code, reason = "only its layout is looked at")]
enum Command {
    Stop,
    Move { x: f32, fast: bool },
    Say(Str<3>) = 9,
}

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(C, align(64))]
struct Aligned64([u64; 8]);

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(C, align(128))]
struct Aligned128([u64; 16]);

fn spec() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../SPEC.md");
    fs::read_to_string(path).expect("SPEC.md lies beside the crate")
}

/// The text under the heading that starts with `number`.
fn section(spec: &str, number: u32) -> &str {
    let start = spec.find(&format!("\n## {number} ")).expect("the section is there");
    let text = &spec[start + 4..];
    &text[..text.find("\n## ").unwrap_or(text.len())]
}

/// The lines of the code block that is labelled `label`.
fn block<'a>(spec: &'a str, label: &str) -> impl Iterator<Item = &'a str> {
    let opening = format!("```text {label}\n");
    let start = spec.find(&opening).unwrap_or_else(|| panic!("there is no block {label}")) + opening.len();
    let text = &spec[start..];
    text[..text.find("```").expect("the block ends")].lines()
}

/// The bytes at the start of a line, up to two spaces.
fn hex(line: &str) -> Vec<u8> {
    let bytes = line.split("  ").next().unwrap_or_default();
    bytes.split(' ').map(|byte| u8::from_str_radix(byte, 16).expect("a byte in hex")).collect()
}

/// The rows of a section's tables that begin with an offset and a size: the fields by name.
fn fields(section: &str) -> BTreeMap<String, (usize, usize)> {
    let row = |line: &str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let name = cells.get(3)?.strip_prefix('`')?.strip_suffix('`')?;
        Some((name.to_owned(), (cells[1].parse().ok()?, cells[2].parse().ok()?)))
    };
    section.lines().filter_map(row).collect()
}

/// Where a table ends whose rows have to follow each other without a gap.
fn end_of(table: &BTreeMap<String, (usize, usize)>) -> usize {
    let mut rows: Vec<_> = table.values().collect();
    rows.sort_unstable();
    rows.into_iter().fold(0, |end, &(at, len)| {
        assert_eq!(at, end, "the table has a gap");
        at + len
    })
}

/// A segment with the messages of section 13, under a name of its own.
struct Example {
    queue: Queue<Reading>,
    tx: Option<Sender<Reading>>,
    rx: Option<Receiver<Reading>>,
    domain: String,
}

impl Example {
    fn new(name: &str) -> Self {
        let domain = format!("spec-{}", process::id());
        let queue = Queue::new(name).domain(&domain).capacity(4).spsc();
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        let counts = List::from_slice(&[7]).unwrap();
        let first = Reading { counts, ..reading("T1", Opt::Some(-2), State::Good, 21.5) };
        tx.send(first).unwrap();
        tx.send(reading("T2", Opt::None, State::Lost, 0.0)).unwrap();
        assert_eq!(rx.recv(), Ok(Some(first)));
        Example { queue, tx: Some(tx), rx: Some(rx), domain }
    }

    fn path(&self) -> &Path {
        &self.rx.as_ref().expect("it is open").info().path
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(memory(self.path())).unwrap()
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        self.tx = None;
        self.rx = None;
        // Messages may be left, and then the segment is too. A panic in here would hide the failure of the test.
        let _ = self.queue.remove();
    }
}

fn reading(sensor: &str, delay: Opt<i16>, state: State, value: f64) -> Reading {
    Reading { sensor: sensor.parse().unwrap(), delay, state, counts: List::new(), value }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// `text` in a field of `len` zero-padded bytes.
fn padded(text: &str, len: usize) -> Vec<u8> {
    let mut field = text.as_bytes().to_vec();
    field.resize(len, 0);
    field
}

/// Compares what the page shows with the bytes of a segment, except at the offsets that `differs` picks.
fn compare_dump(label: &str, bytes: &[u8], differs: impl Fn(usize) -> bool) {
    let spec = spec();
    for line in block(&spec, label) {
        let (at, rest) = line.split_once("  ").expect("an offset and bytes");
        let at = usize::from_str_radix(at, 16).expect("an offset in hex");
        let shown = hex(rest);
        for (at, shown) in (at..).zip(&shown) {
            assert!(differs(at) || bytes[at] == *shown, "{label}: {:#04x} at {at:#x}, not {shown:#04x}", bytes[at]);
        }
        let text: String =
            shown.iter().map(|&byte| if (32..127).contains(&byte) { byte as char } else { '.' }).collect();
        assert!(line.ends_with(&format!("|{text}|")), "{line}");
    }
}

#[test]
#[cfg_attr(target_pointer_width = "32", ignore = "an f64 need not be aligned to 8 bytes here")]
fn schemas() {
    let spec = spec();
    let examples = [
        ("reading-schema", Reading::SCHEMA, Reading::FINGERPRINT),
        ("command-schema", Command::SCHEMA, Command::FINGERPRINT),
    ];
    for (label, schema, fingerprint) in examples {
        let shown: Vec<u8> = block(&spec, label).flat_map(hex).collect();
        assert_eq!(shown, schema, "{label}");
        assert!(section(&spec, 11).contains(&format!("{} bytes", schema.len())), "{label}");
        assert!(section(&spec, 11).contains(&format!("fingerprint is `{fingerprint:032x}`")), "{label}");
        assert_eq!(schema::fingerprint(schema), fingerprint);
    }
    for bytes in [&b""[..], b"a"] {
        assert!(section(&spec, 11).contains(&format!("`{:032x}`", schema::fingerprint(bytes))));
    }
}

#[test]
#[cfg_attr(target_pointer_width = "32", ignore = "an f64 need not be aligned to 8 bytes here")]
fn the_fields_of_the_example() {
    let Ok(Schema::Struct { size, align, fields: decoded, .. }) = schema::decode(Reading::SCHEMA) else {
        panic!("`Reading` is a struct");
    };
    assert_eq!((size, align), (32, 8));
    let decoded: BTreeMap<_, _> = decoded
        .into_iter()
        .map(|field| (field.name, (field.offset as usize, field.ty.size_bytes() as usize)))
        .collect();
    assert_eq!(fields(section(&spec(), 10)), decoded);
    assert_eq!(offset_of!(Reading, value), decoded["value"].0);
    assert_eq!((size_of::<Command>(), align_of::<Command>()), (12, 4));
}

#[test]
#[cfg_attr(feature = "portable", ignore = "the page shows a segment of the Linux backend")]
#[cfg_attr(target_pointer_width = "32", ignore = "an f64 need not be aligned to 8 bytes here")]
fn the_header() {
    let example = Example::new("header");
    let bytes = example.bytes();
    let info = example.rx.as_ref().unwrap().info();
    let (u32, u64) = (|value: u32| value.to_ne_bytes().to_vec(), |value: u64| value.to_ne_bytes().to_vec());
    let expected: BTreeMap<&str, Vec<u8>> = BTreeMap::from([
        ("magic", b"SLIPRING".to_vec()),
        ("format_version", u32(1)),
        ("byte_order", u32(0x0102_0304)),
        ("backend", u32(1)),
        ("kind", u32(1)),
        ("fingerprint", Reading::FINGERPRINT.to_le_bytes().to_vec()),
        ("capacity", u64(4)),
        ("slot_bytes", u64(64)),
        ("message_bytes", u64(32)),
        ("message_align", u32(8)),
        ("participants", u32(2)),
        ("participants_offset", u64(4096)),
        ("waits_offset", u64(4352)),
        ("slots_offset", u64(8192)),
        ("total_bytes", u64(bytes.len() as u64)),
        ("schema_bytes", u32(Reading::SCHEMA.len() as u32)),
        ("creator_pid", u32(process::id())),
        ("creator_program", padded(&info.creator.program, 40)),
        ("domain", padded(&example.domain, 64)),
        ("name", padded("header", 128)),
        ("lifetime", u32(0)),
        ("first_role", u32(1)),
        ("history", u64(0)),
        ("evict_after_ns", u64(0)),
        ("flags", u32(0)),
        ("ring_lines", u32(1)),
        ("slots", u64(4)),
        ("stamps_offset", u64(0)),
        ("reply_bytes", u64(0)),
        ("reply_align", u32(0)),
        ("reply_schema_bytes", u32(0)),
        ("reply_fingerprint", vec![0; 16]),
        ("histogram_offset", u64(0)),
        ("request_limit", u64(0)),
        ("reply_limit", u64(0)),
        ("reserved", vec![0; 48]),
    ]);
    let spec = spec();
    let table = fields(section(&spec, 3));
    for (&field, value) in &expected {
        let (at, len) = table[field];
        assert_eq!(bytes[at..at + len], value[..], "{field}");
    }
    let (at, len) = table["instance"];
    assert_ne!(bytes[at..at + len], vec![0; len][..], "drawn at random");
    assert_eq!(table.len(), expected.len() + 1, "every row has been compared");

    let end = end_of(&table);
    assert_eq!(bytes[end..end + Reading::SCHEMA.len()], *Reading::SCHEMA);
    assert_eq!(bytes.len() as u64, info.segment_bytes);
}

#[test]
#[cfg_attr(target_pointer_width = "32", ignore = "an f64 need not be aligned to 8 bytes here")]
fn sizes_of_slots() {
    fn slot_bytes<T: IpcMessage>(name: &str) -> (usize, usize, u64) {
        let queue = Queue::<T>::new(name).domain(format!("spec-{}", process::id())).capacity(3).spsc();
        let tx = queue.sender().unwrap();
        let bytes = fs::read(memory(&tx.info().path)).unwrap();
        let (slot_bytes, slots_offset) = (u64_at(&bytes, 64), u64_at(&bytes, 104));
        assert_eq!(u64_at(&bytes, 112), (slots_offset + 3 * slot_bytes).next_multiple_of(4096));
        (size_of::<T>(), align_of::<T>(), slot_bytes)
    }
    #[derive(IpcMessage, Clone, Copy)]
    #[ipc(crate = "ipc_core")]
    #[repr(C, align(8))]
    struct Bytes56([u64; 7]);
    let found = [
        slot_bytes::<u8>("slot-1"),
        slot_bytes::<[u64; 6]>("slot-48"),
        slot_bytes::<Bytes56>("slot-56"),
        slot_bytes::<[u8; 57]>("slot-57"),
        slot_bytes::<[u64; 8]>("slot-64"),
        slot_bytes::<Aligned64>("slot-64-64"),
        slot_bytes::<Aligned128>("slot-128"),
        slot_bytes::<[u64; 512]>("slot-4096"),
    ];
    let spec = spec();
    for (bytes, align, slot) in found {
        let row = format!("| {bytes} | {align} | {slot} |");
        assert!(section(&spec, 4).contains(&row), "{row}");
    }
}

#[test]
fn timestamps() {
    fn header<T: IpcMessage>(name: &str) -> (Vec<u8>, u64) {
        let domain = format!("spec-{}", process::id());
        let queue = Queue::<T>::new(name).domain(domain).capacity(3).spsc().timestamps(true);
        let tx = queue.sender().unwrap();
        let bytes = fs::read(memory(&tx.info().path)).unwrap();
        let slot_bytes = u64_at(&bytes, 64);
        (bytes, slot_bytes)
    }
    let spec = spec();
    let section = section(&spec, 19);
    #[derive(IpcMessage, Clone, Copy)]
    #[ipc(crate = "ipc_core")]
    #[repr(C, align(8))]
    struct Bytes56([u64; 7]);
    let found = [
        (48, 8, header::<[u64; 6]>("stamped-48")),
        (56, 8, header::<Bytes56>("stamped-56")),
        (64, 8, header::<[u64; 8]>("stamped-64")),
        (64, 64, header::<Aligned64>("stamped-64-64")),
    ];
    let table = fields(section);
    for (bytes, align, (image, slot_bytes)) in &found {
        assert!(section.contains(&format!("| {bytes} | {align} | {slot_bytes} |")), "{bytes}, {align}: {slot_bytes}");
        assert_eq!(u32_at(image, 384), 4);
        let histogram = u64_at(image, 440);
        assert_eq!(histogram, (u64_at(image, 104) + 3 * slot_bytes).next_multiple_of(128));
        assert_eq!(u64_at(image, 112), (histogram + end_of(&table) as u64).next_multiple_of(4096));
        let at = |field: &str| histogram as usize + table[field].0;
        assert_eq!([u32_at(image, at("format")), u32_at(image, at("digits"))], [1, 2]);
        let head = ["lowest_ns", "highest_ns", "counters"].map(|field| u64_at(image, at(field)));
        assert_eq!(head, [1, 3_600_000_000_000, 4608]);
        assert!(image[at("total")..].iter().all(|&byte| byte == 0));
    }
    assert_eq!(end_of(&table), 36_992);

    let queue = Queue::<u64>::new("stamped").domain(format!("spec-{}", process::id())).spsc().timestamps(true);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    let before = monotonic_ns();
    tx.send(7).unwrap();
    let sent = before..=monotonic_ns();
    assert_eq!(rx.recv(), Ok(Some(7)));
    let bytes = fs::read(memory(&tx.info().path)).unwrap();
    let at = |field: &str| u64_at(&bytes, u64_at(&bytes, 440) as usize + table[field].0);
    assert_eq!((at("total"), at("out_of_range"), at("max_ns")), (1, 0, !at("min_not")));
    let value = at("max_ns");
    let shift = if value < 256 { 0 } else { u64::from(value.ilog2()) - 7 };
    let counts = u64_at(&bytes, 440) + table["counts"].0 as u64;
    assert_eq!(u64_at(&bytes, (counts + 8 * (128 * shift + (value >> shift))) as usize), 1);
    let slot = u64_at(&bytes, 104) as usize;
    assert_eq!((u64_at(&bytes, slot), u64_at(&bytes, slot + 56)), (7, 1));
    assert!(sent.contains(&u64_at(&bytes, slot + 48)), "the time, before the stamp");

    let latest = Latest::<[u64; 8]>::new("aged").domain(format!("spec-{}", process::id())).timestamps(true);
    let (mut writer, mut reader) = (latest.writer().unwrap(), latest.reader().unwrap());
    let before = monotonic_ns();
    writer.write([7; 8]).unwrap();
    let written = before..=monotonic_ns();
    assert_eq!((reader.read(), reader.read()), (Ok(Some([7; 8])), Ok(Some([7; 8]))));
    let bytes = fs::read(memory(&writer.info().path)).unwrap();
    let (slot_bytes, slots) = (u64_at(&bytes, 64) as usize, u64_at(&bytes, 104) as usize);
    assert_eq!(slot_bytes, 128, "64 bytes, the time, and the stamp, in whole lines");
    let end = slots + 2 * slot_bytes;
    assert_eq!(u64_at(&bytes, end - 8), 1);
    assert!(written.contains(&u64_at(&bytes, end - 16)), "the time, before the stamp");
    assert_eq!(u64_at(&bytes, u64_at(&bytes, 440) as usize + table["total"].0), 1, "read twice, counted once");
}

/// The clock of timestamps.
fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer leads to a `timespec`, which is writable.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) }, 0);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[test]
fn lines_and_their_words() {
    let mut example = Example::new("lines");
    let spec = spec();
    let (participant, wait, taken) = (fields(section(&spec, 6)), fields(section(&spec, 9)), fields(section(&spec, 8)));
    assert_eq!([&participant, &wait, &taken].map(end_of), [128; 3]);
    let live = 1 << 32 | 1;
    let bytes = example.bytes();
    for line in [4096, 4096 + 128] {
        assert_eq!(u64_at(&bytes, line + participant["state"].0), live);
        assert_eq!(u32_at(&bytes, line + participant["pid"].0), process::id());
        let number = |line| u32_at(&bytes, line + participant["process"].0);
        assert!(number(line) != 0 && number(line) == number(4096), "the lines of one process");
        let (at, len) = participant["program"];
        let program = &example.rx.as_ref().unwrap().info().creator.program;
        assert_eq!(bytes[line + at..line + at + len], padded(program, len));
    }
    let fence = if IS_PORTABLE { 256 } else { 0 };
    assert_eq!(u32_at(&bytes, 4352 + wait["word"].0), fence);
    let roll = |bytes: &[u8]| [4352, 4352 + 128].map(|line| u32_at(bytes, line + wait["roll"].0));
    assert_eq!(roll(&bytes), [4, 0], "two have joined");
    assert_eq!(u64_at(&bytes, 4352 + 256 + taken["taken"].0), 1);

    example.tx = None;
    let bytes = example.bytes();
    assert_eq!(u64_at(&bytes, 4096 + participant["state"].0), 1 << 32 | 2, "CLOSED");
    example.tx = Some(example.queue.sender().unwrap());
    let bytes = example.bytes();
    assert_eq!(u64_at(&bytes, 4096), 2 << 32 | 1, "LIVE, of the next generation");
    assert_eq!(roll(&bytes), [6, 0], "another one has joined");
}

#[test]
fn locks() {
    let mut example = Example::new("locks");
    let locks = |path: &Path| [0, 1, 2, 3].map(|lock| is_locked(path, lock));
    assert_eq!(locks(example.path()), [false, true, true, false]);
    example.tx = None;
    assert_eq!(locks(example.path()), [false, false, true, false]);
}

/// Whether somebody has a lock of the segment with this name.
fn is_locked(path: &Path, lock: u32) -> bool {
    if !IS_PORTABLE {
        return is_byte_locked(&File::options().write(true).open(path).unwrap(), lock.into());
    }
    let Ok(file) = File::open(lifecycle_file(path).with_extension(lock.to_string())) else { return false };
    // SAFETY: `file` keeps the descriptor open.
    unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_SH | libc::LOCK_NB) != 0 }
}

/// Whether another open file description has a lock on a byte of the file.
fn is_byte_locked(file: &File, byte: i64) -> bool {
    // SAFETY: `flock` is a C struct of integers, for which zero is a valid value.
    let mut lock: libc::flock = unsafe { core::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as _;
    lock.l_start = byte as _;
    lock.l_len = 1;
    // SAFETY: `file` keeps the descriptor open, and F_OFD_GETLK takes a pointer to a `flock`, which `lock` is.
    let answer = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
    assert_eq!(answer, 0);
    i32::from(lock.l_type) != libc::F_UNLCK
}

#[test]
#[cfg_attr(feature = "portable", ignore = "the page shows a segment of the Linux backend")]
#[cfg_attr(target_pointer_width = "32", ignore = "an f64 need not be aligned to 8 bytes here")]
fn a_segment_byte_by_byte() {
    if cfg!(target_endian = "big") {
        eprintln!("the dumps are those of a little-endian machine: not compared");
        return;
    }
    let mut example = Example::new("readings");
    let bytes = example.bytes();
    assert!(section(&spec(), 13).contains("12,288 bytes") && bytes.len() == 12_288);
    // The instance, and the process, its program and its domain, are not those of the page.
    compare_dump("header", &bytes, |at| (24..40).contains(&at) || (124..176).contains(&at));
    compare_dump("participants", &bytes, |at| at % 128 >= 8);
    compare_dump("control", &bytes, |_| false);
    compare_dump("slots", &bytes, |_| false);

    let (tx, rx) = (example.tx.as_mut().unwrap(), example.rx.as_mut().unwrap());
    for sensor in ["T3", "T4"] {
        tx.send(reading(sensor, Opt::Some(1), State::Good, 1.0)).unwrap();
    }
    tx.send(reading("T5", Opt::None, State::Good, 0.0)).unwrap();
    assert_eq!(rx.len(), 4);
    compare_dump("slot-0-again", &example.bytes(), |_| false);
}

#[test]
fn a_latest_value() {
    let spec = spec();
    let line = fields(section(&spec, 14));
    assert_eq!(end_of(&line), 128);
    let latest = Latest::<[u64; 8]>::new("latest").domain(format!("spec-{}", process::id()));
    let mut writer = latest.writer().unwrap();
    for number in 1..=6 {
        writer.write([number; 8]).unwrap();
    }
    let bytes = fs::read(memory(&writer.info().path)).unwrap();
    assert_eq!(
        (u32_at(&bytes, 20), u32_at(&bytes, 84), u32_at(&bytes, 364)),
        (5, 65, 1),
        "kind, participants, first role"
    );
    assert_eq!((u64_at(&bytes, 56), u64_at(&bytes, 392)), (1, 4), "capacity and slots");
    assert_eq!(u64_at(&bytes, 64), 128, "64 bytes and a stamp, and not packed");
    let (waits, slots) = (u64_at(&bytes, 96) as usize, u64_at(&bytes, 104) as usize);
    assert_eq!(u64_at(&bytes, waits + 256 + line["version"].0), 6);
    for version in 3..=6 {
        let slot = slots + 128 * (version as usize % 4);
        assert_eq!((u64_at(&bytes, slot), u64_at(&bytes, slot + 56)), (version, version));
        assert_eq!(u64_at(&bytes, slot + 120), version, "the stamp");
    }
    // The slot that is opened next, for version 7, is marked.
    let draft = writer.loan().unwrap();
    drop(draft);
    let bytes = fs::read(memory(&writer.info().path)).unwrap();
    assert_eq!(u64_at(&bytes, slots + 128 * 3 + 120), !7);
}

#[test]
fn a_broadcast_of_any_length() {
    let (domain, section) = (format!("spec-{}", process::id()), spec());
    assert!(self::section(&section, 18).contains("from `stamps_offset + 8 * slots` on the *numbers*"));
    let channel = Broadcast::<str>::new("frames").domain(domain).capacity(16 * 64).history(3).lossy().timestamps(true);
    let mut publisher = channel.clone().lifetime(ipc_core::Lifetime::Attached).publisher().unwrap();
    // 13 laps: of 32 cells, in each 4 messages of 7 cells, and padding of 4 cells.
    let text = "x".repeat(6 * 64);
    for _ in 0..13 * 4 {
        publisher.send_copy(&text).unwrap();
    }
    let bytes = fs::read(memory(&publisher.info().path)).unwrap();
    assert_eq!((u32_at(&bytes, 20), u32_at(&bytes, 384)), (4, 2 | 4), "kind and flags");
    assert_eq!((u64_at(&bytes, 56), u64_at(&bytes, 64), u64_at(&bytes, 392)), (16, 64, 32), "capacity, unit, cells");
    assert_eq!(u64_at(&bytes, 440), 0, "no histogram");
    let [waits, cells, stamps] = [96, 104, 400].map(|at| u64_at(&bytes, at) as usize);
    assert_eq!(cells, (stamps + 2 * 8 * 32).next_multiple_of(4096));
    assert_eq!(bytes.len(), (cells + 32 * 64).next_multiple_of(4096));
    let (tail, oldest) = (u64_at(&bytes, waits + 256), u64_at(&bytes, waits + 256 + 128));
    assert_eq!(tail, 12 * 32 + 28);
    // The last frame needed the cells of the last one of the lap before; the padding behind that is still there.
    assert_eq!(oldest, 11 * 32 + 28);
    assert_eq!(u64_at(&bytes, stamps + 8 * 32 + 8 * 28), 12 * 4, "the number of the first message from `oldest` on");
    for message in 0..4 {
        let (stamp, frame) = (u64_at(&bytes, stamps + 8 * 7 * message), cells + 64 * 7 * message);
        assert_eq!(stamp, 12 << 31 | 7 << 15 | 1, "lap 12, 7 units, FULL");
        assert_eq!(u64_at(&bytes, frame), text.len() as u64);
        assert!(bytes[frame + 16..].starts_with(text.as_bytes()));
        assert!(monotonic_ns() - u64_at(&bytes, frame + 8) < 60_000_000_000, "the time, a moment ago");
    }
    // The padding of the lap before: SKIP of 4 cells, without a number.
    assert_eq!(u64_at(&bytes, stamps + 8 * 28), 11 << 31 | 4 << 15 | 1 << 3 | 2);
}

#[test]
fn a_lossy_broadcast() {
    let ticks = Broadcast::<[u64; 8]>::new("ticks").domain(format!("spec-{}", process::id()));
    // A history would outlive its publisher.
    let ticks = ticks.lifetime(ipc_core::Lifetime::Attached);
    let mut publisher = ticks.capacity(16).history(3).lossy().publisher().unwrap();
    publisher.send_batch((0..4).map(|number| [number; 8])).unwrap();
    let bytes = fs::read(memory(&publisher.info().path)).unwrap();
    assert_eq!((u32_at(&bytes, 20), u64_at(&bytes, 56), u64_at(&bytes, 368)), (4, 16, 3), "kind, capacity, history");
    assert_eq!((u64_at(&bytes, 392), u64_at(&bytes, 64)), (16 + 3 + 2, 72), "slots, with the margin, and their size");
    let (lines, slots) = (u64_at(&bytes, 96) as usize + 256, u64_at(&bytes, 104) as usize);
    assert_eq!((u64_at(&bytes, lines), u64_at(&bytes, lines + 128)), (4, 4), "the tail; the horizon, moved by 2 and 2");
    let stamps: Vec<_> = (0..5).map(|slot| u64_at(&bytes, slots + 72 * slot + 64)).collect();
    let full = 1 << 15 | 1;
    assert_eq!(stamps, [full, full, full, full, 0]);
    let path = memory(&publisher.info().path);
    let loan = publisher.loan().unwrap();
    let bytes = fs::read(path).unwrap();
    assert_eq!((u64_at(&bytes, lines), u64_at(&bytes, lines + 128)), (5, 6), "moved before the slot is lent");
    assert_eq!(u64_at(&bytes, slots + 72 * 4 + 64), 0);
    drop(loan);
}

#[test]
fn the_channels_of_a_pipe() {
    let pipe = Pipe::<u32, u64>::new("pipe").domain(format!("spec-{}", process::id()));
    let mut left = pipe.left().unwrap();
    left.send(7).unwrap();
    let (tx, rx) = left.halves();
    for (path, channel, live) in [(&tx.info().path, "pipe.lr", 0), (&rx.info().path, "pipe.rl", 1)] {
        let bytes = fs::read(memory(path)).unwrap();
        assert!(path.to_string_lossy().ends_with(channel));
        assert_eq!(bytes[232..360], padded(channel, 128));
        assert_eq!(u32_at(&bytes, 20), 1, "an exclusive queue");
        assert_eq!([0, 1].map(|line| u64_at(&bytes, 4096 + 128 * line) & 3), [1 - live, live]);
    }
    assert_eq!(pipe.right().unwrap().recv(), Ok(Some(7)));
}

#[test]
fn locks_and_shared_values() {
    use ipc_core::sync::{Barrier, Mutex, Options, Semaphore};
    let domain = format!("spec-{}", process::id());
    let named = |name: &str| Options::new(name).domain(&domain);
    let mutex = Mutex::<u64>::open(named("mutex"), || 0x0123_4567).unwrap();
    let held = mutex.lock().unwrap();
    let bytes = fs::read(memory(&mutex.info().path)).unwrap();
    let control = u64_at(&bytes, 96) as usize + 256;
    assert_eq!((u32_at(&bytes, 20), u32_at(&bytes, 84), u32_at(&bytes, 364)), (7, 256, 256), "kind, lines, first role");
    assert_eq!((u64_at(&bytes, 56), u64_at(&bytes, 392), u32_at(&bytes, 388)), (1, 1, 2), "capacity, slots, lines");
    assert_eq!(u64_at(&bytes, u64_at(&bytes, 104) as usize), 0x0123_4567, "the value");
    let word = u64_at(&bytes, control);
    assert_eq!(word & 7, 4, "CHANGING");
    assert_eq!((word >> 3 & 0x1FFF, word >> 16 & 0x3F_FFFF), (1, 1), "line 0, generation 1");
    assert_ne!(word >> 38, 0, "a token");
    assert_eq!(u64_at(&bytes, control + 128), 1, "lines in use");
    drop(held);
    let bytes = fs::read(memory(&mutex.info().path)).unwrap();
    assert_eq!(u64_at(&bytes, control), 0);

    let semaphore = Semaphore::bounded(named("semaphore"), 5).unwrap();
    let permits = semaphore.acquire_many(2).unwrap();
    let bytes = fs::read(memory(&semaphore.info().path)).unwrap();
    assert_eq!((u32_at(&bytes, 20), u64_at(&bytes, 56)), (9, 5), "kind, capacity");
    assert_eq!(u64_at(&bytes, control), 3 | 1 << 20 | 1 << 33, "3 are free, line 0, change 1");
    let record = u64_at(&bytes, 88) as usize + 104;
    assert_eq!((u64_at(&bytes, record), u64_at(&bytes, record + 8)), (2 | 1 << 40, 1), "claim and units");
    drop(permits);

    let barrier = Barrier::open(named("barrier"), 3).unwrap();
    let bytes = fs::read(memory(&barrier.info().path)).unwrap();
    assert_eq!((u32_at(&bytes, 20), u64_at(&bytes, 56)), (12, 3), "kind, capacity");
    assert_eq!(u64_at(&bytes, record), 3, "a member, the first on its line");
}
