//! Ways: which source goes with which address, and whether this host can take them.
//!
//! What it is: the pairs that connections take in turn, and a look at each source and at the Unix socket.
//! What it is not: a connection to the target; nothing leaves this host.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::{DialError, list};
use crate::io::Route;

/// Every address from every source of its family; neighbours in the list differ in the address.
pub(super) fn pair(addresses: &[SocketAddr], sources: &[IpAddr]) -> Result<Vec<Route>, DialError> {
    if sources.is_empty() {
        return Ok(addresses.iter().copied().map(Route::from).collect());
    }
    let serves = |source: &IpAddr, peer: &SocketAddr| source.is_ipv4() == peer.is_ipv4();
    let family = |is_ipv4: bool| if is_ipv4 { "IPv4" } else { "IPv6" };
    if let Some(lonely) = addresses.iter().find(|peer| !sources.iter().any(|source| serves(source, peer))) {
        let of = family(lonely.is_ipv4());
        return Err(DialError::NoWay {
            what: format!("--source: no {of} address leads to {lonely} of {}", list(addresses)),
            fix: format!(
                "add an {of} address of this host, or load the other family only (--dns {})",
                if lonely.is_ipv4() { 6 } else { 4 }
            ),
        });
    }
    if let Some(idle) = sources.iter().find(|source| !addresses.iter().any(|peer| serves(source, peer))) {
        let of = family(idle.is_ipv4());
        return Err(DialError::NoWay {
            what: format!(
                "--source: {idle} is {of}, and the target has no {of} address: {}",
                list(addresses)
            ),
            fix: "leave it out".to_owned(),
        });
    }
    let pairs = sources.iter().flat_map(|&source| {
        let peers = addresses.iter().copied().filter(move |peer| serves(&source, peer));
        peers.map(move |peer| Route::Tcp { peer, source: Some(source) })
    });
    Ok(pairs.collect())
}

/// Refuses what cannot work on this host: sources that are not its own, and a Unix socket that is not there.
pub(super) fn check(routes: &[Route]) -> Result<(), DialError> {
    let mut seen = HashSet::new();
    for route in routes {
        match route {
            Route::Tcp { source: Some(source), .. } if seen.insert(*source) => check_source(*source)?,
            Route::Tcp { .. } => {}
            Route::Unix(name) if name.first() == Some(&0) => {}
            Route::Unix(name) => check_socket(Path::new(std::ffi::OsStr::from_bytes(name)))?,
        }
    }
    Ok(())
}

/// Whether `source` is an address of this host.
fn check_source(source: IpAddr) -> Result<(), DialError> {
    let Err(error) = UdpSocket::bind(SocketAddr::new(source, 0)) else { return Ok(()) };
    let why = match error.kind() {
        io::ErrorKind::AddrNotAvailable => "it is no address of this host".to_owned(),
        _ => error.to_string(),
    };
    Err(DialError::NoWay {
        what: format!("--source: cannot connect from {source}: {why}"),
        fix: "an address that ip address shows; ip address add ADDRESS dev DEVICE adds one".to_owned(),
    })
}

/// Whether there is a socket at `path` that this user may connect to. Whether somebody listens shows in the run.
fn check_socket(path: &Path) -> Result<(), DialError> {
    use rustix::fs::{Access, access};
    let shown = plan::quoted(&path.to_string_lossy());
    let no_way = |why: &str, fix: &str| {
        let what = format!("--unix-socket: cannot connect to {shown}: {why}");
        Err(DialError::NoWay { what, fix: fix.to_owned() })
    };
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            no_way("there is no such file", "start the server first, or check the path")
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            no_way("permission denied", "a folder that this user may enter")
        }
        Err(error) => no_way(&error.to_string(), "check the path"),
        Ok(found) if !found.file_type().is_socket() => no_way("it is no socket", "the path of a Unix socket"),
        // unix(7): connecting needs permission to write.
        Ok(_) if access(path, Access::WRITE_OK).is_err() => no_way(
            "permission denied",
            "a socket that this user may write to (chmod, or the server's own setting)",
        ),
        Ok(_) => Ok(()),
    }
}
