//! Tests of the machine as a whole: valid responses, invalid ones, and the indifference to cuts.

mod cuts;
mod invalid;
mod reference;
mod requests;
mod valid;

use crate::{Ending, Limits, ProtocolError, Response, ResponseMachine};

/// Everything a machine says about one exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Trace {
    response: Option<Response>,
    /// The response was complete only with the FIN.
    by_end: bool,
    error: Option<ProtocolError>,
}

/// One exchange: what was asked, what came, and whether FIN followed.
#[derive(Copy, Clone, Debug)]
struct Exchange<'bytes> {
    bytes: &'bytes [u8],
    head_request: bool,
    fin: bool,
}

impl<'bytes> Exchange<'bytes> {
    fn get(bytes: &'bytes [u8]) -> Self {
        Self { bytes, head_request: false, fin: true }
    }

    /// Runs the exchange in pieces that end at `cuts`, which ascend.
    fn run(self, machine: &mut ResponseMachine, cuts: &[usize]) -> Trace {
        machine.expect(self.head_request);
        let mut trace = Trace { response: None, by_end: false, error: None };
        let mut from = 0;
        for until in cuts.iter().copied().chain([self.bytes.len()]) {
            let until = until.clamp(from, self.bytes.len());
            trace.receive(machine, &self.bytes[from..until]);
            from = until;
        }
        trace.finish(machine, self.fin);
        trace
    }

    /// As `run`, but whenever body bytes are certain to come, they are discarded, at most `most` at a time.
    fn run_discarding(self, machine: &mut ResponseMachine, cuts: &[usize], most: u64) -> Trace {
        machine.expect(self.head_request);
        let mut trace = Trace { response: None, by_end: false, error: None };
        let mut from = 0;
        let mut cuts = cuts.iter().copied().chain([self.bytes.len()]);
        while from < self.bytes.len() && trace.error.is_none() {
            let left = (self.bytes.len() - from) as u64;
            let count = machine.discardable().min(most).min(left);
            if count > 0 {
                let step = machine.discarded(count).unwrap();
                assert_eq!(step.consumed, 0);
                if let Some(response) = step.response {
                    assert_eq!(trace.response.replace(response), None);
                }
                from += usize::try_from(count).unwrap();
                continue;
            }
            let until = cuts.find(|cut| *cut > from).unwrap_or(self.bytes.len()).min(self.bytes.len());
            trace.receive(machine, &self.bytes[from..until]);
            from = until;
        }
        trace.finish(machine, self.fin);
        trace
    }

    fn fresh(self, limits: Limits, cuts: &[usize]) -> Trace {
        self.run(&mut ResponseMachine::new(limits), cuts)
    }

    /// The trace, after checking that it is the same in one piece, in single bytes and at every single cut.
    fn everyhow(self, limits: Limits) -> Trace {
        let trace = self.fresh(limits, &[]);
        let every: Vec<usize> = (0..self.bytes.len()).collect();
        assert_eq!(self.fresh(limits, &every), trace, "in single bytes: {}", self.bytes.escape_ascii());
        for cut in every {
            assert_eq!(self.fresh(limits, &[cut]), trace, "cut at {cut}: {}", self.bytes.escape_ascii());
        }
        trace
    }
}

impl Trace {
    fn receive(&mut self, machine: &mut ResponseMachine, piece: &[u8]) {
        let mut rest = piece;
        while !rest.is_empty() && self.error.is_none() {
            match machine.receive(rest) {
                Ok(step) => {
                    assert!(
                        step.consumed == rest.len() || step.response.is_some(),
                        "bytes left without a response"
                    );
                    assert!(step.consumed > 0);
                    if let Some(response) = step.response {
                        assert_eq!(self.response.replace(response), None, "two responses for one request");
                        assert!(machine.has_begun());
                    }
                    rest = &rest[step.consumed..];
                }
                Err(error) => {
                    self.error = Some(error);
                    assert_eq!(
                        machine.receive(b"HTTP/1.1 200 OK\r\n\r\n"),
                        Err(error),
                        "an error is not final"
                    );
                    assert_eq!(machine.discardable(), 0);
                    assert!(!machine.is_due());
                }
            }
        }
    }

    fn finish(&mut self, machine: &mut ResponseMachine, fin: bool) {
        if !fin || self.error.is_some() {
            return;
        }
        match machine.end() {
            Ok(Ending::Idle) => assert!(self.response.is_some(), "idle though a response is due"),
            Ok(Ending::Complete(response)) => {
                assert_eq!(self.response.replace(response), None);
                self.by_end = true;
            }
            Err(error) => self.error = Some(error),
        }
    }
}
