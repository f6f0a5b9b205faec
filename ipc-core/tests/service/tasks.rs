//! Calls and requests that tasks wait for.

use super::*;
use futures_util::future::{join, join_all, select};
use futures_util::{StreamExt, TryStreamExt};
use ipc_core::AsyncClient;
use std::future::{Future, IntoFuture};
use std::pin::pin;

/// Runs a task under one runtime and another. One that is stuck fails the test instead of hanging it.
fn run<F: Future<Output = ()> + Send + 'static>(task: impl Fn() -> F) {
    let limited = || {
        let task = task();
        async {
            let limit = pin!(smol::Timer::after(PATIENCE));
            assert!(matches!(select(pin!(task), limit).await, futures_util::future::Either::Left(_)), "it is stuck");
        }
    };
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    tokio.block_on(tokio.spawn(limited())).unwrap();
    smol::block_on(smol::spawn(limited()));
}

/// Answers until it is stopped.
async fn serve_all(service: Service<Question, Answer>) {
    let mut server = service.server().unwrap().into_async().unwrap();
    while let Some(request) = server.accept().await.unwrap() {
        let reply = answer(*request);
        request.reply(reply);
        if request_is_last(&reply) {
            return;
        }
    }
}

/// The last question of a test has this number.
const LAST: u64 = u64::MAX - 1;

fn request_is_last(reply: &Answer) -> bool {
    reply[5] == LAST
}

async fn call_many(client: &AsyncClient<Question, Answer>, task: u64) {
    for number in 0..200 {
        let asked = question(task << 32 | number);
        assert_eq!(client.call(asked).await, Ok(answer(asked)));
    }
}

#[test]
fn tasks_share_a_client() {
    let domain = Domain::new("tasks");
    let service = service(domain.name());
    run(|| {
        let service = service.clone();
        async move {
            let client = service.client().unwrap().into_async().unwrap();
            // More tasks than there are slots, so that some wait for one.
            let calls = async {
                join_all((0..20).map(|task| call_many(&client, task))).await;
                client.call(question(LAST)).await.unwrap();
            };
            join(calls, serve_all(service)).await;
            assert_eq!(client.get_ref().len(), 0);
        }
    });
}

#[test]
fn a_future_that_is_dropped_cancels_its_call() {
    let domain = Domain::new("dropped-futures");
    let service = service(domain.name());
    run(|| {
        let service = service.clone();
        async move {
            let client = service.client().unwrap().into_async().unwrap();
            let mut server = service.server().unwrap().into_async().unwrap();
            for number in 0..50 {
                let short = Duration::from_micros(number * 10);
                // Not taken by anybody, and then taken by a server that is late.
                select(pin!(client.call(question(number))), pin!(smol::Timer::after(short))).await;
                assert_eq!(client.get_ref().len(), 0);
                select(pin!(server.accept()), pin!(smol::Timer::after(short))).await;
                let call = client.submit(question(number)).await.unwrap();
                let request = server.accept().await.unwrap().unwrap();
                select(pin!(call.into_future()), pin!(smol::Timer::after(short))).await;
                assert!(!request.reply(answer(question(number))));
            }
            assert_eq!(client.get_ref().len(), 0);
        }
    });
}

#[test]
fn a_task_streams_replies() {
    let domain = Domain::new("task-stream");
    let service = service(domain.name());
    let server = service.server().unwrap();
    let stopper = server.stopper();
    let serving = thread::spawn(move || {
        while let Some(request) = server.accept().unwrap() {
            let mut replies = request.reply_stream();
            let (first, count) = (replies[0], replies[1]);
            let wanted = (0..count).all(|number| replies.send(answer(question(first + number))).is_ok());
            assert!(!wanted || replies.finish());
        }
    });
    run(|| {
        let service = service.clone();
        async move {
            let client = service.client().unwrap().into_async().unwrap();
            for count in [0, 1, 300] {
                let replies = client.submit(part_of(10, count)).await.unwrap().into_replies().into_stream();
                let all: Result<Vec<_>, _> = replies.try_collect().await;
                assert_eq!(all.unwrap(), (10..10 + count).map(|number| answer(question(number))).collect::<Vec<_>>());
            }
            let mut some = client.submit(part_of(1, u64::MAX)).await.unwrap().into_replies().into_stream();
            assert_eq!(some.next().await, Some(Ok(answer(question(1)))));
            drop(some);
            // One that is over stays over.
            let mut one = client.submit(part_of(5, 1)).await.unwrap().into_replies().into_stream();
            assert_eq!(one.next().await, Some(Ok(answer(question(5)))));
            assert_eq!((one.next().await, one.next().await), (None, None));
        }
    });
    stopper.stop();
    serving.join().unwrap();
}

/// A question for so many replies, the first of which is to this one.
fn part_of(first: u64, count: u64) -> Question {
    let mut asked = question(first);
    asked[1] = count;
    asked
}

#[test]
fn a_task_learns_of_the_servers_death() {
    let domain = Domain::new("task-death");
    let client = service(domain.name()).client().unwrap().into_async().unwrap();
    let mut server = child("hold", &domain);
    let pid = server.pid();
    smol::block_on(async {
        let call = client.submit(question(7)).await.unwrap();
        let other = client.submit(question(8)).await.unwrap();
        assert_eq!(server.hear(), "7");
        server.kill();
        let request = Some(Box::new(question(8)));
        let (first, second) = join(call.into_future(), other.into_future()).await;
        assert_eq!(first, Err(CallError::ServerDied(None, peer(pid))));
        assert_eq!(second, Err(CallError::ServerDied(request, peer(pid))));
    });
}
