//! What TLS 1.3 costs on the client's side: the request's encryption and the response's decryption of one small
//! exchange, full records both ways, and handshakes (these with rustls' server at the other end, so both ends'
//! work together).

use std::cell::RefCell;
use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection};
use tls::{Client, Options, Session, Trust};

const NAME: &str = "target.example";

/// A client and a server that it trusts.
fn ends(resumption: bool) -> (Client, Arc<ServerConfig>) {
    let key = KeyPair::generate().expect("a key can be made");
    let params = CertificateParams::new(vec![NAME.to_owned()]).expect("the name is valid");
    let certificate = params.self_signed(&key).expect("a certificate can be made");
    let options =
        Options { trust: Trust::Pem(certificate.pem().into_bytes()), resumption, ..Options::default() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .expect("the certificate is the key's");
    server.send_tls13_tickets = 1;
    (Client::new(options).expect("the options are valid"), Arc::new(server))
}

fn server_output(server: &mut ServerConnection) -> Vec<u8> {
    let mut wire = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut wire).expect("a vector takes everything");
    }
    wire
}

fn handshake(client: &Client, server: &Arc<ServerConfig>) -> (Session, ServerConnection) {
    let mut out = Vec::new();
    let mut server = ServerConnection::new(Arc::clone(server)).expect("the configuration is valid");
    let mut session = client.session(NAME, &mut out).expect("the name is valid");
    loop {
        let mut rest = out.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).expect("a slice can be read");
            server.process_new_packets().expect("the client keeps the protocol");
        }
        out.clear();
        let mut wire = server_output(&mut server);
        if wire.is_empty() {
            break;
        }
        session.receive(&mut wire, &mut out, &mut |_| ()).expect("the server keeps the protocol");
    }
    assert!(session.is_established(), "both ends have said all they had to");
    (session, server)
}

fn records(criterion: &mut Criterion) {
    let (client, server) = ends(false);
    let mut group = criterion.benchmark_group("tls/records");
    for size in [100, 16_384] {
        group.throughput(Throughput::Bytes(size as u64));
        let (mut session, _server) = handshake(&client, &server);
        let request = vec![7; size];
        let mut out = Vec::new();
        group.bench_function(format!("send {size}"), |bencher| {
            bencher.iter(|| {
                out.clear();
                session.send(black_box(&request), &mut out).expect("the session is established");
            });
        });
    }
    for size in [200, 16_384] {
        group.throughput(Throughput::Bytes(size as u64));
        let (mut session, server) = handshake(&client, &server);
        let server = RefCell::new(server);
        let response = vec![9; size];
        let mut out = Vec::new();
        group.bench_function(format!("receive {size}"), |bencher| {
            bencher.iter_batched_ref(
                || {
                    let mut server = server.borrow_mut();
                    server.writer().write_all(&response).expect("the buffer is empty");
                    server_output(&mut server)
                },
                |wire| {
                    let mut plain =
                        |piece: &[u8]| assert!(!black_box(piece).is_empty(), "records are not empty");
                    session.receive(wire, &mut out, &mut plain).expect("the server keeps the protocol");
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn handshakes(criterion: &mut Criterion) {
    for (name, resumption) in [("full", false), ("resumed", true)] {
        let (client, server) = ends(resumption);
        handshake(&client, &server);
        criterion.bench_function(&format!("tls/handshake, both ends/{name}"), |bencher| {
            bencher.iter(|| {
                let (session, _) = handshake(&client, &server);
                assert_eq!(session.resumed(), resumption, "resumption is as asked for");
            });
        });
    }
}

criterion_group!(benches, records, handshakes);
criterion_main!(benches);
