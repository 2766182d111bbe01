//! Redis as an own protocol of the engine: commands out, replies in (RESP, version 2).
//!
//! What it is: an example to copy from. [`Redis`] is the [`Protocol`]: its commands, weighted, and which of them an arrival
//! sends. Its sessions write commands and read replies with a [`Parser`], without an allocation after they were made.
//! What it is not: a client library; of a reply no more is kept than how it turned out.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod command;
mod options;
mod parser;

use std::fmt;
use std::sync::Arc;

use engine::protocol::{Arrival, Opening, Protocol, Received, Session, Status};

use command::Command;
pub use options::Options;
pub use parser::{ErrorKind, Malformed, Parser, Reply, Step};

/// See the crate's documentation.
#[derive(Debug)]
pub struct Redis(Arc<Load>);

/// What all sessions have in common.
struct Load {
    /// What is sent, and with which weight.
    mix: Vec<(Command, u64)>,
    keys: u64,
    value: Vec<u8>,
    /// The command that logs in.
    log_in: Option<Vec<u8>>,
}

impl fmt::Debug for Load {
    /// Without the password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Load")
            .field("mix", &self.mix)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

impl Redis {
    /// A load as the program's flags say.
    ///
    /// # Errors
    /// One of them cannot be read: which, and how to fix it.
    pub fn new(options: &Options<'_>) -> Result<Self, String> {
        options.load().map(|load| Self(Arc::new(load)))
    }
}

/// The draw that chooses a command, and the one that chooses a key.
const COMMAND_DRAW: u64 = 0;
const KEY_DRAW: u64 = 1;

impl Protocol for Redis {
    fn requests(&self) -> Vec<String> {
        self.0.mix.iter().map(|(command, _)| command.name().to_owned()).collect()
    }

    fn statuses(&self) -> Vec<Status> {
        let good = ["OK", "value", "nil", "integer", "array"].into_iter().map(Status::good);
        good.chain(ErrorKind::ALL.iter().map(|kind| Status::bad(kind.name()))).collect()
    }

    fn choose(&self, arrival: &Arrival) -> usize {
        let total = self.0.mix.iter().map(|(_, weight)| weight).sum();
        let mut draw = arrival.random(COMMAND_DRAW, total);
        for (place, (_, weight)) in self.0.mix.iter().enumerate() {
            match draw.checked_sub(*weight) {
                Some(rest) => draw = rest,
                None => return place,
            }
        }
        0
    }

    fn session(&self) -> Box<dyn Session> {
        Box::new(Client { load: Arc::clone(&self.0), parser: Parser::default() })
    }
}

/// One connection.
#[derive(Debug)]
struct Client {
    load: Arc<Load>,
    parser: Parser,
}

impl Session for Client {
    fn open(&mut self, out: &mut Vec<u8>) -> Opening {
        let Some(log_in) = &self.load.log_in else { return Opening::Done };
        out.extend_from_slice(log_in);
        Opening::Awaits
    }

    fn request(&mut self, request: usize, arrival: &Arrival, out: &mut Vec<u8>) {
        let (command, _) = self.load.mix[request];
        command.write(arrival.random(KEY_DRAW, self.load.keys), &self.load.value, out);
    }

    fn receive(&mut self, bytes: &[u8], _out: &mut Vec<u8>) -> Received {
        match self.parser.receive(bytes) {
            Ok(Step { consumed, reply: Some(reply) }) => {
                Received::Response { status: status_of(reply), consumed, closes: false }
            }
            Ok(Step { reply: None, .. }) => Received::More,
            Err(Malformed) => Received::Broken,
        }
    }
}

/// The place of a reply's status in [`Protocol::statuses`].
const fn status_of(reply: Reply) -> usize {
    match reply {
        Reply::Simple => 0,
        Reply::Bulk => 1,
        Reply::Nil => 2,
        Reply::Integer => 3,
        Reply::Array => 4,
        Reply::Error(kind) => 5 + kind as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redis(mix: &str) -> Redis {
        Redis::new(&Options { mix: Some(mix), keys: Some("7"), ..Options::default() }).expect("sound options")
    }

    #[test]
    fn commands_come_as_often_as_they_weigh() {
        let redis = redis("SET=1,GET=8,INCR=1");
        assert_eq!(redis.requests(), ["SET", "GET", "INCR"]);
        let mut counts = [0; 3];
        for slot in 0..10_000 {
            counts[redis.choose(&Arrival { slot })] += 1;
        }
        // Six standard deviations around 1,000, 8,000 and 1,000.
        assert!((820..1_180).contains(&counts[0]) && (7_760..8_240).contains(&counts[1]), "{counts:?}");
    }

    #[test]
    fn every_reply_has_the_status_of_its_name() {
        let names = redis("GET=1").statuses();
        for (reply, name, is_failure) in [
            (Reply::Simple, "OK", false),
            (Reply::Bulk, "value", false),
            (Reply::Nil, "nil", false),
            (Reply::Integer, "integer", false),
            (Reply::Array, "array", false),
            (Reply::Error(ErrorKind::Err), "ERR", true),
            (Reply::Error(ErrorKind::WrongType), "WRONGTYPE", true),
            (Reply::Error(ErrorKind::Other), "another error", true),
        ] {
            let status = &names[status_of(reply)];
            assert_eq!((status.name.as_str(), status.is_failure), (name, is_failure));
        }
    }

    #[test]
    fn a_session_logs_in_first_and_sends_one_command_at_a_time() {
        let options = Options { mix: Some("GET=1"), password: Some("secret".into()), ..Options::default() };
        let redis = Redis::new(&options).expect("sound options");
        assert!(!format!("{redis:?}").contains("secret"));
        let (mut session, mut out) = (redis.session(), Vec::new());
        assert_eq!(session.open(&mut out), Opening::Awaits);
        assert_eq!(out, b"*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n");
        let done = |status| Received::Response { status, consumed: 5, closes: false };
        assert_eq!(session.receive(b"+OK\r\n", &mut out), done(0));
        out.clear();
        session.request(0, &Arrival { slot: 1 }, &mut out);
        assert!(out.starts_with(b"*2\r\n$3\r\nGET\r\n$"), "{}", out.escape_ascii());
        assert_eq!(session.receive(b"$-1\r", &mut out), Received::More);
        assert_eq!(
            session.receive(b"\n", &mut out),
            Received::Response { status: 2, consumed: 1, closes: false }
        );
        assert_eq!(session.receive(b"HTTP/1.1 400", &mut out), Received::Broken);
    }
}
