//! Secrets at rest.
//!
//! What it is: authenticated encryption (ChaCha20-Poly1305, RFC 8439) of what may hold secrets, under a key in a file of its
//! own beside the database, which only its owner may read. What it is not: a protection against whoever reads both files;
//! it keeps secrets out of copies of the database.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use ring::rand::{SecureRandom as _, SystemRandom};

/// Bytes of the key.
const KEY_BYTES: usize = 32;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Its file.
    #[error("the key of stored secrets, {}: {why} → let this user read and write the --state folder, or use another", path.display())]
    File {
        /// Where it lies.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// Tells the keys of contents from any other that is derived from the same bytes.
const CONTENTS: &[u8] = b"openloop contents";

/// The key under which secrets are stored.
#[derive(Clone)]
pub struct Key {
    texts: LessSafeKey,
    contents: Prk,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Key")
    }
}

impl Key {
    /// Reads the key of the state folder, or makes one.
    pub fn of(folder: &Path) -> Result<Self, KeyError> {
        let path = folder.join("secret.key");
        let wrong = |why: String| KeyError::File { path: path.clone(), why };
        let bytes = match read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Another key in its place would open nothing of what is here.
                if folder.join(super::DATABASE).exists() {
                    return Err(wrong(
                        "it is gone, and what is stored here was sealed with it; put it back".into(),
                    ));
                }
                let mut bytes = [0; KEY_BYTES];
                SystemRandom::new()
                    .fill(&mut bytes)
                    .map_err(|_| wrong("the system gives no randomness".into()))?;
                create(&path, &bytes).map_err(|error| wrong(error.to_string()))?;
                bytes.to_vec()
            }
            Err(error) => return Err(wrong(error.to_string())),
        };
        let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes)
            .map_err(|_| wrong(format!("it has {} bytes, not {KEY_BYTES}", bytes.len())))?;
        let contents = Salt::new(HKDF_SHA256, CONTENTS).extract(&bytes);
        Ok(Self { texts: LessSafeKey::new(key), contents })
    }

    /// The key of the content that has these random bytes.
    pub(crate) fn of_content(&self, salt: &[u8]) -> LessSafeKey {
        let info = [salt];
        let derived = self.contents.expand(&info, &CHACHA20_POLY1305);
        let derived = derived.expect("Invariant: a key is shorter than 255 digests");
        LessSafeKey::new(UnboundKey::from(derived))
    }

    /// Seals a text that belongs to `entry`.
    pub(super) fn seal(&self, entry: &[u8], text: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).expect("Invariant: the system gave randomness for the key");
        let mut sealed = text.to_vec();
        self.texts
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(entry), &mut sealed)
            .expect("Invariant: a text is shorter than 256 GiB");
        [nonce.to_vec(), sealed].concat()
    }

    /// Opens what was sealed for `entry`; `None` where the key, the entry or the text is another.
    pub(super) fn open(&self, entry: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = sealed.to_vec();
        let length = self.texts.open_in_place(nonce, Aad::from(entry), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        return Err(io::Error::other("others may read it (chmod 600)"));
    }
    let mut bytes = Vec::new();
    file.take(2 * KEY_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes the key whole or not at all.
fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_for_its_entry_and_key_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = Key::of(folder.path()).expect("a new key");
        let sealed = key.seal(b"run", b"hunter2");
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
        assert_ne!(sealed, key.seal(b"run", b"hunter2"), "each has a nonce of its own");
        let again = Key::of(folder.path()).expect("the same key");
        assert_eq!(again.open(b"run", &sealed).as_deref(), Some(&b"hunter2"[..]));
        assert_eq!(again.open(b"other", &sealed), None);
        for place in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[place] ^= 1;
            assert_eq!(again.open(b"run", &damaged), None, "byte {place}");
        }
        assert_eq!(again.open(b"run", &sealed[..5]), None);
        let other = tempfile::tempdir().expect("a folder");
        assert_eq!(Key::of(other.path()).expect("another key").open(b"run", &sealed), None);
    }

    #[test]
    fn keys_that_others_may_read_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        Key::of(folder.path()).expect("a new key");
        let path = folder.path().join("secret.key");
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("it is ours");
        let error = Key::of(folder.path()).expect_err("others may read it").to_string();
        assert!(error.contains("others may read it"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        fs::write(&path, b"short").expect("it is ours");
        assert!(Key::of(folder.path()).is_err());
    }
}
