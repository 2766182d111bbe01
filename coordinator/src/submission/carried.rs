//! The surroundings in which a plan is read here: the variables and files that came with it, and nothing of this process.
//!
//! Invariant: no path that a plan names is opened. It is looked up among the files that came along, whose contents lie sealed
//! in the repository.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::Path;

use command::{FILE_BYTES_MAX, Surroundings, reason};
use wire::{FileRef, Spec};

use crate::files::{Content, Repository};

/// What came with a spec.
pub(super) struct Carried<'a> {
    spec: &'a Spec,
    repository: &'a Repository,
}

impl<'a> Carried<'a> {
    pub(super) fn of(spec: &'a Spec, repository: &'a Repository) -> Self {
        Self { spec, repository }
    }

    fn file(&self, path: &Path) -> io::Result<&FileRef> {
        path.to_str().and_then(|text| self.spec.files.get(text)).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn content(&self, path: &Path) -> io::Result<Content> {
        self.repository.content(&self.file(path)?.sha256)
    }
}

impl Surroundings for Carried<'_> {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.spec.variables.get(name).map(OsString::from)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.content(path)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn is_directory(&self, _path: &Path) -> bool {
        false
    }

    fn contents(&self, path: &Path) -> Result<Vec<u8>, String> {
        if self.file(path).is_ok_and(|file| file.size > FILE_BYTES_MAX) {
            return Err("it has more than 64 MiB".to_owned());
        }
        self.read(path).map_err(|error| reason(&error))
    }

    fn look(&self, path: &Path) -> Result<(), String> {
        self.content(path).map(|_| ()).map_err(|error| reason(&error))
    }
}
