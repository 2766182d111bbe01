//! The register of tokens: which were made, for whom, and which were called back.
//!
//! What it is: a folder with a small file for each token, under the number that the token carries; so that the command that
//! makes or revokes one and the coordinator that asks for it need not know of each other. What it is not: a secret; no token
//! can be made of what stands here.
//!
//! Invariant: a token that is not in the register, or was called back, is good for nothing. A register that was lost ends every
//! token.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::tokens::{Grant, Role};

/// What the file of a token that was called back ends with.
const REVOKED: &str = "revoked";
/// How long tokens that are over stay in the list.
const REMEMBERED_S: u64 = 30 * 86_400;

/// A token as the register knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number, by which it is called back.
    #[serde(skip)]
    pub id: String,
    /// What its bearer may do.
    pub role: Role,
    /// For which project alone.
    pub project: Option<String>,
    /// When it was made, in seconds since the Unix epoch.
    pub made_s: u64,
    /// Until when it is good, in seconds since the Unix epoch.
    pub expires_s: u64,
    /// Whether it was called back.
    #[serde(skip)]
    pub is_revoked: bool,
}

/// The folder.
#[derive(Clone, Debug)]
pub struct Register {
    folder: PathBuf,
}

impl Register {
    /// The register in `folder`, which is made with the first token.
    pub fn of(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Enters a token; what was over long ago is forgotten.
    pub(super) fn enter(&self, id: &str, grant: &Grant, now_s: u64) -> io::Result<()> {
        crate::files::private_folder(&self.folder)?;
        for entry in self.entries()? {
            if entry.expires_s.saturating_add(REMEMBERED_S) < now_s {
                // Somebody else may have done so.
                let _ = fs::remove_file(self.path(&entry.id));
                let _ = fs::remove_file(self.path(&entry.id).with_extension(REVOKED));
            }
        }
        let Grant { role, project, expires_s } = grant.clone();
        let entry = Entry { id: String::new(), role, project, made_s: now_s, expires_s, is_revoked: false };
        let text = serde_json::to_vec(&entry).map_err(io::Error::other)?;
        let draft = self.path(id).with_extension("new");
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&draft, self.path(id))?;
        fs::File::open(&self.folder)?.sync_all()
    }

    /// Whether a token is in the register and was not called back. What cannot be told is not good.
    pub fn is_good(&self, id: &str) -> bool {
        is_id(id) && fs::metadata(self.path(id)).is_ok_and(|metadata| metadata.is_file())
    }

    /// Calls a token back; whether there was such a one.
    pub fn revoke(&self, id: &str) -> io::Result<bool> {
        if !is_id(id) {
            return Ok(false);
        }
        let path = self.path(id);
        match fs::rename(&path, path.with_extension(REVOKED)) {
            Ok(()) => fs::File::open(&self.folder)?.sync_all().map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// All tokens, the latest last.
    pub fn entries(&self) -> io::Result<Vec<Entry>> {
        let files = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            files => files?,
        };
        let mut entries = Vec::new();
        for file in files {
            entries.extend(read(&file?.path()));
        }
        entries.sort_by(|one, other| (one.made_s, &one.id).cmp(&(other.made_s, &other.id)));
        Ok(entries)
    }

    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(id)
    }
}

/// What a file of the register says; nothing where it is another file.
fn read(path: &Path) -> Option<Entry> {
    let id = path.file_stem()?.to_str().filter(|id| is_id(id))?.to_owned();
    let is_revoked = match path.extension() {
        None => false,
        Some(ending) if ending == REVOKED => true,
        Some(_) => return None,
    };
    let entry: Entry = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    Some(Entry { id, is_revoked, ..entry })
}

/// Whether a text is the number of a token, and so no path.
fn is_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_from_its_entry_until_it_is_called_back() {
        let folder = tempfile::tempdir().unwrap();
        let register = Register::of(folder.path().join("tokens"));
        assert!(register.entries().unwrap().is_empty() && !register.is_good("0123456789abcdef"));
        let grant = Grant { role: Role::Node, project: Some("shop".to_owned()), expires_s: 1_000 };
        register.enter("0123456789abcdef", &grant, 500).unwrap();
        register.enter("fedcba9876543210", &Grant { expires_s: 9_000_000, ..grant }, 600).unwrap();
        assert!(register.is_good("0123456789abcdef"));
        assert_eq!(
            (register.revoke("0123456789abcdef").unwrap(), register.is_good("0123456789abcdef")),
            (true, false)
        );
        assert!(!register.revoke("0123456789abcdef").unwrap(), "it was called back already");
        let told: Vec<(String, bool)> =
            register.entries().unwrap().into_iter().map(|entry| (entry.id, entry.is_revoked)).collect();
        assert_eq!(told, [("0123456789abcdef".to_owned(), true), ("fedcba9876543210".to_owned(), false)]);
        for strange in ["", "..", "../token.key", "0123456789ABCDEF", "0123456789abcdef.revoked"] {
            assert!(!register.is_good(strange) && !register.revoke(strange).unwrap(), "{strange}");
        }
        // Long after its end, it is forgotten.
        let later = Grant { role: Role::Viewer, project: None, expires_s: 9_000_000 };
        register.enter("00000000000000aa", &later, 1_001 + REMEMBERED_S).unwrap();
        let ids: Vec<String> = register.entries().unwrap().into_iter().map(|entry| entry.id).collect();
        assert_eq!(ids, ["fedcba9876543210", "00000000000000aa"]);
    }
}
