//! One connection and the one exchange that it is opened for.
//!
//! What it is: connect, TLS, request, response, each with its time, by epoll. What it is not: a pool.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use clock::Timestamp;
use http1::{Response, ResponseMachine};
use measure::ErrorClass;

use super::{BUFFER_SIZE, LOOK_NS, Times};
use crate::conn::{Capture, Delivery, Machine, Stack, TlsStack, of_connect_errno, of_errno, of_tls};
use crate::io::epoll::EpollIo;
use crate::io::{Completion, ConnId, Io, Limits, Wait};
use crate::shard::TargetSettings;

/// What is asked of whom.
pub(crate) struct Asked<'a> {
    pub(crate) target: &'a TargetSettings,
    pub(crate) is_head: bool,
    pub(crate) timeout_ns: u64,
    pub(crate) limits: http1::Limits,
    /// Bytes of a body that are kept, at most.
    pub(crate) kept_body_bytes: usize,
    /// The request, as it is sent.
    pub(crate) request: &'a [u8],
}

pub(crate) struct Wire<'a> {
    io: EpollIo,
    conn: ConnId,
    target: &'a TargetSettings,
    is_head: bool,
    request: &'a [u8],
    machine: Machine,
    stack: Stack,
    kept_bytes: usize,
    deadline: Timestamp,
    began: Timestamp,
    connected: Option<Timestamp>,
    sent: Option<Timestamp>,
    first_byte: Option<Timestamp>,
}

impl<'a> Wire<'a> {
    pub(crate) fn new(asked: &Asked<'a>) -> io::Result<Self> {
        let target = asked.target;
        let mut io = EpollIo::new(Limits { connections: 1, buffer_size: BUFFER_SIZE, buffer_count: 2 })?;
        let began = io.now();
        let conn = io.connect(&target.routes[0])?;
        Ok(Self {
            io,
            conn,
            target,
            is_head: asked.is_head,
            request: asked.request,
            machine: Machine::Http(ResponseMachine::new(asked.limits)),
            stack: Stack::Plain,
            kept_bytes: (asked.limits.head_bytes as usize).saturating_add(asked.kept_body_bytes),
            deadline: began.plus_nanos(asked.timeout_ns),
            began,
            connected: None,
            sent: None,
            first_byte: None,
        })
    }

    /// Carries the exchange out; whoever wants to leave gets a timeout.
    pub(crate) fn run(
        mut self,
        capture: &mut Capture,
        leave: &AtomicBool,
    ) -> io::Result<(Result<Response, ErrorClass>, Times)> {
        loop {
            while let Some(completion) = self.io.completion() {
                match self.take(completion, capture) {
                    Ok(Delivery::Nothing) => {}
                    Ok(Delivery::Response(response)) => return Ok(self.over(Ok(response))),
                    Ok(Delivery::Failed(class)) | Err(class) => return Ok(self.over(Err(class))),
                }
            }
            let now = self.io.now();
            if now >= self.deadline || leave.load(Ordering::Relaxed) {
                let class =
                    if self.connected.is_none() { ErrorClass::ConnectTimeout } else { ErrorClass::Timeout };
                return Ok(self.over(Err(class)));
            }
            self.io.wait(Wait::Until(self.deadline.min(now.plus_nanos(LOOK_NS))))?;
        }
    }

    fn over(mut self, answer: Result<Response, ErrorClass>) -> (Result<Response, ErrorClass>, Times) {
        let now = self.io.now();
        let first_byte = self.first_byte.or(answer.is_ok().then_some(now));
        let since = |from: Option<Timestamp>, to: Option<Timestamp>| Some(to?.nanos_since(from?));
        let times = Times {
            is_sent: self.sent.is_some(),
            connect_ns: since(Some(self.began), self.connected),
            tls_ns: self.target.tls.as_ref().and_then(|_| since(self.connected, self.sent)),
            first_byte_ns: since(self.sent, first_byte),
            response_ns: since(self.sent, answer.is_ok().then_some(now)),
            total_ns: now.nanos_since(self.began),
        };
        self.io.close(self.conn);
        (answer, times)
    }

    fn take(&mut self, completion: Completion, capture: &mut Capture) -> Result<Delivery, ErrorClass> {
        match completion {
            Completion::Connected { .. } => self.connected()?,
            Completion::Received { lent, .. } => {
                let bytes = self.io.bytes(&lent);
                let delivery = self.stack.receive(&mut self.machine, bytes, Some((capture, self.kept_bytes)));
                self.io.release(lent);
                if self.first_byte.is_none() && self.machine.has_begun() {
                    self.first_byte = Some(self.io.now());
                }
                self.go_on()?;
                return match delivery {
                    Delivery::Nothing if self.stack.has_ended() => self.ended(),
                    delivery => Ok(delivery),
                };
            }
            Completion::Discarded { .. } => {}
            Completion::Sent { buffer, .. } => {
                if let Stack::Tls(stack) = &mut self.stack {
                    stack.put_spare(buffer);
                }
                self.go_on()?;
            }
            Completion::ConnectFailed { errno, .. } => return Err(of_connect_errno(errno)),
            Completion::Failed { errno, .. } => return Err(of_errno(errno)),
            Completion::Ended { .. } => return self.ended(),
        }
        Ok(Delivery::Nothing)
    }

    fn connected(&mut self) -> Result<(), ErrorClass> {
        self.connected = Some(self.io.now());
        let Some(tls) = &self.target.tls else {
            self.begin();
            self.io.send_owned(self.conn, self.request.to_vec());
            return Ok(());
        };
        let mut outgoing = Vec::new();
        let session =
            tls.client.session(&tls.server_name, &mut outgoing).map_err(|_| ErrorClass::TlsProtocol)?;
        self.stack =
            Stack::Tls(Box::new(TlsStack { session, outgoing, spare: Some(Vec::new()), unsent: None }));
        self.go_on()
    }

    fn begin(&mut self) {
        self.sent = Some(self.io.now());
        self.machine.expect(self.is_head);
    }

    /// Over TLS: hands out what is due, and begins the request behind the handshake's last bytes.
    fn go_on(&mut self) -> Result<(), ErrorClass> {
        let is_due = match &self.stack {
            Stack::Tls(stack) => {
                stack.session.is_established() && stack.outgoing.is_empty() && stack.spare.is_some()
            }
            Stack::Plain => false,
        };
        if is_due && self.sent.is_none() {
            self.begin();
            if let Stack::Tls(stack) = &mut self.stack {
                stack.begin_rendered(self.request).map_err(of_tls)?;
            }
        }
        if let Stack::Tls(stack) = &mut self.stack
            && let Some(bytes) = stack.take_outgoing()
        {
            self.io.send_owned(self.conn, bytes);
        }
        Ok(())
    }

    /// The peer has sent its last byte, which may complete the answer.
    fn ended(&mut self) -> Result<Delivery, ErrorClass> {
        let class = if self.sent.is_some() { ErrorClass::ClosedEarly } else { ErrorClass::TlsClosed };
        match self.machine.end() {
            // RFC 8446 section 6.1: without close_notify an attacker may have cut the body short.
            Delivery::Response(response) if !self.stack.is_truncated() => Ok(Delivery::Response(response)),
            _ => Err(class),
        }
    }
}
