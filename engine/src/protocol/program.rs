//! A whole program around an own protocol: the engine's command line, with what the protocol needs.
//!
//! What it is: [`run`], and the data with which a program says what it is. What it is not: the reading of flags, which is
//! `args`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

pub use plan::OwnScheme as Scheme;

use super::{Protocol, Spoken};
use crate::args::{self, Process};
use crate::program;

/// What a program with a protocol of its own is.
#[derive(Copy, Clone, Debug)]
pub struct About {
    /// The program's name, as one types it.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// How its URLs begin; at least one, and the first is the protocol's name.
    pub schemes: &'static [Scheme],
    /// Flags that it has beside the engine's.
    pub flags: &'static [Flag],
}

impl About {
    /// What the protocol is called.
    ///
    /// # Panics
    /// When no scheme is declared.
    pub fn protocol(&self) -> &'static str {
        self.schemes.first().expect("a program says how its URLs begin").name
    }

    /// A URL for messages.
    pub(crate) fn example_url(&self) -> String {
        let port = self.schemes.first().map_or(0, |scheme| scheme.default_port);
        format!("{}://127.0.0.1:{port}", self.protocol())
    }
}

/// A flag of a program's own. Its value is a text, and it is also read from the environment: `--value-size` from
/// `ENGINE_VALUE_SIZE`. A secret should be read from a variable of your own, so that no list of processes shows it.
#[derive(Copy, Clone, Debug)]
pub struct Flag {
    /// Its name, without dashes.
    pub name: &'static str,
    /// What its value is, for the help: `SIZE`.
    pub value: &'static str,
    /// What it is for, in one line.
    pub help: &'static str,
}

/// What the flags of a program's own were given.
#[derive(Clone, Debug, Default)]
pub struct Given(BTreeMap<&'static str, String>);

impl Given {
    /// The value of the flag with this name, without dashes; `None` where it was not given.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn set(&mut self, name: &'static str, text: String) {
        self.0.insert(name, text);
    }
}

/// The whole program: reads `arguments`, the program's name first, and the environment as the engine does, makes the
/// protocol of the flags that are its own, carries out the run and reports it. Yields the exit code.
///
/// Of the engine's flags, those about HTTP requests are refused, and there is no built-in target: a URL is needed. An error
/// of `protocol` is told as it is, with exit code 2; say what is wrong and how to fix it, such as
/// `--mix: "PUT" is no command → GET, SET or INCR`.
pub fn run<P: Protocol>(
    about: &About,
    arguments: impl IntoIterator<Item = OsString>,
    protocol: impl FnOnce(&Given) -> Result<P, String>,
) -> ExitCode {
    let speak = |given: &Given| Spoken::new(about.protocol(), Arc::new(protocol(given)?));
    let command = args::parse_own(arguments, &Process, about, speak);
    ExitCode::from(program::end(command).code())
}
