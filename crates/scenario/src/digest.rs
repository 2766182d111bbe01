//! Hot path. Digest access authentication (RFC 7616), the user's side: challenges are read, and requests answer them.
//!
//! What it is: MD5 and SHA-256, each with its session variant, with the quality of protection `auth`, or none as RFC 2069 has it.
//! What it is not: `auth-int`, or a check of what the server says of itself. A challenge lives as long as the iteration that met it.
//! Invariants: what a server wrote is bounded before it is kept, and written back so that it ends no header line; nothing
//! allocates when the buffers have room.

use std::ops::Range;

use md5::Md5;
use sha2::{Digest as _, Sha256};

use crate::encode;
use crate::fields::fields;
use crate::value::{Failure, Filler, Value};

/// Longest text of a challenge that is kept.
const TEXT_MAX: usize = 1_024;

/// Who logs in where: what a challenge is kept for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) target: u16,
    pub(crate) user: Value,
    pub(crate) password: Value,
}

#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
enum Algorithm {
    #[default]
    Md5,
    Sha256,
}

impl Algorithm {
    fn name(self) -> &'static [u8] {
        match self {
            Self::Md5 => b"MD5",
            Self::Sha256 => b"SHA-256",
        }
    }

    /// The digest of texts with colons between them.
    fn of(self, texts: &[&[u8]]) -> Hex {
        fn joined(mut update: impl FnMut(&[u8]), texts: &[&[u8]]) {
            for (index, text) in texts.iter().enumerate() {
                if index > 0 {
                    update(b":");
                }
                update(text);
            }
        }
        match self {
            Self::Md5 => {
                let mut hasher = Md5::new();
                joined(|bytes| hasher.update(bytes), texts);
                Hex::of(&hasher.finalize())
            }
            Self::Sha256 => {
                let mut hasher = Sha256::new();
                joined(|bytes| hasher.update(bytes), texts);
                Hex::of(&hasher.finalize())
            }
        }
    }
}

/// How a challenge is answered.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
struct Kind {
    algorithm: Algorithm,
    is_session: bool,
    has_qop: bool,
    hides_user: bool,
}

/// A digest in hexadecimal.
struct Hex {
    digits: [u8; 64],
    length: usize,
}

impl Hex {
    fn of(digest: &[u8]) -> Self {
        let mut hex = Self { digits: [0; 64], length: digest.len() * 2 };
        for (pair, byte) in hex.digits.chunks_exact_mut(2).zip(digest) {
            pair.copy_from_slice(&encode::hex_digits(*byte));
        }
        hex
    }

    fn bytes(&self) -> &[u8] {
        &self.digits[..self.length]
    }
}

/// What a server asked for, and how often it was answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Challenge {
    is_known: bool,
    realm: Vec<u8>,
    nonce: Vec<u8>,
    /// That of the challenge itself: a later one does not change the key of the session (RFC 7616 §3.4.2).
    session_nonce: Vec<u8>,
    opaque: Vec<u8>,
    has_opaque: bool,
    kind: Kind,
    /// The client's nonce.
    cnonce: Vec<u8>,
    count: u32,
}

impl Challenge {
    /// None yet, with memory for one of usual length.
    pub(crate) fn with_room() -> Self {
        let room = || Vec::with_capacity(128);
        Self {
            realm: room(),
            nonce: room(),
            session_nonce: room(),
            opaque: room(),
            cnonce: room(),
            ..Self::default()
        }
    }

    /// Whether requests can answer it without being asked.
    pub(crate) const fn is_known(&self) -> bool {
        self.is_known
    }

    pub(crate) const fn forget(&mut self) {
        self.is_known = false;
    }

    /// Keeps what a server asks for. `random` becomes the client's nonce.
    pub(crate) fn keep(&mut self, offer: &Offer<'_>, random: [u64; 2]) {
        self.is_known = true;
        unescape(offer.realm, &mut self.realm);
        unescape(offer.nonce, &mut self.nonce);
        unescape(offer.nonce, &mut self.session_nonce);
        unescape(offer.opaque.unwrap_or_default(), &mut self.opaque);
        self.has_opaque = offer.opaque.is_some();
        self.kind = offer.kind;
        self.cnonce.clear();
        for number in random {
            encode::push_hex(&number.to_be_bytes(), &mut self.cnonce);
        }
        self.count = 0;
    }

    /// The server wants another nonce from now on (RFC 7616 §3.5).
    pub(crate) fn go_on_with(&mut self, nonce: &[u8]) {
        unescape(nonce, &mut self.nonce);
        self.count = 0;
    }

    /// A request is about to answer it.
    pub(crate) const fn count(&mut self) {
        self.count = self.count.wrapping_add(1);
    }

    /// RFC 7616 §3.4.2: what user and password come to.
    fn key(&self, user: &[u8], password: &[u8]) -> Hex {
        let key = self.kind.algorithm.of(&[user, &self.realm, password]);
        if !self.kind.is_session {
            return key;
        }
        self.kind.algorithm.of(&[key.bytes(), &self.session_nonce, &self.cnonce])
    }

    /// RFC 7616 §3.4.1: what proves that the password is known.
    fn response(&self, key: &Hex, count: [u8; 8], request: &Hex) -> Hex {
        let (key, request) = (key.bytes(), request.bytes());
        if self.kind.has_qop {
            self.kind.algorithm.of(&[key, &self.nonce, &count, &self.cnonce, b"auth", request])
        } else {
            self.kind.algorithm.of(&[key, &self.nonce, request])
        }
    }

    /// Appends the header line of the request whose method and target lie in the buffer.
    pub(crate) fn push_field(
        &self,
        login: &Login,
        method: Range<usize>,
        target: Range<usize>,
        filler: &mut Filler<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        out.extend_from_slice(b"Authorization: Digest username=\"");
        let user = out.len();
        filler.push(&login.user, out)?;
        let password = out.len();
        filler.push(&login.password, out)?;
        let Kind { algorithm, is_session, has_qop, hides_user } = self.kind;
        let key = self.key(&out[user..password], &out[password..]);
        out.truncate(password);
        if out[user..].iter().any(u8::is_ascii_control) {
            return Err(Failure::Injection);
        }
        if hides_user {
            let hidden = algorithm.of(&[&out[user..], &self.realm]);
            out.truncate(user);
            out.extend_from_slice(hidden.bytes());
        } else {
            escape(user, out);
        }
        let request = algorithm.of(&[&out[method], &out[target.clone()]]);
        let mut count = [0; 8];
        for (pair, byte) in count.chunks_exact_mut(2).zip(self.count.to_be_bytes()) {
            pair.copy_from_slice(&encode::hex_digits(byte));
        }
        let response = self.response(&key, count, &request);
        push_quoted(b"\", realm=\"", &self.realm, out);
        push_quoted(b"\", nonce=\"", &self.nonce, out);
        out.extend_from_slice(b"\", uri=\"");
        out.extend_from_within(target);
        out.extend_from_slice(b"\", algorithm=");
        out.extend_from_slice(algorithm.name());
        if is_session {
            out.extend_from_slice(b"-sess");
        }
        if has_qop {
            out.extend_from_slice(b", qop=auth, nc=");
            out.extend_from_slice(&count);
        }
        if has_qop || is_session {
            out.extend_from_slice(b", cnonce=\"");
            out.extend_from_slice(&self.cnonce);
            out.push(b'"');
        }
        if self.has_opaque {
            push_quoted(b", opaque=\"", &self.opaque, out);
            out.push(b'"');
        }
        if hides_user {
            out.extend_from_slice(b", userhash=true");
        }
        out.extend_from_slice(b", response=\"");
        out.extend_from_slice(response.bytes());
        out.extend_from_slice(b"\"\r\n");
        Ok(())
    }
}

/// A challenge as it lies in a response. Its texts are those between the quotation marks, escapes and all.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer<'a> {
    realm: &'a [u8],
    nonce: &'a [u8],
    opaque: Option<&'a [u8]>,
    kind: Kind,
    /// The server knows the user, and only the nonce was too old.
    pub(crate) is_stale: bool,
}

/// The first challenge of a head that can be answered: the server names first what it likes best (RFC 7616 §3.7).
pub(crate) fn offer(head: &[u8]) -> Option<Offer<'_>> {
    fields(head)
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"WWW-Authenticate"))
        .find_map(|(_, value)| first_usable(value))
}

/// The nonce that a server wants next, if it says so.
pub(crate) fn next_nonce(head: &[u8]) -> Option<&[u8]> {
    let (_, value) = fields(head).find(|(name, _)| name.eq_ignore_ascii_case(b"Authentication-Info"))?;
    let mut scan = Scan { text: value, at: 0 };
    while let Some(item) = scan.next() {
        if let Item::Parameter(name, value) = item
            && name.eq_ignore_ascii_case(b"nextnonce")
        {
            return Some(value).filter(|value| !value.is_empty() && is_fit(value));
        }
    }
    None
}

/// What is known of a challenge while it is read.
#[derive(Copy, Clone, Default)]
struct Draft<'a> {
    is_digest: bool,
    realm: Option<&'a [u8]>,
    nonce: Option<&'a [u8]>,
    opaque: Option<&'a [u8]>,
    algorithm: Option<&'a [u8]>,
    qop: Option<&'a [u8]>,
    hides_user: bool,
    is_stale: bool,
}

impl<'a> Draft<'a> {
    fn take(&mut self, name: &[u8], value: &'a [u8]) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let is_true = value.eq_ignore_ascii_case(b"true");
        if is("realm") {
            self.realm = Some(value);
        } else if is("nonce") {
            self.nonce = Some(value);
        } else if is("opaque") {
            self.opaque = Some(value);
        } else if is("algorithm") {
            self.algorithm = Some(value);
        } else if is("qop") {
            self.qop = Some(value);
        } else if is("userhash") {
            self.hides_user = is_true;
        } else if is("stale") {
            self.is_stale = is_true;
        }
    }

    fn offer(&self) -> Option<Offer<'a>> {
        let (realm, nonce) = (self.realm.filter(|_| self.is_digest)?, self.nonce?);
        let name = self.algorithm.unwrap_or(b"MD5");
        let known: [(&[u8], Algorithm, bool); 4] = [
            (b"MD5", Algorithm::Md5, false),
            (b"MD5-sess", Algorithm::Md5, true),
            (b"SHA-256", Algorithm::Sha256, false),
            (b"SHA-256-sess", Algorithm::Sha256, true),
        ];
        let (_, algorithm, is_session) =
            known.into_iter().find(|(known, ..)| known.eq_ignore_ascii_case(name))?;
        let has_auth = |qop: &[u8]| {
            qop.split(|&byte| byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(b"auth"))
        };
        if self.qop.is_some_and(|qop| !has_auth(qop)) {
            return None;
        }
        let is_fit = is_fit(realm) && is_fit(nonce) && self.opaque.is_none_or(is_fit);
        is_fit.then_some(Offer {
            realm,
            nonce,
            opaque: self.opaque,
            kind: Kind { algorithm, is_session, has_qop: self.qop.is_some(), hides_user: self.hides_user },
            is_stale: self.is_stale,
        })
    }
}

/// Whether a text can be kept and sent back.
fn is_fit(text: &[u8]) -> bool {
    text.len() <= TEXT_MAX && !text.iter().any(u8::is_ascii_control)
}

fn first_usable(value: &[u8]) -> Option<Offer<'_>> {
    let mut scan = Scan { text: value, at: 0 };
    let mut draft = Draft::default();
    while let Some(item) = scan.next() {
        match item {
            Item::Scheme(name) => {
                if let Some(offer) = draft.offer() {
                    return Some(offer);
                }
                let is_digest = name.eq_ignore_ascii_case(b"Digest");
                draft = Draft { is_digest, ..Draft::default() };
            }
            Item::Parameter(name, value) => draft.take(name, value),
        }
    }
    draft.offer()
}

enum Item<'a> {
    Scheme(&'a [u8]),
    Parameter(&'a [u8], &'a [u8]),
}

/// A list of challenges, or of parameters (RFC 9110 §11.2, §11.6.1).
struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    /// The next scheme or parameter; none at the end, or where nothing can be made of the text.
    fn next(&mut self) -> Option<Item<'a>> {
        self.skip(|byte| matches!(byte, b' ' | b'\t' | b','));
        let name = self.take(is_token);
        if name.is_empty() {
            return None;
        }
        let after = self.at;
        self.skip(|byte| matches!(byte, b' ' | b'\t'));
        if self.text.get(self.at) != Some(&b'=') {
            self.at = after;
            return Some(Item::Scheme(name));
        }
        self.at += 1;
        self.skip(|byte| matches!(byte, b' ' | b'\t'));
        if self.text.get(self.at) == Some(&b'"') {
            return self.quoted().map(|value| Item::Parameter(name, value));
        }
        // What follows a scheme may also be a text that ends with `=` (token68).
        self.skip(|byte| byte == b'=');
        Some(Item::Parameter(name, self.take(is_token)))
    }

    fn quoted(&mut self) -> Option<&'a [u8]> {
        let start = self.at + 1;
        let mut at = start;
        loop {
            match self.text.get(at)? {
                b'"' => break,
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
        self.at = at + 1;
        Some(&self.text[start..at])
    }

    fn skip(&mut self, is_meant: impl Fn(u8) -> bool) {
        self.take(is_meant);
    }

    fn take(&mut self, is_meant: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = &self.text[self.at..];
        let length = rest.iter().position(|&byte| !is_meant(byte)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }
}

/// RFC 9110 §5.6.2, and what token68 has besides but `=`.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(&byte)
}

/// A text without the escapes of a quoted string.
fn unescape(text: &[u8], into: &mut Vec<u8>) {
    into.clear();
    let mut is_escaped = false;
    for &byte in text {
        is_escaped = byte == b'\\' && !is_escaped;
        if !is_escaped {
            into.push(byte);
        }
    }
}

/// Escapes the end of the buffer, from `start`, for the inside of a quoted string.
fn escape(start: usize, out: &mut Vec<u8>) {
    let end = out.len();
    if !out[start..].iter().any(|byte| matches!(byte, b'"' | b'\\')) {
        return;
    }
    for index in start..end {
        let byte = out[index];
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.drain(start..end);
}

fn push_quoted(before: &[u8], text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(before);
    let start = out.len();
    out.extend_from_slice(text);
    escape(start, out);
}

#[cfg(test)]
#[path = "digest/tests.rs"]
mod tests;
