//! Request headers and methods, checked so that nothing a user writes can forge a second header or request.
//!
//! Invariants: a name is a token (RFC 9110 §5.1); a value has no CR, LF, NUL or other control character (§5.5).
//! Neither errors nor `Debug` show a value: it may be a credential.

use std::fmt;

use crate::PlanError;
use crate::text::quoted;

/// A request header.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    name: String,
    value: String,
}

impl Header {
    /// Reads `Name: value`, as curl's `-H` does.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        if text.is_empty() {
            return Err(PlanError::new(
                "the header is empty: is a variable unset?",
                "e.g. 'Accept: text/html'",
            ));
        }
        let Some((name, value)) = text.split_once(':') else {
            let fix = "'Name: value', e.g. 'Accept: text/html'";
            return Err(PlanError::new(
                format!("the header has no colon ({} bytes, not shown)", text.len()),
                fix,
            ));
        };
        Self::new(name, value)
    }

    /// A header with this name and value; spaces around the value do not belong to it.
    pub fn new(name: &str, value: &str) -> Result<Self, PlanError> {
        if name.is_empty() {
            return Err(PlanError::new("the header has no name", "'Name: value', e.g. 'Accept: text/html'"));
        }
        if name.ends_with([' ', '\t']) {
            // RFC 9112 §5.1: no white space between the name and the colon.
            return Err(PlanError::new("the header has a space before its colon", "'Name: value'"));
        }
        if let Some(offset) = name.bytes().position(|byte| !is_token_byte(byte)) {
            return Err(PlanError::new(
                format!("the header's name has a character at column {} that names may not have", offset + 1),
                "letters, digits and -, e.g. 'X-Request-Id: 7'",
            ));
        }
        let value = value.trim_matches([' ', '\t']);
        // RFC 9110 §5.5: CR, LF and NUL are dangerous, other control characters are invalid; tab is allowed.
        if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
            return Err(PlanError::new(
                format!("the value of header {name} has a control character (line break, NUL, …)"),
                "one line of text; repeat the flag for another header",
            ));
        }
        Self::check_framing(name)?;
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }

    /// Headers that say where a message ends are the engine's own (RFC 9112 §6).
    fn check_framing(name: &str) -> Result<(), PlanError> {
        let fix = match name.to_ascii_lowercase().as_str() {
            "content-length" => "leave it out; it follows from the body",
            "transfer-encoding" => "leave it out; the body is sent with its length",
            "upgrade" | "http2-settings" => "leave it out; the engine speaks HTTP/1.1",
            "expect" => "leave it out; the body is sent without waiting",
            _ => return Ok(()),
        };
        Err(PlanError::new(format!("header {name} cannot be set"), fix))
    }

    /// The name as it was written.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value. It may be a credential: never print it.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether the header has this name; case does not matter.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Header({}: …)", self.name)
    }
}

/// A request method: a token, in upper case by convention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method(String);

impl Method {
    /// Reads a method such as `GET` or `PURGE`.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        if text.is_empty() {
            return Err(PlanError::new("the method is empty: is a variable unset?", "e.g. GET, POST"));
        }
        if !text.bytes().all(is_token_byte) {
            return Err(PlanError::new(format!("{} is not a method", quoted(text)), "e.g. GET, POST, PUT"));
        }
        let upper = text.to_ascii_uppercase();
        match upper.as_str() {
            // RFC 9110 §9.3.6: CONNECT asks for a tunnel, not for a response.
            "CONNECT" => Err(PlanError::new(
                "method CONNECT opens a tunnel",
                "a method that gets a response, e.g. GET",
            )),
            // Methods are case-sensitive (RFC 9110 §9.1): get is not GET, and almost certainly not meant.
            "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" | "TRACE" if upper != text => {
                Err(PlanError::new(
                    format!("{} is not a method; methods are case-sensitive", quoted(text)),
                    upper,
                ))
            }
            _ => Ok(Self(text.to_owned())),
        }
    }

    /// The method as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Method {
    fn default() -> Self {
        Self("GET".into())
    }
}

/// The characters of a token (RFC 9110 §5.6.2).
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_headers() {
        for (text, name, value) in [
            ("Accept: text/html", "Accept", "text/html"),
            ("X-Empty:", "X-Empty", ""),
            ("a:b:c", "a", "b:c"),
            ("X-Tab:\t a\tb ", "X-Tab", "a\tb"),
            ("X-Umlaut: grün", "X-Umlaut", "grün"),
            ("Host: other.example", "Host", "other.example"),
        ] {
            let header = Header::parse(text).expect(text);
            assert_eq!((header.name(), header.value()), (name, value));
        }
    }

    #[test]
    fn wrong_headers_say_how_to_fix_them_and_never_show_the_value() {
        for (text, fragment) in [
            ("", "is a variable unset?"),
            ("hunter2", "has no colon"),
            (": hunter2", "has no name"),
            ("X Y: hunter2", "at column 2"),
            ("Accept : hunter2", "a space before its colon"),
            ("X-A: hunter2\r\nX-B: 1", "control character"),
            ("X-A: hunter2\n", "control character"),
            ("X-A: hunter2\0", "control character"),
            ("X-A\r\nX-B: hunter2", "at column 4"),
            ("Content-Length: hunter2", "follows from the body"),
            ("transfer-encoding: hunter2", "cannot be set"),
            ("Expect: hunter2", "without waiting"),
            ("ключ: hunter2", "at column 1"),
        ] {
            let message = Header::parse(text).expect_err(text).to_string();
            assert!(message.contains(fragment), "{text}: {message}");
            assert!(!message.contains("hunter2"), "{message}");
            assert!(message.contains('→') && !message.contains(char::is_control), "{message}");
        }
        let header = Header::parse("Authorization: Bearer hunter2").expect("a header");
        assert!(!format!("{header:?}").contains("hunter2"));
    }

    #[test]
    fn methods() {
        for text in ["GET", "POST", "PURGE", "M-SEARCH"] {
            assert_eq!(Method::parse(text).expect(text).as_str(), text);
        }
        for (text, fragment) in [
            ("", "is a variable unset?"),
            ("get", "case-sensitive → GET"),
            ("GE T", "is not a method"),
            ("GET\r\nX: 1", "is not a method"),
            ("CONNECT", "opens a tunnel"),
            ("{}", "is not a method"),
        ] {
            let message = Method::parse(text).expect_err(text).to_string();
            assert!(message.contains(fragment), "{text}: {message}");
        }
    }
}
