//! Packets of a real capture, from one process to another, each as a message of its own length.
//!
//! ```text
//! cargo run --release --example packets                 # starts both, and checks that every byte arrived
//! cargo run --release --example packets -- capture      # or in two terminals, in any order
//! cargo run --release --example packets -- count
//! ```
//!
//! `capture` reads a pcapng file and writes every packet straight into the channel's memory; `count` reads it there, in
//! place, and counts by protocol and by sender.

use clap::{Args, Parser, Subcommand};
use pcap_parser::data::{PacketData, get_packetdata};
use pcap_parser::traits::{PcapNGPacketBlock, PcapReaderIterator};
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, PcapNGReader};
use serde_json::json;
use slipring::IpcMessage;
use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/wireshark/test.pcapng");

/// One captured packet.
#[derive(IpcMessage, Debug)]
#[repr(C)]
#[ipc(queue = "packets", spsc)]
struct Packet {
    /// Bytes that were on the wire, of which the capture may have kept fewer.
    wire_bytes: u32,
    /// The kind of network, as pcap numbers them.
    link: u16,
    data: [u8],
}

/// Sends the packets of a capture to another process, and counts them there.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    input: Input,
    /// Write the result as one JSON object to this file; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Role {
    /// Reads the capture and sends its packets.
    Capture(Input),
    /// Receives packets and counts them.
    Count,
}

#[derive(Args)]
struct Input {
    /// A capture in the format pcapng.
    #[arg(long, value_name = "FILE", default_value = DATA)]
    data: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    let cli = Cli::parse();
    match cli.role {
        Some(Role::Capture(input)) => capture(&input.data),
        Some(Role::Count) => {
            let counts = count()?;
            println!("{counts}");
            Ok(())
        }
        None => run(&cli.input.data, cli.json.as_deref()),
    }
}

/// Plays both roles in processes of their own, and compares what arrived with what the file holds.
fn run(data: &Path, json: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let domain = format!("packets-{}", std::process::id());
    let start = |role: &str| {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(role).env("SLIPRING_DOMAIN", &domain).stdout(Stdio::piped());
        if role == "capture" {
            command.arg("--data").arg(data);
        }
        command.spawn()
    };
    let (counting, mut capturing) = (start("count")?, start("capture")?);
    let sent = capturing.wait()?;
    let counted = counting.wait_with_output()?;
    if !sent.success() || !counted.status.success() {
        return Err("a role failed; what it said is above".into());
    }
    let arrived = String::from_utf8(counted.stdout)?;
    let mut expected = Counts::default();
    for_each_packet(data, |wire_bytes, link, bytes| {
        expected.add(wire_bytes, link, bytes);
        Ok(())
    })?;
    let is_verified = arrived.trim_end() == expected.to_string();
    let line = json!({
        "example": "packets", "verified": is_verified, "records": expected.packets, "bytes": expected.bytes,
    });
    match json {
        Some(path) if path.as_os_str() == "-" => println!("{line}"),
        Some(path) => writeln!(File::create(path)?, "{line}")?,
        None => {}
    }
    if json.is_none_or(|path| path.as_os_str() != "-") {
        println!("{}\nas in the file: {}", arrived.trim_end(), if is_verified { "yes" } else { "NO" });
    }
    if is_verified { Ok(()) } else { Err("what arrived differs from what the file holds".into()) }
}

/// Sends every packet of the file.
fn capture(data: &Path) -> Result<(), Box<dyn Error>> {
    let mut tx = Packet::sender()?;
    for_each_packet(data, |wire_bytes, link, bytes| {
        let mut packet = tx.loan_len(bytes.len())?;
        packet.wire_bytes = wire_bytes;
        packet.link = link;
        packet.data.copy_from_slice(bytes);
        packet.send();
        Ok(())
    })
}

/// Receives until the sender has closed.
fn count() -> Result<Counts, Box<dyn Error>> {
    let mut rx = Packet::receiver()?;
    let mut counts = Counts::default();
    while let Some(packet) = rx.recv_ref()? {
        counts.add(packet.wire_bytes, packet.link, &packet.data);
    }
    Ok(counts)
}

/// Calls `packet` with length on the wire, kind of network and captured bytes of every packet in the file.
fn for_each_packet(
    data: &Path,
    mut packet: impl FnMut(u32, u16, &[u8]) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let file = File::open(data).map_err(|error| format!("cannot read {}: {error}", data.display()))?;
    let refuse =
        |error: &dyn std::fmt::Debug| format!("{} is no pcapng file that can be read: {error:?}", data.display());
    let mut reader = PcapNGReader::new(1 << 16, file).map_err(|error| refuse(&error))?;
    let mut links = Vec::new();
    loop {
        match reader.next() {
            Ok((consumed, block)) => {
                match block {
                    PcapBlockOwned::NG(Block::SectionHeader(_)) => links.clear(),
                    PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => links.push(interface.linktype),
                    PcapBlockOwned::NG(Block::EnhancedPacket(captured)) => {
                        let link = links.get(captured.if_id as usize).copied().unwrap_or(Linktype::NULL);
                        packet(captured.orig_len(), u16::try_from(link.0)?, captured.packet_data())?;
                    }
                    _ => {}
                }
                reader.consume(consumed);
            }
            Err(PcapError::Eof) => return Ok(()),
            Err(PcapError::Incomplete(_)) => reader.refill().map_err(|error| refuse(&error))?,
            Err(error) => return Err(refuse(&error).into()),
        }
    }
}

/// What is known of the packets so far.
#[derive(Default)]
struct Counts {
    packets: u64,
    bytes: u64,
    /// FNV-1a over all bytes, in order, so that one that is lost, doubled or changed shows.
    digest: u64,
    by_protocol: BTreeMap<&'static str, u64>,
    by_sender: BTreeMap<[u8; 6], u64>,
}

impl Counts {
    fn add(&mut self, wire_bytes: u32, link: u16, data: &[u8]) {
        self.packets += 1;
        self.bytes += u64::from(wire_bytes);
        self.digest = data.iter().fold(self.digest, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3).wrapping_add(1)
        });
        *self.by_protocol.entry(protocol(link, data)).or_default() += 1;
        if let Some(sender) = data.get(6..12).and_then(|bytes| bytes.try_into().ok()) {
            *self.by_sender.entry(sender).or_default() += 1;
        }
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} packets, {} bytes on the wire, digest {:016x}", self.packets, self.bytes, self.digest)?;
        for (protocol, count) in &self.by_protocol {
            writeln!(f, "{count:>8}  {protocol}")?;
        }
        let mut senders: Vec<_> = self.by_sender.iter().collect();
        senders.sort_by_key(|&(sender, count)| (std::cmp::Reverse(count), sender));
        let busiest = senders.iter().take(3).map(|(sender, count)| {
            let address = sender.map(|byte| format!("{byte:02x}")).join(":");
            format!("{address} ({count})")
        });
        write!(f, "busiest senders: {}", busiest.collect::<Vec<_>>().join(", "))
    }
}

/// What an Ethernet frame carries.
fn protocol(link: u16, data: &[u8]) -> &'static str {
    match get_packetdata(data, Linktype(i32::from(link)), data.len()) {
        Some(PacketData::L2(frame)) => match frame.get(12..14) {
            Some([0x08, 0x00]) => match frame.get(23) {
                Some(1) => "IPv4, ICMP",
                Some(6) => "IPv4, TCP",
                Some(17) => "IPv4, UDP",
                _ => "IPv4, other",
            },
            Some([0x08, 0x06]) => "ARP",
            Some([0x86, 0xdd]) => "IPv6",
            _ => "other",
        },
        Some(_) => "not Ethernet",
        None => "unknown kind of network",
    }
}
