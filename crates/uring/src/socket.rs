//! Making sockets.
//!
//! What it is: a TCP or Unix socket ready to be connected.
//! What it is not: connecting it; the ring does.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, ipproto, socket_with, sockopt};

use crate::Errno;

/// A socket for `address` with `TCP_NODELAY`, bound to `source` if there is one. Blocking, because the ring waits
/// for room and data only on sockets that are.
pub(crate) fn open(address: &SocketAddr, source: Option<IpAddr>) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, Some(ipproto::TCP))?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    if let Some(source) = source {
        choose_port_late(&socket)?;
        bind(&socket, &SocketAddr::new(source, 0))?;
    }
    Ok(socket)
}

/// A Unix socket, blocking for the same reason.
pub(crate) fn open_unix() -> Result<OwnedFd, Errno> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

/// Lets the kernel choose the local port when it knows the peer, so that one port serves many peers.
///
/// # Errors
/// The kernel is older than 4.2.
pub fn choose_port_late(socket: impl AsFd) -> Result<(), rustix::io::Errno> {
    const SIZE: libc::socklen_t = 4;
    let on: libc::c_int = 1;
    // SAFETY: the value is an int of the given size, which lives during the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            SIZE,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL);
        Err(rustix::io::Errno::from_raw_os_error(errno))
    }
}

impl From<rustix::io::Errno> for Errno {
    fn from(errno: rustix::io::Errno) -> Self {
        Self(errno.raw_os_error())
    }
}
