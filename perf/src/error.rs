//! What can keep a measurement from being made. A client that fails in one round is no error: it is a gap in a table.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why nothing could be measured.
#[derive(Debug, Error)]
pub enum PerfError {
    /// A system call that must work did not.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A program could not be started.
    #[error("cannot start {}: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A program that was needed failed.
    #[error("{program} failed: {detail}")]
    Failed {
        /// The program.
        program: String,
        /// Its last words.
        detail: String,
    },
    /// A baseline could not run.
    #[error("baseline {name}: {detail}")]
    Baseline {
        /// Which.
        name: &'static str,
        /// Why.
        detail: String,
    },
    /// The command line asks for something that this machine or build has not.
    #[error("{what}")]
    Refused {
        /// What, and how to fix it.
        what: String,
    },
    /// The tables could not be written.
    #[error("cannot write the results: {source}")]
    Output {
        /// What the system said.
        source: io::Error,
    },
}

impl PerfError {
    /// For `map_err`: a system call that must work did not.
    pub fn system<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::System { what, source: error.into() }
    }
}
