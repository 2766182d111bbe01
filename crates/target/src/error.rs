//! What can go wrong before the target runs.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A text that is no valid setting: what, where in it, and how to fix it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} {text:?}: {problem}; {fix}")]
pub struct ParseError {
    /// The setting in words, such as `delay law`.
    pub setting: &'static str,
    /// The whole text as given.
    pub text: String,
    /// What is wrong, with the part that is.
    pub problem: String,
    /// What to write instead.
    pub fix: String,
}

/// Why the target did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error(
        "the target cannot listen on {address}: {source}; choose a free port (0 takes any) and a local address"
    )]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Something that every thread needs was refused.
    #[error(
        "the target cannot create its {what}: {source}; raise the descriptor limit (ulimit -n) or stop other programs"
    )]
    Resource {
        /// What was refused.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A thread cannot run where it was told to.
    #[error(
        "the target cannot run on core {core}: {source}; name cores that this process may use (see `nproc`, `taskset -p $$`)"
    )]
    Core {
        /// The core asked for.
        core: usize,
        /// What the system said.
        source: io::Error,
    },
    /// A setting is out of its range, or two do not go together.
    #[error("the target's {setting} {problem}; {fix}")]
    Setting {
        /// The setting in words.
        setting: &'static str,
        /// What is wrong.
        problem: String,
        /// What to write instead.
        fix: &'static str,
    },
    /// A certificate or key is unusable.
    #[error(
        "the target's {what} is unusable: {problem}; give PEM text of a certificate chain and its private key"
    )]
    Certificate {
        /// Which of them.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A file cannot be written.
    #[error("the target cannot write {path}: {source}; choose a path in a writable directory", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl StartError {
    /// The caller asked for something invalid, and the environment is not to blame.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Setting { .. } | Self::Certificate { .. })
    }
}
