//! Request encoding.
//!
//! What it is: the one gate through which texts of a plan become bytes on the wire. It runs before the load, not
//! on the hot path.
//! What it is not: a URL parser or a form encoder; it takes the target as it is to be sent.
//!
//! Invariant: the bytes are one request, no more and no less, whatever the arguments hold: nothing that could
//! end a line, a head or a body passes. Error texts never repeat targets or field values, which may hold
//! secrets.

use thiserror::Error;

use crate::syntax::{is_token, is_white, trimmed};

/// The User-Agent of requests that name none.
pub const USER_AGENT: &str = concat!("openloop/", env!("CARGO_PKG_VERSION"));

/// Why a request cannot be encoded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// The method is not a token.
    #[error("method {method:?} is not valid: use letters, such as GET or POST")]
    Method {
        /// The method.
        method: String,
    },
    /// CONNECT opens a tunnel, which is not a request with a response.
    #[error("method CONNECT is not supported: a tunnel cannot be measured as a request")]
    Connect,
    /// The target is empty or in none of the forms.
    #[error(
        "the request target must begin with \"/\" (or be \"*\" for OPTIONS, or a whole http URL for a proxy)"
    )]
    TargetForm,
    /// The target has a byte that no URI may have.
    #[error("the request target has the byte 0x{byte:02x} at offset {offset}: percent-encode it")]
    TargetByte {
        /// The byte.
        byte: u8,
        /// Where it stands.
        offset: usize,
    },
    /// The host is empty or has a byte that no host may have.
    #[error("host {host:?} is not valid: use a name or address, and a port if it is not the default")]
    Host {
        /// The host.
        host: String,
    },
    /// A header's name is not a token.
    #[error("header name {name:?} is not valid: it may hold letters, digits and - only")]
    HeaderName {
        /// The name.
        name: String,
    },
    /// A header's value has a control byte, such as a line break.
    #[error("the value of header {name:?} has the control byte 0x{byte:02x} at offset {offset}: remove it")]
    HeaderValue {
        /// The header's name.
        name: String,
        /// The byte.
        byte: u8,
        /// Where it stands in the value.
        offset: usize,
    },
    /// A header that may stand only once is given twice.
    #[error("header {name:?} is given twice: keep one")]
    Duplicate {
        /// The header's name.
        name: &'static str,
    },
    /// `Transfer-Encoding` is given.
    #[error("header \"Transfer-Encoding\" cannot be given: the body is sent with its Content-Length")]
    TransferEncoding,
    /// `Content-Length` is given and is not the body's size.
    #[error("header \"Content-Length\" must be the body's size, {actual}: leave it out")]
    ContentLength {
        /// The body's size.
        actual: u64,
    },
}

/// The bytes of one HTTP/1.1 request: its head, as [`encode_head`] says, and its body.
pub fn encode_request(
    method: &str,
    target: &str,
    host: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<Vec<u8>, RequestError> {
    let mut bytes = encode_head(method, target, host, headers, body.len() as u64)?;
    bytes.extend_from_slice(body);
    Ok(bytes)
}

/// The head of one HTTP/1.1 request whose body has `body_size` bytes.
///
/// `target` is sent as it is; `host` becomes the Host field. `headers` are sent in their order; a Host or
/// User-Agent among them replaces the default, and a User-Agent with an empty value leaves the field out.
/// Content-Length is added if there is a body or the method is POST, PUT or PATCH.
pub fn encode_head(
    method: &str,
    target: &str,
    host: &str,
    headers: &[(String, String)],
    body_size: u64,
) -> Result<Vec<u8>, RequestError> {
    check_method(method)?;
    check_target(method, target)?;
    for (name, value) in headers {
        check_header(name, value)?;
    }
    let own_host = only(headers, "Host")?;
    let own_agent = only(headers, "User-Agent")?;
    let own_length = only(headers, "Content-Length")?;
    check_host(own_host.unwrap_or(host))?;
    if headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("Transfer-Encoding")) {
        return Err(RequestError::TransferEncoding);
    }
    if own_length.is_some_and(|length| length != body_size.to_string()) {
        return Err(RequestError::ContentLength { actual: body_size });
    }

    let fields: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    let mut bytes = Vec::with_capacity(method.len() + target.len() + host.len() + fields + 96);
    // RFC 9112 §3: request-line = method SP request-target SP HTTP-version.
    for part in [method, " ", target, " HTTP/1.1\r\n"] {
        bytes.extend_from_slice(part.as_bytes());
    }
    // RFC 9110 §7.2: Host is generated, and as the first field.
    push_field(&mut bytes, "Host", own_host.unwrap_or(host));
    if own_agent.is_none() {
        push_field(&mut bytes, "User-Agent", USER_AGENT);
    }
    for (name, value) in headers {
        let is_silent_agent = name.eq_ignore_ascii_case("User-Agent") && own_agent == Some("");
        if !name.eq_ignore_ascii_case("Host") && !is_silent_agent {
            push_field(&mut bytes, name, value);
        }
    }
    // RFC 9110 §8.6: a user agent sends Content-Length if the method anticipates content, even without any.
    let anticipates_body = matches!(method, "POST" | "PUT" | "PATCH");
    if own_length.is_none() && (anticipates_body || body_size > 0) {
        push_field(&mut bytes, "Content-Length", &body_size.to_string());
    }
    bytes.extend_from_slice(b"\r\n");
    Ok(bytes)
}

/// Whether these request headers announce that the connection carries no further request: after sending `close`
/// a client must not send another (RFC 9112 §9.6), whatever the response says.
pub fn asks_to_close(headers: &[(String, String)]) -> bool {
    headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("Connection"))
        .flat_map(|(_, value)| value.split(','))
        .any(|option| option.trim_matches([' ', '\t']).eq_ignore_ascii_case("close"))
}

fn push_field(bytes: &mut Vec<u8>, name: &str, value: &str) {
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(b": ");
    bytes.extend_from_slice(trimmed(value.as_bytes()));
    bytes.extend_from_slice(b"\r\n");
}

/// RFC 9110 §9.1: method = token.
fn check_method(method: &str) -> Result<(), RequestError> {
    if method.is_empty() || !method.bytes().all(is_token) {
        return Err(RequestError::Method { method: method.to_owned() });
    }
    // RFC 9110 §9.3.6: a success to CONNECT has no body and turns the connection into a tunnel.
    if method == "CONNECT" { Err(RequestError::Connect) } else { Ok(()) }
}

/// RFC 9112 §3.2: origin-form, absolute-form or, for OPTIONS, asterisk-form.
fn check_target(method: &str, target: &str) -> Result<(), RequestError> {
    let forbidden = |byte: &u8| !byte.is_ascii_graphic() || *byte == b'#';
    if let Some(offset) = target.as_bytes().iter().position(forbidden) {
        return Err(RequestError::TargetByte { byte: target.as_bytes()[offset], offset });
    }
    let is_absolute = ["http://", "https://"].iter().any(|scheme| target.starts_with(scheme));
    if target.starts_with('/') || is_absolute || (target == "*" && method == "OPTIONS") {
        Ok(())
    } else {
        Err(RequestError::TargetForm)
    }
}

/// RFC 9112 §3.2: Host = uri-host [ ":" port ]; user information never stands in it (RFC 9110 §4.2.4).
fn check_host(host: &str) -> Result<(), RequestError> {
    let forbidden =
        |byte: u8| !byte.is_ascii_graphic() || matches!(byte, b'/' | b'@' | b'?' | b'#' | b'\\' | b',');
    if host.is_empty() || host.bytes().any(forbidden) {
        return Err(RequestError::Host { host: host.to_owned() });
    }
    Ok(())
}

/// RFC 9110 §5.1 and §5.5.
fn check_header(name: &str, value: &str) -> Result<(), RequestError> {
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(RequestError::HeaderName { name: name.to_owned() });
    }
    let forbidden = |byte: &u8| byte.is_ascii_control() && !is_white(*byte);
    if let Some(offset) = value.as_bytes().iter().position(forbidden) {
        return Err(RequestError::HeaderValue {
            name: name.to_owned(),
            byte: value.as_bytes()[offset],
            offset,
        });
    }
    Ok(())
}

/// The trimmed value of a header that may stand once.
fn only<'headers>(
    headers: &'headers [(String, String)],
    wanted: &'static str,
) -> Result<Option<&'headers str>, RequestError> {
    let mut found = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
    let first = found.next().map(|(_, value)| value.trim_matches([' ', '\t']));
    if found.next().is_some() { Err(RequestError::Duplicate { name: wanted }) } else { Ok(first) }
}
