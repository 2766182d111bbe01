//! Where the coordinator may listen.

use std::net::{IpAddr, SocketAddr};

/// Why an address is not listened on (exit code 4).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{edge} on {address} would be open to others without {missing} → listen on 127.0.0.1 (the default), or start with \
     --tls-cert, --tls-key (coordinator certs makes both) and --tokens"
)]
pub struct BindRefused {
    edge: &'static str,
    address: SocketAddr,
    missing: &'static str,
}

/// Whether `edge` (a word for people) may listen on `address`.
pub fn check_bind(
    edge: &'static str,
    address: SocketAddr,
    tls: bool,
    tokens: bool,
) -> Result<(), BindRefused> {
    let missing = match (is_loopback(address.ip()), tls, tokens) {
        (true, ..) | (false, true, true) => return Ok(()),
        (false, false, true) => "TLS",
        (false, true, false) => "tokens",
        (false, false, false) => "TLS and tokens",
    };
    Err(BindRefused { edge, address, missing })
}

/// Whether only this host reaches `ip`, also where it is an IPv4 address in IPv6 clothes.
pub(crate) fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::check_bind;

    #[test]
    fn beyond_loopback_both_tls_and_tokens_are_asked_for() {
        let table = [
            ("127.0.0.1:8089", false, false, None),
            ("127.8.8.8:8089", false, false, None),
            ("[::1]:8089", false, false, None),
            ("[::ffff:127.0.0.1]:8089", false, false, None),
            ("0.0.0.0:8089", false, false, Some("TLS and tokens")),
            ("[::]:8089", true, false, Some("tokens")),
            ("192.168.1.5:8089", false, true, Some("TLS")),
            ("192.168.1.5:8089", true, true, None),
            ("[::ffff:10.0.0.1]:8089", false, false, Some("TLS and tokens")),
        ];
        for (address, tls, tokens, missing) in table {
            let outcome = check_bind("HTTP", address.parse().unwrap(), tls, tokens);
            assert_eq!(
                outcome.as_ref().err().map(|refused| refused.missing),
                missing,
                "{address} {tls} {tokens}"
            );
            if let Err(refused) = outcome {
                assert!(refused.to_string().contains("coordinator certs"), "{refused}");
            }
        }
    }
}
