//! Handshakes and sessions that fail: each fault has its own name, and the server is told.

use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa};
use rustls::AlertDescription;
use tls::{CARRY_LIMIT, Client, Options, TlsError, Trust, Version};

use crate::peer::{
    Authority, Cut, Leaf, Link, NAME, ServerOptions, established, leaf_params, only, pair, self_signed,
    server_config, trusting,
};

const BOTH: [Version; 2] = [Version::Tls12, Version::Tls13];

fn dated(from: i32, until: i32) -> CertificateParams {
    let mut params = leaf_params(&[NAME]);
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    params
}

fn bad_certificates(authority: &Authority) -> Vec<(&'static str, Leaf, TlsError, AlertDescription)> {
    let mut as_authority = leaf_params(&[NAME]);
    as_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let mut for_clients = leaf_params(&[NAME]);
    for_clients.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let stranger = Authority::new("a stranger");
    vec![
        (
            "expired",
            authority.issue(&dated(2001, 2002)),
            TlsError::Expired,
            AlertDescription::CertificateExpired,
        ),
        (
            "not yet valid",
            authority.issue(&dated(4000, 4001)),
            TlsError::NotYetValid,
            AlertDescription::CertificateExpired,
        ),
        ("wrong name", authority.leaf(&["other.example"]), TlsError::Name, AlertDescription::BadCertificate),
        ("no name", authority.leaf(&[]), TlsError::Name, AlertDescription::BadCertificate),
        ("unknown issuer", stranger.leaf(&[NAME]), TlsError::UnknownIssuer, AlertDescription::UnknownCA),
        (
            "self-signed",
            self_signed(&leaf_params(&[NAME])),
            TlsError::UnknownIssuer,
            AlertDescription::UnknownCA,
        ),
        (
            "an authority's",
            authority.issue(&as_authority),
            TlsError::AuthorityAsServer,
            AlertDescription::CertificateUnknown,
        ),
        (
            "for clients",
            authority.issue(&for_clients),
            TlsError::Certificate,
            AlertDescription::UnsupportedCertificate,
        ),
    ]
}

#[test]
fn each_fault_of_a_certificate_has_its_name_and_its_alert() {
    let authority = Authority::new("openloop test authority");
    for version in BOTH {
        let client = Client::new(only(version, trusting(&authority))).unwrap();
        for (fault, leaf, error, alert) in bad_certificates(&authority) {
            let mut link = Link::new(&client, NAME, &server_config(&leaf, &ServerOptions::default()));
            assert_eq!(link.settle(), Err(error), "{version}: {fault}");
            assert!(error.is_certificate());
            assert!(!link.session.is_established());
            link.deliver_to_server();
            assert_eq!(link.server_error, Some(rustls::Error::AlertReceived(alert)), "{version}: {fault}");
            assert_eq!(
                link.deliver_to_client(b"more"),
                Err(error),
                "{version}: a failed session stays failed"
            );
        }
    }
}

#[test]
fn versions_without_overlap_fail_as_such() {
    let authority = Authority::new("openloop test authority");
    for (ours, theirs) in [(Version::Tls12, Version::Tls13), (Version::Tls13, Version::Tls12)] {
        let client = Client::new(only(ours, trusting(&authority))).unwrap();
        let options = ServerOptions { versions: vec![theirs], ..ServerOptions::default() };
        let mut link = Link::new(&client, NAME, &server_config(&authority.leaf(&[NAME]), &options));
        assert_eq!(link.settle(), Err(TlsError::Version), "client {ours}, server {theirs}");
    }
}

/// A handshake message of `kind` in one plaintext record.
fn handshake_record(version: u8, kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes()[1..]);
    message.extend_from_slice(body);
    record(22, version, &message)
}

fn record(kind: u8, version: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 3, version];
    bytes.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

#[test]
fn a_server_of_old_versions_only_fails_as_such() {
    let (client, server) = pair(Version::Tls13);
    for (version, name) in [(1, "TLS 1.0"), (2, "TLS 1.1")] {
        // RFC 2246, section 7.4.1.3: version, random, no session id, TLS_RSA_WITH_AES_128_CBC_SHA, no compression.
        let mut hello = vec![3, version];
        hello.extend_from_slice(&[7; 32]);
        hello.extend_from_slice(&[0, 0x00, 0x2f, 0]);
        let mut link = Link::new(&client, NAME, &server);
        assert_eq!(
            link.deliver_to_client(&handshake_record(version, 2, &hello)),
            Err(TlsError::Version),
            "{name}"
        );

        // Or it refuses outright, with alert protocol_version.
        let mut link = Link::new(&client, NAME, &server);
        assert_eq!(link.deliver_to_client(&record(21, version, &[2, 70])), Err(TlsError::Version), "{name}");
    }
}

#[test]
fn protocols_without_overlap_fail_as_such() {
    let authority = Authority::new("openloop test authority");
    let options = ServerOptions { alpn: vec!["h2"], ..ServerOptions::default() };
    let server = server_config(&authority.leaf(&[NAME]), &options);
    for version in BOTH {
        let options = Options { alpn: vec![b"http/1.1".to_vec()], ..only(version, trusting(&authority)) };
        let mut link = Link::new(&Client::new(options).unwrap(), NAME, &server);
        assert_eq!(link.settle(), Err(TlsError::Alpn), "{version}");
    }
}

#[test]
fn what_is_not_tls_fails_as_soon_as_it_shows() {
    let (client, server) = pair(Version::Tls13);
    let rows: [&[u8]; 5] = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"220 mail.example ESMTP\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        &[0; 5],
        &[0xff; 5],
    ];
    for row in rows {
        for cut in [Cut::Whole, Cut::Every(1)] {
            let mut link = Link::new(&client, NAME, &server);
            link.cut = cut;
            assert_eq!(
                link.deliver_to_client(row),
                Err(TlsError::Protocol),
                "{:?}",
                String::from_utf8_lossy(row)
            );
        }
    }
}

#[test]
fn alerts_carry_their_number() {
    let (client, server) = pair(Version::Tls12);
    for (code, name) in [(40, "handshake_failure"), (80, "internal_error"), (112, "unrecognized_name")] {
        let mut link = Link::new(&client, NAME, &server);
        let error = link.deliver_to_client(&record(21, 3, &[2, code])).unwrap_err();
        assert_eq!(error, TlsError::Alert { code });
        assert_eq!(error.to_string(), format!("the server sent alert {code} ({name})"));
    }
}

#[test]
fn a_damaged_record_is_refused_and_said_so() {
    for version in BOTH {
        let (client, server) = pair(version);
        let mut link = established(&client, &server);
        link.server_sends(b"whole");
        let whole = link.server_output();
        link.server_sends(b"damaged");
        let mut damaged = link.server_output();
        *damaged.last_mut().unwrap() ^= 1;
        let bytes = [whole, damaged].concat();
        assert_eq!(link.deliver_to_client(&bytes), Err(TlsError::BadRecord), "{version}");
        assert_eq!(link.client_plain, b"whole", "{version}: what came before the damage counts");
        link.deliver_to_server();
        let told = rustls::Error::AlertReceived(AlertDescription::BadRecordMac);
        assert_eq!(link.server_error, Some(told), "{version}");
        assert_eq!(link.session.send(b"more", &mut link.out), Err(TlsError::BadRecord));
        link.session.close(&mut link.out);
        assert!(link.out.is_empty(), "{version}: after the alert nothing more is said");
    }
}

/// A chain of about `size` bytes: the leaf is followed by a large certificate of no use, many times.
fn long_chain(authority: &Authority, size: usize) -> Leaf {
    let names: Vec<String> = (0..100).map(|index| format!("{index:036}.target.example")).collect();
    let ballast = authority.leaf(&names.iter().map(String::as_str).collect::<Vec<_>>()).chain.remove(0);
    let mut leaf = authority.leaf(&[NAME]);
    let count = (size - leaf.chain[0].len()) / ballast.len();
    leaf.chain.extend(std::iter::repeat_n(ballast, count));
    leaf
}

#[test]
fn chains_are_taken_up_to_64_kib_and_refused_above() {
    let authority = Authority::new("openloop test authority");
    for version in BOTH {
        let client = Client::new(only(version, trusting(&authority))).unwrap();
        for (size, expected) in [(64_000, Ok(())), (72_000, Err(TlsError::HandshakeTooLarge))] {
            let leaf = long_chain(&authority, size);
            let length: usize = leaf.chain.iter().map(|certificate| certificate.len()).sum();
            assert!(length + 6_000 > size, "{length}");
            for record_size in [None, Some(256)] {
                let server = server_config(&leaf, &ServerOptions { record_size, ..ServerOptions::default() });
                for cut in [Cut::Whole, Cut::Every(1), Cut::Every(1448)] {
                    let client = client.separate();
                    let mut link = Link::new(&client, NAME, &server);
                    link.cut = cut;
                    assert_eq!(link.settle(), expected, "{version} {length} {record_size:?} {cut:?}");
                    if expected.is_ok() {
                        link.exchange(b"request", b"response");
                    }
                }
            }
        }
    }
}

#[test]
fn a_message_cut_into_too_many_records_is_refused_in_bounded_memory() {
    let (client, server) = pair(Version::Tls13);
    let mut link = Link::new(&client, NAME, &server);
    // The header of a ServerHello of 60,000 bytes, then one byte of it per record.
    let mut result = link.deliver_to_client(&record(22, 3, &[2, 0, 0xea, 0x60]));
    let mut sent = 0;
    while result.is_ok() && sent <= 2 * CARRY_LIMIT {
        result = link.deliver_to_client(&record(22, 3, &[0]));
        sent += 6;
    }
    assert_eq!(result, Err(TlsError::HandshakeTooLarge));
    assert!(sent <= CARRY_LIMIT, "{sent}");
}

#[test]
fn endless_key_updates_and_empty_records_are_refused() {
    let (client, server) = pair(Version::Tls13);
    let mut link = established(&client, &server);
    let mut result = Ok(());
    for _ in 0..100 {
        link.server.refresh_traffic_keys().unwrap();
        let bytes = link.server_output();
        result = result.and_then(|()| link.deliver_to_client(&bytes));
    }
    assert_eq!(result, Err(TlsError::Protocol));

    let (client, server) = pair(Version::Tls12);
    let mut link = Link::new(&client, NAME, &server);
    assert_eq!(link.deliver_to_client(&record(22, 3, &[]).repeat(100)), Err(TlsError::Protocol));
}

#[test]
#[should_panic(expected = "before the handshake is done")]
fn sending_before_the_handshake_is_done_is_a_mistake() {
    let (client, server) = pair(Version::Tls13);
    let mut link = Link::new(&client, NAME, &server);
    let _ = link.session.send(b"too early", &mut link.out);
}

#[test]
#[should_panic(expected = "after close_notify")]
fn sending_after_closing_is_a_mistake() {
    let (client, server) = pair(Version::Tls13);
    let mut link = established(&client, &server);
    link.session.close(&mut link.out);
    let _ = link.session.send(b"too late", &mut link.out);
}

fn insecure(version: Version) -> Client {
    Client::new(only(version, Options { trust: Trust::Insecure, ..Options::default() })).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes instead of a handshake, the session neither panics nor establishes, and stays failed.
    #[test]
    fn arbitrary_bytes_never_establish(
        slices in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 1..8),
        kind in 20_u8..25,
    ) {
        let mut out = Vec::new();
        let mut session = insecure(Version::Tls13).session(NAME, &mut out).unwrap();
        let mut failure = None;
        for slice in slices {
            let mut bytes = record(kind, 3, &slice);
            let result = session.receive(&mut bytes, &mut out, &mut |_| panic!("there is no plaintext here"));
            prop_assert!(!session.is_established());
            if let Some(earlier) = failure {
                prop_assert_eq!(result, Err(earlier));
            }
            failure = result.err().or(failure);
        }
    }

    /// One byte of the server's flight is changed: never a panic, never wrong plaintext.
    #[test]
    fn a_changed_byte_never_passes_as_plaintext(
        is_new in any::<bool>(),
        place in any::<prop::sample::Index>(),
        change in 1_u8..,
        size in 1_usize..2000,
    ) {
        let version = if is_new { Version::Tls13 } else { Version::Tls12 };
        let leaf = self_signed(&leaf_params(&[NAME]));
        let server = server_config(&leaf, &ServerOptions::default());
        let mut link = Link::new(&insecure(version), NAME, &server);
        link.cut = Cut::Every(size);
        link.deliver_to_server();
        let mut flight = link.server_output();
        let index = place.index(flight.len());
        flight[index] ^= change;
        let result = link.deliver_to_client(&flight);
        if result.is_ok() && !link.session.is_established() {
            // It may wait for bytes that do not come, or notice at the end of the handshake.
            let _ = link.settle();
        }
        if link.session.is_established() && link.server_error.is_none() && !link.server.is_handshaking() {
            link.exchange(b"request", b"response");
        }
        prop_assert!(link.client_plain.is_empty() || link.client_plain == b"response");
    }
}
