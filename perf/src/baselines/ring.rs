//! The engine's driver with no engine on it: what raw `io_uring` costs.

use std::io;

use uring::{Completion, Driver, Limits, Wait};

use super::{Exercise, REPLY_SIZE, REQUEST, Window, broken};

pub(super) fn run(exercise: &Exercise) -> io::Result<Window> {
    let connections = exercise.connections;
    let limits = Limits { connections, buffer_size: 4096, buffer_count: 2 * connections };
    let mut driver = Driver::new(limits).map_err(|refusal| io::Error::other(refusal.to_string()))?;
    let request = driver.prepare(Box::from(REQUEST));
    for _ in 0..connections {
        driver.connect(&exercise.address).map_err(|errno| io::Error::from_raw_os_error(errno.0))?;
    }
    let mut window = Window::of_seconds(exercise.seconds);
    loop {
        driver.wait(Wait::Until(uring::now().plus_nanos(clock::NANOS_PER_SECOND)))?;
        while let Some(completion) = driver.completion() {
            match completion {
                Completion::Connected { conn } => driver.send(conn, request),
                Completion::Received { conn, lent } => {
                    let count = lent.len as usize;
                    driver.release(lent);
                    if count != REPLY_SIZE {
                        return Err(broken());
                    }
                    if !window.answered(1) {
                        return Ok(window);
                    }
                    driver.send(conn, request);
                }
                _ => return Err(broken()),
            }
        }
    }
}
