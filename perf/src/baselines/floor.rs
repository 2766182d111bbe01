//! The floor: one `send(2)` on each connection, then one `recv(2)` on each, blocking, and nothing else.

use std::io::{self, Read, Write};

use super::{Exercise, REPLY_SIZE, REQUEST, Window, broken, connect};

pub(super) fn run(exercise: &Exercise) -> io::Result<Window> {
    let mut streams = connect(exercise.address, exercise.connections)?;
    let mut window = Window::of_seconds(exercise.seconds);
    let mut bytes = [0; 4096];
    loop {
        for stream in &mut streams {
            if stream.write(REQUEST)? != REQUEST.len() {
                return Err(broken());
            }
        }
        for stream in &mut streams {
            if stream.read(&mut bytes)? != REPLY_SIZE {
                return Err(broken());
            }
        }
        if !window.answered(u64::from(exercise.connections)) {
            return Ok(window);
        }
    }
}
