//! Requests to the coordinator's API.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use plan::{Scheme, Url, quoted};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use verdict::ExitCode;

use crate::args::At;
use crate::program::Failure;

/// For a whole request and its answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a request carries.
#[derive(Debug)]
pub(super) enum Body {
    /// Nothing.
    None,
    /// A document.
    Json(String),
    /// A file.
    Bytes(Vec<u8>),
}

impl Body {
    pub(super) fn json(value: &impl Serialize) -> Self {
        Self::Json(serde_json::to_string(value).expect("Invariant: our documents have texts for keys"))
    }
}

/// Whom to ask, and as whom.
pub(super) struct Client {
    url: Url,
    token: Option<String>,
    tls: Option<TlsConnector>,
}

/// What the API says of a request that it does not grant.
#[derive(serde::Deserialize)]
struct Problem {
    detail: String,
}

impl Client {
    /// Whom the flags and variables name.
    pub(super) fn of(at: &At) -> Result<Self, Failure> {
        let url =
            Url::parse(&at.coordinator).map_err(|error| error.at(plan::Place::Flag("--coordinator")))?;
        let token = match (&at.token_file, std::env::var("COORDINATOR_TOKEN")) {
            (Some(path), _) => {
                let text = std::fs::read_to_string(path);
                let text = text.map_err(|error| Failure::file(&path.to_string_lossy(), &error))?;
                Some(text.trim().to_owned())
            }
            (None, token) => token.ok().filter(|token| !token.is_empty()),
        };
        let tls = if url.scheme() == Scheme::Https { Some(connector(at)?) } else { None };
        Ok(Self { url, token, tls })
    }

    /// Asks for a document.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(Method::GET, path, Body::None).await
    }

    /// Asks, and reads the answer.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<T, Failure> {
        let bytes = self.send(method, path, body).await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let what = format!(
                "what answers at {} is no coordinator of this version: {error}",
                self.url.authority()
            );
            Failure::environment(format!("{what} → --coordinator URL"))
        })
    }

    /// Asks for a text.
    pub(super) async fn text(&self, path: &str) -> Result<String, Failure> {
        let bytes = self.send(Method::GET, path, Body::None).await?;
        String::from_utf8(bytes.to_vec())
            .map_err(|_| Failure::environment("the answer is not text → --coordinator URL"))
    }

    /// Asks for something to be done.
    pub(super) async fn nothing(&self, method: Method, path: &str) -> Result<(), Failure> {
        self.send(method, path, Body::None).await.map(|_| ())
    }

    async fn send(&self, method: Method, path: &str, body: Body) -> Result<Bytes, Failure> {
        let silent = |_| self.unreachable("it does not answer");
        let (status, bytes) =
            tokio::time::timeout(PATIENCE, self.exchange(method, path, body)).await.map_err(silent)??;
        if status.is_success() {
            return Ok(bytes);
        }
        let said = serde_json::from_slice::<Problem>(&bytes).map(|problem| problem.detail);
        let said = said.unwrap_or_else(|_| format!("the coordinator answered {status} → --coordinator URL"));
        Err(Failure::new(said, code_of(status)))
    }

    async fn exchange(&self, method: Method, path: &str, body: Body) -> Result<(StatusCode, Bytes), Failure> {
        let failed = |error: hyper::Error| self.unreachable(&error.to_string());
        let broken = |error: std::io::Error| self.unreachable(&error.to_string());
        let name = self.url.server_name();
        let stream = TcpStream::connect((name.as_str(), self.url.port())).await.map_err(broken)?;
        let request = self.request(method, path, body)?;
        let (mut sender, task) = match &self.tls {
            None => {
                let (sender, connection) =
                    hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
                (sender, tokio::spawn(connection))
            }
            Some(tls) => {
                let server =
                    ServerName::try_from(name).map_err(|_| self.unreachable("its name is none for TLS"))?;
                let stream = tls.connect(server, stream).await.map_err(broken)?;
                let (sender, connection) =
                    hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
                (sender, tokio::spawn(connection))
            }
        };
        let response = sender.send_request(request).await.map_err(failed)?;
        let status = response.status();
        let bytes = response.into_body().collect().await.map_err(failed)?.to_bytes();
        task.abort();
        Ok((status, bytes))
    }

    fn request(&self, method: Method, path: &str, body: Body) -> Result<Request<Full<Bytes>>, Failure> {
        let base = self.url.target().trim_end_matches('/');
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{base}/api/v1{path}"))
            .header(HOST, self.url.authority())
            .header(ACCEPT, "application/json");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let bytes = match body {
            Body::None => Bytes::new(),
            Body::Json(text) => {
                request = request.header(CONTENT_TYPE, "application/json");
                text.into()
            }
            Body::Bytes(bytes) => {
                request = request.header(CONTENT_TYPE, "application/octet-stream");
                bytes.into()
            }
        };
        request.body(Full::new(bytes)).map_err(|_| {
            Failure::usage("the token is no text of a header (not shown) → as coordinator tokens printed it")
        })
    }

    fn unreachable(&self, why: &str) -> Failure {
        let what = format!("no coordinator at {}: {why}", self.url.authority());
        Failure::environment(format!(
            "{what} → coordinator serve, and --coordinator URL (or COORDINATOR_URL)"
        ))
    }
}

/// The exit code for an answer that grants nothing.
fn code_of(status: StatusCode) -> ExitCode {
    match status {
        StatusCode::FORBIDDEN => ExitCode::Refused,
        status if status.is_client_error() => ExitCode::Usage,
        _ => ExitCode::Environment,
    }
}

fn connector(at: &At) -> Result<TlsConnector, Failure> {
    let mut roots = RootCertStore::empty();
    match &at.coordinator_ca {
        Some(path) => {
            let none = || {
                let what = format!(
                    "--coordinator-ca: {} holds no certificate in PEM form",
                    quoted(&path.to_string_lossy())
                );
                Failure::usage(&format!("{what} → the ca.pem that coordinator certs wrote"))
            };
            let found = CertificateDer::pem_file_iter(path).map_err(|_| none())?;
            for certificate in found {
                roots.add(certificate.map_err(|_| none())?).map_err(|_| none())?;
            }
        }
        None => {
            for certificate in rustls_native_certs::load_native_certs().certs {
                // One that cannot be used convinces nobody.
                let _ = roots.add(certificate);
            }
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::internal(&error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A query of what is given.
pub(super) fn query(pairs: &[(&str, Option<&str>)]) -> String {
    let given = pairs.iter().filter_map(|(name, value)| Some(format!("{name}={}", encoded((*value)?))));
    given.collect::<Vec<_>>().join("&")
}

/// A text as part of a URL (RFC 3986, section 2).
pub(super) fn encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            use std::fmt::Write as _;
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_carry_any_text() {
        assert_eq!(
            query(&[("a", Some("x y&z=é")), ("b", None), ("c", Some("1"))]),
            "a=x%20y%26z%3D%C3%A9&c=1"
        );
    }

    #[test]
    fn answers_become_exit_codes() {
        assert_eq!(code_of(StatusCode::FORBIDDEN), ExitCode::Refused);
        assert_eq!(code_of(StatusCode::UNPROCESSABLE_ENTITY), ExitCode::Usage);
        assert_eq!(code_of(StatusCode::SERVICE_UNAVAILABLE), ExitCode::Environment);
    }
}
