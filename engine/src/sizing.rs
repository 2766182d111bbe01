//! The size of an exchange, learnt from one request before a run whose load is a bandwidth.
//!
//! What it is: the plan's own request, once, over a connection of its own by epoll, and the plan that the answer's size
//! leads to. What it is not: part of the run; no figure of the report counts it. The target does, and so the report says
//! that it was sent.
//!
//! Invariants: it goes where the run goes, after the rails; it takes no longer than the plan's timeout. Sizes are bytes
//! on the transport, of an exchange on a connection that stands: neither TCP's nor TLS's handshake is in them.

use std::io;

use clock::Timestamp;
use http1::ResponseMachine;
use measure::ErrorClass;
use plan::{Load, Plan, PlanError, Sizing, Url};
use verdict::ExitCode;

use crate::conn::{Delivery, Machine, Stack, TlsStack, of_connect_errno, of_errno, of_tls};
use crate::host::figures;
use crate::io::epoll::EpollIo;
use crate::io::{Completion, ConnId, Io, Limits, Message, PreparedId, Route, Wait};
use crate::prepare::{PrepareError, prepare};
use crate::shard::{RequestSettings, TargetSettings};

/// Bytes received at once, twice over.
const BUFFER_SIZE: u32 = 64 << 10;

/// Why the size could not be learnt.
#[derive(Debug, thiserror::Error)]
pub enum SizingError {
    /// The request failed.
    #[error("--gbit needs the size of an answer, and the request that was to show it failed: {} → the URL, or --tps", .0.name())]
    Failed(ErrorClass),
    /// The answer is one that counts as a failure.
    #[error(
        "--gbit needs the size of an answer, and the request that was to show it got status {0}, which counts as a \
         failure → the URL, --fail-status, or --tps"
    )]
    Status(u16),
    /// The size leads to no plan, or the guard refuses the one to which it leads.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The request cannot be prepared.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// This host refuses.
    #[error("the request that shows the size of an answer cannot be sent: {0}")]
    System(#[from] io::Error),
}

impl SizingError {
    /// How the program ends.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed(_) | Self::Status(_) => ExitCode::EveryRequestFailed,
            Self::Plan(error) if error.is_refusal() => ExitCode::Refused,
            Self::Plan(_) | Self::Prepare(_) => ExitCode::Usage,
            Self::System(_) => ExitCode::Environment,
        }
    }
}

/// Bytes of an exchange.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Size {
    sent: u64,
    received: u64,
}

/// The plan with the rate that its bandwidth comes to, and what was derived, in words. `plan` is the one whose rate is
/// made up.
///
/// # Errors
/// See [`SizingError`].
pub fn size(plan: &Plan, sizing: Sizing, url: &Url, routes: &[Route]) -> Result<(Plan, String), SizingError> {
    let mut prepared = prepare(plan, url, routes, 1, 1, None, None)?;
    let (mut settings, _) = prepared.shards.remove(0);
    let asked = Asked {
        target: settings.targets.remove(0),
        request: settings.requests.remove(0),
        limits: settings.response_limits,
    };
    let size = Probe::new(&asked)?.run(&asked)?;
    let (bytes, way) =
        if size.sent > size.received { (size.sent, "sent") } else { (size.received, "received") };
    let plan = sizing.plan(bytes)?;
    let told = plan.bandwidth.map_or_else(String::new, |bandwidth| {
        let rate = rate_of(&plan);
        format!(
            "{bandwidth} = {rate} requests/s of {} bytes {way}; one request went ahead of the run to learn the size of \
             an answer, in no count but the target's",
            figures::count(bytes)
        )
    });
    Ok((plan, told))
}

/// The rate as people read it, exact.
fn rate_of(plan: &Plan) -> String {
    let Load::Open { profile, .. } = &plan.load else { return String::new() };
    let text = plan::rate_text(profile.max_rate());
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), ""), |parts| parts);
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), figures::count);
    if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") }
}

/// What is asked of whom.
struct Asked {
    target: TargetSettings,
    request: RequestSettings,
    limits: http1::Limits,
}

impl Asked {
    /// The request as the first of a connection.
    fn message(&self) -> &Message {
        self.request
            .message(self.target.is_last(0))
            .expect("what a plan of flags sends is written beforehand")
    }
}

/// One connection and its one exchange.
struct Probe {
    io: EpollIo,
    conn: ConnId,
    request: PreparedId,
    machine: Machine,
    stack: Stack,
    deadline: Timestamp,
    /// Whether the request has begun to leave.
    has_begun: bool,
    /// Bytes of TLS handed to the driver, and bytes received, since the request began.
    size: Size,
}

impl Probe {
    fn new(asked: &Asked) -> io::Result<Self> {
        let mut io = EpollIo::new(Limits { connections: 1, buffer_size: BUFFER_SIZE, buffer_count: 2 })?;
        let request = io.prepare_message(asked.message().clone());
        let deadline = io.now().plus_nanos(asked.request.timeout_ns);
        let conn = io.connect(&asked.target.routes[0])?;
        let machine = Machine::Http(ResponseMachine::new(asked.limits));
        let size = Size { sent: 0, received: 0 };
        Ok(Self { io, conn, request, machine, stack: Stack::Plain, deadline, has_begun: false, size })
    }

    fn run(mut self, asked: &Asked) -> Result<Size, SizingError> {
        loop {
            while let Some(completion) = self.io.completion() {
                match self.take(completion, asked).map_err(SizingError::Failed)? {
                    Delivery::Nothing => {}
                    Delivery::Response(response) if asked.request.fail_status.contains(response.status) => {
                        return Err(SizingError::Status(response.status));
                    }
                    Delivery::Response(_) => return Ok(self.size),
                    Delivery::Failed(class) => return Err(SizingError::Failed(class)),
                }
            }
            if self.io.now() >= self.deadline {
                return Err(SizingError::Failed(ErrorClass::Timeout));
            }
            self.io.wait(Wait::Until(self.deadline))?;
        }
    }

    fn take(&mut self, completion: Completion, asked: &Asked) -> Result<Delivery, ErrorClass> {
        match completion {
            Completion::Connected { .. } => self.connected(asked)?,
            Completion::Received { lent, .. } => {
                self.size.received += u64::from(lent.len);
                let delivery = self.stack.receive(&mut self.machine, self.io.bytes(&lent), None);
                self.io.release(lent);
                self.go_on(asked)?;
                return Ok(delivery);
            }
            Completion::Discarded { .. } => {}
            Completion::Sent { buffer, .. } => {
                if let Stack::Tls(stack) = &mut self.stack {
                    stack.put_spare(buffer);
                }
                self.go_on(asked)?;
            }
            Completion::ConnectFailed { errno, .. } => return Err(of_connect_errno(errno)),
            Completion::Failed { errno, .. } => return Err(of_errno(errno)),
            Completion::Ended { .. } => return self.ended(),
        }
        Ok(Delivery::Nothing)
    }

    fn connected(&mut self, asked: &Asked) -> Result<(), ErrorClass> {
        let Some(tls) = &asked.target.tls else {
            self.begin(asked);
            self.size.sent = asked.message().size();
            self.io.send(self.conn, self.request);
            return Ok(());
        };
        let mut outgoing = Vec::new();
        // The name was checked when the request was prepared.
        let session =
            tls.client.session(&tls.server_name, &mut outgoing).map_err(|_| ErrorClass::TlsProtocol)?;
        self.stack =
            Stack::Tls(Box::new(TlsStack { session, outgoing, spare: Some(Vec::new()), unsent: None }));
        self.go_on(asked)
    }

    fn begin(&mut self, asked: &Asked) {
        self.has_begun = true;
        self.machine.expect(asked.request.is_head);
        self.size = Size { sent: 0, received: 0 };
    }

    /// Over TLS: hands out what is due, and begins the request behind the handshake's last bytes.
    fn go_on(&mut self, asked: &Asked) -> Result<(), ErrorClass> {
        let is_due = match &self.stack {
            Stack::Tls(stack) => {
                stack.session.is_established() && stack.outgoing.is_empty() && stack.spare.is_some()
            }
            Stack::Plain => false,
        };
        if is_due && !self.has_begun {
            self.begin(asked);
            if let Stack::Tls(stack) = &mut self.stack {
                stack.unsent = Some(0);
            }
        }
        if let Stack::Tls(stack) = &mut self.stack {
            stack.gather(asked.message()).map_err(of_tls)?;
            if let Some(bytes) = stack.take_outgoing() {
                self.size.sent += bytes.len() as u64;
                self.io.send_owned(self.conn, bytes);
            }
        }
        Ok(())
    }

    /// The peer has sent its last byte, which may complete the answer.
    fn ended(&mut self) -> Result<Delivery, ErrorClass> {
        let class = if self.has_begun { ErrorClass::ClosedEarly } else { ErrorClass::TlsClosed };
        match self.machine.end() {
            // RFC 8446 section 6.1: without close_notify an attacker may have cut the body short.
            Delivery::Response(response) if !self.stack.is_truncated() => Ok(Delivery::Response(response)),
            _ => Err(class),
        }
    }
}
