//! Whom the tokens of a plan file are asked of.
//!
//! A server that is a target of the plan, by scheme, host and port, is reached as the plan says for that target; any other one by
//! its name, with TLS as it is where nothing is said.

use plan::{Connections, DEFAULT_TIMEOUT_NS, Dns, Plan, Scheme, Url};
use scenario::{Context, TokenMessage, TokenRequest};

use super::super::tls_settings;
use super::{FileRun, limits};
use crate::dial::dial;
use crate::prepare::PrepareError;
use crate::shard::TargetSettings;
use crate::shard::scenarios::{Columns, Filling, ScenarioSettings};
use crate::tokens::{Source, TokenError};

const USER_AGENT: &str = concat!("openloop/", env!("CARGO_PKG_VERSION"));

/// Finds whom to ask for the tokens that scenarios carry, each once, and tells the scenarios their places. Nothing is sent.
///
/// # Errors
/// See [`TokenError`].
pub fn token_sources<'a>(
    run: &FileRun<'_>,
    scenarios: impl Iterator<Item = &'a mut ScenarioSettings>,
) -> Result<Vec<Source>, TokenError> {
    let (mut known, mut sources): (Vec<TokenRequest>, Vec<Source>) = (Vec::new(), Vec::new());
    for scenario in scenarios {
        for index in 0..scenario.tokens.len() {
            let request = &scenario.program.tokens()[index];
            let place = known.iter().position(|one| one == request);
            if place.is_none() {
                sources.push(source(run, request, scenario)?);
                known.push(request.clone());
            }
            let place = place.unwrap_or(known.len() - 1);
            scenario.tokens[index].place = u16::try_from(place).unwrap_or(u16::MAX);
        }
    }
    Ok(sources)
}

fn source(
    run: &FileRun<'_>,
    request: &TokenRequest,
    scenario: &ScenarioSettings,
) -> Result<Source, TokenError> {
    let columns = Columns::default();
    let filling = Filling::of(scenario, &columns);
    let unix_ns = u64::try_from(clock::wall_time().as_nanos()).unwrap_or(u64::MAX);
    let context = Context { unix_ns, values: &filling };
    let message = request.render(&context).map_err(|_| TokenError::Unset)?;
    let text = std::str::from_utf8(&message.url).map_err(|_| TokenError::Url)?;
    let url = Url::parse(text).map_err(|_| TokenError::Url)?;
    let scheme = if url.scheme() == Scheme::Https { "https" } else { "http" };
    let place = (url.scheme(), url.host(), url.port());
    let target = run
        .file
        .targets
        .iter()
        .position(|target| (target.url.scheme(), target.url.host(), target.url.port()) == place);
    let (routes, tls) = if let Some(index) = target {
        (run.ways[index].clone(), run.file.targets[index].tls.clone())
    } else {
        let connections = Connections {
            connect_to: Vec::new(),
            dns: Dns::First,
            sources: Vec::new(),
            unix_socket: None,
            ..run.plan.connections.clone()
        };
        (dial(&Plan { connections, ..run.plan.clone() }, &url)?.routes, plan::Tls::default())
    };
    Ok(Source {
        server: format!("{scheme}://{}", url.authority()),
        target: TargetSettings {
            routes: routes.into(),
            first_route: 0,
            tls: tls_settings(&tls, &url)?,
            authority: url.authority().to_ascii_lowercase(),
            connections: 1,
            warm_connections: 0,
            close_after: None,
            waiting_capacity: 0,
            connect_timeout_ns: DEFAULT_TIMEOUT_NS,
        },
        limits: limits(run.file),
        request: written(&url, &message)?,
        timeout_ns: DEFAULT_TIMEOUT_NS,
    })
}

/// The request as it goes on the wire.
fn written(url: &Url, message: &TokenMessage) -> Result<Vec<u8>, PrepareError> {
    let mut headers = vec![
        ("User-Agent".to_owned(), USER_AGENT.to_owned()),
        ("Accept".to_owned(), "application/json".to_owned()),
        ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
    ];
    if let Some(field) = &message.authorization {
        headers.push(("Authorization".to_owned(), String::from_utf8_lossy(field).into_owned()));
    }
    let size = message.body.len() as u64;
    let mut bytes = http1::encode_head("POST", url.target(), &url.authority(), &headers, size)?;
    bytes.extend_from_slice(&message.body);
    Ok(bytes)
}
