//! Files of captured packets: pcap and pcapng, with what a TCP segment is in.

use std::{
    io::Read,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use anyhow::{Context as _, bail};

/// The longest packet or block that is read. A captured one is not longer.
const MAX_BLOCK_BYTES: u32 = 1 << 20;

const LINK_NULL: u32 = 0;
const LINK_ETHERNET: u32 = 1;
const LINK_RAW: [u32; 2] = [101, 12];
const LINK_LINUX: u32 = 113;
const LINK_LINUX_2: u32 = 276;

/// The bytes of a TCP segment.
pub(super) struct Segment<'p> {
    pub(super) from: (IpAddr, u16),
    pub(super) to: (IpAddr, u16),
    pub(super) sequence: u32,
    pub(super) is_first: bool,
    pub(super) payload: &'p [u8],
}

/// Whether a file begins as one of the two forms does.
pub(super) fn is_capture(start: &[u8]) -> bool {
    let magic = start.get(..4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).map(u32::from_le_bytes);
    matches!(magic, Some(0xa1b2_c3d4 | 0xd4c3_b2a1 | 0xa1b2_3c4d | 0x4d3c_b2a1 | 0x0a0d_0d0a))
}

/// Calls `each` with every TCP segment that has bytes or begins a connection. Returns the number of packets. A file that was
/// cut off ends where it was cut.
pub(super) fn read(mut file: impl Read, mut each: impl FnMut(&Segment<'_>)) -> anyhow::Result<u64> {
    let mut magic = [0; 4];
    file.read_exact(&mut magic).context("it is too short for captured packets")?;
    match u32::from_le_bytes(magic) {
        0xa1b2_c3d4 | 0xa1b2_3c4d => pcap(file, u32::from_le_bytes, &mut each),
        0xd4c3_b2a1 | 0x4d3c_b2a1 => pcap(file, u32::from_be_bytes, &mut each),
        0x0a0d_0d0a => pcapng(file, &mut each),
        _ => bail!("it is neither pcap nor pcapng"),
    }
}

type Number = fn([u8; 4]) -> u32;

fn pcap(mut file: impl Read, number: Number, each: &mut impl FnMut(&Segment<'_>)) -> anyhow::Result<u64> {
    let mut header = [0; 20];
    file.read_exact(&mut header).context("its header is cut off")?;
    let link = u32_at(&header, 16, number).unwrap_or_default() & 0x0fff_ffff;
    let (mut packets, mut packet) = (0_u64, Vec::new());
    let mut record = [0; 16];
    while file.read_exact(&mut record).is_ok() {
        let length = u32_at(&record, 8, number).unwrap_or_default();
        if !fill(&mut file, &mut packet, length)? {
            break;
        }
        packets = packets.saturating_add(1);
        if let Some(segment) = segment(&packet, link) {
            each(&segment);
        }
    }
    Ok(packets)
}

/// Blocks of sections; the magic number of the first has been read.
fn pcapng(mut file: impl Read, each: &mut impl FnMut(&Segment<'_>)) -> anyhow::Result<u64> {
    const SECTION: u32 = 0x0a0d_0d0a;
    const INTERFACE: u32 = 1;
    const SIMPLE: u32 = 3;
    const ENHANCED: u32 = 6;
    let (mut packets, mut block, mut links) = (0_u64, Vec::new(), Vec::<u32>::new());
    let mut number: Number = u32::from_le_bytes;
    let mut kind = SECTION;
    loop {
        let mut length = [0; 4];
        if file.read_exact(&mut length).is_err() {
            return Ok(packets);
        }
        let mut skip = 12_u32;
        if kind == SECTION {
            let mut order = [0; 4];
            file.read_exact(&mut order).context("a section's header is cut off")?;
            number = match u32::from_le_bytes(order) {
                0x1a2b_3c4d => u32::from_le_bytes,
                0x4d3c_2b1a => u32::from_be_bytes,
                _ => bail!("a section of it has no byte order"),
            };
            links.clear();
            skip = 16;
        }
        let body = number(length).checked_sub(skip).context("a block of it is too short")?;
        if !fill(&mut file, &mut block, body)? || file.read_exact(&mut length).is_err() {
            return Ok(packets);
        }
        let link = |interface: u32| usize::try_from(interface).ok().and_then(|at| links.get(at).copied());
        let (link, packet) = match kind {
            INTERFACE => {
                let both =
                    block.get(..2).and_then(|bytes| <[u8; 2]>::try_from(bytes).ok()).unwrap_or_default();
                let [a, b] = both;
                // Two bytes, in the section's order.
                links.push(number([a, b, 0, 0]).min(number([0, 0, a, b])));
                (None, None)
            }
            ENHANCED => {
                let length = u32_at(&block, 12, number).and_then(|length| usize::try_from(length).ok());
                let packet = length.and_then(|length| block.get(20..)?.get(..length));
                (u32_at(&block, 0, number).and_then(link), packet)
            }
            SIMPLE => (link(0), block.get(4..)),
            _ => (None, None),
        };
        if let (Some(link), Some(packet)) = (link, packet) {
            packets = packets.saturating_add(1);
            if let Some(segment) = segment(packet, link) {
                each(&segment);
            }
        }
        let mut next = [0; 4];
        if file.read_exact(&mut next).is_err() {
            return Ok(packets);
        }
        kind = number(next);
    }
}

/// Fills a buffer with the next bytes of a file. False if the file ends first.
fn fill(file: &mut impl Read, buffer: &mut Vec<u8>, length: u32) -> anyhow::Result<bool> {
    if length > MAX_BLOCK_BYTES {
        bail!("a packet of it has {length} bytes, so it is damaged");
    }
    buffer.resize(usize::try_from(length)?, 0);
    Ok(file.read_exact(buffer).is_ok())
}

fn u32_at(bytes: &[u8], at: usize, number: Number) -> Option<u32> {
    let bytes = bytes.get(at..)?.get(..4)?;
    Some(number(<[u8; 4]>::try_from(bytes).ok()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..)?.get(..2)?;
    Some(u16::from_be_bytes(<[u8; 2]>::try_from(bytes).ok()?))
}

/// The TCP segment in a packet, if there is one.
fn segment(packet: &[u8], link: u32) -> Option<Segment<'_>> {
    let ip = match link {
        LINK_ETHERNET => {
            let mut at = 12;
            // VLAN tags are in front of the type.
            while matches!(u16_at(packet, at), Some(0x8100 | 0x88a8)) {
                at = at.checked_add(4)?;
            }
            packet.get(at.checked_add(2)?..)
        }
        LINK_NULL => packet.get(4..),
        LINK_LINUX => packet.get(16..),
        LINK_LINUX_2 => packet.get(20..),
        link if LINK_RAW.contains(&link) => Some(packet),
        _ => None,
    }?;
    let (from, to, tcp) = match ip.first()? >> 4 {
        4 => {
            let header = usize::from(ip.first()? & 0x0f).checked_mul(4)?;
            let total = usize::from(u16_at(ip, 2)?);
            // Only the first fragment has TCP's header, and only a whole packet is of use.
            if *ip.get(9)? != 6 || u16_at(ip, 6)? & 0x3fff != 0 {
                return None;
            }
            let address =
                |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(ip.get(at..at.checked_add(4)?)?).ok()?));
            // A captured packet that was offloaded has a length of 0.
            let end = if total == 0 { ip.len() } else { total.min(ip.len()) };
            (IpAddr::V4(address(12)?), IpAddr::V4(address(16)?), ip.get(header..end)?)
        }
        6 => {
            let length = usize::from(u16_at(ip, 4)?);
            if *ip.get(6)? != 6 {
                return None;
            }
            let address = |at: usize| {
                Some(Ipv6Addr::from(<[u8; 16]>::try_from(ip.get(at..at.checked_add(16)?)?).ok()?))
            };
            let payload = ip.get(40..)?;
            let end = if length == 0 { payload.len() } else { length.min(payload.len()) };
            (IpAddr::V6(address(8)?), IpAddr::V6(address(24)?), payload.get(..end)?)
        }
        _ => return None,
    };
    let header = usize::from(tcp.get(12)? >> 4).checked_mul(4)?;
    let is_first = tcp.get(13)? & 0b10 != 0;
    Some(Segment {
        from: (from, u16_at(tcp, 0)?),
        to: (to, u16_at(tcp, 2)?),
        sequence: u32_at(tcp, 4, u32::from_be_bytes)?,
        is_first,
        payload: tcp.get(header..)?,
    })
}
