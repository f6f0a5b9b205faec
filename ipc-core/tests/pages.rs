//! The pages of a segment: which of them are there from the start, and how large they are.

mod support;

use ipc_core::{HugePages, Queue};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use support::{Child, Domain, listen, memory, queue, recv, say, skip};

/// A message of a page.
type Page = [u64; 512];

const MIB: usize = 1 << 20;

#[test]
#[ignore = "the children of the other tests"]
fn child_main() {
    support::play(&[("attach", |domain| {
        let mut rx = queue::<Page>(domain, "channel").receiver().unwrap();
        let of_large_ones = queue::<Page>(domain, "large").receiver().unwrap();
        say(format!("{} {}", mapping(&rx.info().path, "Rss"), mapping(&of_large_ones.info().path, "Rss")));
        assert_eq!(of_large_ones.info().huge_pages, HugePages::Off, "it is each process's own wish");
        listen();
        assert_eq!(recv(&mut rx).unwrap().unwrap()[511], 7);
    })]);
}

/// A queue whose ring has so many bytes, or some more.
fn ring(domain: &Domain, channel: &str, bytes: usize) -> Queue<Page> {
    domain.queue::<Page>(channel).capacity(bytes / size_of::<Page>())
}

/// What the kernel says about this process's mapping of a file, in bytes: the field of that name in its list.
fn mapping(path: &Path, field: &str) -> usize {
    let inode = fs::metadata(memory(path)).unwrap().ino().to_string();
    let list = fs::read_to_string("/proc/self/smaps").unwrap();
    let (field, mut is_it, mut bytes) = (format!("{field}:"), false, 0);
    for line in list.lines() {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        if !first.ends_with(':') {
            is_it = line.contains("/dev/shm") && words.nth(3) == Some(&inode);
        } else if is_it && first == field {
            bytes += words.next().unwrap().parse::<usize>().unwrap() * 1024;
        }
    }
    bytes
}

#[test]
fn pages_are_there_from_the_start_up_to_64_mib() {
    let domain = Domain::new("default");
    let small = ring(&domain, "small", 3 * MIB).sender().unwrap();
    assert_eq!(mapping(&small.info().path, "Rss"), small.info().segment_bytes as usize);
    let large = ring(&domain, "large", 64 * MIB).sender().unwrap();
    assert!(mapping(&large.info().path, "Rss") < MIB, "it is larger than 64 MiB with its header");
    drop(large);
    let large = ring(&domain, "large", 64 * MIB).prefault(true).sender().unwrap();
    assert_eq!(mapping(&large.info().path, "Rss"), large.info().segment_bytes as usize);
}

#[test]
fn pages_are_left_alone_where_that_is_wanted() {
    let domain = Domain::new("lazy");
    let mut tx = ring(&domain, "channel", 3 * MIB).prefault(false).sender().unwrap();
    let path = tx.info().path.clone();
    assert!(mapping(&path, "Rss") < MIB / 4);
    assert_eq!(
        fs::metadata(memory(&path)).unwrap().blocks() * 512,
        tx.info().segment_bytes,
        "the memory is reserved all the same"
    );
    let large = ring(&domain, "large", 64 * MIB).prefault(false).sender().unwrap();
    // The one who attaches decides for itself, by the same rule.
    let mut child = Child::start("attach", &domain);
    let said = child.hear();
    let (small, lazy) = said.split_once(' ').unwrap();
    assert_eq!(small.parse::<u64>().unwrap(), tx.info().segment_bytes);
    assert!(lazy.parse::<usize>().unwrap() < MIB);
    assert!(mapping(&path, "Rss") < MIB / 4, "what others do does not count here");
    tx.send([7; 512]).unwrap();
    child.finish();
    drop(large);
}

#[test]
fn huge_pages_are_had_or_said_not_to_be() {
    let domain = Domain::new("huge");
    let ordinary = ring(&domain, "ordinary", 4 * MIB).sender().unwrap();
    assert_eq!(ordinary.info().huge_pages, HugePages::Off);
    for prefault in [true, false] {
        let queue = ring(&domain, "channel", 5 * MIB).huge_pages(true).prefault(prefault);
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        assert_eq!(tx.info().huge_pages, rx.info().huge_pages);
        match &tx.info().huge_pages {
            HugePages::On => assert_eq!(mapping(&tx.info().path, "ShmemPmdMapped"), 4 * MIB, "two, and a rest"),
            HugePages::Unavailable(reason) => skip("huge pages", reason),
            HugePages::Off => panic!("they were asked for"),
        }
        for number in 0..2 * tx.capacity() as u64 {
            tx.send([number; 512]).unwrap();
            assert_eq!(recv(&mut rx), Ok(Some([number; 512])));
        }
    }
}

#[test]
fn a_segment_that_others_use_becomes_huge_under_them() {
    let domain = Domain::new("collapse");
    let mut tx = ring(&domain, "large", 4 * MIB).huge_pages(true).sender().unwrap();
    let _channel = ring(&domain, "channel", MIB).sender().unwrap();
    for number in 0..10 {
        tx.send([number; 512]).unwrap();
    }
    drop(tx);
    // Another process maps what is there, and a new handle of this one has it collapsed once more.
    let mut child = Child::start("attach", &domain);
    child.hear();
    let mut tx = ring(&domain, "large", 4 * MIB).huge_pages(true).sender().unwrap();
    assert!(!tx.info().created);
    tx.send([10; 512]).unwrap();
    assert_eq!(tx.len(), 11);
    drop((tx, child));
    let mut rx = domain.queue::<Page>("large").receiver().unwrap();
    for number in 0..11 {
        assert_eq!(recv(&mut rx), Ok(Some([number; 512])));
    }
}

#[test]
fn a_segment_that_is_too_small_says_so() {
    let domain = Domain::new("tiny");
    let tx = domain.queue::<u64>("channel").capacity(4).huge_pages(true).sender().unwrap();
    let HugePages::Unavailable(reason) = &tx.info().huge_pages else { panic!("{:?}", tx.info().huge_pages) };
    if reason.contains("no transparent huge pages") {
        return skip("a segment that is too small for a huge page", reason);
    }
    assert!(reason.contains("a larger capacity fills one"), "{reason}");
}
