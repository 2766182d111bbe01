//! The least that a readiness loop does: wait, read what is ready, send the next request.

use std::io::{self, Read, Write};

use rustix::event::epoll;

use super::{Exercise, REPLY_SIZE, REQUEST, Window, broken, connect};

pub(super) fn run(exercise: &Exercise) -> io::Result<Window> {
    let mut streams = connect(exercise.address, exercise.connections)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (place, stream) in streams.iter_mut().enumerate() {
        stream.set_nonblocking(true)?;
        // Edges, for a reply is read whole at once: there is never a second read that finds nothing.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &*stream, epoll::EventData::new_u64(place as u64), flags)?;
        send(stream)?;
    }
    let mut window = Window::of_seconds(exercise.seconds);
    let mut events = Vec::with_capacity(streams.len());
    let mut bytes = [0; 4096];
    loop {
        events.clear();
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let place = usize::try_from(event.data.u64()).expect("a place");
            let stream = &mut streams[place];
            if stream.read(&mut bytes)? != REPLY_SIZE {
                return Err(broken());
            }
            if !window.answered(1) {
                return Ok(window);
            }
            send(stream)?;
        }
    }
}

fn send(stream: &mut impl Write) -> io::Result<()> {
    if stream.write(REQUEST)? == REQUEST.len() { Ok(()) } else { Err(broken()) }
}
