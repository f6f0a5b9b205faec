//! The statistics: what aggregate counts, and what a single process counts to check it.

use crate::messages::{Delays, Enriched, Group, Key, Origin, Stats, Status};
use slipring::{Opt, Str};
use std::collections::BTreeMap;

const ORIGINS: [Origin; 3] = [Origin::Ewr, Origin::Jfk, Origin::Lga];

/// The flights so far, by carrier, by origin and by hour of the day.
#[derive(Default)]
pub(crate) struct Aggregate {
    carriers: BTreeMap<Str<2>, (Str<30>, Stats)>,
    origins: [Stats; ORIGINS.len()],
    hours: [Stats; 24],
}

impl Aggregate {
    /// Counts a flight.
    pub(crate) fn add(&mut self, flight: &Enriched) {
        let (_, carrier) =
            self.carriers.entry(flight.carrier).or_insert_with(|| (flight.carrier_name, Stats::default()));
        carrier.add(flight);
        self.origins[flight.origin as usize].add(flight);
        // Ingest sends no other hours, but what comes from elsewhere is not taken on trust.
        if let Some(hour) = self.hours.get_mut(usize::from(flight.hour)) {
            hour.add(flight);
        }
    }

    /// The groups that have flights, in the order in which they are shown.
    pub(crate) fn groups(&self) -> Vec<Group> {
        let carriers =
            self.carriers.iter().map(|(code, (name, stats))| Group { key: Key::Carrier(*code, *name), stats: *stats });
        let origins =
            ORIGINS.iter().zip(self.origins).map(|(origin, stats)| Group { key: Key::Origin(*origin), stats });
        let hours = (0..).zip(self.hours).map(|(hour, stats)| Group { key: Key::Hour(hour), stats });
        carriers.chain(origins).chain(hours).filter(|group| group.stats.flights > 0).collect()
    }
}

impl Stats {
    fn add(&mut self, flight: &Enriched) {
        self.flights += 1;
        self.cancelled += u64::from(flight.status == Status::Cancelled);
        self.diverted += u64::from(flight.status == Status::Diverted);
        if let Opt::Some(class) = flight.class {
            self.classes[class as usize] += 1;
        }
        self.departure.add(flight.dep_delay);
        self.arrival.add(flight.arr_delay);
    }
}

impl Delays {
    fn add(&mut self, delay_min: Opt<i16>) {
        let Opt::Some(delay_min) = delay_min else { return };
        self.known += 1;
        self.sum_min += i64::from(delay_min);
        self.least_min = Opt::Some(self.least_min.get().map_or(delay_min, |least| least.min(delay_min)));
        self.greatest_min = Opt::Some(self.greatest_min.get().map_or(delay_min, |greatest| greatest.max(delay_min)));
    }
}
