//! The folder in which a node keeps what has to survive its process.
//!
//! What it is: the lock by which one process at a time is the node, the number of its life, and files of plans by their
//! content. What it is not: the deltas, which `spool` keeps beside them.
//!
//! Invariants: the number of a life rises, also where the folder was lost; a file under the name of a digest has that digest.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use clock::wall_time;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};
use wire::FileRef;

/// A node's folder, held by this process alone.
#[derive(Debug)]
pub(super) struct State {
    folder: PathBuf,
    /// Held for as long as the process lives.
    _lock: File,
}

/// Why a node's folder is not to be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum StateError {
    /// Another process is that node.
    #[error("another process uses {} → give each node a --name or a --state of its own", folder.display())]
    Locked {
        /// The folder.
        folder: PathBuf,
    },
    /// The operating system refuses it.
    #[error("cannot use {}: {error} → name a folder that this user may write with --state", folder.display())]
    System {
        /// The folder.
        folder: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

impl State {
    /// Takes the folder, which is made if there is none.
    pub(super) fn take(folder: &Path) -> Result<Self, StateError> {
        let system = |error| StateError::System { folder: folder.to_owned(), error };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(system)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(folder.join("lock")).map_err(system)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(StateError::Locked { folder: folder.to_owned() });
            }
            Err(error) => return Err(system(error.into())),
        }
        fs::create_dir_all(folder.join("files")).map_err(system)?;
        Ok(Self { folder: folder.to_owned(), _lock: lock })
    }

    /// Where it is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The number of this life. Wall time keeps it rising where the folder was lost.
    pub(super) fn next_incarnation(&self) -> io::Result<u64> {
        let path = self.folder.join("incarnation");
        let before = match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().unwrap_or(0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0_u64,
            Err(error) => return Err(error),
        };
        let wall_ms = u64::try_from(wall_time().as_millis()).unwrap_or(0);
        let number = before.saturating_add(1).max(wall_ms);
        self.replace(&path, number.to_string().as_bytes())?;
        Ok(number)
    }

    /// Where the counts of the second at hand are kept for a run.
    pub(super) fn live(&self) -> PathBuf {
        self.folder.join("live")
    }

    /// Where the deltas are.
    pub(super) fn deltas(&self) -> PathBuf {
        self.folder.join("deltas")
    }

    /// Where a file of this content is, or would be.
    pub(super) fn place(&self, file: &FileRef) -> PathBuf {
        self.folder.join("files").join(hex(&file.sha256))
    }

    /// Whether the file of this content is there, and still has it.
    pub(super) fn has(&self, file: &FileRef) -> bool {
        let path = self.place(file);
        let sized = fs::metadata(&path).is_ok_and(|found| found.is_file() && found.len() == file.size);
        sized && digest_of(&path).is_ok_and(|digest| digest == file.sha256)
    }

    /// Begins to take a file in.
    pub(super) fn incoming(&self, file: FileRef) -> io::Result<Incoming> {
        let path = self.place(&file).with_extension("part");
        let mut options = OpenOptions::new();
        let part = options.write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        Ok(Incoming { file, path, part, bytes: 0, digest: Sha256::new() })
    }

    /// Writes a file so that it is whole or as before.
    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let fresh = path.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        File::open(&self.folder)?.sync_all()
    }
}

/// A file that is being fetched.
#[derive(Debug)]
pub(super) struct Incoming {
    file: FileRef,
    path: PathBuf,
    part: File,
    bytes: u64,
    digest: Sha256,
}

impl Incoming {
    /// Takes a piece; more than was announced is an error.
    pub(super) fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        if self.bytes > self.file.size {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is longer than was announced"));
        }
        self.digest.update(piece);
        self.part.write_all(piece)
    }

    /// The file is whole: it takes its place if it is what was announced.
    pub(super) fn finish(self) -> io::Result<()> {
        let digest: [u8; 32] = self.digest.finalize().into();
        if self.bytes != self.file.size || digest != self.file.sha256 {
            let _ = fs::remove_file(&self.path);
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not what was announced"));
        }
        fs::rename(&self.path, self.path.with_extension(""))
    }
}

fn digest_of(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let (mut digest, mut piece) = (Sha256::new(), vec![0; 256 << 10]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(digest.finalize().into()),
            count => digest.update(&piece[..count]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_and_every_life_has_a_higher_number() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = State::take(folder.path()).expect("nobody has it");
        assert!(matches!(State::take(folder.path()), Err(StateError::Locked { .. })));
        let first = state.next_incarnation().expect("a number");
        let second = state.next_incarnation().expect("a number");
        assert!(second > first && first > 1_600_000_000_000, "{first} {second}");
        drop(state);
        let far = (second + 1_000_000_000).to_string();
        fs::write(folder.path().join("incarnation"), &far).expect("written");
        let state = State::take(folder.path()).expect("nobody has it any more");
        assert!(state.next_incarnation().expect("a number") > far.parse().expect("a number"));
    }

    #[test]
    fn a_file_takes_its_place_only_if_it_is_what_was_announced() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = State::take(folder.path()).expect("nobody has it");
        let content = b"a,b\n1,2\n";
        let file = FileRef { sha256: Sha256::digest(content).into(), size: content.len() as u64 };
        assert!(!state.has(&file));
        let wrong = |pieces: &[&[u8]]| {
            let mut incoming = state.incoming(file).expect("room");
            pieces.iter().try_for_each(|piece| incoming.take(piece)).and_then(|()| incoming.finish())
        };
        assert!(wrong(&[&content[..4]]).is_err());
        assert!(wrong(&[content, b"x"]).is_err());
        assert!(wrong(&[b"a,b\n1,3\n"]).is_err());
        assert!(!state.has(&file));
        wrong(&[&content[..3], &content[3..]]).expect("it is what was announced");
        assert!(state.has(&file));
        // Who changed it afterwards is found out.
        fs::write(state.place(&file), b"a,b\n1,9\n").expect("written");
        assert!(!state.has(&file));
    }
}
