//! A packet capture read as exchanges: for each connection, when a request's first packet left, and when the last byte of
//! its answer had arrived in order.
//!
//! What it is: enough of pcap, Ethernet, IPv4 and TCP for one capture of ours (one request at a time on a connection).
//! What it is not: a general reader. Units: nanoseconds since the epoch, as the kernel stamped the packets.

use std::collections::BTreeMap;

use crate::oracle::Seen;

/// RFC 793: control bits.
const SYN: u8 = 0x02;

#[derive(Default)]
struct Stream {
    /// The next byte that the client has not sent yet.
    sent_until: Option<u32>,
    /// The next byte that the client lacks.
    heard_until: Option<u32>,
    /// What came ahead of it: begin and end.
    ahead: Vec<(u32, u32)>,
    exchanges: Vec<Seen>,
}

/// Whether sequence number `left` lies behind `right` (RFC 793 §3.3: modulo 2³²).
fn is_before(left: u32, right: u32) -> bool {
    left.wrapping_sub(right).cast_signed() < 0
}

impl Stream {
    fn asks(&mut self, at_ns: u64, from: u32, until: u32) {
        let sent_until = *self.sent_until.get_or_insert(from);
        if is_before(sent_until, until) {
            // New bytes, not a repetition; requests are small enough for one packet.
            self.exchanges.push(Seen { asked_ns: at_ns, answered_ns: 0 });
            self.sent_until = Some(until);
        }
    }

    fn hears(&mut self, at_ns: u64, from: u32, until: u32) {
        let before = *self.heard_until.get_or_insert(from);
        self.ahead.push((from, until));
        let mut heard = before;
        while let Some(place) =
            self.ahead.iter().position(|(from, until)| !is_before(heard, *from) && is_before(heard, *until))
        {
            heard = self.ahead.swap_remove(place).1;
        }
        self.ahead.retain(|(_, until)| is_before(heard, *until));
        if heard != before {
            self.heard_until = Some(heard);
            if let Some(exchange) = self.exchanges.last_mut() {
                exchange.answered_ns = at_ns;
            }
        }
    }
}

/// The exchanges with the server at `port`; a capture with nanoseconds, on Ethernet.
pub(crate) fn exchanges(pcap: &[u8], port: u16) -> Vec<Seen> {
    let word = |at: usize| u32::from_le_bytes(pcap[at..at + 4].try_into().expect("four bytes"));
    assert_eq!((word(0), word(20)), (0xa1b2_3c4d, 1), "no capture with nanoseconds, on Ethernet");
    let mut streams: BTreeMap<u16, Stream> = BTreeMap::new();
    let mut at = 24;
    while at + 16 <= pcap.len() {
        let at_ns = u64::from(word(at)) * 1_000_000_000 + u64::from(word(at + 4));
        let size = word(at + 8) as usize;
        let Some(packet) = pcap.get(at + 16..at + 16 + size) else { break };
        segment(packet, port, at_ns, &mut streams);
        at += 16 + size;
    }
    streams.into_values().flat_map(|stream| stream.exchanges).collect()
}

/// One packet: Ethernet, IPv4 (RFC 791 §3.1), TCP (RFC 793 §3.1).
fn segment(packet: &[u8], port: u16, at_ns: u64, streams: &mut BTreeMap<u16, Stream>) {
    let two = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    if packet.len() < 54 || two(12) != 0x0800 || packet[23] != 6 {
        return;
    }
    let tcp = 14 + usize::from(packet[14] & 0xf) * 4;
    let head = tcp + usize::from(packet[tcp + 12] >> 4) * 4;
    let size = 14 + u32::from(two(16)) - u32::try_from(head).expect("short");
    let (from_port, to_port, bits) = (two(tcp), two(tcp + 2), packet[tcp + 13]);
    let from = u32::from_be_bytes(packet[tcp + 4..tcp + 8].try_into().expect("four bytes"));
    let (client, is_answer) = if from_port == port { (to_port, true) } else { (from_port, false) };
    let stream = streams.entry(client).or_default();
    if bits & SYN != 0 {
        let next = if is_answer { &mut stream.heard_until } else { &mut stream.sent_until };
        *next = Some(from.wrapping_add(1));
    } else if size > 0 {
        let until = from.wrapping_add(size);
        if is_answer { stream.hears(at_ns, from, until) } else { stream.asks(at_ns, from, until) }
    }
}

#[test]
fn repetitions_and_gaps_are_seen_through() {
    let packet = |from_port: u16, to_port: u16, bits: u8, sequence: u32, payload: u16| {
        let mut packet = vec![0; 54];
        packet[12..14].copy_from_slice(&[8, 0]);
        packet[14] = 0x45;
        packet[16..18].copy_from_slice(&(40 + payload).to_be_bytes());
        packet[23] = 6;
        packet[34..36].copy_from_slice(&from_port.to_be_bytes());
        packet[36..38].copy_from_slice(&to_port.to_be_bytes());
        packet[38..42].copy_from_slice(&sequence.to_be_bytes());
        packet[46] = 0x50;
        packet[47] = bits;
        packet
    };
    let near_the_end = u32::MAX - 10;
    let packets = [
        (1, packet(9, 80, SYN, 4, 0)),
        (2, packet(80, 9, SYN, near_the_end, 0)),
        (10, packet(9, 80, 0, 5, 20)),
        // The request again; the answer's second half first, then its first, then that again.
        (210, packet(9, 80, 0, 5, 20)),
        (220, packet(80, 9, 0, near_the_end.wrapping_add(31), 30)),
        (300, packet(80, 9, 0, near_the_end.wrapping_add(1), 30)),
        (400, packet(80, 9, 0, near_the_end.wrapping_add(1), 30)),
        (500, packet(9, 80, 0, 25, 20)),
        (510, packet(80, 9, 0, near_the_end.wrapping_add(61), 30)),
    ];
    let mut pcap = vec![0; 24];
    pcap[..4].copy_from_slice(&0xa1b2_3c4d_u32.to_le_bytes());
    pcap[20] = 1;
    for (at_ns, packet) in packets {
        let size = u32::try_from(packet.len()).expect("short");
        for word in [0, at_ns, size, size] {
            pcap.extend_from_slice(&word.to_le_bytes());
        }
        pcap.extend_from_slice(&packet);
    }
    let seen = |asked_ns, answered_ns| Seen { asked_ns, answered_ns };
    assert_eq!(exchanges(&pcap, 80), [seen(10, 300), seen(500, 510)]);
}
