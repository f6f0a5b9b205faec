//! The works: each is one file that says in which cases it is measured, who takes part, and what their processes do.

mod broadcast;
mod crowd;
mod first_message;
mod idle_cpu;
mod large;
mod latest;
pub(crate) mod line;
mod memory;
mod one_core;
mod one_way;
mod one_way_batch;
mod open_loop;
pub(crate) mod pool;
mod round_trip;
mod round_trip_blocked;
mod service;
mod shared_queue;
mod start_up;

use crate::harness::plan::Work;

/// All that can be asked for, in the order in which they are done.
pub(crate) static ALL: [&Work; 21] = [
    &round_trip::WORK,
    &one_way::WORK,
    &one_way_batch::WORK,
    &open_loop::WORK,
    &round_trip_blocked::WORK,
    &round_trip_blocked::WAKE,
    &one_core::WORK,
    &idle_cpu::WORK,
    &shared_queue::WORK,
    &crowd::FAN_IN,
    &crowd::WORK_QUEUE,
    &broadcast::WORK,
    &service::WORK,
    &latest::WORK,
    &large::UNTOUCHED,
    &large::TOUCHED,
    &start_up::CREATE,
    &start_up::ATTACH,
    &first_message::WORK,
    &memory::WORK,
    &pool::WORK,
];

/// The names, for the command line.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|work| work.name)
}

/// The work of that name, or the line, which is not asked for and always done.
pub(crate) fn find(name: &str) -> Option<&'static Work> {
    ALL.iter().chain([&&line::WORK]).find(|work| work.name == name).copied()
}
