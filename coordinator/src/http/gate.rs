//! The gate before everything else.
//!
//! Order: host, origin, token, role. What fails says why, and nothing behind the gate ran.
//!
//! - *Host*: where no token is asked for, only names of this host and those of `--http-name` are answered; otherwise a page
//!   of somebody else, whose name suddenly leads here, could read and write (DNS rebinding).
//! - *Origin*: browsers say which page asks. Pages other than ours are turned away, for reads too; there are no CORS headers.
//! - *Token*: `Authorization: Bearer …`, or the cookie that `POST /api/v1/session` set.
//! - *Role*: viewers read, operators do everything, nodes nothing here.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::access::Caller;
use super::error::Problem;
use super::server::Asked;
use super::watched::{Bearing, Watched};
use super::{Edge, count, headers};
use crate::security::{Role, Tried, id_of};

/// What live answers are (WHATWG HTML, section 9.2.5).
const EVENTS: &str = "text/event-stream";
/// The cookie of a session.
pub(crate) const COOKIE: &str = "openloop_session";

/// Who is at the other end of the connection.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Lets a request pass, or answers it.
pub(crate) async fn gate(State(edge): State<Arc<Edge>>, mut request: Request, next: Next) -> Response {
    if let Some(asked) = request.extensions().get::<Asked>() {
        asked.note();
    }
    let secure = edge.options.tls.is_some();
    let is_page = is_open(request.method(), request.uri().path());
    let response = match admit(&edge, &request) {
        Ok((caller, bearing)) => {
            count(&edge.told.passed);
            request.extensions_mut().insert(caller);
            let response = next.run(request).await;
            let is_live = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == EVENTS);
            match bearing {
                Some(bearing) if is_live => response.map(|body| Body::new(Watched::new(body, bearing))),
                _ => response,
            }
        }
        Err(problem) => {
            count(&edge.told.turned_away);
            problem.into_response()
        }
    };
    headers::harden(response, secure, is_page)
}

/// Who asks, and with which token.
fn admit(edge: &Edge, request: &Request) -> Result<(Caller, Option<Bearing>), Problem> {
    let host = host(request.headers(), request.uri())
        .ok_or_else(|| Problem::invalid("the request names no host, or several"))?;
    check_host(edge, host)?;
    check_origin(edge, request, host)?;
    let Some(tokens) = &edge.options.tokens else {
        return Ok((Caller::anybody(), None));
    };
    if is_open(request.method(), request.uri().path()) {
        // Nothing behind these paths tells or changes anything.
        return Ok((Caller { role: Role::Viewer, project: None }, None));
    }
    let (token, from_cookie) =
        presented(request.headers()).ok_or_else(|| unauthenticated("a token is needed"))?;
    let grant = tokens.verify(token, clock::wall_time().as_secs()).map_err(|error| {
        let peer = request.extensions().get::<Peer>().map_or(edge.bound, |peer| peer.0);
        match edge.failed(peer, error) {
            Tried::Wrong => unauthenticated(&error.to_string()),
            Tried::TooOften { retry_after_s } => Problem::too_often(retry_after_s),
        }
    })?;
    let reads = is_read(request.method());
    if from_cookie && !reads && request.headers().get(header::ORIGIN).is_none() {
        return Err(Problem::forbidden(
            "a session may write from its own page alone; programs use Authorization: Bearer",
        ));
    }
    match (grant.role, reads) {
        (Role::Operator, _) | (Role::Viewer, true) => {
            let (key, id) = (Arc::clone(tokens), id_of(token).unwrap_or_default());
            let bearing = Bearing { key, id, expires_s: grant.expires_s };
            Ok((grant.into(), Some(bearing)))
        }
        (Role::Viewer, false) => Err(Problem::forbidden("this token may read only")),
        (Role::Node, _) => Err(Problem::forbidden("this token is for joining as a node only")),
    }
}

/// What is answered to whoever can connect: the page itself, which holds nothing, the way in, and signs of health.
fn is_open(method: &Method, path: &str) -> bool {
    let way_in = path == "/api/v1/session" && *method == Method::POST;
    let page = is_read(method) && (path == "/" || path.starts_with("/assets/"));
    way_in || page || path == "/healthz" || path == "/readyz"
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn unauthenticated(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
}

/// RFC 9112, section 3.2: exactly one Host; in HTTP/2 the authority stands in the target.
fn host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    let mut named = headers.get_all(header::HOST).iter();
    match (named.next(), named.next(), uri.authority()) {
        (Some(host), None, _) => host.to_str().ok(),
        (None, _, Some(authority)) => Some(authority.as_str()),
        _ => None,
    }
}

fn check_host(edge: &Edge, host: &str) -> Result<(), Problem> {
    let name = without_port(host);
    let is_own = match name.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => crate::security::is_loopback(address) || address == edge.bound.ip(),
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    };
    let is_named = edge.options.names.iter().any(|own| own.eq_ignore_ascii_case(name));
    // Where tokens are asked for, a foreign name leads to nothing: neither cookie nor token is sent to it.
    if is_own || is_named || edge.options.tokens.is_some() {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::MISDIRECTED_REQUEST,
        "forbidden",
        "this coordinator is not known by that name; use 127.0.0.1 or localhost, or start it with --http-name",
    ))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    }
}

fn check_origin(edge: &Edge, request: &Request, host: &str) -> Result<(), Problem> {
    let foreign = || Problem::forbidden("pages of other origins may not use this coordinator");
    let headers = request.headers();
    if let Some(origin) = headers.get(header::ORIGIN) {
        let scheme = if edge.options.tls.is_some() { "https" } else { "http" };
        let own = origin.to_str().ok().and_then(|origin| origin.strip_prefix(scheme)?.strip_prefix("://"));
        if !own.is_some_and(|own| own.eq_ignore_ascii_case(host)) {
            return Err(foreign());
        }
    }
    // Fetch Metadata (W3C): browsers that send no Origin with a read still say whose page it is for.
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_visit = said("sec-fetch-mode") == Some("navigate") && *request.method() == Method::GET;
    match said("sec-fetch-site") {
        Some("cross-site" | "same-site") if !(is_visit && request.uri().path() == "/") => Err(foreign()),
        _ => Ok(()),
    }
}

/// The token that came with a request, and whether it came as a cookie.
fn presented(headers: &HeaderMap) -> Option<(&str, bool)> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| (token.trim(), false));
    }
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, token)| (token, true))
}
