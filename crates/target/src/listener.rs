//! One listening socket for each thread, all on one address.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

use crate::error::StartError;

/// Connections that the kernel keeps until a thread accepts them; the system's own limit may be lower.
const BACKLOG: i32 = 65_535;

/// Binds `count` sockets to `address`; the kernel spreads connections over them.
pub(crate) fn bind(address: SocketAddr, count: usize) -> Result<(Vec<Socket>, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    if count > 1 && address.port() != 0 {
        // Sockets that share a port also share it with another process that does the same, which would take part
        // of the load. A socket that does not share finds out whether the port is free.
        listen(address, false).map_err(failed)?;
    }
    let first = listen(address, count > 1).map_err(failed)?;
    let bound = first
        .local_addr()
        .and_then(|address| address.as_socket().ok_or_else(|| io::Error::other("no internet address")))
        .map_err(failed)?;
    let mut sockets = vec![first];
    for _ in 1..count {
        sockets.push(listen(bound, true).map_err(failed)?);
    }
    Ok((sockets, bound))
}

fn listen(address: SocketAddr, is_shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if is_shared {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // Accepted sockets inherit it, which saves a system call for each connection.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}
