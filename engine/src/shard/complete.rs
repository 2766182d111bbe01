//! Hot path. Completing: what the driver reports becomes finished exchanges and ready connections.
//!
//! What it is: the part of a shard's turn that looks at completions.
//! What it is not: parsing; the connection's stack does that.
//!
//! Invariant: every lent buffer is released in the turn in which it came.

use measure::ErrorClass;

use super::release::FAILED_CONNECT_PAUSE_NS;
use super::{COMPLETIONS_PER_TURN, CONNECTION_STEPS, Shard};
use crate::conn::{
    Capture, Connection, Delivery, Machine, Stack, State, TlsStack, of_connect_errno, of_errno,
};
use crate::io::{Completion, ConnId, Errno, Io, Lent};
use http1::Response;
use measure::DropReason;

use super::exchange::ExchangeId;
use super::release::is_local;

impl<I: Io> Shard<I> {
    /// Deals with the completions that the wait collected, as far as the turn's bound allows.
    pub(super) fn complete(&mut self) {
        for handled in 0.. {
            if handled == COMPLETIONS_PER_TURN {
                self.unfinished_turn = true;
                break;
            }
            let Some(completion) = self.io.completion() else { break };
            match completion {
                Completion::Received { conn, lent } => self.received(conn, lent),
                Completion::Sent { conn, buffer } => self.sent(conn, buffer),
                Completion::Discarded { conn, count } => self.discarded(conn, count),
                Completion::Connected { conn } => self.connected(conn),
                Completion::ConnectFailed { conn, errno } => self.connect_failed(conn, errno),
                Completion::Ended { conn } => self.ended(conn),
                Completion::Failed { conn, errno } => self.break_off(conn, of_errno(errno)),
            }
        }
        self.serve_answered();
    }

    /// Uses the connections again that were answered in this turn. Not earlier: a FIN, a reset or more bytes than were
    /// asked for often come together with the answer, and nothing should be sent into them.
    fn serve_answered(&mut self) {
        if self.answered.is_empty() {
            return;
        }
        for place in 0..self.answered.len() {
            let conn = self.answered[place];
            let connection = &self.connections[conn.index as usize];
            if connection.id == conn && connection.state == State::Idle {
                self.serve_next(conn);
            }
        }
        self.answered.clear();
    }

    fn received(&mut self, conn: ConnId, lent: Lent) {
        let connection = &mut self.connections[conn.index as usize];
        let recorder = &mut self.recorders[usize::from(self.now < self.origin)];
        recorder.bytes_received(u64::from(lent.len));
        if connection.state == State::Leaving {
            // TLS says goodbye, or hands out tickets; in plain text nothing is due any more.
            let is_plain = matches!(connection.stack, Stack::Plain);
            self.io.release(lent);
            if is_plain {
                self.break_off(conn, ErrorClass::Desync);
            }
            return;
        }
        connection.discarding = connection.discarding.saturating_sub(u64::from(lent.len));
        let bytes = self.io.bytes(&lent);
        let Connection { stack, machine, capture, .. } = connection;
        let most = self.iterations.kept_bytes;
        let delivery = stack.receive(machine, bytes, capture.as_mut().map(|capture| (capture, most)));
        self.io.release(lent);
        self.delivered(conn, delivery);
    }

    fn discarded(&mut self, conn: ConnId, count: u64) {
        let connection = &mut self.connections[conn.index as usize];
        self.recorders[usize::from(self.now < self.origin)].bytes_received(count);
        connection.discarding = connection.discarding.saturating_sub(count);
        let delivery = connection.machine.discarded(count);
        self.delivered(conn, delivery);
    }

    fn delivered(&mut self, conn: ConnId, delivery: Delivery) {
        let connection = &mut self.connections[conn.index as usize];
        let delivery = match delivery {
            Delivery::Nothing if connection.stack.has_ended() => return self.ended(conn),
            Delivery::Response(response) if connection.stack.has_ended() => {
                Delivery::Response(Response { keep_alive: false, ..response })
            }
            delivery => delivery,
        };
        match (connection.state, delivery) {
            (State::Busy { exchange }, Delivery::Nothing) => {
                if connection.machine.has_begun() {
                    self.exchanges.note_first_byte(exchange, self.now);
                }
                self.discard_rest(conn);
                self.flush(conn);
            }
            (State::Busy { exchange }, Delivery::Response(response)) => {
                self.exchanges.note_first_byte(exchange, self.now);
                self.responded(conn, exchange, response, false);
            }
            (State::Handshaking { .. }, Delivery::Nothing) => {
                // The handshake's last flight and the first request leave in one send, if there is a request.
                self.handshaken(conn);
                self.flush(conn);
            }
            (State::Greeting, Delivery::Nothing) => self.greeted(conn),
            (State::Idle, Delivery::Nothing) => self.flush(conn),
            (_, Delivery::Failed(class)) => self.break_off(conn, class),
            (_, Delivery::Response(_)) => self.break_off(conn, ErrorClass::Desync),
            (State::Vacant | State::Connecting { .. } | State::Leaving, Delivery::Nothing) => {}
        }
    }

    /// A long body that nobody needs: let the driver throw the rest away without copying it.
    fn discard_rest(&mut self, conn: ConnId) {
        let connection = &mut self.connections[conn.index as usize];
        let is_needed = connection.discarding > 0 || connection.capture.is_some();
        if is_needed || !matches!(connection.stack, Stack::Plain) {
            return;
        }
        let rest = connection.machine.discardable();
        if rest >= self.settings.discard_from {
            connection.discarding = rest;
            self.io.discard(conn, rest);
        }
    }

    /// A whole response has come; `ended` tells that the peer has closed behind it.
    fn responded(&mut self, conn: ConnId, id: ExchangeId, response: Response, ended: bool) {
        let exchange = self.exchanges.finish(id);
        let request = &self.settings.requests[usize::from(exchange.cause.request)];
        let (name, mut is_failure) = (request.name, request.fail_status.contains(response.status));
        if response.status == UNAUTHORIZED && is_failure {
            is_failure = !self.is_challenged(conn, exchange.cause, &response);
        }
        // In a turn whose queue was flushed, a response may come in the turn of its request.
        let now = self.now.max(exchange.sent);
        let response_ns = now.nanos_since(exchange.intended);
        let service_ns = now.nanos_since(exchange.sent);
        let recorder = &mut self.recorders[usize::from(exchange.warmup)];
        if let Some(at) = exchange.first_byte {
            recorder.first_byte(at.nanos_since(exchange.sent));
        }
        if is_failure {
            recorder.failed(name, ErrorClass::Status, response_ns, Some(service_ns));
            recorder.status(name, response.status);
        } else {
            recorder.ok(name, response_ns, service_ns, response.status);
        }
        let connection = &mut self.connections[conn.index as usize];
        let mut capture = connection.capture.take();
        let target_index = connection.target;
        connection.served += 1;
        // An answer that did not wait for the whole request leaves the rest of it in the way of the next.
        let close_after = self.targets[target_index].settings.close_after;
        let spent = close_after.is_some_and(|most| connection.served >= most) || connection.has_unsent();
        if spent || !response.keep_alive {
            // A peer that goes on after the last request said `close` will not close by itself.
            if response.keep_alive || ended {
                self.close(conn);
            } else {
                self.leave(conn);
            }
            self.open_for_waiting(target_index);
        } else {
            connection.state = State::Idle;
            self.answered.push(conn);
            self.flush(conn);
        }
        match self.iteration_of(exchange.cause) {
            None => self.user_goes_on(exchange.cause.workload, exchange.cause.user, 0),
            Some(id) => {
                self.iteration_answered(id, exchange.cause, &response, response_ns, capture.as_mut());
            }
        }
        self.keep_capture(capture);
    }

    /// Keeps a capture's memory for the next response.
    pub(super) fn keep_capture(&mut self, capture: Option<Capture>) {
        if let Some(mut capture) = capture {
            capture.clear();
            self.iterations.captures.push(capture);
        }
    }

    fn sent(&mut self, conn: ConnId, buffer: Vec<u8>) {
        let connection = &mut self.connections[conn.index as usize];
        connection.is_sending = false;
        if let Stack::Tls(stack) = &mut connection.stack {
            stack.put_spare(buffer);
            self.flush(conn);
        } else if let Machine::Own(own) = &mut connection.machine {
            own.put_spare(buffer);
            self.flush_own(conn);
        } else {
            self.iterations.keep_buffer(buffer);
        }
    }

    fn connected(&mut self, conn: ConnId) {
        let now = self.now;
        let warmup = usize::from(now < self.origin);
        let connection = &mut self.connections[conn.index as usize];
        let State::Connecting { since } = connection.state else { return };
        self.recorders[warmup].connect(now.nanos_since(since));
        let target = &mut self.targets[connection.target];
        let Some(tls) = &target.settings.tls else { return self.stands(conn) };
        let mut outgoing = Vec::with_capacity(TLS_BUFFER);
        match tls.client.session(&tls.server_name, &mut outgoing) {
            Ok(session) => {
                let spare = Some(Vec::with_capacity(TLS_BUFFER));
                connection.stack = Stack::Tls(Box::new(TlsStack { session, outgoing, spare, unsent: None }));
                connection.state = State::Handshaking { since, tls_since: now };
                self.flush(conn);
            }
            // The name was checked when the plan was made; what remains is rustls' own trouble.
            Err(_) => self.break_off(conn, ErrorClass::TlsProtocol),
        }
    }

    /// Looks whether the TLS handshake is complete.
    fn handshaken(&mut self, conn: ConnId) {
        self.step(CONNECTION_STEPS);
        let now = self.now;
        let warmup = usize::from(now < self.origin);
        let connection = &mut self.connections[conn.index as usize];
        let (State::Handshaking { tls_since, .. }, Stack::Tls(stack)) = (connection.state, &connection.stack)
        else {
            return;
        };
        if !stack.session.is_established() {
            return;
        }
        self.recorders[warmup].tls(now.nanos_since(tls_since), stack.session.resumed());
        self.stands(conn);
    }

    /// The transport of a connection stands, and it may be used, unless an own protocol begins with a conversation.
    fn stands(&mut self, conn: ConnId) {
        let connection = &self.connections[conn.index as usize];
        if matches!(connection.machine, Machine::Own(_)) {
            return self.own_stands(conn);
        }
        self.targets[connection.target].pool.opened();
        self.serve_next(conn);
    }

    /// The driver could not connect; it has closed the connection itself.
    fn connect_failed(&mut self, conn: ConnId, errno: Errno) {
        let connection = &mut self.connections[conn.index as usize];
        if connection.id != conn || connection.state == State::Vacant {
            return;
        }
        connection.state = State::Vacant;
        let target_index = connection.target;
        let target = &mut self.targets[target_index];
        target.pool.opened();
        target.pool.closed(conn);
        if is_local(errno) {
            if let Some(waiting) = target.waiting.pop() {
                self.drop_request(waiting.cause, waiting.warmup, DropReason::LocalResource);
            }
        } else {
            self.fail_connect(target_index, of_connect_errno(errno));
        }
        self.open_for_waiting(target_index);
    }

    /// A connection attempt has failed: it takes the request that has waited longest with it. That request
    /// counts as sent, because the attempt left this machine for its sake.
    pub(super) fn fail_connect(&mut self, target_index: usize, class: ErrorClass) {
        self.recorders[usize::from(self.now < self.origin)].connect_failed();
        let Some(waiting) = self.targets[target_index].waiting.pop() else { return };
        self.own.release(waiting.cause);
        let name = self.settings.requests[usize::from(waiting.cause.request)].name;
        let response_ns = self.now.nanos_since(waiting.intended);
        let recorder = &mut self.recorders[usize::from(waiting.warmup)];
        recorder.sent(name);
        recorder.failed(name, class, response_ns, None);
        self.request_ended(waiting.cause, FAILED_CONNECT_PAUSE_NS);
    }

    /// The peer has sent its last byte.
    fn ended(&mut self, conn: ConnId) {
        let connection = &mut self.connections[conn.index as usize];
        match connection.state {
            State::Busy { exchange } => match connection.finish_stream() {
                Delivery::Response(response) => {
                    self.responded(conn, exchange, Response { keep_alive: false, ..response }, true);
                }
                Delivery::Failed(class) => self.break_off(conn, class),
                Delivery::Nothing => self.break_off(conn, ErrorClass::ClosedEarly),
            },
            State::Handshaking { .. } => self.break_off(conn, ErrorClass::TlsClosed),
            State::Connecting { .. } | State::Greeting => self.break_off(conn, ErrorClass::ConnectReset),
            State::Idle | State::Vacant | State::Leaving => self.break_off(conn, ErrorClass::ClosedEarly),
        }
    }

    /// The connection is of no further use: whatever it carried has failed with `class`.
    pub(super) fn break_off(&mut self, conn: ConnId, class: ErrorClass) {
        let now = self.now;
        let connection = &mut self.connections[conn.index as usize];
        let target_index = connection.target;
        match connection.state {
            State::Vacant => return,
            State::Leaving => {
                if class == ErrorClass::Desync {
                    self.recorders[usize::from(now < self.origin)].unsolicited();
                }
                return self.left(conn);
            }
            State::Busy { exchange } => {
                let exchange = self.exchanges.finish(exchange);
                let name = self.settings.requests[usize::from(exchange.cause.request)].name;
                let response_ns = now.nanos_since(exchange.intended);
                let service_ns = now.nanos_since(exchange.sent);
                let recorder = &mut self.recorders[usize::from(exchange.warmup)];
                if let Some(at) = exchange.first_byte {
                    recorder.first_byte(at.nanos_since(exchange.sent));
                }
                recorder.failed(name, class, response_ns, Some(service_ns));
                let capture = self.connections[conn.index as usize].capture.take();
                self.keep_capture(capture);
                self.request_ended(exchange.cause, 0);
                self.close(conn);
            }
            State::Connecting { .. } | State::Handshaking { .. } | State::Greeting => {
                self.targets[target_index].pool.opened();
                self.close(conn);
                self.fail_connect(target_index, class);
            }
            State::Idle => {
                let recorder = &mut self.recorders[usize::from(now < self.origin)];
                if class == ErrorClass::Desync {
                    recorder.unsolicited();
                } else {
                    recorder.closed_idle();
                }
                self.close(conn);
            }
        }
        self.open_for_waiting(target_index);
    }

    /// Closes a connection; whatever it carried has been dealt with.
    pub(super) fn close(&mut self, conn: ConnId) {
        self.io.close(conn);
        let connection = &mut self.connections[conn.index as usize];
        connection.vacate();
        self.targets[connection.target].pool.closed(conn);
    }
}

/// RFC 9110 §15.5.2: the status of a response that may be a challenge.
const UNAUTHORIZED: u16 = 401;

/// Room for a TLS flight or an encrypted request before a buffer grows: 1 KiB.
const TLS_BUFFER: usize = 1_024;
