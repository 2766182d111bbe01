//! The same bytes, however they are cut: handshakes, exchanges, key updates, goodbyes.

use proptest::prelude::*;
use tls::{Client, TlsError, Version};

use crate::peer::{
    Authority, Cut, Link, NAME, ServerOptions, established, only, pair, server_config, trusting,
};

const BOTH: [Version; 2] = [Version::Tls12, Version::Tls13];

fn noise(size: usize) -> Vec<u8> {
    (0_u32..).map(|index| index.wrapping_mul(2_654_435_761).to_be_bytes()[0]).take(size).collect()
}

#[test]
fn handshakes_and_exchanges_do_not_depend_on_how_bytes_are_cut() {
    let authority = Authority::new("openloop test authority");
    let response = noise(40_000);
    for version in BOTH {
        // 37 bytes a record cut every handshake message into several.
        for record_size in [None, Some(37), Some(1000)] {
            let options = ServerOptions { record_size, ..ServerOptions::default() };
            let server = server_config(&authority.leaf(&[NAME]), &options);
            for size in [1, 2, 4, 5, 6, 7, 42, 500, 1448, 16_406, usize::MAX] {
                let client = Client::new(only(version, trusting(&authority))).unwrap();
                for is_resumed in [false, true] {
                    let mut link = Link::new(&client, NAME, &server);
                    link.cut = Cut::Every(size);
                    link.settle().unwrap();
                    let row = format!("{version} {record_size:?} {size} {is_resumed}");
                    assert!(link.session.is_established(), "{row}");
                    assert_eq!(link.session.resumed(), is_resumed, "{row}");
                    link.exchange(b"request", &response);
                    link.exchange(b"request", b"short");
                }
            }
        }
    }
}

#[test]
fn large_requests_become_several_records() {
    for version in BOTH {
        let (client, server) = pair(version);
        let mut link = established(&client, &server);
        for size in [0, 1, 16_383, 16_384, 16_385, 32_768, 100_000] {
            link.server_plain.clear();
            link.client_sends(&noise(size));
            let overhead = link.out.len() - size;
            assert!(overhead <= size.div_ceil(16_384) * 29, "{version} {size}: {overhead} bytes");
            link.settle().unwrap();
            assert_eq!(link.server_plain, noise(size), "{version} {size}");
        }
    }
}

#[test]
fn output_is_appended() {
    let (client, server) = pair(Version::Tls13);
    let mut link = established(&client, &server);
    let mut out = b"already here".to_vec();
    link.session.send(b"one", &mut out).unwrap();
    link.session.send(b"two", &mut out).unwrap();
    assert!(out.starts_with(b"already here"));
    link.out = out.split_off(b"already here".len());
    link.deliver_to_server();
    assert_eq!(link.server_plain, b"onetwo");
}

#[test]
fn everything_at_once_is_told_apart() {
    for version in BOTH {
        let (client, server) = pair(version);
        let mut link = Link::new(&client, NAME, &server);
        // Up to the point where the server may speak; then its last handshake bytes, tickets, two responses and
        // its goodbye in one slice.
        while link.server.is_handshaking() {
            let bytes = link.server_output();
            link.deliver_to_client(&bytes).unwrap();
            link.deliver_to_server();
        }
        link.server_sends(b"one");
        link.server_sends(b"two");
        link.server.send_close_notify();
        let bytes = link.server_output();
        link.deliver_to_client(&bytes).unwrap();
        assert!(link.session.is_established(), "{version}");
        assert_eq!(link.client_plain, b"onetwo", "{version}");
        assert!(link.session.peer_closed(), "{version}");
    }
}

#[test]
fn a_request_may_leave_while_a_ticket_is_half_received() {
    let authority = Authority::new("openloop test authority");
    let options = ServerOptions { record_size: Some(64), ..ServerOptions::default() };
    let server = server_config(&authority.leaf(&[NAME]), &options);
    let client = Client::new(only(Version::Tls13, trusting(&authority))).unwrap();
    let mut link = Link::new(&client, NAME, &server);
    while link.server.is_handshaking() {
        let bytes = link.server_output();
        link.deliver_to_client(&bytes).unwrap();
        link.deliver_to_server();
    }
    let tickets = link.server_output();
    assert!(tickets.len() > 200, "tickets span several records: {}", tickets.len());
    for (index, byte) in tickets.iter().enumerate() {
        link.deliver_to_client(&[*byte]).unwrap();
        link.client_sends(&[u8::try_from(index % 256).unwrap()]);
    }
    link.deliver_to_server();
    assert_eq!(link.server_plain.len(), tickets.len());
    link.exchange(b"request", b"response");
    assert!(established(&client, &server).session.resumed(), "the ticket came through whole");

    let mut link = Link::new(&client.separate(), NAME, &server);
    while link.server.is_handshaking() {
        let bytes = link.server_output();
        link.deliver_to_client(&bytes).unwrap();
        link.deliver_to_server();
    }
    let tickets = link.server_output();
    link.deliver_to_client(&tickets[..tickets.len() / 2]).unwrap();
    link.session.close(&mut link.out);
    link.deliver_to_server();
    assert!(link.server.process_new_packets().unwrap().peer_has_closed(), "goodbye may be said there too");
}

#[test]
fn keys_change_in_the_middle_of_a_session() {
    let (client, server) = pair(Version::Tls13);
    for cut in [Cut::Whole, Cut::Every(1)] {
        let mut link = established(&client, &server);
        link.cut = cut;
        for _ in 0..100 {
            link.server.refresh_traffic_keys().unwrap();
            link.exchange(b"request", b"response");
        }
        // Before the update, the update, and after it, in one slice.
        link.client_plain.clear();
        link.server_sends(b"old keys, ");
        link.server.refresh_traffic_keys().unwrap();
        link.server_sends(b"new keys");
        let bytes = link.server_output();
        link.deliver_to_client(&bytes).unwrap();
        assert_eq!(link.client_plain, b"old keys, new keys");
        link.exchange(b"request", b"response");
    }
}

#[test]
fn either_side_may_close_first() {
    for version in BOTH {
        let (client, server) = pair(version);

        let mut link = established(&client, &server);
        link.session.close(&mut link.out);
        let goodbye = link.out.len();
        link.session.close(&mut link.out);
        assert_eq!(link.out.len(), goodbye, "{version}: it is said once");
        link.deliver_to_server();
        assert!(link.server.process_new_packets().unwrap().peer_has_closed(), "{version}");
        // What comes after our goodbye is not looked at, whole or damaged.
        link.server_sends(b"last words");
        link.server.send_close_notify();
        let mut bytes = link.server_output();
        link.deliver_to_client(&bytes).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        link.deliver_to_client(&bytes).unwrap();
        assert!(link.client_plain.is_empty() && link.out.is_empty(), "{version}");

        let mut link = established(&client, &server);
        link.server.send_close_notify();
        link.settle().unwrap();
        assert!(link.session.peer_closed(), "{version}");
        // RFC 8446, section 6.1: the other direction stays open.
        link.client_sends(b"still here");
        link.session.close(&mut link.out);
        link.deliver_to_server();
        assert_eq!(link.server_plain, b"still here", "{version}");
        assert!(link.server.process_new_packets().unwrap().peer_has_closed(), "{version}");
    }
}

#[test]
fn what_follows_a_goodbye_is_ignored() {
    for version in BOTH {
        let (client, server) = pair(version);
        for cut in [Cut::Whole, Cut::Every(3)] {
            let mut link = established(&client, &server);
            link.cut = cut;
            link.server_sends(b"response");
            link.server.send_close_notify();
            let mut bytes = link.server_output();
            bytes.extend_from_slice(b"\x17\x03\x03\x00\x20 this is no record of anybody's");
            link.deliver_to_client(&bytes).unwrap();
            link.deliver_to_client(b"nor is this").unwrap();
            assert_eq!(link.client_plain, b"response", "{version}");
            assert!(link.session.peer_closed(), "{version}");
        }
    }
}

#[test]
fn a_cut_connection_is_not_a_goodbye() {
    for version in BOTH {
        let (client, server) = pair(version);
        let mut link = established(&client, &server);
        link.server_sends(b"response");
        let bytes = link.server_output();
        link.deliver_to_client(&bytes[..bytes.len() - 1]).unwrap();
        assert!(link.client_plain.is_empty(), "{version}: an unfinished record is no plaintext");
        assert!(!link.session.peer_closed(), "{version}");
    }
}

#[test]
fn a_session_that_never_began_has_nothing_to_say() {
    let (client, server) = pair(Version::Tls13);
    let mut link = Link::new(&client, NAME, &server);
    link.out.clear();
    link.session.close(&mut link.out);
    assert!(link.out.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// A server's whole output, cut at arbitrary places, gives the same plaintext.
    #[test]
    fn plaintext_does_not_depend_on_the_cuts(
        is_new in any::<bool>(),
        record_size in prop::option::of(32_usize..2000),
        sizes in prop::collection::vec(1_usize..3000, 1..40),
        responses in prop::collection::vec(1_usize..5000, 1..6),
    ) {
        let version = if is_new { Version::Tls13 } else { Version::Tls12 };
        let authority = Authority::new("openloop test authority");
        let options = ServerOptions { record_size, ..ServerOptions::default() };
        let server = server_config(&authority.leaf(&[NAME]), &options);
        let client = Client::new(only(version, trusting(&authority))).unwrap();
        let mut link = Link::new(&client, NAME, &server);
        let mut cuts = sizes.iter().copied().cycle();
        let mut deliver = |link: &mut Link, bytes: &[u8]| -> Result<(), TlsError> {
            let mut rest = bytes;
            while !rest.is_empty() {
                let (slice, after) = rest.split_at(rest.len().min(cuts.next().unwrap()));
                rest = after;
                link.deliver_to_client(slice)?;
            }
            Ok(())
        };
        while link.server.is_handshaking() {
            link.deliver_to_server();
            let bytes = link.server_output();
            prop_assert_eq!(deliver(&mut link, &bytes), Ok(()));
        }
        let mut expected = Vec::new();
        for size in responses {
            expected.extend_from_slice(&noise(size));
            link.server_sends(&noise(size));
        }
        link.server.send_close_notify();
        let bytes = link.server_output();
        prop_assert_eq!(deliver(&mut link, &bytes), Ok(()));
        prop_assert!(link.session.peer_closed());
        prop_assert_eq!(&link.client_plain, &expected);
    }
}
