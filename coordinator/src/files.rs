//! The repository of files: plans, data and certificates, each under the digest of its content.
//!
//! What it is: a folder of sealed contents, and the texts of digests. What it is not: an index; the database knows what lies
//! here.
//!
//! Invariants: no path is made of what a stranger wrote, but of a digest alone. What lies here has the content that its name
//! says: it is digested as it comes, and again by each node that pulls it. Nothing lies here in the clear, not for a moment:
//! plans hold passwords, data files hold users, keys are keys.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use tempfile::{NamedTempFile, TempPath};
use wire::{FileRef, Sha256};

use crate::store::Key;

mod sealed;

pub use sealed::Content;
use sealed::{PIECE, Sealer, size_within};

/// The folder of files.
#[derive(Clone, Debug)]
pub struct Repository {
    files: PathBuf,
    incoming: PathBuf,
    key: Key,
}

/// A content that is coming. What was written of it is removed when it is dropped.
pub struct Incoming {
    sealer: Sealer<NamedTempFile>,
    digest: Context,
    size: u64,
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Incoming").field("size", &self.size).finish_non_exhaustive()
    }
}

/// A content that came whole, and lies on the disk under no digest yet. It is removed when it is dropped.
#[derive(Debug)]
pub struct Arrived {
    draft: TempPath,
    file: FileRef,
}

impl Repository {
    /// Opens or makes the repository in the state folder, under the key that lies there. What came in part is removed.
    ///
    /// # Errors
    /// The folder cannot be made, or there is no key to be had.
    pub fn open(state: &Path) -> io::Result<Self> {
        private_folder(state)?;
        let key = Key::of(state).map_err(io::Error::other)?;
        let (files, incoming) = (state.join("files"), state.join("incoming"));
        if incoming.exists() {
            fs::remove_dir_all(&incoming)?;
        }
        for folder in [&files, &incoming] {
            private_folder(folder)?;
        }
        Ok(Self { files, incoming, key })
    }

    /// Where the content with this digest lies, or would.
    fn path(&self, sha256: &Sha256) -> PathBuf {
        self.files.join(hex(sha256))
    }

    /// How many bytes the content with this digest has, if it is here.
    pub fn find(&self, sha256: &Sha256) -> Option<u64> {
        let metadata = fs::metadata(self.path(sha256)).ok().filter(fs::Metadata::is_file)?;
        size_within(metadata.len())
    }

    /// Opens a content.
    ///
    /// # Errors
    /// It is not here, or cannot be opened with this key.
    pub fn content(&self, sha256: &Sha256) -> io::Result<Content> {
        Content::open(&self.key, File::open(self.path(sha256))?)
    }

    /// Begins to take a content in.
    ///
    /// # Errors
    /// The disk fails.
    pub fn begin(&self) -> io::Result<Incoming> {
        let draft = NamedTempFile::new_in(&self.incoming)?;
        Ok(Incoming { sealer: Sealer::begin(&self.key, draft)?, digest: Context::new(&SHA256), size: 0 })
    }

    /// Takes what arrived.
    ///
    /// # Errors
    /// The disk fails.
    pub fn take(&self, arrived: Arrived) -> io::Result<FileRef> {
        let Arrived { draft, file } = arrived;
        if self.find(&file.sha256) != Some(file.size) {
            draft.persist(self.path(&file.sha256)).map_err(|error| error.error)?;
            File::open(&self.files)?.sync_all()?;
        }
        Ok(file)
    }

    /// Keeps bytes.
    ///
    /// # Errors
    /// The disk fails.
    pub fn keep(&self, bytes: &[u8]) -> io::Result<FileRef> {
        self.keep_from(bytes)
    }

    /// Keeps a copy of a file of this host.
    ///
    /// # Errors
    /// It cannot be read, or the disk fails.
    pub fn copy(&self, path: &Path) -> io::Result<FileRef> {
        self.keep_from(File::open(path)?)
    }

    fn keep_from(&self, mut source: impl Read) -> io::Result<FileRef> {
        let mut incoming = self.begin()?;
        let mut piece = vec![0; PIECE];
        loop {
            match source.read(&mut piece)? {
                0 => return self.take(incoming.finish()?),
                count => incoming.write(&piece[..count])?,
            }
        }
    }

    /// Removes a content.
    ///
    /// # Errors
    /// It is not here, or the disk fails.
    pub fn remove(&self, sha256: &Sha256) -> io::Result<()> {
        fs::remove_file(self.path(sha256))
    }
}

impl Incoming {
    /// Takes more of it.
    ///
    /// # Errors
    /// The disk fails.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.size += bytes.len() as u64;
        self.sealer.write(bytes)
    }

    /// How many bytes came.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// It came whole; it is on the disk for good when this returns.
    ///
    /// # Errors
    /// The disk fails.
    pub fn finish(self) -> io::Result<Arrived> {
        let draft = self.sealer.finish()?;
        draft.as_file().sync_all()?;
        let file = FileRef { sha256: finished(self.digest), size: self.size };
        Ok(Arrived { draft: draft.into_temp_path(), file })
    }
}

impl Arrived {
    /// What it is.
    pub fn file(&self) -> FileRef {
        self.file
    }
}

/// Makes a folder that only its owner enters, and those above it.
///
/// # Errors
/// The system refuses.
pub fn private_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The digest of bytes.
pub fn digest(bytes: &[u8]) -> Sha256 {
    let mut context = Context::new(&SHA256);
    context.update(bytes);
    finished(context)
}

fn finished(context: Context) -> Sha256 {
    context.finish().as_ref().try_into().expect("Invariant: a digest by SHA-256 has 32 bytes")
}

/// A digest as text.
pub fn hex(sha256: &Sha256) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |digit: u8| char::from(DIGITS[usize::from(digit)]);
    sha256.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The digest that a text is; lower-case digits alone.
pub fn from_hex(text: &str) -> Option<Sha256> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let bytes = text.as_bytes();
    let mut sha256 = Sha256::default();
    if bytes.len() != 2 * sha256.len() {
        return None;
    }
    for (place, pair) in sha256.iter_mut().zip(bytes.chunks_exact(2)) {
        *place = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(sha256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_found_by_their_digest_alone() {
        let state = tempfile::tempdir().expect("a folder");
        let repository = Repository::open(state.path()).expect("a repository");
        let file = repository.keep(b"abc").expect("kept");
        // FIPS 180-4's example.
        assert_eq!(hex(&file.sha256), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(from_hex(&hex(&file.sha256)), Some(file.sha256));
        assert_eq!(repository.find(&file.sha256), Some(3));
        assert_eq!(repository.keep(b"abc").expect("kept twice is kept"), file);
        let content = |repository: &Repository| {
            let mut text = String::new();
            let mut content = repository.content(&file.sha256).expect("it is here");
            content.read_to_string(&mut text).expect("its content");
            text
        };
        assert_eq!(content(&repository), "abc");
        assert_eq!(content(&Repository::open(state.path()).expect("opened again")), "abc");
        let plain = state.path().join("plain");
        fs::write(&plain, "abc").expect("a file");
        assert_eq!(repository.copy(&plain).expect("a copy"), file);
        repository.remove(&file.sha256).expect("removed");
        assert_eq!(repository.find(&file.sha256), None);
        assert_eq!(fs::read_dir(state.path().join("incoming")).expect("a folder").count(), 0);
    }

    #[test]
    fn what_came_in_part_leaves_nothing_and_nothing_lies_in_the_clear() {
        let state = tempfile::tempdir().expect("a folder");
        let repository = Repository::open(state.path()).expect("a repository");
        let drafts = || fs::read_dir(state.path().join("incoming")).expect("a folder").count();
        let mut incoming = repository.begin().expect("room");
        incoming.write(b"hunter2").expect("room");
        assert_eq!((incoming.size(), drafts()), (7, 1));
        drop(incoming);
        assert_eq!(drafts(), 0);
        let mut incoming = repository.begin().expect("room");
        incoming.write(&b"hunter2".repeat(20_000)).expect("room");
        let arrived = incoming.finish().expect("room");
        let file = repository.take(arrived).expect("room");
        let raw = fs::read(repository.path(&file.sha256)).expect("it lies there");
        assert!(raw.len() > 140_000 && !raw.windows(7).any(|window| window == b"hunter2"));
        fs::write(state.path().join("incoming/half"), b"a").expect("a file");
        Repository::open(state.path()).expect("opened again");
        assert_eq!(drafts(), 0, "what came in part is removed");
        assert_eq!(repository.find(&file.sha256), Some(140_000));
    }

    #[test]
    fn what_is_no_digest_is_no_path() {
        let good = "0".repeat(64);
        assert!(from_hex(&good).is_some());
        let wrong = ["", "00", "../../etc/passwd", &"g".repeat(64), &"A".repeat(64), &"é".repeat(32)];
        for text in wrong.into_iter().chain([&*format!("{good}0")]) {
            assert_eq!(from_hex(text), None, "{text}");
        }
    }
}
