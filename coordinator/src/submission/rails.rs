//! What a coordinator allows: the first of two fences; each node has its own, and judges what it connects to.
//!
//! Names are resolved here as well, so that whoever asks hears at once; a name that only the nodes know is left to them.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _, UdpSocket};

use plan::{Connections, Fence, Host, PlanError, Url, rate_text};

use crate::handle::{Refused, RefusedKind};

/// What a coordinator allows.
#[derive(Clone, Debug, Default)]
pub struct Rails {
    /// What may be loaded; none where whoever asks for a run is at this machine.
    pub fence: Option<Fence>,
    /// Where this coordinator listens, which may be all of its addresses.
    pub own: Vec<SocketAddr>,
    /// The highest rate.
    pub rate_guard: Option<plan::Rate>,
}

impl Rails {
    /// Judges what a run loads, by which way, and how hard.
    pub(super) fn check(
        &self,
        ways: &[(&Url, &Connections)],
        highest: Option<plan::Rate>,
    ) -> Result<(), Refused> {
        let forbidden = |what: String| Refused::new(RefusedKind::Forbidden, what);
        for (url, connections) in ways {
            self.check_way(url, connections).map_err(|error| forbidden(error.to_string()))?;
        }
        match (highest, self.rate_guard) {
            (Some(rate), Some(guard)) if rate > guard => {
                let (rate, guard) = (rate_text(rate), rate_text(guard));
                let what = format!("the plan reaches {rate}/s, above this coordinator's guard of {guard}/s");
                let fix = "a lower rate, or coordinator serve --rate-guard RATE";
                Err(forbidden(format!("{what} → {fix}")))
            }
            _ => Ok(()),
        }
    }

    fn check_way(&self, url: &Url, connections: &Connections) -> Result<(), PlanError> {
        let Some(fence) = &self.fence else { return Ok(()) };
        if let Some(socket) = &connections.unix_socket {
            return fence.check_socket(socket);
        }
        let redirected = connections.connect_to.iter().find_map(|rule| rule.redirect(url.host(), url.port()));
        let (host, port) = redirected.unwrap_or_else(|| (url.host().clone(), url.port()));
        let addresses = match &host {
            Host::Address(address) => vec![SocketAddr::new(*address, port)],
            Host::Name(name) => {
                (name.as_str(), port).to_socket_addrs().map(Iterator::collect).unwrap_or_default()
            }
        };
        if addresses.is_empty() {
            return fence.check_name(&host);
        }
        let with_own = Fence { own: self.own_among(&addresses), ..fence.clone() };
        addresses.iter().try_for_each(|address| with_own.check(&host, *address))
    }

    /// Those of some addresses on which this coordinator listens.
    fn own_among(&self, addresses: &[SocketAddr]) -> Vec<SocketAddr> {
        let is_own = |address: &&SocketAddr| {
            let ip = address.ip().to_canonical();
            self.own.iter().any(|own| {
                let listens = own.ip().to_canonical() == ip || (own.ip().is_unspecified() && is_here(ip));
                own.port() == address.port() && listens
            })
        };
        addresses.iter().filter(is_own).copied().collect()
    }
}

/// Whether an address is one of this host: nothing else can be bound to.
fn is_here(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use plan::Allowed;

    use super::*;

    fn rails(allowed: &[&str], own: &str) -> Rails {
        let allowed = allowed.iter().map(|text| Allowed::parse(text).expect(text)).collect();
        let fence = Some(Fence { allowed, own: Vec::new() });
        Rails { fence, own: vec![own.parse().expect("an address")], rate_guard: None }
    }

    fn checked(rails: &Rails, words: &[&str]) -> Result<(), String> {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let run = command::of_words(&words, &command::Carried::default()).expect("they can be read");
        rails.check(&super::super::ways(&run), None).map_err(|refused| refused.message)
    }

    #[test]
    fn no_redirection_name_or_socket_leads_around_the_fence() {
        let all = rails(&[], "0.0.0.0:8089");
        let listed = rails(&["10.0.0.7", "shop.invalid"], "127.0.0.1:8089");
        for (rails, words, is_allowed) in [
            (&all, &["--url=http://127.0.0.1:8080/"][..], true),
            (&all, &["--url=http://127.0.0.1:8089/"], false),
            (&all, &["--url=http://localhost:8089/"], false),
            (&all, &["--url=http://[::1]:8089/"], false),
            (&all, &["--url=http://10.9.9.9:8089/"], true),
            (&all, &["--url=http://169.254.169.254/latest/meta-data/", "--i-own=169.254.169.254"], false),
            (&all, &["--url=http://10.0.0.7/", "--connect-to=10.0.0.7:80:169.254.169.254:80"], false),
            (&all, &["--url=http://10.0.0.7/", "--connect-to=::127.0.0.1:8089"], false),
            (&all, &["--url=http://10.0.0.7/", "--unix-socket=/var/run/docker.sock"], false),
            (&listed, &["--url=http://10.0.0.7/"], true),
            (&listed, &["--url=http://shop.invalid/"], true),
            (&listed, &["--url=http://other.invalid/"], false),
            (&listed, &["--url=http://localhost/"], false),
            (&listed, &["--url=http://10.0.0.7/", "--connect-to=10.0.0.7:80:10.0.0.8:80"], false),
            (&listed, &["--url=http://10.0.0.8/", "--connect-to=10.0.0.8:80:10.0.0.7:80"], true),
            (&rails(&["127.0.0.1"], "127.0.0.1:8089"), &["--url=http://127.0.0.1:8089/"], true),
            (&Rails::default(), &["--url=http://169.254.169.254/"], true),
        ] {
            let words = [words, &["--tps=1"]].concat();
            let outcome = checked(rails, &words);
            assert_eq!(outcome.is_ok(), is_allowed, "{words:?}: {outcome:?}");
            assert!(outcome.is_ok() || outcome.is_err_and(|why| why.contains(" → ")), "{words:?}");
        }
    }
}
