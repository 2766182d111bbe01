//! Keys that a person presses while a run lasts, and the terminal that hands them out one by one.
//!
//! What it is: a terminal that is told to hand out keys without a line end and without showing them, and back again
//! whatever happens; and what the keys mean. What it is not: a reader that waits, or that reads while another job has
//! the terminal.
//!
//! Invariants: the terminal is as it was found after every end that a program can see: the end of the run, a signal, a
//! panic of any thread. Reading never blocks, and a job in the background neither reads nor changes the terminal, for
//! which the kernel would stop it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, Once, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::getpgrp;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcgetpgrp, tcsetattr,
};

/// Bytes looked at in one go; more wait for the next.
const BYTES: usize = 64;

/// What begins the bytes of an arrow or a function key.
const ESCAPE: u8 = 0x1b;

/// What the keys of one look come to.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Pressed {
    /// Steps upwards less steps downwards.
    pub steps: i32,
    /// To stop.
    pub stop: bool,
}

impl Pressed {
    /// What bytes of a terminal mean. Keys that send several bytes mean nothing, whatever is among these.
    fn of(bytes: &[u8]) -> Self {
        let mut pressed = Self::default();
        for byte in bytes.iter().take_while(|byte| **byte != ESCAPE) {
            match byte {
                // Without the shift key as well.
                b'+' | b'=' => pressed.steps += 1,
                b'-' | b'_' => pressed.steps -= 1,
                b'q' | b'Q' => pressed.stop = true,
                _ => {}
            }
        }
        pressed
    }
}

/// How a terminal was found, for whoever has to put it back.
struct Found {
    terminal: OwnedFd,
    modes: Termios,
}

/// The terminal that is not as it was found. One at a time: a process has one standard input.
static FOUND: Mutex<Option<Found>> = Mutex::new(None);
static ON_PANIC: Once = Once::new();

/// A terminal that hands out keys.
#[derive(Debug)]
pub struct Keys {
    terminal: OwnedFd,
}

impl Keys {
    /// Has `terminal` hand out keys, until this value goes; none where it is no terminal, another job has it, or it
    /// does not let itself be told.
    pub fn open(terminal: impl AsFd) -> Option<Self> {
        if !isatty(&terminal) || !is_ours(terminal.as_fd()) {
            return None;
        }
        let copy = || terminal.as_fd().try_clone_to_owned().ok();
        let (own, found) = (copy()?, Found { terminal: copy()?, modes: tcgetattr(&terminal).ok()? });
        {
            let mut place = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
            if place.is_some() {
                return None;
            }
            *place = Some(found);
        }
        ON_PANIC.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                before(panic);
            }));
        });
        // From here on going away puts back.
        let keys = Self { terminal: own };
        keys.enter().ok()?;
        Some(keys)
    }

    /// Tells the terminal again, behind a stop in which the shell had it.
    pub fn resume(&self) {
        if is_ours(self.terminal.as_fd()) {
            // A terminal that is gone hands out no keys; the run goes on.
            let _ = self.enter();
        }
    }

    fn enter(&self) -> io::Result<()> {
        let mut modes = tcgetattr(&self.terminal)?;
        // Ctrl-C and Ctrl-Z stay what they are.
        modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        modes.special_codes[SpecialCodeIndex::VMIN] = 0;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&self.terminal, OptionalActions::Now, &modes)?;
        Ok(())
    }

    /// What was pressed since the last look.
    pub fn pressed(&self) -> Pressed {
        if !is_ours(self.terminal.as_fd()) || !has_some(&self.terminal) {
            return Pressed::default();
        }
        let mut bytes = [0; BYTES];
        let count = rustix::io::read(&self.terminal, &mut bytes).unwrap_or(0);
        Pressed::of(&bytes[..count])
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        restore();
    }
}

/// Puts the terminal back as it was found, if it is not.
fn restore() {
    // Whoever holds the lock is about to put it back, or has not changed it yet.
    let Ok(mut place) = FOUND.try_lock() else { return };
    if let Some(found) = place.take() {
        let _ = tcsetattr(&found.terminal, OptionalActions::Now, &found.modes);
    }
}

/// Whether this job has the terminal. One that is not this session's has no jobs.
fn is_ours(terminal: impl AsFd) -> bool {
    match tcgetpgrp(terminal) {
        Ok(group) => group == getpgrp(),
        Err(error) => error == Errno::NOTTY,
    }
}

/// Whether reading would yield something now. A terminal that somebody set back would keep a reader waiting.
fn has_some(terminal: &OwnedFd) -> bool {
    let mut places = [PollFd::new(terminal, PollFlags::IN)];
    poll(&mut places, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests;
