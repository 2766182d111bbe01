//! A protocol of a user's own that allocates nothing: as much of HTTP as the built-in target's default response needs.

use std::sync::Arc;

use engine::protocol::{Arrival, Protocol, Received, Session, Spoken, Status};

/// Bytes of that response.
const RESPONSE: usize = 100;

#[derive(Debug)]
struct Fixed;

impl Protocol for Fixed {
    fn requests(&self) -> Vec<String> {
        vec!["get".into()]
    }

    fn statuses(&self) -> Vec<Status> {
        vec![Status::good("whole")]
    }

    fn session(&self) -> Box<dyn Session> {
        Box::new(Counting(0))
    }
}

/// Bytes that are due.
#[derive(Debug)]
struct Counting(usize);

impl Session for Counting {
    fn request(&mut self, _request: usize, _arrival: &Arrival, out: &mut Vec<u8>) {
        self.0 = RESPONSE;
        out.extend_from_slice(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }

    fn receive(&mut self, bytes: &[u8], _out: &mut Vec<u8>) -> Received {
        let consumed = self.0.min(bytes.len());
        self.0 -= consumed;
        if self.0 > 0 { Received::More } else { Received::Response { status: 0, consumed, closes: false } }
    }
}

pub(crate) fn spoken() -> Spoken {
    Spoken::new("fixed", Arc::new(Fixed)).expect("its names are sound")
}
