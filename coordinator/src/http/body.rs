//! Bodies, both ways: JSON that is bounded and says what is wrong with it; answers that are made piece by piece.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body::Frame;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::error::Problem;

/// How long the body of JSON may take to come, and each piece of a file.
const BODY_PATIENCE: Duration = Duration::from_secs(30);
/// The largest body of JSON that is read.
pub(crate) const JSON_LIMIT: usize = 1 << 20;

/// A body of JSON.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if media_type(request.headers()) != Some("application/json") {
            let detail = "the body must be JSON, with the header Content-Type: application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid", detail));
        }
        let bytes = whole(request, JSON_LIMIT).await?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| Problem::invalid(format!("the body is not what is expected here: {error}")))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(bytes) => typed("application/json", bytes),
            Err(error) => {
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string()).into_response()
            }
        }
    }
}

/// The parameters behind the question mark.
#[derive(Debug)]
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(error) => Err(Problem::invalid(error.body_text())),
        }
    }
}

/// The whole body, if it has at most `limit` bytes and comes in time.
pub(crate) async fn whole(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let body = in_time(axum::body::to_bytes(request.into_body(), limit)).await?;
    body.map_err(|_| {
        let detail = format!("the body did not come whole, or has more than {limit} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_much", detail)
    })
}

/// What a client sends, if it sends it in time.
pub(crate) async fn in_time<T>(sent: impl Future<Output = T>) -> Result<T, Problem> {
    tokio::time::timeout(BODY_PATIENCE, sent).await.map_err(|_| {
        let detail = format!("the body did not come within {} s", BODY_PATIENCE.as_secs());
        Problem::new(StatusCode::REQUEST_TIMEOUT, "invalid", detail)
    })
}

/// The media type without its parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(text.split(';').next().unwrap_or_default().trim())
}

/// An answer of this media type.
pub(crate) fn typed(media_type: &'static str, bytes: impl Into<Body>) -> Response {
    let mut response = Response::new(bytes.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// An answer whose pieces come from a task. As long as the client does not read, the task waits: at most one piece lies
/// between them.
#[derive(Debug)]
pub(crate) struct Pieces(mpsc::Receiver<Bytes>);

/// A body, and where its pieces go.
pub(crate) fn pieces() -> (mpsc::Sender<Bytes>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, Body::new(Pieces(receiver)))
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    }
}
