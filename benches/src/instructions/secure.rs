//! Client sessions of TLS 1.3, beside a server in the same memory.
//!
//! What it is: all that a handshake, or an exchange on a kept connection, executes in the crate `tls`, in rustls and in
//! the provider of its cryptography.
//! What it is not: the server; `tests/instructions.rs` has callgrind look away while it runs. Nor the judgement of
//! certificates, which is remembered for a second of the clock and would make the count one of time.
//!
//! Keys and signatures are random, and verifying takes more or fewer instructions by their bits. That is the provider's,
//! whose instructions count as a library's; ours depend on it by no more than lengths of a few bytes.

use benches::PLAIN;
use testkit::{OtherEnd, Papers};
use tls::{Client, Options, Session, Trust};

const NAME: &str = "target.example";
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: target.example\r\n\r\n";

/// A full handshake for each.
pub(crate) fn handshakes(count: u64) {
    let (client, papers) = (client(), Papers::new(NAME));
    for _ in 0..count {
        let (session, _server) = handshake(&client, &papers);
        assert!(session.is_established() && !session.resumed());
    }
}

/// A request and its answer for each, on one connection.
pub(crate) fn exchanges(count: u64) {
    let (client, papers) = (client(), Papers::new(NAME));
    let (mut session, mut server) = handshake(&client, &papers);
    let (mut out, mut wire, mut received) = (Vec::new(), Vec::new(), 0);
    for _ in 0..count {
        out.clear();
        session.send(REQUEST, &mut out).expect("the session stands");
        wire.clear();
        server.answer(&out, PLAIN, &mut wire);
        out.clear();
        session
            .receive(&mut wire, &mut out, &mut |plain| received += plain.len() as u64)
            .expect("the server keeps the protocol");
    }
    assert_eq!(received, count * PLAIN.len() as u64);
}

/// A client that judges no certificate.
fn client() -> Client {
    let options = Options { trust: Trust::Insecure, resumption: false, ..Options::default() };
    Client::new(options).expect("the options are valid")
}

fn handshake(client: &Client, papers: &Papers) -> (Session, OtherEnd) {
    let mut out = Vec::new();
    let mut session = client.session(NAME, &mut out).expect("the name is valid");
    let mut server = OtherEnd::new(papers);
    while !out.is_empty() {
        let mut wire = Vec::new();
        server.answer(&out, &[], &mut wire);
        out.clear();
        session.receive(&mut wire, &mut out, &mut |_| ()).expect("the server keeps the protocol");
    }
    (session, server)
}
