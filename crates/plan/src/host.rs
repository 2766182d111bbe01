//! Hosts and ports as they stand in URLs and in `--connect-to`.
//!
//! Invariant: a [`Host::Name`] is in lower case, at most 253 bytes, of labels of letters, digits, `-` and `_`, and
//! never a disguised address such as `127.1` or `0x7f000001`, which some resolvers would take for one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::PlanError;
use crate::text::quoted;

/// The host of a URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name to be resolved.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl Host {
    /// Reads a host: a name, an IPv4 address, or an IPv6 address in brackets.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        if let Some(inner) = text.strip_prefix('[') {
            return parse_ipv6(text, inner);
        }
        if text.contains(':') {
            return Err(PlanError::new(
                format!("{} is not a host", quoted(text)),
                format!("IPv6 in brackets: [{text}]"),
            ));
        }
        let lower = text.to_ascii_lowercase();
        let name = lower.strip_suffix('.').unwrap_or(&lower);
        let wrong = |what: &str, fix: &str| PlanError::new(format!("host {} {what}", quoted(text)), fix);
        if name.is_empty() {
            return Err(PlanError::new("there is no host", "e.g. http://example.com/ or 127.0.0.1"));
        }
        if !name.is_ascii() {
            return Err(wrong("has letters beyond ASCII", "its ASCII form (xn--…)"));
        }
        // WHATWG URL §3.5: a host whose last label is a number is an IPv4 address or nothing.
        let last = name.rsplit('.').next().unwrap_or(name);
        let numeric = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
        let hexadecimal =
            last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if numeric || hexadecimal {
            let address = name.parse::<Ipv4Addr>();
            return address
                .map(|address| Self::Address(address.into()))
                .map_err(|_| wrong("is not an IPv4 address", "four numbers from 0 to 255, e.g. 127.0.0.1"));
        }
        if name.len() > 253 || name.split('.').any(|label| label.len() > 63) {
            return Err(wrong("is too long for a name", "at most 253 characters, 63 between dots"));
        }
        if name.split('.').any(str::is_empty) {
            return Err(wrong("has an empty part", "one dot between two parts, e.g. www.example.com"));
        }
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
            return Err(wrong("has a character that hosts may not have", "letters, digits, - and dots"));
        }
        Ok(Self::Name(name.to_owned()))
    }
}

fn parse_ipv6(text: &str, inner: &str) -> Result<Host, PlanError> {
    let wrong = |fix: &str| PlanError::new(format!("{} is not an IPv6 address", quoted(text)), fix);
    let Some(address) = inner.strip_suffix(']') else { return Err(wrong("close the bracket, e.g. [::1]")) };
    if address.contains('%') {
        return Err(wrong("leave out the zone (%…); it means nothing to the target"));
    }
    address.parse::<Ipv6Addr>().map(|address| Host::Address(address.into())).map_err(|_| wrong("e.g. [::1]"))
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(formatter, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(formatter, "[{address}]"),
        }
    }
}

/// Reads a port from 1 to 65535.
pub fn parse_port(text: &str) -> Result<u16, PlanError> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if plain && port > 0 => Ok(port),
        _ => Err(PlanError::new(format!("{} is not a port", quoted(text)), "1 to 65535, e.g. 8080")),
    }
}

/// Cuts `text` after its host, at the first colon outside brackets.
pub(crate) fn split_host(text: &str) -> (&str, Option<&str>) {
    let end = if text.starts_with('[') { text.find(']').unwrap_or(0) } else { 0 };
    match text[end..].find(':') {
        Some(colon) => (&text[..end + colon], Some(&text[end + colon + 1..])),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_hosts() {
        for (text, shown) in [
            ("example.com", "example.com"),
            ("Example.COM.", "example.com"),
            ("my_service", "my_service"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("[0:0:0:0:0:0:0:1]", "[::1]"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("1.example", "1.example"),
        ] {
            assert_eq!(Host::parse(text).expect(text).to_string(), shown);
        }
    }

    #[test]
    fn wrong_hosts_say_how_to_fix_them() {
        for (text, fragment) in [
            ("", "there is no host"),
            ("::1", "IPv6 in brackets: [::1]"),
            ("[::1", "close the bracket"),
            ("[::g]", "is not an IPv6 address"),
            ("[fe80::1%eth0]", "leave out the zone"),
            ("[127.0.0.1]", "is not an IPv6 address"),
            ("127.1", "is not an IPv4 address"),
            ("256.0.0.1", "is not an IPv4 address"),
            ("2130706433", "is not an IPv4 address"),
            ("0x7f000001", "is not an IPv4 address"),
            ("0177.0.0.1", "is not an IPv4 address"),
            ("bücher.example", "its ASCII form"),
            ("a..b", "empty part"),
            (".a", "empty part"),
            ("a b", "may not have"),
            ("a\r\nb", "may not have"),
            ("a%20b", "may not have"),
        ] {
            let message = Host::parse(text).expect_err(text).to_string();
            assert!(message.contains(fragment), "{text}: {message}");
        }
        assert!(Host::parse(&"a".repeat(64)).expect_err("long").to_string().contains("too long"));
        assert!(Host::parse(&"a.".repeat(127)).is_ok());
    }

    #[test]
    fn ports() {
        assert_eq!(parse_port("8080"), Ok(8080));
        for text in ["", "0", "65536", "+80", "http", "-1", "80 "] {
            assert!(parse_port(text).expect_err(text).to_string().contains("1 to 65535"), "{text}");
        }
    }
}
