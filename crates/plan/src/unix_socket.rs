//! `--unix-socket PATH`, as curl has it: connections go to a Unix socket; the URL says the rest.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::PlanError;
use crate::text::quoted;

/// A Unix socket's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnixSocket {
    /// A path in the file system.
    Path(PathBuf),
    /// A name in Linux's abstract namespace, without the NUL in front.
    Abstract(String),
}

impl UnixSocket {
    /// Reads a path, or `@NAME` for an abstract name.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        if text.is_empty() || text == "@" {
            let what = "the socket's path is empty: is a variable unset?";
            return Err(PlanError::new(what, "e.g. /run/app.sock, or @name for an abstract socket"));
        }
        // sockaddr_un holds 108 bytes, one of which is a NUL: behind a path, in front of an abstract name.
        if text.strip_prefix('@').unwrap_or(text).len() > 107 {
            let what = format!("the socket's path has {} bytes", text.len());
            return Err(PlanError::new(what, "at most 107; a relative path may be shorter"));
        }
        if text.chars().any(char::is_control) || text.starts_with("unix:") {
            return Err(PlanError::new(format!("{} is not a path", quoted(text)), "e.g. /run/app.sock"));
        }
        Ok(match text.strip_prefix('@') {
            Some(name) => Self::Abstract(name.to_owned()),
            None => Self::Path(PathBuf::from(text)),
        })
    }

    /// The path; `None` for an abstract name.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Abstract(_) => None,
        }
    }

    /// The bytes by which the kernel knows it: the path's, or a NUL and the abstract name's.
    pub fn kernel_name(&self) -> Vec<u8> {
        match self {
            Self::Path(path) => path.as_os_str().as_encoded_bytes().to_vec(),
            Self::Abstract(name) => [b"\0", name.as_bytes()].concat(),
        }
    }
}

impl fmt::Display for UnixSocket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(formatter, "unix:{}", path.display()),
            Self::Abstract(name) => write!(formatter, "unix:@{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_abstract_names() {
        for (text, shown, kernel) in [
            ("/run/app.sock", "unix:/run/app.sock", b"/run/app.sock".as_slice()),
            ("app.sock", "unix:app.sock", b"app.sock"),
            ("@app", "unix:@app", b"\0app"),
            ("./@app", "unix:./@app", b"./@app"),
        ] {
            let socket = UnixSocket::parse(text).expect(text);
            assert_eq!((socket.to_string().as_str(), socket.kernel_name().as_slice()), (shown, kernel));
            assert_eq!(socket.path().is_some(), !text.starts_with('@'));
        }
        assert!(UnixSocket::parse(&"a".repeat(107)).is_ok());
    }

    #[test]
    fn wrong_paths_say_how_to_fix_them() {
        let (long, long_name) = ("a".repeat(108), format!("@{}", "a".repeat(108)));
        for (text, fragment) in [
            ("", "is a variable unset?"),
            ("@", "is a variable unset?"),
            (long.as_str(), "has 108 bytes → at most 107"),
            (long_name.as_str(), "has 109 bytes → at most 107"),
            ("a\0b", "is not a path"),
            ("a\nb", "is not a path"),
            ("unix:/run/app.sock", "is not a path → e.g. /run/app.sock"),
        ] {
            let message = UnixSocket::parse(text).expect_err(text).to_string();
            assert!(message.contains(fragment), "{text}: {message}");
        }
    }
}
