//! What whoever owns a machine lets the plans of others load from it.
//!
//! What it is: a judgement of names, resolved addresses and Unix sockets, for nodes of a fleet and their coordinator: whoever
//! asks for a run there is not, as with `engine run`, at that machine already. What it is not: the rails of a plan, by which its
//! author protects the rest of the world.
//!
//! Invariant: what is judged last is the address that a packet would go to, so that no name, mapping or redirection leads around
//! the judgement.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::text::quoted;
use crate::{Host, PlanError, UnixSocket};

/// Where clouds keep what their machines may know: credentials, often.
const METADATA: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// Something that may be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// A host, as plans write it.
    Host(Host),
    /// All addresses that begin with the same bits.
    Network(IpAddr, u8),
    /// A Unix socket.
    Socket(UnixSocket),
}

impl Allowed {
    /// Reads `HOST`, `ADDRESS`, `ADDRESS/BITS` or `unix:PATH`.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return UnixSocket::parse(path).map(Self::Socket);
        }
        let Some((address, bits)) = text.split_once('/') else { return Host::parse(text).map(Self::Host) };
        let address: Option<IpAddr> = address.trim_matches(['[', ']']).parse().ok();
        let most = |address: &IpAddr| if address.is_ipv4() { 32 } else { 128 };
        let network = address.zip(bits.parse().ok()).filter(|(address, bits)| *bits <= most(address));
        network.map(|(address, bits)| Self::Network(address, bits)).ok_or_else(|| {
            let what = format!("{} is no network", quoted(text));
            PlanError::new(what, "ADDRESS/BITS, e.g. 10.1.0.0/16")
        })
    }

    /// Whether it means this very address, and not a name that leads there.
    fn holds(&self, address: IpAddr) -> bool {
        match self {
            Self::Host(Host::Address(own)) => own.to_canonical() == address,
            Self::Network(own, bits) => begins_alike(*own, address, *bits),
            Self::Host(Host::Name(_)) | Self::Socket(_) => false,
        }
    }
}

fn begins_alike(one: IpAddr, other: IpAddr, bits: u8) -> bool {
    let bits = u32::from(bits);
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            (one.to_bits() ^ other.to_bits()).leading_zeros() >= bits || bits == 0
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            (one.to_bits() ^ other.to_bits()).leading_zeros() >= bits || bits == 0
        }
        _ => false,
    }
}

/// What may be loaded from a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fence {
    /// Only these; if there are none, everything but what this machine keeps for itself.
    pub allowed: Vec<Allowed>,
    /// Where the fleet talks to itself.
    pub own: Vec<SocketAddr>,
}

impl Fence {
    /// Whether `address`, to which `dialled` leads, may be loaded.
    pub fn check(&self, dialled: &Host, address: SocketAddr) -> Result<(), PlanError> {
        let ip = address.ip().to_canonical();
        if self.allowed.iter().any(|allowed| allowed.holds(ip)) {
            return Ok(());
        }
        let shown = match dialled {
            Host::Name(name) => format!("{name} ({ip})"),
            Host::Address(_) => ip.to_string(),
        };
        if let Some(what) = kept(ip) {
            return Err(refused(format!("{shown} is {what}"), &ip.to_string()));
        }
        if self.own.iter().any(|own| own.ip().to_canonical() == ip && own.port() == address.port()) {
            let what = format!("{shown}, port {}, is where this fleet talks to itself", address.port());
            return Err(refused(what, &ip.to_string()));
        }
        self.check_name(dialled)
    }

    /// Whether a host that could not be resolved here may be loaded if it is by elsewhere.
    pub fn check_name(&self, dialled: &Host) -> Result<(), PlanError> {
        let is_named = |allowed: &Allowed| matches!(allowed, Allowed::Host(host) if host == dialled);
        if self.allowed.is_empty() || self.allowed.iter().any(is_named) {
            return Ok(());
        }
        Err(refused(format!("{dialled} is not among the hosts that may be loaded"), &dialled.to_string()))
    }

    /// Whether a Unix socket may be loaded: one that was named.
    pub fn check_socket(&self, socket: &UnixSocket) -> Result<(), PlanError> {
        let is_named = |allowed: &Allowed| matches!(allowed, Allowed::Socket(own) if own == socket);
        if self.allowed.iter().any(is_named) {
            return Ok(());
        }
        let what = format!("{socket} is a service of that machine's own");
        Err(refused(what, &socket.to_string()))
    }
}

fn refused(what: String, allow: &str) -> PlanError {
    PlanError::refused(what, format!("another target; or its owner allows it, with --allow-target {allow}"))
}

/// What no plan of somebody else has business with.
fn kept(address: IpAddr) -> Option<&'static str> {
    let (link_local, nowhere, many) = match address {
        IpAddr::V4(address) => (
            address.is_link_local(),
            address.octets()[0] == 0,
            address.is_multicast() || address.is_broadcast(),
        ),
        IpAddr::V6(address) => {
            (address.is_unicast_link_local(), address.is_unspecified(), address.is_multicast())
        }
    };
    match () {
        () if link_local || METADATA.contains(&address) => {
            Some("link-local, where machines keep what is for themselves (cloud metadata)")
        }
        () if nowhere => Some("no address of a target"),
        () if many => Some("the address of many"),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fence(allowed: &[&str]) -> Fence {
        let allowed = allowed.iter().map(|text| Allowed::parse(text).expect(text)).collect();
        Fence { allowed, own: vec!["127.0.0.1:5557".parse().expect("an address")] }
    }

    #[test]
    fn what_a_machine_keeps_for_itself_is_refused_unless_it_is_named() {
        for (address, is_free) in [
            ("127.0.0.1:80", true),
            ("10.0.0.7:5557", true),
            ("[2001:db8::1]:80", true),
            ("127.0.0.1:5557", false),
            ("[::ffff:127.0.0.1]:5557", false),
            ("169.254.169.254:80", false),
            ("[::ffff:169.254.169.254]:80", false),
            ("169.254.1.1:80", false),
            ("[fe80::1]:80", false),
            ("[fd00:ec2::254]:80", false),
            ("100.100.100.200:80", false),
            ("0.0.0.0:80", false),
            ("0.1.2.3:80", false),
            ("[::]:80", false),
            ("224.0.0.1:80", false),
            ("255.255.255.255:80", false),
            ("[ff02::1]:80", false),
        ] {
            let address: SocketAddr = address.parse().expect(address);
            let ip = address.ip().to_canonical();
            let name = Host::Name("shop.example".into());
            for host in [Host::Address(address.ip()), name.clone()] {
                let checked = fence(&[]).check(&host, address);
                assert_eq!(checked.is_ok(), is_free, "{address}: {checked:?}");
                if let Err(error) = checked {
                    assert!(error.is_refusal() && error.to_string().contains("--allow-target"), "{error}");
                }
                // A name that is allowed does not lead to what is not; the address itself does.
                assert_eq!(fence(&["shop.example"]).check(&name, address).is_ok(), is_free, "{address}");
                let itself = Fence { allowed: vec![Allowed::Host(Host::Address(ip))], ..fence(&[]) };
                assert!(itself.check(&host, address).is_ok(), "{address}");
            }
        }
    }

    #[test]
    fn with_a_list_nothing_else_is_loaded() {
        let fence = fence(&["shop.example", "10.1.0.0/16", "[2001:db8::]/32", "192.168.1.7"]);
        for (host, address, is_allowed) in [
            ("shop.example", "93.184.216.34:443", true),
            ("other.example", "93.184.216.34:443", false),
            ("other.example", "10.1.255.255:80", true),
            ("10.1.0.9", "10.1.0.9:80", true),
            ("10.2.0.9", "10.2.0.9:80", false),
            ("127.0.0.1", "127.0.0.1:80", false),
            ("192.168.1.7", "192.168.1.7:1", true),
            ("192.168.1.8", "192.168.1.8:1", false),
            ("x", "[2001:db8:9::1]:80", true),
            ("x", "[2001:db9::1]:80", false),
            ("x", "[::ffff:10.1.0.1]:80", true),
        ] {
            let host = Host::parse(host).expect(host);
            let checked = fence.check(&host, address.parse().expect(address));
            assert_eq!(checked.is_ok(), is_allowed, "{host} {address}: {checked:?}");
        }
        for text in ["", "10.1.0.0/33", "10.1.0.0/", "shop.example/8", "http://a/", "unix:", "a b"] {
            assert!(Allowed::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sockets_are_loaded_when_they_are_named() {
        let socket = UnixSocket::parse("/run/app.sock").expect("a path");
        assert!(fence(&[]).check_socket(&socket).is_err());
        assert!(fence(&["unix:/run/other.sock"]).check_socket(&socket).is_err());
        assert!(fence(&["unix:/run/app.sock"]).check_socket(&socket).is_ok());
    }
}
