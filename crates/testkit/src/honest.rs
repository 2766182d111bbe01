//! Targets that are right, and targets that are wrong now and then.

use std::time::Duration;

use crate::behaviour::{Behaviour, Talk, find};
use crate::peer::{After, Peer};
use crate::time::pause;

/// A good answer.
pub(crate) const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A good answer after which the target closes.
const LAST: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// What every tenth connection of `one_in_ten` does instead, in turn.
const WRONGS: &[&str] = &[
    "reset_after_request",
    "garbage_close",
    "close_in_body",
    "mute",
    "second_response",
    "interim_storm",
    "endless_header_lines",
    "chunk_size_word",
    "reset_idle",
    "drip_body",
    "length_and_encoding",
    "close_at_accept",
];

/// The status of answers that nobody asked for, given by `numbered`.
const UNASKED: u16 = 299;

pub(crate) const BEHAVIOURS: &[Behaviour] = &[
    Behaviour::plain("good", "answers every request, and nothing else", |peer| {
        peer.answer(GOOD, After::Keep)
    }),
    Behaviour::plain(
        "one_in_ten",
        "misbehaves on every tenth connection, in twelve ways in turn, and closes the others after three good answers",
        one_in_ten,
    ),
    Behaviour::plain(
        "numbered",
        "answers with a status that is a function of the request's number, and misbehaves at every seventh request",
        numbered,
    ),
];

fn one_in_ten(peer: &mut Peer) -> Talk {
    let (turn, place) = (peer.number / 10, peer.number % 10);
    if place == 9 {
        let wrong = WRONGS[usize::try_from(turn).expect("few connections") % WRONGS.len()];
        return (find(wrong).serve)(peer);
    }
    for answer in [GOOD, GOOD, LAST] {
        peer.request()?;
        peer.say(answer)?;
    }
    Ok(())
}

/// The answer to request `number`: its status and its body tell the number.
fn answer_to(number: u64, status: u16) -> Vec<u8> {
    let body = format!("request {number}");
    format!("HTTP/1.1 {status} Told\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Statuses 210 to 289 are honest and whole, and counted. 290 is one of two in one segment, 291 breaks off, and 299 was never
/// asked for.
fn numbered(peer: &mut Peer) -> Talk {
    loop {
        let number = peer.request()?;
        let status = 210 + u16::try_from(number % 80).expect("below 80");
        let unasked = answer_to(number, UNASKED);
        let wrong = number.is_multiple_of(7).then_some(number / 7 % 6);
        match wrong {
            // The answer and another one, in one segment.
            Some(0) => {
                peer.ledger.answer(290);
                peer.say(&[answer_to(number, 290), unasked].concat())?;
            }
            // The same two the other way round.
            Some(1) => {
                peer.say(&[unasked, answer_to(number, 290)].concat())?;
                peer.ledger.answer(290);
            }
            // Half an answer.
            Some(2) => {
                let whole = answer_to(number, 291);
                return peer.say(&whole[..whole.len() - 1]);
            }
            // An answer whose end is in doubt, so that what is left of it could be taken for the next one.
            Some(3) => {
                let doubt =
                    b"HTTP/1.1 291 Told\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
                peer.say(&[doubt.as_slice(), &unasked].concat())?;
            }
            // A whole answer and FIN behind it, unannounced.
            Some(4) => {
                peer.ledger.answer(status);
                peer.say(&answer_to(number, status))?;
                return Ok(());
            }
            // Cut into pieces.
            Some(_) => {
                let whole = answer_to(number, status);
                for piece in whole.chunks(11) {
                    peer.say(piece)?;
                    pause(Duration::from_micros(50));
                }
                peer.ledger.answer(status);
            }
            None => {
                peer.ledger.answer(status);
                peer.say(&answer_to(number, status))?;
            }
        }
    }
}
