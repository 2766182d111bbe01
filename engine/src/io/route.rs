//! Routes: where a connection goes, and where it leaves from.
//!
//! What it is: what a driver is told to connect to. What it is not: a connection.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// One way to the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// TCP.
    Tcp {
        /// Where to.
        peer: SocketAddr,
        /// The local address to leave from; `None` leaves the choice to the kernel. The port is the kernel's choice
        /// always, made when it knows the peer: each pair of addresses has all local ports for itself.
        source: Option<IpAddr>,
    },
    /// A Unix socket: the bytes of its path, or of its abstract name behind a NUL.
    Unix(Arc<[u8]>),
}

impl Route {
    /// The address it leads to; `None` for a Unix socket.
    pub fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp { peer, .. } => Some(*peer),
            Self::Unix(_) => None,
        }
    }
}

impl From<SocketAddr> for Route {
    fn from(peer: SocketAddr) -> Self {
        Self::Tcp { peer, source: None }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { peer, source: None } => write!(formatter, "{peer}"),
            Self::Tcp { peer, source: Some(source) } => write!(formatter, "{peer} from {source}"),
            Self::Unix(name) => match name.strip_prefix(b"\0") {
                Some(name) => write!(formatter, "unix:@{}", String::from_utf8_lossy(name)),
                None => write!(formatter, "unix:{}", String::from_utf8_lossy(name)),
            },
        }
    }
}
