//! Whatever can be wrong with a channel's name, its file, its message or its surroundings: each is refused with an
//! error that names the cause and says what to do, and what was found in the way is left as it was.

#[path = "bad_input/header.rs"]
mod header;
mod support;

use ipc_core::schema::{Field, Kind, Type, decode};
use ipc_core::{Broadcast, Invalid, IpcMessage, Lifetime, Mismatch, OpenError, Peer, Queue, Role};
use ipc_macros::IpcMessage;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use support::{Child, Domain, assert_says, is_root, listen, program, queue, recv, refusal, say, skip};

/// Somebody who owns nothing here.
const NOBODY: u32 = 65_534;

/// Declares messages in a module of their own, so that variations of one type keep its name.
macro_rules! messages {
    ($($module:ident { $($item:item)* })*) => {$(
        #[allow(dead_code, reason = "only their layouts matter")]
        mod $module {
            use super::IpcMessage;
            $(
                #[derive(IpcMessage, Clone, Copy)]
                #[ipc(crate = "ipc_core")]
                $item
            )*
        }
    )*};
}

messages! {
    original {
        #[repr(C)]
        pub(super) struct Tick { id: u32, flags: u32, price: f64, state: State }
        #[repr(u8)]
        pub(super) enum State { Open = 1, Closed = 2 }
    }
    swapped {
        #[repr(C)]
        pub(super) struct Tick { flags: u32, id: u32, price: f64, state: State }
        #[repr(u8)]
        pub(super) enum State { Open = 1, Closed = 2 }
    }
    renamed {
        #[repr(C)]
        pub(super) struct Tick { id: u32, flags: u32, cost: f64, state: State }
        #[repr(u8)]
        pub(super) enum State { Open = 1, Closed = 2 }
    }
    retyped {
        #[repr(C)]
        pub(super) struct Tick { id: u32, flags: u32, price: u64, state: State }
        #[repr(u8)]
        pub(super) enum State { Open = 1, Closed = 2 }
    }
    revalued {
        #[repr(C)]
        pub(super) struct Tick { id: u32, flags: u32, price: f64, state: State }
        #[repr(u8)]
        pub(super) enum State { Open = 1, Closed = 3 }
    }
    shorter {
        #[repr(C)]
        pub(super) struct Tick { id: u32, flags: u32 }
    }
}

/// A message that the derive refuses: no slot is aligned like a page.
#[derive(Clone, Copy)]
#[repr(C, align(4096))]
struct Page([u8; 4096]);

// SAFETY: the type is `repr(C)`, its bytes are one array without padding, any of them are a value, and `TYPE` says so.
// That its alignment is beyond the limit is what it is here for: nothing but an opening that fails is done with it.
unsafe impl IpcMessage for Page {
    const NAME: &'static str = "Page";
    const TYPE: &'static Type = &Type {
        name: Self::NAME,
        size: 4096,
        align: 4096,
        kind: Kind::Struct { fields: &[Field { name: "0", offset: 0, ty: <[u8; 4096]>::TYPE }] },
    };
    const ANY_BITS: bool = true;

    fn tail_len(_: *const Self) -> usize {
        0
    }

    fn pointer(at: *mut u8, _: usize) -> *mut Self {
        at.cast()
    }

    unsafe fn validate(_: *const Self) -> Result<(), Invalid> {
        Ok(())
    }

    unsafe fn place(&self, to: *mut Self) {
        // SAFETY: the caller vouches for `to`.
        unsafe { self.0.place(to.cast()) };
    }

    unsafe fn place_blank(to: *mut Self) {
        // SAFETY: the caller vouches for `to`.
        unsafe { <[u8; 4096]>::place_blank(to.cast()) };
    }
}

#[test]
#[ignore = "the children of the other tests"]
fn child_main() {
    support::play(&[
        ("damage", header::damage),
        ("hold-original", |domain| {
            let _tx = queue::<original::Tick>(domain, "ticks").lifetime(Lifetime::Persistent).sender().unwrap();
            say("held");
            listen();
        }),
        ("hold-sender", |domain| {
            let _tx = queue::<u64>(domain, "taken").sender().unwrap();
            say("held");
            listen();
        }),
        ("hold-lifecycle", hold_lifecycle),
        ("be-nobody", be_nobody),
        ("choose-domain", choose_domain),
    ]);
}

#[test]
fn names_that_cannot_be_file_names_are_refused() {
    let domain = Domain::new("names");
    let long = "n".repeat(129);
    let bad = ["", &long, "a/b", "/", "..", "../default", "a..b", ".hidden", "nul\0", "größe", "a b", "new\nline"];
    for name in bad {
        let error = refusal(&domain.queue::<u64>(name));
        let OpenError::Name { what: "channel name", name: found, .. } = &error else { panic!("{name:?}: {error:?}") };
        assert_eq!(found, name);
        assert_says(&error, &["channel name", &quoted_start(name), "cannot be used", "use 1 to 128 ASCII letters"]);
    }
    let longest = "n".repeat(128);
    drop(domain.queue::<u64>(&longest).sender().unwrap());
}

/// What an error shows of a name: the beginning of a long one.
fn quoted_start(name: &str) -> String {
    format!("{:?}", name.chars().take(64).collect::<String>())
}

#[test]
fn domains_that_cannot_be_part_of_file_names_are_refused() {
    let long = "d".repeat(65);
    for name in ["", &long, "a/b", "..", "a.b", "nul\0", "größe"] {
        let error = refusal(&Queue::<u64>::new("ok").spsc().domain(name));
        let OpenError::Name { what: "domain", name: found, .. } = &error else { panic!("{name:?}: {error:?}") };
        assert_eq!(found, name);
        assert_says(&error, &["domain", &quoted_start(name), "use 1 to 64 ASCII letters"]);
    }
}

#[test]
fn the_domain_of_the_environment_is_used_and_checked() {
    let domain = Domain::new("environment");
    for (chosen, expected) in [(domain.name(), "ok"), ("a/../b", "refused"), ("", "refused")] {
        let choose = |command: &mut std::process::Command| {
            command.env(ipc_core::DOMAIN_VARIABLE, chosen);
        };
        let mut child = Child::try_start("choose-domain", &domain, choose).unwrap();
        assert_eq!(child.hear(), expected, "{chosen:?}");
        child.finish();
    }
}

/// Opens a channel without choosing a domain.
fn choose_domain(domain: &str) {
    match Queue::<u64>::new("chosen").spsc().sender() {
        Ok(tx) => {
            assert_eq!(tx.info().domain, domain);
            assert_eq!(tx.info().path, support::path(domain, "chosen"));
            say("ok");
        }
        Err(error @ OpenError::Name { .. }) => {
            assert_says(&error, &["the domain in the variable SLIPRING_DOMAIN \"", "use 1 to 64 ASCII letters"]);
            say("refused");
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn what_is_no_segment_is_refused_and_left_alone() {
    let domain = Domain::new("foreign");
    let path = domain.path("file");
    // A link is refused even if it leads to a good segment: whoever could place it could exchange what it leads to.
    let real = domain.queue::<u64>("real").lifetime(Lifetime::Persistent);
    drop(real.sender().unwrap());
    let target = domain.path("real");

    fs::write(&path, "not yours").unwrap();
    assert_not_a_segment(&domain, "file", "it has only 9 bytes");
    assert_eq!(fs::read_to_string(&path).unwrap(), "not yours");
    fs::write(&path, "not yours ".repeat(1000)).unwrap();
    assert_not_a_segment(&domain, "file", "it does not start with the mark of a segment");
    assert_eq!(fs::read_to_string(&path).unwrap(), "not yours ".repeat(1000));
    fs::remove_file(&path).unwrap();

    fs::create_dir(&path).unwrap();
    assert_not_a_segment(&domain, "file", "it is no regular file");
    assert!(path.is_dir());
    fs::remove_dir(&path).unwrap();

    for target in [target.as_path(), Path::new("/dev/shm/slipring-test-leads-nowhere"), Path::new("/etc/passwd")] {
        symlink(target, &path).unwrap();
        assert_not_a_segment(&domain, "file", "it is a symbolic link");
        assert_eq!(fs::read_link(&path).unwrap(), target);
        fs::remove_file(&path).unwrap();
    }

    let c_path = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the path is NUL-terminated and outlives the call.
    assert_eq!(unsafe { libc::mkfifo(c_path.as_ptr(), 0o600) }, 0);
    assert_not_a_segment(&domain, "file", "it is no regular file");
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_fifo());
    fs::remove_file(&path).unwrap();

    let socket = UnixListener::bind(&path).unwrap();
    assert_not_a_segment(&domain, "file", "it is no regular file");
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_socket());
    drop(socket);
    fs::remove_file(&path).unwrap();

    assert!(real.remove().unwrap());
}

#[test]
fn the_segment_of_another_channel_is_refused() {
    let domain = Domain::new("copied");
    let real = domain.queue::<u64>("real").lifetime(Lifetime::Persistent);
    drop(real.sender().unwrap());
    fs::copy(domain.path("real"), domain.path("copy")).unwrap();
    let error = refusal(&domain.queue::<u64>("copy"));
    assert!(matches!(error, OpenError::NotASegment { .. }), "{error:?}");
    assert_says(&error, &["copy", "it is the segment of channel \"real\"", "remove it if nobody uses it"]);
    fs::remove_file(domain.path("copy")).unwrap();
    assert!(real.remove().unwrap());
}

#[test]
fn another_layout_is_refused_with_its_differences_and_its_creator() {
    let domain = Domain::new("layouts");
    let mut holder = Child::start("hold-original", &domain);
    assert_eq!(holder.hear(), "held");
    let pid = holder.pid();
    assert_mismatch(
        &domain.queue::<swapped::Tick>("ticks"),
        pid,
        &[
            "field `flags`: u32 at byte 0 here, u32 at byte 4 in the segment",
            "field `id`: u32 at byte 4 here, u32 at byte 0 in the segment",
        ],
    );
    assert_mismatch(
        &domain.queue::<renamed::Tick>("ticks"),
        pid,
        &["field `cost`: f64 at byte 8 has this name here, and is `price` in the segment"],
    );
    assert_mismatch(
        &domain.queue::<retyped::Tick>("ticks"),
        pid,
        &["field `price`: u64 at byte 8 here, f64 at byte 8 in the segment"],
    );
    assert_mismatch(
        &domain.queue::<revalued::Tick>("ticks"),
        pid,
        &["field `state`: variant `Closed` = 3 here, variant `Closed` = 2 in the segment"],
    );
    // Elsewhere an f64 may be aligned to 4 bytes.
    if align_of::<f64>() == 8 {
        assert_mismatch(
            &domain.queue::<shorter::Tick>("ticks"),
            pid,
            &[
                "field `price`: missing here, f64 at byte 8 in the segment",
                "field `state`: missing here, State at byte 16 in the segment",
                "message: 8 bytes here, 24 bytes in the segment",
                "message: alignment 4 here, alignment 8 in the segment",
            ],
        );
    }
    assert_mismatch(&domain.queue::<u64>("ticks"), pid, &["message: u64 here, Tick in the segment"]);
    drop(domain.queue::<original::Tick>("ticks").receiver().unwrap());

    // The dead keep their word about what the channel carries, until somebody removes it.
    holder.kill();
    assert_mismatch(
        &domain.queue::<retyped::Tick>("ticks"),
        pid,
        &["field `price`: u64 at byte 8 here, f64 at byte 8 in the segment"],
    );
    assert!(domain.queue::<retyped::Tick>("ticks").remove().unwrap());
    drop(domain.queue::<retyped::Tick>("ticks").receiver().unwrap());
}

#[test]
fn another_capacity_joins_and_says_so() {
    let domain = Domain::new("capacity");
    let mut tx = domain.queue::<u64>("desk").capacity(64).sender().unwrap();
    assert!(tx.info().created && !tx.info().capacity_differs());
    let mut rx = domain.queue::<u64>("desk").capacity(1000).receiver().unwrap();
    assert!(!rx.info().created && rx.info().capacity_differs());
    assert_eq!((rx.info().capacity, rx.info().requested_capacity), (64, Some(1000)));
    assert_eq!(rx.capacity(), 64);
    assert_eq!(rx.info().creator, Peer { pid: std::process::id(), program: program().into() });
    tx.send(7).unwrap();
    assert_eq!(recv(&mut rx), Ok(Some(7)));
    drop(rx);
    for agrees in [domain.queue::<u64>("desk").capacity(64), domain.queue("desk")] {
        assert!(!agrees.receiver().unwrap().info().capacity_differs());
    }
}

#[test]
fn capacities_that_make_no_sense_are_refused() {
    let domain = Domain::new("absurd");
    let cases = [
        (0, "a channel holds at least 1 message"),
        (usize::MAX, "an exclusive queue holds at most 2^31 messages"),
        ((1 << 31) + 1, "an exclusive queue holds at most 2^31 messages"),
    ];
    for (capacity, rule) in cases {
        assert_capacity(&domain.queue::<u64>("absurd").capacity(capacity), capacity, 8, rule);
    }
    let says = |refused: Option<OpenError>, words: &str| assert_eq!(refused.unwrap().to_string(), words);
    let history = Broadcast::<u64>::new("absurd").domain(domain.name()).capacity(64).history(1 << 30);
    let rule = "only an exclusive queue holds more than 2^29 messages, history included";
    says(history.publisher().err(), &format!("a capacity of 64 messages of 8 bytes is not possible: {rule}"));
    let shared = Queue::<u64>::new("absurd").domain(domain.name()).capacity(usize::MAX);
    says(shared.sender().err(), &format!("a capacity of {} messages of 8 bytes is not possible: {rule}", usize::MAX));
    let bytes = Queue::<str>::new("absurd").domain(domain.name()).capacity(0);
    let rule = "it is counted in bytes where messages vary in length, and is 1 at least";
    says(bytes.sender().err(), &format!("a capacity of 0 is not possible: {rule}"));
    let large = domain.queue::<[u8; 1 << 20]>("absurd").capacity(1 << 31);
    assert_capacity(&large, 1 << 31, 1 << 20, "the segment would be larger than 2^46 bytes");
    assert!(!domain.path("absurd").exists());
}

#[test]
fn messages_that_no_slot_can_hold_are_refused() {
    let domain = Domain::new("shapes");
    assert_message(&domain.queue::<Page>("page"), "`Page` cannot be sent", "aligned to more than 128 bytes; lower");
    assert_message(&domain.queue::<[Page; 2]>("pages"), "`array` cannot be sent", "aligned to more than 128 bytes");
    assert_message(&domain.queue::<[u8; 0]>("nothing"), "`array` cannot be sent", "no bytes; give it a field");
    assert_message(&domain.queue::<[[u64; 0]; 4]>("nothings"), "`array` cannot be sent", "no bytes; give it a field");
}

#[test]
fn a_queue_of_the_other_kind_is_refused() {
    let domain = Domain::new("shared");
    let shared = Queue::<u64>::new("shared").domain(domain.name());
    let (tx, rx) = (shared.sender().unwrap(), shared.receiver().unwrap());
    let error = refusal(&shared.clone().spsc());
    assert!(matches!(error, OpenError::Kind { .. }), "{error:?}");
    assert_says(&error, &["is a shared queue (created by", "opens it as an exclusive queue", "use another name"]);
    drop((tx, rx));
    let _tx = shared.clone().spsc().sender().unwrap();
    assert_says(&refusal(&shared), &["is an exclusive queue", "opens it as a shared queue"]);
    drop(shared.spsc().receiver());
}

#[test]
fn a_second_end_in_one_process_is_refused() {
    let domain = Domain::new("twice");
    let queue = domain.queue::<u64>("twice");
    let me = Peer { pid: std::process::id(), program: program().into() };
    let mut tx = queue.sender().unwrap();
    assert_in_use(queue.sender().unwrap_err(), "twice", Role::Sender, &me);
    let mut rx = queue.receiver().unwrap();
    assert_in_use(queue.receiver().unwrap_err(), "twice", Role::Receiver, &me);
    let clone = queue.clone();
    let elsewhere = std::thread::spawn(move || clone.sender().unwrap_err()).join().unwrap();
    assert_in_use(elsewhere, "twice", Role::Sender, &me);
    tx.send(1).unwrap();
    assert_eq!(recv(&mut rx), Ok(Some(1)), "those who were there before do not notice");
    drop(tx);
    drop(queue.sender().unwrap());
}

#[test]
fn a_second_end_in_another_process_is_refused() {
    let domain = Domain::new("taken");
    let mut holder = Child::start("hold-sender", &domain);
    assert_eq!(holder.hear(), "held");
    let queue = domain.queue::<u64>("taken");
    let peer = Peer { pid: holder.pid(), program: program().into() };
    assert_in_use(queue.sender().unwrap_err(), "taken", Role::Sender, &peer);
    // Who is stopped lives.
    holder.stop();
    assert_in_use(queue.sender().unwrap_err(), "taken", Role::Sender, &peer);
    holder.resume();
    holder.finish();
    drop(queue.sender().unwrap());
}

#[test]
fn a_process_that_is_stopped_while_it_joins_does_not_hang_the_others() {
    let domain = Domain::new("busy");
    let queue = domain.queue::<u64>("busy");
    let mut tx = queue.sender().unwrap();
    let mut holder = Child::start("hold-lifecycle", &domain);
    assert_eq!(holder.hear(), "locked");
    holder.stop();

    let error = queue.receiver().unwrap_err();
    let OpenError::Busy { path, seconds: 5 } = &error else { panic!("{error:?}") };
    assert_eq!(*path, domain.path("busy"));
    assert_says(
        &error,
        &["busy", "has been locked for 5 s", "joining or leaving", "is one stopped, or under a debugger?"],
    );
    tx.send(1).unwrap();

    holder.kill();
    let mut rx = queue.receiver().unwrap();
    assert_eq!(recv(&mut rx), Ok(Some(1)));
}

/// Takes the lock under which processes join and leave, and keeps it.
fn hold_lifecycle(domain: &str) {
    let _lock = support::lock_lifecycle(&support::path(domain, "busy"));
    say("locked");
    listen();
}

#[test]
fn the_segment_of_another_user_is_refused() {
    if !is_root() {
        return skip("the segment of another user", "only root can have one");
    }
    let domain = Domain::new("owner");
    let queue = domain.queue::<u64>("owned").lifetime(Lifetime::Persistent);
    drop(queue.sender().unwrap());
    let path = domain.path("owned");
    chown(&path, Some(12_345), None).unwrap();
    assert_permission(&refusal(&queue), &path, 12_345);
    assert_permission(&queue.remove().unwrap_err(), &path, 12_345);
    assert_eq!(fs::metadata(&path).unwrap().uid(), 12_345, "it is left as it was");
    chown(&path, Some(0), None).unwrap();
    assert!(queue.remove().unwrap());
}

#[test]
fn a_user_who_may_not_open_the_file_is_refused() {
    if !is_root() {
        return skip("a user who may not open the file", "only root can become another user");
    }
    let domain = Domain::new("nobody");
    let mut tx = domain.queue::<u64>("owned").sender().unwrap();
    let mut rx = domain.queue::<u64>("owned").receiver().unwrap();
    assert_eq!(fs::metadata(domain.path("owned")).unwrap().mode() & 0o7777, 0o600);
    Child::start("be-nobody", &domain).finish();
    tx.send(1).unwrap();
    assert_eq!(recv(&mut rx), Ok(Some(1)));
}

/// Opens root's channel as somebody else, and then one of its own.
fn be_nobody(domain: &str) {
    // SAFETY: takes an empty list, from which nothing is read.
    assert_eq!(unsafe { libc::setgroups(0, std::ptr::null()) }, 0);
    // SAFETY: takes three integers.
    assert_eq!(unsafe { libc::setresgid(NOBODY, NOBODY, NOBODY) }, 0);
    // SAFETY: takes three integers; the C library does it for all threads.
    assert_eq!(unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) }, 0);
    let theirs = queue::<u64>(domain, "owned");
    let path = support::path(domain, "owned");
    assert_permission(&refusal(&theirs), &path, 0);
    assert_permission(&theirs.remove().unwrap_err(), &path, 0);
    works(&queue(domain, "mine")).unwrap();
}

/// Opens both ends, and sends through every slot, twice.
fn works(queue: &Queue<u64>) -> Result<(), OpenError> {
    let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    let capacity = tx.capacity() as u64;
    for lap in 1..=2 {
        assert_eq!(tx.send_batch((0..capacity).map(|message| message * lap)).unwrap(), capacity as usize);
        assert!((0..capacity).map(|message| message * lap).eq((0..capacity).map(|_| recv(&mut rx).unwrap().unwrap())));
    }
    Ok(())
}

#[track_caller]
fn assert_not_a_segment(domain: &Domain, channel: &str, expected: &str) {
    let queue = domain.queue::<u64>(channel);
    for error in [refusal(&queue), queue.remove().unwrap_err()] {
        let OpenError::NotASegment { path, reason } = &error else { panic!("{error:?}") };
        assert_eq!((path.as_path(), reason.as_str()), (domain.path(channel).as_path(), expected));
        assert_says(
            &error,
            &[path.to_str().unwrap(), "is not a usable segment", reason, "remove it if nobody uses it"],
        );
    }
}

#[track_caller]
fn assert_mismatch<T: IpcMessage>(queue: &Queue<T>, creator: u32, expected: &[&str]) {
    let error = refusal(queue);
    let OpenError::Mismatch(mismatch) = &error else { panic!("{error:?}") };
    let Mismatch { channel, message, found, is_reply, creator: peer, differences } = &**mismatch;
    let name = decode(T::SCHEMA).unwrap().type_text();
    assert_eq!((channel.as_str(), message.as_str(), *is_reply), ("ticks", name.as_str(), false));
    assert_eq!(*peer, Peer { pid: creator, program: program().into() });
    let differences: Vec<_> = differences.iter().map(ToString::to_string).collect();
    assert_eq!(differences, expected);
    let who = format!("(created by pid {creator} \"{}\")", program());
    let who = match *found == name {
        true => format!("channel \"ticks\" carries another `{name}` {who}:"),
        false => format!("channel \"ticks\" carries `{found}` {who}, and this program opens it for `{name}`:"),
    };
    assert_says(
        &error,
        &[&who, "build both programs from the same declaration, use another channel name, or remove the channel"],
    );
    assert_says(&error, expected);
}

#[track_caller]
fn assert_capacity<T: IpcMessage>(queue: &Queue<T>, expected: usize, expected_bytes: usize, expected_rule: &str) {
    let error = refusal(queue);
    let OpenError::Capacity { capacity, message_bytes, rule } = &error else { panic!("{error:?}") };
    assert_eq!((*capacity, *message_bytes, *rule), (expected, expected_bytes, expected_rule));
    let what = format!("a capacity of {capacity} messages of {message_bytes} bytes is not possible: {rule}");
    assert_says(&error, &[&what]);
}

#[track_caller]
fn assert_message<T: IpcMessage>(queue: &Queue<T>, cause: &str, advice: &str) {
    let error = refusal(queue);
    assert!(matches!(error, OpenError::Message { .. }), "{error:?}");
    assert_says(&error, &[cause, advice]);
}

#[track_caller]
fn assert_in_use(error: OpenError, channel: &str, expected: Role, who: &Peer) {
    let OpenError::InUse { channel: found, role, peer } = &error else { panic!("{error:?}") };
    assert_eq!((found.as_str(), *role, peer), (channel, expected, who));
    let what = format!("channel \"{channel}\" has a {role} already: pid {} \"{}\"", who.pid, who.program);
    assert_says(&error, &[&what, "it has room for one"]);
}

#[track_caller]
fn assert_permission(error: &OpenError, expected: &Path, expected_owner: u32) {
    let OpenError::Permission { path, owner } = error else { panic!("{error:?}") };
    assert_eq!((path.as_path(), *owner), (expected, expected_owner));
    let what = format!("no permission for {}, which belongs to user {owner}", path.display());
    assert_says(
        error,
        &[
            &what,
            "run as that user, have both programs give it a `mode` or a `group`, or choose another SLIPRING_DOMAIN",
        ],
    );
}
