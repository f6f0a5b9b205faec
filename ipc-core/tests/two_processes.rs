//! Two processes at one channel of each kind, by nothing but what every platform has.
//!
//! The other process is this test executable again. The variable `SLIPRING_TEST_PARTNER` can name another one, such as one
//! that was built for 32 bits, or put an emulator before it: a program and its arguments, with spaces between them.

use ipc_core::inspect::{self, Observer, State};
use ipc_core::{
    Broadcast, IpcMessage, Latest, List, Opt, Queue, Receiver, RecvTimeoutError, Sender, Service, Str, WaitSet,
};
use ipc_macros::IpcMessage;
use std::env;
use std::io::{self, BufRead, BufReader, Lines, Write};
use std::process::{self, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// Says the other process what to do: the name of its part, and its domain.
const PART_VARIABLE: &str = "SLIPRING_TEST_PART";

/// How to start the other process.
const PARTNER_VARIABLE: &str = "SLIPRING_TEST_PARTNER";

/// Tells what the other process says from what its test harness prints.
const MARK: &str = "@ ";

/// How long to wait for what has to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Messages of each exchange.
const MESSAGES: u64 = 2000;

/// A message that processors of 32 and of 64 bits lay out in the same way: fields of 8 bytes lie at multiples of 8, and so
/// does the whole.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[ipc(crate = "ipc_core")]
#[repr(C, align(8))]
struct Trade {
    number: u64,
    price: f64,
    quantity: u32,
    side: Side,
    symbol: Str<9>,
    delay: Opt<i16>,
    levels: List<u32, 3>,
}

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[ipc(crate = "ipc_core")]
#[repr(u8)]
enum Side {
    Buy = 1,
    Sell = 2,
}

/// A number by itself would be aligned to 4 bytes on processors of 32 bits, and to 8 on others.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[ipc(crate = "ipc_core")]
#[repr(C, align(8))]
struct Number(u64);

fn trade(number: u64) -> Trade {
    Trade {
        number,
        price: number as f64 / 8.0,
        quantity: number as u32 ^ 0xA5A5_A5A5,
        side: if number % 2 == 0 { Side::Buy } else { Side::Sell },
        symbol: format!("S{}", number % 1000).parse().unwrap(),
        delay: if number % 3 == 0 { Opt::None } else { Opt::Some(-(number as i16 % 100)) },
        levels: List::from_slice(&[number as u32, 1, 2][..number as usize % 4]).unwrap(),
    }
}

#[test]
#[ignore = "the other process of the other tests"]
fn child_main() {
    let Ok(wanted) = env::var(PART_VARIABLE) else { return };
    let (part, domain) = wanted.split_once(' ').unwrap();
    match part {
        "echo" => echo(domain),
        "send" => send(domain),
        "work" => work(domain),
        "publish" => publish(domain),
        "write" => write(domain),
        "serve" => serve(domain),
        part => panic!("there is no part {part}"),
    }
}

/// The domain of a test. Nothing of it may be left when it is dropped.
struct Domain(String);

impl Domain {
    fn new(test: &str) -> Self {
        Domain(format!("two-{}-{test}", process::id()))
    }

    fn listed(&self) -> Vec<inspect::Listed> {
        inspect::list().unwrap().into_iter().filter(|listed| listed.domain == self.0).collect()
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.listed(), [], "left behind");
        }
    }
}

/// The other process. If it is dropped, it is killed.
struct Partner {
    process: process::Child,
    says: Lines<BufReader<ChildStdout>>,
    hears: ChildStdin,
}

impl Partner {
    fn start(part: &str, domain: &Domain) -> Self {
        let partner = env::var(PARTNER_VARIABLE);
        let mut words = partner.iter().flat_map(|command| command.split(' '));
        let mut command = match words.next() {
            Some(program) => Command::new(program),
            None => Command::new(env::current_exe().unwrap()),
        };
        command.args(words).args(["--exact", "child_main", "--ignored", "--nocapture", "--test-threads", "1"]);
        command.env(PART_VARIABLE, format!("{part} {}", domain.0));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let says = BufReader::new(process.stdout.take().unwrap()).lines();
        let hears = process.stdin.take().unwrap();
        Partner { process, says, hears }
    }

    /// Waits for what it says next.
    #[track_caller]
    fn hear(&mut self, expected: &str) {
        let said =
            (&mut self.says).map(|line| line.unwrap()).find_map(|line| line.strip_prefix(MARK).map(str::to_owned));
        assert_eq!(said.as_deref(), Some(expected));
    }

    /// Ends it, in the middle of whatever it is doing.
    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Lets it end, and waits until it has.
    fn finish(mut self) {
        // Fails if it has ended already.
        let _ = writeln!(self.hears);
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Partner {
    fn drop(&mut self) {
        // Both fail only if it has been waited for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Says something to the test.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    // The harness may have left a line unfinished.
    write!(out, "\n{MARK}{line}\n").and_then(|()| out.flush()).unwrap();
}

/// Waits until the test says something, or is gone.
fn listen() {
    io::stdin().lock().read_line(&mut String::new()).unwrap();
}

fn recv<T: IpcMessage>(rx: &mut Receiver<T>) -> Result<Option<T>, RecvTimeoutError> {
    rx.recv_timeout(PATIENCE)
}

fn exclusive(domain: &str, channel: &str) -> Queue<Trade> {
    Queue::new(channel).domain(domain).spsc().capacity(64)
}

#[test]
fn exclusive_queues_carry_messages_both_ways() {
    let domain = Domain::new("echo");
    let mut partner = Partner::start("echo", &domain);
    let mut tx = exclusive(&domain.0, "there").sender().unwrap();
    let mut rx = exclusive(&domain.0, "back").receiver().unwrap();
    // One at a time, so that each end sleeps and is woken, and then as many as fit.
    for number in 0..MESSAGES / 10 {
        tx.send(trade(number)).unwrap();
        assert_eq!(recv(&mut rx), Ok(Some(trade(number))));
    }
    std::thread::scope(|scope| {
        scope.spawn(move || (0..MESSAGES).for_each(|number| tx.send(trade(number)).unwrap()));
        for number in 0..MESSAGES {
            assert_eq!(recv(&mut rx), Ok(Some(trade(number))));
        }
        assert_eq!(recv(&mut rx), Ok(None), "the other side has closed");
    });
    partner.hear("done");
    partner.finish();
}

/// Sends everything back.
fn echo(domain: &str) {
    let mut rx = exclusive(domain, "there").receiver().unwrap();
    let mut tx = exclusive(domain, "back").sender().unwrap();
    while let Some(trade) = recv(&mut rx).unwrap() {
        tx.send(trade).unwrap();
    }
    drop(tx);
    say("done");
}

#[test]
fn a_death_is_noticed_and_a_successor_goes_on() {
    let domain = Domain::new("death");
    let mut rx = exclusive(&domain.0, "channel").receiver().unwrap();
    let mut first = Partner::start("send", &domain);
    first.hear("sent");
    let observer = Observer::open_in(&domain.0, "channel").unwrap();
    let states = || observer.participants().iter().map(|participant| participant.state).collect::<Vec<_>>();
    assert_eq!(states(), [State::Live, State::Live]);
    assert_eq!(domain.listed().len(), 1);
    first.kill();
    assert_eq!(states(), [State::Dead, State::Live]);
    for number in 0..10 {
        assert_eq!(recv(&mut rx), Ok(Some(trade(number))));
    }
    assert!(matches!(recv(&mut rx), Err(RecvTimeoutError::SenderDied(_))));

    let mut second = Partner::start("send", &domain);
    second.hear("sent");
    for number in 0..10 {
        assert_eq!(recv(&mut rx), Ok(Some(trade(number))));
    }
    second.finish();
    assert_eq!(recv(&mut rx), Ok(None));
}

/// Sends ten messages, and stays for a while.
fn send(domain: &str) {
    let mut tx: Sender<Trade> = exclusive(domain, "channel").sender().unwrap();
    (0..10).for_each(|number| tx.send(trade(number)).unwrap());
    say("sent");
    listen();
}

#[test]
fn a_receiver_that_is_killed_while_it_sleeps_freezes_nobody() {
    let domain = Domain::new("killed-asleep");
    for _ in 0..5 {
        let partner = Partner::start("echo", &domain);
        let mut tx = exclusive(&domain.0, "there").sender().unwrap();
        let mut rx = exclusive(&domain.0, "back").receiver().unwrap();
        tx.send(trade(1)).unwrap();
        assert_eq!(recv(&mut rx), Ok(Some(trade(1))));
        // It sleeps by now, or is about to, or does so while this sends.
        partner.kill();
        let mut sent = 0;
        while sent < 1000 && tx.try_send(trade(sent)).is_ok() {
            sent += 1;
        }
        assert_eq!(sent, 64, "as many as fit, without waiting");
        drop(tx);
        while exclusive(&domain.0, "there").receiver().unwrap().try_recv().is_ok_and(|message| message.is_some()) {}
    }
}

#[test]
fn a_shared_queue_spreads_its_messages() {
    let domain = Domain::new("shared");
    let mut partners = [Partner::start("work", &domain), Partner::start("work", &domain)];
    let mut tx = Queue::<Trade>::new("jobs").domain(&domain.0).capacity(16).sender().unwrap();
    let mut rx = Queue::<Number>::new("done").domain(&domain.0).receiver().unwrap();
    partners.iter_mut().for_each(|partner| partner.hear("ready"));
    let mut done: Vec<u64> = std::thread::scope(|scope| {
        scope.spawn(move || (0..MESSAGES).for_each(|number| tx.send(trade(number)).unwrap()));
        (0..MESSAGES).map(|_| recv(&mut rx).unwrap().unwrap().0).collect()
    });
    done.sort_unstable();
    assert!(done.into_iter().eq(0..MESSAGES));
    partners.into_iter().for_each(Partner::finish);
}

/// Takes jobs, and tells which.
fn work(domain: &str) {
    let mut rx = Queue::<Trade>::new("jobs").domain(domain).capacity(16).receiver().unwrap();
    let mut tx = Queue::<Number>::new("done").domain(domain).sender().unwrap();
    say("ready");
    while let Some(job) = recv(&mut rx).unwrap() {
        assert_eq!(job, trade(job.number));
        tx.send(Number(job.number)).unwrap();
    }
    listen();
}

#[test]
fn a_broadcast_reaches_every_subscriber_and_a_wait_set() {
    let domain = Domain::new("broadcast");
    let channel = Broadcast::<str>::new("news").domain(&domain.0);
    let mut subscribers = [channel.subscriber().unwrap(), channel.subscriber().unwrap()];
    let partner = Partner::start("publish", &domain);
    let (mut set, mut expected) = (WaitSet::new(), [0; 2]);
    while expected != [MESSAGES; 2] {
        let ready: Vec<usize> = set.wait_timeout(&mut subscribers, PATIENCE).collect();
        assert!(!ready.is_empty(), "there is something to come");
        for at in ready {
            while let Ok(Some(text)) = subscribers[at].try_recv_ref() {
                assert_eq!(*text, news(expected[at]));
                expected[at] += 1;
            }
        }
    }
    partner.finish();
}

fn news(number: u64) -> String {
    format!("{number}: {}", "x".repeat(number as usize % 100))
}

/// Publishes text.
fn publish(domain: &str) {
    let mut publisher = Broadcast::<str>::new("news").domain(domain).publisher().unwrap();
    for number in 0..MESSAGES {
        publisher.send_copy(&news(number)).unwrap();
    }
    listen();
}

#[test]
fn a_latest_value_is_read_elsewhere() {
    let domain = Domain::new("latest");
    let mut reader = Latest::<Trade>::new("value").domain(&domain.0).reader().unwrap();
    let partner = Partner::start("write", &domain);
    let mut last = 0;
    while last != MESSAGES {
        let value = reader.wait_newer(PATIENCE).unwrap().expect("there is more to come");
        assert!(value.number > last);
        assert_eq!(value, trade(value.number));
        last = value.number;
    }
    partner.finish();
}

/// Writes one value after the other.
fn write(domain: &str) {
    let mut writer = Latest::<Trade>::new("value").domain(domain).writer().unwrap();
    for number in 1..=MESSAGES {
        writer.write(trade(number)).unwrap();
    }
    listen();
}

#[test]
fn a_service_answers() {
    let domain = Domain::new("service");
    let partner = Partner::start("serve", &domain);
    let client = Service::<Trade, Number>::new("service").domain(&domain.0).client().unwrap();
    for number in 0..MESSAGES / 10 {
        assert_eq!(client.call_timeout(trade(number), PATIENCE).unwrap(), Number(number * 3));
    }
    drop(client);
    partner.finish();
}

/// Answers with three times the number.
fn serve(domain: &str) {
    let server = Service::<Trade, Number>::new("service").domain(domain).server().unwrap();
    for _ in 0..MESSAGES / 10 {
        let request = server.accept_timeout(PATIENCE).unwrap().expect("there is more to come");
        let number = request.number;
        assert!(request.reply(Number(number * 3)), "the client waits");
    }
    listen();
}
