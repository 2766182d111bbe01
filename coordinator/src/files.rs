//! The repository of files: plans, data and certificates, each under the digest of its content.
//!
//! What it is: a folder, and the texts of digests. What it is not: an index; the database knows what lies here.
//!
//! Invariant: no path is made of what a stranger wrote, but of a digest alone. What lies here has the content that its name
//! says: it is checked when it comes, and again by each node that pulls it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use wire::{FileRef, Sha256};

/// Bytes that are hashed at a time.
const PIECE: usize = 1 << 16;

/// The folder of files.
#[derive(Clone, Debug)]
pub struct Repository {
    files: PathBuf,
    incoming: PathBuf,
}

impl Repository {
    /// Opens or makes the repository in the state folder. What came in part is removed.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(state: &Path) -> io::Result<Self> {
        let (files, incoming) = (state.join("files"), state.join("incoming"));
        if incoming.exists() {
            fs::remove_dir_all(&incoming)?;
        }
        for folder in [&files, &incoming] {
            private_folder(folder)?;
        }
        Ok(Self { files, incoming })
    }

    /// Where uploads are written before they are taken.
    pub fn incoming(&self) -> &Path {
        &self.incoming
    }

    /// Where the content with this digest lies, or would.
    pub fn path(&self, sha256: &Sha256) -> PathBuf {
        self.files.join(hex(sha256))
    }

    /// How many bytes the content with this digest has, if it is here.
    pub fn find(&self, sha256: &Sha256) -> Option<u64> {
        fs::metadata(self.path(sha256)).ok().filter(fs::Metadata::is_file).map(|metadata| metadata.len())
    }

    /// Takes a file of [`Repository::incoming`] over, if its content is what was promised.
    ///
    /// # Errors
    /// It has another content, or the disk fails.
    pub fn take(&self, uploaded: &Path, sha256: &Sha256) -> io::Result<()> {
        if digest_of(File::open(uploaded)?)?.sha256 != *sha256 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its content has another digest"));
        }
        fs::rename(uploaded, self.path(sha256))?;
        File::open(&self.files)?.sync_all()
    }

    /// Keeps bytes.
    ///
    /// # Errors
    /// The disk fails.
    pub fn keep(&self, bytes: &[u8]) -> io::Result<FileRef> {
        self.keep_from(bytes, digest_of(bytes)?)
    }

    /// Keeps a copy of a file of this host.
    ///
    /// # Errors
    /// It cannot be read, changes meanwhile, or the disk fails.
    pub fn copy(&self, path: &Path) -> io::Result<FileRef> {
        self.keep_from(File::open(path)?, digest_of(File::open(path)?)?)
    }

    fn keep_from(&self, mut source: impl Read, file: FileRef) -> io::Result<FileRef> {
        if self.find(&file.sha256) == Some(file.size) {
            return Ok(file);
        }
        let draft = tempfile::NamedTempFile::new_in(&self.incoming)?;
        io::copy(&mut source, &mut draft.as_file())?;
        draft.as_file().sync_all()?;
        if digest_of(File::open(draft.path())?)? != file {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it changed while it was read"));
        }
        draft.persist(self.path(&file.sha256)).map_err(|error| error.error)?;
        File::open(&self.files)?.sync_all()?;
        Ok(file)
    }

    /// Removes a content.
    ///
    /// # Errors
    /// It is not here, or the disk fails.
    pub fn remove(&self, sha256: &Sha256) -> io::Result<()> {
        fs::remove_file(self.path(sha256))
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

/// Reads to the end; yields digest and size.
///
/// # Errors
/// Reading fails.
pub fn digest_of(mut source: impl Read) -> io::Result<FileRef> {
    let mut context = Context::new(&SHA256);
    let mut piece = vec![0; PIECE];
    let mut size = 0;
    loop {
        let count = source.read(&mut piece)?;
        if count == 0 {
            return Ok(FileRef { sha256: finished(context), size });
        }
        context.update(&piece[..count]);
        size += count as u64;
    }
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
        assert_eq!(fs::read(repository.path(&file.sha256)).expect("its content"), b"abc");
        let copied = repository.copy(&repository.path(&file.sha256)).expect("a copy of itself");
        assert_eq!(copied, file);
        repository.remove(&file.sha256).expect("removed");
        assert_eq!(repository.find(&file.sha256), None);
        assert_eq!(fs::read_dir(repository.incoming()).expect("a folder").count(), 0);
    }

    #[test]
    fn uploads_must_be_what_they_promise() {
        let state = tempfile::tempdir().expect("a folder");
        let repository = Repository::open(state.path()).expect("a repository");
        let upload = repository.incoming().join("1");
        fs::write(&upload, b"abd").expect("a file");
        let error = repository.take(&upload, &digest(b"abc")).expect_err("another content");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(repository.find(&digest(b"abc")), None);
        repository.take(&upload, &digest(b"abd")).expect("taken");
        assert_eq!(repository.find(&digest(b"abd")), Some(3));
        fs::write(repository.incoming().join("half"), b"a").expect("a file");
        Repository::open(state.path()).expect("opened again");
        assert!(!repository.incoming().join("half").exists(), "what came in part is removed");
        assert_eq!(repository.find(&digest(b"abd")), Some(3));
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
