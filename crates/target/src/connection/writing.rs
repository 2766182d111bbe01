//! Hot path. The sending half of a connection: answers that are due, in order, as far as the peer takes them.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write as _};
use std::time::Duration;

use clock::Timestamp;
use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown, send, shutdown, sockopt};
use rustls::ServerConnection;

use super::{Connection, Context, GATHER_BYTES, Gone, LINGER_NS, PIPELINE_LIMIT, Sink};
use crate::log::Answered;
use crate::reply::{After, Content};

impl Connection {
    /// Writes every answer that is due, as far as the peer takes them.
    pub(crate) fn write(&mut self, context: &mut Context) -> Result<(), Gone> {
        let ending = match self.tls.take() {
            None => self.write_plain(context),
            Some(mut tls) => {
                let ending = self.write_tls(&mut tls, context);
                self.tls = Some(tls);
                ending
            }
        }?;
        if self.is_paused && self.replies.len() < PIPELINE_LIMIT / 2 {
            self.is_paused = false;
            self.wants_turn = true;
        }
        match ending {
            After::Next => {}
            After::Close => self.close(context.now)?,
            After::Reset => {
                // A linger time of zero turns the close into a reset.
                let _ = sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO));
                return Err(Gone);
            }
        }
        let owes = self.replies.front().is_some_and(|reply| reply.due < Timestamp::MAX);
        let lingered = context.now >= self.linger_until;
        if lingered || (self.has_peer_finished && !owes) { Err(Gone) } else { Ok(()) }
    }

    /// Shuts the sending side, and waits for the peer: to close with unread input at hand would reset the
    /// connection and could destroy the last answer on its way (RFC 9112 §9.6).
    fn close(&mut self, now: Timestamp) -> Result<(), Gone> {
        self.replies.clear();
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _ = tls.write_tls(&mut Sink(&self.socket));
        }
        shutdown(&self.socket, Shutdown::Write).map_err(|_| Gone)?;
        self.is_lingering = true;
        self.linger_until = now.plus_nanos(LINGER_NS);
        Ok(())
    }

    fn write_plain(&mut self, context: &mut Context) -> Result<After, Gone> {
        loop {
            let Some(front) = self.replies.front().filter(|reply| reply.due <= context.now) else {
                return Ok(After::Next);
            };
            let (head, body) = context.shared.replies.parts(front);
            let body_sent = self.written.checked_sub(head.len());
            let sent = match body_sent {
                // A large body goes from where it lies.
                Some(from) if body.len() - from >= GATHER_BYTES => {
                    send(&self.socket, &body[from..], SendFlags::NOSIGNAL)
                }
                _ => {
                    let mut output = std::mem::take(&mut context.output);
                    self.gather(&mut output, context);
                    let sent = if output.is_empty() {
                        Ok(0)
                    } else {
                        send(&self.socket, &output, SendFlags::NOSIGNAL)
                    };
                    context.output = output;
                    sent
                }
            };
            match sent {
                Ok(count) => {
                    context.tick();
                    let ending = self.sent(count, context);
                    if ending != After::Next {
                        return Ok(ending);
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(After::Next),
                Err(_) => return Err(Gone),
            }
        }
    }

    /// Copies the beginning of what is due, small answers together.
    fn gather(&self, output: &mut Vec<u8>, context: &Context) {
        output.clear();
        let mut skipped = self.written;
        for reply in self.replies.iter().take_while(|reply| reply.due <= context.now) {
            let (head, body) = context.shared.replies.parts(reply);
            for part in [head, body] {
                let from = skipped.min(part.len());
                skipped -= from;
                let room = GATHER_BYTES - output.len();
                let rest = &part[from..];
                output.extend_from_slice(&rest[..rest.len().min(room)]);
            }
            if output.len() == GATHER_BYTES || reply.after != After::Next {
                return;
            }
        }
    }

    /// `count` more bytes were handed over.
    fn sent(&mut self, count: usize, context: &Context) -> After {
        self.written += count;
        while let Some(reply) = self.replies.front().filter(|reply| reply.due <= context.now) {
            let (head, body) = context.shared.replies.parts(reply);
            let size = head.len() + body.len();
            if self.written < size {
                break;
            }
            self.written -= size;
            let ending = self.finish_front(context);
            if ending != After::Next {
                return ending;
            }
        }
        After::Next
    }

    /// The first answer is written whole.
    fn finish_front(&mut self, context: &Context) -> After {
        let Some(reply) = self.replies.pop_front() else { return After::Next };
        if self.replies.is_empty() && self.replies.capacity() > PIPELINE_LIMIT {
            self.replies = VecDeque::new();
        }
        if let Some(status) = reply.status(&context.shared.replies) {
            let (head, body) = context.shared.replies.parts(&reply);
            let answered = Answered {
                arrived: reply.arrived,
                written: context.now,
                drawn_ns: reply.drawn_ns,
                status,
                bytes: (head.len() + body.len()) as u64,
                is_timed: !matches!(reply.content, Content::Refusal(_)),
            };
            context.log(|log| log.answered(&answered));
        }
        reply.after
    }

    fn write_tls(&mut self, tls: &mut ServerConnection, context: &mut Context) -> Result<After, Gone> {
        loop {
            let has_fed = self.feed(tls, context);
            while tls.wants_write() {
                match tls.write_tls(&mut Sink(&self.socket)) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(After::Next),
                    Err(_) => return Err(Gone),
                }
            }
            if self.held_by_tls > 0 {
                context.tick();
            }
            while self.held_by_tls > 0 {
                self.held_by_tls -= 1;
                let ending = self.finish_front(context);
                if ending != After::Next {
                    return Ok(ending);
                }
            }
            if !has_fed {
                return Ok(After::Next);
            }
        }
    }

    /// Hands answers that are due to rustls, as far as its buffer takes them. Returns whether it took any.
    fn feed(&mut self, tls: &mut ServerConnection, context: &Context) -> bool {
        let mut has_fed = false;
        if tls.is_handshaking() {
            return false;
        }
        while let Some(reply) = self.replies.get(self.held_by_tls).filter(|reply| reply.due <= context.now) {
            let (head, body) = context.shared.replies.parts(reply);
            let size = head.len() + body.len();
            if self.written < size {
                let body = &body[self.written.saturating_sub(head.len())..];
                let head = &head[self.written.min(head.len())..];
                let Ok(count @ 1..) = tls.writer().write_vectored(&[IoSlice::new(head), IoSlice::new(body)])
                else {
                    return has_fed;
                };
                self.written += count;
                has_fed = true;
                if self.written < size {
                    continue;
                }
            }
            has_fed = true;
            self.written = 0;
            self.held_by_tls += 1;
            if reply.after != After::Next {
                return true;
            }
        }
        has_fed
    }
}
