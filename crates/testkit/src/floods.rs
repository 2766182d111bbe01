//! Targets that send without end, or far more than anybody should take.

use std::io::Write;
use std::sync::LazyLock;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::behaviour::{Behaviour, Talk};
use crate::peer::{After, Peer};

static BLOCK: [u8; 65_536] = [b'x'; 65_536];

/// Half a megabyte of gzip that inflates to 512 MiB: one member of 1 MiB of zeros, again and again (RFC 1952, section 2.2
/// allows that).
static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![0; 1 << 20]).expect("memory takes it");
    encoder.finish().expect("memory takes it").repeat(512)
});

pub(crate) const BEHAVIOURS: &[Behaviour] = &[
    Behaviour::plain("endless_chunked", "sends a chunked body without end", |peer| {
        peer.request()?;
        peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        peer.flood(&[b"10000\r\n".as_slice(), &BLOCK, b"\r\n"].concat())
    }),
    Behaviour::plain("endless_counted", "announces a body of 2^60 bytes and sends it", |peer| {
        peer.request()?;
        peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1152921504606846976\r\n\r\n")?;
        peer.flood(&BLOCK)
    }),
    Behaviour::plain("endless_until_close", "sends a body without a length and without end", |peer| {
        peer.request()?;
        peer.say(b"HTTP/1.1 200 OK\r\n\r\n")?;
        peer.flood(&BLOCK)
    }),
    Behaviour::plain("endless_header_line", "sends one header line of 1 GB", |peer| {
        peer.request()?;
        peer.say(b"HTTP/1.1 200 OK\r\nX-Long: ")?;
        for _ in 0..16_384 {
            peer.say(&BLOCK)?;
        }
        peer.say(b"\r\nContent-Length: 0\r\n\r\n")
    }),
    Behaviour::plain("endless_header_lines", "sends a million header lines", |peer| {
        peer.request()?;
        peer.say(b"HTTP/1.1 200 OK\r\n")?;
        for _ in 0..1_000 {
            peer.say(&b"X-More: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(1_000))?;
        }
        peer.say(b"Content-Length: 0\r\n\r\n")
    }),
    Behaviour::plain("header_bomb", "sends a whole head of 128 KiB", |peer| {
        let lines = b"X-More: aaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(4_096);
        let head = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n".as_slice(), &lines, b"\r\nok"].concat();
        peer.answer(&head, After::Keep)
    }),
    Behaviour::plain("large_head", "sends a head of 60 KiB, which is within the limit", |peer| {
        let lines = b"X-More: aaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(1_920);
        let head = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n".as_slice(), &lines, b"\r\nok"].concat();
        peer.answer(&head, After::Keep)
    }),
    Behaviour::plain("interim_storm", "sends interim (103) answers without end", |peer| {
        peer.request()?;
        peer.flood(&b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(100))
    }),
    Behaviour::plain(
        "interim_few",
        "sends ten interim answers before each good one, which is allowed",
        |peer| {
            let interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(10);
            peer.answer(&[&interim, crate::honest::GOOD].concat(), After::Keep)
        },
    ),
    Behaviour::plain("extension_bomb", "sends chunk extensions without end", |peer| {
        peer.request()?;
        peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        peer.flood(&[b"1;".as_slice(), &b"a=b;".repeat(256), b"\r\nx\r\n"].concat())
    }),
    Behaviour::plain("trailer_bomb", "sends trailers without end", |peer| {
        peer.request()?;
        peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n")?;
        peer.flood(&b"X-More: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(1_000))
    }),
    Behaviour::plain("gzip_bomb", "sends 0.5 MB of gzip that inflate to 512 MiB", gzip_bomb),
];

fn gzip_bomb(peer: &mut Peer) -> Talk {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", BOMB.len());
    peer.answer(&[head.as_bytes(), &BOMB].concat(), After::Keep)
}
