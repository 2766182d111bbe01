//! The end of TLS connections: a goodbye ends them, whether or not a FIN follows.

use std::io::{Read, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};

use super::*;
use crate::io::sim::{Answer, Peer, Random, Turn};
use crate::shard::TlsSettings;

/// The simulated server, with a certificate that nobody vouches for.
pub(super) fn identity() -> &'static Arc<ServerConfig> {
    static IDENTITY: OnceLock<Arc<ServerConfig>> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec!["sim".to_owned()]).expect("a name");
        let cert = params.self_signed(&key).expect("a certificate");
        let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the versions are known")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], secret)
            .expect("the key fits");
        Arc::new(config)
    })
}

/// The most pieces in which a request and the handshake before it came.
static PIECES_MAX: AtomicU32 = AtomicU32::new(0);

/// Answers a request without saying how long the answer is, says goodbye, and leaves the connection open. Counts in how
/// many pieces all came.
#[derive(Debug)]
struct GoodbyeWithoutFin(ServerConnection, u32);

impl Peer for GoodbyeWithoutFin {
    fn receive(&mut self, mut bytes: &[u8], turn: &mut Turn<'_>) {
        self.1 += 1;
        let mut plain = Vec::new();
        while !bytes.is_empty() {
            self.0.read_tls(&mut bytes).expect("memory can be read");
            self.0.process_new_packets().expect("the client speaks TLS");
            // An error says no more than that there is nothing more by now.
            let _ = self.0.reader().read_to_end(&mut plain);
        }
        if plain.ends_with(b"\r\n\r\n") {
            PIECES_MAX.fetch_max(self.1, Ordering::Relaxed);
            turn.request();
            self.0.writer().write_all(b"HTTP/1.1 200 OK\r\n\r\nbody").expect("memory can be written");
            self.0.send_close_notify();
        }
        let mut out = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut out).expect("memory can be written");
        }
        if !out.is_empty() {
            turn.send(0, out);
        }
    }
}

pub(super) fn server() -> impl FnMut(Timestamp, u64, &mut Random) -> Answer + Send {
    |_, _, _| {
        let connection = ServerConnection::new(Arc::clone(identity())).expect("a server");
        Answer::Accept(Box::new(GoodbyeWithoutFin(connection, 0)))
    }
}

/// One that trusts anybody.
pub(super) fn client() -> Arc<tls::Client> {
    let client = tls::Client::new(tls::Options {
        trust: tls::Trust::Insecure,
        client: None,
        alpn: Vec::new(),
        resumption: false,
        min_version: tls::Version::Tls12,
        max_version: tls::Version::Tls13,
    });
    Arc::new(client.expect("a client"))
}

/// So many requests, each on a connection of its own.
fn goodbyes(rate: u64) -> Outcome {
    let mut lab = Lab::new(rate, SECOND);
    lab.target().tls = Some(TlsSettings { client: client(), server_name: "sim".into() });
    lab.run()
}

#[test]
fn a_goodbye_completes_an_answer_without_waiting_for_a_fin() {
    let outcome = goodbyes(20);
    let counters = &outcome.check("goodbye").totals.counters;
    assert_eq!((counters.ok, counters.errors_total()), (20, 0));
    assert_eq!(counters.connects, 20, "none is used again");
    assert!(outcome.totals.latency(Latency::Response).max_ns() < MS);
}

#[test]
fn the_first_request_leaves_with_the_last_flight_of_the_handshake() {
    assert_eq!(goodbyes(100).totals.counters.ok, 100);
    assert_eq!(PIECES_MAX.load(Ordering::Relaxed), 2, "a hello, and all the rest");
}
