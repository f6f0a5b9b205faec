//! What enrich adds to a flight: the name of its airline, and how late it was in words.

use crate::messages::{DelayClass, Enriched, Flight};
use slipring::Str;
use std::collections::HashMap;

/// The airlines by code.
pub(crate) struct Airlines(HashMap<Str<2>, Str<30>>);

impl Airlines {
    /// A table of codes and names.
    pub(crate) fn new(names: Vec<(Str<2>, Str<30>)>) -> Self {
        Airlines(names.into_iter().collect())
    }

    /// The flight as aggregate needs it. An airline that the table does not have is named by its code.
    pub(crate) fn enrich(&self, flight: &Flight) -> Enriched {
        Enriched {
            sent_ns: flight.sent_ns,
            dep_delay: flight.dep_delay,
            arr_delay: flight.arr_delay,
            carrier: flight.carrier,
            carrier_name: self.0.get(&flight.carrier).copied().unwrap_or_else(|| Str::truncated(&flight.carrier)),
            class: flight.dep_delay.map(DelayClass::of),
            origin: flight.origin,
            status: flight.status,
            hour: flight.hour,
        }
    }
}

impl DelayClass {
    fn of(delay_min: i16) -> Self {
        match delay_min {
            ..0 => DelayClass::Early,
            0..15 => DelayClass::OnTime,
            15..60 => DelayClass::Late,
            60.. => DelayClass::VeryLate,
        }
    }
}
