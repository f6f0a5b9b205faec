//! Reading the data set: a CSV file, or a zip archive with one in it.

use crate::messages::{Flight, Origin, Status};
use crate::stop::Result;
use slipring::{Opt, Str};
use std::fs;
use std::io::{Cursor, Read as _};
use std::path::Path;
use std::str::FromStr;

/// The columns that are used, in the order of [`Columns`].
const COLUMNS: [&str; 11] = [
    "dep_time",
    "dep_delay",
    "arr_delay",
    "air_time",
    "flight",
    "distance",
    "carrier",
    "tailnum",
    "origin",
    "dest",
    "hour",
];

/// What a row has where it has no value.
const ABSENT: [&str; 2] = ["NA", ""];

/// A row that was left out.
#[derive(Debug, PartialEq)]
pub(crate) struct Rejected {
    /// Its line in the file, counted from 1.
    pub(crate) line: u64,
    /// Why.
    pub(crate) reason: String,
}

/// The text of a data file, unpacked.
///
/// A file that does not exist, is no zip archive after all, or has none or several CSV files in it is an error that
/// says what would have been welcome.
pub(crate) fn load(path: &Path) -> Result<Vec<u8>> {
    let advice = "give --data a CSV file with the columns of nycflights13's flights.csv, or a .zip with one such file";
    let bytes = fs::read(path).map_err(|error| format!("cannot read {}: {error}; {advice}", path.display()))?;
    if bytes.starts_with(b"PK\x03\x04") {
        unpack(bytes).map_err(|error| format!("cannot unpack {}: {error}; {advice}", path.display()).into())
    } else {
        Ok(bytes)
    }
}

/// The one CSV file of an archive.
fn unpack(archive: Vec<u8>) -> Result<Vec<u8>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(archive))?;
    let names: Vec<String> = archive.file_names().filter(|name| name.ends_with(".csv")).map(str::to_owned).collect();
    let [name] = names.as_slice() else {
        return Err(format!("it has {} CSV files, not one", names.len()).into());
    };
    let mut text = Vec::new();
    archive.by_name(name)?.read_to_end(&mut text)?;
    Ok(text)
}

/// The rows of a data file, each parsed into a message or rejected.
pub(crate) struct Rows<'a> {
    reader: csv::Reader<&'a [u8]>,
    record: csv::StringRecord,
    columns: Columns,
}

impl<'a> Rows<'a> {
    /// Reads the header. A file that lacks a column is an error; columns that are not used may be there or not.
    pub(crate) fn new(text: &'a [u8]) -> Result<Self> {
        let mut reader = csv::Reader::from_reader(text);
        let columns = Columns::of(reader.headers()?)?;
        Ok(Rows { reader, record: csv::StringRecord::new(), columns })
    }

    /// Bytes read so far.
    pub(crate) fn position_bytes(&self) -> u64 {
        self.reader.position().byte()
    }
}

impl Iterator for Rows<'_> {
    type Item = std::result::Result<Flight, Rejected>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.reader.read_record(&mut self.record) {
            Ok(false) => None,
            Ok(true) => {
                let line = self.record.position().map_or(0, csv::Position::line);
                Some(self.columns.parse(&self.record, line).map_err(|reason| Rejected { line, reason }))
            }
            // The text lies in memory, so this is no error of reading: the row has too few fields, say, or is not
            // UTF-8. The reader goes on after it.
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                Some(Err(Rejected { line, reason: describe(&error) }))
            }
        }
    }
}

/// An error of the CSV reader without the position, which is shown beside it.
fn describe(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("it has {len} fields where the header has {expected_len}")
        }
        csv::ErrorKind::Utf8 { err, .. } => format!("field {} is not UTF-8", err.field() + 1),
        _ => error.to_string(),
    }
}

/// Where the columns of [`COLUMNS`] are in this file.
struct Columns([usize; COLUMNS.len()]);

impl Columns {
    fn of(header: &csv::StringRecord) -> Result<Self> {
        let mut columns = Columns([0; COLUMNS.len()]);
        for (column, name) in columns.0.iter_mut().zip(COLUMNS) {
            *column = header.iter().position(|found| found == name).ok_or_else(|| {
                format!("the file has no column `{name}`; it needs those of nycflights13's flights.csv, named in its first line")
            })?;
        }
        Ok(columns)
    }

    fn parse(&self, record: &csv::StringRecord, line: u64) -> std::result::Result<Flight, String> {
        let [dep_time, dep_delay, arr_delay, air_time, flight, distance, carrier, tailnum, origin, dest, hour] =
            std::array::from_fn(|at| Field { name: COLUMNS[at], text: &record[self.0[at]] });
        let arr_delay = arr_delay.parse_if_present("a whole number of minutes or NA")?;
        Ok(Flight {
            sent_ns: 0,
            line,
            tailnum: tailnum.parse_if_present("at most 6 characters or NA")?,
            dep_delay: dep_delay.parse_if_present("a whole number of minutes or NA")?,
            arr_delay,
            air_time: air_time.parse_if_present("a whole number of minutes or NA")?,
            number: flight.parse("a flight number")?,
            distance: distance.parse("a whole number of miles")?,
            carrier: carrier.parse("a code of at most 2 characters")?,
            dest: dest.parse("a code of at most 3 characters")?,
            origin: origin.parse("EWR, JFK or LGA")?,
            status: status(dep_time.parse_if_present("a time as HHMM or NA")?, arr_delay),
            hour: hour.parse::<Hour>("an hour from 0 to 23")?.0,
        })
    }
}

fn status(dep_time: Opt<u16>, arr_delay: Opt<i16>) -> Status {
    match (dep_time, arr_delay) {
        (Opt::None, _) => Status::Cancelled,
        (Opt::Some(_), Opt::None) => Status::Diverted,
        (Opt::Some(_), Opt::Some(_)) => Status::Flown,
    }
}

/// One field of a row.
struct Field<'a> {
    name: &'static str,
    text: &'a str,
}

impl Field<'_> {
    fn parse<T: FromStr>(&self, wanted: &str) -> std::result::Result<T, String> {
        let Field { name, text } = self;
        text.parse().map_err(|_| format!("column `{name}` has {text:?} where it should have {wanted}"))
    }

    fn parse_if_present<T: FromStr>(&self, wanted: &str) -> std::result::Result<Opt<T>, String> {
        if ABSENT.contains(&self.text) { Ok(Opt::None) } else { self.parse(wanted).map(Opt::Some) }
    }
}

impl FromStr for Origin {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        match text {
            "EWR" => Ok(Origin::Ewr),
            "JFK" => Ok(Origin::Jfk),
            "LGA" => Ok(Origin::Lga),
            _ => Err(()),
        }
    }
}

/// An hour of the day.
struct Hour(u8);

impl FromStr for Hour {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        text.parse().ok().filter(|hour| *hour < 24).map(Hour).ok_or(())
    }
}

/// The names of the airlines by their codes, from a CSV file with the columns `carrier` and `name`.
pub(crate) fn load_airlines(path: &Path) -> Result<Vec<(Str<2>, Str<30>)>> {
    let refuse = |reason: String| {
        format!("cannot use {}: {reason}; give --airlines a CSV file with the columns carrier,name", path.display())
    };
    let text = fs::read(path).map_err(|error| refuse(error.to_string()))?;
    let mut reader = csv::Reader::from_reader(text.as_slice());
    let mut airlines = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| refuse(error.to_string()))?;
        let [Some(code), Some(name)] = [record.get(0), record.get(1)] else {
            return Err(refuse(format!("{record:?} has no second field")).into());
        };
        let code = code.parse().map_err(|_| refuse(format!("{code:?} is no carrier code of 2 characters")))?;
        airlines.push((code, Str::truncated(name)));
    }
    Ok(airlines)
}
