//! What a client is told when it does not get what it asked for: RFC 9457, `application/problem+json`.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::handle::{Refused, RefusedKind};

/// Why a request was not granted (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Problem {
    /// The status, once more.
    pub(crate) status: u16,
    /// For programs: `invalid`, `forbidden`, `missing`, `conflict`, `too_much`, `unavailable`, `unauthenticated`,
    /// `too_often`.
    pub(crate) kind: String,
    /// For people: where, what, and how to fix it.
    pub(crate) detail: String,
    /// Seconds to wait before the next attempt, where that is why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after_s: Option<u64>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, kind: &str, detail: impl Into<String>) -> Self {
        Self { status: status.as_u16(), kind: kind.to_owned(), detail: detail.into(), retry_after_s: None }
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", detail)
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    pub(crate) fn missing(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "missing", format!("there is no such {what}"))
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    pub(crate) fn too_often(retry_after_s: u64) -> Self {
        let detail = format!("too many wrong tokens from this address; wait {retry_after_s} s");
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_often", detail);
        Self { retry_after_s: Some(retry_after_s), ..problem }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let status = match refused.kind {
            RefusedKind::Invalid => StatusCode::BAD_REQUEST,
            RefusedKind::Forbidden => StatusCode::FORBIDDEN,
            RefusedKind::Missing => StatusCode::NOT_FOUND,
            RefusedKind::Conflict => StatusCode::CONFLICT,
            RefusedKind::TooMuch => StatusCode::PAYLOAD_TOO_LARGE,
            RefusedKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, &refused.kind.to_string(), refused.message)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let text = serde_json::to_string(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(text));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if response.status() == StatusCode::UNAUTHORIZED {
            // RFC 9110, section 11.6.1: a 401 names a scheme.
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
