//! `--connect-to HOST:PORT:ADDR:PORT`, as curl has it: connections meant for one place go to another.
//!
//! An empty HOST or PORT on the left matches any; an empty ADDR or PORT on the right keeps what the URL says. The
//! request, the `Host` header and the name in the certificate stay as the URL says.

use crate::PlanError;
use crate::host::{Host, parse_port, split_host};
use crate::text::quoted;

/// A redirection of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectTo {
    /// The URL's host that it is for; `None` for any.
    pub from_host: Option<Host>,
    /// The URL's port that it is for; `None` for any.
    pub from_port: Option<u16>,
    /// Where to connect instead; `None` keeps the host.
    pub to_host: Option<Host>,
    /// The port to connect to instead; `None` keeps it.
    pub to_port: Option<u16>,
}

impl ConnectTo {
    /// Reads `HOST:PORT:ADDR:PORT`.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let wrong = || {
            PlanError::new(
                format!("{} is not HOST:PORT:ADDR:PORT", quoted(text)),
                "e.g. example.com:443:127.0.0.1:8443, IPv6 in brackets, empty parts match or keep anything",
            )
        };
        let (from_host, rest) = split_host(text);
        let (from_port, rest) = rest.and_then(|rest| rest.split_once(':')).ok_or_else(wrong)?;
        let (to_host, to_port) = split_host(rest);
        let to_port = to_port.ok_or_else(wrong)?;
        if to_port.contains(':') {
            return Err(wrong());
        }
        let host = |text: &str| if text.is_empty() { Ok(None) } else { Host::parse(text).map(Some) };
        let port = |text: &str| if text.is_empty() { Ok(None) } else { parse_port(text).map(Some) };
        Ok(Self {
            from_host: host(from_host)?,
            from_port: port(from_port)?,
            to_host: host(to_host)?,
            to_port: port(to_port)?,
        })
    }

    /// Where a connection meant for `host` and `port` goes; `None` when this redirection is not for it.
    pub fn redirect(&self, host: &Host, port: u16) -> Option<(Host, u16)> {
        let applies = self.from_host.as_ref().is_none_or(|from| from == host)
            && self.from_port.is_none_or(|from| from == port);
        applies.then(|| (self.to_host.clone().unwrap_or_else(|| host.clone()), self.to_port.unwrap_or(port)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirections_apply_as_in_curl() {
        for (text, to) in [
            ("example.com:443:127.0.0.1:8443", Some("127.0.0.1 8443")),
            ("example.com:443:[::1]:8443", Some("[::1] 8443")),
            ("example.com:443:other.example:", Some("other.example 443")),
            ("example.com:443::8443", Some("example.com 8443")),
            ("::127.0.0.1:1", Some("127.0.0.1 1")),
            (":443:127.0.0.1:", Some("127.0.0.1 443")),
            ("example.com:80:127.0.0.1:1", None),
            ("[::1]:443:127.0.0.1:1", None),
            (":::", Some("example.com 443")),
        ] {
            let rule = ConnectTo::parse(text).expect(text);
            let target = rule.redirect(&Host::Name("example.com".into()), 443);
            assert_eq!(target.map(|(host, port)| format!("{host} {port}")).as_deref(), to, "{text}");
        }
    }

    #[test]
    fn wrong_redirections_say_how_to_fix_them() {
        for (text, fragment) in [
            ("", "is not HOST:PORT:ADDR:PORT"),
            ("example.com", "is not HOST:PORT:ADDR:PORT"),
            ("example.com:443", "is not HOST:PORT:ADDR:PORT"),
            ("example.com:443:127.0.0.1", "is not HOST:PORT:ADDR:PORT"),
            ("a:1:b:2:3", "is not HOST:PORT:ADDR:PORT"),
            ("a:x:b:2", "is not a port"),
            ("a:1:b:99999", "is not a port"),
            ("a:1:[::1:2", "is not HOST:PORT:ADDR:PORT"),
            ("a b:1:c:2", "may not have"),
        ] {
            let message = ConnectTo::parse(text).expect_err(text).to_string();
            assert!(message.contains(fragment), "{text}: {message}");
        }
    }
}
