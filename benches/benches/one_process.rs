//! What lives in one process: how long it takes to place a message, to copy one out, to check and to decode it, and what
//! the operations of a ring take while nobody else uses it. Every loop does the same work each time, so `valgrind
//! --tool=callgrind` counts what criterion times.

use criterion::Criterion;
use slipring::message::from_bytes;
use slipring::schema::decode;
use slipring::{IpcMessage, List, Opt, Queue, Receiver, Sender, Str};
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::time::Duration;

/// A message with something to check in every field.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
struct Order {
    id: u64,
    symbol: Str<12>,
    side: Side,
    urgent: bool,
    limit: Opt<f64>,
    fills: List<u32, 8>,
}

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(u8)]
enum Side {
    Buy = 1,
    Sell = 2,
}

/// A message with holes between its fields, which may not leave the process.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
struct Padded {
    a: u8,
    b: u64,
    c: u16,
    d: u64,
    e: u8,
}

/// A message without any: it is copied as it is.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
struct Plain {
    words: [u64; 5],
}

fn order(side: Side) -> Order {
    let mut fills = List::default();
    (0..5).for_each(|fill| fills.push(fill).expect("there is room for eight"));
    let symbol = "SLPR".parse().expect("it is short enough");
    Order { id: 7, symbol, side, urgent: true, limit: Opt::Some(1.5), fills }
}

/// The bytes of a message as they are in a slot.
fn bytes_of<T: IpcMessage>(message: &T) -> Vec<u8> {
    let mut slot = MaybeUninit::<T>::zeroed();
    // SAFETY: the destination is aligned, large enough, and nobody else's.
    unsafe { message.place(slot.as_mut_ptr().cast()) };
    // SAFETY: every byte is initialised: `zeroed` has seen to it.
    let bytes = unsafe { std::slice::from_raw_parts(slot.as_ptr().cast(), size_of::<T>()) };
    bytes.to_vec()
}

fn validation(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("validate");
    let checked = bytes_of(&order(Side::Buy));
    group.bench_function("every field", |bencher| bencher.iter(|| from_bytes::<Order>(black_box(&checked)).is_ok()));
    let plain = bytes_of(&Plain { words: [3; 5] });
    group.bench_function("any bits", |bencher| bencher.iter(|| from_bytes::<Plain>(black_box(&plain)).is_ok()));
    group.finish();
}

fn schemas(criterion: &mut Criterion) {
    criterion.bench_function("schema/decode", |bencher| bencher.iter(|| decode(black_box(Order::SCHEMA)).is_ok()));
}

fn placement(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("place");
    let padded = Padded { a: 1, b: 2, c: 3, d: 4, e: 5 };
    group.bench_function("padded", |bencher| place(bencher, &padded));
    group.bench_function("plain", |bencher| place(bencher, &Plain { words: [3; 5] }));
    group.bench_function("strings and lists", |bencher| place(bencher, &order(Side::Sell)));
    group.finish();
}

fn place<T: IpcMessage>(bencher: &mut criterion::Bencher, message: &T) {
    let mut slot = MaybeUninit::<T>::zeroed();
    bencher.iter(|| {
        // SAFETY: the destination is aligned, large enough, and nobody else's.
        unsafe { black_box(message).place(black_box(slot.as_mut_ptr()).cast()) };
    });
}

fn rings(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring");
    for (name, shared) in [("exclusive", false), ("shared", true)] {
        let (mut tx, mut rx) = ends::<Plain>(shared);
        group.bench_function(format!("{name}, send and receive"), |bencher| {
            bencher.iter(|| {
                tx.send(black_box(Plain { words: [3; 5] })).expect("there is room");
                rx.recv().expect("the sender is there")
            });
        });
        group.bench_function(format!("{name}, nothing to receive"), |bencher| bencher.iter(|| rx.try_recv().is_ok()));
        let mut received = Vec::with_capacity(64);
        group.bench_function(format!("{name}, a batch of 64"), |bencher| {
            bencher.iter(|| {
                tx.send_batch((0..64).map(|word| Plain { words: [word; 5] })).expect("there is room");
                received.clear();
                rx.recv_batch(&mut received, 64).expect("the sender is there")
            });
        });
    }
    group.finish();
}

/// Both ends of a queue of this process's own.
fn ends<T: IpcMessage>(shared: bool) -> (Sender<T>, Receiver<T>) {
    let queue = Queue::<T>::new("one-process").domain(format!("benches-{}", std::process::id())).capacity(1024);
    let queue = if shared { queue } else { queue.spsc() };
    let open = "nobody else has a channel in a domain of this process's own";
    (queue.sender().expect(open), queue.receiver().expect(open))
}

fn main() {
    // Short, as these loops do not vary: the whole takes half a minute.
    let criterion = Criterion::default().warm_up_time(Duration::from_millis(300));
    let mut criterion = criterion.measurement_time(Duration::from_secs(1)).configure_from_args();
    validation(&mut criterion);
    schemas(&mut criterion);
    placement(&mut criterion);
    rings(&mut criterion);
    criterion.final_summary();
}
