//! Places for connections, of which no address takes all.
//!
//! Invariant: whoever floods from one address, or one network of IPv6, leaves three quarters of the places to others. Loopback is
//! one address for everybody on this host, and may take all of them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::is_loopback;
use super::limiter::network;

/// One address takes at most one part of so many.
const PART: usize = 4;

/// The places.
#[derive(Debug)]
pub struct Places {
    limit: usize,
    taken: Mutex<BTreeMap<IpAddr, usize>>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Places {
    /// So many.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, taken: Mutex::default() })
    }

    /// A place for a connection from `address`; none where it, or everybody together, has enough of them.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let most = if is_loopback(address) { self.limit } else { self.limit.div_ceil(PART) };
        let address = network(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = taken.values().sum();
        let own = taken.entry(address).or_default();
        if all >= self.limit || *own >= most {
            if *own == 0 {
                taken.remove(&address);
            }
            return None;
        }
        *own += 1;
        Some(Place { places: Arc::clone(self), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_takes_all_places_but_loopback_may() {
        let places = Places::new(8);
        let take = |address: &str| places.take(address.parse().unwrap());
        let mut held: Vec<Place> = (0..2).map(|_| take("10.0.0.1").unwrap()).collect();
        assert!(take("10.0.0.1").is_none());
        held.extend((0..2).map(|host| take(&format!("2001:db8::{host}")).unwrap()));
        assert!(take("2001:db8::ffff").is_none(), "a network of IPv6 is one address");
        held.extend((0..4).map(|_| take("127.0.0.1").unwrap()));
        assert!(take("127.0.0.1").is_none() && take("10.0.0.2").is_none(), "there are no more");
        held.clear();
        assert!(places.taken.lock().unwrap().is_empty());
        let all: Vec<Place> = (0..8).map(|_| take("::1").unwrap()).collect();
        assert_eq!(all.len(), 8);
    }
}
