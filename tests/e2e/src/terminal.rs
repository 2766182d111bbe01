//! A terminal with somebody before it: a real pseudo-terminal, whose keys a test presses and whose screen it reads.

use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::waiting::wait_for;

/// A terminal of 100 columns and 30 rows.
#[derive(Debug)]
pub struct Terminal {
    typist: OwnedFd,
    program: OwnedFd,
    screen: Vec<u8>,
}

impl Terminal {
    /// A new one.
    pub fn open() -> Self {
        let typist = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&typist).expect("it is ours");
        unlockpt(&typist).expect("it opens");
        let name = ptsname(&typist, Vec::new()).expect("it has a name");
        let program = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("its other end");
        let size = Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&typist, size).expect("it has a size");
        let flags = fcntl_getfl(&typist).expect("flags");
        fcntl_setfl(&typist, flags | OFlags::NONBLOCK).expect("reading does not wait");
        Self { typist, program, screen: Vec::new() }
    }

    /// A stream of a program that is this terminal.
    pub fn stream(&self) -> Stdio {
        self.program.try_clone().expect("a descriptor").into()
    }

    /// Presses keys.
    pub fn press(&self, keys: &str) {
        rustix::io::write(&self.typist, keys.as_bytes()).expect("somebody types");
    }

    /// Everything that was shown so far, control codes included.
    pub fn shown(&mut self) -> String {
        let mut bytes = [0; 4096];
        while let Ok(count) = rustix::io::read(self.typist.as_fd(), &mut bytes) {
            if count == 0 {
                break;
            }
            self.screen.extend_from_slice(&bytes[..count]);
        }
        String::from_utf8_lossy(&self.screen).into_owned()
    }

    /// Waits until something was shown.
    pub fn wait_for(&mut self, words: &str, limit: Duration) {
        wait_for(words, limit, || self.shown().contains(words).then_some(()));
    }

    /// Whether it hands out whole lines and shows what is typed, as it did when it was new.
    pub fn is_as_new(&self) -> bool {
        let modes = tcgetattr(&self.program).expect("a terminal has modes").local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }
}
