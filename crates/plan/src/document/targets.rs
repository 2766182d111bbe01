//! `targets:` — whom a plan loads, and how connections to each are made.

use super::World;
use super::fields::{Fields, list, named, one_or_more, parsed, truth, whole};
use super::problem::Problems;
use super::source::Span;
use super::tree::{Node, Value};
use crate::plan::{Connections, Limits, Tls};
use crate::{
    ConnectTo, Dns, Draft, Host, Place, PlanError, TlsVersion, UnixSocket, Url, parse_size, parse_sources,
    quoted,
};

/// The keys of a target.
pub(crate) const TARGET_KEYS: [&str; 18] = [
    "url",
    "connections",
    "warm-connections",
    "close-after",
    "queue",
    "connect-to",
    "dns",
    "source",
    "unix-socket",
    "insecure",
    "cacert",
    "cert",
    "key",
    "resumption",
    "tls-min",
    "tls-max",
    "alpn",
    "max-head",
];

/// A target of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What steps call it.
    pub name: String,
    /// Scheme, host, port, and the path that steps' paths are put behind.
    pub url: Url,
    /// How connections to it are used.
    pub connections: Connections,
    /// How TLS is spoken with it.
    pub tls: Tls,
    /// What its responses may be.
    pub limits: Limits,
    /// Where it stands in the file.
    pub span: Span,
}

/// Reads the targets, in the order of the file.
pub(crate) fn targets(node: &Node, world: &dyn World, problems: &mut Problems) -> Vec<Target> {
    let entries = named(node, "targets", problems).unwrap_or_default();
    let mut targets = Vec::new();
    for (key, node) in entries {
        if let Some(mut target) = target(node, world, problems) {
            target.name.clone_from(&key.text);
            target.span = key.span;
            targets.push(target);
        }
    }
    targets
}

fn target(node: &Node, world: &dyn World, problems: &mut Problems) -> Option<Target> {
    // Short form: the URL alone.
    if let Value::Scalar(_) = node.value {
        let draft = Draft { url: Some(parsed(node, problems, base_url)?), ..Draft::default() };
        return finish(draft, node.span, |_| node.span, problems);
    }
    let fields = Fields::of(node, "a target", &TARGET_KEYS, problems)?;
    let before = problems.count();
    let url = fields.need("url", "url: http://127.0.0.1:8080", problems);
    let url = url.and_then(|node| parsed(node, problems, base_url));
    let mut pem = |name: &str| fields.get(name).and_then(|node| pem(node, world, problems));
    let (ca_pem, cert_pem, key_pem) = (pem("cacert"), pem("cert"), pem("key"));
    alpn(&fields, problems);
    let connect_to = fields.get("connect-to").into_iter().flat_map(one_or_more);
    let draft = Draft {
        url,
        ca_pem,
        cert_pem,
        key_pem,
        connections: fields.parse("connections", problems, whole(1)),
        warm_connections: fields.parse("warm-connections", problems, whole(0)),
        close_after: fields.parse("close-after", problems, whole(1)),
        queue: fields.parse("queue", problems, whole(0)),
        connect_to: connect_to.filter_map(|node| parsed(node, problems, ConnectTo::parse)).collect(),
        dns: fields.parse("dns", problems, Dns::parse),
        sources: sources(&fields, problems),
        unix_socket: fields.parse("unix-socket", problems, UnixSocket::parse),
        insecure: fields.switch("insecure", problems),
        no_resumption: fields.parse("resumption", problems, truth) == Some(false),
        tls_min: fields.parse("tls-min", problems, TlsVersion::parse),
        tls_max: fields.parse("tls-max", problems, TlsVersion::parse),
        max_head: fields.parse("max-head", problems, parse_size),
        ..Draft::default()
    };
    if problems.count() > before {
        return None;
    }
    finish(draft, node.span, |key| fields.at(key), problems)
}

/// Holds the parts of a target against each other, as the flags are.
fn finish(draft: Draft, span: Span, at: impl Fn(&str) -> Span, problems: &mut Problems) -> Option<Target> {
    let mut told = |error: PlanError| {
        let key = match error.place {
            Some(Place::Flag(flag)) => flag.trim_start_matches("--"),
            _ => "url",
        };
        // The flags' words, said of keys.
        let keyed = |text: &str| text.replace("--", "");
        problems.add(at(key), keyed(&error.what), keyed(&error.fix));
    };
    let connections = draft.connections().map_err(&mut told).ok();
    let tls = draft.tls().map_err(&mut told).ok();
    let limits = draft.limits().map_err(&mut told).ok();
    Some(Target {
        name: String::new(),
        url: draft.url?,
        connections: connections?,
        tls: tls?,
        limits: limits?,
        span,
    })
}

/// A URL that steps' paths are put behind: it has no query.
pub(crate) fn base_url(text: &str) -> Result<Url, PlanError> {
    let url = Url::parse(text).map_err(|error| {
        // The flags' remedy is a flag.
        if text.contains('@') && error.what.contains("user name or password") {
            let fix = "take it out; in the steps auth: {basic: {user: …, password: \"{{secret.…}}\"}}, and the password under secrets:";
            return PlanError::new(error.what, fix);
        }
        error
    })?;
    if url.target().contains('?') {
        return Err(PlanError::new("a target's URL has no query", "put it into the steps (query:)"));
    }
    Ok(url)
}

fn alpn(fields: &Fields<'_>, problems: &mut Problems) {
    let Some(nodes) = fields.get("alpn").and_then(|node| list(node, "alpn", problems)) else { return };
    for node in nodes {
        let known = |text: &str| match text {
            "http/1.1" => Ok(()),
            "h2" => Err(PlanError::new("the engine speaks HTTP/1.1 only", "http/1.1")),
            _ => Err(PlanError::new(format!("{} is no protocol of the engine", quoted(text)), "http/1.1")),
        };
        let _ = parsed(node, problems, known);
    }
}

fn sources(fields: &Fields<'_>, problems: &mut Problems) -> Option<Vec<std::net::IpAddr>> {
    let node = fields.get("source")?;
    let parts = one_or_more(node).filter_map(|node| parsed(node, problems, parse_sources));
    Some(parts.flatten().collect())
}

/// Reads a file that has to hold PEM text.
fn pem(node: &Node, world: &dyn World, problems: &mut Problems) -> Option<Vec<u8>> {
    let bytes = file(node, world, problems)?;
    if bytes.windows(11).any(|window| window == b"-----BEGIN ") {
        return Some(bytes);
    }
    problems.add(
        node.span,
        "the file holds no PEM text",
        "a file with -----BEGIN …----- lines (openssl x509 -inform DER -in FILE converts)",
    );
    None
}

/// Reads a file that the plan names.
pub(crate) fn file(node: &Node, world: &dyn World, problems: &mut Problems) -> Option<Vec<u8>> {
    parsed(node, problems, |path| {
        file_name(path)?;
        world.read(path).map_err(|reason| unreadable(path, &reason))
    })
}

/// Why a file cannot be used.
pub(crate) fn unreadable(path: &str, reason: &str) -> PlanError {
    PlanError::new(
        format!("cannot read {}: {reason}", crate::named(path)),
        "the path of a file, relative to the plan's folder",
    )
}

/// A path that is one.
pub(crate) fn file_name(path: &str) -> Result<(), PlanError> {
    if path.is_empty() || path.contains('\0') {
        return Err(PlanError::new(
            "this is no file name",
            "the path of a file, relative to the plan's folder",
        ));
    }
    Ok(())
}

/// A host that somebody vouches for.
pub(crate) fn own_host(text: &str) -> Result<Host, PlanError> {
    if text.contains('/') || text.contains('*') {
        return Err(PlanError::new(
            format!("{} is not a host", quoted(text)),
            "the host alone, e.g. shop.example",
        ));
    }
    Host::parse(text)
}
