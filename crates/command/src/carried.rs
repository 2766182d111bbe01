//! What a reading took from the process around it, so that the same words mean the same on another machine.
//!
//! What it is: [`Recording`], surroundings that note what was asked of them, and [`Carried`], surroundings made of such
//! notes. What it is not: a copier of files; whoever carries them says where they lie.
//!
//! Invariant: [`Carried`] opens no path that a plan names. It looks it up among the files that came along, so that
//! neither `..` nor an absolute path leads out of them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::files::{Process, Surroundings, reason};

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// Variables that were set, with their values.
    pub variables: BTreeMap<String, String>,
    /// Files that were opened, by their path as it was asked for.
    pub files: Vec<PathBuf>,
    /// Standard input, where it was read.
    pub piped: Option<Vec<u8>>,
}

/// Surroundings that note what is read of them.
pub struct Recording<'a> {
    inner: &'a dyn Surroundings,
    noted: RefCell<Noted>,
}

impl std::fmt::Debug for Recording<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The values may be secrets.
        formatter.debug_struct("Recording").field("files", &self.noted.borrow().files).finish_non_exhaustive()
    }
}

impl<'a> Recording<'a> {
    /// Notes what is read of `inner`.
    pub fn of(inner: &'a dyn Surroundings) -> Self {
        Self { inner, noted: RefCell::default() }
    }

    /// What was read, without the variables of flags that stay behind, such as [`crate::OUTPUTS`].
    pub fn without(self, flags: &[&str]) -> Noted {
        let mut noted = self.noted.into_inner();
        let stays = |name: &str| {
            let colour = matches!(name, "NO_COLOR" | "CLICOLOR_FORCE");
            colour || flags.iter().any(|flag| variable_of(flag) == name)
        };
        noted.variables.retain(|name, _| !stays(name));
        noted
    }

    fn note(&self, path: &Path) {
        let files = &mut self.noted.borrow_mut().files;
        if !files.iter().any(|known| known == path) {
            files.push(path.to_owned());
        }
    }

    fn note_piped<E>(&self, bytes: Result<Vec<u8>, E>) -> Result<Vec<u8>, E> {
        bytes.inspect(|bytes| self.noted.borrow_mut().piped = Some(bytes.clone()))
    }
}

/// The environment variable of a flag: `ENGINE_MAX_LAG` for `--max-lag`.
fn variable_of(flag: &str) -> String {
    format!("ENGINE_{}", flag.trim_start_matches('-').to_ascii_uppercase().replace('-', "_"))
}

impl Surroundings for Recording<'_> {
    fn variable(&self, name: &str) -> Option<OsString> {
        let value = self.inner.variable(name)?;
        // What is no text is refused by whoever asked.
        if let Some(text) = value.to_str() {
            self.noted.borrow_mut().variables.insert(name.to_owned(), text.to_owned());
        }
        Some(value)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == Path::new("-") {
            if let Some(bytes) = &self.noted.borrow().piped {
                return Ok(bytes.clone());
            }
            return self.note_piped(self.inner.read(path));
        }
        self.inner.read(path).inspect(|_| self.note(path))
    }

    fn is_directory(&self, path: &Path) -> bool {
        self.inner.is_directory(path)
    }

    fn contents(&self, path: &Path) -> Result<Vec<u8>, String> {
        self.inner.contents(path).inspect(|_| self.note(path))
    }

    fn piped(&self) -> Result<Vec<u8>, String> {
        self.note_piped(self.inner.piped())
    }

    fn look(&self, path: &Path) -> Result<(), String> {
        self.inner.look(path).inspect(|()| self.note(path))
    }

    fn placed(&self) -> BTreeMap<PathBuf, PathBuf> {
        self.inner.placed()
    }
}

/// Surroundings made of what a [`Recording`] noted.
#[derive(Clone, Default)]
pub struct Carried {
    /// Variables, with their values.
    pub variables: BTreeMap<String, String>,
    /// Files: from the path by which they are asked for to where they lie. Standard input is `-`.
    pub files: BTreeMap<String, PathBuf>,
}

impl std::fmt::Debug for Carried {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&String> = self.variables.keys().collect();
        formatter.debug_struct("Carried").field("variables", &names).field("files", &self.files).finish()
    }
}

impl Carried {
    fn place(&self, path: &Path) -> io::Result<&Path> {
        let place = path.to_str().and_then(|text| self.files.get(text)).map(PathBuf::as_path);
        place.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Surroundings for Carried {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.variables.get(name).map(OsString::from)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Process.read(self.place(path)?)
    }

    fn is_directory(&self, _path: &Path) -> bool {
        false
    }

    fn contents(&self, path: &Path) -> Result<Vec<u8>, String> {
        Process.contents(self.place(path).map_err(|error| reason(&error))?)
    }

    fn look(&self, path: &Path) -> Result<(), String> {
        Process.look(self.place(path).map_err(|error| reason(&error))?)
    }

    fn placed(&self) -> BTreeMap<PathBuf, PathBuf> {
        self.files.iter().map(|(written, place)| (PathBuf::from(written), place.clone())).collect()
    }
}
