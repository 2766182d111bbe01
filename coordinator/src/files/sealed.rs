//! Contents at rest: sealed piece by piece, so that neither their size nor the wait for them costs memory.
//!
//! What it is: a writer that seals what goes through it and a reader that opens it again, under a key that is derived anew
//! for each content. What it is not: an archive; nothing in a sealed content says what it is called.
//!
//! Layout: `OLs1`, 32 random bytes, then pieces of 64 KiB, each followed by its tag (ChaCha20-Poly1305, RFC 8439). The key of
//! a content is derived from that of the state folder and its random bytes (HKDF, RFC 5869). The nonce of a piece is its number
//! and whether it is the last, so that pieces can neither change places nor be left out at the end.

use std::fs::File;
use std::io::{self, Read, Write};

use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::store::Key;

/// Bytes of a piece, before it is sealed.
pub(crate) const PIECE: usize = 64 << 10;
const TAG: usize = 16;
const MARK: [u8; 4] = *b"OLs1";
const SALT: usize = 32;
const HEAD: usize = MARK.len() + SALT;

/// The nonce of a piece; a key seals one content, so that none is used twice.
fn nonce(number: u32, is_last: bool) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes[4] = u8::from(is_last);
    Nonce::assume_unique_for_key(bytes)
}

/// How many bytes a sealed content of this size holds; `None` where it cannot be one.
pub(crate) fn size_within(sealed: u64) -> Option<u64> {
    let body = sealed.checked_sub(HEAD as u64)?;
    let whole = (PIECE + TAG) as u64;
    let (pieces, rest) = (body / whole, body % whole);
    let rest = if rest == 0 && pieces > 0 { 0 } else { rest.checked_sub(TAG as u64)? };
    Some(pieces * PIECE as u64 + rest)
}

/// Seals what is written to it.
pub(crate) struct Sealer<W> {
    sink: W,
    key: LessSafeKey,
    piece: Vec<u8>,
    number: u32,
}

impl<W> std::fmt::Debug for Sealer<W> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Sealer").field("number", &self.number).finish_non_exhaustive()
    }
}

impl<W: Write> Sealer<W> {
    /// Begins a content.
    pub(crate) fn begin(key: &Key, mut sink: W) -> io::Result<Self> {
        let mut salt = [0; SALT];
        let silent = |_| io::Error::other("the system gives no randomness");
        SystemRandom::new().fill(&mut salt).map_err(silent)?;
        sink.write_all(&MARK)?;
        sink.write_all(&salt)?;
        Ok(Self { sink, key: key.of_content(&salt), piece: Vec::with_capacity(PIECE + TAG), number: 0 })
    }

    /// Takes more of it.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.piece.len() == PIECE {
                self.seal(false)?;
            }
            let count = bytes.len().min(PIECE - self.piece.len());
            self.piece.extend_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Its end; yields what it was written to.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        Ok(self.sink)
    }

    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        let nonce = nonce(self.number, is_last);
        let too_long = || io::Error::new(io::ErrorKind::FileTooLarge, "it has too many pieces");
        self.number = self.number.checked_add(1).ok_or_else(too_long)?;
        self.key
            .seal_in_place_append_tag(nonce, Aad::empty(), &mut self.piece)
            .expect("Invariant: a piece is shorter than 256 GiB");
        self.sink.write_all(&self.piece)?;
        self.piece.clear();
        Ok(())
    }
}

/// A sealed content, opened as it is read.
pub struct Content {
    source: File,
    key: LessSafeKey,
    /// Sealed bytes that were not read yet.
    left: u64,
    size: u64,
    number: u32,
    piece: Vec<u8>,
    /// What was handed out of the piece.
    at: usize,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Content").field("size", &self.size).finish_non_exhaustive()
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it was changed, or sealed with another key")
}

impl Content {
    /// Opens a file that a [`Sealer`] wrote.
    pub(crate) fn open(key: &Key, mut source: File) -> io::Result<Self> {
        let sealed = source.metadata()?.len();
        let size = size_within(sealed).ok_or_else(damaged)?;
        let mut head = [0; HEAD];
        source.read_exact(&mut head)?;
        let (mark, salt) = head.split_at(MARK.len());
        if mark != MARK {
            return Err(damaged());
        }
        let key = key.of_content(salt);
        Ok(Self { source, key, left: sealed - HEAD as u64, size, number: 0, piece: Vec::new(), at: 0 })
    }

    /// Bytes of the content.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The next piece; none behind the last.
    ///
    /// # Errors
    /// The disk fails, or the content was changed.
    pub fn next_piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.left == 0 {
            return Ok(None);
        }
        let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(PIECE + TAG);
        let mut piece = vec![0; count];
        self.source.read_exact(&mut piece)?;
        self.left -= count as u64;
        let nonce = nonce(self.number, self.left == 0);
        self.number = self.number.checked_add(1).ok_or_else(damaged)?;
        let opened = self.key.open_in_place(nonce, Aad::empty(), &mut piece);
        let length = opened.map_err(|_| damaged())?.len();
        piece.truncate(length);
        Ok(Some(piece))
    }
}

impl Read for Content {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            (self.piece, self.at) = (self.next_piece()?.unwrap_or_default(), 0);
        }
        let count = into.len().min(self.piece.len() - self.at);
        into[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(key: &Key, content: &[u8], at_once: usize) -> Vec<u8> {
        let mut sealer = Sealer::begin(key, Vec::new()).expect("it begins");
        content.chunks(at_once).try_for_each(|part| sealer.write(part)).expect("memory takes it");
        sealer.finish().expect("memory takes it")
    }

    fn opened(key: &Key, sealed: &[u8]) -> io::Result<Vec<u8>> {
        let mut file = tempfile::tempfile()?;
        file.write_all(sealed)?;
        io::Seek::rewind(&mut file)?;
        let mut content = Content::open(key, file)?;
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        assert_eq!(content.size(), bytes.len() as u64);
        Ok(bytes)
    }

    #[test]
    fn what_was_sealed_is_opened_whatever_its_size_and_however_it_came() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = Key::of(folder.path()).expect("a key");
        for size in [0, 1, 100, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 17] {
            let content: Vec<u8> = (0..=250).cycle().take(size).collect();
            for at_once in [1_000, PIECE, 5 * PIECE] {
                let sealed = sealed(&key, &content, at_once);
                assert_eq!(size_within(sealed.len() as u64), Some(size as u64));
                assert!(opened(&key, &sealed).expect("it opens") == content, "{size} by {at_once}");
            }
        }
    }

    #[test]
    fn nothing_of_it_stands_there_and_whatever_is_changed_is_noticed() {
        let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
        let [key, other] = [0, 1].map(|place: usize| Key::of(folders[place].path()).expect("a key"));
        let content = b"password: hunter2".repeat(10_000);
        let whole = sealed(&key, &content, PIECE);
        assert!(!whole.windows(7).any(|window| window == b"hunter2"));
        assert_ne!(whole, sealed(&key, &content, PIECE), "the same content is sealed differently each time");
        assert!(opened(&other, &whole).is_err(), "another key");
        let piece = PIECE + TAG;
        let head = HEAD;
        let cut = whole[..head + piece].to_vec();
        let swapped =
            [&whole[..head], &whole[head + piece..head + 2 * piece], &whole[head..head + piece]].concat();
        for (what, changed) in [
            ("its end was left out", cut),
            ("two pieces changed places", swapped),
            ("another salt", [&whole[..4], &[0; SALT], &whole[head..]].concat()),
            ("nothing", Vec::new()),
            ("a plain file", content.clone()),
        ] {
            assert!(opened(&key, &changed).is_err(), "{what}");
        }
        for place in (0..whole.len()).step_by(9_973) {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            assert!(opened(&key, &changed).is_err(), "byte {place}");
        }
    }
}
