//! Properties of the codec: no panic, no dependence on how the bytes arrive, and what one end writes the other
//! reads.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure here is the test's failure"
)]

#[path = "stream/packets.rs"]
mod packets;
#[path = "stream/round_trip.rs"]
mod round_trip;

use bytes::BytesMut;
use mqtt::{Codec, DecodeError, Packet, Version};
use proptest::prelude::*;
use tokio_util::codec::{Decoder, Encoder};

const MAX: u32 = 1 << 20;

/// What comes out of `codec` when the bytes arrive in pieces of `sizes`.
fn read(codec: &mut Codec, bytes: &[u8], sizes: &[usize]) -> (Vec<Packet>, Option<DecodeError>) {
    let (mut packets, mut buffer, mut rest) = (Vec::new(), BytesMut::new(), bytes);
    let mut sizes = sizes.iter().cycle();
    loop {
        match codec.decode(&mut buffer) {
            Ok(Some(packet)) => packets.push(packet),
            Ok(None) if rest.is_empty() => return (packets, None),
            Ok(None) => {
                let (piece, later) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
                buffer.extend_from_slice(piece);
                rest = later;
            }
            Err(error) => return (packets, Some(error)),
        }
    }
}

fn write(codec: &mut Codec, packets: &[Packet]) -> Vec<u8> {
    let mut buffer = BytesMut::new();
    for packet in packets {
        codec.encode(packet.clone(), &mut buffer).unwrap_or_else(|error| panic!("{packet:?}: {error}"));
    }
    buffer.to_vec()
}

/// A fresh pair of ends, of which the server knows the version.
fn ends(version: Version) -> (Codec, Codec) {
    let connect = Packet::Connect(Box::new(mqtt::Connect::new(version, "a")));
    let mut client = Codec::client(version, MAX);
    let mut server = Codec::server(MAX);
    let bytes = write(&mut client, &[connect]);
    assert_eq!(read(&mut server, &bytes, &[1]).1, None);
    (server, client)
}

fn version() -> impl Strategy<Value = Version> {
    prop::sample::select(vec![Version::V311, Version::V5])
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1..9_usize, 1..5)
}

fn from_client() -> impl Strategy<Value = (Version, Vec<Packet>)> {
    version().prop_flat_map(|version| {
        let rest = prop::collection::vec(packets::from_client(version), 0..4);
        (Just(version), packets::connect(version), rest).prop_map(|(version, connect, mut packets)| {
            packets.insert(0, connect);
            (version, packets)
        })
    })
}

fn from_server() -> impl Strategy<Value = (Version, Vec<Packet>)> {
    version().prop_flat_map(|version| {
        let rest = prop::collection::vec(packets::from_server(version), 0..4);
        (Just(version), packets::connack(version), rest).prop_map(|(version, connack, mut packets)| {
            packets.insert(0, connack);
            (version, packets)
        })
    })
}

/// Overwrites, removes and inserts bytes.
fn mutated(mut bytes: Vec<u8>, changes: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
    for (index, value, how) in changes {
        if bytes.is_empty() {
            break;
        }
        let index = index.index(bytes.len());
        match how % 3 {
            0 => bytes[index] = *value,
            1 => drop(bytes.remove(index)),
            _ => bytes.insert(index, *value),
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_server_reads_what_the_client_writes((version, packets) in from_client(), sizes in sizes()) {
        let bytes = write(&mut Codec::client(version, MAX), &packets);
        prop_assert_eq!(read(&mut Codec::server(MAX), &bytes, &sizes), (packets, None));
    }

    #[test]
    fn the_client_reads_what_the_server_writes((version, packets) in from_server(), sizes in sizes()) {
        let (mut server, mut client) = ends(version);
        let bytes = write(&mut server, &packets);
        prop_assert_eq!(read(&mut client, &bytes, &sizes), (packets, None));
    }

    #[test]
    fn any_bytes_are_read_the_same_in_any_pieces(
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        sizes in sizes(),
        version in version(),
    ) {
        let whole = read(&mut Codec::server(MAX), &bytes, &[usize::MAX]);
        prop_assert_eq!(read(&mut Codec::server(MAX), &bytes, &sizes), whole);
        let (server, client) = ends(version);
        for mut codec in [server, client] {
            let (packets, _) = read(&mut codec, &bytes, &sizes);
            prop_assert!(packets.len() <= bytes.len() / 2);
        }
    }

    #[test]
    fn mutated_packets_from_clients(
        (version, packets) in from_client(),
        changes in prop::collection::vec(any::<(prop::sample::Index, u8, u8)>(), 1..4),
        sizes in sizes(),
    ) {
        let bytes = mutated(write(&mut Codec::client(version, MAX), &packets), &changes);
        let whole = read(&mut Codec::server(MAX), &bytes, &[usize::MAX]);
        prop_assert_eq!(read(&mut Codec::server(MAX), &bytes, &sizes), whole);
    }

    #[test]
    fn mutated_packets_from_servers(
        (version, packets) in from_server(),
        changes in prop::collection::vec(any::<(prop::sample::Index, u8, u8)>(), 1..4),
        sizes in sizes(),
    ) {
        let bytes = mutated(write(&mut ends(version).0, &packets), &changes);
        let whole = read(&mut Codec::client(version, MAX), &bytes, &[usize::MAX]);
        prop_assert_eq!(read(&mut Codec::client(version, MAX), &bytes, &sizes), whole);
    }

    #[test]
    fn random_bytes_hold_the_round_trip(end: u8, bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        round_trip::check(round_trip::End::from_byte(end), &bytes);
    }

    #[test]
    fn mutated_packets_hold_the_round_trip(
        (version, from_client) in from_client(),
        (server_version, from_server) in from_server(),
        changes in prop::collection::vec(any::<(prop::sample::Index, u8, u8)>(), 0..4),
        end: u8,
    ) {
        let from_client = write(&mut Codec::client(version, MAX), &from_client);
        let from_server = write(&mut ends(server_version).0, &from_server);
        for bytes in [from_client, from_server] {
            round_trip::check(round_trip::End::from_byte(end), &mutated(bytes, &changes));
        }
    }

    /// What was read once is written and read again as the same packet, whatever form it had.
    #[test]
    fn what_is_read_can_be_written(
        (version, packets) in from_client(),
        changes in prop::collection::vec(any::<(prop::sample::Index, u8, u8)>(), 0..3),
    ) {
        let bytes = mutated(write(&mut Codec::client(version, MAX), &packets), &changes);
        let mut server = Codec::server(MAX);
        let (packets, _) = read(&mut server, &bytes, &[usize::MAX]);
        if let Some(version) = server.version() {
            let mut client = Codec::client(version, MAX);
            let mut bytes = BytesMut::new();
            let sent: Vec<_> =
                packets.into_iter().filter(|packet| client.encode(packet.clone(), &mut bytes).is_ok()).collect();
            if matches!(sent.first(), Some(Packet::Connect(_))) {
                prop_assert_eq!(read(&mut Codec::server(MAX), &bytes, &[usize::MAX]), (sent, None));
            }
        }
    }
}
