//! Dialling: from a URL to the routes that a run takes.
//!
//! What it is: `--connect-to`, name resolution, the choice of addresses, the rails, and the pairs of source and
//! target address, in this order, once before a run.
//! What it is not: the connections of the run; the shards open those.
//!
//! Invariants: no packet goes to an address before the rails have let every resolved address pass; a name is resolved
//! once, so that a run loads the same addresses from its start to its end; an address that is left out is named.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use plan::{Dns, Host, Plan, PlanError, Url};
use verdict::ExitCode;

use crate::io::Route;

mod ways;

/// How long a name may take to resolve.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(5);
/// How long each of several addresses may take to accept a connection.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);
/// How many addresses a note lists.
const LISTED_MAX: usize = 8;

/// Where a run's connections go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialled {
    /// What connections take in turn: each pair of a source and an address. At least one.
    pub routes: Vec<Route>,
    /// The addresses that are loaded, for the report.
    pub addresses: Vec<String>,
    /// For the report.
    pub notes: Vec<String>,
}

/// Why there is nothing to connect to.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name leads nowhere.
    #[error(
        "cannot resolve {name} ({place}): {reason} → check the spelling and the resolver (getent hosts {name}), or \
         name the address: --connect-to {name}:{port}:ADDRESS:{port}"
    )]
    Unresolved {
        /// The name.
        name: String,
        /// Where it stands.
        place: &'static str,
        /// What the resolver said.
        reason: String,
        /// The port that goes with it.
        port: u16,
    },
    /// This host cannot take the way that was asked for.
    #[error("{what} → {fix}")]
    NoWay {
        /// What is wrong, and of which flag.
        what: String,
        /// How to fix it.
        fix: String,
    },
    /// A rail says no.
    #[error(transparent)]
    Refused(#[from] PlanError),
}

impl DialError {
    /// How the program ends.
    pub const fn exit_code(&self) -> ExitCode {
        match self {
            Self::Unresolved { .. } | Self::NoWay { .. } => ExitCode::Environment,
            Self::Refused(_) => ExitCode::Refused,
        }
    }
}

/// What dialling asks the world, which tests answer themselves.
struct World<'a> {
    /// The addresses of a name.
    resolve: &'a dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>>,
    /// Whether this host knows a way to an address; asking sends nothing.
    has_way: &'a dyn Fn(&SocketAddr) -> bool,
    /// Whether an address accepts a connection.
    answers: &'a dyn Fn(&SocketAddr) -> bool,
}

/// Finds what `plan` loads when its URL is `url`.
///
/// # Errors
/// The name does not resolve, the rails refuse an address, or this host cannot take the way; see [`DialError`].
pub fn dial(plan: &Plan, url: &Url) -> Result<Dialled, DialError> {
    let answers = |address: &SocketAddr| TcpStream::connect_timeout(address, PROBE_PATIENCE).is_ok();
    let dialled = dial_with(plan, url, &World { resolve: &resolve, has_way: &has_way, answers: &answers })?;
    ways::check(&dialled.routes)?;
    Ok(dialled)
}

fn dial_with(plan: &Plan, url: &Url, world: &World<'_>) -> Result<Dialled, DialError> {
    if let Some(socket) = &plan.connections.unix_socket {
        plan.rails.check_socket(socket)?;
        let route = Route::Unix(socket.kernel_name().into());
        return Ok(Dialled { addresses: vec![socket.to_string()], routes: vec![route], notes: Vec::new() });
    }
    let mut notes = Vec::new();
    let redirected =
        plan.connections.connect_to.iter().find_map(|rule| rule.redirect(url.host(), url.port()));
    let place = if redirected.is_some() { "of --connect-to" } else { "of the URL" };
    let (host, port) = match redirected {
        Some((host, port)) => {
            notes.push(format!("connections go to {host}:{port} (--connect-to)"));
            (host, port)
        }
        None => (url.host().clone(), url.port()),
    };
    let all = match &host {
        Host::Address(address) => vec![SocketAddr::new(*address, port)],
        Host::Name(name) => addresses_of(name, port, place, world)?,
    };
    for address in &all {
        plan.rails.check_way(&host, *address)?;
    }
    let chosen = choose(plan.connections.dns, &host, all, world, &mut notes)?;
    if chosen.len() > 1 {
        notes.push(format!(
            "connections go to the {} addresses of {host} in turn: {}",
            chosen.len(),
            list(&chosen)
        ));
    }
    let routes = ways::pair(&chosen, &plan.connections.sources)?;
    Ok(Dialled { routes, addresses: chosen.iter().map(ToString::to_string).collect(), notes })
}

/// All addresses of a name, each once, in the resolver's order.
fn addresses_of(
    name: &str,
    port: u16,
    place: &'static str,
    world: &World<'_>,
) -> Result<Vec<SocketAddr>, DialError> {
    let unresolved = |reason: String| DialError::Unresolved { name: name.to_owned(), place, reason, port };
    let found = (world.resolve)(name, port).map_err(|error| unresolved(reason(&error)))?;
    let mut all: Vec<SocketAddr> = Vec::with_capacity(found.len());
    for address in found {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    if all.is_empty() { Err(unresolved("it has no address".to_owned())) } else { Ok(all) }
}

/// Those of all addresses that are loaded.
fn choose(
    dns: Dns,
    host: &Host,
    all: Vec<SocketAddr>,
    world: &World<'_>,
    notes: &mut Vec<String>,
) -> Result<Vec<SocketAddr>, DialError> {
    match dns {
        Dns::V4 => of_family(host, &all, "IPv4", SocketAddr::is_ipv4),
        Dns::V6 => of_family(host, &all, "IPv6", SocketAddr::is_ipv6),
        Dns::First => Ok(vec![first_that_answers(host, &all, world, notes)]),
        // Two names of one machine; servers often listen on one of them only.
        Dns::Auto if all.len() > 1 && all.iter().all(|address| is_loopback(address.ip())) => {
            Ok(vec![first_that_answers(host, &all, world, notes)])
        }
        Dns::Auto if all.len() > 1 => Ok(with_a_way(host, all, world, notes)),
        Dns::Auto | Dns::All => Ok(all),
    }
}

fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address == std::net::Ipv4Addr::LOCALHOST,
        IpAddr::V6(address) => address == Ipv6Addr::LOCALHOST,
    }
}

fn of_family(
    host: &Host,
    all: &[SocketAddr],
    family: &str,
    belongs: fn(&SocketAddr) -> bool,
) -> Result<Vec<SocketAddr>, DialError> {
    let some: Vec<SocketAddr> = all.iter().copied().filter(belongs).collect();
    if some.is_empty() {
        let (what, fix) = (format!("--dns: {host} has no {family} address: {}", list(all)), "leave it out");
        return Err(DialError::NoWay { what, fix: fix.to_owned() });
    }
    Ok(some)
}

/// Without the addresses to which this host has no route (a host without IPv6, as a rule): no target is to blame
/// for those.
fn with_a_way(
    host: &Host,
    all: Vec<SocketAddr>,
    world: &World<'_>,
    notes: &mut Vec<String>,
) -> Vec<SocketAddr> {
    let (some, none): (Vec<_>, Vec<_>) = all.iter().partition(|address| (world.has_way)(address));
    if some.is_empty() || none.is_empty() {
        return all;
    }
    notes.push(format!(
        "this host has no route to {} of {host}, and leaves out: {} (--dns all takes them in)",
        if none.len() == 1 { "an address" } else { "some addresses" },
        list(&none)
    ));
    some
}

/// The first address that accepts a connection; the first of all where there is no choice, or none accepts: then the
/// run itself shows how the target fails.
fn first_that_answers(
    host: &Host,
    all: &[SocketAddr],
    world: &World<'_>,
    notes: &mut Vec<String>,
) -> SocketAddr {
    let first = all[0];
    if all.len() == 1 {
        return first;
    }
    let count = all.len();
    let Some(index) = all.iter().position(world.answers) else {
        notes.push(format!(
            "{host} has {count} addresses, and none accepted a connection within {} s each: {first} is loaded",
            PROBE_PATIENCE.as_secs()
        ));
        return first;
    };
    let silent = if index == 0 { String::new() } else { format!("; {index} before it did not") };
    let tried = index + 1;
    let connections = if tried == 1 { "connection was" } else { "connections were" };
    notes.push(format!(
        "{host} has {count} addresses: {} is loaded, the first that accepted a connection{silent} ({tried} \
         {connections} tried for it, outside the counts)",
        all[index]
    ));
    all[index]
}

/// The first of many addresses, as people read them.
fn list(addresses: &[SocketAddr]) -> String {
    let shown: Vec<String> = addresses.iter().take(LISTED_MAX).map(ToString::to_string).collect();
    let more = addresses.len().saturating_sub(LISTED_MAX);
    let shown = shown.join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

/// Asks the system's resolver. It cannot be interrupted: after the limit its thread is left behind, and ends with its
/// answer or with the process.
fn resolve(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let (tell, told) = mpsc::channel();
    let owned = name.to_owned();
    thread::Builder::new().name("resolver".to_owned()).spawn(move || {
        let found = (owned.as_str(), port).to_socket_addrs().map(Iterator::collect);
        // Nobody listens any more when the limit has passed.
        let _ = tell.send(found);
    })?;
    told.recv_timeout(RESOLVE_PATIENCE).unwrap_or_else(|_| {
        let what = format!("no answer within {} s", RESOLVE_PATIENCE.as_secs());
        Err(io::Error::new(io::ErrorKind::TimedOut, what))
    })
}

/// Looks the route up by connecting a datagram socket, which sends nothing.
fn has_way(address: &SocketAddr) -> bool {
    let any: SocketAddr =
        if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    UdpSocket::bind(any).and_then(|socket| socket.connect(address)).is_ok()
}

/// What the resolver said, without the standard library's preface.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("failed to lookup address information: ").unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests;
