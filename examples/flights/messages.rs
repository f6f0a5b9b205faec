//! The messages of the pipeline, and with them its channels: this file is all that the roles know of each other.
//!
//! ```text
//! ingest --- Flight ---> enrich --- Enriched ---> aggregate
//!    |                                                |
//!    '--- IngestReport ---> parent <--- Outcome ------'
//! ```

use slipring::{IpcMessage, Opt, Str};

/// One row of the data set. Ingest sends these to enrich.
///
/// The fields fill one cache line together with the slot's stamp: large ones first, so that nothing is lost to padding.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
#[ipc(queue = "flights.rows", capacity = 4096, spsc)]
pub(crate) struct Flight {
    /// When ingest sent it, as [`clock::now_ns`](crate::clock::now_ns) tells the time.
    pub(crate) sent_ns: u64,
    /// The row's line in the file, counted from 1. It grows from row to row, which is how enrich knows the rows that an
    /// ingest which was started anew sends a second time.
    pub(crate) line: u64,
    /// Registration of the aircraft.
    pub(crate) tailnum: Opt<Str<6>>,
    /// Minutes late at departure, negative if early.
    pub(crate) dep_delay: Opt<i16>,
    /// Minutes late at arrival, negative if early.
    pub(crate) arr_delay: Opt<i16>,
    /// Minutes in the air.
    pub(crate) air_time: Opt<u16>,
    /// Flight number.
    pub(crate) number: u16,
    /// Miles between the airports.
    pub(crate) distance: u16,
    /// Code of the airline.
    pub(crate) carrier: Str<2>,
    /// Airport of the destination.
    pub(crate) dest: Str<3>,
    /// Airport of the departure.
    pub(crate) origin: Origin,
    /// What became of the flight.
    pub(crate) status: Status,
    /// Hour of the scheduled departure, local time, 0 ..= 23.
    pub(crate) hour: u8,
}

const _: () = assert!(size_of::<Flight>() <= 56, "a flight and the slot's stamp share one cache line");

/// The three airports of the data set.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Origin {
    /// Newark.
    Ewr = 0,
    /// John F. Kennedy.
    Jfk = 1,
    /// LaGuardia.
    Lga = 2,
}

/// What became of a flight.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Status {
    /// It departed, and arrived where it was to go.
    Flown = 1,
    /// It departed, and no arrival is known.
    Diverted = 2,
    /// It did not depart.
    Cancelled = 3,
}

/// A flight as it is counted. Enrich sends these to aggregate.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
#[ipc(queue = "flights.enriched", capacity = 4096, spsc)]
pub(crate) struct Enriched {
    /// From [`Flight::sent_ns`], so that aggregate sees the latency from end to end.
    pub(crate) sent_ns: u64,
    /// From the flight.
    pub(crate) dep_delay: Opt<i16>,
    /// From the flight.
    pub(crate) arr_delay: Opt<i16>,
    /// Code of the airline.
    pub(crate) carrier: Str<2>,
    /// Name of the airline, joined from `airlines.csv`.
    pub(crate) carrier_name: Str<30>,
    /// How late it departed, in words. Absent if it did not.
    pub(crate) class: Opt<DelayClass>,
    /// From the flight.
    pub(crate) origin: Origin,
    /// From the flight.
    pub(crate) status: Status,
    /// From the flight.
    pub(crate) hour: u8,
}

/// How late a flight departed.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum DelayClass {
    /// Before its time.
    Early = 0,
    /// Less than 15 minutes late, which is what the industry calls on time.
    OnTime = 1,
    /// 15 minutes to an hour late.
    Late = 2,
    /// An hour late or more.
    VeryLate = 3,
}

/// What ingest tells the parent while it reads.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(C, u8)]
#[ipc(queue = "flights.ingest", capacity = 256, spsc, lifetime = "attached")]
pub(crate) enum IngestReport {
    /// So far it has read so many bytes of the data.
    Progress {
        /// Bytes read.
        bytes: u64,
    },
    /// A row was left out.
    Rejected {
        /// Its line in the file, counted from 1.
        line: u64,
        /// Why, cut off if it is long.
        reason: Str<120>,
    },
    /// Everything was read.
    Done {
        /// Rows sent.
        sent: u64,
        /// Rows left out.
        rejected: u64,
    },
}

/// What aggregate tells the parent when the last flight is in: every group, and then how the run went.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(C, u8)]
#[ipc(queue = "flights.outcome", capacity = 64, spsc, lifetime = "attached")]
pub(crate) enum Outcome {
    /// The statistics of one group.
    Group(Group),
    /// There are no more groups.
    Done(Timing),
}

/// The statistics of the flights that have something in common.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub(crate) struct Group {
    /// What they have in common.
    pub(crate) key: Key,
    /// The sums over them.
    pub(crate) stats: Stats,
}

/// What the flights of a group have in common.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(C, u8)]
pub(crate) enum Key {
    /// The airline: its code and its name.
    Carrier(Str<2>, Str<30>),
    /// The airport.
    Origin(Origin),
    /// The hour of the scheduled departure.
    Hour(u8),
}

/// Sums over a group of flights: integers only, so that two of them are equal bit for bit or not at all.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq, Default)]
#[repr(C)]
pub(crate) struct Stats {
    /// All flights.
    pub(crate) flights: u64,
    /// Those with [`Status::Cancelled`].
    pub(crate) cancelled: u64,
    /// Those with [`Status::Diverted`].
    pub(crate) diverted: u64,
    /// Those that departed, by [`DelayClass`].
    pub(crate) classes: [u64; 4],
    /// Delays at departure.
    pub(crate) departure: Delays,
    /// Delays at arrival.
    pub(crate) arrival: Delays,
}

/// Sums over those delays of a group that are known.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq, Default)]
#[repr(C)]
pub(crate) struct Delays {
    /// How many are known.
    pub(crate) known: u64,
    /// Their sum in minutes.
    pub(crate) sum_min: i64,
    /// The least.
    pub(crate) least_min: Opt<i16>,
    /// The greatest.
    pub(crate) greatest_min: Opt<i16>,
}

/// How a run went, as aggregate saw it.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub(crate) struct Timing {
    /// Flights received.
    pub(crate) records: u64,
    /// From the sending of the first flight to the receipt of the last.
    pub(crate) elapsed_ns: u64,
    /// From ingest's send to aggregate's receipt: the median.
    pub(crate) latency_p50_ns: u64,
    /// The 99th percentile.
    pub(crate) latency_p99_ns: u64,
    /// The 99.9th percentile.
    pub(crate) latency_p99_9_ns: u64,
}
