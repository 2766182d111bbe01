//! Targets that keep their clients waiting.

use std::time::Duration;

use crate::behaviour::{Accepting, Behaviour};
use crate::honest::GOOD;
use crate::peer::{After, Peer};

/// The pause before each byte of what drips.
const DRIP: Duration = Duration::from_millis(100);

const LONG: &[u8] = b"HTTP/1.1 200 OK\r\nServer: a-name-of-many-bytes-that-takes-the-whole-timeout-and-more-to-arrive\
\r\nX-Padding: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
\r\nContent-Length: 0\r\n\r\n";

const HEAD_OF_MANY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";

pub(crate) const BEHAVIOURS: &[Behaviour] = &[
    Behaviour::plain("mute", "reads requests and never answers", Peer::hold),
    Behaviour::plain("drip_header", "sends its head byte by byte, one in 100 ms", |peer| {
        peer.request()?;
        peer.drip(LONG, DRIP)
    }),
    Behaviour::plain("drip_body", "sends its body byte by byte, one in 100 ms", |peer| {
        peer.request()?;
        peer.say(HEAD_OF_MANY)?;
        loop {
            peer.drip(b"x", DRIP)?;
        }
    }),
    Behaviour::plain("stalled_body", "sends half of its body and then nothing more", |peer| {
        peer.request()?;
        peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf!")?;
        peer.hold()
    }),
    Behaviour::plain("held_open", "answers without a length and does not close", |peer| {
        peer.request()?;
        peer.say(b"HTTP/1.1 200 OK\r\n\r\nis this all?")?;
        peer.hold()
    }),
    Behaviour::plain("slow_accept", "accepts one connection in 50 ms, and then is right", |peer| {
        peer.answer(GOOD, After::Keep)
    })
    .accepting(Accepting::Slowly(Duration::from_millis(50))),
    Behaviour::plain("full_backlog", "accepts nobody, with room for one in its backlog", |_| Ok(()))
        .accepting(Accepting::Never(0)),
];
