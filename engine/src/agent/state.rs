//! The folder in which a node keeps what has to survive its process.
//!
//! What it is: the lock by which one process at a time is the node, the number of its life, and room for files of plans, which
//! have no names there and go with the process, however it ends: they may hold secrets. What it is not: the deltas, which `spool`
//! keeps beside them.
//!
//! Invariants: the number of a life rises, also where the folder was lost; a file by its digest has that digest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clock::wall_time;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};
use wire::FileRef;

/// A node's folder, held by this process alone.
#[derive(Debug)]
pub(super) struct State {
    folder: PathBuf,
    /// Files of plans, by their content.
    files: Mutex<BTreeMap<[u8; 32], File>>,
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
        Ok(Self { folder: folder.to_owned(), files: Mutex::default(), _lock: lock })
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

    /// Where this process reads the file of this content; none where it is not here, or has changed.
    pub(super) fn place(&self, file: &FileRef) -> Option<PathBuf> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let place = PathBuf::from(format!("/proc/self/fd/{}", files.get(&file.sha256)?.as_raw_fd()));
        let is_whole = digest_of(&place).is_ok_and(|digest| digest == file.sha256);
        is_whole.then_some(place)
    }

    /// Forgets all files but these.
    pub(super) fn keep_only<'a>(&self, wanted: impl Iterator<Item = &'a FileRef>) {
        let wanted: BTreeSet<[u8; 32]> = wanted.map(|file| file.sha256).collect();
        self.files.lock().unwrap_or_else(PoisonError::into_inner).retain(|sha256, _| wanted.contains(sha256));
    }

    /// Begins to take a file in, which nobody finds by a name.
    pub(super) fn incoming(&self, file: FileRef) -> io::Result<Incoming> {
        let path = self.folder.join("incoming");
        let mut options = OpenOptions::new();
        let part = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        fs::remove_file(&path)?;
        Ok(Incoming { file, part, bytes: 0, digest: Sha256::new() })
    }

    /// Takes a file that came whole, if it is what was announced.
    pub(super) fn take_in(&self, incoming: Incoming) -> io::Result<()> {
        let Incoming { file, part, bytes, digest } = incoming;
        let digest: [u8; 32] = digest.finalize().into();
        if bytes != file.size || digest != file.sha256 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not what was announced"));
        }
        self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, part);
        Ok(())
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
        assert!(state.place(&file).is_none());
        let sent = |pieces: &[&[u8]]| {
            let mut incoming = state.incoming(file).expect("room");
            pieces.iter().try_for_each(|piece| incoming.take(piece)).and_then(|()| state.take_in(incoming))
        };
        assert!(sent(&[&content[..4]]).is_err());
        assert!(sent(&[content, b"x"]).is_err());
        assert!(sent(&[b"a,b\n1,3\n"]).is_err());
        assert!(state.place(&file).is_none());
        sent(&[&content[..3], &content[3..]]).expect("it is what was announced");
        let place = state.place(&file).expect("it is here");
        assert_eq!(fs::read(&place).expect("it can be read"), content);
        state.keep_only([file].iter());
        assert!(state.place(&file).is_some());
        // Who changed it afterwards is found out.
        fs::write(&place, b"a,b\n1,9\n").expect("written");
        assert!(state.place(&file).is_none());
        let names: Vec<_> =
            fs::read_dir(folder.path()).expect("a folder").flatten().map(|one| one.file_name()).collect();
        assert_eq!(names, ["lock"], "nothing of it has a name");
        sent(&[content]).expect("it comes again");
        state.keep_only([].iter());
        assert!(state.place(&file).is_none());
    }
}
