//! URLs of targets: a strict reading of RFC 3986 as far as HTTP/1.1 needs it.
//!
//! What it is not: a browser's address bar. Nothing is guessed, repaired or re-encoded: what cannot be sent as it is
//! written is refused with the fix. User names and passwords are refused, so that no secret reaches a report; values
//! of query parameters whose names sound secret are hidden wherever the URL is shown.

use std::fmt::{self, Write as _};

use crate::PlanError;
use crate::host::{Host, parse_port, split_host};
use crate::text::quoted;

/// Longest URL, in bytes.
const LONGEST: usize = 8_192;

/// How the target is spoken to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP over TCP.
    Http,
    /// HTTP over TLS.
    Https,
    /// A protocol of the user's own.
    Own(OwnScheme),
}

/// The scheme of a protocol that is not HTTP.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct OwnScheme {
    /// As it stands in a URL, in lower case.
    pub name: &'static str,
    /// The port that needs no writing.
    pub default_port: u16,
    /// Whether it is spoken over TLS.
    pub is_secure: bool,
}

impl Scheme {
    /// The scheme as it stands in a URL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Own(own) => own.name,
        }
    }

    /// Whether it is spoken over TLS.
    pub const fn is_secure(self) -> bool {
        match self {
            Self::Http => false,
            Self::Https => true,
            Self::Own(own) => own.is_secure,
        }
    }

    /// The port that needs no writing (RFC 9110 §4.2).
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            Self::Own(own) => own.default_port,
        }
    }
}

/// The URL of a target. Shown (`Display`, `Debug`) it hides values that sound secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    scheme: Scheme,
    host: Host,
    port: u16,
    target: String,
}

impl Url {
    /// Reads a URL such as `https://example.com:8443/path?query`. A fragment is dropped: it is never sent.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        if text.is_empty() {
            return Err(PlanError::new(
                "the URL is empty: is a variable unset?",
                "a URL such as http://127.0.0.1:8080/, or no URL at all for the built-in target",
            ));
        }
        Self::parse_as(text, &[Scheme::Http, Scheme::Https])
    }

    /// Reads a URL of one of `schemes`, of which there is at least one.
    pub fn parse_as(text: &str, schemes: &[Scheme]) -> Result<Self, PlanError> {
        if text.is_empty() {
            let fix = format!("one that begins with {}", one_of(schemes));
            return Err(PlanError::new("the URL is empty: is a variable unset?", fix));
        }
        if text.len() > LONGEST {
            return Err(PlanError::new(
                format!("the URL is {} bytes long", text.len()),
                "at most 8192 bytes",
            ));
        }
        if let Some((offset, character)) =
            text.char_indices().find(|(_, character)| character.is_control() || *character == ' ')
        {
            let what = if character == ' ' { "a space" } else { "a control character" };
            let fix = if character == ' ' { "write it as %20" } else { "take it out" };
            return Err(PlanError::new(format!("the URL has {what}"), fix).at_offset(text, offset));
        }
        let (scheme, rest) = parse_scheme(text, schemes)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        if authority.contains('@') {
            return Err(PlanError::new(
                "the URL has a user name or password (not shown)",
                "take it out and send a header instead: -H \"Authorization: Basic $BASE64\"; a secret never stands in a URL",
            ));
        }
        if authority.matches(':').count() > 1 && !authority.starts_with('[') {
            let what = format!("{} is not a host and a port", quoted(authority));
            return Err(PlanError::new(what, "one colon, and IPv6 in brackets: http://[::1]:8080/"));
        }
        let (host, port) = split_host(authority);
        let host = Host::parse(host)?;
        let port = port.map_or(Ok(scheme.default_port()), parse_port)?;
        let target = rest.split('#').next().unwrap_or_default();
        check_target(text, target)?;
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self { scheme, host, port, target })
    }

    /// How the target is spoken to.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port, written or not.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Path and query, as they stand in the request line. It may hold a secret: never print it.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// What the `Host` header says (RFC 9110 §7.2).
    pub fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The name that the target's certificate must be for: a name or a bare address.
    pub fn server_name(&self) -> String {
        match &self.host {
            Host::Name(name) => name.clone(),
            Host::Address(address) => address.to_string(),
        }
    }
}

/// The beginnings that a URL may have.
fn one_of(schemes: &[Scheme]) -> String {
    schemes.iter().map(|scheme| format!("{}://", scheme.name())).collect::<Vec<_>>().join(" or ")
}

/// Reads the scheme; what follows is returned with it.
fn parse_scheme<'a>(text: &'a str, schemes: &[Scheme]) -> Result<(Scheme, &'a str), PlanError> {
    let Some((name, rest)) = text.split_once("://") else {
        let has_scheme =
            |scheme: &Scheme| text.strip_prefix(scheme.name()).is_some_and(|rest| rest.starts_with(':'));
        let first = schemes.first().map_or("", |scheme| scheme.name());
        let fix = if text.starts_with('/') || schemes.iter().any(has_scheme) {
            format!("e.g. {first}://127.0.0.1:8080/path")
        } else if text.contains('@') {
            schemes.iter().map(|scheme| format!("{}://…", scheme.name())).collect::<Vec<_>>().join(" or ")
        } else {
            let whole = schemes.iter().map(|scheme| format!("{}://{text}", scheme.name()));
            let whole = whole.collect::<Vec<_>>().join(" or ");
            whole.chars().filter(|character| !character.is_control()).collect()
        };
        return Err(PlanError::new(format!("{} is not a URL", quoted(text)), fix));
    };
    let name = name.to_ascii_lowercase();
    if let Some(scheme) = schemes.iter().find(|scheme| scheme.name() == name) {
        return Ok((*scheme, rest));
    }
    match name.as_str() {
        "http" | "https" | "ws" | "wss" | "grpc" | "h2c" | "ftp" | "file" | "tcp" | "unix" => {
            Err(PlanError::new(format!("the engine does not speak {name}"), one_of(schemes)))
        }
        _ => {
            let what = format!("{} has no scheme that the engine knows", quoted(text));
            Err(PlanError::new(what, one_of(schemes)))
        }
    }
}

/// Path and query may hold only what may stand in a request line as it is (RFC 3986 §3.3, §3.4).
fn check_target(text: &str, target: &str) -> Result<(), PlanError> {
    let start = text.len() - text[text.find("://").map_or(0, |at| at + 3)..].len();
    let start = start + text[start..].find(['/', '?', '#']).unwrap_or(0);
    for (offset, character) in target.char_indices() {
        let refused = !character.is_ascii()
            || matches!(character, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}');
        let broken_escape = character == '%'
            && !(target.len() >= offset + 3
                && target.as_bytes()[offset + 1..offset + 3].iter().all(u8::is_ascii_hexdigit));
        if refused || broken_escape {
            let fix = if broken_escape {
                "%25 for a percent sign, %XX for other bytes".to_owned()
            } else {
                let mut encoded = String::new();
                for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                    // Writing to a string cannot fail.
                    let _ = write!(encoded, "%{byte:02X}");
                }
                format!("write it as {encoded}")
            };
            let what =
                format!("the URL has a {} that cannot be sent as it is", quoted(&character.to_string()));
            return Err(PlanError::new(what, fix).at_offset(text, start + offset));
        }
    }
    Ok(())
}

/// Words that make a query parameter's value secret, in lower case.
const SECRET_PARAMETERS: &[&str] = &[
    "token",
    "key",
    "secret",
    "password",
    "passwd",
    "pwd",
    "sig",
    "auth",
    "session",
    "jwt",
    "credential",
    "code",
];

impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", self.scheme.name(), self.authority())?;
        let Some((path, query)) = self.target.split_once('?') else {
            return formatter.write_str(&self.target);
        };
        formatter.write_str(path)?;
        let mut separator = '?';
        for parameter in query.split('&') {
            formatter.write_char(separator)?;
            separator = '&';
            match parameter.split_once('=') {
                Some((name, _)) if is_secret(name) => write!(formatter, "{name}=***")?,
                _ => formatter.write_str(parameter)?,
            }
        }
        Ok(())
    }
}

/// A path without the values of parameters that look secret.
pub(crate) fn without_secrets(target: &str) -> String {
    let Some((path, query)) = target.split_once('?') else { return target.to_owned() };
    let shown = query.split('&').map(|parameter| match parameter.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}=***"),
        _ => parameter.to_owned(),
    });
    format!("{path}?{}", shown.collect::<Vec<_>>().join("&"))
}

fn is_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    SECRET_PARAMETERS.iter().any(|word| lower.contains(word))
}

impl fmt::Debug for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Url({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn right_urls() {
        for (text, scheme, authority, port, target) in [
            ("http://example.com", Scheme::Http, "example.com", 80, "/"),
            ("HTTPS://Example.com:443/a", Scheme::Https, "example.com", 443, "/a"),
            ("https://example.com:8443/a?b=c", Scheme::Https, "example.com:8443", 8443, "/a?b=c"),
            ("http://127.0.0.1:80/", Scheme::Http, "127.0.0.1", 80, "/"),
            ("http://[::1]:8080/x", Scheme::Http, "[::1]:8080", 8080, "/x"),
            ("http://[::1]", Scheme::Http, "[::1]", 80, "/"),
            ("http://h?q", Scheme::Http, "h", 80, "/?q"),
            ("http://h/a#frag", Scheme::Http, "h", 80, "/a"),
            ("http://h#frag", Scheme::Http, "h", 80, "/"),
            ("http://h/a@b:c;d,e=f!g$h'(i)*+~", Scheme::Http, "h", 80, "/a@b:c;d,e=f!g$h'(i)*+~"),
            ("http://h/%20?[x]", Scheme::Http, "h", 80, "/%20?[x]"),
            ("http://h//../a", Scheme::Http, "h", 80, "//../a"),
        ] {
            let url = Url::parse(text).expect(text);
            assert_eq!(url.scheme(), scheme, "{text}");
            assert_eq!(
                (url.authority().as_str(), url.port(), url.target()),
                (authority, port, target),
                "{text}"
            );
        }
        assert_eq!(Url::parse("https://[::1]:8443/").expect("a URL").server_name(), "::1");
        assert_eq!(Url::parse("https://A.example./").expect("a URL").server_name(), "a.example");
    }

    #[test]
    fn wrong_urls_say_how_to_fix_them() {
        for (text, fragment) in [
            ("", "the URL is empty: is a variable unset?"),
            ("example.com", "→ http://example.com or https://example.com"),
            ("localhost:8080/x", "→ http://localhost:8080/x"),
            ("/path", "e.g. http://127.0.0.1:8080/path"),
            ("http:/example.com", "is not a URL"),
            ("http://", "there is no host"),
            ("http:///path", "there is no host"),
            ("http://:8080/", "there is no host"),
            ("ftp://h/", "does not speak ftp"),
            ("ws://h/", "does not speak ws"),
            ("gopher://h/", "no scheme that the engine knows"),
            ("http://h:0/", "is not a port"),
            ("http://h:/", "is not a port"),
            ("http://h:65536/", "is not a port"),
            ("http://h:80:90/", "is not a host and a port"),
            ("http://::1/", "IPv6 in brackets"),
            ("http://[::1/", "close the bracket"),
            ("http://[::1]x/", "is not an IPv6 address"),
            ("http://h/a b", "column 11: the URL has a space → write it as %20"),
            ("http://h/a\r\nX: 1", "control character"),
            ("http://h/\u{0}", "control character"),
            (
                "http://h/ä",
                "column 10: the URL has a \"ä\" that cannot be sent as it is → write it as %C3%A4",
            ),
            (
                "http://h/{id}",
                "column 10: the URL has a \"{\" that cannot be sent as it is → write it as %7B",
            ),
            ("http://h/a|b", "%7C"),
            ("http://h/a\\b", "%5C"),
            ("http://h/100%", "%25 for a percent sign"),
            ("http://h/%zz", "%25"),
            ("http://127.1/", "is not an IPv4 address"),
            ("http://bücher.example/", "ASCII form"),
        ] {
            let message = Url::parse(text).expect_err(text).to_string();
            assert!(message.contains(fragment), "{text}: {message}");
            assert!(!message.contains(char::is_control), "{message:?}");
        }
        let long = format!("http://h/{}", "a".repeat(LONGEST));
        assert!(Url::parse(&long).expect_err("long").to_string().contains("at most 8192"));
    }

    #[test]
    fn other_protocols_have_schemes_of_their_own() {
        let own = |name, is_secure| Scheme::Own(OwnScheme { name, default_port: 6379, is_secure });
        let schemes = [own("redis", false), own("rediss", true)];
        let url = Url::parse_as("redis://cache.example", &schemes).expect("a URL");
        assert_eq!((url.port(), url.scheme().is_secure()), (6379, false));
        assert_eq!(url.to_string(), "redis://cache.example/");
        let url = Url::parse_as("REDISS://[::1]:7000", &schemes).expect("a URL");
        assert_eq!(
            (url.port(), url.scheme().is_secure(), url.authority().as_str()),
            (7000, true, "[::1]:7000")
        );
        for (text, fragment) in [
            ("", "one that begins with redis:// or rediss://"),
            ("cache:6379", "→ redis://cache:6379 or rediss://cache:6379"),
            ("http://h/", "does not speak http → redis:// or rediss://"),
            ("redis:h", "e.g. redis://127.0.0.1:8080/path"),
        ] {
            let message = Url::parse_as(text, &schemes).expect_err(text).to_string();
            assert!(message.contains(fragment), "{text}: {message}");
        }
        assert!(
            Url::parse("redis://h/").expect_err("HTTP alone").to_string().contains("http:// or https://")
        );
    }

    #[test]
    fn secrets_are_refused_or_hidden() {
        for text in ["http://me:hunter2@h/", "http://hunter2@h/", "https://h:80@hunter2:80/", "me:hunter2@h"]
        {
            let message = Url::parse(text).expect_err(text).to_string();
            assert!(!message.contains("hunter2"), "{message}");
        }
        let url = Url::parse("https://h/p?a=1&access_TOKEN=hunter2&Signature=hunter2&b&api_key=hunter2")
            .expect("a URL");
        assert_eq!(url.to_string(), "https://h/p?a=1&access_TOKEN=***&Signature=***&b&api_key=***");
        assert!(!format!("{url:?}").contains("hunter2"));
        assert!(url.target().contains("hunter2"), "it is still sent");
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_safe_in_a_request_line(text in "(http|https)://\\PC{0,40}") {
            if let Ok(url) = Url::parse(&text) {
                prop_assert!(url.target().starts_with('/'));
                prop_assert!(url.target().bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert!(url.authority().bytes().all(|byte| byte.is_ascii_graphic()));
                let again = format!("{}://{}{}", url.scheme().name(), url.authority(), url.target());
                prop_assert_eq!(Url::parse(&again), Ok(url));
            }
        }

        #[test]
        fn no_text_makes_the_parser_fail_otherwise_than_by_an_error(text in "\\PC{0,60}") {
            let _ = Url::parse(&text);
        }

        #[test]
        fn nor_any_text_that_resembles_a_url(text in "https?://[a-z0-9.:@\\[\\]%?#/ä\\\\]{0,30}") {
            let _ = Url::parse(&text);
        }
    }
}
