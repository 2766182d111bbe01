//! Own protocols on the simulated shard: whatever the network cuts and the peer does, they are counted like HTTP.

use std::collections::BTreeSet;
use std::sync::Mutex;

use rustls::{ServerConfig, ServerConnection};

use super::*;
use crate::io::sim::{Answer, Peer, Random, Turn};
use crate::protocol::{Arrival, Opening, Protocol, Received, Session, Spoken, Status};
use crate::shard::TlsSettings;

/// Questions with a number, answered by lines with the same number. Every third question is put in other words.
#[derive(Debug)]
struct Oracle {
    greets: bool,
}

const GOOD: usize = 0;
const BAD: usize = 1;

impl Protocol for Oracle {
    fn requests(&self) -> Vec<String> {
        vec!["ask".into(), "beg".into()]
    }

    fn statuses(&self) -> Vec<Status> {
        vec![Status::good("answer"), Status::bad("silence")]
    }

    fn choose(&self, arrival: &Arrival) -> usize {
        usize::from(arrival.slot.is_multiple_of(3))
    }

    fn session(&self) -> Box<dyn Session> {
        Box::new(Asking { greets: self.greets, ..Asking::default() })
    }
}

#[derive(Debug, Default)]
struct Asking {
    greets: bool,
    is_greeted: bool,
    number: String,
    line: String,
}

impl Session for Asking {
    fn open(&mut self, out: &mut Vec<u8>) -> Opening {
        if !self.greets {
            return Opening::Done;
        }
        out.extend_from_slice(b"hello\n");
        Opening::Awaits
    }

    fn request(&mut self, request: usize, arrival: &Arrival, out: &mut Vec<u8>) {
        self.number = arrival.slot.to_string();
        self.line.clear();
        out.extend_from_slice(format!("{} {}\n", ["ask", "beg"][request], self.number).as_bytes());
    }

    fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Received {
        for (place, byte) in bytes.iter().enumerate() {
            if *byte != b'\n' {
                self.line.push(char::from(*byte));
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let response = |status| Received::Response { status, consumed: place + 1, closes: false };
            return match line.split_once(' ').unwrap_or((&line, "")) {
                // A conversation of two rounds.
                ("who", _) => {
                    out.extend_from_slice(b"me\n");
                    continue;
                }
                ("welcome", _) if self.greets && !self.is_greeted => {
                    self.is_greeted = true;
                    response(GOOD)
                }
                ("go", _) => response(BAD),
                ("answer", number) if number == self.number => response(GOOD),
                ("bye", number) if number == self.number => {
                    Received::Response { status: GOOD, consumed: place + 1, closes: true }
                }
                ("silence", number) if number == self.number => response(BAD),
                _ => Received::Broken,
            };
        }
        Received::More
    }

    fn end(&mut self) -> Received {
        match self.line.strip_prefix("last ") {
            Some(number) if number == self.number => {
                Received::Response { status: GOOD, consumed: 0, closes: true }
            }
            _ => Received::Broken,
        }
    }
}

/// What the peer does.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Manner {
    Answers,
    /// Every tenth question gets none.
    IsSilentAtTimes,
    RefusesGreetings,
    IgnoresGreetings,
    ClosesAtGreetings,
    AnswersAnother,
    AddsBytes,
    Mute,
    Resets,
    Closes,
    /// Says that it will close, and does.
    SaysBye,
    /// The end of its answer is the end of the connection.
    AnswersByClosing,
    /// Speaks unasked.
    Babbles,
}

const DELAY_NS: u64 = 200_000;

/// The far side of a connection, in plain text.
#[derive(Debug)]
struct Peering {
    manner: Manner,
    seen: Arc<Mutex<Vec<String>>>,
    read: Vec<u8>,
}

impl Peer for Peering {
    fn connected(&mut self, turn: &mut Turn<'_>) {
        if self.manner == Manner::Babbles {
            turn.send(0, &b"welcome\n"[..]);
        }
    }

    fn receive(&mut self, bytes: &[u8], turn: &mut Turn<'_>) {
        self.read.extend_from_slice(bytes);
        while let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.read.drain(..=end).collect();
            let line = String::from_utf8(line).expect("text").trim_end().to_owned();
            match (line.as_str(), self.manner) {
                ("hello", Manner::IgnoresGreetings) => {}
                ("hello", Manner::ClosesAtGreetings) => turn.close(DELAY_NS),
                ("hello", Manner::RefusesGreetings) => turn.send(DELAY_NS, &b"go away\n"[..]),
                ("hello", _) => turn.send(DELAY_NS, &b"who is it\n"[..]),
                ("me", _) => turn.send(DELAY_NS, &b"welcome\n"[..]),
                (question, _) => self.question(question, turn),
            }
        }
    }
}

impl Peering {
    fn question(&self, question: &str, turn: &mut Turn<'_>) {
        turn.request();
        self.seen.lock().expect("no thread panics").push(question.to_owned());
        let number: u64 = question[4..].parse().expect("a number");
        let answer = match self.manner {
            Manner::IsSilentAtTimes if number.is_multiple_of(10) => format!("silence {number}\n"),
            Manner::AnswersAnother => format!("answer {}\n", number + 1),
            Manner::AddsBytes => format!("answer {number}\nanswer"),
            Manner::SaysBye => format!("bye {number}\n"),
            Manner::AnswersByClosing => format!("last {number}"),
            Manner::Mute => return,
            Manner::Resets => return turn.reset(DELAY_NS),
            Manner::Closes => return turn.close(DELAY_NS),
            _ => format!("answer {number}\n"),
        };
        turn.answer(DELAY_NS, answer.into_bytes());
        if matches!(self.manner, Manner::SaysBye | Manner::AnswersByClosing) {
            turn.close(DELAY_NS);
        }
    }
}

/// The same inside TLS.
#[derive(Debug)]
struct Secure {
    tls: ServerConnection,
    seen: Arc<Mutex<Vec<String>>>,
    read: Vec<u8>,
}

impl Peer for Secure {
    fn receive(&mut self, mut bytes: &[u8], turn: &mut Turn<'_>) {
        use std::io::{Read as _, Write as _};
        while !bytes.is_empty() {
            self.tls.read_tls(&mut bytes).expect("memory can be read");
            self.tls.process_new_packets().expect("the client speaks TLS");
            // An error says no more than that there is nothing more by now.
            let _ = self.tls.reader().read_to_end(&mut self.read);
        }
        while let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.read.drain(..=end).collect();
            let line = String::from_utf8(line).expect("text").trim_end().to_owned();
            let answer = match line.as_str() {
                "hello" => "who\n".to_owned(),
                "me" => "welcome\n".to_owned(),
                question => {
                    turn.request();
                    let number = question[4..].to_owned();
                    self.seen.lock().expect("no thread panics").push(line);
                    format!("answer {number}\n")
                }
            };
            self.tls.writer().write_all(answer.as_bytes()).expect("memory can be written");
        }
        let mut out = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut out).expect("memory can be written");
        }
        if !out.is_empty() {
            turn.send(0, out);
        }
    }
}

impl Lab {
    fn oracle(mut self, greets: bool) -> Self {
        let spoken = Spoken::new("oracle", Arc::new(Oracle { greets })).expect("its names are sound");
        self.settings.shape = Shape::requests(2);
        let base = self.settings.requests[0].clone();
        let request = |name| RequestSettings {
            name,
            message: None,
            fail_status: FailStatus::new(|code| spoken.declared.is_failure(code)),
            ..base.clone()
        };
        self.settings.requests = (0..2).map(request).collect();
        self.settings.protocol = Some(spoken);
        self.task = Task::Own;
        self
    }

    /// Runs it against a peer; yields the questions that the peer heard, too.
    fn at_the_oracle(self, manner: Manner, case: &str) -> (Outcome, Vec<String>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let outcome = self.run_against(listening(manner, Arc::clone(&seen)));
        outcome.check(case);
        let seen = seen.lock().expect("no thread panics").clone();
        (outcome, seen)
    }
}

fn listening(
    manner: Manner,
    seen: Arc<Mutex<Vec<String>>>,
) -> impl FnMut(Timestamp, u64, &mut Random) -> Answer + Send {
    move |_, _, _| Answer::Accept(Box::new(Peering { manner, seen: Arc::clone(&seen), read: Vec::new() }))
}

impl Outcome {
    /// How many responses turned out so.
    fn turned_out(&self, status: usize) -> u64 {
        self.totals.counters.status.get(measure::FIRST_STATUS + u16::try_from(status).expect("few"))
    }
}

#[test]
fn each_arrival_asks_once_and_has_its_own_answer() {
    for (seed, greets) in [(1, false), (2, true), (3, false), (4, true)] {
        let case = format!("seed {seed}");
        let mut lab = Lab::new(1_000, SECOND).oracle(greets);
        lab.network = Network::rough(seed);
        let (outcome, seen) = lab.at_the_oracle(Manner::IsSilentAtTimes, &case);
        let counters = &outcome.totals.counters;
        assert_eq!((counters.sent, counters.ok, counters.dropped_total()), (1_000, 900, 0), "{case}");
        assert_eq!((outcome.turned_out(GOOD), outcome.turned_out(BAD)), (900, 100), "{case}");
        assert_eq!(outcome.errors(ErrorClass::Status), 100, "{case}");
        // Every slot once, with the words that it chose, counted under their name.
        let words = |slot: u64| if slot.is_multiple_of(3) { "beg" } else { "ask" };
        let expected: BTreeSet<String> = (0..1_000).map(|slot| format!("{} {slot}", words(slot))).collect();
        assert_eq!(seen.len(), 1_000, "{case}");
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), expected, "{case}");
        let names: Vec<u64> = outcome.totals.names.iter().map(|name| name.sent).collect();
        assert_eq!(names, [666, 334], "{case}");
        assert_eq!(outcome.totals.latency(Latency::FirstByte).count(), 1_000, "{case}");
        assert_eq!(outcome.totals.latency(Latency::Response).count(), 1_000, "{case}");
        assert!(outcome.totals.latency(Latency::Service).min_ns() >= DELAY_NS, "{case}");
    }
}

#[test]
fn what_a_peer_does_has_its_class() {
    use Manner::{
        AddsBytes, Answers, AnswersAnother, AnswersByClosing, Closes, ClosesAtGreetings, IgnoresGreetings,
        Mute, RefusesGreetings, Resets, SaysBye,
    };
    let rows = [
        (false, AnswersAnother, Some(ErrorClass::Protocol)),
        (false, AddsBytes, Some(ErrorClass::Desync)),
        (false, Mute, Some(ErrorClass::TimeoutFirstByte)),
        (false, Resets, Some(ErrorClass::Reset)),
        (false, Closes, Some(ErrorClass::ClosedEarly)),
        (true, Closes, Some(ErrorClass::ClosedEarly)),
        (true, RefusesGreetings, Some(ErrorClass::Status)),
        (true, IgnoresGreetings, Some(ErrorClass::ConnectTimeout)),
        (true, ClosesAtGreetings, Some(ErrorClass::ConnectReset)),
        (true, Answers, None),
        (false, SaysBye, None),
        (false, AnswersByClosing, None),
    ];
    for (greets, manner, class) in rows {
        let case = format!("{manner:?}");
        let mut lab = Lab::new(100, SECOND).oracle(greets);
        lab.timeout(300 * MS);
        lab.settings.grace_ns = 600 * MS;
        let (outcome, seen) = lab.at_the_oracle(manner, &case);
        let counters = &outcome.totals.counters;
        assert_eq!(
            (counters.scheduled, counters.sent, counters.cut_off),
            (100, 100, 0),
            "{case}: {counters:?}"
        );
        match class {
            Some(class) => assert_eq!(outcome.errors(class), 100, "{case}: {:?}", counters.errors),
            None => assert_eq!(counters.ok, 100, "{case}: {:?}", counters.errors),
        }
        let refused = matches!(manner, RefusesGreetings | IgnoresGreetings | ClosesAtGreetings);
        assert_eq!(seen.len(), if refused { 0 } else { 100 }, "{case}");
        if refused {
            assert_eq!(counters.connects_failed, counters.connects, "{case}");
        }
        assert_eq!(outcome.turned_out(BAD), if manner == RefusesGreetings { 100 } else { 0 }, "{case}");
        if matches!(manner, SaysBye | AnswersByClosing) {
            assert_eq!(counters.connects, 100, "{case}");
        }
    }
}

#[test]
fn connections_that_are_opened_ahead_are_greeted_ahead() {
    let mut lab = Lab::new(100, SECOND).oracle(true);
    lab.target().warm_connections = 2;
    let outcome = lab.run_against(listening(Manner::Answers, Arc::default()));
    let counters = &outcome.totals.counters;
    assert_eq!((counters.ok, counters.connects), (100, 0));
    assert_eq!(outcome.truth.connections.len(), 2);
    assert_eq!(outcome.totals.latency(Latency::Queue).max_ns(), 0, "nobody waited for a greeting");
}

#[test]
fn a_peer_that_speaks_unasked_is_not_believed() {
    let (outcome, _) = Lab::new(100, SECOND).oracle(false).at_the_oracle(Manner::Babbles, "babbles");
    let counters = &outcome.totals.counters;
    // Each question was asked before the babble arrived, which is no answer to it.
    assert_eq!((counters.ok, outcome.turned_out(GOOD)), (0, 0), "{counters:?}");
}

#[test]
fn users_counts_and_the_end_of_connections_work_alike() {
    let mut lab = Lab::new(0, u64::MAX / 4).oracle(true);
    lab.settings.ends_by_count = true;
    lab.target().close_after = Some(10);
    lab.users = Some(Users2 { count: 7, think_ns: 0, requests: Some(1_234) });
    let (outcome, seen) = lab.at_the_oracle(Manner::Answers, "users");
    assert_eq!((outcome.totals.counters.ok, seen.len()), (1_234, 1_234));
    assert!(outcome.truth.connections.len() >= 123, "{}", outcome.truth.connections.len());
    let slots: BTreeSet<&str> = seen.iter().map(|question| &question[4..]).collect();
    assert_eq!(slots.len(), 1_234, "no two arrivals have the same slot");
}

#[test]
fn it_is_spoken_inside_tls() {
    let config: &'static Arc<ServerConfig> = tls_ends::identity();
    for greets in [false, true] {
        let mut lab = Lab::new(500, SECOND).oracle(greets);
        lab.network = Network::rough(9);
        lab.target().tls = Some(TlsSettings { client: tls_ends::client(), server_name: "sim".into() });
        let seen = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&seen);
        let outcome = lab.run_with(|io| {
            io.listen(address(), move |_: Timestamp, _: u64, _: &mut Random| {
                let tls = ServerConnection::new(Arc::clone(config)).expect("a server");
                Answer::Accept(Box::new(Secure { tls, seen: Arc::clone(&shared), read: Vec::new() }))
            });
        });
        let case = format!("greets: {greets}");
        let counters = &outcome.check(&case).totals.counters;
        assert_eq!((counters.ok, counters.errors_total()), (500, 0), "{case}: {:?}", counters.errors);
        assert_eq!(seen.lock().expect("no thread panics").len(), 500, "{case}");
    }
}

/// Rough networks and every manner, over many seeds: the audit balances, nothing is early, nothing leaks.
#[test]
fn whatever_the_peer_does_everything_is_counted() {
    let manners = [
        Manner::Answers,
        Manner::IsSilentAtTimes,
        Manner::RefusesGreetings,
        Manner::IgnoresGreetings,
        Manner::ClosesAtGreetings,
        Manner::AnswersAnother,
        Manner::AddsBytes,
        Manner::Mute,
        Manner::Resets,
        Manner::Closes,
        Manner::SaysBye,
        Manner::AnswersByClosing,
        Manner::Babbles,
    ];
    for seed in 0..78 {
        let manner = manners[(seed % 13) as usize];
        let case = format!("seed {seed}, {manner:?}");
        let mut lab = Lab::new(2_000, SECOND / 4).oracle(seed % 2 == 0);
        lab.network = Network::rough(seed);
        lab.network.send_failure_per_million = if seed % 3 == 0 { 10_000 } else { 0 };
        lab.target().connections = [3, 17, 200][(seed % 5 % 3) as usize];
        lab.target().waiting_capacity = 300;
        lab.timeout(100 * MS);
        lab.settings.grace_ns = 150 * MS;
        if seed % 7 == 0 {
            lab.acts = vec![(SECOND / 8, Act::Tell(Command::Stop))];
        }
        let stopped = !lab.acts.is_empty();
        let (outcome, seen) = lab.at_the_oracle(manner, &case);
        let counters = &outcome.totals.counters;
        assert!(stopped || counters.scheduled == 500, "{case}: {}", counters.scheduled);
        assert!(seen.len() as u64 <= counters.sent, "{case}: {} of {}", seen.len(), counters.sent);
        assert!(seen.iter().collect::<BTreeSet<_>>().len() == seen.len(), "{case}: a slot was sent twice");
    }
}
