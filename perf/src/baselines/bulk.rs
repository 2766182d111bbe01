//! Large bodies by bare system calls: what moving them costs without a load generator around it.
//!
//! What they are: closed loops over readiness. One sends requests from one buffer, as much at a time as the kernel takes;
//! the other receives answers into one buffer. Neither looks at a byte.
//! What they are not: HTTP clients. They know how long requests and answers are, because the target is ours.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

use rustix::event::epoll;

use super::{BULK_BYTES, Exercise, REPLY_SIZE, REQUEST, Window, broken, connect};
use crate::responder::Manner;

/// Bytes received at once.
const RECEIVE_SIZE: usize = 256 << 10;

/// One connection and how far its exchange has come.
struct Connection {
    stream: TcpStream,
    /// Bytes of the request that are out.
    sent: usize,
    /// Bytes of the answer that have come.
    received: usize,
}

/// Uploads.
pub(super) fn send(exercise: &Exercise) -> io::Result<Window> {
    let mut request =
        format!("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {BULK_BYTES}\r\n\r\n").into_bytes();
    request.resize(request.len() + BULK_BYTES, b'x');
    run(exercise, &request, REPLY_SIZE)
}

/// Downloads.
pub(super) fn receive(exercise: &Exercise) -> io::Result<Window> {
    run(exercise, REQUEST, Manner { body_bytes: Some(BULK_BYTES), ..Manner::PLAIN }.reply(false).len())
}

fn run(exercise: &Exercise, request: &[u8], reply_size: usize) -> io::Result<Window> {
    let streams = connect(exercise.address, exercise.connections)?;
    let mut connections: Vec<Connection> =
        streams.into_iter().map(|stream| Connection { stream, sent: 0, received: 0 }).collect();
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (place, connection) in connections.iter_mut().enumerate() {
        connection.stream.set_nonblocking(true)?;
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        epoll::add(&epoll, &connection.stream, epoll::EventData::new_u64(place as u64), flags)?;
    }
    let mut window = Window::of_seconds(exercise.seconds);
    let mut events = Vec::with_capacity(connections.len());
    let mut bytes = vec![0; RECEIVE_SIZE];
    loop {
        events.clear();
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let connection = &mut connections[usize::try_from(event.data.u64()).expect("a place")];
            if !connection.go_on(request, reply_size, &mut bytes, &mut window)? {
                return Ok(window);
            }
        }
    }
}

impl Connection {
    /// Goes on until the kernel has no more or takes no more, or a whole request is out: then it is the turn of others.
    /// Whether the measurement goes on.
    fn go_on(
        &mut self,
        request: &[u8],
        reply_size: usize,
        bytes: &mut [u8],
        window: &mut Window,
    ) -> io::Result<bool> {
        while self.sent == request.len() {
            match self.stream.read(bytes) {
                Ok(0) => return Err(broken()),
                Ok(count) => self.received += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
            if self.received > reply_size {
                return Err(broken());
            }
            if self.received == reply_size {
                (self.sent, self.received) = (0, 0);
                if !window.answered(1) {
                    return Ok(false);
                }
            }
        }
        match self.stream.write(&request[self.sent..]) {
            // Of less than all, the kernel tells by an edge when there is room again.
            Ok(count) => self.sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(true)
    }
}
