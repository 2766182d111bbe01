//! Dialling: from a URL to the one address that a run loads.
//!
//! What it is: `--connect-to`, name resolution and the rails, in this order, once before a run.
//! What it is not: the connections of the run; the shards open those.
//!
//! Invariants: no packet goes to an address before the rails have let every resolved address pass; a name is resolved
//! once, so that a run loads one address from its start to its end.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use plan::{Host, Plan, PlanError, Url};
use verdict::ExitCode;

/// How long a name may take to resolve.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(5);
/// How long each of several addresses may take to accept a connection.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);

/// Where a run's connections go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialled {
    /// The address that is loaded.
    pub address: SocketAddr,
    /// All that the name resolved to, in the resolver's order.
    pub all: Vec<SocketAddr>,
    /// What was resolved: the URL's host, or what `--connect-to` made of it.
    pub host: Host,
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
    /// A rail says no.
    #[error(transparent)]
    Refused(#[from] PlanError),
}

impl DialError {
    /// How the program ends.
    pub const fn exit_code(&self) -> ExitCode {
        match self {
            Self::Unresolved { .. } => ExitCode::Environment,
            Self::Refused(_) => ExitCode::Refused,
        }
    }
}

/// Finds the address that `plan` loads when its URL is `url`.
///
/// # Errors
/// The name does not resolve, or the rails refuse an address; see [`DialError`].
pub fn dial(plan: &Plan, url: &Url) -> Result<Dialled, DialError> {
    let answers = |address: &SocketAddr| TcpStream::connect_timeout(address, PROBE_PATIENCE).is_ok();
    dial_with(plan, url, resolve, answers)
}

fn dial_with(
    plan: &Plan,
    url: &Url,
    resolve: impl FnOnce(&str, u16) -> io::Result<Vec<SocketAddr>>,
    mut answers: impl FnMut(&SocketAddr) -> bool,
) -> Result<Dialled, DialError> {
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
        Host::Name(name) => {
            let unresolved =
                |reason: String| DialError::Unresolved { name: name.clone(), place, reason, port };
            let found = resolve(name, port).map_err(|error| unresolved(reason(&error)))?;
            let mut all: Vec<SocketAddr> = Vec::with_capacity(found.len());
            for address in found {
                if !all.contains(&address) {
                    all.push(address);
                }
            }
            if all.is_empty() {
                return Err(unresolved("it has no address".to_owned()));
            }
            all
        }
    };
    for address in &all {
        plan.rails.check_address(&host, address.ip())?;
    }
    let address = choose(&host, &all, &mut answers, &mut notes);
    Ok(Dialled { address, all, host, notes })
}

/// The first address that accepts a connection; the first of all where there is no choice, or none accepts: then the
/// run itself shows how the target fails.
fn choose(
    host: &Host,
    all: &[SocketAddr],
    answers: &mut dyn FnMut(&SocketAddr) -> bool,
    notes: &mut Vec<String>,
) -> SocketAddr {
    let first = all[0];
    if all.len() == 1 {
        return first;
    }
    let count = all.len();
    let Some(index) = all.iter().position(answers) else {
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

/// What the resolver said, without the standard library's preface.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("failed to lookup address information: ").unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests;
