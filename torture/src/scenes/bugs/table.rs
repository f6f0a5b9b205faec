//! Whose bugs they are, and what shows that they are not ours.

use super::super::End;
use super::plays;
use crate::check::Check;
use crate::sweep::{Place, Slot};

/// One of them.
pub(super) struct Bug {
    /// Whose, with the number of the report if there is one, and what.
    pub(super) name: &'static str,
    /// What happens there.
    pub(super) theirs: &'static str,
    pub(super) proof: Proof,
}

/// What shows that it does not happen here.
pub(super) enum Proof {
    /// A scene of its own.
    Play(fn() -> Check<End>),
    /// Tests in one file of `tests`.
    Test { file: &'static str, names: &'static [&'static str] },
    /// A victim at every instruction.
    Sweep(&'static [Place]),
    /// A script.
    Script(&'static str),
}

const fn play(name: &'static str, theirs: &'static str, play: fn() -> Check<End>) -> Bug {
    Bug { name, theirs, proof: Proof::Play(play) }
}

const fn test(name: &'static str, theirs: &'static str, file: &'static str, names: &'static [&'static str]) -> Bug {
    Bug { name, theirs, proof: Proof::Test { file, names } }
}

const fn sweep(name: &'static str, theirs: &'static str, places: &'static [Place]) -> Bug {
    Bug { name, theirs, proof: Proof::Sweep(places) }
}

/// An operation of a role at a slot, alone.
const fn alone(kind: &'static str, role: &'static str, operation: &'static str, slot: Slot) -> Place {
    Place { kind, role, operation, has_company: false, slot }
}

/// All of them.
pub(super) const BUGS: &[Bug] = &[
    Bug {
        name: "iceoryx2-11-read-modify-writes",
        theirs: "11 atomic read-modify-writes for one message",
        proof: Proof::Script("ci/no-syscalls.sh"),
    },
    play(
        "iceoryx2-send-costs-per-subscriber",
        "a send costs as much as there may be subscribers",
        plays::a_send_costs_the_same_for_any_number,
    ),
    test(
        "iceoryx2-no-loss-report",
        "who is overtaken is not told",
        "broadcast",
        &[
            "what_a_lossy_subscriber_missed_is_counted_exactly",
            "a_subscriber_that_was_overtaken_is_told_so_and_goes_on",
        ],
    ),
    test("iceoryx2-no-blocking-receive", "nobody can wait for data", "queue", &["a_receiver_that_comes_first_waits"]),
    test(
        "iceoryx2-exact-crate-version",
        "two programs have to be built with the same version of the crate",
        "spec",
        &["the_header", "a_segment_byte_by_byte"],
    ),
    play(
        "iceoryx2-1361-module-path",
        "the name of a type has its module's path in it",
        plays::a_type_is_the_same_in_any_module,
    ),
    test(
        "iceoryx2-swapped-fields",
        "two fields of the same size may be swapped unnoticed",
        "bad_input",
        &["another_layout_is_refused_with_its_differences_and_its_creator"],
    ),
    test(
        "iceoryx2-index-from-a-peer",
        "an index that a peer supplies is checked in debug builds only",
        "faults",
        &[
            "scribbles::a_queue_tells_both_sides_of_damage",
            "scribbles::a_broadcast_tells_damage_from_a_full_ring",
            "scribbles::no_word_of_a_service_brings_anybody_down",
        ],
    ),
    test(
        "iceoryx2-601-1584-1967-orphaned-files",
        "files stay after a kill",
        "faults",
        &[
            "segment::what_a_process_with_both_ends_left_is_taken_over",
            "segment::a_channel_that_only_the_dead_used_is_removed",
        ],
    ),
    play("iceoryx2-long-hello", "a program that waits for data has 223 lines", plays::hello_is_short),
    sweep(
        "aeron-dead-between-claim-and-commit",
        "everybody waits 15 s for a producer that died after its claim",
        &[Place { has_company: true, ..alone("queue", "sender", "send", Slot::Wrap) }],
    ),
    sweep(
        "aeron-claim-ends-at-capacity",
        "a claim that ends exactly at the capacity is never unblocked",
        &[
            alone("queue", "sender", "send", Slot::Last),
            alone("queue", "sender", "send-batch", Slot::Last),
            alone("broadcast-lossless", "publisher", "publish", Slot::Last),
        ],
    ),
    sweep(
        "aeron-claim-at-offset-zero",
        "a claim at offset 0 underflows when it is unblocked",
        &[
            alone("queue", "sender", "send", Slot::First),
            alone("queue", "sender", "send", Slot::Wrap),
            alone("broadcast-lossless", "publisher", "publish", Slot::First),
        ],
    ),
    test(
        "cpp-ipc-100-crash-is-unrecoverable",
        "after a crash the channel is of no use",
        "faults",
        &["shared_queue::whoever_is_killed_whenever_every_message_comes_once"],
    ),
    test("cpp-ipc-32-receivers", "at most 32 can receive", "shared_queue", &["there_are_places_for_64_of_each"]),
    test(
        "ecal-1206-killed-subscriber",
        "a killed subscriber hangs the publisher",
        "faults",
        &["broadcast::a_stopped_subscriber_is_waited_for_and_a_dead_one_is_not"],
    ),
    test(
        "ipmpsc-11-stuck-after-crash",
        "after a crash everybody is stuck",
        "faults",
        &["shared_queue::what_a_sender_died_with_holds_nobody_up"],
    ),
    test(
        "interprocess-40-name-unusable-after-crash",
        "after a crash the name cannot be used",
        "faults",
        &[
            "queue::a_killed_sender_is_reported_once_and_succeeded",
            "segment::what_a_killed_receiver_left_is_taken_over",
        ],
    ),
    test(
        "ipc-channel-unbounded",
        "a sender that is too fast fills the memory",
        "queue",
        &["exactly_as_many_messages_fit_as_were_asked_for"],
    ),
    test(
        "ipc-channel-240-descriptors",
        "every channel costs descriptors",
        "many",
        &["a_thousand_channels_fit_under_the_usual_limit"],
    ),
    test(
        "ipc-channel-395-more-than-64",
        "more than 64 descriptors are a panic",
        "wait_set",
        &["all_that_are_ready_are_returned_and_no_others"],
    ),
    test(
        "ipc-channel-261-accept-without-timeout",
        "who accepts cannot stop waiting",
        "service",
        &["time_runs_out_before_and_after_the_call_is_taken"],
    ),
    play(
        "python-join-before-drain",
        "whoever waits for a process that has sent much waits for ever",
        plays::a_sender_ends_before_its_messages_are_received,
    ),
    play(
        "python-82300-attacher-exit-unlinks",
        "a process that only looked in removes the memory of others when it ends",
        plays::who_looked_in_takes_nothing_along,
    ),
    test(
        "python-96062-killed-worker",
        "a killed worker of a Pool hangs `map` for ever",
        "ipc-process/pool",
        &["a_death_costs_one_task"],
    ),
    test(
        "python-executor-loses-98-of-100",
        "one crash loses all tasks of a ProcessPoolExecutor that wait",
        "ipc-process/pool",
        &["every_task_has_one_report_however_many_workers_are_killed"],
    ),
    test(
        "python-84291-imap-reads-ahead",
        "`imap` consumes its whole input at once",
        "ipc-process/pool",
        &["an_endless_iterator_is_read_no_further_than_the_buffer"],
    ),
    test(
        "python-dead-lock-holder",
        "a Lock whose holder died is locked for ever",
        "faults",
        &["sync::who_waits_for_a_dead_owner_is_told_and_goes_on"],
    ),
    test(
        "python-75158-notify-all-with-a-killed-waiter",
        "`notify_all` blocks when a waiter was killed",
        "faults",
        &["sync::dead_and_stopped_waiters_hold_up_nobody", "sync::notifications_reach_those_who_live"],
    ),
    sweep(
        "rings-repair-at-the-edges",
        "repair is wrong at slot 0, at the last slot, or across the wrap",
        &[
            alone("queue", "receiver", "recv-in-place", Slot::First),
            alone("queue", "receiver", "recv-in-place", Slot::Last),
            alone("queue", "receiver", "recv-in-place", Slot::Wrap),
        ],
    ),
    test(
        "rings-timeout-is-taken-for-death",
        "who is stopped for long is robbed",
        "faults",
        &[
            "queue::a_stopped_sender_is_not_taken_for_dead",
            "shared_queue::a_stopped_sender_is_waited_for",
            "latest::a_stopped_writer_is_not_taken_for_dead",
            "service::a_stopped_server_keeps_the_call_that_it_has_taken",
        ],
    ),
];
