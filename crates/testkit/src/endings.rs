//! Targets that end a connection when they should not: with FIN in either direction, or with RST at each of eight points.

use std::time::Duration;

use crate::behaviour::Behaviour;
use crate::honest::GOOD;
use crate::peer::{After, Peer};
use crate::time::pause;

/// So long after its beginning a connection that carries a request has seen it.
const MOMENT: Duration = Duration::from_millis(2);

pub(crate) const BEHAVIOURS: &[Behaviour] = &[
    Behaviour::plain("close_at_accept", "closes as soon as it has accepted", |_| Ok(())),
    Behaviour::plain("close_after_request", "reads a request and closes", |peer| {
        peer.request()?;
        Ok(())
    }),
    Behaviour::plain("close_in_status", "closes in the middle of its status line", |peer| {
        peer.answer(b"HTTP/1.1 20", After::Close)
    }),
    Behaviour::plain("close_in_head", "closes in the middle of its head", |peer| {
        peer.answer(b"HTTP/1.1 200 OK\r\nContent-Le", After::Close)
    }),
    Behaviour::plain("close_in_body", "closes in the middle of its body", |peer| {
        peer.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of i", After::Close)
    }),
    Behaviour::plain("close_in_chunk", "closes in the middle of a chunk", |peer| {
        peer.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhalf", After::Close)
    }),
    Behaviour::plain("close_delimited", "answers without a length and closes, which is allowed", |peer| {
        peer.answer(b"HTTP/1.1 200 OK\r\n\r\nthis is all", After::Close)
    }),
    Behaviour::plain("announced_close", "says `Connection: close` and closes, which is allowed", |peer| {
        peer.answer(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", After::Close)
    }),
    Behaviour::plain("fin_before_reply", "ends its sending side before any answer, and reads on", |peer| {
        peer.request()?;
        peer.finish()?;
        peer.hold()
    }),
    Behaviour::plain(
        "reply_then_fin",
        "answers once, ends its sending side unannounced, and reads on",
        |peer| {
            peer.request()?;
            peer.say(GOOD)?;
            peer.finish()?;
            peer.hold()
        },
    ),
    Behaviour::plain("close_idle", "answers and closes the idle connection after 2 ms", |peer| {
        peer.request()?;
        peer.say(GOOD)?;
        pause(MOMENT);
        Ok(())
    }),
    Behaviour::plain("reset_at_accept", "resets as soon as it has accepted", Peer::reset),
    Behaviour::plain("reset_before_request", "waits 2 ms and resets without having read anything", |peer| {
        pause(MOMENT);
        peer.reset()
    }),
    Behaviour::plain("reset_in_request", "resets in the middle of reading the request", |peer| {
        peer.read_at_least(10)?;
        peer.reset()
    }),
    Behaviour::plain("reset_after_request", "reads a request and resets", |peer| {
        peer.request()?;
        peer.reset()
    }),
    Behaviour::plain("reset_in_status", "resets in the middle of its status line", |peer| {
        peer.request()?;
        peer.say(b"HTTP/1.1 20")?;
        pause(MOMENT);
        peer.reset()
    }),
    Behaviour::plain("reset_in_head", "resets in the middle of its head", |peer| {
        peer.request()?;
        peer.say(b"HTTP/1.1 200 OK\r\nContent-Le")?;
        pause(MOMENT);
        peer.reset()
    }),
    Behaviour::plain("reset_in_body", "resets in the middle of its body", |peer| {
        peer.request()?;
        peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of i")?;
        pause(MOMENT);
        peer.reset()
    }),
    Behaviour::plain("reset_idle", "answers and resets the idle connection after 2 ms", |peer| {
        peer.request()?;
        peer.say(GOOD)?;
        pause(MOMENT);
        peer.reset()
    }),
];
