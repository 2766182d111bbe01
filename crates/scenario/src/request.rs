//! Hot path. Writes a step's request as HTTP/1.1 bytes to the end of a buffer: literal parts as they were encoded when the
//! scenario was compiled, and between them what is filled in.
//!
//! Invariant: nothing that is filled in can end a header line or the request line, or add a space to a URL.

use crate::aws::Aws;
use crate::cookie::{Jar, Place};
use crate::digest::{Challenge, Login};
use crate::encode::{self, Alphabet};
use crate::location::{Address, host_of, path_of};
use crate::program::Target;
use crate::value::{Failure, Filler, Value};

/// A part of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Literal(Box<[u8]>),
    Value(Value, Filter),
}

/// What becomes of a value on its way into a request.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    /// It stays as it is.
    Plain,
    /// It stays as it is, and must be fit for a URL.
    Target,
    /// It stays as it is, and must be fit for a header line.
    Field,
    /// It is percent-encoded.
    Percent,
    /// It is escaped for the inside of a JSON string.
    Json,
}

/// A compiled request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) method: String,
    /// Path and query, below the target's base path, which is in it.
    pub(crate) target: Vec<Part>,
    /// Header lines that go to any host.
    pub(crate) fields: Vec<Part>,
    /// Header lines that only the step's own target may see.
    pub(crate) credentials: Vec<Part>,
    /// Header lines that describe the body.
    pub(crate) body_fields: Vec<Part>,
    pub(crate) body: Option<Vec<Part>>,
    /// How the finished request is signed.
    pub(crate) aws: Option<Aws>,
    /// Who answers challenges: an index into the program's logins.
    pub(crate) login: Option<u16>,
}

/// How a request is sent again after a redirect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) address: Address,
    /// Whether it has become a GET without a body.
    pub(crate) is_get: bool,
}

impl Hop {
    /// With memory for an address of usual length.
    pub(crate) fn with_room() -> Self {
        let address =
            Address { is_secure: false, authority: Vec::with_capacity(64), target: Vec::with_capacity(256) };
        Self { address, is_get: false }
    }
}

/// Where a request goes, and the cookies that may go with it.
pub(crate) struct Way<'a> {
    pub(crate) target: &'a Target,
    pub(crate) hop: Option<&'a Hop>,
    pub(crate) cookies: Option<&'a Jar>,
    /// Who logs in, and the challenge that is answered.
    pub(crate) login: Option<(&'a Login, &'a Challenge)>,
}

impl Way<'_> {
    /// Whether the request leaves the host, port and scheme of its step.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.hop.is_some_and(|hop| {
            hop.address.is_secure != self.target.is_secure
                || !hop.address.authority.eq_ignore_ascii_case(self.target.authority.as_bytes())
        })
    }
}

impl Template {
    /// Writes the request; returns where in the buffer its target (path and query) lies.
    pub(crate) fn render(
        &self,
        way: &Way<'_>,
        filler: &mut Filler<'_>,
        out: &mut Vec<u8>,
    ) -> Result<std::ops::Range<usize>, Failure> {
        let request = out.len();
        let is_get = way.hop.is_some_and(|hop| hop.is_get);
        out.extend_from_slice(if is_get && self.method != "HEAD" { b"GET" } else { self.method.as_bytes() });
        out.push(b' ');
        let start = out.len();
        let (authority, is_secure) = if let Some(hop) = way.hop {
            out.extend_from_slice(&hop.address.target);
            (hop.address.authority.as_slice(), hop.address.is_secure)
        } else {
            push_parts(&self.target, filler, out)?;
            (way.target.authority.as_bytes(), way.target.is_secure)
        };
        if out.get(start) != Some(&b'/') {
            out.insert(start, b'/');
        }
        let target = start..out.len();
        out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
        out.extend_from_slice(authority);
        out.extend_from_slice(b"\r\n");
        push_parts(&self.fields, filler, out)?;
        if !way.is_elsewhere() {
            push_parts(&self.credentials, filler, out)?;
            if let Some((login, challenge)) = way.login {
                challenge.push_field(login, request..start - 1, target.clone(), filler, out)?;
            }
        }
        if let Some(jar) = way.cookies {
            let path = start..start + path_of(&out[target.clone()]).len();
            jar.push_header(host_of(authority), is_secure, path, filler.unix_ns, out);
        }
        match &self.body {
            Some(body) if !is_get => {
                push_parts(&self.body_fields, filler, out)?;
                push_body(body, filler, out)?;
            }
            _ => out.extend_from_slice(b"\r\n"),
        }
        if let Some(aws) = self.aws.as_ref().filter(|_| !way.is_elsewhere()) {
            aws.sign(request, filler, out)?;
        }
        Ok(target)
    }
}

/// Writes the length of the body, the end of the head, and the body.
fn push_body(body: &[Part], filler: &mut Filler<'_>, out: &mut Vec<u8>) -> Result<(), Failure> {
    out.extend_from_slice(b"Content-Length: ");
    let start = out.len();
    push_parts(body, filler, out)?;
    let end = out.len();
    // The length is known now; it is written behind the body, and both change places.
    encode::push_number((end - start) as u64, out);
    out.extend_from_slice(b"\r\n\r\n");
    out[start..].rotate_left(end - start);
    Ok(())
}

fn push_parts(parts: &[Part], filler: &mut Filler<'_>, out: &mut Vec<u8>) -> Result<(), Failure> {
    for part in parts {
        match part {
            Part::Literal(bytes) => out.extend_from_slice(bytes),
            Part::Value(value, way) => {
                let start = out.len();
                filler.push(value, out)?;
                apply(*way, start, out)?;
            }
        }
    }
    Ok(())
}

fn apply(filter: Filter, start: usize, out: &mut Vec<u8>) -> Result<(), Failure> {
    let is_unfit = |byte: &u8| match filter {
        // RFC 9112 §3.2: no space and no control character in a request target.
        Filter::Target => *byte <= b' ' || *byte == 0x7f,
        // RFC 9110 §5.5: CR, LF and NUL end a field or worse; other control characters are invalid, tab is not.
        Filter::Field => byte.is_ascii_control() && *byte != b'\t',
        Filter::Plain | Filter::Percent | Filter::Json => false,
    };
    if out[start..].iter().any(is_unfit) {
        return Err(Failure::Injection);
    }
    match filter {
        Filter::Percent => encode::replace(out, start, Alphabet::Percent),
        Filter::Json => encode::replace(out, start, Alphabet::Json),
        Filter::Plain | Filter::Target | Filter::Field => {}
    }
    Ok(())
}

/// Where a request went, as cookies see it.
pub(crate) fn place(address: &Address) -> Place<'_> {
    Place { host: address.host(), path: address.path(), is_secure: address.is_secure }
}
