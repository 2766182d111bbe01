//! The page: a few files in the program itself, which use nothing but the API.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::body::typed;
use super::error::Problem;
use crate::files::{digest, hex};

struct Asset {
    name: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
}

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! asset {
    ($name:literal, $media_type:expr) => {
        Asset {
            name: $name,
            media_type: $media_type,
            bytes: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/ui/", $name)),
        }
    };
}

static INDEX: Asset = asset!("index.html", "text/html; charset=utf-8");

static ASSETS: &[Asset] = &[
    asset!("app.js", JAVASCRIPT),
    asset!("api.js", JAVASCRIPT),
    asset!("charts.js", JAVASCRIPT),
    asset!("draw.js", JAVASCRIPT),
    asset!("fleet.js", JAVASCRIPT),
    asset!("report.js", JAVASCRIPT),
    asset!("run.js", JAVASCRIPT),
    asset!("runs.js", JAVASCRIPT),
    asset!("units.js", JAVASCRIPT),
    asset!("style.css", "text/css; charset=utf-8"),
    asset!("uplot.js", JAVASCRIPT),
    asset!("uplot.css", "text/css; charset=utf-8"),
    asset!("uplot.license.txt", "text/plain; charset=utf-8"),
    asset!("icon.svg", "image/svg+xml"),
];

/// What each file is named by while it does not change (RFC 9110, section 8.8.3).
static TAGS: LazyLock<Vec<HeaderValue>> = LazyLock::new(|| {
    let tag = |asset: &Asset| {
        let digest = hex(&digest(asset.bytes));
        HeaderValue::from_str(&format!("\"{}\"", &digest[..24]))
            .expect("hexadecimal digits may stand in a header")
    };
    ASSETS.iter().map(tag).collect()
});

pub(crate) async fn index() -> Response {
    typed(INDEX.media_type, INDEX.bytes)
}

pub(crate) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some((asset, tag)) = ASSETS.iter().zip(TAGS.iter()).find(|(asset, _)| asset.name == name) else {
        return Problem::missing("file of the page").into_response();
    };
    let is_known = headers.get(header::IF_NONE_MATCH) == Some(tag);
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        typed(asset.media_type, asset.bytes)
    };
    response.headers_mut().insert(header::ETAG, tag.clone());
    // Asked for again each time, so that a newer coordinator is never shown by an older page.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
