//! Whose answer it was: every answer is credited to the request that it answers.
//!
//! The target answers each request exactly so long after it has come, and with a status that follows from the request's
//! number. Requests leave one by one, so an answer that were credited to another request would show a service time
//! that no request had, or a status that was not given.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
use crate::io::sim::{Answer, Peer, Random, Turn};

/// From the request's arrival to its answer.
const DELAY_NS: u64 = 5 * MS;
/// The status of answers that nobody asked for.
const UNASKED: u16 = 299;

/// What the target did, over all connections.
#[derive(Debug, Default)]
struct Book {
    requests: u64,
    given: BTreeMap<u16, u64>,
    doubtful: u64,
}

/// The far side of one connection.
#[derive(Debug)]
struct Numbered(Arc<Mutex<Book>>);

fn answer(status: u16) -> Vec<u8> {
    format!("HTTP/1.1 {status} Told\r\nContent-Length: 2\r\n\r\nok").into_bytes()
}

impl Peer for Numbered {
    fn receive(&mut self, bytes: &[u8], turn: &mut Turn<'_>) {
        assert!(bytes.ends_with(b"\r\n\r\n"), "one request at a time, whole");
        turn.request();
        let mut book = self.0.lock().expect("no thread panics");
        let number = book.requests;
        book.requests += 1;
        let status = 210 + u16::try_from(number % 80).expect("below 80");
        let wrong = number.is_multiple_of(7).then_some(number / 7 % 5);
        match wrong {
            // Another answer behind it, in one piece.
            Some(0) => turn.answer(DELAY_NS, [answer(290), answer(UNASKED)].concat()),
            // Another answer before it.
            Some(1) => turn.answer(DELAY_NS, [answer(UNASKED), answer(290)].concat()),
            // FIN behind it at the same instant, unannounced.
            Some(2) => {
                turn.answer(DELAY_NS, answer(status));
                turn.close(0);
            }
            // Half of it.
            Some(3) => {
                turn.send(DELAY_NS, &answer(290)[..30]);
                turn.close(0);
            }
            // Its end is in doubt, so that the rest could be taken for the next one.
            Some(_) => {
                let head =
                    b"HTTP/1.1 290 Told\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
                turn.answer(DELAY_NS, [head.as_slice(), &answer(UNASKED)].concat());
            }
            None => turn.answer(DELAY_NS, answer(status)),
        }
        if matches!(wrong, None | Some(2)) {
            *book.given.entry(status).or_default() += 1;
        } else {
            book.doubtful += 1;
        }
    }
}

#[test]
fn every_answer_is_credited_to_the_request_that_it_answers() {
    // With few connections arrivals wait for one, so that each is used again in the turn in which it was answered.
    for (connections, rate, seconds) in [(2_000, 10_000, 95), (40, 10_000, 5)] {
        let case = format!("{connections} connections");
        let mut lab = Lab::new(rate, seconds * SECOND);
        lab.target().connections = connections;
        lab.timeout(20 * SECOND);
        lab.settings.grace_ns = 20 * SECOND;
        let book = Arc::new(Mutex::new(Book::default()));
        let shared = Arc::clone(&book);
        let outcome = lab.run_against(move |_: Timestamp, _: u64, _: &mut Random| {
            Answer::Accept(Box::new(Numbered(Arc::clone(&shared))))
        });
        let counters = &outcome.check(&case).totals.counters;
        let book = book.lock().expect("no thread panics");
        assert_eq!((counters.sent, book.requests), (rate * seconds, rate * seconds), "{case}");
        let counted: BTreeMap<u16, u64> = counters.status.iter().collect();
        assert_eq!(counted, book.given, "{case}");
        assert_eq!(
            (counters.ok, counters.errors_total()),
            (book.given.values().sum(), book.doubtful),
            "{case}"
        );
        // Two ways over the network and the target's delay, for every exchange to the nanosecond.
        let service = outcome.totals.latency(Latency::Service);
        let network = 2 * Network::default().latency_ns;
        assert_eq!((service.min_ns(), service.max_ns()), (DELAY_NS + network, DELAY_NS + network), "{case}");
    }
}
