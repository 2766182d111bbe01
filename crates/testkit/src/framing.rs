//! Targets whose answers are no HTTP, or leave in doubt where they end; and some that only look so.

use std::time::Duration;

use crate::behaviour::Behaviour;
use crate::honest::GOOD;
use crate::peer::After::{Close, Keep};
use crate::time::pause;

const NOISE: &[u8] = b"\x00\x01\x7fELF this is not what you came for\r\n\r\n";

pub(crate) const BEHAVIOURS: &[Behaviour] = &[
    Behaviour::plain("garbage_close", "answers with garbage and closes", |peer| peer.answer(NOISE, Close)),
    Behaviour::plain("garbage_open", "answers with garbage and keeps the connection open", |peer| {
        peer.answer(NOISE, Keep)
    }),
    Behaviour::plain("foreign_banner", "greets as an SSH server, before anybody asks", |peer| {
        peer.say(b"SSH-2.0-OpenSSH_9.9\r\n")?;
        peer.hold()
    }),
    Behaviour::plain("foreign_frames", "answers with the first frames of HTTP/2", |peer| {
        peer.answer(
            b"\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x0f\x00\x01",
            Keep,
        )
    }),
    Behaviour::plain("other_version", "answers with HTTP/2.0 in its status line", |peer| {
        peer.answer(b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", Keep)
    }),
    Behaviour::plain("status_word", "answers with a word where the status should be", |peer| {
        peer.answer(b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n", Keep)
    }),
    Behaviour::plain("header_without_colon", "sends a header line without a colon", |peer| {
        peer.answer(b"HTTP/1.1 200 OK\r\nContent-Length 0\r\n\r\n", Keep)
    }),
    Behaviour::plain("header_with_nul", "sends a NUL in a header", |peer| {
        peer.answer(b"HTTP/1.1 200 OK\r\nX-Name: a\x00b\r\nContent-Length: 0\r\n\r\n", Keep)
    }),
    Behaviour::plain("folded_header", "continues a header on a second line", |peer| {
        peer.answer(b"HTTP/1.1 200 OK\r\nX-Name: a\r\n b\r\nContent-Length: 0\r\n\r\n", Keep)
    }),
    Behaviour::plain("switching_protocols", "switches protocols (101) unasked", |peer| {
        peer.answer(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
            Keep,
        )
    }),
    Behaviour::plain("chunk_size_word", "sends a chunk size that is no number", |peer| {
        peer.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n", Keep)
    }),
    Behaviour::plain("chunk_size_negative", "sends a negative chunk size", |peer| {
        peer.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n", Keep)
    }),
    Behaviour::plain("chunk_size_empty", "sends an empty chunk size", |peer| {
        peer.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\nok\r\n0\r\n\r\n", Keep)
    }),
    Behaviour::plain("chunk_size_huge", "sends a chunk size of 17 digits", |peer| {
        peer.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\nok", Keep)
    }),
    Behaviour::plain("chunk_too_long", "sends more in a chunk than its size says", |peer| {
        peer.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n", Keep)
    }),
    Behaviour::plain("chunk_extension", "sends a chunk extension, which is allowed", |peer| {
        peer.answer(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;name=\"value\"\r\nok\r\n0\r\n\r\n",
            Keep,
        )
    }),
    Behaviour::plain("trailers", "sends trailers, which are allowed", |peer| {
        peer.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nX-End: 2\r\n\r\n", Keep)
    }),
    Behaviour::plain("length_and_encoding", "sends Content-Length and Transfer-Encoding", |peer| {
        peer.answer(
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            Keep,
        )
    }),
    Behaviour::plain("chunked_not_last", "names a transfer coding after chunked", |peer| {
        peer.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n2\r\nok\r\n0\r\n\r\n", Keep)
    }),
    Behaviour::plain("two_lengths", "sends two lengths that differ", |peer| {
        peer.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!", Keep)
    }),
    Behaviour::plain("length_word", "sends a length that is no number", |peer| {
        peer.answer(b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok", Keep)
    }),
    Behaviour::plain("second_response", "sends a second answer right behind the first", |peer| {
        peer.answer(&[GOOD, GOOD].concat(), Keep)
    }),
    Behaviour::plain("late_second_response", "sends a second answer 2 ms after the first", |peer| {
        loop {
            peer.request()?;
            peer.say(GOOD)?;
            pause(Duration::from_millis(2));
            peer.say(GOOD)?;
        }
    }),
    Behaviour::plain("body_on_204", "sends a body with status 204", |peer| {
        peer.answer(b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", Keep)
    }),
    Behaviour::plain("body_on_304", "sends a body with status 304", |peer| {
        peer.answer(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nok", Keep)
    }),
    Behaviour::plain("body_on_head", "sends a body in answer to HEAD", |peer| peer.answer(GOOD, Keep)),
    Behaviour::plain("redirect_loop", "redirects every request to itself", |peer| {
        peer.answer(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", Keep)
    }),
];
