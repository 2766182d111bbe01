//! Targets that go wrong inside TLS or on the way to it.

use std::time::Duration;

use crate::behaviour::{Behaviour, Talk};
use crate::honest::GOOD;
use crate::papers::Flaw;
use crate::peer::{After, Peer};
use crate::time::pause;

const HTTP: &[&[u8]] = &[b"http/1.1"];

/// The header of a record of application data that claims 16 bytes (RFC 8446, section 5.1), and 16 bytes that no key made.
const FORGED: &[u8] = b"\x17\x03\x03\x00\x1016 bytes of lies";

pub(crate) const BEHAVIOURS: &[Behaviour] = &[
    Behaviour::secure("tls_good", "is right, over TLS", |peer| serve(peer, Flaw::None)),
    Behaviour::secure("tls_expired", "shows a certificate that has expired", |peer| {
        serve(peer, Flaw::Expired)
    }),
    Behaviour::secure("tls_not_yet_valid", "shows a certificate that is not valid yet", |peer| {
        serve(peer, Flaw::NotYetValid)
    }),
    Behaviour::secure("tls_wrong_name", "shows a certificate of another name", |peer| {
        serve(peer, Flaw::WrongName)
    }),
    Behaviour::secure("tls_self_signed", "shows a certificate that it signed itself", |peer| {
        serve(peer, Flaw::SelfSigned)
    }),
    Behaviour::secure("tls_unknown_authority", "shows a certificate whose authority nobody trusts", |peer| {
        serve(peer, Flaw::UnknownAuthority)
    }),
    Behaviour::secure("tls_long_chain", "shows a chain of 32 KiB, which is allowed", |peer| {
        serve(peer, Flaw::Large(32))
    }),
    Behaviour::secure("tls_huge_chain", "shows a chain of 128 KiB", |peer| serve(peer, Flaw::Large(128))),
    Behaviour::secure("tls_other_protocol", "speaks h2 only (ALPN)", |peer| {
        open(peer, Flaw::None, &[b"h2"], false)?;
        peer.hold()
    }),
    Behaviour::secure("tls_asks_certificate", "demands a client certificate", |peer| {
        open(peer, Flaw::None, HTTP, true)?;
        peer.answer(GOOD, After::Keep)
    }),
    Behaviour::secure("tls_old_version", "answers the greeting with TLS 1.0", |peer| {
        peer.read_at_least(5)?;
        peer.say_raw(&old_hello())?;
        listen(peer)
    }),
    Behaviour::secure("tls_old_alert", "answers the greeting with the alert `protocol_version`", |peer| {
        peer.read_at_least(5)?;
        peer.say_raw(b"\x15\x03\x01\x00\x02\x02\x46")?;
        listen(peer)
    }),
    Behaviour::secure("tls_refusal", "answers the greeting with the alert `handshake_failure`", |peer| {
        peer.read_at_least(5)?;
        peer.say_raw(b"\x15\x03\x03\x00\x02\x02\x28")?;
        listen(peer)
    }),
    Behaviour::secure("tls_stalled", "reads the greeting and never answers", listen),
    Behaviour::secure("tls_plain", "answers the greeting in plain HTTP", |peer| {
        peer.read_at_least(5)?;
        peer.say_raw(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")?;
        listen(peer)
    }),
    Behaviour::secure("tls_close_in_handshake", "reads the greeting and closes", |peer| {
        // What is left unread would turn the FIN into an RST.
        peer.read_at_least(5)?;
        peer.finish()?;
        listen(peer)
    }),
    Behaviour::secure("tls_reset_in_handshake", "reads the greeting and resets", |peer| {
        peer.read_at_least(5)?;
        peer.reset()
    }),
    Behaviour::secure("tls_forged_record", "answers the request with a record that no key made", |peer| {
        open(peer, Flaw::None, HTTP, false)?;
        peer.request()?;
        peer.say_raw(FORGED)?;
        listen(peer)
    }),
    Behaviour::secure("tls_no_goodbye", "ends a counted body without `close_notify`", |peer| {
        open(peer, Flaw::None, HTTP, false)?;
        peer.request()?;
        peer.say(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
    }),
    Behaviour::secure(
        "tls_truncated",
        "ends a body without a length by FIN, without `close_notify`",
        |peer| {
            open(peer, Flaw::None, HTTP, false)?;
            peer.request()?;
            peer.say(b"HTTP/1.1 200 OK\r\n\r\nis this all?")
        },
    ),
    Behaviour::secure(
        "tls_goodbye",
        "ends a body without a length by `close_notify`, which is allowed",
        |peer| {
            open(peer, Flaw::None, HTTP, false)?;
            peer.request()?;
            peer.say(b"HTTP/1.1 200 OK\r\n\r\nthis is all")?;
            peer.say_goodbye()
        },
    ),
    Behaviour::secure("tls_drip", "is right, but slow: every record comes in pieces", |peer| {
        open(peer, Flaw::None, HTTP, false)?;
        loop {
            peer.request()?;
            for piece in GOOD.chunks(16) {
                pause(Duration::from_millis(5));
                peer.say(piece)?;
            }
        }
    }),
];

fn open(peer: &mut Peer, flaw: Flaw, protocols: &[&[u8]], asks_certificate: bool) -> Talk {
    let connection = peer.papers.server(flaw, protocols, asks_certificate);
    peer.secure(connection)
}

fn serve(peer: &mut Peer, flaw: Flaw) -> Talk {
    open(peer, flaw, HTTP, false)?;
    peer.answer(GOOD, After::Keep)
}

/// Reads until the client has said its last, without understanding it.
fn listen(peer: &mut Peer) -> Talk {
    peer.read_at_least(usize::MAX)
}

/// A `ServerHello` as a server of 1999 sends it (RFC 2246, section 7.4.1.3): version 3.1, no extensions.
fn old_hello() -> Vec<u8> {
    const VERSION: [u8; 2] = [3, 1];
    let mut hello = VERSION.to_vec();
    hello.extend([7; 32]); // its random
    hello.extend([0]); // no session
    hello.extend([0, 0x2f]); // TLS_RSA_WITH_AES_128_CBC_SHA
    hello.extend([0]); // no compression
    let length = u8::try_from(hello.len()).expect("short");
    [&[22, 3, 1, 0, length + 4, 2, 0, 0, length], hello.as_slice()].concat()
}
