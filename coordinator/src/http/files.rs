//! Files: uploaded piece by piece, kept by their content, fetched by it.
//!
//! Invariant: no name that a client gives becomes part of a path; what lies in the repository is found by its digest alone, and
//! an upload that is not whole is found by nobody.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Request as HttpRequest, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Edge;
use super::access::Caller;
use super::body::{Asked, Json, in_time, media_type, pieces, typed};
use super::error::Problem;
use crate::files::{Arrived, Repository, from_hex, hex};
use crate::handle::{FileView, Request};

/// Of a file's name for people.
const NAME_LIMIT: usize = 255;

/// What a file is called.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UploadQuery {
    /// A name for people, such as `users.csv`.
    name: String,
}

/// Work on the disk, beside what else is to be done.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
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
    let arrived = receive(edge.handle.repository().clone(), request.into_body(), limit).await?;
    let uploaded_at = clock::rfc3339(clock::wall_time());
    let kept = arrived.file();
    let file = FileView { sha256: hex(&kept.sha256), name: query.name, size: kept.size, uploaded_at };
    Ok(Json(edge.handle.ask(|reply| Request::PutFile(file, arrived, reply)).await?))
}

async fn receive(repository: Repository, mut body: Body, limit: u64) -> Result<Arrived, Problem> {
    let full = |error: io::Error| Problem::unavailable(format!("cannot keep the upload: {error}"));
    let mut incoming = on_disk(move || repository.begin()).await.map_err(full)?;
    while let Some(frame) = in_time(body.frame()).await? {
        let frame = frame.map_err(|_| Problem::invalid("the upload broke off"))?;
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        if incoming.size().saturating_add(piece.len() as u64) > limit {
            return Err(too_large(limit));
        }
        let written = on_disk(move || incoming.write(&piece).map(|()| incoming)).await;
        incoming = written.map_err(full)?;
    }
    on_disk(move || incoming.finish()).await.map_err(full)
}

fn too_large(limit: u64) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_much", format!("a file has at most {limit} bytes here"))
}

pub(crate) async fn download(
    State(edge): State<Arc<Edge>>,
    Path(sha256): Path<String>,
) -> Result<Response, Problem> {
    let sha256 = from_hex(&sha256).ok_or_else(|| Problem::missing("file"))?;
    let repository = edge.handle.repository().clone();
    let content = on_disk(move || repository.content(&sha256)).await;
    let mut content = content.map_err(|_| Problem::missing("file"))?;
    let size = content.size();
    let (sender, body) = pieces();
    tokio::spawn(async move {
        // What cannot be read ends the answer before its announced end.
        while let Ok((Some(piece), rest)) = on_disk(move || Ok((content.next_piece()?, content))).await {
            content = rest;
            if sender.send(Bytes::from(piece)).await.is_err() {
                return;
            }
        }
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
    let sha256 = from_hex(&sha256).map(|sha256| hex(&sha256)).ok_or_else(|| Problem::missing("file"))?;
    Ok(Json(edge.handle.ask(|reply| Request::RemoveFile(sha256, reply)).await?))
}
