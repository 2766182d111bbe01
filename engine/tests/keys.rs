//! The terminal that hands out keys, in a process of its own: what a panic puts back is the process's.

use std::os::fd::OwnedFd;

use engine::keys::{Keys, Pressed};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};

/// A terminal's two ends: the one of whoever types, and the one of the program.
fn terminal() -> (OwnedFd, OwnedFd) {
    let typist = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
    grantpt(&typist).expect("it is ours");
    unlockpt(&typist).expect("it opens");
    let name = ptsname(&typist, Vec::new()).expect("it has a name");
    let program = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("its other end");
    (typist, program)
}

fn modes(terminal: &OwnedFd) -> (LocalModes, u8) {
    let modes = tcgetattr(terminal).expect("a terminal has modes");
    (modes.local_modes, modes.special_codes[SpecialCodeIndex::VMIN])
}

/// What is pressed within a second.
fn pressed(keys: &Keys, terminal: &OwnedFd) -> Pressed {
    let mut place = [PollFd::new(terminal, PollFlags::IN)];
    let second = Timespec { tv_sec: 1, tv_nsec: 0 };
    poll(&mut place, Some(&second)).expect("a terminal can be waited for");
    keys.pressed()
}

#[test]
fn a_terminal_hands_out_keys_and_is_put_back_whatever_happens() {
    let (typist, program) = terminal();
    let found = modes(&program);
    assert!(found.0.contains(LocalModes::ICANON | LocalModes::ECHO));
    let keys = Keys::open(&program).expect("a terminal");
    let told = modes(&program);
    assert!(!told.0.intersects(LocalModes::ICANON | LocalModes::ECHO) && told.0.contains(LocalModes::ISIG));
    assert!(Keys::open(&program).is_none(), "one at a time");
    assert_eq!(keys.pressed(), Pressed::default(), "reading never waits");
    rustix::io::write(&typist, b"++q").expect("somebody types");
    assert_eq!(pressed(&keys, &program), Pressed { steps: 2, stop: true });
    // A shell had it meanwhile; without a line end nothing is handed out then, and nothing waits.
    let mut shell = tcgetattr(&program).expect("modes");
    shell.local_modes.insert(LocalModes::ICANON | LocalModes::ECHO);
    tcsetattr(&program, OptionalActions::Now, &shell).expect("it is told");
    rustix::io::write(&typist, b"+").expect("somebody types");
    assert_eq!(keys.pressed(), Pressed::default());
    keys.resume();
    assert_eq!(modes(&program).0, told.0);
    drop(keys);
    assert_eq!(modes(&program), found);
    // A panic of another thread, which in a release build ends the process there and then: the hook has put it back.
    let keys = Keys::open(&program).expect("a terminal");
    assert_eq!(modes(&program).0, told.0);
    std::thread::spawn(|| panic!("on purpose")).join().expect_err("it panicked");
    assert_eq!(modes(&program), found);
    drop(keys);
    let (reader, _writer) = rustix::pipe::pipe().expect("a pipe");
    assert!(Keys::open(&reader).is_none(), "no terminal");
}
