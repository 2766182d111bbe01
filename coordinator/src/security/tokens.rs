//! Tokens: what their bearer may do, for which project, until when, sealed with a key that only the coordinator has.
//!
//! What it is: text that carries its own grant, and a number by which it can be called back ([`Register`]).
//! What it is not: encrypted, or stored; a token says nothing that is a secret but itself.
//!
//! Layout: `olt_` and, in base64url without padding (RFC 4648, section 5): version (1), role, its number (8, random), expiry in
//! seconds since the Unix epoch (8, big-endian), length of the project's name and the name, HMAC-SHA-256 of all that (32).

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::register::Register;

/// How every token begins, so that scanners for leaked secrets find it.
const PREFIX: &str = "olt_";
const VERSION: u8 = 1;
/// Version, role, number, expiry, length of the project's name.
const HEAD_SIZE: usize = 1 + 1 + 8 + 8 + 1;
/// Where the number stands.
const NUMBER: std::ops::Range<usize> = 2..10;
const SEAL_SIZE: usize = 32;
const KEY_SIZE: usize = 32;
/// The folder of the register, beside the key.
const REGISTER: &str = "tokens";
/// No token is longer; longer ones are refused unread.
const LONGEST: usize = 512;
/// A year.
pub const LONGEST_LIFETIME_S: u64 = 366 * 86_400;

/// What a bearer may do.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Read.
    Viewer,
    /// Read, start, change and stop.
    Operator,
    /// Join the fleet as a node, nothing else.
    Node,
}

/// What a token grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What its bearer may do.
    pub role: Role,
    /// For which project alone; `None` for all.
    pub project: Option<String>,
    /// Until when, in seconds since the Unix epoch.
    pub expires_s: u64,
}

/// Why a token is not taken. Whoever sent it learns no more than that.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It was not made by this coordinator, or was changed.
    #[error("the token is not one of this coordinator's")]
    Unknown,
    /// It was good once.
    #[error("the token has expired; make a new one with `coordinator tokens`")]
    Expired,
    /// It was good until somebody called it back.
    #[error("the token was called back; make a new one with `coordinator tokens`")]
    Revoked,
}

/// The key that seals tokens.
pub struct TokenKey {
    seal: hmac::Key,
    register: Option<Register>,
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenKey(secret)")
    }
}

impl TokenKey {
    /// The key made of these bytes, without a register: what it made is good until its end.
    pub fn new(bytes: &[u8; KEY_SIZE]) -> Self {
        Self { seal: hmac::Key::new(hmac::HMAC_SHA256, bytes), register: None }
    }

    /// The key in the file at `path`, with the register beside it; a new one where there is none. Only its owner may be able to
    /// read the file.
    pub fn open_or_create(path: &Path) -> io::Result<Self> {
        let register = Some(Register::of(path.with_file_name(REGISTER)));
        Self::read_or_create(path).map(|key| Self { register, ..key })
    }

    fn read_or_create(path: &Path) -> io::Result<Self> {
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(mut file) => {
                let mut bytes = [0; KEY_SIZE];
                random(&mut bytes)?;
                file.write_all(&bytes)?;
                file.sync_all()?;
                Ok(Self::new(&bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::open(path),
            Err(error) => Err(error),
        }
    }

    fn open(path: &Path) -> io::Result<Self> {
        let mut file = fs::File::open(path)?;
        if file.metadata()?.mode() & 0o077 != 0 {
            let message =
                format!("others may read {}; allow it to its owner alone: chmod 600", path.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        let mut bytes = [0; KEY_SIZE];
        file.read_exact(&mut bytes)?;
        if file.read(&mut [0])? != 0 {
            let message = format!("{} holds no key of {KEY_SIZE} bytes", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(Self::new(&bytes))
    }

    /// A token with this grant. The project's name has at most 255 bytes.
    pub fn mint(&self, grant: &Grant) -> io::Result<String> {
        let project = grant.project.as_deref().unwrap_or_default();
        let length = u8::try_from(project.len()).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, "a project's name has at most 255 bytes")
        })?;
        let mut nonce = [0; 8];
        random(&mut nonce)?;
        let mut bytes = Vec::with_capacity(HEAD_SIZE + project.len() + SEAL_SIZE);
        bytes.extend([VERSION, role_number(grant.role)]);
        bytes.extend(nonce);
        bytes.extend(grant.expires_s.to_be_bytes());
        bytes.push(length);
        bytes.extend(project.as_bytes());
        let seal = hmac::sign(&self.seal, &bytes);
        bytes.extend(seal.as_ref());
        if let Some(register) = &self.register {
            register.enter(&number_text(&nonce), grant, clock::wall_time().as_secs())?;
        }
        Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// What `token` grants at `now_s` seconds since the Unix epoch.
    pub fn verify(&self, token: &str, now_s: u64) -> Result<Grant, TokenError> {
        if token.len() > LONGEST {
            return Err(TokenError::Unknown);
        }
        let text = token.strip_prefix(PREFIX).ok_or(TokenError::Unknown)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Unknown)?;
        let (sealed, seal) =
            bytes.split_at_checked(bytes.len().wrapping_sub(SEAL_SIZE)).ok_or(TokenError::Unknown)?;
        // In constant time, and before anything in it is looked at.
        hmac::verify(&self.seal, sealed, seal).map_err(|_| TokenError::Unknown)?;
        let grant = parse(sealed).ok_or(TokenError::Unknown)?;
        if grant.expires_s <= now_s {
            return Err(TokenError::Expired);
        }
        if self.is_good(&number_text(&sealed[NUMBER])) { Ok(grant) } else { Err(TokenError::Revoked) }
    }

    /// Whether the token with this number was not called back.
    pub fn is_good(&self, id: &str) -> bool {
        self.register.as_ref().is_none_or(|register| register.is_good(id))
    }
}

/// The number of a token that was verified.
pub fn id_of(token: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX)?).ok()?;
    bytes.get(NUMBER).map(number_text)
}

fn number_text(number: &[u8]) -> String {
    use std::fmt::Write as _;
    number.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn parse(sealed: &[u8]) -> Option<Grant> {
    let (head, project) = sealed.split_at_checked(HEAD_SIZE)?;
    if head[0] != VERSION || usize::from(head[HEAD_SIZE - 1]) != project.len() {
        return None;
    }
    let role = match head[1] {
        0 => Role::Viewer,
        1 => Role::Operator,
        2 => Role::Node,
        _ => return None,
    };
    let expires_s = u64::from_be_bytes(head[10..18].try_into().ok()?);
    let project = std::str::from_utf8(project).ok()?;
    let project = (!project.is_empty()).then(|| project.to_owned());
    Some(Grant { role, project, expires_s })
}

fn role_number(role: Role) -> u8 {
    match role {
        Role::Viewer => 0,
        Role::Operator => 1,
        Role::Node => 2,
    }
}

fn random(bytes: &mut [u8]) -> io::Result<()> {
    SystemRandom::new().fill(bytes).map_err(|_| io::Error::other("the kernel has no random numbers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(role: Role, project: Option<&str>) -> Grant {
        Grant { role, project: project.map(str::to_owned), expires_s: 1_000 }
    }

    #[test]
    fn a_token_says_what_it_was_made_for_until_it_expires() {
        let key = TokenKey::new(&[7; KEY_SIZE]);
        for role in [Role::Viewer, Role::Operator, Role::Node] {
            for project in [None, Some("checkout"), Some("ünï")] {
                let grant = grant(role, project);
                let token = key.mint(&grant).unwrap();
                assert_eq!(key.verify(&token, 999), Ok(grant));
                assert_eq!(key.verify(&token, 1_000), Err(TokenError::Expired));
            }
        }
    }

    #[test]
    fn whatever_is_changed_in_a_token_it_is_no_longer_one() {
        let key = TokenKey::new(&[7; KEY_SIZE]);
        let token = key.mint(&grant(Role::Viewer, Some("checkout"))).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&token[PREFIX.len()..]).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(changed));
            assert_eq!(key.verify(&text, 0), Err(TokenError::Unknown), "bit {bit}");
        }
        for length in 0..bytes.len() {
            let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&bytes[..length]));
            assert_eq!(key.verify(&text, 0), Err(TokenError::Unknown), "cut to {length}");
        }
        let others = TokenKey::new(&[8; KEY_SIZE]);
        let long = format!("{PREFIX}{}", "A".repeat(1 << 20));
        for text in ["", "olt_", "olt_!", "Bearer", &token[PREFIX.len()..], &long, &format!("{token}=")] {
            assert_eq!(key.verify(text, 0), Err(TokenError::Unknown), "{text:.20}");
        }
        assert_eq!(others.verify(&token, 0), Err(TokenError::Unknown));
        assert_ne!(
            token,
            key.mint(&grant(Role::Viewer, Some("checkout"))).unwrap(),
            "no token is made twice"
        );
    }

    #[test]
    fn a_token_that_was_called_back_is_good_for_nothing_and_others_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token.key");
        let key = TokenKey::open_or_create(&path).unwrap();
        let lasting = |role| Grant { expires_s: 4_000_000_000, ..grant(role, None) };
        let [one, other] = [Role::Operator, Role::Node].map(|role| key.mint(&lasting(role)).unwrap());
        let id = id_of(&one).unwrap();
        assert!(!one.contains(&id), "a number is no part of the text");
        assert!(Register::of(folder.path().join(REGISTER)).revoke(&id).unwrap());
        assert_eq!(key.verify(&one, 999), Err(TokenError::Revoked));
        assert_eq!(key.verify(&other, 999), Ok(lasting(Role::Node)));
        fs::remove_dir_all(folder.path().join(REGISTER)).unwrap();
        assert_eq!(key.verify(&other, 999), Err(TokenError::Revoked), "a lost register ends them all");
    }

    #[test]
    fn the_key_stays_in_a_file_of_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token.key");
        let token = TokenKey::open_or_create(&path).unwrap().mint(&grant(Role::Operator, None)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let again = TokenKey::open_or_create(&path).unwrap();
        assert_eq!(again.verify(&token, 0), Ok(grant(Role::Operator, None)));
        assert!(!format!("{again:?}").contains(|digit: char| digit.is_ascii_digit()), "{again:?}");
        let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o640);
        fs::set_permissions(&path, open_to_all).unwrap();
        assert!(TokenKey::open_or_create(&path).unwrap_err().to_string().contains("chmod 600"));
        let short = folder.path().join("short.key");
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&short).unwrap();
        assert!(TokenKey::open_or_create(&short).is_err());
    }
}
