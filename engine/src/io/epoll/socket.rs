//! Making sockets, and sending them on their way.
//!
//! What it is: a non-blocking TCP or Unix socket whose connecting has begun.
//! What it is not: aware of epoll or of the connection table.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::sockopt::set_tcp_nodelay;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, ipproto, socket_with,
};

use super::super::Route;

const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// Opens a socket and sets the handshake going.
pub(super) fn begin_connect(route: &Route) -> Result<OwnedFd, Errno> {
    match route {
        Route::Tcp { peer, source } => begin_tcp(peer, *source),
        Route::Unix(name) => begin_unix(name),
    }
}

fn begin_tcp(peer: &SocketAddr, source: Option<IpAddr>) -> Result<OwnedFd, Errno> {
    let family = if peer.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, FLAGS, Some(ipproto::TCP))?;
    set_tcp_nodelay(&socket, true)?;
    if let Some(source) = source {
        // Not yet a port: with the peer known, one port serves many peers.
        uring::choose_port_late(&socket)?;
        bind(&socket, &SocketAddr::new(source, 0))?;
    }
    match connect(&socket, peer) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(socket),
        Err(errno) => Err(errno),
    }
}

fn begin_unix(name: &[u8]) -> Result<OwnedFd, Errno> {
    let address = match name.strip_prefix(b"\0") {
        Some(name) => SocketAddrUnix::new_abstract_name(name)?,
        None => SocketAddrUnix::new(name)?,
    };
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, FLAGS, None)?;
    match connect(&socket, &address) {
        Ok(()) => Ok(socket),
        // unix(7): the peer's backlog is full. TCP would say the same by silence, and here nobody would ever say
        // that there is room: so it is a refusal, and the peer's.
        Err(Errno::AGAIN) => Err(Errno::CONNREFUSED),
        Err(errno) => Err(errno),
    }
}
