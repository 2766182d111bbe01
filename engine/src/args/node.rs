//! The flags of `engine node`.
//!
//! What it is: from texts to what the node is to be; each flag is also an environment variable. What it is not: a
//! connection; certificates are read here, and used later.

#![expect(
    clippy::doc_markdown,
    reason = "the doc comments of flags are the help text, which knows no backticks"
)]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use command::file;
use plan::{Allowed, Cores, Fence, IoChoice, Pacing, Place, PlanError, Rate, parse_duration};

use super::{Command, Refusal, Surroundings};
use crate::agent::{Capacity, Config, Coordinator, Host, PrivatePem, Tls};

/// The port of a coordinator that names none.
const PORT: u16 = 5557;
/// Names, zones and labels.
const WORD_BYTES_MAX: usize = 256;

/// The flags of `engine node`.
#[derive(Debug, Args)]
pub(super) struct NodeFlags {
    /// The coordinator: HOST or HOST:PORT [default: 127.0.0.1:5557]
    #[arg(long, visible_aliases = ["leader-host", "master-host"], value_name = "HOST:PORT")]
    coordinator: Option<String>,
    /// The node's name, which it keeps over restarts [default: the host's name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where it stands, such as a region; plans share their load by zone
    #[arg(long, value_name = "NAME")]
    zone: Option<String>,
    /// A label by which runs choose their nodes; repeat for more
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<String>,
    /// What it can carry, e.g. 50k, or measure; runs that share by capacity use it
    #[arg(long, value_name = "RATE")]
    capacity: Option<String>,
    /// The folder of what survives the process [default: $XDG_STATE_HOME/openloop/node-NAME]
    #[arg(long, value_name = "DIR")]
    state: Option<String>,
    /// Cores: all, a number, or a list such as 0-3,8; whatever a plan says [default: all]
    #[arg(long, value_name = "CORES")]
    cores: Option<String>,
    /// The I/O driver: auto, uring or epoll [default: auto]
    #[arg(long, value_name = "DRIVER")]
    io: Option<String>,
    /// How shards wait: sleep or spin [default: sleep]
    #[arg(long, value_name = "HOW")]
    pacing: Option<String>,
    /// Let plans load nothing else than this: HOST, ADDRESS, ADDRESS/BITS, unix:PATH, or any; repeat for more
    #[arg(long, value_name = "TARGET", help_heading = "Security")]
    allow_target: Vec<String>,
    /// Speak TLS with the coordinator, trusting the system's authorities
    #[arg(long, help_heading = "Security")]
    tls: bool,
    /// Speak TLS, trusting this authority (PEM)
    #[arg(long, value_name = "FILE", help_heading = "Security")]
    ca: Option<String>,
    /// This node's certificate (PEM)
    #[arg(long, value_name = "FILE", help_heading = "Security")]
    cert: Option<String>,
    /// The key of the certificate (PEM)
    #[arg(long, value_name = "FILE", help_heading = "Security")]
    key: Option<String>,
    /// The token with which the node may join; or its text in ENGINE_JOIN_TOKEN
    #[arg(long, value_name = "FILE", help_heading = "Security")]
    join_token_file: Option<String>,
    /// End with 3 unless the coordinator takes the node in within this time [default: try for ever]
    #[arg(long, value_name = "DURATION")]
    connect_within: Option<String>,
    /// End when the process that started this one ends
    #[arg(long)]
    die_with_parent: bool,
}

/// A flag's text, or its variable's.
struct Texts<'a> {
    surroundings: &'a dyn Surroundings,
}

impl Texts<'_> {
    fn variable(&self, name: &str) -> Result<Option<String>, Refusal> {
        let Some(value) = self.surroundings.variable(name).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let text = value.into_string();
        text.map(Some)
            .map_err(|_| Refusal::usage(&format!("{name}: the value is not text (not shown)"), "UTF-8"))
    }

    fn one(&self, flag: Option<String>, variable: &'static str) -> Result<Option<String>, Refusal> {
        match flag {
            Some(text) => Ok(Some(text)),
            None => self.variable(variable),
        }
    }

    /// A flag that may be repeated; its variable holds one value per line.
    fn many(&self, flag: Vec<String>, variable: &'static str) -> Result<Vec<String>, Refusal> {
        if !flag.is_empty() {
            return Ok(flag);
        }
        let lines = self.variable(variable)?.unwrap_or_default();
        Ok(lines.lines().map(str::to_owned).collect())
    }

    /// A value, read by its parser.
    fn read<T>(
        &self,
        flag: Option<String>,
        (name, variable): (&'static str, &'static str),
        parse: impl Fn(&str) -> Result<T, PlanError>,
    ) -> Result<Option<T>, Refusal> {
        let from_flag = flag.is_some();
        let Some(text) = self.one(flag, variable)? else { return Ok(None) };
        let place = if from_flag { Place::Flag(name) } else { Place::Variable(variable) };
        parse(&text).map(Some).map_err(|error| error.at(place).into())
    }

    /// The content of a file that a flag names.
    fn content(
        &self,
        flag: Option<String>,
        names: (&'static str, &'static str),
    ) -> Result<Option<Vec<u8>>, Refusal> {
        self.read(flag, names, |path| file(path, self.surroundings))
    }
}

/// Reads the flags of `engine node`.
pub(super) fn node(flags: NodeFlags, surroundings: &dyn Surroundings) -> Result<Command, Refusal> {
    let texts = Texts { surroundings };
    let label_lines = texts.many(flags.label, "ENGINE_LABEL")?;
    let fence = fence(&texts.many(flags.allow_target, "ENGINE_ALLOW_TARGET")?)?;
    let labels = label_lines.iter().map(|text| label(text).map_err(|error| error.at(Place::Flag("--label"))));
    let address =
        texts.read(flags.coordinator, ("--coordinator", "ENGINE_COORDINATOR"), coordinator_address)?;
    let (address, scheme_tls) = address.unwrap_or((format!("127.0.0.1:{PORT}"), false));
    let authority_pem = texts.content(flags.ca, ("--ca", "ENGINE_CA"))?;
    let certificate = texts.content(flags.cert, ("--cert", "ENGINE_CERT"))?;
    let key = texts.content(flags.key, ("--key", "ENGINE_KEY"))?;
    let identity_pem = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, PrivatePem(key))),
        (None, None) => None,
        (Some(_), None) => {
            return Err(Refusal::usage("--cert: a certificate needs its key", "add --key FILE"));
        }
        (None, Some(_)) => {
            return Err(Refusal::usage("--key: a key needs its certificate", "add --cert FILE"));
        }
    };
    let is_tls = flags.tls || scheme_tls || authority_pem.is_some() || identity_pem.is_some();
    let token = token(flags.join_token_file, &texts)?;
    if token.is_some() && !is_tls && !is_loopback(&address) {
        let what = "--coordinator: the join token would travel in the clear";
        return Err(Refusal::usage(what, "--ca FILE, or --tls"));
    }
    let host = Host {
        cores: texts.read(flags.cores, ("--cores", "ENGINE_CORES"), Cores::parse)?.unwrap_or_default(),
        io: texts.read(flags.io, ("--io", "ENGINE_IO"), IoChoice::parse)?.unwrap_or_default(),
        pacing: texts.read(flags.pacing, ("--pacing", "ENGINE_PACING"), Pacing::parse)?.unwrap_or_default(),
        fence,
    };
    let within = ("--connect-within", "ENGINE_CONNECT_WITHIN");
    Ok(Command::Node(Box::new(Config {
        coordinator: Coordinator {
            address,
            tls: is_tls.then_some(Tls { authority_pem, identity_pem }),
            token,
        },
        name: texts.read(flags.name, ("--name", "ENGINE_NAME"), node_name)?,
        zone: texts.read(flags.zone, ("--zone", "ENGINE_ZONE"), word)?,
        labels: labels.collect::<Result<BTreeMap<_, _>, PlanError>>()?,
        capacity: texts.read(flags.capacity, ("--capacity", "ENGINE_CAPACITY"), capacity)?,
        state: texts.one(flags.state, "ENGINE_STATE")?.map(PathBuf::from),
        host,
        die_with_parent: flags.die_with_parent,
        connect_within: texts.read(flags.connect_within, within, parse_duration)?.map(Duration::from_nanos),
    })))
}

/// What plans may load from this machine; none where they may load all that this machine reaches.
fn fence(texts: &[String]) -> Result<Option<Fence>, Refusal> {
    if matches!(texts, [any] if any == "any") {
        return Ok(None);
    }
    let allowed = texts.iter().map(|text| Allowed::parse(text)).collect::<Result<_, _>>();
    let allowed = allowed.map_err(|error| error.at(Place::Flag("--allow-target")))?;
    Ok(Some(Fence { allowed, own: Vec::new() }))
}

/// The join token; its text is never on the command line, where everyone sees it.
fn token(path: Option<String>, texts: &Texts<'_>) -> Result<Option<String>, Refusal> {
    let names = ("--join-token-file", "ENGINE_JOIN_TOKEN_FILE");
    let text = match texts.content(path, names)? {
        Some(content) => Some(String::from_utf8(content).map_err(|_| {
            Refusal::usage("--join-token-file: it holds no text", "the file that the coordinator wrote")
        })?),
        None => texts.variable("ENGINE_JOIN_TOKEN")?,
    };
    let text = text.map(|text| text.trim().to_owned());
    match text {
        Some(text) if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(Refusal::usage("the join token is empty or holds blanks (not shown)", "one word"))
        }
        other => Ok(other),
    }
}

/// Reads `HOST`, `HOST:PORT`, with `http://` or `https://` before it; yields it with a port, and whether TLS was asked for.
fn coordinator_address(text: &str) -> Result<(String, bool), PlanError> {
    let wrong =
        || PlanError::new(format!("{} is no address", plan::quoted(text)), "HOST:PORT, e.g. 10.0.0.7:5557");
    let (rest, is_tls) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (rest, true),
        (None, Some(rest)) => (rest, false),
        (None, None) => (text, false),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let is_name = |host: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        !host.is_empty() && host.bytes().all(plain)
    };
    if let Ok(IpAddr::V6(ip)) = rest.parse::<IpAddr>() {
        return Ok((format!("[{ip}]:{PORT}"), is_tls));
    }
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) => (host, port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong)?),
        None => (rest, PORT),
    };
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_v6 = bracketed.is_some_and(|host| matches!(host.parse::<IpAddr>(), Ok(IpAddr::V6(_))));
    if is_v6 || is_name(host) { Ok((format!("{host}:{port}"), is_tls)) } else { Err(wrong()) }
}

fn capacity(text: &str) -> Result<Capacity, PlanError> {
    match Capacity::parse(text)? {
        Capacity::Given(Rate::ZERO) => {
            Err(PlanError::new("a node that carries nothing is none", "a rate such as 50k, or measure"))
        }
        capacity => Ok(capacity),
    }
}

fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn word(text: &str) -> Result<String, PlanError> {
    let fits = !text.is_empty() && text.len() <= WORD_BYTES_MAX && !text.contains(char::is_control);
    if fits {
        return Ok(text.to_owned());
    }
    Err(PlanError::new("it is empty, too long, or not printable", "a short name, e.g. eu-west"))
}

/// A name that can be a folder's, a metric's label and a part of a path.
fn node_name(text: &str) -> Result<String, PlanError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let fits = text.len() <= 128 && text.bytes().all(plain) && !text.starts_with('.');
    if fits && !text.is_empty() {
        return Ok(text.to_owned());
    }
    let what = format!("{} is no name of a node", plan::quoted(text));
    Err(PlanError::new(what, "letters, digits, - . and _, at most 128, e.g. load-1"))
}

fn label(text: &str) -> Result<(String, String), PlanError> {
    let wrong = || PlanError::new(format!("{} is no label", plan::quoted(text)), "KEY=VALUE, e.g. rack=7");
    let (key, value) = text.split_once('=').ok_or_else(wrong)?;
    if key.is_empty() || text.len() > WORD_BYTES_MAX || text.contains(char::is_control) {
        return Err(wrong());
    }
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_a_coordinator() {
        for (text, address, is_tls) in [
            ("10.0.0.7", "10.0.0.7:5557", false),
            ("10.0.0.7:99", "10.0.0.7:99", false),
            ("load.example", "load.example:5557", false),
            ("https://load.example:443/", "load.example:443", true),
            ("http://a:1", "a:1", false),
            ("::1", "[::1]:5557", false),
            ("[::1]:7", "[::1]:7", false),
        ] {
            assert_eq!(coordinator_address(text).expect(text), (address.to_owned(), is_tls));
        }
        for text in ["", ":5557", "a:b", "a:0", "a:70000", "a/b", "user@host", "[zz]:1", "a b", "ftp://a"] {
            assert!(coordinator_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_loopback_may_hear_a_token_in_the_clear() {
        for (address, expected) in
            [("127.0.0.1:5557", true), ("[::1]:1", true), ("localhost:1", true), ("10.0.0.7:1", false)]
        {
            assert_eq!(is_loopback(address), expected, "{address}");
        }
    }

    #[test]
    fn capacities() {
        assert!(matches!(capacity("50k"), Ok(Capacity::Given(_))));
        assert!(matches!(capacity("measure"), Ok(Capacity::Measured)));
        for text in ["0", "x", "-1"] {
            assert!(capacity(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_and_labels() {
        assert!(node_name("load-1.eu_x").is_ok());
        for text in ["", ".hidden", "a/b", "a b", "ä"] {
            assert!(node_name(text).is_err(), "{text}");
        }
        assert_eq!(label("rack=7=8").expect("a label"), ("rack".to_owned(), "7=8".to_owned()));
        for text in ["", "=7", "rack", "a=\n"] {
            assert!(label(text).is_err(), "{text}");
        }
    }
}
