//! The runtimes under which tasks are tested.

use super::PATIENCE;
use futures_util::future::{Either, select};
use std::future::Future;
use std::pin::pin;

/// Their names.
pub(crate) const RUNTIMES: [&str; 3] = ["tokio-one", "tokio-many", "smol"];

/// Runs a task under one of [`RUNTIMES`]. One that is stuck fails the test instead of hanging it.
pub(crate) fn run<F: Future<Output = ()> + Send + 'static>(runtime: &str, task: F) {
    let task = async {
        let is_stuck = matches!(select(pin!(task), smol::Timer::after(PATIENCE)).await, Either::Right(_));
        assert!(!is_stuck, "nothing has come in {PATIENCE:?}");
    };
    match runtime {
        "tokio-one" => tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(task),
        "tokio-many" => {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(runtime.spawn(task)).unwrap();
        }
        _ => smol::block_on(smol::spawn(task)),
    }
}
