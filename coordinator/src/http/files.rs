//! Files: uploaded piece by piece, kept by their content, fetched by it.
//!
//! Invariant: no name that a client gives becomes part of a path. An upload lies in the folder for unfinished ones under a
//! name of ours until it is whole and synced; what lies in the repository is found by its digest alone.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::{Body, Bytes};
use axum::extract::{Path, Request as HttpRequest, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use ring::digest;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Edge;
use super::access::Caller;
use super::body::{Asked, Json, hexadecimal, media_type, pieces, typed};
use super::error::Problem;
use crate::handle::{FileView, Request};

/// Of a file's name for people.
const NAME_LIMIT: usize = 255;
const PIECE: usize = 64 << 10;
/// Of uploads, so that no two write to one file.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// What a file is called.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UploadQuery {
    /// A name for people, such as `users.csv`.
    name: String,
}

/// An upload that is not whole; removed when it is dropped.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Once it was renamed into the repository, nothing is there.
        let _ = std::fs::remove_file(&self.0);
    }
}

pub(crate) async fn list(
    State(edge): State<Arc<Edge>>,
    caller: Caller,
) -> Result<Json<Vec<FileView>>, Problem> {
    caller.unbound("listing all files")?;
    Ok(Json(edge.handle.ask(Request::Files).await?))
}

pub(crate) async fn upload(
    State(edge): State<Arc<Edge>>,
    Asked(query): Asked<UploadQuery>,
    request: HttpRequest,
) -> Result<Json<FileView>, Problem> {
    if media_type(request.headers()) != Some("application/octet-stream") {
        let detail =
            "the body must be the file's bytes, with the header Content-Type: application/octet-stream";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid", detail));
    }
    if query.name.is_empty() || query.name.len() > NAME_LIMIT || query.name.chars().any(char::is_control) {
        return Err(Problem::invalid(format!(
            "a file's name has 1 to {NAME_LIMIT} bytes and no control characters"
        )));
    }
    let limit = edge.options.upload_limit;
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|size| size.to_str().ok()?.parse().ok());
    if announced.is_some_and(|size: u64| size > limit) {
        return Err(too_large(limit));
    }
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let unfinished =
        Unfinished(edge.handle.incoming().join(format!("upload-{}-{number}", std::process::id())));
    let (sha256, size) = receive(&unfinished, request.into_body(), limit).await?;
    let uploaded_at = clock::rfc3339(clock::wall_time());
    let file = FileView { sha256, name: query.name, size, uploaded_at };
    let path = unfinished.0.clone();
    Ok(Json(edge.handle.ask(|reply| Request::PutFile(file, path, reply)).await?))
}

async fn receive(unfinished: &Unfinished, mut body: Body, limit: u64) -> Result<(String, u64), Problem> {
    let full = |error: std::io::Error| Problem::unavailable(format!("cannot keep the upload: {error}"));
    let mut file = File::create_new(&unfinished.0).await.map_err(full)?;
    let mut digest = digest::Context::new(&digest::SHA256);
    let mut size = 0_u64;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::invalid("the upload broke off"))?;
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        size = size.saturating_add(piece.len() as u64);
        if size > limit {
            return Err(too_large(limit));
        }
        digest.update(&piece);
        file.write_all(&piece).await.map_err(full)?;
    }
    file.sync_all().await.map_err(full)?;
    Ok((hexadecimal(digest.finish().as_ref()), size))
}

fn too_large(limit: u64) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_much", format!("a file has at most {limit} bytes here"))
}

pub(crate) async fn download(
    State(edge): State<Arc<Edge>>,
    Path(sha256): Path<String>,
) -> Result<Response, Problem> {
    let sha256 = digest_text(sha256)?;
    let path = edge.handle.ask(|reply| Request::File(sha256, reply)).await?;
    let mut file = File::open(&path).await.map_err(|_| Problem::missing("file"))?;
    let size = file.metadata().await.map_err(|_| Problem::missing("file"))?.len();
    let (sender, body) = pieces();
    tokio::spawn(async move {
        let mut buffer = vec![0; PIECE];
        while let Ok(count) = file.read(&mut buffer).await
            && count > 0
            && sender.send(Bytes::copy_from_slice(&buffer[..count])).await.is_ok()
        {}
    });
    let mut response = typed("application/octet-stream", body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    // A browser saves it and shows nothing of it.
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    Ok(response)
}

pub(crate) async fn remove(
    State(edge): State<Arc<Edge>>,
    caller: Caller,
    Path(sha256): Path<String>,
) -> Result<Json<()>, Problem> {
    caller.unbound("removing a file")?;
    let sha256 = digest_text(sha256)?;
    Ok(Json(edge.handle.ask(|reply| Request::RemoveFile(sha256, reply)).await?))
}

/// What stands in a path where a digest belongs.
fn digest_text(text: String) -> Result<String, Problem> {
    let is_digest = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_digest { Ok(text) } else { Err(Problem::missing("file")) }
}
