//! Hot path. One connection: its requests in, its answers out, in order.
//!
//! What it is: the driver of a [`RequestMachine`] over one socket, with or without TLS. What it is not: a loop;
//! the worker says when to read and when to write, and keeps the time.
//!
//! ```text
//!   open ──answer with "close"──► lingering ──peer's FIN, or 2 s──► gone
//!     └──peer's FIN and nothing owed, or any error──────────────────► gone
//! ```
//!
//! Invariant: memory for one connection is bounded: one head of at most 64 KiB, the answers to what one read
//! brought beyond [`PIPELINE_LIMIT`], and rustls' buffers. The bytes of answers are never copied here.

mod writing;

use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use clock::{Clock as _, NANOS_PER_SECOND, OsClock, Timestamp};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustls::ServerConnection;

use crate::log::{Log, lock};
use crate::random::Random;
use crate::reply::{After, Content, Fault, Reply, truth_response};
use crate::request::{BadRequest, Event, Persistence, Request, RequestMachine};
use crate::shared::Shared;

/// Answers owed beyond which a connection is not read from.
const PIPELINE_LIMIT: usize = 128;
/// Reads from one connection before others get their turn.
const READS_PER_TURN: usize = 8;
/// Bytes of one read; it bounds how many requests one read can bring.
const INPUT_BYTES: usize = 32 * 1024;
/// Answers are gathered up to this many bytes into one send.
const GATHER_BYTES: usize = 32 * 1024;
/// Plaintext that rustls may hold for a slow reader.
const TLS_BUFFER_BYTES: usize = 64 * 1024;
/// How long a closed connection waits for the peer to close too, so that the peer can read the last answer.
const LINGER_NS: u64 = 2 * NANOS_PER_SECOND;

/// The socket as rustls writes to it.
struct Sink<'a>(&'a OwnedFd);

impl io::Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(self.0, bytes, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The connection is over; the worker drops it.
#[derive(Debug)]
pub(crate) struct Gone;

/// What a thread's connections share: buffers, random numbers, the log, the time.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) shared: Arc<Shared>,
    /// The thread's place among the logs.
    pub(crate) index: usize,
    pub(crate) random: Random,
    pub(crate) now: Timestamp,
    input: Vec<u8>,
    plain: Vec<u8>,
    output: Vec<u8>,
}

impl Context {
    pub(crate) fn new(shared: Arc<Shared>, index: usize) -> Self {
        let random = Random::new(shared.seed, index as u64);
        Self {
            shared,
            index,
            random,
            now: OsClock.now(),
            input: vec![0; INPUT_BYTES],
            plain: vec![0; INPUT_BYTES],
            output: Vec::with_capacity(GATHER_BYTES),
        }
    }

    pub(crate) fn log<T>(&self, write: impl FnOnce(&mut Log) -> T) -> T {
        write(&mut lock(&self.shared.logs[self.index]))
    }

    pub(crate) fn tick(&mut self) {
        self.now = OsClock.now();
    }
}

/// One connection.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, most of them about one direction")]
pub(crate) struct Connection {
    socket: OwnedFd,
    tls: Option<Box<ServerConnection>>,
    machine: RequestMachine,
    replies: VecDeque<Reply>,
    /// Bytes already handed over of the first reply that is not handed over whole.
    written: usize,
    /// Replies at the front that rustls holds whole, but the kernel not yet.
    held_by_tls: usize,
    /// Further input is not looked at: the last request, or a refused one, has been read.
    is_deaf: bool,
    /// Everything is written and the sending side is shut down.
    is_lingering: bool,
    has_peer_finished: bool,
    /// An event spoke of an end, so a short read is not taken for the last one.
    pub(crate) may_have_ended: bool,
    /// Both directions are over: what is read now is the last, and nothing can be written.
    pub(crate) is_cut: bool,
    /// Reading stopped because too many answers are owed.
    is_paused: bool,
    /// There may be more to read without a new event.
    pub(crate) wants_turn: bool,
    /// The worker has it in its list of those that want a turn.
    pub(crate) is_listed: bool,
    /// The instant for which the worker's timer will call.
    pub(crate) wake: Timestamp,
    linger_until: Timestamp,
    accepted: Timestamp,
    /// It has asked for something other than the truth.
    has_asked: bool,
    /// It stands among the counted connects; false while it has asked for nothing but the truth.
    is_counted: bool,
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Connection {
    /// A connection that was just accepted and counted.
    pub(crate) fn new(socket: OwnedFd, tls: Option<ServerConnection>, now: Timestamp) -> Self {
        let tls = tls.map(|mut tls| {
            tls.set_buffer_limit(Some(TLS_BUFFER_BYTES));
            Box::new(tls)
        });
        Self {
            socket,
            tls,
            machine: RequestMachine::new(),
            replies: VecDeque::new(),
            written: 0,
            held_by_tls: 0,
            is_deaf: false,
            is_lingering: false,
            has_peer_finished: false,
            may_have_ended: false,
            is_cut: false,
            is_paused: false,
            wants_turn: false,
            is_listed: false,
            wake: Timestamp::MAX,
            linger_until: Timestamp::MAX,
            accepted: now,
            has_asked: false,
            is_counted: true,
        }
    }

    /// A request has begun that will never be complete, if the connection ends now.
    pub(crate) fn is_within_request(&self) -> bool {
        !self.is_deaf && self.machine.is_within_request()
    }

    /// When the connection has something to do without any event; [`Timestamp::MAX`] is never.
    pub(crate) fn deadline(&self, now: Timestamp) -> Timestamp {
        match self.replies.front() {
            // An answer that is due waits for the peer to read, not for the clock.
            Some(reply) if reply.due > now => reply.due,
            Some(_) => Timestamp::MAX,
            None => self.linger_until,
        }
    }

    /// Reads what has come.
    pub(crate) fn read(&mut self, context: &mut Context) -> Result<(), Gone> {
        let mut input = std::mem::take(&mut context.input);
        let result = self.read_into(&mut input, context);
        context.input = input;
        result
    }

    fn read_into(&mut self, input: &mut [u8], context: &mut Context) -> Result<(), Gone> {
        self.wants_turn = false;
        for _ in 0..READS_PER_TURN {
            if self.replies.len() >= PIPELINE_LIMIT {
                self.is_paused = true;
                // Nobody is there any more to read the answers that are owed.
                return if self.is_cut { Err(Gone) } else { Ok(()) };
            }
            match recv(&self.socket, &mut *input, RecvFlags::empty()) {
                Ok((_, 0)) => {
                    self.has_peer_finished = true;
                    return Ok(());
                }
                Ok((_, count)) => {
                    context.tick();
                    self.take(&input[..count], context)?;
                    // The next event is certain: a short read emptied the socket, and whatever comes later is an
                    // edge of its own.
                    if count < input.len() && !self.may_have_ended {
                        return Ok(());
                    }
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(_) => return Err(Gone),
            }
        }
        self.wants_turn = true;
        Ok(())
    }

    fn take(&mut self, bytes: &[u8], context: &mut Context) -> Result<(), Gone> {
        match self.tls.take() {
            None => self.parse(bytes, context),
            Some(mut tls) => {
                let result = self.decrypt(&mut tls, bytes, context);
                self.tls = Some(tls);
                result?;
            }
        }
        Ok(())
    }

    fn decrypt(
        &mut self,
        tls: &mut ServerConnection,
        mut bytes: &[u8],
        context: &mut Context,
    ) -> Result<(), Gone> {
        let mut plain = std::mem::take(&mut context.plain);
        let mut result = Ok(());
        while !bytes.is_empty() && result.is_ok() {
            // Zero bytes are taken only after close_notify; whatever follows it is ignored (RFC 8446 §6.1).
            if !matches!(tls.read_tls(&mut bytes), Ok(1..)) {
                break;
            }
            let was_handshaking = tls.is_handshaking();
            if tls.process_new_packets().is_err() {
                context.log(|log| log.tls_failures += 1);
                // The alert goes out if the socket takes it at once; the connection is over either way.
                let _ = tls.write_tls(&mut Sink(&self.socket));
                result = Err(Gone);
                break;
            }
            if was_handshaking && !tls.is_handshaking() {
                context.log(|log| log.tls_handshakes += 1);
            }
            loop {
                match tls.reader().read(&mut plain) {
                    Ok(0) => {
                        self.has_peer_finished = true;
                        break;
                    }
                    Ok(count) => self.parse(&plain[..count], context),
                    Err(_) => break,
                }
            }
        }
        context.plain = plain;
        result
    }

    fn parse(&mut self, mut bytes: &[u8], context: &mut Context) {
        while !bytes.is_empty() && !self.is_deaf {
            match self.machine.receive(bytes) {
                Ok((taken, event)) => {
                    bytes = &bytes[taken..];
                    match event {
                        Some(Event::Request(request)) => self.answer(request, context),
                        Some(Event::Continue) => self.owe(Content::Continue, After::Next, false, context.now),
                        None => {}
                    }
                }
                Err(reason) => self.refuse(reason, context),
            }
        }
    }

    fn owe(&mut self, content: Content, after: After, is_head: bool, now: Timestamp) {
        self.is_deaf |= after != After::Next;
        self.replies.push_back(Reply { content, after, is_head, due: now, arrived: now, drawn_ns: 0 });
    }

    fn refuse(&mut self, reason: BadRequest, context: &Context) {
        context.log(|log| log.refused[reason.index()] += 1);
        self.owe(Content::Refusal(reason), After::Close, false, context.now);
    }

    fn answer(&mut self, request: Request, context: &mut Context) {
        let now = context.now;
        if request.is_truth {
            return self.answer_truth(request, context);
        }
        self.has_asked = true;
        if !self.is_counted {
            self.is_counted = true;
            context.log(|log| log.connected(self.accepted));
        }
        context.shared.note_first_request(now);
        let drawn_ns = context.shared.delay.draw_ns(&mut context.random);
        let fault = context.shared.faults.draw(&mut context.random);
        context.log(|log| {
            log.requested(now, &request, drawn_ns);
            if let Some(fault) = fault {
                log.faults[fault.index()] += 1;
            }
        });
        let persistence = request.persistence;
        let (kind, after) = match fault {
            None => (Content::Ordinary(persistence), after(persistence)),
            Some(Fault::Error) => (Content::Error(persistence), after(persistence)),
            // What hangs is never due.
            Some(Fault::Close | Fault::Hang) => (Content::Nothing, After::Close),
            Some(Fault::Reset) => (Content::Nothing, After::Reset),
            Some(Fault::Cut) => (Content::Cut, After::Close),
            Some(Fault::Garbage) => (Content::Garbage, After::Close),
        };
        let due = if fault == Some(Fault::Hang) { Timestamp::MAX } else { now.plus_nanos(drawn_ns) };
        self.is_deaf |= after != After::Next;
        let is_head = request.is_head;
        self.replies.push_back(Reply { content: kind, after, is_head, due, arrived: now, drawn_ns });
    }

    fn answer_truth(&mut self, request: Request, context: &Context) {
        if self.is_counted && !self.has_asked {
            self.is_counted = false;
            context.log(|log| log.not_connected(self.accepted));
        }
        context.log(|log| log.truth_requests += 1);
        // Many pipelined requests for the document share one, so that they cost little memory.
        let shared = self.replies.iter().rev().find_map(|reply| match &reply.content {
            Content::Truth(bytes) if reply.is_head == request.is_head => Some(Arc::clone(bytes)),
            _ => None,
        });
        let bytes = shared.filter(|_| request.persistence == Persistence::Implied).unwrap_or_else(|| {
            truth_response(&context.shared.truth(context.now).to_json(), request.is_head, request.persistence)
        });
        self.owe(Content::Truth(bytes), after(request.persistence), request.is_head, context.now);
    }
}

fn after(persistence: Persistence) -> After {
    if persistence == Persistence::Close { After::Close } else { After::Next }
}
