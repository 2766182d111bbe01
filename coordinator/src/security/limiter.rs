//! How often somebody may come with a wrong token.
//!
//! What it is: a bucket of failures for each address.
//! What it is not: a lock-out. Who comes with a right token is let in whatever others at the same address do; who has none
//! learns nothing faster than this allows, and fills no log.
//!
//! Invariant: memory is bounded whatever comes; when the table is full, who failed longest ago is forgotten.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use clock::{NANOS_PER_SECOND, Timestamp};

/// Failures that are told apart from a flood.
const BURST: u64 = 10;
/// One more is allowed after this time.
const REFILL_NS: u64 = 6 * NANOS_PER_SECOND;
/// Addresses that are remembered.
const ADDRESSES: usize = 4096;

/// How a failed attempt is answered.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// With a plain refusal.
    Wrong,
    /// With the demand to wait for so many seconds.
    TooOften {
        /// Seconds until the next attempt is looked at.
        retry_after_s: u64,
    },
}

/// Failures by address.
#[derive(Debug, Default)]
pub struct FailureLimiter {
    /// When the bucket of an address will be full again.
    full_at: BTreeMap<IpAddr, Timestamp>,
}

impl FailureLimiter {
    /// Counts a failure.
    pub fn failed(&mut self, now: Timestamp, address: IpAddr) -> Tried {
        let address = network(address);
        self.full_at.retain(|_, full_at| *full_at > now);
        if self.full_at.len() >= ADDRESSES && !self.full_at.contains_key(&address) {
            let oldest =
                self.full_at.iter().min_by_key(|(_, full_at)| **full_at).map(|(address, _)| *address);
            oldest.map(|oldest| self.full_at.remove(&oldest));
        }
        let full_at = self.full_at.entry(address).or_insert(now);
        let empty_at = now.plus_nanos(BURST * REFILL_NS);
        let next = (*full_at).max(now).plus_nanos(REFILL_NS);
        if next > empty_at {
            let retry_after_s = next.nanos_since(empty_at).div_ceil(NANOS_PER_SECOND);
            return Tried::TooOften { retry_after_s };
        }
        *full_at = next;
        Tried::Wrong
    }
}

/// Whoever has one IPv6 address has the whole /64 (RFC 4291, section 2.5.1).
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_nanos(second * NANOS_PER_SECOND)
    }

    #[test]
    fn a_flood_is_told_to_wait_and_an_honest_mistake_is_not() {
        let mut limiter = FailureLimiter::default();
        let flooding = "10.0.0.1".parse().unwrap();
        for _ in 0..BURST {
            assert_eq!(limiter.failed(at(100), flooding), Tried::Wrong);
        }
        assert_eq!(limiter.failed(at(100), flooding), Tried::TooOften { retry_after_s: 6 });
        assert_eq!(limiter.failed(at(103), flooding), Tried::TooOften { retry_after_s: 3 });
        assert_eq!(limiter.failed(at(106), flooding), Tried::Wrong);
        assert_eq!(limiter.failed(at(106), "10.0.0.2".parse().unwrap()), Tried::Wrong);
        assert_eq!(limiter.failed(at(300), flooding), Tried::Wrong);
    }

    #[test]
    fn one_network_of_ipv6_is_one_address_and_the_table_is_bounded() {
        let mut limiter = FailureLimiter::default();
        for host in 0..BURST {
            let address = IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8_u128 << 96) | u128::from(host)));
            assert_eq!(limiter.failed(at(1), address), Tried::Wrong);
        }
        assert!(matches!(limiter.failed(at(1), "2001:db8::ffff".parse().unwrap()), Tried::TooOften { .. }));
        for network in 0..2 * u128::try_from(ADDRESSES).unwrap() {
            limiter.failed(at(2), IpAddr::V6(Ipv6Addr::from_bits((0xfd00_u128 << 112) | (network << 64))));
        }
        assert!(limiter.full_at.len() <= ADDRESSES);
    }
}
