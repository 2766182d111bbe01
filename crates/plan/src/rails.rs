//! Safety rails: whom a plan may load, and how hard.
//!
//! Loopback and private networks are free. Any other address needs the word of whoever starts the run that the host
//! is theirs to load. The check is made on the resolved address, because a name says nothing about where it leads.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use schedule::Rate;

use crate::host::Host;
use crate::{Fence, Place, PlanError, UnixSocket, rate_text};

/// What protects others from this plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rails {
    /// Hosts that whoever starts the run vouches for.
    pub own_hosts: Vec<Host>,
    /// The highest rate that the configuration allows; `None` for any.
    pub rate_guard: Option<Rate>,
    /// What the owner of this machine allows, where it is somebody else than whoever asks for the run.
    pub fence: Option<Fence>,
}

impl Rails {
    /// Whether connecting to `address`, to which `dialled` was resolved, is allowed.
    pub fn check_address(&self, dialled: &Host, address: IpAddr) -> Result<(), PlanError> {
        let literal = Host::Address(address);
        if is_free(address) || self.own_hosts.iter().any(|own| own == dialled || *own == literal) {
            return Ok(());
        }
        let shown = if *dialled == literal { dialled.to_string() } else { format!("{dialled} ({address})") };
        Err(PlanError::refused(
            format!("{shown} is a public address, and load that nobody asked for is an attack"),
            format!("if you may load it, say so: --i-own {dialled}"),
        ))
    }

    /// Whether connections may go to `address`, to which `dialled` was resolved: here, and by whoever owns this machine.
    pub fn check_way(&self, dialled: &Host, address: SocketAddr) -> Result<(), PlanError> {
        self.check_address(dialled, address.ip())?;
        self.fence.as_ref().map_or(Ok(()), |fence| fence.check(dialled, address))
    }

    /// Whether connections may go to a Unix socket.
    pub fn check_socket(&self, socket: &UnixSocket) -> Result<(), PlanError> {
        self.fence.as_ref().map_or(Ok(()), |fence| fence.check_socket(socket))
    }

    /// Whether a plan with this highest rate is allowed.
    pub fn check_rate(&self, highest: Rate) -> Result<(), PlanError> {
        match self.rate_guard {
            Some(guard) if highest > guard => Err(PlanError::refused(
                format!(
                    "the plan reaches {}/s, above the guard of {}/s",
                    rate_text(highest),
                    rate_text(guard)
                ),
                "a lower rate, or raise --rate-guard (ENGINE_RATE_GUARD)",
            )
            .at(Place::Flag("--rate-guard"))),
            _ => Ok(()),
        }
    }
}

/// Whether anybody may load `address`: loopback, RFC 1918, or RFC 4193.
fn is_free(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_private(),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => is_free(IpAddr::V4(mapped)),
            None => address == Ipv6Addr::LOCALHOST || address.is_unique_local(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_free_and_public_ones_need_a_word() {
        for (address, free) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("10.1.2.3", true),
            ("172.16.0.1", true),
            ("172.32.0.1", false),
            ("192.168.1.1", true),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("93.184.216.34", false),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("::ffff:8.8.8.8", false),
            ("fd00::1", true),
            ("fe80::1", false),
            ("2001:db8::1", false),
        ] {
            let address: IpAddr = address.parse().expect("an address");
            let name = Host::Name("shop.example".into());
            let checked = Rails::default().check_address(&name, address);
            assert_eq!(checked.is_ok(), free, "{address}");
            if let Err(error) = checked {
                assert!(error.is_refusal());
                assert!(error.to_string().contains("--i-own shop.example"), "{error}");
            }
            for own in [name.clone(), Host::Address(address)] {
                let rails = Rails { own_hosts: vec![own], ..Rails::default() };
                assert!(rails.check_address(&name, address).is_ok());
            }
            let other = Rails { own_hosts: vec![Host::Name("example".into())], ..Rails::default() };
            assert_eq!(other.check_address(&name, address).is_ok(), free);
        }
    }

    #[test]
    fn the_guard_refuses_only_what_is_above_it() {
        let rails = Rails { rate_guard: Some(Rate::per_second(100)), ..Rails::default() };
        assert!(rails.check_rate(Rate::per_second(100)).is_ok());
        let error = rails.check_rate(Rate::from_micro(100_000_001)).expect_err("above");
        assert!(error.is_refusal() && error.to_string().contains("reaches 100.000001/s"), "{error}");
    }
}
