//! The shared queue, in one process and between several. What becomes of it when they are killed is in `faults.rs`.

mod support;

use ipc_core::{OpenError, Queue, RecvTimeoutError, TryRecvError, TrySendError};
use std::collections::HashSet;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use support::{Child, Domain, Part, listen, play, recv, recv_all};

const PARTS: &[(&str, Part)] = &[("send_many", send_many)];

#[test]
#[ignore = "the other process of the tests in this file"]
fn child_main() {
    play(PARTS);
}

/// Sender, number, and a check over both.
type Message = [u64; 3];

fn message(sender: u64, number: u64) -> Message {
    [sender, number, !(sender << 32 | number)]
}

fn check([sender, number, check]: Message) -> (u64, u64) {
    assert_eq!(check, !(sender << 32 | number), "a torn message");
    (sender, number)
}

fn work(domain: &str) -> Queue<Message> {
    Queue::new("work").domain(domain).capacity(8)
}

const MANY: u64 = 100_000;

fn send_many(domain: &str) {
    let sender = listen().unwrap().parse().unwrap();
    let mut tx = work(domain).sender().unwrap();
    (0..MANY).for_each(|number| tx.send(message(sender, number)).unwrap());
}

#[test]
fn every_message_goes_to_one_of_many() {
    const SENDERS: u64 = 4;
    const EACH: u64 = 20_000;
    let domain = Domain::new("many");
    let received = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let receivers: Vec<_> = (0..4).map(|_| work(domain.name()).receiver().unwrap()).collect();
        for mut rx in receivers {
            let received = &received;
            scope.spawn(move || {
                let mine = recv_all(&mut rx);
                let mut latest = [None; SENDERS as usize];
                for &message in &mine {
                    let (sender, number) = check(message);
                    let before = latest[sender as usize].replace(number);
                    assert!(before < Some(number), "one receiver gets a sender's messages in order");
                }
                received.lock().unwrap().extend(mine);
            });
        }
        for sender in 0..SENDERS {
            let mut tx = work(domain.name()).sender().unwrap();
            scope.spawn(move || (0..EACH).for_each(|number| tx.send(message(sender, number)).unwrap()));
        }
    });
    let received = received.into_inner().unwrap();
    assert_eq!(received.len() as u64, SENDERS * EACH);
    assert_eq!(received.into_iter().collect::<HashSet<_>>().len() as u64, SENDERS * EACH, "none comes twice");
}

/// A consumer stores to the lines that it has read, and in a ring as small as this its producer is always about to.
#[test]
fn messages_of_several_lines_are_whole_in_the_smallest_rings() {
    const WORDS: usize = 24;
    let domain = Domain::new("lines");
    let queue = |name: &str| Queue::<[u64; WORDS]>::new(name).domain(domain.name()).capacity(2);
    let whole = |message: &[u64; WORDS], number: u64| assert_eq!(message, &[number; WORDS]);
    let (alone, exclusive, shared) = (queue("alone"), queue("spsc").spsc(), queue("two"));
    thread::scope(|scope| {
        let another = (shared.sender().unwrap(), shared.receiver().unwrap());
        for queue in [alone, exclusive, shared] {
            let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
            scope.spawn(move || (0..MANY).for_each(|number| tx.send([number; WORDS]).unwrap()));
            let mut next = 0;
            while next < MANY {
                match next % 3 {
                    0 => whole(&rx.recv().unwrap().unwrap(), next),
                    1 => whole(&rx.recv_ref().unwrap().unwrap(), next),
                    _ => {
                        let batch = rx.recv_batch_ref(2).unwrap().unwrap();
                        batch.iter().zip(next..).for_each(|(message, number)| whole(message, number));
                        next += batch.len() as u64 - 1;
                    }
                }
                next += 1;
            }
        }
        drop(another);
    });
}

#[test]
fn messages_come_in_one_order() {
    let domain = Domain::new("order");
    let mut senders: Vec<_> = (0..3).map(|_| work(domain.name()).sender().unwrap()).collect();
    let mut receivers: Vec<_> = (0..3).map(|_| work(domain.name()).receiver().unwrap()).collect();
    for round in 0..100 {
        for number in 0..8 {
            senders[(number * 7 + round) as usize % 3].try_send(message(0, round * 8 + number)).unwrap();
        }
        assert!(matches!(senders[0].try_send(message(0, 0)), Err(TrySendError::Full(_))));
        for number in 0..8 {
            let received = receivers[(number * 5 + round) as usize % 3].try_recv();
            assert_eq!(received, Ok(Some(message(0, round * 8 + number))));
        }
        assert_eq!(receivers[0].try_recv(), Err(TryRecvError::Empty));
    }
}

#[test]
fn there_are_places_for_64_of_each() {
    let domain = Domain::new("places");
    let mut senders: Vec<_> = (0..64).map(|_| work(domain.name()).sender().unwrap()).collect();
    let mut receivers: Vec<_> = (0..64).map(|_| work(domain.name()).receiver().unwrap()).collect();
    let error = work(domain.name()).sender().unwrap_err();
    assert!(matches!(error, OpenError::TableFull { places: 64, .. }), "{error:?}");
    assert!(error.to_string().contains("has 64 senders, which is all that it has places for"), "{error}");
    assert!(matches!(work(domain.name()).receiver(), Err(OpenError::TableFull { .. })));
    for (number, tx) in senders.iter_mut().enumerate().take(8) {
        tx.send(message(0, number as u64)).unwrap();
    }
    for (number, rx) in receivers.iter_mut().enumerate().take(8) {
        assert_eq!(recv(rx), Ok(Some(message(0, number as u64))));
    }
    drop(senders.pop());
    senders.push(work(domain.name()).sender().unwrap());
}

#[test]
fn a_batch_is_published_once_and_received_whole() {
    let domain = Domain::new("batch");
    let (mut tx, mut rx) = (work(domain.name()).sender().unwrap(), work(domain.name()).receiver().unwrap());
    assert_eq!(tx.send_batch((0..8).map(|number| message(0, number))), Ok(8));
    let mut batch = Vec::new();
    assert_eq!(rx.recv_batch(&mut batch, 5), Ok(5));
    assert_eq!(rx.recv_batch(&mut batch, 5), Ok(3));
    assert_eq!(batch, (0..8).map(|number| message(0, number)).collect::<Vec<_>>());
}

#[test]
fn a_batch_in_place_takes_several_slots_and_others_come_behind() {
    let domain = Domain::new("batch-in-place");
    let (mut tx, mut rx) = (work(domain.name()).sender().unwrap(), work(domain.name()).receiver().unwrap());
    let mut other = work(domain.name()).sender().unwrap();
    let mut batch = tx.loan_batch(3).unwrap();
    assert_eq!(batch.len(), 3);
    other.send(message(1, 0)).unwrap();
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty), "it waits behind");
    batch.iter_mut().zip(0..).for_each(|(slot, number)| *slot = message(0, number));
    assert_eq!(batch.send_first(2), 2);
    let received = rx.recv_batch_ref(100).unwrap().unwrap();
    assert!(received.iter().map(|&message| check(message)).eq([(0, 0), (0, 1)]), "what was given back is a gap");
    drop(received);
    let received = rx.recv_batch_ref(100).unwrap().unwrap();
    assert!(received.iter().map(|&message| check(message)).eq([(1, 0)]));
    drop(received);
    assert_eq!(rx.lost(), 0, "what is given back is not lost");
}

#[test]
fn a_receiver_takes_as_many_as_it_asks_for_and_another_one_the_others() {
    let domain = Domain::new("batch-shares");
    let mut tx = work(domain.name()).sender().unwrap();
    let (mut first, mut second) = (work(domain.name()).receiver().unwrap(), work(domain.name()).receiver().unwrap());
    tx.send_batch((0..8).map(|number| message(0, number))).unwrap();
    let in_hand = first.recv_batch_ref(3).unwrap().unwrap();
    assert_eq!(in_hand.len(), 3);
    let mut batch = Vec::new();
    assert_eq!(second.recv_batch(&mut batch, 4), Ok(4));
    assert_eq!(batch, [3, 4, 5, 6].map(|number| message(0, number)));
    assert!(matches!(tx.try_send(message(0, 8)), Err(TrySendError::Full(_))), "those in hand take the room");
    in_hand.release_first(1);
    assert_eq!((second.len(), first.len()), (1, 3), "the two that were not released are still the first one's");
    assert_eq!(recv(&mut second), Ok(Some(message(0, 7))));
    assert_eq!(second.try_recv(), Err(TryRecvError::Empty));
    // It leaves, and what it has had is delivered again.
    drop(first);
    assert_eq!(
        second.recv_ref().unwrap().map(|received| (check(*received), received.redelivered())),
        Some(((0, 1), 1))
    );
    assert_eq!(recv(&mut second), Ok(Some(message(0, 2))));
}

#[test]
fn a_batch_whose_iterator_promises_too_much_or_panics_gives_the_slots_back() {
    let domain = Domain::new("batch-promises");
    let (mut tx, mut rx) = (work(domain.name()).sender().unwrap(), work(domain.name()).receiver().unwrap());
    let mut other = work(domain.name()).sender().unwrap();
    for round in 0..10 {
        let broken = (0..5).map(|number| if number == 2 { panic!("on purpose") } else { message(round, number) });
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| tx.send_batch(broken)));
        assert!(panic.is_err());
        other.send(message(round, 5)).unwrap();
        for number in [0, 1, 5] {
            assert_eq!(recv(&mut rx), Ok(Some(message(round, number))));
        }
        assert_eq!(tx.send_batch(Boaster(3)), Ok(3));
        let mut batch = Vec::new();
        while batch.len() < 3 {
            rx.recv_batch(&mut batch, 8).unwrap();
        }
        assert_eq!(batch, [2, 1, 0].map(|number| message(8, number)));
        // Like everything that is given up, the slots are free when a receiver has passed them.
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(other.try_send(message(9, round)), Ok(()));
        assert_eq!(recv(&mut rx), Ok(Some(message(9, round))));
    }
    assert_eq!(rx.lost(), 0);
}

/// Says that it has more messages than it has.
struct Boaster(u64);

impl Iterator for Boaster {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        self.0 = self.0.checked_sub(1)?;
        Some(message(8, self.0))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}

#[test]
fn a_batch_whose_iterator_waits_for_an_answer_to_the_last_message_gets_it() {
    let domain = Domain::new("shared-batch-answers");
    let mut tx = work(domain.name()).sender().unwrap();
    let mut rx = work(domain.name()).receiver().unwrap();
    let mut number = 0;
    // It promises nothing, so nothing is kept back.
    let answered = std::iter::from_fn(|| {
        if number != 0 {
            assert_eq!(rx.try_recv(), Ok(Some(message(1, number))));
        }
        number += 1;
        (number <= 3).then(|| message(1, number))
    });
    assert_eq!(tx.send_batch(answered), Ok(3));
}

#[test]
fn batches_of_many_come_once_each_and_in_order() {
    const EACH: u64 = 30_000;
    let domain = Domain::new("batch-many");
    let received = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let receivers: Vec<_> = (0..3).map(|_| work(domain.name()).receiver().unwrap()).collect();
        for (mut rx, most) in receivers.into_iter().zip([1, 3, 100]) {
            let received = &received;
            scope.spawn(move || {
                let (mut mine, mut latest) = (Vec::new(), [None; 3]);
                loop {
                    let before = mine.len();
                    if most == 3 {
                        match rx.recv_batch_ref(most).unwrap() {
                            Some(batch) => mine.extend(batch.iter().copied()),
                            None => break,
                        }
                    } else if rx.recv_batch(&mut mine, most).unwrap() == 0 {
                        break;
                    }
                    assert!((1..=most).contains(&(mine.len() - before)));
                }
                for &message in &mine {
                    let (sender, number) = check(message);
                    let before = latest[sender as usize].replace(number);
                    assert!(before < Some(number), "one receiver gets a sender's messages in order");
                }
                received.lock().unwrap().extend(mine);
            });
        }
        for (sender, most) in (0..).zip([1, 5, 64]) {
            let mut tx = work(domain.name()).sender().unwrap();
            scope.spawn(move || {
                let mut number = 0;
                while number < EACH {
                    let end = EACH.min(number + most);
                    if number % 2 == 0 {
                        tx.send_batch((number..end).map(|number| message(sender, number))).unwrap();
                        number = end;
                    } else {
                        let mut batch = tx.loan_batch((end - number) as usize).unwrap();
                        batch.iter_mut().zip(number..).for_each(|(slot, number)| *slot = message(sender, number));
                        number += batch.send() as u64;
                    }
                }
            });
        }
    });
    let received = received.into_inner().unwrap();
    assert_eq!(received.len() as u64, 3 * EACH);
    assert_eq!(received.into_iter().collect::<HashSet<_>>().len() as u64, 3 * EACH, "none comes twice");
}

#[test]
fn a_loan_that_is_dropped_leaves_no_gap() {
    let domain = Domain::new("loan");
    let (mut tx, mut rx) = (work(domain.name()).sender().unwrap(), work(domain.name()).receiver().unwrap());
    for number in 0..50 {
        drop(tx.loan().unwrap());
        let mut loan = tx.loan().unwrap();
        *loan = message(1, number);
        loan.send();
        assert_eq!(recv(&mut rx), Ok(Some(message(1, number))));
    }
    assert_eq!(rx.lost(), 0, "what is given back is not lost");
}

#[test]
fn the_end_is_when_every_sender_has_gone() {
    let domain = Domain::new("end");
    let (mut first, second) = (work(domain.name()).sender().unwrap(), work(domain.name()).sender().unwrap());
    let mut receivers = [work(domain.name()).receiver().unwrap(), work(domain.name()).receiver().unwrap()];
    first.send(message(0, 0)).unwrap();
    drop(first);
    assert_eq!(recv(&mut receivers[0]), Ok(Some(message(0, 0))));
    assert_eq!(receivers[0].recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
    drop(second);
    let mut late = work(domain.name()).receiver().unwrap();
    assert_eq!(recv(&mut receivers[0]), Ok(None));
    assert_eq!(recv(&mut receivers[1]), Ok(None));
    assert_eq!(recv(&mut late), Ok(None), "who comes to a work queue late finds the work done");
}

#[test]
fn newcomers_join_a_running_exchange() {
    let domain = Domain::new("newcomers");
    let mut rx = work(domain.name()).receiver().unwrap();
    let mut children: Vec<_> = (0..3).map(|_| Child::start("send_many", &domain)).collect();
    let mut counts = [0u64; 3];
    let mut take = |rx: &mut ipc_core::Receiver<Message>| {
        let (sender, number) = check(recv(rx).unwrap().unwrap());
        assert_eq!(number, counts[sender as usize], "the messages of sender {sender} come in order");
        counts[sender as usize] += 1;
        counts.iter().sum::<u64>()
    };
    // Each joins while the ones before are at work: alone at first, and then in company.
    for (sender, child) in children.iter_mut().enumerate() {
        child.tell(&sender.to_string());
        let until = (sender as u64 + 1) * MANY / 2;
        while take(&mut rx) < until {}
    }
    // And so does a second receiver, which takes some of them; one thread takes turns, so the order stays visible.
    let mut second = work(domain.name()).receiver().unwrap();
    for turn in 0.. {
        if take(if turn % 3 == 0 { &mut second } else { &mut rx }) == 3 * MANY {
            break;
        }
    }
    children.into_iter().for_each(Child::finish);
}
