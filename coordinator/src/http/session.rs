//! Sessions of browsers, and tokens for others.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Edge;
use super::access::Caller;
use super::body::Json;
use super::error::Problem;
use super::gate::{COOKIE, Peer};
use crate::security::{Grant, LONGEST_LIFETIME_S, Role, Tried};

/// The token with which a browser comes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    /// As `coordinator tokens` printed it.
    token: String,
}

/// Who is asking.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Who {
    /// What they may do.
    role: Role,
    /// The only project that they see; all if null.
    project: Option<String>,
    /// Whether this coordinator asks for tokens.
    tokens: bool,
}

/// A token to make.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenRequest {
    /// What its bearer may do.
    role: Role,
    /// For how many seconds.
    lifetime_s: u64,
    /// For which project alone.
    #[serde(default)]
    project: Option<String>,
}

/// A new token.
#[derive(Serialize, JsonSchema)]
pub(crate) struct MintedToken {
    /// The token. It is stored nowhere.
    token: String,
    /// Until when it is good: RFC 3339, UTC.
    expires_at: String,
}

pub(crate) async fn who(State(edge): State<Arc<Edge>>, caller: Caller) -> Json<Who> {
    Json(answer(&edge, caller))
}

fn answer(edge: &Edge, caller: Caller) -> Who {
    Who { role: caller.role, project: caller.project, tokens: edge.options.tokens.is_some() }
}

pub(crate) async fn begin(
    State(edge): State<Arc<Edge>>,
    peer: Option<Extension<Peer>>,
    Json(key): Json<Key>,
) -> Result<Response, Problem> {
    let Some(tokens) = &edge.options.tokens else {
        return Ok(Json(answer(&edge, Caller::anybody())).into_response());
    };
    let now_s = clock::wall_time().as_secs();
    let grant = tokens.verify(&key.token, now_s).map_err(|error| {
        let peer = peer.map_or(edge.bound, |Extension(peer)| peer.0);
        match edge.failed(peer, error) {
            Tried::Wrong => Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", error.to_string()),
            Tried::TooOften { retry_after_s } => Problem::too_often(retry_after_s),
        }
    })?;
    if grant.role == Role::Node {
        return Err(Problem::forbidden("this token is for joining as a node only"));
    }
    let lifetime_s = grant.expires_s.saturating_sub(now_s);
    let cookie = cookie(&edge, &key.token, lifetime_s)?;
    let mut response = Json(answer(&edge, grant.into())).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

pub(crate) async fn end(State(edge): State<Arc<Edge>>) -> Result<Response, Problem> {
    let cookie = cookie(&edge, "", 0)?;
    let mut response = Json(()).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// RFC 6265: no script reads it, no other site sends it, and it never travels in the clear where TLS is spoken.
fn cookie(edge: &Edge, token: &str, lifetime_s: u64) -> Result<HeaderValue, Problem> {
    let secure = if edge.options.tls.is_some() { "; Secure" } else { "" };
    let text = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={lifetime_s}{secure}");
    let mut value = HeaderValue::from_str(&text).map_err(|_| Problem::invalid("this is no token"))?;
    value.set_sensitive(true);
    Ok(value)
}

pub(crate) async fn mint(
    State(edge): State<Arc<Edge>>,
    caller: Caller,
    Json(request): Json<TokenRequest>,
) -> Result<Json<MintedToken>, Problem> {
    let Some(tokens) = &edge.options.tokens else {
        return Err(Problem::invalid("this coordinator asks nobody for tokens"));
    };
    if request.lifetime_s == 0 || request.lifetime_s > LONGEST_LIFETIME_S {
        return Err(Problem::invalid(format!("lifetime_s is 1 to {LONGEST_LIFETIME_S}")));
    }
    // Nobody grants more than they have: who is bound to a project binds others to it, and brings no nodes in.
    let project = match (&caller.project, request.project) {
        (None, asked) => asked,
        (Some(own), asked)
            if asked.as_ref().is_none_or(|asked| asked == own) && request.role != Role::Node =>
        {
            Some(own.clone())
        }
        (Some(own), _) => {
            return Err(Problem::forbidden(format!("this token makes others for the project {own:?} alone")));
        }
    };
    if project.as_ref().is_some_and(String::is_empty) {
        return Err(Problem::invalid("a project has a name"));
    }
    let expires = clock::wall_time() + std::time::Duration::from_secs(request.lifetime_s);
    let grant = Grant { role: request.role, project, expires_s: expires.as_secs() };
    let token = tokens.mint(&grant).map_err(|error| Problem::invalid(error.to_string()))?;
    Ok(Json(MintedToken { token, expires_at: clock::rfc3339(expires) }))
}
