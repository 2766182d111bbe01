//! The process around a command line, and the files that a plan names.
//!
//! What it is: [`Surroundings`], what reading a run needs of the world, and this process as one of them; [`Here`], the
//! same as a plan file sees it. Invariant: files are looked for from the plan's folder.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use plan::PlanError;
use plan::document::World;
use verdict::Threshold;

/// Largest plan and largest file that a plan has read as a whole.
pub const FILE_BYTES_MAX: u64 = 64 << 20;

/// The process around the command line, as far as reading it needs.
pub trait Surroundings {
    /// An environment variable.
    fn variable(&self, name: &str) -> Option<OsString>;

    /// The contents of a file; `-` is standard input.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Whether there is a directory at `path`.
    fn is_directory(&self, path: &Path) -> bool;

    /// The contents of a plan file, or of one that it names: a regular file of a bounded size.
    fn contents(&self, path: &Path) -> Result<Vec<u8>, String> {
        whole(self.read(path).map_err(|error| reason(&error))?.as_slice())
    }

    /// All of standard input, up to the size of a plan file.
    fn piped(&self) -> Result<Vec<u8>, String> {
        self.contents(Path::new("-"))
    }

    /// Whether there is a regular file that can be read, without reading it.
    fn look(&self, path: &Path) -> Result<(), String> {
        self.read(path).map(|_| ()).map_err(|error| reason(&error))
    }

    /// Where files lie that do not lie where they are written.
    fn placed(&self) -> BTreeMap<PathBuf, PathBuf> {
        BTreeMap::new()
    }
}

/// This process.
#[derive(Copy, Clone, Debug, Default)]
pub struct Process;

impl Surroundings for Process {
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == Path::new("-") {
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut io::stdin().lock(), &mut bytes)?;
            return Ok(bytes);
        }
        fs::read(path)
    }

    fn is_directory(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn contents(&self, path: &Path) -> Result<Vec<u8>, String> {
        whole(regular(path)?)
    }

    fn piped(&self) -> Result<Vec<u8>, String> {
        whole(io::stdin().lock())
    }

    fn look(&self, path: &Path) -> Result<(), String> {
        regular(path).map(|_| ())
    }
}

/// All that there is to read, up to a bound.
fn whole(source: impl Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    source.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| reason(&error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err("it has more than 64 MiB".into());
    }
    Ok(bytes)
}

/// Opens a file; what is none, such as a pipe, could keep the program waiting.
pub(crate) fn regular(path: &Path) -> Result<File, String> {
    let metadata = fs::metadata(path).map_err(|error| reason(&error))?;
    if metadata.is_dir() {
        return Err("it is a directory".into());
    }
    if !metadata.is_file() {
        return Err("it is no regular file".into());
    }
    File::open(path).map_err(|error| reason(&error))
}

/// What the system said, without Rust's number.
pub fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::IsADirectory => "it is a directory".into(),
        _ => error.to_string(),
    }
}

/// How messages call the plan at `file`.
pub fn name_of(file: &Path) -> Cow<'_, str> {
    if file == Path::new("-") { "standard input".into() } else { file.to_string_lossy() }
}

/// Where the paths of a plan file lead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths {
    folder: PathBuf,
    placed: BTreeMap<PathBuf, PathBuf>,
}

impl Paths {
    /// Those of a plan file at `file`; standard input has the current folder.
    pub fn of(file: &Path, placed: BTreeMap<PathBuf, PathBuf>) -> Self {
        let folder = file.parent().filter(|_| file != Path::new("-"));
        Self { folder: folder.unwrap_or(Path::new("")).to_owned(), placed }
    }

    /// Those of a plan file in `folder`.
    pub fn within(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), placed: BTreeMap::new() }
    }

    /// Where the file lies that the plan calls `written`.
    pub fn join(&self, written: impl AsRef<Path>) -> PathBuf {
        let path = self.folder.join(written);
        self.placed.get(&path).cloned().unwrap_or(path)
    }
}

/// The process, as a plan file sees it.
#[derive(Copy, Clone)]
pub struct Here<'a> {
    folder: &'a Path,
    surroundings: &'a dyn Surroundings,
}

impl std::fmt::Debug for Here<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Here").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl<'a> Here<'a> {
    /// This process, for the plan at `file`; standard input has the current folder.
    pub fn of(file: &'a Path) -> Self {
        Self::around(file, &Process)
    }

    /// The same with other surroundings.
    pub fn around(file: &'a Path, surroundings: &'a dyn Surroundings) -> Self {
        let folder = file.parent().filter(|_| file != Path::new("-"));
        Self { folder: folder.unwrap_or(Path::new("")), surroundings }
    }
}

impl World for Here<'_> {
    fn variable(&self, name: &str) -> Result<Option<String>, String> {
        let value = self.surroundings.variable(name);
        value.map(|value| value.into_string().map_err(|_| "is not UTF-8".into())).transpose()
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.surroundings.contents(&self.folder.join(path))
    }

    fn look(&self, path: &str) -> Result<(), String> {
        self.surroundings.look(&self.folder.join(path))
    }

    fn check_threshold(&self, text: &str) -> Result<(), PlanError> {
        Threshold::parse(text).map(|_| ())
    }
}
