//! The async runtimes that were weighed as foundations: the same closed loop, once on each.
//!
//! What it is: a program apart, behind the feature `baselines`, because nothing else in the tree needs to compile
//! these runtimes. `perf` builds it when it measures. Each runtime stands on `io_uring` and keeps its defaults.

#![forbid(unsafe_code)]

mod on_compio;
mod on_glommio;
mod on_monoio;

use std::cell::RefCell;
use std::io;
use std::process::ExitCode;
use std::rc::Rc;

use clap::Parser;
use perf::baselines::{self, Exercise, Kind, Window};

/// One runtime, one target.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    exercise: Exercise,
}

/// The window that all tasks of a thread count into.
type SharedWindow = Rc<RefCell<Window>>;

fn main() -> ExitCode {
    let exercise = Arguments::parse().exercise;
    let done = match exercise.kind {
        Kind::Monoio => on_monoio::run(&exercise),
        Kind::Glommio => on_glommio::run(&exercise),
        Kind::Compio => on_compio::run(&exercise),
        Kind::Floor | Kind::Epoll | Kind::Ring | Kind::SendLoop | Kind::RecvLoop | Kind::Still => {
            Err(io::Error::other("`perf baseline` has it"))
        }
    };
    match baselines::print(exercise.kind, done) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error goes to whoever started us; if nobody reads it, the code still tells.
            let _ = io::Write::write_all(&mut io::stderr(), format!("{error}\n").as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn shared(exercise: &Exercise) -> SharedWindow {
    Rc::new(RefCell::new(Window::of_seconds(exercise.seconds)))
}

/// Takes the window back once every task has ended.
fn whole(window: SharedWindow) -> io::Result<Window> {
    Rc::try_unwrap(window).map(RefCell::into_inner).map_err(|_| io::Error::other("a task still runs"))
}

fn ended() -> io::Error {
    io::Error::from(io::ErrorKind::UnexpectedEof)
}
